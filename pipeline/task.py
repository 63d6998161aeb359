"""What a run predicts: one of K classes, or K scores. This is the only module that knows how the two tasks differ.

A leaf module without torch. Code that a task needs stands in one table a folder, by the name of the task: `LABELLINGS`
in `pipeline/data/labelling.py`, `OBJECTIVES` in `pipeline/training/objectives.py`, and `EVALUATIONS` in
`pipeline/evaluation/tasks.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Name = Literal["classification", "regression"]
DEFAULT: Name = "classification"  # also of files from before there were two

STRATA = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")
"""Labels of rows with scores: the fifth of the range of the first score that a row is in. Splits are balanced by it."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """How one task differs from the other.

    Attributes:
        names: the setting that names the K outputs of the model.
        problem_type: what config.json says, so that clients know what the outputs are.
        chooses: the metric that chooses the checkpoint by default.
        shown: metrics on the console beside the losses, and their titles.
        curves: figures of learning_curves.png, as Trainer logs them, and their titles: a loss, then two metrics.
        strata: labels of the rows; empty where the labels are the classes.
    """

    names: Literal["classes", "scores"]
    problem_type: Literal["single_label_classification", "regression"]
    chooses: str
    shown: dict[str, str]
    curves: dict[str, str]
    strata: tuple[str, ...] = ()


TASKS: dict[str, Task] = {
    "classification": Task(
        names="classes",
        problem_type="single_label_classification",
        chooses="accuracy",
        shown={"accuracy": "accuracy", "macro_f1": "macro F1"},
        curves={"eval_nll": "validation NLL", "eval_accuracy": "accuracy", "eval_macro_f1": "macro F1"},
    ),
    "regression": Task(
        names="scores",
        problem_type="regression",
        chooses="ccc",
        shown={"ccc": "     CCC", "pearson": " Pearson"},
        curves={"eval_loss": "validation loss", "eval_ccc": "CCC", "eval_pearson": "Pearson"},
        strata=STRATA,
    ),
}


def is_scored(config: Mapping[str, Any]) -> bool:
    """Whether a model answers with scores, by its config.json."""
    return config.get("problem_type") == TASKS["regression"].problem_type


def kind_of_answer(config: Mapping[str, Any]) -> str:
    """What a model answers with, in one word for messages."""
    return "score" if is_scored(config) else "probability"


def answers(outputs: NDArray, config: Mapping[str, Any]) -> NDArray:
    """What clients answer for the outputs `(N, K)` of a model: probabilities of classes, or the scores themselves."""
    given: NDArray = np.asarray(outputs)
    return given if is_scored(config) else softmax(given, axis=-1)


def id_order(config: Mapping[str, Any]) -> list[str]:
    """The names in `id2label` of a config.json, in the order of the outputs."""
    return [config["id2label"][index] for index in sorted(config["id2label"], key=int)]


def spans(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """What differences of answers are divided by, from a config.json: a 1 for probabilities, `(K,)` ranges for scores.

    So one bound on the differences between clients serves for probabilities and for scores in any unit.
    """
    if not is_scored(config):
        return np.ones(1)
    names = id_order(config)
    ranges = config.get("score_ranges") or {}
    ends = np.array([ranges.get(name, (0.0, 1.0)) for name in names], dtype=np.float64)
    return ends[:, 1] - ends[:, 0]
