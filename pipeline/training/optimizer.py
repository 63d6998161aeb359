"""AdamW's parameter groups: layer-wise learning rates, and no weight decay where it would harm."""

from collections import defaultdict
from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn

from pipeline.errors import InputError, first_line
from pipeline.training.model import backbone

NO_DECAY = ("cls_token", "position_embeddings")


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups for AdamW with learning rate `learning_rate * layer_decay ** (layers above)`, highest rate first.

    Layer decay as in BEiT (Bao et al. 2021, arXiv:2106.08254): the classifier and the final norm have the full rate,
    the embeddings the lowest. Biases, norms, the class token and the position embeddings have no weight decay.

    Raises:
        InputError: layer decay for a model whose layers have no known order.
    """
    parts = backbone(model)
    if parts.timm is not None:
        groups = _timm_groups(parts.timm, learning_rate, weight_decay, layer_decay)
        return sorted(groups, key=lambda group: -group["lr"])
    if layer_decay != 1 and not parts.is_native_vit:
        raise InputError(f"layer_decay does not work with {type(parts.classifier).__name__}; set --layer_decay 1")
    grouped: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in parts.classifier.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if parameter.ndim <= 1 or any(word in name for word in NO_DECAY) else weight_decay
            grouped[learning_rate * layer_decay ** parts.layers_above(name), decay].append(parameter)
    groups = [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in grouped.items()]
    return sorted(groups, key=lambda group: -group["lr"])  # Trainer logs the rate of the first


def _timm_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """The groups that timm makes of its own model."""
    listed = getattr(model, "no_weight_decay", None)
    try:
        groups = param_groups_layer_decay(
            model,
            weight_decay,
            no_weight_decay_list=set(listed()) if listed else set(),
            layer_decay=layer_decay,
        )
    except Exception as error:  # some models of timm name no groups of layers, or wrong ones
        name = type(model).__name__
        raise InputError(f"timm cannot order the layers of {name} ({first_line(error)}); set --layer_decay 1") from None
    return [
        {"params": g["params"], "weight_decay": g["weight_decay"], "lr": learning_rate * g["lr_scale"]}
        for g in groups
        if g["params"]
    ]
