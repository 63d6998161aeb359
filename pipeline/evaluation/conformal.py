"""Conformal sets: every answer that a face may have, in place of the best one, right with a stated probability.

A set holds the classes whose score reaches a threshold. The threshold comes from other rows, so that a set of a new
picture holds what it must with at least the probability asked for, whatever the model (Vovk et al. 2005; Sadinle et al.
2019, arXiv:1609.00451). Two kinds: sets that hold the label, and sets that hold every answer that at least two of ten
people gave. The quantile is that of crepes (`pip install crepes`), without smoothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.errors import InputError
from pipeline.evaluation.calibration import FOLDS
from pipeline.evaluation.per_row import Floats, probabilities
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.row_sets import most_important, row_sets
from pipeline.evaluation.values import INTERVAL

LEAST_VOTES = 0.2
"""An answer that two of ten people gave."""
ROUNDING = 1e-6  # of shares in float32
INSTALL = "--sets needs another package: pip install crepes"
OF_LABEL, OF_PEOPLE = "the label", "every answer of 2 in 10 people"

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Sets:
    """Sets that are to hold `of`, on N rows.

    Attributes:
        held: which of the K classes the set of each row holds, (N, K); no row had a part in its own threshold.
        threshold: the least score in a set of a new picture, from all rows that thresholds come from.
    """

    of: str
    held: Bools
    threshold: float


def check_coverage(coverage: float, name: str = "--sets") -> None:
    """Refuse what is not a probability that sets can have.

    Raises:
        InputError: `coverage` is not above 0 and below 1; `name` says what the setting is called.
    """
    if not 0 < coverage < 1:
        raise InputError(f"{name} is {coverage:g}; it must be above 0 and below 1, such as 0.9")


def require_crepes() -> None:
    """Refuse before anything is read where crepes is not installed.

    Raises:
        InputError: it is not, or does not load.
    """
    try:
        import crepes  # noqa: F401 (whether it is there)
    except ImportError:
        raise InputError(INSTALL) from None


def threshold_of(scores: Floats, needed: Bools, coverage: float) -> float:
    """The least score of a class in a set, from the scores and what sets must hold of the same rows, both (N, K).

    A row is as strange as the lowest score among the classes that its set must hold is low.

    Raises:
        InputError: too few rows: not even sets of all classes would be sure enough.
    """
    from crepes import ConformalClassifier

    least = math.ceil(round(1 / (1 - coverage), 9)) - 1
    if len(scores) < least:
        raise InputError(f"--sets {coverage:g} needs at least {least:,} rows to choose a threshold; there are "
                         f"{len(scores):,}")  # fmt: skip
    lowest = np.where(needed, scores, 1.0).min(1)
    classifier = ConformalClassifier()
    classifier.fit(1 - lowest)
    inside = classifier.predict_set(1 - lowest[:, None], confidence=coverage, smoothing=False)[:, 0] > 0
    return float(lowest[inside].min())


def needed_of(predictions: Predictions) -> dict[str, Bools]:
    """What sets must hold of every row, (N, K), by the kind of sets; those of people only where rows have votes."""
    label = np.eye(len(predictions.classes), dtype=bool)[predictions.label]
    if not (predictions.target.max(1) < 1 - ROUNDING).any():
        return {OF_LABEL: label}
    return {OF_LABEL: label, OF_PEOPLE: predictions.target >= LEAST_VOTES - ROUNDING}


def sets_of(predictions: Predictions, coverage: float) -> tuple[str, Bools, list[Sets]]:
    """The sets of the most important row set: its name, which of the N rows it holds, and the sets of each kind.

    Thresholds come from validation rows. Where these are the rows themselves, or where there are none, each fifth of
    the rows has the threshold of the other four.

    Raises:
        InputError: the model answers with scores, as `check_coverage` and `require_crepes`, or too few rows.
    """
    if not predictions.classes:
        raise InputError("--sets is for models of classes, and this one answers with scores: leave it out")
    check_coverage(coverage)
    require_crepes()
    by_name = row_sets(predictions)
    name = most_important(by_name)
    rows = by_name[name].held
    apart = "validation" in by_name and name != "validation"
    fitted = by_name["validation"].held if apart else rows
    scores, found = probabilities(predictions.logits), []
    for of, needed in needed_of(predictions).items():
        threshold = threshold_of(scores[fitted], needed[fitted], coverage)
        least = np.full(int(rows.sum()), threshold)
        if not apart:
            least = _cross_fitted(scores[rows], needed[rows], coverage, predictions.seed)
        found.append(Sets(of, scores[rows] >= least[:, None], threshold))
    return name, rows, found


def _cross_fitted(scores: Floats, needed: Bools, coverage: float, seed: int) -> Floats:
    """The threshold of each row `(N,)`, from the rows of the other folds."""
    fold = np.random.default_rng(seed).permutation(len(scores)) % FOLDS
    least = np.empty(len(scores))
    for each in range(FOLDS):
        least[fold == each] = threshold_of(scores[fold != each], needed[fold != each], coverage)
    return least


def set_figures(predictions: Predictions, coverage: float) -> dict[str, Any]:
    """How often the sets of the most important rows hold the label and every answer of two in ten people.

    Shares have exact intervals. `by_class` is how often the set holds the label, for the rows of each class.

    Raises:
        InputError: as `sets_of`.
    """
    name, rows, found = sets_of(predictions, coverage)
    label = predictions.label[rows]
    needed = {of: all_of[rows] for of, all_of in needed_of(predictions).items()}
    kinds: dict[str, Any] = {}
    for sets in found:
        holds = {of: np.asarray((sets.held | ~must).all(1)) for of, must in needed.items()}
        kinds[sets.of] = {
            "threshold": sets.threshold,
            "holds": {of: _share(each) for of, each in holds.items()},
            "classes_in_a_set": float(sets.held.sum(1).mean()),
            "one_class": _share(np.asarray(sets.held.sum(1) == 1)),
            "empty": int((~sets.held.any(1)).sum()),
            "by_class": {
                of: _share(holds[OF_LABEL][label == k]) for k, of in enumerate(predictions.classes) if k in label
            },
        }
    return {"rows": name, "n": len(label), "coverage": coverage, "sets": kinds}


def _share(held: Bools) -> dict[str, float]:
    ends = binomtest(int(held.sum()), len(held)).proportion_ci(INTERVAL)
    return {"value": float(held.mean()), "low": float(ends.low), "high": float(ends.high), "n": len(held)}


def lines_of(figures: Mapping[str, Any]) -> list[str]:
    """What the terminal shows of `set_figures`."""
    lines = [f"sets with a coverage of {figures['coverage']:g}, {figures['n']:,} {figures['rows']} rows"]
    for held, sets in figures["sets"].items():
        lines.append(f"sets that hold {held}: all classes with a score of at least {sets['threshold']:.4f}")
        lines += [f"  hold {each}: {_words(share)}" for each, share in sets["holds"].items()]
        lines.append(
            f"  {sets['classes_in_a_set']:.2f} classes in a set on average; one class only: {_words(sets['one_class'])}"
            + (f"; empty: {sets['empty']:,} sets" if sets["empty"] else "")
        )
        lines += [f"  label held, {name} (n {of['n']:,}): {_words(of)}" for name, of in sets["by_class"].items()]
    if OF_PEOPLE not in figures["sets"]:
        lines.append("no row has votes, so nothing is known of what several people answered")
    return lines


def _words(share: Mapping[str, float]) -> str:
    return f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}]"
