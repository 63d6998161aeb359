"""A model's own classes become the classes of the evaluation, and its scores become logits of these.

Names are matched as labels of data are (`pipeline.expressions`): `angry` is anger. A class outside, such as contempt,
is dropped, and the rest of each row is scaled to sum to 1. A class that the model lacks gets the probability `FLOOR`:
its rows stay in n, and count as wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pipeline.errors import InputError
from pipeline.evaluation.per_row import Floats
from pipeline.expressions import UnknownClass, canonical, plain

Kind = Literal["logits", "probabilities"]

FLOOR = 1e-7
"""The least probability that counts: with 0, one row would make NLL and KL infinite."""
ROUNDING = 0.01
"""How far the probabilities of a row may sum from 1: files hold rounded numbers."""


@dataclass(frozen=True)
class Matched:
    """What the C outputs of a model are among the K `classes` of an evaluation.

    Attributes:
        classes: their K names.
        outputs: the C names as the model has them.
        column: for each of the K classes the output that is it, or -1.
    """

    classes: list[str]
    outputs: list[str]
    column: list[int]

    @property
    def dropped(self) -> list[str]:
        """Outputs that are none of the classes."""
        return [name for index, name in enumerate(self.outputs) if index not in self.column]

    @property
    def missing(self) -> list[str]:
        """Classes that are none of the outputs."""
        return [name for name, column in zip(self.classes, self.column, strict=True) if column < 0]

    @property
    def names(self) -> dict[str, str | None]:
        """Name of an output to its class; None if it is dropped."""
        of_column = {column: name for name, column in zip(self.classes, self.column, strict=True)}
        return {name: of_column.get(index) for index, name in enumerate(self.outputs)}

    def lines(self) -> list[str]:
        """What to print."""
        renamed = [f"{name} -> {of}" for name, of in self.names.items() if of and plain(name) != plain(of)]
        lines = [f"classes: {', '.join(renamed)}"] if renamed else []
        if self.dropped:
            lines.append(f"classes: {', '.join(self.dropped)} dropped; the scores of the others are scaled to sum to 1")
        if self.missing:
            lines.append(
                f"classes: the model has no {', '.join(self.missing)}; these rows stay in n and count as wrong "
                f"(probability {FLOOR:g})"
            )
        return lines


def match(outputs: Sequence[str], classes: Sequence[str], where: str, cure: str) -> Matched:
    """Which class each output is; `where` begins messages, and `cure` says how to name the outputs otherwise.

    Raises:
        InputError: a name cannot be matched, two outputs are one class, or fewer than two classes are left.
    """
    column = [-1] * len(classes)
    for index, name in enumerate(outputs):
        try:
            found = canonical(name, classes)
        except UnknownClass:
            raise InputError(
                f"{where}: its class {name!r} is none of {', '.join(classes)}, and no usual name of one; {cure}"
            ) from None
        if found is None:
            continue
        place = list(classes).index(found)
        if column[place] >= 0:
            raise InputError(f"{where}: its classes {outputs[column[place]]!r} and {name!r} are both {found}; {cure}")
        column[place] = index
    if sum(place >= 0 for place in column) < 2:
        raise InputError(
            f"{where}: of its classes ({', '.join(outputs)}) fewer than two are among {', '.join(classes)}; {cure}"
        )
    return Matched(list(classes), list(outputs), column)


@dataclass(frozen=True)
class Scored:
    """Logits (N, K) float32, and the positions of rows whose whole probability is on dropped classes."""

    logits: NDArray[np.float32]
    outside: list[int]

    def lines(self) -> list[str]:
        """What to print."""
        if not self.outside:
            return []
        return [f"scores: {len(self.outside):,} rows have all of their score on dropped classes; each class gets 1/K"]


def to_logits(scores: NDArray[Any], kind: Kind, matched: Matched, rows: Sequence[str], where: str) -> Scored:
    """Logits of the classes from the scores (N, C) of a model; `rows` are N names of rows for messages.

    Logits stay as they are where every class has an output, so figures are those of the model itself.

    Raises:
        InputError: a score is not finite, or probabilities are negative or do not sum to 1.
    """
    scores = np.asarray(scores, dtype=np.float32 if kind == "logits" else np.float64)
    if len(bad := np.flatnonzero(~np.isfinite(scores).all(1))):
        raise InputError(f"{where}: {rows[bad[0]]} has a score that is not a finite number ({len(bad):,} such rows)")
    if kind == "probabilities":
        return _of_probabilities(scores, matched, rows, where)
    present = [place for place, column in enumerate(matched.column) if column >= 0]
    logits = np.empty((len(scores), len(matched.classes)), dtype=np.float32)
    logits[:, present] = scores[:, [matched.column[place] for place in present]]
    if matched.missing:
        floor = logsumexp(logits[:, present], axis=1) + np.log(FLOOR)
        logits[:, [place for place, column in enumerate(matched.column) if column < 0]] = floor[:, None]
    return Scored(logits, [])


def refuse_probabilities(scores: NDArray[Any], where: str, cure: str) -> None:
    """Refuse scores (N, C) that are called logits and are probabilities: only accuracy would be right.

    Raises:
        InputError: no score is below 0, and every row sums to 1; `cure` says what to type.
    """
    if (scores >= 0).all() and (np.abs(scores.sum(1) - 1) <= ROUNDING).all():
        raise InputError(f"{where}: all {len(scores):,} rows sum to 1 and no score is below 0, so these are "
                         f"probabilities and not logits: {cure}")  # fmt: skip


def _what_else(scores: Floats) -> str:
    """Name the kind of scores that are not probabilities, as far as their values show it."""
    if (scores >= 0).all() and (np.abs(scores.sum(1) - 100) <= 100 * ROUNDING).all():
        return "these are percentages: divide them by 100"
    if (scores < 0).any() or (scores > 1 + ROUNDING).any():
        return "logits are named as such with --scores_are logits, or `outputs: logits` in the yaml of an ONNX file"
    return "give a column for every class of the model, and do not round to less than three digits"


def _of_probabilities(scores: Floats, matched: Matched, rows: Sequence[str], where: str) -> Scored:
    sums = scores.sum(1)
    wrong = np.flatnonzero((scores < 0).any(1) | (np.abs(sums - 1) > ROUNDING))
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            f"{where}: the scores of {rows[first]} sum to {sums[first]:.4g}, the least is {scores[first].min():.4g} "
            f"({len(wrong):,} such rows); probabilities of all classes of the model are none below 0 and sum to 1; "
            f"{_what_else(scores)}"
        )
    columns = np.array(matched.column)
    shares = np.where(columns >= 0, scores[:, columns], 0.0)
    left = shares.sum(1, keepdims=True)
    outside = np.flatnonzero(left[:, 0] <= 0)
    shares = np.where(left > 0, shares / np.where(left > 0, left, 1), 1 / len(columns))
    return Scored(np.log(np.maximum(shares, FLOOR)).astype(np.float32), outside.tolist())
