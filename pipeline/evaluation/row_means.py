"""Metrics that are the mean of one number a row: the numbers, and the bootstrap of their mean."""

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.per_row import Floats, probabilities
from pipeline.evaluation.roc import Resampled


def among_two_highest(logits: NDArray, label: NDArray) -> Floats:
    """1 where the label's logit is among the two largest, else 0; of equal ones the first classes count as larger."""
    highest = np.argsort(-np.asarray(logits), axis=1, kind="stable")[:, :2]
    return (highest == np.asarray(label)[:, None]).any(1).astype(np.float64)


def squared_error(logits: NDArray, label: NDArray) -> Floats:
    """Brier score of each row, 0 to 2: the squared distance of its softmax to the label (Brier 1950)."""
    error = probabilities(logits)
    error[np.arange(len(label)), label] -= 1
    summed: Floats = np.square(error).sum(1)
    return summed


def resampled_mean(of_row: Floats) -> Resampled:
    """The mean of numbers (N,) on resamples."""
    return lambda times: (times @ of_row) / times.sum(1)
