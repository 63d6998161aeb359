"""Rows to a batch: `pixel_values (B, 3, H, W) float32` and `labels (B, K) float32`, vote shares or scores.

Evaluation gets the deterministic pictures. Training augments and mixes them by random numbers that depend only on
(seed, epoch, row): not on the worker, the process or earlier batches.

Both collators work on the device they are given. On a GPU, the uint8 pictures of the cached size are moved there first:
a GPU resizes and augments a batch much faster than a CPU core.
"""

from typing import Any

import numpy as np
import torch

from pipeline.settings.recipe import Recipe
from pipeline.training.objectives import BLANK
from pipeline.training.transforms import UNIFORMS, augment, normalize

Rows = list[dict[str, Any]]
Batch = dict[str, torch.Tensor]


class EvalCollator:
    """Stack, rescale to [0, 1], normalise."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device | str = "cpu") -> None:
        self.mean, self.std, self.device = mean, std, device

    def __call__(self, rows: Rows) -> Batch:
        pixels, labels = (tensor.to(self.device) for tensor in stack(rows))
        return {"pixel_values": normalize(pixels.float() / 255, self.mean, self.std), "labels": labels}


class TrainCollator:
    """Augment, normalise, then CutMix or mixup with the settings of `recipe`, up to epoch `mix_off_epoch`.

    A batch is mixed with a permutation of itself. The method, the permutation and lambda are drawn once per batch, from
    the first row's `Draw`. `index (B,) int64` names the rows of the batch. A batch without rows holds one blank picture
    with the label `BLANK` of the task: it adds no loss, and `index` is empty.
    """

    def __init__(
        self,
        recipe: Recipe,
        mean: list[float],
        std: list[float],
        device: torch.device | str = "cpu",
        mix_off_epoch: float | None = None,
    ) -> None:
        self.recipe, self.mean, self.std, self.device = recipe, mean, std, device
        self.mix_off_epoch, self.blank = mix_off_epoch, BLANK[recipe.task]

    def __call__(self, rows: Rows) -> Batch:
        if not rows:  # this process has no rows at the end of an epoch; models refuse empty batches
            size, outputs = self.recipe.image_size, len(self.recipe.outputs)
            images = torch.zeros(1, 3, size, size, device=self.device)
            labels = torch.full((1, outputs), self.blank, device=self.device)
        else:
            pixels, targets = (tensor.to(self.device) for tensor in stack(rows))
            images = normalize(augment(pixels, self._uniforms(rows), self.recipe), self.mean, self.std)
            images, labels = self._mix(images, targets, rows[0]["draw"])
        index = torch.tensor([row["draw"].index for row in rows], dtype=torch.long)
        return {"pixel_values": images, "labels": labels, "index": index}

    def _uniforms(self, rows: Rows) -> torch.Tensor:
        """`(B, UNIFORMS) float32`, one independent stream a row."""
        streams = [
            np.random.default_rng([self.recipe.seed, int(d.progress), d.index, d.repeat])
            for d in (row["draw"] for row in rows)
        ]
        return torch.from_numpy(np.stack([s.random(UNIFORMS, dtype=np.float32) for s in streams])).to(self.device)

    def _mix(self, images: torch.Tensor, labels: torch.Tensor, draw: Any) -> tuple[torch.Tensor, torch.Tensor]:
        recipe = self.recipe
        if self.mix_off_epoch is not None and draw.progress >= self.mix_off_epoch:
            return images, labels
        rng = np.random.default_rng([recipe.seed, int(draw.progress), draw.index, draw.repeat, 1])
        choice, order = rng.random(), torch.from_numpy(rng.permutation(len(labels)))
        if choice < recipe.cutmix:
            return cutmix(images, labels, order, rng.beta(recipe.cutmix_alpha, recipe.cutmix_alpha), rng.random(2))
        if choice < recipe.cutmix + recipe.mixup:
            return mixup(images, labels, order, rng.beta(recipe.mixup_alpha, recipe.mixup_alpha))
        return images, labels


def stack(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """`(B, 3, S, S) uint8` and `(B, K) float32` of the rows."""
    pixels = torch.from_numpy(np.stack([row["pixels"] for row in rows]))
    return pixels, torch.from_numpy(np.stack([row["target"] for row in rows]))


def cutmix(
    images: torch.Tensor, labels: torch.Tensor, order: torch.Tensor, lam: float, centre: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix (Yun et al. 2019, arXiv:1905.04899): a box of the picture at `order` replaces the same box here.

    The box covers `1 - lam` of the area around `centre` (two shares of height and width) and is clipped at the border;
    labels are weighted by the area that was really replaced.
    """
    height, width = images.shape[-2:]
    half = np.sqrt(1 - lam) / 2
    top, bottom = (int(round(np.clip(centre[0] + sign * half, 0, 1) * height)) for sign in (-1, 1))
    left, right = (int(round(np.clip(centre[1] + sign * half, 0, 1) * width)) for sign in (-1, 1))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[order][..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, kept * labels + (1 - kept) * labels[order]


def mixup(
    images: torch.Tensor, labels: torch.Tensor, order: torch.Tensor, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al. 2018, arXiv:1710.09412): `lam` of each picture and label, the rest from `order`."""
    return lam * images + (1 - lam) * images[order], lam * labels + (1 - lam) * labels[order]
