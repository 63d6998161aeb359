"""What fits into memory: told when a run has found out that something does not."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn


def out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator or the CPU had no memory left. The CPU's allocator has no exception of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def largest_batch(
    model: nn.Module, side: int, rows: int, precision: Callable[[], AbstractContextManager[Any, Any]]
) -> int:
    """The most rows, up to `rows`, whose training step fits beside AdamW's two averages; 0 where none does.

    Found by halving: forward and backward of grey pictures `(B, 3, side, side)`, with nothing kept.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    model.zero_grad(set_to_none=True)

    def fits(count: int) -> bool:
        try:
            averages = [torch.zeros_like(p) for p in parameters for _ in range(2)]
            with precision():
                loss = model(pixel_values=torch.zeros(count, 3, side, side, device=device)).logits.float().sum()
            torch.autograd.grad(loss, parameters)  # not backward(): other processes would be waited for
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
    """What to set where `rows` rows per device ran out of memory and `fits` of them fit; the same rows a step."""
    if fits == rows:
        return (
            f"out of memory, though a training step of {rows} rows fits: lower --per_device_eval_batch_size {eval_rows}"
        )
    if fits == 0:
        return "out of memory, and not even one row fits: lower --image_size or take a smaller model"
    divisor = next(count for count in range(fits, 0, -1) if rows * accumulation % count == 0)
    return (
        f"out of memory with {rows} rows per device; {fits} fit: add --per_device_train_batch_size {divisor} "
        f"--gradient_accumulation_steps {rows * accumulation // divisor} (the same rows a step) and choose another "
        "--output_dir"
    )
