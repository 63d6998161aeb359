"""Metrics of scores, and their bootstrap over persons.

Every metric is a function of sums over rows, so its value and its 2,000 resamples are one line each. Pictures of one
person are not independent: where persons are known, whole persons are drawn (Efron and Tibshirani 1993, chapter 8),
otherwise pictures. With several scores, a metric is the mean over them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.per_row import Floats
from pipeline.run_folder import MetricFacts

DRAWS_AT_ONCE = 2_000_000
"""Drawn groups that the bootstrap holds in memory together."""
NEARLY_CONSTANT = 0.01
"""Predictions whose standard deviation is below this share of that of the scores say nothing about a picture."""


@dataclass(frozen=True)
class Moments:
    """Of R sets of rows and K scores, each (R, K): predictions less scores, their variances, covariance and errors."""

    bias: Floats  # mean prediction less mean score
    of_predictions: Floats  # variance
    of_scores: Floats
    covariance: Floats
    absolute: Floats  # mean absolute error
    squared: Floats  # mean squared error


def _ccc(m: Moments) -> Floats:
    return _divided(2 * m.covariance, m.of_predictions + m.of_scores + m.bias**2)


def _pearson(m: Moments) -> Floats:
    return _divided(m.covariance, np.sqrt(m.of_predictions * m.of_scores))


def _divided(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where it is not defined."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


@dataclass(frozen=True, kw_only=True)
class ScoreMetric(MetricFacts):
    """An entry of the table: what readers need to know, and how its value follows from moments."""

    of_moments: Callable[[Moments], Floats]


SCORE_METRICS = {
    "ccc": ScoreMetric(
        title="CCC", greater_is_better=True, hub_id="ccc", table="interval", of_moments=_ccc,
        meaning="concordance correlation coefficient (Lin 1989): 1 where predictions equal the scores, 0 for a "
        "constant prediction",
    ),
    "mae": ScoreMetric(
        title="MAE", meaning="mean absolute error, in the unit of the score", greater_is_better=False, hub_id="mae",
        table="interval", of_moments=lambda m: m.absolute,
    ),
    "rmse": ScoreMetric(
        title="RMSE", meaning="root of the mean squared error, in the unit of the score", greater_is_better=False,
        hub_id="rmse", table="interval", of_moments=lambda m: np.sqrt(m.squared),
    ),
    "pearson": ScoreMetric(
        title="Pearson", meaning="correlation coefficient, which ignores a wrong mean or scale", greater_is_better=True,
        hub_id="pearsonr", table="interval", of_moments=_pearson,
    ),
}  # fmt: skip
"""The metrics of scores by their name in evaluation.json, in the order of tables."""

CHECKPOINT_METRICS = {name: metric.greater_is_better for name, metric in SCORE_METRICS.items()} | {"loss": False}
"""What may choose the best checkpoint, and whether greater is better."""


@dataclass(frozen=True)
class Measured:
    """A metric of K scores: its values (K,), and those on R resamples (R, K)."""

    values: Floats
    samples: Floats


def score_values(predictions: NDArray, scores: NDArray) -> dict[str, Floats]:
    """Every metric of N rows, (K,) each: predictions and scores (N, K)."""
    moments = _moments(*_summands(predictions, scores, np.zeros(len(scores), dtype=np.int64)))
    return {name: metric.of_moments(moments)[0] for name, metric in SCORE_METRICS.items()}


def measured(
    predictions: NDArray, scores: NDArray, groups: NDArray[np.int64], resamples: int, seed: int
) -> dict[str, Measured]:
    """Every metric of N rows on all of them and on R resamples of whole groups, all metrics on the same resamples.

    Args:
        predictions: (N, K).
        scores: (N, K).
        groups: (N,) int in 0..G-1: the person of each row, or its own number.
        resamples: R.
        seed: of the resamples.
    """
    parts, offset = _summands(predictions, scores, groups)
    count, random, sums = len(parts), np.random.default_rng(seed), []
    step = max(1, DRAWS_AT_ONCE // count)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        drawn = random.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        sums.append(times.astype(np.float64) @ parts)
    whole, resampled = _moments(parts.sum(0, keepdims=True), offset), _moments(np.concatenate(sums), offset)
    return {
        name: Measured(metric.of_moments(whole)[0], metric.of_moments(resampled))
        for name, metric in SCORE_METRICS.items()
    }


def _summands(predictions: NDArray, scores: NDArray, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """What each of G groups adds, (G, 1 + 7 * K), and the offset (K,) between the two centres.

    Predictions and scores are centred, each by its own mean: the variance of a constant prediction is then 0 exactly.
    """
    p, t = predictions.astype(np.float64), scores.astype(np.float64)
    error, offset = p - t, p.mean(0) - t.mean(0)
    p, t = p - p.mean(0), t - t.mean(0)
    each = np.concatenate([np.ones((len(p), 1)), p, t, p * p, t * t, p * t, np.abs(error), error**2], axis=1)
    parts = np.zeros((int(groups.max()) + 1, each.shape[1]))
    np.add.at(parts, groups, each)
    return parts, offset


def _moments(totals: Floats, offset: Floats) -> Moments:
    means = totals[:, 1:] / totals[:, :1]
    p, t, pp, tt, pt, absolute, squared = np.split(means, 7, axis=1)
    return Moments(p - t + offset, np.maximum(pp - p * p, 0), np.maximum(tt - t * t, 0), pt - p * t, absolute, squared)


def nearly_constant(predictions: NDArray, scores: NDArray) -> NDArray[np.bool_]:
    """Which of the K predictions (N, K) hardly differ between rows, (K,) bool."""
    spread: NDArray[np.bool_] = predictions.std(0) < NEARLY_CONSTANT * np.maximum(scores.std(0), 1e-12)
    return spread
