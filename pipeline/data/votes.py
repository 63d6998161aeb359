"""Raw FER+ votes to a label and a target: the rules `majority` and `plurality`.

Ten crowd votes a picture, in the order of FERPLUS_COLUMNS (Barsoum et al., arXiv:1608.01041,
https://github.com/microsoft/FERPlus).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.expressions import CLASSES, canonical

# In the order of fer2013new.csv.
FERPLUS_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "nf",
)

# Ten people voted on each picture; the published file has a row with nine.
VOTES_LOW, VOTES_HIGH = 8, 10

SPOKEN = {"nf": "not a face"}


class Labelled(NamedTuple):
    """What a label rule makes of N rows of votes."""

    labels: np.ndarray  # (N,) int64, index into classes, -1 where the row is dropped
    targets: np.ndarray  # (N, K) float32, rows sum to 1 (to 0 where no vote is for a class)
    reasons: np.ndarray  # (N,) object, "" where the row stays, else why it is dropped


def apply_label_rule(
    votes: np.ndarray,
    rule: str,
    classes: Sequence[str],
    class_map: Mapping[str, str | None] | None = None,
    keep_undecided: bool = False,
) -> Labelled:
    """Label and target of every row of `votes`, (N, 10) counts in the order of FERPLUS_COLUMNS.

    `majority`: votes of exactly 1 become 0, then the winner must hold more than half of the rest. `plurality`: the
    single highest count among the expressions; ties are dropped. Under both, a winner outside `classes` drops the row.
    Targets are the shares of the raw votes over `classes`. Columns that `class_map` sends to one class are added up.
    With `keep_undecided` a row without a majority, or with a tie, is kept if `classes` have votes. Its label is the
    class with the most votes, the first of equals.

    Raises:
        InputError: an unknown rule, or a `class_map` to a class that is not in `classes`.
    """
    columns, names = _candidates(classes, class_map)
    count = len(classes)
    if rule == "majority":
        winner, undecided = _majority(votes, columns)
    elif rule == "plurality":
        winner, undecided = _plurality(votes, columns, [i < count or name in CLASSES for i, name in enumerate(names)])
    else:
        raise InputError(f"label_rule is {rule!r}; it must be majority or plurality")
    shares = (votes @ columns[:, :count]).astype(np.float32)
    if keep_undecided:
        kept = (undecided != "") & (shares.sum(1) > 0)
        winner, undecided = np.where(kept, shares.argmax(1), winner), np.where(kept, "", undecided)
    outside = np.array([""] * count + [SPOKEN.get(name, name) for name in names[count:]], dtype=object)
    reasons = np.where(undecided != "", undecided, outside[winner])
    labels = np.where(reasons == "", winner, -1).astype(np.int64)
    return Labelled(labels, shares / np.maximum(shares.sum(1, keepdims=True), 1), reasons)


def _majority(votes: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The winner of every row, (N,) int, and why it is undecided, (N,) object, "" where it is not."""
    tally = np.where(votes == 1, 0, votes) @ columns
    return tally.argmax(1), np.where(2 * tally.max(1) > tally.sum(1), "", "no majority").astype(object)


def _plurality(votes: np.ndarray, columns: np.ndarray, eligible: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """As `_majority`; only the `eligible` columns can win."""
    tally = votes @ columns[:, eligible]
    best = tally.max(1)
    undecided = np.where((tally == best[:, None]).sum(1) > 1, "tie", "").astype(object)
    undecided[best == 0] = "no vote for an expression"
    return np.flatnonzero(eligible)[tally.argmax(1)], undecided


def _candidates(classes: Sequence[str], class_map: Mapping[str, str | None] | None) -> tuple[np.ndarray, list[str]]:
    """A (10, G) 0/1 matrix that adds columns up to `classes` (first K) and the columns outside, and the G names."""
    meanings = [canonical(column, classes, class_map) for column in FERPLUS_COLUMNS]
    names = [*classes, *(c for c, meaning in zip(FERPLUS_COLUMNS, meanings, strict=True) if meaning is None)]
    matrix = np.zeros((len(FERPLUS_COLUMNS), len(names)), dtype=np.int64)
    for row, (column, meaning) in enumerate(zip(FERPLUS_COLUMNS, meanings, strict=True)):
        matrix[row, list(classes).index(meaning) if meaning is not None else names.index(column, len(classes))] = 1
    return matrix, names


def check_votes(votes: np.ndarray, place: Callable[[int], str]) -> None:
    """Refuse votes that are impossible; `place` names a row in the message.

    Raises:
        InputError: a negative count, or a row whose counts do not sum to 8..10.
    """
    sums = votes.sum(1)
    wrong = np.flatnonzero((votes < 0).any(1) | (sums < VOTES_LOW) | (sums > VOTES_HIGH))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{place(row)}: votes {votes[row].tolist()} sum to {sums[row]}; expected ten counts, none negative, of "
            f"{VOTES_LOW} to {VOTES_HIGH} votes together ({len(wrong)} such rows): correct or remove them"
        )


def one_hot(labels: np.ndarray, count: int) -> np.ndarray:
    """Targets (N, `count`) float32 that hold 1 at the label; rows of label -1 are 0."""
    targets = np.zeros((len(labels), count), dtype=np.float32)
    kept = np.flatnonzero(labels >= 0)
    targets[kept, labels[kept]] = 1
    return targets
