"""AdamW's parameter groups: layer-wise learning rates, and no decay where it does harm."""

from collections import defaultdict
from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn
from transformers import PreTrainedModel, TimmWrapperForImageClassification, ViTForImageClassification

from pipeline.errors import InputError
from pipeline.training.model import vit_layers

NO_DECAY = ("cls_token", "position_embeddings")


def parameter_groups(
    model: PreTrainedModel, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups for AdamW with learning rate `learning_rate * layer_decay ** (layers above)`.

    Layer decay as in BEiT (Bao et al. 2021, arXiv:2106.08254): the classifier and the final norm have the full rate,
    the embeddings the lowest. Biases, norms, the class token and the position embeddings are not decayed.

    Raises:
        InputError: layer decay for a model whose layers have no known order.
    """
    if isinstance(model, TimmWrapperForImageClassification):
        groups = param_groups_layer_decay(
            model.timm_model, weight_decay, no_weight_decay_list=_timm_no_decay(model), layer_decay=layer_decay
        )
        groups = [
            {"params": g["params"], "weight_decay": g["weight_decay"], "lr": learning_rate * g["lr_scale"]}
            for g in groups
            if g["params"]
        ]
        return sorted(groups, key=lambda group: -group["lr"])
    if layer_decay != 1 and not isinstance(model, ViTForImageClassification):
        raise InputError(f"layer_decay is not known for {type(model).__name__}; set --layer_decay 1")
    grouped: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if parameter.ndim <= 1 or any(word in name for word in NO_DECAY) else weight_decay
            grouped[learning_rate * layer_decay ** _layers_above(model, name), decay].append(parameter)
    groups = [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in grouped.items()]
    return sorted(groups, key=lambda group: -group["lr"])  # Trainer logs the rate of the first


def _timm_no_decay(model: TimmWrapperForImageClassification) -> set[str]:
    listed = getattr(model.timm_model, "no_weight_decay", None)
    return set(listed()) if listed else set()


def _layers_above(model: PreTrainedModel, name: str) -> int:
    if not isinstance(model, ViTForImageClassification):
        return 0
    count = len(vit_layers(model))
    if name.startswith("vit.embeddings."):
        return count + 1
    if name.startswith("vit.layers."):
        return count - int(name.split(".")[2])
    return 0
