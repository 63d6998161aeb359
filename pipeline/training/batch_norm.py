"""Batch norms that use their saved statistics in training, and do not change them."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def keep_statistics(model: nn.Module) -> None:
    """For good: those of a frozen backbone."""
    for module in model.modules():
        if isinstance(module, _NormBase):
            module.register_forward_pre_hook(_use_saved_statistics)


@contextlib.contextmanager
def saved_statistics(model: nn.Module) -> Iterator[None]:
    """Inside `with`: for a last batch of one row, which has no variance of its own.

    The same holds for the blank picture of an empty batch, which must not enter the statistics.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _use_saved_statistics(module: nn.Module, args: tuple[Any, ...]) -> None:
    module.training = False  # Trainer calls model.train() before each step
