"""Areas under ROC curves of rows that occur several times: the bootstrap of AUROC."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.per_row import Floats, probabilities

Resampled = Callable[[NDArray[np.int64]], Floats]
"""From how often each of D resamples holds each of N rows, (D, N), to the D values of a metric."""


def resampled_auroc(logits: NDArray, label: NDArray) -> Resampled:
    """`AUROC` of resamples of the rows; NaN for a resample in which no class has an area."""
    shares = probabilities(logits)
    places = [_Places.of(shares[:, k], label == k) for k in np.unique(label)]

    def values(times: NDArray[np.int64]) -> Floats:
        of_rows = np.ascontiguousarray(times.T, dtype=np.int32)
        areas = np.stack([_areas(of_rows, of_class) for of_class in places])
        defined = np.isfinite(areas)
        found = np.where(defined, areas, 0).sum(0)
        return np.where(defined.any(0), found / np.maximum(defined.sum(0), 1), np.nan)

    return values


def resampled_area(score: Floats, positive: NDArray[np.bool_]) -> Resampled:
    """The area under the ROC curve of N scores against two classes; NaN for a resample without one of them."""
    places = _Places.of(score, positive)
    return lambda times: _areas(np.ascontiguousarray(times.T, dtype=np.int32), places)


@dataclass(frozen=True)
class _Places:
    """Rows in ascending order of a score, and for each positive row where the rows with its score begin and end."""

    order: NDArray[np.int64]
    positive: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def of(cls, score: Floats, positive: NDArray[np.bool_]) -> "_Places":
        order, rows = np.argsort(score, kind="stable"), np.flatnonzero(positive)
        ends = (np.searchsorted(score[order], score[rows], side) for side in ("left", "right"))
        return cls(order, rows, *ends)


def _areas(times: NDArray[np.int32], places: _Places) -> Floats:
    """Areas under the ROC curve where D resamples hold each of the N rows as often as `times` (N, D) says: (D,).

    The area is the rank sum of the positive rows, less the pairs of two of them, as a share of the mixed pairs (Mann
    and Whitney 1947).
    """
    up_to = np.zeros((len(times) + 1, times.shape[1]), dtype=np.int32)
    np.cumsum(times[places.order], axis=0, out=up_to[1:])
    of_positive = times[places.positive].astype(np.float64)
    ranks = (up_to[places.first] + up_to[places.last]) / 2
    positive = of_positive.sum(0)
    pairs = positive * (up_to[-1] - positive)
    return np.where(pairs > 0, ((of_positive * ranks).sum(0) - positive**2 / 2) / np.maximum(pairs, 1), np.nan)
