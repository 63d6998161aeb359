"""Which rows an epoch sees, in which order: a function of (seed, epoch), so that a resumed run sees the same rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch

from pipeline.data.votes import one_hot
from pipeline.training.transforms import from_bytes


@dataclass(frozen=True, slots=True)
class Draw:
    """One row drawn in an epoch. It is passed on with the row, so worker processes share no state."""

    index: int
    repeat: int  # how many times this epoch has drawn the row before
    progress: float  # epochs done when it is drawn; the whole part is the epoch


NOTHING = Draw(-1, 0, 0.0)  # no row


class EpochSampler(torch.utils.data.Sampler[Draw]):
    """Rows in a seeded order; with `weights` `(N,)`, drawn with replacement in proportion to them.

    The order is padded with `NOTHING` to a multiple of `multiple`: all processes get the same number of batches, and
    no row is seen twice.
    """

    def __init__(self, rows: int, seed: int, weights: np.ndarray | None = None, multiple: int = 1) -> None:
        self.rows, self.seed, self.epoch, self.fill = rows, seed, 0, -rows % multiple
        self.share = None if weights is None else np.asarray(weights, dtype=np.float64) / np.sum(weights)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (from 0) of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows + self.fill

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.share is None:
            order = rng.permutation(self.rows)
            repeats = np.zeros(self.rows, dtype=int)
        else:
            order = rng.choice(self.rows, size=self.rows, p=self.share)
            repeats = _repeats(order)
        for position, (index, repeat) in enumerate(zip(order.tolist(), repeats.tolist(), strict=True)):
            yield Draw(index, repeat, self.epoch + position / self.rows)
        yield from [NOTHING] * self.fill


def _repeats(order: np.ndarray) -> np.ndarray:
    """For each entry of `order` `(N,)`, how many earlier entries are equal."""
    by_value = np.argsort(order, kind="stable")
    ordered = order[by_value]
    first = np.searchsorted(ordered, ordered)
    repeats = np.empty_like(order)
    repeats[by_value] = np.arange(len(order)) - first
    return repeats


class PictureRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows of a mapped table: `pixels (3, S, S) uint8` and `target (K,) float32`, by `Draw` in training or by index.

    Targets are those of the table, or its labels where `targets` is "onehot". `weights (N,)` are relative sampling
    frequencies; None means that every row is drawn once. `loss_weights (N,) float32` multiply the targets of a batch.
    """

    def __init__(self, table: datasets.Dataset, targets: str = "votes") -> None:
        self.pixels = table.select_columns("pixels")
        self.targets = np.asarray(table["target"][:], dtype=np.float32)
        self.labels = np.asarray(table["label"][:] if "label" in table.column_names else self.targets.argmax(1))
        if targets == "onehot":
            self.targets = one_hot(self.labels, self.targets.shape[1])
        self.loss_weights: np.ndarray | None = None
        self.keys: Sequence[str] = table["key"][:]
        self.weights = np.asarray(table["weight"][:]) if "weight" in table.column_names else None

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw | int]) -> list[dict[str, Any]]:
        draws = [d for d in draws if d != NOTHING]
        if not draws:
            return []
        indices = [d.index if isinstance(d, Draw) else d for d in draws]
        pixels = self.pixels[indices]["pixels"]
        targets = self.targets[indices]
        if self.loss_weights is not None:
            targets = targets * self.loss_weights[indices, None]
        return [
            {"pixels": from_bytes(p), "target": t, "draw": d} for p, t, d in zip(pixels, targets, draws, strict=True)
        ]


def sampling_weights(rows: PictureRows, balanced: bool) -> np.ndarray | None:
    """Sampling weights `(N,)`, or None where each row is drawn once; `balanced` makes all classes equally likely."""
    if not balanced:
        return rows.weights
    own = np.ones(len(rows)) if rows.weights is None else rows.weights
    totals = np.bincount(rows.labels, own, minlength=rows.targets.shape[1])
    return np.asarray(own / np.where(totals > 0, totals, 1)[rows.labels])  # a class of weight 0 stays at 0


def trained_shares(rows: PictureRows, drawn: np.ndarray | None) -> np.ndarray:
    """The class shares `(K,) float64` that a model learns to assume: the mean target of the rows, as they weigh.

    `drawn (N,)` are the sampling weights; None draws each row once. Loss weights count too: with them the loss is
    lowest at the weighted mean of the targets, also with logit adjustment (see `loss.py`).
    """
    weights = np.ones(len(rows)) if drawn is None else np.asarray(drawn, dtype=np.float64)
    if rows.loss_weights is not None:
        weights = weights * rows.loss_weights
    shares: np.ndarray = weights @ rows.targets.astype(np.float64)
    return shares / shares.sum()
