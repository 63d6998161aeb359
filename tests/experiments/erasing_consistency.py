"""Is erasing attention consistency worth its cost? Trains a recipe with it, at two forward passes per step.

    python -m tests.experiments.erasing_consistency WEIGHT RECIPE [--field value ...] --erasing 0.5 --seed 0
        --output_dir runs/eac-seed-0
    python -m pipeline.repeat RECIPE [--field value ...] --erasing 0.5 --seeds 0 --output_dir runs/eac
        --against runs/base

The first command is `train_hf.py` with another loss. The second prints the table row of that run, paired with another
study. A fair rival has twice the epochs. The consistency is not a setting, so the run folder does not record it: choose
a folder name that does. Let the first command finish, because the second would resume it with the plain trainer.
"""

import math
import sys
from typing import Any

import torch
from torch.nn import functional as F

from pipeline.errors import end_in_one_line
from pipeline.training import trainer
from tests.experiments.other_trainer import train_with


class ErasingConsistency(trainer.ExpressionTrainer):
    """Penalises the difference between the class maps of a picture with erased parts and those of its mirror image.

    EAC (Zhang et al. 2022, arXiv:2207.10299) takes its maps from the features before a CNN's global pooling. A ViT has
    none, so here a map is the classifier applied to each patch token: (B, N, K), of N patches. The class token answers
    by itself, so constant maps satisfy this too: the variance printed at the end shows it.
    """

    weight: float  # of the mean square between the maps, beside the cross-entropy; 5 in the paper
    last: tuple[float, ...]  # mean square of the maps, their variance within a picture, mean square of the difference

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], **how: Any) -> Any:
        """The recipe's loss of a batch, and in training the consistency of its maps with those of its mirror image."""
        if not model.training:
            return super().compute_loss(model, inputs, **how)
        maps: list[torch.Tensor] = []
        bare = self.accelerator.unwrap_model(model)
        hook = bare.vit.layernorm.register_forward_hook(
            lambda module, given, tokens: maps.append(tokens[:, 1:].float() @ bare.classifier.weight.float().T)
        )
        with hook:
            loss = super().compute_loss(model, inputs, **how)
            model(pixel_values=inputs["pixel_values"].flip(-1))
        here, mirrored = (each.unflatten(1, (side := math.isqrt(each.shape[1]), side)) for each in maps)
        difference = F.mse_loss(here, mirrored.flip(2))
        within = here.var(dim=(1, 2), correction=0).mean()
        ErasingConsistency.last = tuple(each.item() for each in (here.square().mean(), within, difference))
        rows = len(here)
        return loss + self.weight * difference * rows / (how.get("num_items_in_batch") or rows)


def main(argv: list[str]) -> None:
    """Train as `train_hf.py` would, with the other trainer; then print how similar the maps have become."""
    train_with(ErasingConsistency, "weight", 5, argv)
    size, within, difference = ErasingConsistency.last
    print(
        f"class maps of the last batch: mean square {size:.3g}, variance within a picture {within:.3g}, "
        f"mean square of the difference to the mirror image's {difference:.3g}"
    )


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
