"""How a classifier is saved, and the check that clients load it: the same pixels and the same scores as in training."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTImageProcessor,
    pipeline,
)

from pipeline.errors import InputError, first_line
from pipeline.task import answers
from pipeline.training.checkpoint_files import CONFIG
from pipeline.training.library_words import quiet
from pipeline.training.lora import merged
from pipeline.training.transforms import normalize, to_pixels

NOISE = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
TOLERANCE = 1e-4
"""Largest difference of a pixel value or a probability between training and a client."""


def save_classifier(model: PreTrainedModel, processor: ViTImageProcessor, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json, which every client loads; adapters are merged.

    transformers writes no `id2label` for timm models; onnxruntime and the server read the classes there.
    """
    model = merged(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    file = folder / CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    names = {str(index): name for index, name in (model.config.id2label or {}).items()}
    if config.get("id2label") != names:
        config |= {"id2label": names, "label2id": {name: int(index) for index, name in names.items()}}
        file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_clients(
    model: PreTrainedModel, processor: ViTImageProcessor, check: Callable[[Path], None] | None = None
) -> None:
    """Save the model aside, load it as clients do and ask it one picture, before a step is trained.

    Raises:
        InputError: it does not load, a client sees other pixels or gives other scores than training does, or `check`,
            which gets the folder, raises it.
    """
    picture, name = Image.fromarray(NOISE), _named(model)
    size = processor.size["height"]
    own = normalize(to_pixels(picture, size)[None].float() / 255, processor.image_mean, processor.image_std)
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            save_classifier(model, processor, Path(folder))
            _refuse_difference("pixels", name, own, _pixels(Path(folder), picture))
            by_hand, by_pipeline = _by_hand(Path(folder), own), _by_pipeline(Path(folder), picture)
            if check:
                check(Path(folder))
    except InputError:
        raise
    except Exception as error:  # whatever goes wrong here would go wrong at the end of the run
        raise InputError(f"{name} cannot be saved and loaded again: {first_line(error)}") from None
    training = model.training
    with torch.no_grad():  # not inference mode: what a model keeps of it could not be trained through
        scores = _answers(model.eval(), own)
    model.train(training)
    if not torch.isfinite(scores).all():
        raise InputError(f"{name} gives scores that are not finite: its weights or its {CONFIG} are damaged")
    _refuse_difference("scores", name, scores, by_hand)
    _refuse_difference("scores", name, scores, by_pipeline)


def _pixels(folder: Path, picture: Image.Image) -> torch.Tensor:
    """`pixel_values` (1, 3, H, W) of the saved processor."""
    processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    pixels: torch.Tensor = processor(picture, return_tensors="pt")["pixel_values"]
    return pixels


def _by_hand(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    """Scores (K,) of AutoModel."""
    model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    with torch.no_grad():  # not inference mode: some classes share what they computed between their models
        return _answers(model.eval(), pixels)


def _answers(model: PreTrainedModel, pixels: torch.Tensor) -> torch.Tensor:
    """Scores (K,) of a model for one picture."""
    outputs = model(pixel_values=pixels).logits.float().numpy()
    return torch.from_numpy(answers(outputs, model.config.to_dict())[0])


def _by_pipeline(folder: Path, picture: Image.Image) -> torch.Tensor:
    """Scores (K,) of `pipeline()`, in the order of `id2label`."""
    classify = pipeline("image-classification", model=str(folder), trust_remote_code=False)
    names: Any = classify.model.config.id2label
    answer = {each["label"]: each["score"] for each in classify(picture, top_k=len(names))}
    return torch.tensor([answer[names[index]] for index in range(len(names))])


def _refuse_difference(what: str, name: str, own: torch.Tensor, theirs: torch.Tensor) -> None:
    if own.shape != theirs.shape:
        raise InputError(f"{name}: clients get {what} of shape {tuple(theirs.shape)}, training {tuple(own.shape)}")
    apart = float((own - theirs).abs().max())
    if not apart <= TOLERANCE:
        raise InputError(
            f"{name}: a client's {what} differ from those of training by {apart:.2g} (allowed: {TOLERANCE:g}); take "
            "another checkpoint or architecture"
        )


def _named(model: PreTrainedModel) -> str:
    architecture = getattr(model.config, "architecture", None)
    return f"the {model.config.model_type} model{f' {architecture}' if architecture else ''}"
