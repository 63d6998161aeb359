"""A folder of timm or transformers becomes a classifier with the recipe's classes.

A plain vision transformer of timm becomes a native `ViTForImageClassification`, exactly. The published folder then
needs no timm and loads in every client. Every other image classifier is loaded as it is.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from transformers import AutoModelForImageClassification, PreTrainedModel, ViTConfig

from pipeline.described_size import no_larger_than
from pipeline.errors import InputError, first_line, full_disk
from pipeline.settings.recipe import Recipe
from pipeline.training import machine
from pipeline.training.checkpoint_files import (
    CONFIG,
    WEIGHTS,
    find_checkpoint,
    read_config,
    read_provenance,
    read_tensors,
    refuse_whole_numbers,
)
from pipeline.training.conversion import POSITIONS, is_plain_vit, timm_to_vit, vit_config_of_timm, vit_names
from pipeline.training.head import head_parameters, renew_head
from pipeline.training.input_values import first_convolution, input_values, reorder_channels
from pipeline.training.library_words import quiet

Tensors = dict[str, torch.Tensor]
REPLACED = (
    *("health_score", "score_ranges", "class_shares"),
    *("num_labels", "dtype", "torch_dtype"),
    *("return_dict", "use_return_dict", "output_hidden_states", "output_attentions", "torchscript"),
)
"""Fields of config.json that say nothing here: classes and precision are the recipe's, and what a model returns beside
its logits is not read."""
COUNTER = "num_batches_tracked"
"""Of a batch norm: older saves lack it, and nothing that is computed depends on it."""


def load_checkpoint(recipe: Recipe, labels: dict[str, Any]) -> tuple[PreTrainedModel, list[float], list[float]]:
    """The classifier of `recipe.checkpoint` with `labels`, and the mean and standard deviation of its RGB pictures.

    `labels` holds `id2label` and `label2id`. The classification layer is new where the checkpoint has other classes.

    Raises:
        InputError: the checkpoint is missing, unreachable, a pickle, of an unknown kind or of other shapes, or it takes
            pictures that this pipeline cannot give it.
    """
    checkpoint = str(recipe.checkpoint)
    folder = find_checkpoint(checkpoint)
    try:
        config = read_config(folder)
        tensors = read_tensors(folder)
        described = {name: value for name, value in config.items() if name not in REPLACED}
        model = _from_tensors(described, tensors, recipe, labels)
        values = input_values(folder)
        _refuse_other_channels(model)
        reorder_channels(model, values)
        _settle_geometry(values.geometry, recipe)
        if provenance := read_provenance(config):
            model.config.provenance = provenance
    except InputError as error:
        raise InputError(f"checkpoint {checkpoint}: {error}") from None
    except Exception as error:  # transformers, timm and the config's own checks raise many kinds
        if full_disk(error):
            raise
        raise InputError(f"checkpoint {checkpoint}: {does_not_load(config, error)}") from None
    return model, values.mean, values.std


def _settle_geometry(theirs: str, recipe: Recipe) -> None:
    if theirs and recipe.geometry == "checkpoint":
        raise InputError(
            f"its processor ({theirs}) does not resize the whole picture to a square by bicubic interpolation, as this "
            "pipeline and all clients of a run do: set --geometry whole_picture to fine-tune it that way"
        )
    if theirs:
        machine.say(f"checkpoint: its processor ({theirs}) is replaced by a bicubic resize of the whole picture")


def _from_tensors(config: dict[str, Any], tensors: Tensors, recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    if str(config.get("architecture", "")).startswith("vit_") and is_plain_vit(set(tensors), config):
        return _native_vit(vit_config_of_timm(tensors, config), timm_to_vit(tensors), recipe, labels)
    if config.get("model_type") == "vit":
        return _native_vit(ViTConfig(**config), vit_names(tensors), recipe, labels)
    if "architecture" in config and "model_type" not in config:  # transformers knows only timm's newer files
        config = config | {"model_type": "timm_wrapper"}
    arguments = config.get("model_args") or {}
    if "num_classes" in arguments:  # transformers would pass it a second time
        config = config | {"model_args": {k: v for k, v in arguments.items() if k != "num_classes"}}
    return _load(config, tensors, labels)


def _native_vit(config: ViTConfig, tensors: Tensors, recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    """A ViT at the recipe's input size. Its position embeddings are resampled here, once, and never at run time."""
    patch = config.patch_size
    if not isinstance(patch, int) or patch < 1:
        raise InputError(f"the checkpoint's patch_size is {patch}; it must be one number, the side of a square patch")
    if recipe.image_size % patch:
        raise InputError(f"image_size {recipe.image_size} is not a multiple of the checkpoint's patch of {patch} px")
    if POSITIONS not in tensors:
        has = f" and have {min(tensors)}" if tensors else ""
        raise InputError(
            f"the weights lack {POSITIONS}{has}: they do not belong to the ViT that its config.json describes"
        )
    size: Any = config.image_size
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    if len(sides) != 2 or min(sides) < 1:
        raise InputError(f"image_size {size} in its config.json is not one number of px, or height and width")
    height, width = sides
    before, now = [height // patch, width // patch], [recipe.image_size // patch] * 2
    if tensors[POSITIONS].shape[1] != before[0] * before[1] + 1:
        raise InputError(f"the weights do not fit its config.json: {POSITIONS} is not for {height} x {width} px")
    tensors[POSITIONS] = resample_abs_pos_embed(tensors[POSITIONS], now, before, num_prefix_tokens=1).contiguous()
    config.image_size = recipe.image_size
    config.architectures = ["ViTForImageClassification"]
    return _load(config.to_dict(), tensors, labels)


def _load(config: dict[str, Any], tensors: Tensors, labels: dict[str, Any]) -> PreTrainedModel:
    """`from_pretrained`, with a new head where the classes differ. No other tensor may be missing or misshapen."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        save_file({n: t.contiguous() for n, t in tensors.items()}, Path(folder) / WEIGHTS, metadata={"format": "pt"})
        with no_larger_than([tensor.numel() for tensor in tensors.values()]):
            model, report = _from_pretrained(Path(folder), config, labels)
    head = head_parameters(model)
    _count_anew(model, report)
    differing = [name for name, *_ in report["mismatched_keys"]] + sorted(report["missing_keys"])
    unused = sorted(report["unexpected_keys"])
    _refuse_other_tensors(model, config, report, head)
    refuse_whole_numbers(tensors, model, unused)
    if unused:
        parts = sorted({name.partition(".")[0] for name in unused})
        machine.say(f"checkpoint: {len(unused)} tensors are not part of the classifier: {', '.join(parts)}")
    if _classes(config) != _classes(labels) or any(name in head for name in differing):
        renew_head(model, head)
    if hasattr(model.config, "pretrained_cfg"):  # clients would take it for the preprocessing of this run
        del model.config.pretrained_cfg
    return model


def _count_anew(model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Begin the counters of batch norms that the weights lack at 0, and take them out of what is missing."""
    lacking = {name for name in report["missing_keys"] if name.rpartition(".")[2] == COUNTER}
    for name, buffer in model.named_buffers():
        if name in lacking:
            buffer.zero_()
    report["missing_keys"] = set(report["missing_keys"]) - lacking


def _refuse_other_tensors(
    model: PreTrainedModel, config: dict[str, Any], report: dict[str, Any], head: frozenset[str]
) -> None:
    """Refuse weights that lack a tensor of the model, have one of another shape, or one too many in a layer."""
    saved, ours = next(iter(config.get("architectures") or ()), ""), type(model).__name__
    missing = sorted(set(report["missing_keys"]) - head)
    if missing and saved not in ("", ours):
        raise InputError(
            f"its weights are those of {saved}, which lacks {len(missing)} tensors of {ours}, first {missing[0]}: give "
            f"a checkpoint of {ours}"
        )
    wrong = missing + [name for name, *_ in report["mismatched_keys"] if name not in head]
    wrong += [name for name in sorted(report["unexpected_keys"]) if not _is_beside(name, model)]
    if wrong:
        raise InputError(
            f"the weights do not fit its config.json: {len(wrong)} tensors, first {wrong[0]}; take both from one save"
        )


def _classes(config: dict[str, Any]) -> dict[str, Any]:
    """The names of the classes by their number; timm has them in a list, without numbers."""
    names = config.get("id2label") or dict(enumerate(config.get("label_names") or ()))
    return {str(index): name for index, name in names.items()}


def _from_pretrained(
    folder: Path, config: dict[str, Any], labels: dict[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model and the report of its loading."""
    try:
        with quiet():  # the load report; its content is checked by the caller
            model, report = AutoModelForImageClassification.from_pretrained(
                folder,
                num_labels=len(labels["id2label"]),
                **labels,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=False,
            )
    except InputError:
        raise
    except Exception as error:
        if full_disk(error):
            raise
        raise InputError(does_not_load(config, error).replace(str(folder), "its folder")) from None
    return model, report


def does_not_load(config: dict[str, Any], error: Exception) -> str:
    """In one line, why transformers or timm did not load a checkpoint."""
    if "trust_remote_code" in str(error):
        cause = "it needs Python code of its own, which is never run; give an architecture of transformers"
    elif isinstance(error, StrictDataclassError):  # a field of config.json, and in a second line what is wrong with it
        cause = f"{CONFIG}: {' '.join(str(error).split())}"
    else:
        kind = config.get("architecture") or config.get("model_type")
        cause = f"{first_line(error)} (its {CONFIG} says that it is a {kind}; take it and the weights from one save)"
    return f"it does not load as an image classifier: {cause}"


def _is_beside(name: str, model: PreTrainedModel) -> bool:
    """Whether an unused tensor belongs to another tower or head, and not to a layer that this model should have."""
    module: Any = model
    for part in _candidates(name, model):
        if part.isdecimal():
            return False
        parent, module = module, getattr(module, part, None)
        if module is None:  # of a whole layer, such as a norm, or of what holds layers
            return any(True for _ in parent.children()) or not any(True for _ in parent.parameters())
    return False


def _candidates(name: str, model: PreTrainedModel) -> Sequence[str]:
    """The path of a tensor; base models save theirs without the name of the base."""
    parts = name.split(".")
    prefix = model.base_model_prefix
    return parts if hasattr(model, parts[0]) or not hasattr(model, prefix) else [prefix, *parts]


def _refuse_other_channels(model: PreTrainedModel) -> None:
    first = first_convolution(model)
    if first is not None and first.in_channels != 3:
        raise InputError(
            f"it takes pictures with {first.in_channels} channel(s), and every client gives it RGB pictures with 3: "
            "take a checkpoint of colour pictures"
        )
