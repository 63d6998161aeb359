"""What each row adds to a metric: the arithmetic that the metric modules and their bootstrap share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, log_softmax, softmax

BINS = 15
"""Equal-width bins of confidence for the calibration error, as in Guo et al. 2017."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the n rows of each of R sets (n an int, or (R,) of them); most metrics are a function of them.

    `hits`, `labelled` and `predicted` (R, K) count the rows of each class that are right, have its label, and are
    predicted as it. `gaps` (R, BINS) holds the summed calibration gaps of each bin of confidence. `nll`, `kl` and
    `agreement` (R,) are sums of a row's NLL, its KL and the share of its voters who chose its label.
    """

    n: int | NDArray[np.int64]
    hits: Floats
    labelled: Floats
    predicted: Floats
    gaps: Floats
    nll: Floats
    kl: Floats
    agreement: Floats


def summands(logits: NDArray, label: NDArray, target: NDArray) -> Floats:
    """What each of N rows adds to `Sums`, side by side in the order of its fields: (N, 3 * K + BINS + 3)."""
    n, k = logits.shape
    rows, predicted = np.arange(n), logits.argmax(1)
    one_hot = np.eye(k)
    hits = one_hot[label] * (predicted == label)[:, None]
    gaps = np.zeros((n, BINS))
    gaps[rows, confidence_bin(logits)] = calibration_gap(logits, label)
    means = (cross_entropy(logits, target), divergence(logits, target), target[rows, label])
    return np.concatenate([hits, one_hot[label], one_hot[predicted], gaps, np.stack(means, axis=1)], axis=1)


def sums_of(totals: Floats, n: int | NDArray[np.int64], k: int) -> Sums:
    """The added `summands` of R sets of n rows each: (R, 3 * K + BINS + 3)."""
    hits, labelled, predicted, gaps, means = np.split(totals, (k, 2 * k, 3 * k, 3 * k + BINS), axis=1)
    return Sums(n, hits, labelled, predicted, gaps, nll=means[:, 0], kl=means[:, 1], agreement=means[:, 2])


def cross_entropy(logits: NDArray, target: NDArray) -> Floats:
    """Cross-entropy of each row's softmax to its vote shares: (N, K), (N, K) -> (N,), in nats."""
    return -(np.asarray(target, dtype=np.float64) * log_softmax(np.asarray(logits, dtype=np.float64), axis=1)).sum(1)


def divergence(logits: NDArray, target: NDArray) -> Floats:
    """Kullback-Leibler divergence of each row from its vote shares to its softmax: (N, K), (N, K) -> (N,), in nats."""
    return cross_entropy(logits, target) - entr(np.asarray(target, dtype=np.float64)).sum(1)


def probabilities(logits: NDArray) -> Floats:
    """Softmax of each row in float64: (N, K) -> (N, K)."""
    shares: Floats = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return shares


def confidence(logits: NDArray) -> Floats:
    """Probability of each row's predicted class: (N, K) -> (N,)."""
    return probabilities(logits).max(1)


def confidence_bin(logits: NDArray, bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each row's confidence, 0 to `bins` - 1; bin b holds b / bins < confidence <= (b + 1) / bins."""
    return np.digitize(confidence(logits), np.linspace(0, 1, bins + 1)[1:-1], right=True)


def calibration_gap(logits: NDArray, label: NDArray) -> Floats:
    """1 where the prediction is the label, else 0, less the confidence: (N, K), (N,) -> (N,).

    The calibration error is the sum over bins of the absolute value of the bin's summed gaps, divided by N.
    """
    return (logits.argmax(1) == label) - confidence(logits)
