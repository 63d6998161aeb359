"""What a model sees in pictures before it decides: the input of its classification layer, for linear probes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm

from pipeline.training.head import head_parameters
from pipeline.training.model import Built
from pipeline.training.prediction import whole_floats
from pipeline.training.transforms import from_bytes, normalize

BATCH = 64


def features(
    built: Built,
    table: datasets.Dataset,
    description: str,
    change: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
) -> NDArray[np.float32]:
    """Features (N, D) float32 of the model's backbone for a mapped table, on the CPU.

    Args:
        built: a model and its image processor, as `build_model` makes them.
        table: with a column `pixels` (see `map_pictures`).
        description: what the bar is called.
        change: changes pictures (B, 3, S, S) float32 in [0, 1]; its second argument is the first row's number.
    """
    model, processor = built
    found: list[NDArray[np.float32]] = []
    with _inputs_of(classification_layer(model), found), torch.inference_mode(), whole_floats():
        for start in tqdm(range(0, len(table), BATCH), description, disable=None):
            rows = table[start : start + BATCH]["pixels"]
            pictures = torch.from_numpy(np.stack([from_bytes(each) for each in rows])).float() / 255
            pictures = change(pictures, start) if change else pictures
            model.eval()(pixel_values=normalize(pictures, processor.image_mean, processor.image_std))
    return np.concatenate(found)


def classification_layer(model: nn.Module) -> nn.Module:
    """The layer whose output has one number a class; in a distilled DeiT the first of its two."""
    weights = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    head = head_parameters(model)  # type: ignore[arg-type]
    return model.get_submodule(next(name for name in weights if name in head).rpartition(".")[0])


@contextmanager
def _inputs_of(layer: nn.Module, found: list[NDArray[np.float32]]) -> Iterator[None]:
    def keep(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        found.append(given[0].flatten(1).float().numpy())

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield
    finally:
        hook.remove()
