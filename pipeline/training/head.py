"""The classification layer of a model: which parameters it has, new weights for it, and a backbone that stays frozen.

The layer is what depends on the number of classes: its parameters are those whose shape changes with one class more.
Names do not say it: `head` is a pretrained pooling in SigLIP, and `fc` a part of the blocks elsewhere.
"""

import copy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pipeline.training.batch_norm import keep_statistics


def head_parameters(model: PreTrainedModel) -> frozenset[str]:
    """Names of the parameters of the classification layer (of both layers in a distilled DeiT)."""
    config = copy.deepcopy(model.config)
    config.num_labels = (model.config.num_labels or 0) + 1
    with torch.device("meta"):  # shapes without memory
        other: Any = type(model)(config)
    shapes = {name: parameter.shape for name, parameter in other.named_parameters()}
    return frozenset(name for name, parameter in model.named_parameters() if shapes[name] != parameter.shape)


def renew_head(model: PreTrainedModel, head: frozenset[str]) -> None:
    """Small random weights and no bias: the start for other classes than those of the checkpoint."""
    for name, parameter in model.named_parameters():
        if name in head and parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=0.02)
        elif name in head:
            nn.init.zeros_(parameter)


def freeze_backbone(model: PreTrainedModel, head: frozenset[str]) -> None:
    """Train only `head`. Batch norms keep their statistics, and use them in training too."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head
    keep_statistics(model)
