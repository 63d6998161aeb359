"""The unit of scores: standardised in training, and folded into the last layer of the model that is published."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError
from pipeline.training.head import head_parameters


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each of K scores over the train rows, (K,) float32."""

    mean: np.ndarray
    sd: np.ndarray

    def standardised(self, scores: np.ndarray) -> np.ndarray:
        """Scores (N, K) with mean 0 and standard deviation 1 over the train rows, float32."""
        scaled: np.ndarray = (scores - self.mean) / self.sd
        return scaled.astype(np.float32)


def scale_of(scores: np.ndarray) -> Scale:
    """The scale of the train rows' scores (N, K). A score that is the same everywhere, as in a trial step, has sd 1."""
    sd = scores.std(0, dtype=np.float64)
    return Scale(scores.mean(0, dtype=np.float64).astype(np.float32), np.where(sd > 0, sd, 1).astype(np.float32))


def in_the_unit(model: PreTrainedModel, scale: Scale) -> PreTrainedModel:
    """A copy of `model` whose outputs are scores in the unit of the data, so that no client rescales anything.

    `sd (W h + b) + mean` is `(sd W) h + (sd b + mean)`: only the last layer changes.

    Raises:
        InputError: as `check_last_layer`.
    """
    check_last_layer(model)
    model = copy.deepcopy(model)
    head = head_parameters(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in head:
                sd, mean = (torch.from_numpy(each).to(parameter) for each in (scale.sd, scale.mean))
                parameter.mul_(sd.view(-1, *[1] * (parameter.ndim - 1)))
                if parameter.ndim == 1:
                    parameter.add_(mean)
    return model


def check_last_layer(model: PreTrainedModel) -> None:
    """Refuse a model whose last layer cannot hold the unit of scores.

    Raises:
        InputError: it has no bias, or is not one weight with one bias (for each of its heads).
    """
    head, parameters = head_parameters(model), dict(model.named_parameters())
    shapes: list[Any] = [parameters[name].ndim for name in sorted(head)]
    if not head or shapes.count(1) * 2 != len(shapes):
        raise InputError(
            f"task regression needs a last layer with a weight and a bias, and that of {type(model).__name__} has "
            f"{', '.join(sorted(head)) or 'neither'}: choose another architecture or checkpoint"
        )
