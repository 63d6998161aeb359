"""The last layer of a saved classifier: what is folded into it acts in every client, and no client applies anything."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import torch
from numpy.typing import ArrayLike
from transformers import AutoModelForImageClassification, PreTrainedModel

from pipeline.errors import InputError
from pipeline.evaluation.calibration import NotCalibrated, check_rows, fit_temperature, fit_vector
from pipeline.evaluation.predictions import Calibration
from pipeline.model_folder import plain_folder
from pipeline.run_folder import PREPROCESSOR, WEIGHTS
from pipeline.settings.recipe import Recipe
from pipeline.training import machine, prediction
from pipeline.training.head import head_parameters
from pipeline.training.library_words import quiet
from pipeline.training.sampler import PictureRows

TOLERANCE = 1e-4
"""Largest difference of a logit, beside the largest logit, from what folding must give."""


def calibrate(
    folder: Path, recipe: Recipe, validation: datasets.Dataset, batch_size: int, device: str
) -> Calibration | None:
    """Fit the scaling that the recipe names to mapped validation rows, and fold it into the weights in `folder`.

    What cannot be calibrated stays as it is, and one line says why. None for a model of scores, or if the recipe leaves
    calibration out.
    """
    if recipe.scores or recipe.calibration == "none":
        return None
    target = PictureRows(validation, recipe.targets).targets
    voted = len(target) > 0 and bool((target.max(1) < 1 - 1e-6).any())
    done = Calibration(len(target), "votes" if voted else "labels")
    try:
        check_rows(done.rows)
        logits = prediction.predict(folder, {"validation": validation}, batch_size, device)["validation"]
        if recipe.calibration == "vector":
            scaling = fit_vector(logits, target)
            fold(folder, 1 / scaling.factor, scaling.summand)
            done = replace(done, factors=scaling.factor.tolist(), summands=scaling.summand.tolist())
        else:
            temperature = fit_temperature(logits, target)
            fold(folder, temperature)
            done = replace(done, temperature=temperature)
    except (NotCalibrated, NotLinear) as error:
        machine.say(f"calibration: skipped, because {error}; scores stay as trained")
        return Calibration(done.rows, done.targets, skipped=str(error))
    what = "vector scaling" if done.temperature is None else f"temperature {done.temperature:.3f}"
    machine.say(f"calibration: {what} from {done.rows:,} validation rows, folded into the model")
    return done


class NotLinear(InputError):  # noqa: N818 (what is true of the layer)
    """The last layer cannot take what is to be folded into it; the message says why."""


def fold(folder: Path, divisor: ArrayLike = 1.0, shift: ArrayLike = 0.0) -> None:
    """Change the weights in `folder` so that the logits become `logits / divisor + shift`, each a number or `(K,)`.

    Pictures are tried before and after: only what gives these logits is saved.

    Raises:
        NotLinear: the layers that depend on the number of classes give other logits, or have no bias for a shift.
    """
    model, pictures = _load(folder), _pictures(folder)
    shifts = torch.as_tensor(np.asarray(shift, dtype=np.float32))
    divisors = torch.as_tensor(np.asarray(divisor, dtype=np.float32))
    before = _logits(model, pictures)
    wanted = before / divisors + shifts
    head = head_parameters(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in head:
                if divisors.ndim and len(parameter) != before.shape[1]:
                    raise NotLinear(f"{name} of this {model.config.model_type} model has not one row a class")
                parameter.div_(divisors.reshape(-1, *[1] * (parameter.ndim - 1)) if divisors.ndim else divisors.item())
                if parameter.ndim == 1:
                    parameter.add_(shifts)
    apart = float((_logits(model, pictures) - wanted).abs().max())
    if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise NotLinear(f"the last layer of this {model.config.model_type} model is not linear with a bias")
    with quiet(), tempfile.TemporaryDirectory(prefix=".weights-", dir=folder) as aside:
        model.save_pretrained(aside)
        (Path(aside) / WEIGHTS).replace(folder / WEIGHTS)


def _load(folder: Path) -> PreTrainedModel:
    with quiet(), plain_folder(folder) as place:
        model: PreTrainedModel = AutoModelForImageClassification.from_pretrained(
            place, dtype=torch.float32, trust_remote_code=False
        )
    return model.eval()


def _pictures(folder: Path) -> torch.Tensor:
    """Four pictures of noise in the model's size: `(4, 3, H, W) float32`."""
    size = json.loads((folder / PREPROCESSOR).read_text(encoding="utf-8"))["size"]
    noise = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, size["height"], size["width"], generator=noise) * 2 - 1


def _logits(model: PreTrainedModel, pictures: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(pixel_values=pictures).logits
    return logits
