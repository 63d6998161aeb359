"""Is sharpness-aware minimisation worth its cost? Trains a recipe with it, at two gradients per step.

    python -m tests.experiments.sharpness_aware RHO RECIPE [--field value ...] --seed 0 --output_dir runs/sam-seed-0
    python -m pipeline.repeat RECIPE [--field value ...] --seeds 0 --output_dir runs/sam --against runs/base

The first command is `train_hf.py` with another gradient. The second prints the table row of that run, paired with
another study. A fair rival has twice the epochs. SAM is not a setting, so the run folder does not record it: choose a
folder name that does. Let the first command finish, because the second would resume it with the plain trainer.
"""

import math
import sys
from typing import Any

import torch

from pipeline.errors import InputError, end_in_one_line
from pipeline.training import trainer
from tests.experiments.other_trainer import train_with


class SharpnessAware(trainer.ExpressionTrainer):
    """Descends by the gradient at the sharpest point near the weights (SAM, Foret et al. 2021, arXiv:2010.01412)."""

    rho: float  # how near: the length of the step up, over all weights together

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """The gradient here, a step up by it, the gradient there, and back; the loss is the one here.

        Raises:
            InputError: gradients are accumulated; only the last batch would get the second gradient.
        """
        if self.args.gradient_accumulation_steps > 1:
            raise InputError(
                f"SAM takes a step at once: set --per_device_train_batch_size {self.recipe.total_batch_size}"
            )
        loss = super().training_step(model, dict(inputs), num_items_in_batch)
        weights = [p for p in model.parameters() if p.grad is not None]
        gradient = [p.grad for p in weights]
        norm = torch.nn.utils.get_total_norm(gradient).item()
        if not math.isfinite(norm) or not norm:
            return loss  # nowhere to step; what is not finite the scaler of fp16 leaves out
        up = torch._foreach_mul(gradient, self.rho / norm)
        model.zero_grad()
        with torch.no_grad():
            torch._foreach_add_(weights, up)
        super().training_step(model, inputs, num_items_in_batch)
        with torch.no_grad():
            torch._foreach_sub_(weights, up)
        return loss


def main(argv: list[str]) -> None:
    """Train as `train_hf.py` would, with the other trainer."""
    train_with(SharpnessAware, "rho", 0.05, argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
