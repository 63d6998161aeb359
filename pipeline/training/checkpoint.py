"""What a person may give as a checkpoint: a folder or a Hub id of timm or transformers. It becomes a classifier.

A plain vision transformer of timm becomes a native `ViTForImageClassification`, exactly. The published folder then
needs no timm and loads in every client. Every other image classifier is loaded as it is.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTConfig,
)
from transformers.utils import logging as transformers_logging

from pipeline.errors import InputError, first_line
from pipeline.settings.recipe import Recipe
from pipeline.training.conversion import POSITIONS, is_plain_vit, timm_to_vit, vit_config_of_timm

WEIGHTS = "model.safetensors"


def load_checkpoint(recipe: Recipe, labels: dict[str, Any]) -> tuple[PreTrainedModel, list[float], list[float]]:
    """The classifier of `recipe.checkpoint` with `labels`, and the mean and standard deviation of its pictures.

    `labels` holds `id2label` and `label2id`. The classification layer is new where the checkpoint has other classes.

    Raises:
        InputError: the checkpoint is missing, unreachable, a pickle, of an unknown kind or of other shapes.
    """
    checkpoint = str(recipe.checkpoint)
    folder = find_checkpoint(checkpoint)
    try:
        model = _from_folder(folder, recipe, labels)
    except InputError as error:
        raise InputError(f"checkpoint {checkpoint}: {error}") from None
    return model, *_mean_std(folder)


def find_checkpoint(checkpoint: str) -> Path:
    """The local folder of a checkpoint: itself, or the Hub's files in the cache. Only safetensors weights are read.

    Raises:
        InputError: there is no such folder or Hub id, or it lacks config.json or model.safetensors.
    """
    path = Path(checkpoint)
    if path.is_file() or path.suffix in (".pth", ".pt", ".bin", ".ckpt", ".tar", ".safetensors"):
        raise InputError(f"checkpoint {checkpoint} is a file; give the folder with config.json and {WEIGHTS}")
    if not path.is_dir():
        if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/")):
            raise InputError(f"checkpoint {checkpoint} does not exist: give a folder, or a Hub id such as user/name")
        try:
            path = Path(
                snapshot_download(checkpoint, allow_patterns=["config.json", "preprocessor_config.json", WEIGHTS])
            )
        except Exception as error:  # the client raises many kinds: no network, no such repo, no right to read
            raise InputError(
                f"checkpoint {checkpoint} is not a folder here and could not be downloaded from the Hub "
                f"({first_line(error)}); check the name and the network, or give a local folder"
            ) from None
    if not (path / "config.json").is_file():
        raise InputError(f"checkpoint {checkpoint} has no config.json")
    if not (path / WEIGHTS).is_file():
        pickles = sorted(p.name for p in path.iterdir() if p.suffix in (".bin", ".pth", ".pt", ".ckpt"))
        found = f"; {pickles[0]} is a pickle, which is never loaded: convert it to safetensors" if pickles else ""
        raise InputError(f"checkpoint {checkpoint} has no {WEIGHTS}{found}")
    return path


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of a checkpoint."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _from_folder(folder: Path, recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    config = _read(folder / "config.json")
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as weights:
            names = set(weights.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / WEIGHTS} is not a safetensors file: {error}") from None
    if config.get("architecture", "").startswith("vit_") and is_plain_vit(names, config):
        state = load_file(folder / WEIGHTS)
        return _native_vit(vit_config_of_timm(state, config), timm_to_vit(state), recipe, labels)
    if config.get("model_type") == "vit":
        return _native_vit(ViTConfig(**config), load_file(folder / WEIGHTS), recipe, labels)
    if "architecture" not in config and "model_type" not in config:
        raise InputError(f"{folder / 'config.json'} names neither a timm architecture nor a transformers model_type")
    if config.get("model_args", {}) and "num_classes" in config["model_args"]:
        return _load_without_class_count(folder, config, labels)
    return _load(folder, labels)


def _load_without_class_count(folder: Path, config: dict[str, Any], labels: dict[str, Any]) -> PreTrainedModel:
    """Load without the `num_classes` that timm writes into `model_args`: transformers would pass it a second time."""
    arguments = {name: value for name, value in config["model_args"].items() if name != "num_classes"}
    with tempfile.TemporaryDirectory() as copy:
        (Path(copy) / "config.json").write_text(json.dumps(config | {"model_args": arguments}), encoding="utf-8")
        (Path(copy) / WEIGHTS).symlink_to((folder / WEIGHTS).resolve())
        return _load(Path(copy), labels)


def _native_vit(
    config: ViTConfig, state: dict[str, torch.Tensor], recipe: Recipe, labels: dict[str, Any]
) -> PreTrainedModel:
    """A ViT at the recipe's input size. Its position embeddings are resampled here, once, and never at run time."""
    patch = config.patch_size
    if not isinstance(patch, int):
        raise InputError(f"the checkpoint's patch_size is {patch}; it must be one number, the side of a square patch")
    if recipe.image_size % patch:
        raise InputError(f"image_size {recipe.image_size} is not a multiple of the checkpoint's patch of {patch} px")
    if POSITIONS not in state:
        raise InputError(f"the weights lack {POSITIONS}: they do not belong to the ViT that its config.json describes")
    grid = recipe.image_size // patch
    state[POSITIONS] = resample_abs_pos_embed(state[POSITIONS], [grid, grid], num_prefix_tokens=1).contiguous()
    config.image_size = recipe.image_size
    config.architectures = ["ViTForImageClassification"]
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save_file(state, Path(folder) / WEIGHTS, metadata={"format": "pt"})
        return _load(Path(folder), labels)


def _load(folder: Path, labels: dict[str, Any]) -> PreTrainedModel:
    """`from_pretrained`, with a new head where the classes differ. No other tensor may be new, missing or misshapen."""
    config = AutoConfig.from_pretrained(folder)
    same_classes = {str(k): v for k, v in config.id2label.items()} == {str(k): v for k, v in labels["id2label"].items()}
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # the load report; its content is checked below
    try:
        model, report = AutoModelForImageClassification.from_pretrained(
            folder,
            num_labels=len(labels["id2label"]),
            **labels,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (ValueError, OSError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"it does not load as an image classifier: {str(error).splitlines()[0]}") from None
    finally:
        transformers_logging.set_verbosity(level)
    differing = [name for name, *_ in report["mismatched_keys"]] + sorted(
        [*report["missing_keys"], *report["unexpected_keys"]]
    )
    wrong = [name for name in differing if not is_head(name)]
    if wrong:
        raise InputError(
            f"the weights do not fit its config.json: {len(wrong)} tensors, first {wrong[0]}; take both from one save"
        )
    if not same_classes:
        for module in (
            m for name, m in model.named_modules() if is_head(f"{name}.weight") and isinstance(m, nn.Linear)
        ):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    return model


def is_head(name: str) -> bool:
    """Whether a parameter belongs to the classification layer, by the names of transformers and timm."""
    return any(part in name.split(".") for part in ("classifier", "head", "fc", "pooler")) and ".layers." not in name


def _mean_std(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and standard deviation, per channel, that the checkpoint was trained with."""
    processor = folder / "preprocessor_config.json"
    config = _read(processor if processor.is_file() else folder / "config.json")
    config = config.get("pretrained_cfg") or config
    mean, std = config.get("image_mean") or config.get("mean"), config.get("image_std") or config.get("std")
    if not mean or not std:
        raise InputError(f"{folder} names no mean and std of its pictures: add preprocessor_config.json")
    return list(mean), list(std)
