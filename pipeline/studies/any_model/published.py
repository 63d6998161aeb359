"""A classifier of transformers or timm from a folder or the Hub, as its publisher saved it.

Only safetensors weights are read, and no code of the repository runs (`pipeline/model_folder.py`). Every weight of the
model must be in the files: transformers would fill up a missing one with random numbers.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoModelForImageClassification

from pipeline.described_size import no_larger_than
from pipeline.errors import InputError, first_line, full_disk
from pipeline.studies.any_model.classifier import Answer, Classifier
from pipeline.studies.any_model.maps import Network
from pipeline.training import machine
from pipeline.training.checkpoint_files import (
    CONFIG,
    WEIGHTS,
    find_checkpoint,
    read_config,
    read_tensors,
    refuse_whole_numbers,
)
from pipeline.training.geometry import declared
from pipeline.training.input_values import image_processor
from pipeline.training.library_words import quiet
from pipeline.training.loading import does_not_load
from pipeline.training.made_of import hashes_here, weights_digest
from pipeline.training.prediction import whole_floats

NAMES = "name its classes in their order with --model_classes NAME,NAME,..."
COLOURS = ("image_mean", "image_std", "rescale_factor")


def open_published(name: str, named: Sequence[str] | None) -> Classifier:
    """The classifier in a folder, or of a Hub id; `named` are names of its classes in place of its own.

    Raises:
        InputError: as `find_checkpoint` and `read_config`; its weights are not all there, its scores are not those of
            one class of several, or it has other than `named` classes.
    """
    folder = find_checkpoint(name)
    try:
        config = read_config(folder)
        _refuse_many_labels(config)
        outputs = list(named) if named else _outputs(config)
        model = _load(config, folder, len(outputs))
        processor = image_processor(folder)
    except InputError as error:
        raise InputError(f"model {name}: {error}") from None
    except Exception as error:  # transformers and timm raise many kinds
        if full_disk(error):
            raise
        raise InputError(f"model {name}: {does_not_load(config, error)}") from None
    device = machine.device_type()
    network = Network(
        model.to(device), lambda pictures: processor(list(pictures), return_tensors="pt")["pixel_values"].to(device)
    )
    return Classifier(
        name=name,
        kind="timm" if "architecture" in config else "transformers",
        outputs=outputs,
        scores_are="logits",
        preprocessing=_in_words(processor),
        answer=_answer(network, name),
        record={"architecture": type(model).__name__, "weights_sha256": weights_digest(hashes_here(name) or {})},
        network=network,
    )


def _load(config: dict[str, Any], folder: Path, classes: int) -> Any:
    tensors = read_tensors(folder)
    arguments = config.get("model_args") or {}
    described = {n: v for n, v in config.items() if n not in ("dtype", "torch_dtype")}
    if "num_classes" in arguments:  # transformers would pass it to timm a second time
        described["model_args"] = {n: v for n, v in arguments.items() if n != "num_classes"}
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / CONFIG).write_text(json.dumps(described), encoding="utf-8")
        save_file({n: t.contiguous() for n, t in tensors.items()}, Path(place) / WEIGHTS, metadata={"format": "pt"})
        with quiet(), no_larger_than([tensor.numel() for tensor in tensors.values()]):
            model, report = AutoModelForImageClassification.from_pretrained(
                place,
                num_labels=classes,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=False,
            )
    lost = sorted(report["missing_keys"]) + [each[0] for each in report["mismatched_keys"]]
    if lost:
        kind = f"{type(model).__name__} with {classes} classes"
        raise InputError(
            f"its weights lack {len(lost)} tensors of a {kind} (first {lost[0]}), "
            "or have them in other shapes, so answers would be random: give a model that was trained for these classes"
        )
    refuse_whole_numbers(tensors, model, report["unexpected_keys"])
    return in_fast_order(model.eval())


def in_fast_order(model: torch.nn.Module) -> torch.nn.Module:
    """The model in channels-last order if it convolves each channel by itself: a CPU is twice as fast with it then."""
    depthwise = any(isinstance(layer, torch.nn.Conv2d) and layer.groups > 1 for layer in model.modules())
    return model.to(memory_format=torch.channels_last) if depthwise else model


def _refuse_many_labels(config: dict[str, Any]) -> None:
    kind = config.get("problem_type")
    if kind not in (None, "single_label_classification"):
        raise InputError(f"its problem_type is {kind}: its scores are not those of one class of several")


def _outputs(config: dict[str, Any]) -> list[str]:
    """Names of the classes in the order of the logits: `id2label`, or timm's `label_names`."""
    numbered = config.get("id2label") or dict(enumerate(config.get("label_names") or ()))
    try:
        names = [str(numbered[key]) for key in sorted(numbered, key=int)]
        in_order = sorted(map(int, numbered)) == list(range(len(names)))
    except (ValueError, TypeError):
        in_order = False
    if not in_order or not names:
        raise InputError(f"{CONFIG} does not name its classes: {NAMES}")
    return names


def _in_words(processor: Any) -> str:
    said = getattr(processor, "data_config", {})
    colours = {of: getattr(processor, of, None) for of in COLOURS} | {of: said.get(of) for of in ("mean", "std")}
    words = ", ".join(f"{of} {value}" for of, value in colours.items() if value is not None)
    return f"{declared(processor)}; {words}"


def _answer(network: Network, name: str) -> Answer:
    def answer(pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode(), whole_floats():
                logits: NDArray[np.float32] = network.logits(network.pixels(pictures)).float().cpu().numpy()
        except Exception as error:  # any kind: sizes that do not fit, memory
            raise InputError(
                f"model {name} does not take pictures as its own image processor makes them: {first_line(error)}"
            ) from None
        return logits

    return answer
