"""Is a model worse for some pictures or some people? Accuracy by group, beside what the group's classes lead to expect.

A group that has more of a hard class is right less often without being treated worse. So a group is compared with all
other rows class by class: the difference is that of Mantel and Haenszel (1959), and the p value that of their test
(Cochran 1954; with continuity correction). The interval is a 95 % percentile bootstrap over rows. "Beyond chance" is
5 % over all groups of a report together (Holm 1979). Groups of fewer than 30 rows are counted, but not tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pipeline.evaluation.figures import FEW
from pipeline.evaluation.values import INTERVAL

FAMILY_LEVEL = 0.05
RESAMPLES = 2000


@dataclass(frozen=True)
class Group:
    """A value of a column: its rows, their accuracy, and the difference to all other rows at equal classes.

    `difference`, its interval and `p` are None where nothing can be compared: few rows, or classes of this group only.
    """

    column: str
    value: str
    n: int
    accuracy: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    beyond_chance: bool = False


def by_group(
    right: NDArray[np.bool_], label: NDArray[np.int_], columns: Mapping[str, NDArray[np.object_]], seed: int
) -> list[Group]:
    """Every value of every column: right (N,), label (N,), columns of (N,) str, None where unknown."""
    groups = [
        _group(name, value, right, label, column == value, column != None, seed)  # noqa: E711 (elementwise)
        for name, column in columns.items()
        for value in sorted({each for each in column.tolist() if each is not None})
    ]
    return _marked(groups)


def _group(
    column: str, value: str, right: NDArray, label: NDArray, inside: NDArray, known: NDArray, seed: int
) -> Group:
    n = int(inside.sum())
    group = Group(column, value, n, float(right[inside].mean()))
    if n < FEW or int(known.sum()) - n < FEW:
        return group
    counts = _counts(right[known], label[known], inside[known])
    value_of = _difference(counts[None])[0]
    if np.isnan(value_of):
        return group
    shares = counts / counts.sum()
    drawn = np.random.default_rng(seed).multinomial(int(counts.sum()), shares.ravel(), size=RESAMPLES)
    samples = _difference(drawn.reshape(RESAMPLES, *counts.shape))
    tail = 50 * (1 - INTERVAL)
    low, high = np.nanpercentile(samples, (tail, 100 - tail))
    return replace(group, difference=float(value_of), low=float(low), high=float(high), p=_p(counts))


def _counts(right: NDArray, label: NDArray, inside: NDArray) -> NDArray[np.int64]:
    """Rows (K, 2, 2) by class, outside or inside the group, wrong or right."""
    classes = int(label.max()) + 1
    index = (label * 2 + inside) * 2 + right
    return np.bincount(index, minlength=classes * 4).reshape(classes, 2, 2)


def _difference(counts: NDArray) -> NDArray[np.float64]:
    """Share of right rows inside less outside, at equal classes: counts (R, K, 2, 2) to (R,); NaN without any pair."""
    rows = counts.sum(-1).astype(np.float64)  # (R, K, 2)
    share = counts[..., 1] / np.maximum(rows, 1)
    weight = rows.prod(-1) / np.maximum(rows.sum(-1), 1)
    total = weight.sum(-1)
    apart = (weight * (share[..., 1] - share[..., 0])).sum(-1)
    return np.where(total > 0, apart / np.where(total > 0, total, 1), np.nan)


def _p(counts: NDArray) -> float:
    """The p value of Cochran, Mantel and Haenszel: counts (K, 2, 2)."""
    n = counts.sum((1, 2)).astype(np.float64)
    inside, right = counts[:, 1].sum(-1), counts[:, :, 1].sum(-1)
    held = n > 1
    expected = inside[held] * right[held] / n[held]
    variance = expected * (n[held] - inside[held]) * (n[held] - right[held]) / (n[held] * (n[held] - 1))
    if not variance.sum():
        return 1.0
    apart = abs(float((counts[held, 1, 1] - expected).sum()))
    return float(chi2.sf(max(apart - 0.5, 0.0) ** 2 / variance.sum(), 1))


def _marked(groups: list[Group]) -> list[Group]:
    """Holm's step-down over all groups that were tested."""
    tested = sorted((group for group in groups if group.p is not None), key=lambda group: group.p or 0.0)
    beyond = set()
    for step, group in enumerate(tested):
        if (group.p or 0.0) > FAMILY_LEVEL / (len(tested) - step):
            break
        beyond.add((group.column, group.value))
    return [replace(group, beyond_chance=(group.column, group.value) in beyond) for group in groups]


def quarters(values: NDArray[np.floating]) -> NDArray[np.object_]:
    """Measured values (N,) as four groups of about equal size, named by their range; None where not measured.

    Equal values are in one group, so there can be fewer than four.
    """
    named = np.full(len(values), None, object)
    known = np.isfinite(values)
    if known.any():
        edges = np.unique(np.percentile(values[known], (25, 50, 75)))
        which = np.searchsorted(edges, values[known], side="right")
        places = np.flatnonzero(known)
        for position, quarter in enumerate(np.unique(which), start=1):
            held = places[which == quarter]
            low, high = values[held].min(), values[held].max()
            named[held] = f"{position}: {low:.4g} to {high:.4g}"
    return named
