"""The exponential moving average of a model's weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

EMA_WEIGHTS = "ema.safetensors"


class EMA:
    """Averages of every floating-point tensor that training changes (`Polyak & Juditsky 1992`), buffers too.

    A frozen weight is its own average, and is left out.
    BatchNorm's running means and variances are averaged with the weights: they belong to the same steps. Whole numbers,
    such as its count of batches, are those of the model.

    The decay warms up as `min(decay, (1 + step) / (10 + step))`, so that early averages forget the first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {name: t.detach().clone() for name, t in _moving(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model's weights after optimizer step `step` (from 1)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(_moving(model).values()), weight)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        torch._foreach_copy_(list(_moving(model).values()), list(self.average.values()))

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights inside `with`, and its own weights again after."""
        own = {name: t.detach().clone() for name, t in _moving(model).items()}
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(_moving(model).values()), list(own.values()))

    def save(self, folder: Path) -> None:
        """Write the averages beside a checkpoint."""
        save_file({name: t.contiguous() for name, t in self.average.items()}, folder / EMA_WEIGHTS)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Read the averages of a checkpoint."""
        saved = load_file(folder / EMA_WEIGHTS)
        for name, tensor in self.average.items():
            tensor.copy_(saved[name])


def _moving(model: nn.Module) -> dict[str, torch.Tensor]:
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: t for name, t in model.state_dict().items() if t.is_floating_point() and name not in frozen}
