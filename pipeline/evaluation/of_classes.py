"""What is measured of a run that predicts classes."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import binomtest

from pipeline.evaluation import figures, metrics
from pipeline.evaluation.abstention import risk_coverage, thresholds
from pipeline.evaluation.metrics import CHECKPOINT_METRICS, METRICS
from pipeline.evaluation.per_row import Floats, confidence
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.text import classes_table as table
from pipeline.evaluation.values import INTERVAL, compute_metrics, estimate, metric_values, resampled_values

__all__ = ["CHECKPOINT_METRICS", "METRICS", "table"]

Interval = dict[str, float]  # value, low, high
FIGURE = "confusion_matrix"  # of an evaluation in training


def about(predictions: Predictions) -> dict[str, Any]:
    """What evaluation.json says of the task: the classes in the order of the logits."""
    return {"classes": predictions.classes}


def flip_averaged(plain: NDArray[np.float32], mirrored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithm of the mean score of each picture and its mirror image, from logits (N, K)."""
    both: NDArray[np.float32] = np.logaddexp(log_softmax(plain, axis=1), log_softmax(mirrored, axis=1))
    return both - np.float32(np.log(2))


def logged(logits: NDArray, target: NDArray, classes: list[str]) -> dict[str, float]:
    """The metrics of an evaluation in training: logits and vote shares (N, K)."""
    return compute_metrics(logits, target.argmax(axis=1), target, classes)


def figure(logits: NDArray, target: NDArray, classes: list[str], title: str) -> Figure:
    """The confusion matrix of an evaluation in training."""
    return figures.confusion_matrix(_confusion_matrix(logits, target.argmax(axis=1)), classes, title)


def figures_of(predictions: Predictions, held: NDArray[np.bool_], title: str) -> dict[str, Figure]:
    """The figures of the rows `held` by their file names."""
    logits, label = predictions.logits[held], predictions.label[held]
    matrix = _confusion_matrix(logits, label)
    return {
        "confusion_matrix": figures.confusion_matrix(matrix, predictions.classes, title),
        "reliability": figures.reliability(logits, label),
        "risk_coverage": figures.risk_coverage(*risk_coverage(logits, label)),
    }


def surest_mistakes(logits: NDArray, target: NDArray, label: NDArray, classes: list[str], most: int) -> dict[int, str]:
    """The rows of the wrong predictions with the highest confidence, at most `most`, and what to write above each."""
    predicted, sure = logits.argmax(1), confidence(logits)
    wrong = np.flatnonzero(predicted != label)
    surest = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    return {row: f"{classes[label[row]]}\nas {classes[predicted[row]]} {sure[row]:.2f}" for row in surest.tolist()}


def evaluate_rows(
    predictions: Predictions, held: NDArray[np.bool_], group: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """The metrics of the rows `held`, (N,) bool, and those of each class, with intervals.

    The intervals are over rows, or over groups (see `resampled_values`).
    """
    logits, label, target = predictions.logits[held], predictions.label[held], predictions.target[held]
    values = metric_values(logits, label, target)
    samples = resampled_values(logits, label, target, predictions.resamples, predictions.seed, group)
    matrix = _confusion_matrix(logits, label)
    overall = {name: _with_interval(name, values[name], samples[name]) for name in metrics.METRICS}
    overall["accuracy"] = _exact_at_the_ends(overall["accuracy"], int(matrix.trace()), len(label))
    undefined = [name for name, value in overall.items() if value is None]
    voted = (target.max(1) < 1 - 1e-6).any()
    agreement = _with_interval("human_agreement", values["human_agreement"], samples["human_agreement"])
    return {
        "n": len(label),
        **{name: value for name, value in overall.items() if value is not None},
        **({"undefined": undefined} if undefined else {}),
        "per_class": _per_class(predictions.classes, values, samples, matrix),
        "confusion_matrix": matrix.tolist(),
        "abstention": thresholds(logits, label),
        **({"human_agreement": agreement} if voted else {}),
    }


def _per_class(
    classes: list[str], values: dict[str, Floats], samples: dict[str, Floats], matrix: NDArray[np.int64]
) -> dict[str, Any]:
    """Precision, recall and F1 of each class with intervals, and its rows; matrix (K, K) counts."""
    counted = {"precision": matrix.sum(0), "recall": matrix.sum(1)}  # the rows that each of the two is a share of
    of_class = {}
    for k, name in enumerate(classes):
        of_class[name] = {of: _with_interval(of, values[of][k], samples[of][:, k]) for of in metrics.PER_CLASS}
        for of, rows in counted.items():
            of_class[name][of] = _exact_at_the_ends(of_class[name][of], int(matrix[k, k]), int(rows[k]))
        of_class[name]["support"] = int(matrix[k].sum())
    return of_class


def _with_interval(name: str, value: Any, samples: Floats) -> Any:
    found = estimate(name, float(value), samples)
    return found and dict(zip(("value", "low", "high"), found, strict=True))


def _exact_at_the_ends(share: Interval, right: int, of: int) -> Interval:
    """A share of `of` rows; if all of them are right, or none, its interval is widened to the exact one."""
    if not of or right not in (0, of):
        return share
    exact = binomtest(right, of).proportion_ci(INTERVAL)
    return share | {"low": min(share["low"], exact.low), "high": max(share["high"], exact.high)}


def _confusion_matrix(logits: NDArray, label: NDArray) -> NDArray[np.int64]:
    matrix = metrics.ConfusionMatrix().compute(predictions=logits, references=label)["confusion_matrix"]
    return np.array(matrix, dtype=np.int64)
