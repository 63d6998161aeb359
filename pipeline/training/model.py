"""The classifier that a recipe trains: built from random weights or a checkpoint, and what acts on it in training."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import (
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from pipeline.errors import InputError, first_line
from pipeline.expressions import id2label, label2id
from pipeline.model_folder import timm_name
from pipeline.settings.recipe import Recipe
from pipeline.task import TASKS
from pipeline.training.checkpoint_files import find_checkpoint, read_config
from pipeline.training.depthwise import keep_in_fp32
from pipeline.training.head import freeze_backbone, head_parameters, renew_head
from pipeline.training.loading import load_checkpoint
from pipeline.training.lora import Base, add_lora
from pipeline.training.scale import check_last_layer

Built = tuple[PreTrainedModel, ViTImageProcessor]

VIT_TINY = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}


@dataclass(frozen=True)
class Backbone:
    """Where an image classifier has its parts, whatever library it comes from. This is the only place that asks."""

    classifier: nn.Module  # without the wrapper of an adapter; parameter names are its own
    blocks: tuple[nn.Module, ...]  # of a native ViT, first to last; empty for every other model
    timm: nn.Module | None  # timm's own model, where transformers wraps one
    is_adapted: bool  # whether only LoRA adapters and the classifier are trained

    @property
    def is_native_vit(self) -> bool:
        """Whether this is transformers' ViT: its blocks and its attention kernel are known."""
        return bool(self.blocks)


def backbone(model: nn.Module) -> Backbone:
    """The parts of a native ViT, of a timm model that transformers wraps, or of either inside a PEFT model."""
    unwrap: Any = getattr(model, "get_base_model", lambda: model)
    inner = unwrap()
    adapted = inner is not model
    if isinstance(inner, ViTForImageClassification):
        return Backbone(inner, tuple(inner.vit.layers), None, adapted)
    if isinstance(inner, TimmWrapperForImageClassification):
        return Backbone(inner, (), inner.timm_model, adapted)
    return Backbone(inner, (), None, adapted)


def build_model(recipe: Recipe) -> tuple[PreTrainedModel, ViTImageProcessor]:
    """The model of the recipe, with `recipe.outputs` as the names of its outputs, and its image processor.

    Raises:
        InputError: the settings describe no model, it does not take the image size, or as `load_checkpoint`.
    """
    labels = {"id2label": id2label(recipe.outputs), "label2id": label2id(recipe.outputs)}
    torch.manual_seed(recipe.seed)
    if recipe.checkpoint is None:
        model, mean, std = _from_scratch(recipe, labels), [0.5] * 3, [0.5] * 3
    else:
        model, mean, std = load_checkpoint(recipe, labels)
    _refuse_other_size(model, recipe.image_size)
    model.config.problem_type = TASKS[recipe.task].problem_type
    if recipe.scores:  # a head of classes says nothing of scores, and one of scores has the unit of other data
        check_last_layer(model)
        renew_head(model, head_parameters(model))
    if recipe.freeze == "backbone":
        freeze_backbone(model, head_parameters(model))
    side = {"height": recipe.image_size, "width": recipe.image_size}
    # Not do_convert_rgb: it would composite transparent pictures onto white, after `pipeline()` converted them to RGB.
    return model, ViTImageProcessor(do_resize=True, size=side, resample=3, image_mean=mean, image_std=std)


def build_for_training(recipe: Recipe, device: str) -> tuple[PreTrainedModel, ViTImageProcessor]:
    """`build_model` with what acts on it in training: the attention kernel for `device` (`cuda`, `cpu`, ...), drop path
    and LoRA adapters. A saved model has none of them.

    Raises:
        InputError: as `build_model` and `add_lora`, or drop path for another model than a native ViT.
    """
    model, processor = build_model(recipe)
    if backbone(model).is_native_vit:
        automatic = "eager" if device == "cpu" else "sdpa"
        model.set_attn_implementation(automatic if recipe.attention == "auto" else recipe.attention)
    elif device == "cpu":  # oneDNN's convolutions are faster in this order of memory, in float32 three times
        backbone(model).classifier.to(memory_format=torch.channels_last)
        keep_in_fp32(model)
    add_drop_path(model, recipe.drop_path)
    if recipe.lora_rank:
        model = add_lora(model, recipe, _base(model, recipe.checkpoint))
    return model, processor


def _base(model: PreTrainedModel, checkpoint: str | None) -> Base:
    """What the weights of a checkpoint are called on the Hub, and whether they were timm's."""
    if checkpoint is None:
        return Base()
    folder = find_checkpoint(checkpoint)
    config = read_config(folder)
    converted = backbone(model).is_native_vit and "architecture" in config
    is_local = Path(checkpoint).is_dir()  # a path of this machine is never a name
    return Base(timm_name(config) if is_local else checkpoint, config if converted else None)


def _refuse_other_size(model: PreTrainedModel, size: int) -> None:
    """Try one picture now: some models take only one size, and would say so at the first train step."""
    if backbone(model).is_native_vit:  # it was built for this size
        return
    training = model.training
    try:
        with torch.no_grad():  # not inference mode: what a model keeps of it could not be trained through
            model.eval()(pixel_values=torch.zeros(1, 3, size, size))
    except Exception as error:  # an assertion in timm, other kinds elsewhere
        raise InputError(f"image_size {size} does not fit this model: {first_line(error)}") from None
    model.train(training)


def _from_scratch(recipe: Recipe, labels: dict[str, Any]) -> PreTrainedModel:
    if recipe.architecture == "vit":
        return _vit(recipe, labels)
    if set(recipe.architecture) & set(":/\\"):
        raise InputError(
            f"architecture {recipe.architecture!r} names a place; give the name of a model of timm, and a folder or "
            "Hub id as --checkpoint"
        )
    settings: dict[str, Any] = {"architecture": recipe.architecture, "num_labels": len(recipe.outputs), **labels}
    try:
        return TimmWrapperForImageClassification(TimmWrapperConfig(**settings))
    except Exception as error:  # timm and transformers raise several kinds for an unknown name
        raise InputError(f"architecture {recipe.architecture!r} is not a model that timm knows: {error}") from None


def _vit(recipe: Recipe, labels: dict[str, Any]) -> ViTForImageClassification:
    size = recipe.image_size
    patch = recipe.vit_config.get("patch_size", 16)
    if not isinstance(patch, int) or patch < 1 or size % patch:
        raise InputError(f"image_size {size} is not a multiple of the patch_size {patch} of vit_config")
    known = ViTConfig().to_dict()
    for name in recipe.vit_config:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise InputError(f"vit_config: {name} is not a field of transformers' ViTConfig{hint}")
    try:
        shape: dict[str, Any] = {**VIT_TINY, "layer_norm_eps": 1e-6, **recipe.vit_config}
        return ViTForImageClassification(ViTConfig(**shape, image_size=size, **labels))
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise InputError(f"vit_config {recipe.vit_config} is not a valid ViTConfig: {first_line(error)}") from None


def add_drop_path(model: PreTrainedModel, rate: float) -> None:
    """Stochastic depth (Huang et al. 2016, arXiv:1603.09382), rising linearly to `rate` in the last block.

    transformers' ViT has none: a forward hook drops the whole residual of a block for single rows, only in training.
    It is not saved with the model.

    Raises:
        InputError: the model is not a native ViT.
    """
    if rate == 0:
        return
    blocks = backbone(model).blocks
    if not blocks:
        raise InputError(f"drop_path works with a native ViT, not with {type(model).__name__}; set --drop_path 0")
    for depth, block in enumerate(blocks):
        block.register_forward_hook(_drop_path_hook(rate * depth / max(len(blocks) - 1, 1)))


def _drop_path_hook(rate: float) -> Any:
    def hook(block: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if not block.training or rate == 0:
            return output
        entered = args[0]
        kept = torch.rand(len(entered), 1, 1, device=entered.device).ge(rate).to(output.dtype) / (1 - rate)
        return entered + (output - entered) * kept

    return hook
