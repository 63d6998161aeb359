"""A checkpoint, or random weights, as a transformers image classifier with named classes.

timm's plain vision transformers become native `ViTForImageClassification`, exactly: the published folder then needs no
timm, and loads in every client. Any other timm or transformers image classifier is taken as it is.
"""

import json
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)
from transformers.utils import logging as transformers_logging

from pipeline.errors import InputError, first_line
from pipeline.expressions import id2label, label2id
from pipeline.settings.recipe import Recipe
from pipeline.training.conversion import POSITIONS, is_plain_vit, timm_to_vit, vit_config_of_timm

VIT_TINY = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}
WEIGHTS = "model.safetensors"


def build_model(recipe: Recipe) -> tuple[PreTrainedModel, ViTImageProcessor]:
    """The classifier of the recipe, with `recipe.classes` as its labels, and its image processor.

    Raises:
        InputError: the checkpoint is missing, unreachable, a pickle, of an unknown kind or of other shapes.
    """
    labels = {"id2label": id2label(recipe.classes), "label2id": label2id(recipe.classes)}
    mean, std = [0.5] * 3, [0.5] * 3
    torch.manual_seed(recipe.seed)
    if recipe.checkpoint is None:
        model = _from_scratch(recipe, labels)
    else:
        folder = find_checkpoint(recipe.checkpoint)
        try:
            model = _from_folder(folder, recipe, labels)
        except InputError as error:
            raise InputError(f"checkpoint {recipe.checkpoint}: {error}") from None
        mean, std = _mean_std(folder)
    _refuse_other_size(model, recipe.image_size)
    model.config.problem_type = "single_label_classification"
    _freeze(model, recipe.freeze)
    side = {"height": recipe.image_size, "width": recipe.image_size}
    return model, ViTImageProcessor(
        do_resize=True, size=side, resample=3, do_convert_rgb=True, image_mean=mean, image_std=std
    )


def _refuse_other_size(model: PreTrainedModel, size: int) -> None:
    """Models of others may take one size alone, and say so when they see the first picture: that is now."""
    if isinstance(model, ViTForImageClassification):
        return
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(pixel_values=torch.zeros(1, 3, size, size))
    except Exception as error:  # an assertion in timm, other kinds elsewhere
        raise InputError(f"image_size {size} does not fit this model: {first_line(error)}") from None
    model.train(training)


def find_checkpoint(checkpoint: str) -> Path:
    """The local folder of a checkpoint: itself, or the Hub's files in the cache. Only safetensors weights are read."""
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
                f"checkpoint {checkpoint} is no folder here and could not be had from the Hub ({first_line(error)}); "
                "check the name and the network, or give a local folder"
            ) from None
    if not (path / "config.json").is_file():
        raise InputError(f"checkpoint {checkpoint} has no config.json")
    if not (path / WEIGHTS).is_file():
        pickles = sorted(p.name for p in path.iterdir() if p.suffix in (".bin", ".pth", ".pt", ".ckpt"))
        found = f"; {pickles[0]} is a pickle, never loaded here: convert it to safetensors" if pickles else ""
        raise InputError(f"checkpoint {checkpoint} has no {WEIGHTS}{found}")
    return path


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a checkpoint."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'} cannot be read: {error}") from None


def _from_scratch(recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    size = recipe.image_size
    if recipe.architecture == "vit":
        patch = recipe.vit_config.get("patch_size", 16)
        if not isinstance(patch, int) or patch < 1 or size % patch:
            raise InputError(f"image_size {size} is no multiple of the patch_size {patch} of vit_config")
        known = ViTConfig().to_dict()
        for name in recipe.vit_config:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; the nearest is {near[0]}" if near else ""
                raise InputError(f"vit_config: {name} is no field of transformers' ViTConfig{hint}")
        try:
            shape: dict[str, Any] = {**VIT_TINY, "layer_norm_eps": 1e-6, **recipe.vit_config}
            return ViTForImageClassification(ViTConfig(**shape, image_size=size, **labels))
        except (TypeError, ValueError, StrictDataclassError) as error:
            raise InputError(f"vit_config {recipe.vit_config} makes no ViT: {first_line(error)}") from None
    settings: dict[str, Any] = {"architecture": recipe.architecture, "num_labels": len(recipe.classes), **labels}
    config = TimmWrapperConfig(**settings)
    try:
        return TimmWrapperForImageClassification(config)
    except Exception as error:  # timm and transformers raise several kinds for an unknown name
        raise InputError(f"architecture {recipe.architecture!r} is not a model that timm knows: {error}") from None


def _from_folder(folder: Path, recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    config = read_config(folder)
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
    """timm writes `num_classes` among its model's arguments too, where transformers would pass it a second time."""
    arguments = {name: value for name, value in config["model_args"].items() if name != "num_classes"}
    with tempfile.TemporaryDirectory() as copy:
        (Path(copy) / "config.json").write_text(json.dumps(config | {"model_args": arguments}), encoding="utf-8")
        (Path(copy) / WEIGHTS).symlink_to((folder / WEIGHTS).resolve())
        return _load(Path(copy), labels)


def _native_vit(
    config: ViTConfig, state: dict[str, torch.Tensor], recipe: Recipe, labels: dict[str, Any]
) -> PreTrainedModel:
    """A ViT at the recipe's input size: position embeddings are resampled once, here, and never at run time."""
    patch = config.patch_size
    if not isinstance(patch, int):
        raise InputError(f"the checkpoint's patch_size is {patch}; it must be one number, the side of a square patch")
    if recipe.image_size % patch:
        raise InputError(f"image_size {recipe.image_size} is no multiple of the checkpoint's patch of {patch} px")
    if POSITIONS not in state:
        raise InputError(f"the weights lack {POSITIONS}: they are not of the ViT that its config.json describes")
    grid = recipe.image_size // patch
    state[POSITIONS] = resample_abs_pos_embed(state[POSITIONS], [grid, grid], num_prefix_tokens=1).contiguous()
    config.image_size = recipe.image_size
    config.architectures = ["ViTForImageClassification"]
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save_file(state, Path(folder) / WEIGHTS, metadata={"format": "pt"})
        return _load(Path(folder), labels)


def _load(folder: Path, labels: dict[str, Any]) -> PreTrainedModel:
    """`from_pretrained`, with a new head where the classes differ; nothing else may be new, missing or misshapen."""
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
    wrong = [name for name in differing if not _is_head(name)]
    if wrong:
        raise InputError(
            f"the weights do not fit its config.json: {len(wrong)} tensors, first {wrong[0]}; take both from one save"
        )
    if not same_classes:
        for module in (
            m for name, m in model.named_modules() if _is_head(f"{name}.weight") and isinstance(m, nn.Linear)
        ):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    return model


def _is_head(name: str) -> bool:
    """Whether a parameter belongs to the classification layer (native, timm's ViT and CNN names)."""
    return any(part in name.split(".") for part in ("classifier", "head", "fc", "pooler")) and ".layers." not in name


def _mean_std(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that the checkpoint was trained with."""
    processor = folder / "preprocessor_config.json"
    config = json.loads(processor.read_text(encoding="utf-8")) if processor.is_file() else read_config(folder)
    config = config.get("pretrained_cfg") or config
    mean, std = config.get("image_mean") or config.get("mean"), config.get("image_std") or config.get("std")
    if not mean or not std:
        raise InputError(f"{folder} says no mean and std of its pictures: add preprocessor_config.json")
    return list(mean), list(std)


def _freeze(model: PreTrainedModel, freeze: str) -> None:
    if freeze == "backbone":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = _is_head(name)


def set_attention(model: PreTrainedModel, attention: str, device_type: str) -> None:
    """Choose the attention kernel of a native ViT; auto is eager on a CPU, else sdpa."""
    if isinstance(model, ViTForImageClassification):
        chosen = {"auto": "eager" if device_type == "cpu" else "sdpa"}.get(attention, attention)
        model.set_attn_implementation(chosen)


def add_drop_path(model: PreTrainedModel, rate: float) -> None:
    """Stochastic depth (Huang et al. 2016, arXiv:1603.09382), rising linearly to `rate` in the last block.

    transformers' ViT has none: a forward hook drops the whole residual of a block for single rows, in training only.
    Nothing of it is saved with the model.
    """
    if rate == 0:
        return
    if not isinstance(model, ViTForImageClassification):
        raise InputError(f"drop_path works with a native ViT, not with {type(model).__name__}; set it to 0")
    layers = vit_layers(model)
    for depth, layer in enumerate(layers):
        layer.register_forward_hook(_drop_path_hook(rate * depth / max(len(layers) - 1, 1)))


def vit_layers(model: ViTForImageClassification) -> nn.ModuleList:
    """The blocks of a native ViT, first to last."""
    return model.vit.layers


def _drop_path_hook(rate: float) -> Any:
    def hook(layer: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if not layer.training or rate == 0:
            return output
        entered = args[0]
        kept = torch.rand(len(entered), 1, 1, device=entered.device).ge(rate).to(output.dtype) / (1 - rate)
        return entered + (output - entered) * kept

    return hook
