"""What a figure is read beside: a model that always gives one answer, one human voter, and the persons in the rows.

Votes are shares of a picture's voters. "Two voters" are two draws from them with replacement, since shares do not say
how many voters there were; so with few voters their agreement is a little too high.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.figures import FEW
from pipeline.evaluation.of_classes import evaluate_rows
from pipeline.evaluation.per_row import Floats
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.row_sets import row_sets
from pipeline.evaluation.values import groups_of_persons, interval, resampled_rows

SHOWN = ("accuracy", "macro_f1", "balanced_accuracy", "nll", "brier")
"""Metrics of the model that always gives the same answer."""


def read_beside(predictions: Predictions) -> dict[str, Any]:
    """Fields of evaluation.json beside its row sets, each by row set.

    - `baselines`: `majority_class` answers every row with the class shares of the rows themselves; `one_voter` is a
      voter of the picture, drawn at random, and `agreement` how often another one gives the same answer;
      `model_agreement` is how often one gives the answer of the model. The latter two only where rows have votes.
    - `by_person`: the metrics with intervals over persons, where persons are known.
    - `few_rows`: classes with fewer than `FEW` rows that have the label, or that are predicted.
    """
    sets = {name: rows.held for name, rows in row_sets(predictions).items()}
    found: dict[str, Any] = {"baselines": {name: _baselines(predictions, held) for name, held in sets.items()}}
    if predictions.person is not None:
        found["by_person"] = {name: _by_person(predictions, held, predictions.person) for name, held in sets.items()}
    return found | {"few_rows": {name: _few_rows(predictions, held) for name, held in sets.items()}}


def _baselines(predictions: Predictions, held: NDArray[np.bool_]) -> dict[str, Any]:
    label, target = predictions.label[held], predictions.target[held]
    shares = np.bincount(label, minlength=len(predictions.classes)) / len(label)
    constant = np.broadcast_to(np.log(np.maximum(shares, 1e-7)).astype(np.float32), predictions.logits.shape)
    always = evaluate_rows(replace(predictions, logits=constant), held)
    majority = {"class": predictions.classes[int(shares.argmax())]} | {name: always[name] for name in SHOWN}
    if not (target.max(1) < 1 - 1e-6).any():
        return {"majority_class": majority}
    of_label, of_answer = (target[np.arange(len(label)), k] for k in (label, predictions.logits[held].argmax(1)))
    resampling = (predictions.resamples, predictions.seed)
    return {
        "majority_class": majority,
        "one_voter": {
            "accuracy": _mean(of_label, *resampling),
            "balanced_accuracy": _mean(of_label, *resampling, label),
            "agreement": _mean(np.square(target.astype(np.float64)).sum(1), *resampling),
        },
        "model_agreement": _mean(of_answer, *resampling),
    }


def _mean(of_row: NDArray, resamples: int, seed: int, label: NDArray[np.int32] | None = None) -> dict[str, float]:
    """The mean of numbers (N,), or the mean over classes of their means, with its interval over rows."""
    strata = np.zeros(len(of_row), dtype=np.int64) if label is None else np.unique(label, return_inverse=True)[1]
    one_hot = np.eye(int(strata.max()) + 1)[strata]
    weighed = one_hot * np.asarray(of_row, dtype=np.float64)[:, None]

    def means(times: Floats) -> Floats:
        value: Floats = ((times @ weighed) / np.maximum(times @ one_hot, 1)).mean(1)
        return value

    value = float(means(np.ones((1, len(of_row))))[0])
    drawn = [means(times.astype(np.float64)) for times in resampled_rows(np.arange(len(of_row)), resamples, seed)]
    low, high = interval(np.concatenate(drawn), value) or (value, value)
    return {"value": value, "low": low, "high": high}


def _by_person(predictions: Predictions, held: NDArray[np.bool_], person: NDArray[np.str_]) -> dict[str, Any]:
    """The metrics of the rows with intervals over persons; a row of nobody that is known is a group of its own."""
    who = person[held]
    evaluated = evaluate_rows(predictions, held, groups_of_persons(who))
    kept = {name: value for name, value in evaluated.items() if name not in ("n", "confusion_matrix")}
    return {"persons": len(set(who.tolist()) - {""}), "rows_without_person": int((who == "").sum())} | kept


def _few_rows(predictions: Predictions, held: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    columns = {"labelled": predictions.label[held], "predicted": predictions.logits[held].argmax(1)}
    counts = {name: np.bincount(column, minlength=len(predictions.classes)) for name, column in columns.items()}
    return {
        name: {of: int(n) for of, n in zip(predictions.classes, rows, strict=True) if n < FEW}
        for name, rows in counts.items()
    }
