"""How a classifier is saved, and the check that clients load it: the same pixels and the same scores as in training."""

import json
import tempfile
from pathlib import Path

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
from pipeline.training.checkpoint_files import CONFIG
from pipeline.training.library_words import quiet
from pipeline.training.transforms import normalize, to_pixels

TOLERANCE = 1e-4
"""Largest difference of a pixel value or a probability between training and a client."""


def save_classifier(model: PreTrainedModel, processor: ViTImageProcessor, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json, which every client loads.

    transformers writes no `id2label` for timm models; onnxruntime and the server read the classes there.
    """
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    file = folder / CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    names = {str(index): name for index, name in (model.config.id2label or {}).items()}
    if config.get("id2label") != names:
        config |= {"id2label": names, "label2id": {name: int(index) for index, name in names.items()}}
        file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_clients(model: PreTrainedModel, processor: ViTImageProcessor) -> None:
    """Save the model aside, load it as clients do and ask it one picture, before a step is trained.

    Raises:
        InputError: it does not load, or a client sees other pixels or gives other scores than training does.
    """
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8))
    size = processor.size["height"]
    pixels = normalize(to_pixels(picture, size)[None].float() / 255, processor.image_mean, processor.image_std)
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            save_classifier(model, processor, Path(folder))
            theirs, scores = _ask(Path(folder), picture)
    except Exception as error:  # whatever goes wrong here would go wrong at the end of the run
        raise InputError(f"{_named(model)} cannot be saved and loaded again: {first_line(error)}") from None
    _refuse_difference("pixels", _named(model), pixels, theirs)
    training = model.training
    with torch.inference_mode():
        own = model.eval()(pixel_values=pixels).logits[0].float().softmax(-1)
    model.train(training)
    _refuse_difference("scores", _named(model), own, scores)


def _ask(folder: Path, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """`pixel_values` (1, 3, S, S) of the saved processor, and the scores (K,) of `pipeline()`.

    Raises:
        ValueError: AutoModel and `pipeline()` give different scores.
    """
    processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    pixels = processor(picture, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        by_hand = model.eval()(pixel_values=pixels).logits[0].softmax(-1)
    names = model.config.id2label
    classify = pipeline("image-classification", model=str(folder), top_k=len(names), trust_remote_code=False)
    answer = {each["label"]: each["score"] for each in classify(picture)}
    scores = torch.tensor([answer[names[index]] for index in range(len(names))])
    if not torch.allclose(by_hand, scores, atol=TOLERANCE):
        raise ValueError("AutoModel and pipeline() give different scores")
    return pixels, scores


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
