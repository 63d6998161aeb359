"""Two studies on the same rows: the difference in accuracy, its confidence interval and its p value.

A row counts by the share of its seeds that are right: the answers of S seeds on one picture are alike, and count as one
row, not as S (clustered and paired as in Miller 2024, arXiv:2411.00640). The test is on the difference in each row:

- the p value is that of the exact paired randomisation test (Pitman 1937): if the recipes were equal, each row's
  difference would have either sign with the same probability. With one seed a side it is McNemar's exact test (1947);
- the interval is a 95 % percentile bootstrap over rows, as in `pipeline.evaluation.values`.

Both describe these trained models on other pictures. They contain what a seed changes in single rows, but not a seed
that is better on all rows: look at the range over seeds too.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from pipeline.evaluation.values import INTERVAL
from pipeline.studies.study import Study, refuse_other_rows


@dataclass(frozen=True)
class Difference:
    """Accuracy (or the recall of a class) of one study less that of another, on `n` rows."""

    n: int
    value: float
    low: float
    high: float
    p: float


def compare(ours: Study, theirs: Study, name: str | None = None) -> Difference:
    """Ours less theirs on all rows, or on the rows of the class `name`: then it is the difference of the recalls.

    Raises:
        InputError: the two do not have the same rows.
    """
    refuse_other_rows(ours, theirs, "the two studies")
    held = np.full(len(ours.label), True) if name is None else ours.label == ours.classes.index(name)
    return paired_difference(ours.right[:, held], theirs.right[:, held], ours.resamples, ours.seeds[0])


def paired_difference(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], resamples: int, seed: int) -> Difference:
    """The difference of the means of (S, N) and (T, N) answers, right or not, on the same N rows.

    A resample draws how often each difference occurs, not row by row: there are few different ones.
    """
    scale, n = len(ours) * len(theirs), ours.shape[1]
    points = len(theirs) * ours.sum(0, dtype=np.int64) - len(ours) * theirs.sum(0, dtype=np.int64)
    distinct, counts = np.unique(points, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples) @ distinct / (n * scale)
    tail = 50 * (1 - INTERVAL)
    low, high = np.percentile(drawn, (tail, 100 - tail))
    return Difference(n, float(points.mean() / scale), float(low), float(high), sign_flip_p(points))


def sign_flip_p(points: NDArray[np.int64]) -> float:
    """Probability that whole numbers (N,) sum to as far from 0 as they do, or farther, if each sign is a coin toss.

    Exact: the rows of one size m are m times a binomial, and the distribution of the sum is the convolution of these.
    """
    sizes, counts = np.unique(np.abs(points[points != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    unit = gcd(*sizes.tolist())
    chances = np.ones(1)  # of the sums -reach, ..., reach, in units
    for size, count in zip((sizes // unit).tolist(), counts.tolist(), strict=True):
        tossed = np.zeros(2 * size * count + 1)
        tossed[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, tossed)
    reach = len(chances) // 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(points.sum())) // unit
    return min(1.0, float(chances[far].sum()))
