"""What is measured of a run that predicts scores: always beside a constant and a linear model on pixels.

With `score_of: person`, the prediction of a person is the mean over their pictures; curation refuses a person with two
scores. Every metric is then one of persons.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.evaluation import figures
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.score_metrics import (
    CHECKPOINT_METRICS,
    Measured,
    measured,
    nearly_constant,
    score_values,
)
from pipeline.evaluation.score_metrics import SCORE_METRICS as METRICS
from pipeline.evaluation.score_text import MODEL
from pipeline.evaluation.score_text import scores_table as table
from pipeline.evaluation.screening import screened
from pipeline.evaluation.values import groups_of_persons, interval

__all__ = ["CHECKPOINT_METRICS", "METRICS", "table"]

FIGURE = "scores"  # of an evaluation in training


def about(predictions: Predictions) -> dict[str, Any]:
    """What evaluation.json says of the task: the scores in the order of the outputs, with their range in train."""
    cut = {} if predictions.screening_cut is None else {"screening_cut": predictions.screening_cut}
    return {"task": predictions.task, "scores": predictions.scores, "score_of": predictions.score_of} | cut


def flip_averaged(plain: NDArray[np.float32], mirrored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean prediction of each picture and its mirror image."""
    return (plain + mirrored) / np.float32(2)


def logged(predicted: NDArray, scores: NDArray, names: list[str]) -> dict[str, float]:
    """The metrics of an evaluation in training: predictions and scores (N, K). An undefined one counts as 0."""
    values = score_values(predicted, scores)
    found = {name: float(np.nan_to_num(value).mean()) for name, value in values.items()}
    return found | {
        f"ccc_{name}": float(value) for name, value in zip(names, np.nan_to_num(values["ccc"]), strict=True)
    }


def figure(predicted: NDArray, scores: NDArray, names: list[str], title: str) -> Figure:
    """The predictions of an evaluation in training over the scores."""
    return figures.scatter(predicted, scores, names, title)


def figures_of(predictions: Predictions, held: NDArray[np.bool_], title: str) -> dict[str, Figure]:
    """The figures of the rows `held` by their file names."""
    rows = _per_person(_only(predictions, held))
    return {"scatter": figures.scatter(rows.logits, rows.target, predictions.outputs, title)}


def surest_mistakes(predicted: NDArray, scores: NDArray, label: NDArray, names: list[str], most: int) -> dict[int, str]:
    """The rows with the largest errors, at most `most`, and what to write above each."""
    worst = np.argsort(-np.abs(predicted - scores).max(1), kind="stable")[:most]
    k = np.abs(predicted - scores).argmax(1)
    return {
        row: f"{names[k[row]]} {scores[row, k[row]]:.3g}\nas {predicted[row, k[row]]:.3g}" for row in worst.tolist()
    }


def evaluate_rows(predictions: Predictions, held: NDArray[np.bool_]) -> dict[str, Any]:
    """The metrics of the rows `held`, (N,) bool, with intervals over persons, and those of the two baselines.

    The constant predictor always answers the mean of train: its CCC is 0. With a `screening_cut`, `screening` has what
    each of them finds at it.
    """
    person = np.array([""]) if predictions.person is None else predictions.person[held]
    persons = len(np.unique(person[person != ""])) or None
    rows = _per_person(_only(predictions, held))
    groups = _groups(rows)
    means = np.array([facts["mean"] for facts in predictions.scores.values()], dtype=np.float32)
    answers = {"constant": np.broadcast_to(means, rows.target.shape)}
    if rows.linear is not None:
        answers["linear on pixels"] = rows.linear

    def figures_for(answer: NDArray) -> dict[str, Measured]:
        return measured(answer, rows.target, groups, predictions.resamples, predictions.seed)

    own, flat = figures_for(rows.logits), nearly_constant(rows.logits, rows.target)
    names = predictions.outputs
    mean = _with_intervals(own)
    return {
        "n": len(rows.target),
        "pictures": int(held.sum()),
        "persons": persons,
        "resampled": "persons" if persons else "pictures",
        **{name: value for name, value in mean.items() if value is not None},
        **({"undefined": missing} if (missing := [name for name, value in mean.items() if value is None]) else {}),
        "per_score": {name: _defined(own, k) | {"constant_predictions": bool(flat[k])} for k, name in enumerate(names)},
        "baselines": {name: _defined(figures_for(answer)) for name, answer in answers.items()},
        **({} if predictions.screening_cut is None else {"screening": _screening(rows, groups, answers)}),
    }


def _screening(rows: Predictions, groups: NDArray[np.int64], baselines: Mapping[str, NDArray]) -> dict[str, Any]:
    """How many persons are at or above the cut and below it, and what the model and each baseline find of them."""
    cut, scores = float(rows.screening_cut or 0), rows.target[:, 0]
    found = {
        name: screened(answer[:, 0], scores, groups, cut, rows.resamples, rows.seed)
        for name, answer in {MODEL: rows.logits, **baselines}.items()
    }
    at_or_above = int((scores >= cut).sum())
    return {"cut": cut, "at_or_above": at_or_above, "below": len(scores) - at_or_above, "found": found}


def _with_intervals(metrics: dict[str, Measured], k: int | None = None) -> dict[str, Any]:
    """Every metric of score `k`, or the mean over the scores, with its interval; None where it is not defined."""
    found = {}
    for name, one in metrics.items():
        value = float(one.values.mean() if k is None else one.values[k])
        samples = one.samples.mean(1) if k is None else one.samples[:, k]
        ends = interval(samples, value)
        found[name] = ends and {"value": value, "low": ends[0], "high": ends[1]}
    return found


def _defined(metrics: dict[str, Measured], k: int | None = None) -> dict[str, Any]:
    return {name: value for name, value in _with_intervals(metrics, k).items() if value is not None}


def _only(predictions: Predictions, held: NDArray[np.bool_]) -> Predictions:
    """The rows `held`, with the columns that metrics need."""
    cut: dict[str, Any] = {"target": predictions.target[held], "logits": predictions.logits[held]}
    for name in ("person", "linear"):
        column = getattr(predictions, name)
        cut[name] = None if column is None else column[held]
    return replace(predictions, **cut)


def _groups(rows: Predictions) -> NDArray[np.int64]:
    """The rows that are drawn together, (N,) int in 0..G-1: those of one person; a row of nobody by itself."""
    return np.arange(len(rows.target)) if rows.person is None else groups_of_persons(rows.person)


def _per_person(rows: Predictions) -> Predictions:
    """The mean of each person as one row, where persons have the scores; otherwise the rows as they are."""
    if rows.score_of != "person":
        return rows
    groups = _groups(rows)
    counts = np.bincount(groups)[:, None]

    def mean(column: NDArray[np.float32]) -> NDArray[np.float32]:
        sums = np.zeros((len(counts), column.shape[1]))
        np.add.at(sums, groups, column)
        return (sums / counts).astype(np.float32)

    first = np.unique(groups, return_index=True)[1]
    return replace(
        rows,
        target=mean(rows.target),
        logits=mean(rows.logits),
        person=None if rows.person is None else rows.person[first],
        linear=None if rows.linear is None else mean(rows.linear),
    )
