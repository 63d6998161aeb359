"""Class shares of unlabelled pictures, from scores that are first made chances of a label.

EM (`class_shares.estimate`) needs scores that are calibrated to labels, class by class. Scores of a model of votes are
not. So a factor for all classes and a summand for each are fitted to the labels of the run's validation rows
(bias-corrected temperature scaling: Alexandari, Kundaje and Shrikumar 2020, arXiv:1901.06852). They are used for the
estimate only: the scores of the model stay what they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from pipeline import class_shares
from pipeline.class_shares import Shares
from pipeline.errors import InputError
from pipeline.evaluation.per_row import Floats
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.row_sets import row_sets

LEAST_OF_A_CLASS = 10
"""Validation rows that a class must have."""
DRAWS, DRAWN = 40, 3_000
"""Bootstrap draws of an interval, and the most pictures in each."""
WIDE = 0.05
"""An interval that reaches farther than this from the estimate is named."""
FLOOR = 1e-12


@dataclass(frozen=True)
class Estimate:
    """Estimated class shares `(K,)` with 95 % intervals over validation rows and pictures."""

    shares: Shares
    low: Floats
    high: Floats

    def doubt(self, classes: list[str]) -> str:
        """The classes whose share is not known to within `WIDE`, in one line; "" if there are none."""
        wide = np.maximum(self.high - self.shares, self.shares - self.low) > WIDE
        named = [f"{classes[k]} {self.low[k]:.2f} to {self.high[k]:.2f}" for k in np.flatnonzero(wide)]
        if not named:
            return ""
        return (
            f"too few rows to know these shares to within {WIDE:g}: {', '.join(named)} (95 % intervals): "
            "give shares that you know, if you do"
        )


@dataclass(frozen=True)
class LabelledScores:
    """Logits `(N, K)` and labels `(N,)` of validation rows that a model was not trained on."""

    logits: NDArray
    label: NDArray[np.int32]

    @classmethod
    def of(cls, own: Predictions, name: str) -> "LabelledScores":
        """Those of a run; `name` says which in errors.

        Raises:
            InputError: the run has no validation rows, or too few of a class.
        """
        held = row_sets(own)["validation"].held if "validation" in own.split else np.zeros(len(own.split), bool)
        counts = np.bincount(own.label[held], minlength=len(own.classes))
        if few := [f"{own.classes[k]} {counts[k]}" for k in np.flatnonzero(counts < LEAST_OF_A_CLASS)]:
            raise InputError(
                f"class_shares estimate needs at least {LEAST_OF_A_CLASS} validation rows of each class; {name} has "
                f"{', '.join(few)}: give uniform, or shares that you know"
            )
        return cls(own.logits[held], own.label[held])

    def estimate(self, logits: NDArray, seed: int = 0) -> Estimate:
        """The class shares of unlabelled pictures, from their logits (N, K) by the same model.

        Raises:
            InputError: as `class_shares.estimate`.
        """
        shares = self.shares(logits)
        random, drawn = np.random.default_rng(seed), []
        for _ in range(DRAWS):
            rows = random.integers(len(self.label), size=len(self.label))
            seen = random.integers(len(logits), size=min(len(logits), DRAWN))
            drawn.append(LabelledScores(self.logits[rows], self.label[rows]).shares(logits[seen]))
        reach = 1.96 * np.std(drawn, axis=0, ddof=1)
        return Estimate(shares, (shares - reach).clip(0), (shares + reach).clip(None, 1))

    def shares(self, logits: NDArray) -> Shares:
        """The shares of `estimate` without intervals."""
        factor, summand = fit_to_labels(self.logits, self.label)
        assumed = softmax(self.logits * factor + summand, axis=1).mean(0)
        return class_shares.estimate(softmax(logits * factor + summand, axis=1), assumed)


def fit_to_labels(logits: NDArray, label: NDArray) -> tuple[float, Floats]:
    """The factor, and the summand of each class `(K,)`, with the lowest NLL to the labels (N,) of logits (N, K).

    NLL is convex in them, so L-BFGS finds the only minimum. A summand is kept near 0 by a penalty as small as that of
    one row in all, because a class without rows would have none that is finite.
    """
    scores, k = logits.astype(np.float64), logits.shape[1]
    wanted, weak = np.eye(k)[label], 1 / len(label)

    def loss(both: Floats) -> tuple[float, Floats]:
        scaled = scores * both[0] + both[1:]
        apart = softmax(scaled, axis=1) - wanted
        slope = np.concatenate([[(apart * scores).sum(1).mean()], apart.mean(0) + weak * both[1:]])
        nll = -(wanted * log_softmax(scaled, axis=1)).sum(1).mean()
        return float(nll + weak * (both[1:] ** 2).sum() / 2), slope

    found = minimize(loss, np.r_[1.0, np.zeros(k)], jac=True, method="L-BFGS-B").x
    return float(found[0]), found[1:]


def logits_of(scores: NDArray) -> Floats:
    """Logits `(N, K)` that have these softmax scores `(N, K)`."""
    found: Floats = np.log(np.maximum(np.asarray(scores, dtype=np.float64), FLOOR))
    return found
