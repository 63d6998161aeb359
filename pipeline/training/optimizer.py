"""AdamW's parameter groups: layer-wise learning rates, and no weight decay where it would harm."""

from collections import defaultdict
from typing import Any

from timm.models import group_parameters
from torch import nn

from pipeline.errors import InputError
from pipeline.training.layers import layers_above
from pipeline.training.model import Backbone, backbone

NO_DECAY = ("_token", "position_embedding", "relative_position", "pos_embed")
USUAL_LAYER_DECAY = 0.75


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float, size: int
) -> list[dict[str, Any]]:
    """Groups for AdamW with learning rate `learning_rate * layer_decay ** (layers above)`, highest rate first.

    Layer decay as in BEiT (Bao et al. 2021, arXiv:2106.08254): the classifier and the final norm have the full rate,
    the embeddings the lowest. Biases, norms, special tokens and position embeddings have no weight decay.

    Args:
        model: of any family, also inside a PEFT model.
        learning_rate: that of the classifier.
        weight_decay: of matrices and kernels.
        layer_decay: learning rate factor from one layer to the layer below, in (0, 1].
        size: side of its pictures, in px.

    Raises:
        InputError: layer decay for a model whose layers have no known order.
    """
    parts = backbone(model)
    above = {} if layer_decay == 1 else _layers_above(parts, size)
    if above is None:
        raise InputError(f"layer_decay: the layers of {_name(parts)} have no known order; set --layer_decay 1")
    grouped: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    exempt = _exempt_by_timm(parts)
    for name, parameter in parts.classifier.named_parameters():
        if parameter.requires_grad:
            exempted = parameter.ndim <= 1 or name in exempt or any(word in name for word in NO_DECAY)
            rate = learning_rate * layer_decay ** above.get(name, 0)
            grouped[rate, 0.0 if exempted else weight_decay].append(parameter)
    groups = [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in grouped.items()]
    return sorted(groups, key=lambda group: -group["lr"])  # Trainer logs the rate of the first


def layer_decay_of(model: nn.Module, layer_decay: float | None, size: int) -> float:
    """The recipe's `layer_decay`; where it is null, 0.75, or 1 with LoRA or if the layers have no known order.

    With LoRA the pretrained layers are frozen, and need no lower rate to keep what they know.
    """
    if layer_decay is not None:
        return layer_decay
    parts = backbone(model)
    return 1.0 if parts.is_adapted or _layers_above(parts, size) is None else USUAL_LAYER_DECAY


def _layers_above(parts: Backbone, size: int) -> dict[str, int] | None:
    """By timm's own groups where it has some, otherwise by `layers_above`."""
    layers = _layers_of_timm(parts.timm) if parts.timm is not None else {}
    top = max(layers.values(), default=0)
    if parts.timm is None or top == 0:
        return layers_above(parts.classifier, size)
    return {f"timm_model.{name}": top - layers.get(name, top) for name, _ in parts.timm.named_parameters()}


def _layers_of_timm(model: Any) -> dict[str, int]:
    try:
        layers: dict[str, int] = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    except Exception:  # some models of timm have no groups, or wrong ones
        return {}
    return layers


def _exempt_by_timm(parts: Backbone) -> set[str]:
    listed = getattr(parts.timm, "no_weight_decay", None)
    return {f"timm_model.{name}" for name in listed()} if listed else set()


def _name(parts: Backbone) -> str:
    return type(parts.timm or parts.classifier).__name__
