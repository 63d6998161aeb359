"""Screening: persons whose score is at or above a cut, and whether their predictions are too.

Sensitivity is the share of them that the prediction finds, specificity the share of all others that it leaves, both at
the same cut; the area under the ROC curve (AUC) needs no cut of the prediction. Intervals are over persons.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.evaluation.per_row import Floats
from pipeline.evaluation.roc import resampled_area
from pipeline.evaluation.values import INTERVAL, interval, resampled_rows
from pipeline.run_folder import MetricFacts

SCREENING = {
    "sensitivity": MetricFacts(
        title="sensitivity", meaning="share of persons at or above the cut whose prediction is so too",
        greater_is_better=True, hub_id="recall", table="interval",
    ),
    "specificity": MetricFacts(
        title="specificity", meaning="share of persons below the cut whose prediction is so too",
        greater_is_better=True, hub_id="specificity", table="interval",
    ),
    "auc": MetricFacts(
        title="AUC", meaning="area under the ROC curve: the share of pairs, one person at or above the cut and one "
        "below, that the prediction orders rightly; .5 is chance",
        greater_is_better=True, hub_id="roc_auc", table="interval",
    ),
}  # fmt: skip
"""What is measured at a cut, in the order of tables."""


def screened(
    predicted: NDArray, scores: NDArray, groups: NDArray[np.int64], cut: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Sensitivity, specificity and AUC with intervals; one that these rows do not define is left out.

    Args:
        predicted: (N,), in the unit of the score.
        scores: (N,).
        groups: (N,) int in 0..G-1, the rows that are drawn together.
        cut: a person is positive from here on.
        resamples: how many.
        seed: of the resamples.
    """
    positive, found = scores >= cut, predicted >= cut
    area = resampled_area(predicted.astype(np.float64), positive)
    drawn: dict[str, list[Floats]] = {name: [] for name in SCREENING}
    for times in resampled_rows(groups, resamples, seed):
        drawn["sensitivity"].append(_share(times, found, positive))
        drawn["specificity"].append(_share(times, ~found, ~positive))
        drawn["auc"].append(area(times))
    samples = {name: np.concatenate(values) for name, values in drawn.items()}
    once = np.ones((1, len(scores)), dtype=np.int64)
    values = {
        "sensitivity": _exact_at_the_ends(samples["sensitivity"], found[positive]),
        "specificity": _exact_at_the_ends(samples["specificity"], ~found[~positive]),
        "auc": _with_interval(samples["auc"], float(area(once)[0])),
    }
    return {name: value for name, value in values.items() if value is not None}


def _share(times: NDArray[np.int64], right: NDArray[np.bool_], of: NDArray[np.bool_]) -> Floats:
    """The share of rows `of` that are `right` on each resample (D, N): (D,), NaN where it has none of them."""
    rows = times[:, of].sum(1)
    return np.where(rows > 0, times[:, of & right].sum(1) / np.maximum(rows, 1), np.nan)


def _exact_at_the_ends(samples: Floats, right: NDArray[np.bool_]) -> dict[str, float] | None:
    """The share of rows that are right; if all of them are, or none, its interval is widened to the exact one."""
    share = _with_interval(samples, float(right.mean())) if len(right) else None
    if share is None or 0 < right.sum() < len(right):
        return share
    exact = binomtest(int(right.sum()), len(right)).proportion_ci(INTERVAL)
    return share | {"low": min(share["low"], exact.low), "high": max(share["high"], exact.high)}


def _with_interval(samples: Floats, value: float) -> dict[str, float] | None:
    ends = interval(samples, value)
    return ends and {"value": value, "low": ends[0], "high": ends[1]}
