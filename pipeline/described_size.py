"""A config.json that describes a far larger model than its weights are is refused while the model is being built."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from pipeline.errors import InputError

TIMES = 4  # each parameter is registered twice (built, then loaded), and some names are split or joined
TENSORS_OF_HEADS, NUMBERS_OF_HEADS = 100, 10_000_000


@contextmanager
def no_larger_than(sizes: Collection[int]) -> Iterator[None]:
    """Inside `with`, end the building of a model of far more parameters than its file has.

    A model of ten million layers would take hours to be built, even without memory for its weights.

    Args:
        sizes: how many numbers each tensor of the file has.

    Raises:
        InputError: the model has far more tensors, or numbers in them.
    """
    left = {
        "tensors": TIMES * len(sizes) + TENSORS_OF_HEADS,
        "numbers": TIMES * sum(sizes) + NUMBERS_OF_HEADS,
    }

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        if parameter is None:
            return
        left["tensors"] -= 1
        left["numbers"] -= parameter.numel()
        if min(left.values()) < 0:
            raise InputError(
                "the weights do not fit its config.json, which describes a far larger model; take both from one save"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
