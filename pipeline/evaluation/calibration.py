"""Temperature and vector scaling (Guo et al. 2017, arXiv:1706.04599) bring a model's confidence to its targets.

Scores are the softmax of the logits divided by the temperature. It changes no ranking within a picture, so no answer.
Vector scaling has a factor and a summand for each class, and changes answers. Either is fitted on validation rows by
NLL, to the targets that the model was trained on: vote shares by default, so that a score stays the share of people who
would answer so; labels with `targets: onehot`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import log_softmax, softmax

from pipeline.errors import InputError
from pipeline.evaluation.per_row import Floats
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.values import estimate, metric_values, resampled_values

LEAST_ROWS = 30
BOUNDS = (0.1, 10.0)
"""Temperatures that are believed. Rows that are all right, or that say nothing, have their best one outside."""
FOLDS = 5
REPORTED = ("nll", "ece")


class NotCalibrated(InputError):  # noqa: N818 (what is true of the rows)
    """Rows do not determine the numbers of a scaling; the message says why."""


class Scaling(NamedTuple):
    """Logits (N, K) become `logits * factor + summand`, each `(K,)`."""

    factor: Floats
    summand: Floats

    def of(self, logits: NDArray) -> Floats:
        """The scaled logits (N, K)."""
        return np.asarray(logits * self.factor + self.summand, dtype=np.float64)


def check_rows(rows: int) -> None:
    """Refuse too few rows.

    Raises:
        NotCalibrated: fewer than `LEAST_ROWS`.
    """
    if rows < LEAST_ROWS:
        raise NotCalibrated(f"validation has {rows} rows, and a temperature needs at least {LEAST_ROWS}")


def fit_temperature(logits: NDArray, target: NDArray) -> float:
    """The temperature with the lowest NLL: logits (N, K), targets (N, K) that sum to 1.

    NLL is convex in the inverse temperature, so where its derivative is 0 is the only minimum.

    Raises:
        NotCalibrated: fewer than `LEAST_ROWS` rows, one class only, or no minimum within `BOUNDS`.
    """
    check_rows(len(logits))
    if len(np.unique(target.argmax(1))) < 2:
        raise NotCalibrated("all validation rows have one class")
    scores, wanted = logits.astype(np.float64), target.astype(np.float64)
    at_target = (wanted * scores).sum(1).mean()

    def slope(inverse: float) -> float:
        return float((softmax(inverse * scores, axis=1) * scores).sum(1).mean() - at_target)

    lowest, highest = 1 / BOUNDS[1], 1 / BOUNDS[0]
    if slope(highest) <= 0:
        raise NotCalibrated(f"validation rows fit too well: the best temperature is below {BOUNDS[0]:g}")
    if slope(lowest) >= 0:
        raise NotCalibrated(f"scores say too little about validation rows: the best temperature is above {BOUNDS[1]:g}")
    return float(1 / brentq(slope, lowest, highest, xtol=1e-12))


def by_temperature(logits: NDArray, target: NDArray) -> Scaling:
    """`fit_temperature` as a scaling that is the same for each class."""
    k = logits.shape[1]
    return Scaling(np.full(k, 1 / fit_temperature(logits, target)), np.zeros(k))


def fit_vector(logits: NDArray, target: NDArray) -> Scaling:
    """The factor and summand of each class with the lowest NLL: logits and targets (N, K).

    NLL is convex in them, so L-BFGS finds the only minimum. It begins at the temperature.

    Raises:
        NotCalibrated: as `fit_temperature`, a class has no target, or a factor is not the inverse of one in `BOUNDS`.
    """
    k, start = logits.shape[1], fit_temperature(logits, target)
    if not target.sum(0).all():
        raise NotCalibrated("a class has no validation row, so vector scaling has no numbers for it")
    scores, wanted = logits.astype(np.float64), target.astype(np.float64)

    def loss(both: Floats) -> tuple[float, Floats]:
        scaled = scores * both[:k] + both[k:]
        apart = softmax(scaled, axis=1) - wanted
        slope = np.concatenate([(apart * scores).mean(0), apart.mean(0)])
        return float(-(wanted * log_softmax(scaled, axis=1)).sum(1).mean()), slope

    found = minimize(loss, np.r_[np.full(k, 1 / start), np.zeros(k)], jac=True, method="L-BFGS-B").x
    factor, summand = found[:k], found[k:]
    if not ((factor > 1 / BOUNDS[1]) & (factor < 1 / BOUNDS[0])).all():
        raise NotCalibrated(
            f"validation rows do not determine vector scaling: its factors run from {factor.min():.3g} to "
            f"{factor.max():.3g}; set --calibration temperature"
        )
    return Scaling(factor, summand)


def calibration_figures(predictions: Predictions, rows: NDArray[np.bool_]) -> dict[str, Any] | None:
    """NLL and ECE before and after calibration with intervals, on the validation `rows` (N,); None without calibration.

    `after` is cross-fitted: each fifth of the rows has the scaling of the other four, so no row is scored by one that
    saw it. NLL is to the targets of the fit.
    """
    done = predictions.calibration
    if done is None:
        return None
    if done.skipped:
        return done.as_json()
    target = predictions.target[rows]
    if done.targets == "labels":
        target = np.eye(target.shape[1], dtype=np.float32)[predictions.label[rows]]
    shift = 0.0 if predictions.class_shares is None else predictions.class_shares.log_ratios.astype(np.float32)
    before = done.undone(predictions.logits[rows] - shift)
    fit = by_temperature if done.factors is None else fit_vector
    after = cross_fitted(before, target, predictions.seed, fit)
    asked = (predictions.label[rows], target, predictions.resamples, predictions.seed)
    return done.as_json() | {"before": _figures(before, *asked), "after": _figures(after.astype(np.float32), *asked)}


def cross_fitted(
    logits: NDArray, target: NDArray, seed: int, fit: Callable[[NDArray, NDArray], Scaling] = by_temperature
) -> Floats:
    """The logits (N, K), each row by the scaling of the other folds; as they are where those do not determine one."""
    fold = np.random.default_rng(seed).permutation(len(logits)) % FOLDS
    found = logits.astype(np.float64)
    for each in range(FOLDS):
        try:
            scaling = fit(logits[fold != each], target[fold != each])
        except NotCalibrated:
            continue
        found[fold == each] = scaling.of(logits[fold == each])
    return found


def _figures(logits: NDArray, label: NDArray, target: NDArray, resamples: int, seed: int) -> dict[str, Any]:
    values = metric_values(logits, label, target)
    samples = resampled_values(logits, label, target, resamples, seed)
    found = {name: estimate(name, float(values[name]), samples[name]) for name in REPORTED}
    return {name: dict(zip(("value", "low", "high"), ends, strict=True)) for name, ends in found.items() if ends}
