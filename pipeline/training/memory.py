"""After an out-of-memory error: find the largest batch that fits, and suggest settings."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn


def out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator or the CPU ran out of memory. The CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def largest_batch(
    model: nn.Module, side: int, rows: int, precision: Callable[[], AbstractContextManager[Any, Any]]
) -> int:
    """The largest batch, up to `rows`, whose training step fits in memory beside AdamW's two averages; 0 if none does.

    It is found by bisection, with a forward and a backward pass of black pictures `(B, 3, side, side)`.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    model.zero_grad(set_to_none=True)

    def fits(count: int) -> bool:
        try:
            averages = [torch.zeros_like(p) for p in parameters for _ in range(2)]
            with precision():
                loss = model(pixel_values=torch.zeros(count, 3, side, side, device=device)).logits.float().sum()
            torch.autograd.grad(loss, parameters)  # backward() would wait for the other processes
            del averages
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return False
        return True

    good, bad = 0, rows + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        if device.type != "cpu":
            torch.accelerator.empty_cache()
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def advice(fits: int, rows: int, accumulation: int, eval_rows: int) -> str:
    """Settings with the same rows per step, where `rows` rows per device ran out of memory and `fits` rows fit."""
    if fits == rows:
        return (
            f"out of memory, though a training step of {rows} rows fits: lower --per_device_eval_batch_size {eval_rows}"
        )
    if fits == 0:
        return "out of memory, and not even one row fits: lower --image_size or use a smaller model"
    divisor = next(count for count in range(fits, 0, -1) if rows * accumulation % count == 0)
    return (
        f"out of memory with {rows} rows per device; {fits} fit: add --per_device_train_batch_size {divisor} "
        f"--gradient_accumulation_steps {rows * accumulation // divisor} (the same rows a step) and choose another "
        "--output_dir"
    )
