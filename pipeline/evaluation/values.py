"""Values of the metrics, and their intervals: 95 % percentile bootstraps over rows.

Efron and Tibshirani 1993, chapter 13. A metric that chance makes too large (`Metric.biased`) is corrected by the
bootstrap's own estimate of its bias (chapter 10), so that the interval lies around the value.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import METRICS, PER_CLASS, Metric, PerClass
from pipeline.evaluation.per_row import Floats, summands, sums_of

INTERVAL = 0.95

DRAWS_AT_ONCE = 2_000_000
"""Drawn rows that the bootstrap holds in memory together (about 80 MB)."""


def compute_metrics(logits: NDArray, label: NDArray, target: NDArray, classes: Sequence[str]) -> dict[str, float]:
    """Values for the training log, without intervals: logits (N, K), label (N,), target (N, K) vote shares.

    Returns every metric that may choose the checkpoint, and `recall_<class>` for every class.
    """
    values = {name: m for name, m in METRICS.items() if m.chooses_checkpoint}
    recall = PerClass().compute(predictions=logits, references=label)["recall"]
    return {name: _value(name, m, logits, label, target) for name, m in values.items()} | {
        f"recall_{name}": float(value) for name, value in zip(classes, recall, strict=True)
    }


def metric_values(logits: NDArray, label: NDArray, target: NDArray) -> dict[str, Floats]:
    """Every metric of the rows as they are, from their modules: arrays of shape () or (K,).

    `human_agreement` is the mean share of voters who chose the label: the accuracy of one voter, drawn at random.
    """
    values: dict[str, Any] = {name: _value(name, m, logits, label, target) for name, m in METRICS.items()}
    of_classes = PerClass().compute(predictions=logits, references=label)
    values |= {name: of_classes[name] for name in PER_CLASS}
    values["human_agreement"] = target[np.arange(len(label)), label].mean(dtype=np.float64)
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _value(name: str, metric: Metric, logits: NDArray, label: NDArray, target: NDArray) -> float:
    references = target if metric.module.of_shares else label
    return float(metric.module().compute(predictions=logits, references=references)[name])


def resampled_values(
    logits: NDArray,
    label: NDArray,
    target: NDArray,
    resamples: int,
    seed: int,
    group: NDArray[np.int64] | None = None,
) -> dict[str, Floats]:
    """The values of `metric_values` on each of R resamples of the N rows: arrays of shape (R,) or (R, K).

    Every metric is computed on the same resamples, drawn with replacement. A value that a resample does not define is
    NaN. 3,136 rows and 2,000 resamples take about a second and 100 MB. With `group`, (N,) int from 0, whole groups of
    rows are drawn, such as all rows of a person (a cluster bootstrap); None draws rows.
    """
    group = np.arange(len(label)) if group is None else group
    parts, sums, rows = summands(logits, label, target), [], []
    of_rows = {name: metric.of_rows(logits, label) for name, metric in METRICS.items() if metric.of_rows}
    resampled: dict[str, list[Floats]] = {name: [] for name in of_rows}
    for times in resampled_rows(group, resamples, seed):
        rows.append(times.sum(1))
        sums.append(times.astype(np.float64) @ parts)
        for name, values_of in of_rows.items():
            resampled[name].append(values_of(times))
    of_sums = values_of_sums(np.concatenate(sums), np.concatenate(rows), logits.shape[1])
    return of_sums | {name: np.concatenate(values) for name, values in resampled.items()}


def groups_of_persons(person: NDArray[np.str_]) -> NDArray[np.int64]:
    """The group of each row for intervals over persons: `(N,)` int from 0. Each row of "", of nobody that is known, is
    a group of its own. Groups are in the order of their first rows, so what persons are called changes nothing."""
    known, code = np.unique(person, return_inverse=True)
    own = np.where(person == "", len(known) + np.arange(len(person)), code)
    _, first, group = np.unique(own, return_index=True, return_inverse=True)
    in_order: NDArray[np.int64] = np.argsort(np.argsort(first))[group.ravel()]
    return in_order


def resampled_rows(group: NDArray[np.int64], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each of R resamples holds each of the N rows, some resamples at a time: (D, N).

    As many groups of rows are drawn, with replacement, as there are; `group`, (N,) from 0, is the group of each row.
    """
    n, random = int(group.max()) + 1, np.random.default_rng(seed)
    step = max(1, DRAWS_AT_ONCE // len(group))
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        drawn = random.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
        yield np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n)[:, group]


def values_of_sums(totals: Floats, n: int | NDArray[np.int64], k: int) -> dict[str, Floats]:
    """What is a function of sums over rows: totals (R, 3 * K + BINS + 3) of `summands` -> arrays (R,) or (R, K)."""
    sums = sums_of(totals, n, k)
    values = {name: metric.of_sums(sums) for name, metric in METRICS.items() if metric.of_sums}
    per_class = {name: of_sums(sums) for name, of_sums in PER_CLASS.items()}
    return values | per_class | {"human_agreement": sums.agreement / n}


def interval(samples: Floats, value: float) -> tuple[float, float] | None:
    """Ends of the interval of a value from its (R,) resamples, widened to hold it; None where it is not defined.

    A resample on which the value is not defined is passed over.
    """
    defined = samples[~np.isnan(samples)]
    if np.isnan(value) or not len(defined):
        return None
    tail = 50 * (1 - INTERVAL)
    low, high = np.percentile(defined, (tail, 100 - tail))
    return min(float(low), value), max(float(high), value)


def estimate(name: str, value: float, samples: Floats) -> tuple[float, float, float] | None:
    """Value and interval of a metric from its (R,) resamples; None where it is not defined.

    Resamples of a `biased` metric are as much above its value as the value is above the truth. So one bias is taken
    from the value and the upper end and two from the lower end, and none is below 0.
    """
    ends = interval(samples, value)
    if ends is None:
        return None
    if name not in METRICS or not METRICS[name].biased:
        return value, *ends
    bias = float(np.nanmean(samples)) - value
    return max(value - bias, 0.0), max(ends[0] - 2 * bias, 0.0), max(ends[1] - bias, 0.0)
