"""Answering only what is sure: the accuracy of the answers that remain, by the lowest score that is answered.

The risk-coverage curve of El-Yaniv and Wiener 2010 and Geifman and El-Yaniv 2017 (arXiv:1705.08500), with the highest
score as confidence.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.evaluation.per_row import Floats, confidence
from pipeline.evaluation.values import INTERVAL

ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Shares of the rows that are answered, in evaluation.json."""


def risk_coverage(logits: NDArray, label: NDArray) -> tuple[Floats, Floats]:
    """Share of rows answered, and share of wrong answers among them, from one row to all: logits (N, K) -> (N,), (N,).

    The surest rows come first.
    """
    surest_first = np.argsort(-confidence(logits), kind="stable")
    wrong = (logits.argmax(1) != label)[surest_first]
    answered = np.arange(1, len(label) + 1)
    return answered / len(label), wrong.cumsum() / answered


def thresholds(logits: NDArray, label: NDArray) -> list[dict[str, Any]]:
    """For some shares of answered rows: the threshold, the rows it answers, and their accuracy with an exact interval.

    `not_sure_below` is the setting of that name in the server and in `hub.predict`; rows with this very score are
    answered. A share that the scores do not separate from the one before is left out.
    """
    sure, right = confidence(logits), logits.argmax(1) == label
    found: list[dict[str, Any]] = []
    for share in ANSWERED:
        below = float(np.sort(sure)[len(sure) - max(1, round(share * len(sure)))]) if share < 1 else 0.0
        held = sure >= below
        rows, correct = int(held.sum()), int(right[held].sum())
        if found and rows == found[-1]["rows"]:
            continue
        ends = binomtest(correct, rows).proportion_ci(INTERVAL)
        accuracy = {"value": correct / rows, "low": float(ends.low), "high": float(ends.high)}
        found.append({"not_sure_below": below, "answered": rows / len(sure), "rows": rows, "accuracy": accuracy})
    return found
