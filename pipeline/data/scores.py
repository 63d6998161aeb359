"""Scores of pictures: from cells of a table to numbers, what is refused, and the strata that splits are balanced by."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.task import STRATA

NO_SCORE = "no score"  # a reason in `Source.left_out`
NUMBER = re.compile(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?\s*", re.I)
OF_AFFECTNET, UNKNOWN = ("valence", "arousal"), -2
LARGEST = 1e6  # float32 keeps seven digits, so that a larger number would not come back as it was


class Scored(NamedTuple):
    """What N rows of cells hold."""

    strata: np.ndarray  # (N,) int64, index into STRATA, -1 where the row is dropped
    scores: np.ndarray  # (N, K) float32, 0 where the row is dropped
    reasons: np.ndarray  # (N,) object, "" where the row stays, else why it is dropped


def scores_of(rows: Sequence[Sequence[str | float | None]], recipe: Recipe, place: Callable[[int], str]) -> Scored:
    """The scores in N rows of K cells, in the order of `recipe.scores`; a row with an empty cell is dropped.

    Args:
        rows: cells as text or numbers; None and "" are empty.
        recipe: names the scores and their ranges.
        place: names a row in messages.

    Raises:
        InputError: a cell is not a finite number, outside of `score_ranges`, or AffectNet's mark of an unknown score.
    """
    numbers = [[_number(cell, name, place, i) for cell, name in zip(row, recipe.scores, strict=True)]
               for i, row in enumerate(rows)]  # fmt: skip
    scores = np.array(numbers, dtype=np.float64).reshape(len(rows), len(recipe.scores))
    held: np.ndarray = np.asarray(~np.isnan(scores).any(axis=1))
    for k, name in enumerate(recipe.scores):
        _refuse_outside(scores[:, k], name, recipe.score_ranges.get(name), place)
        _refuse_mark(scores[:, k], name, place)
    reasons = np.where(held, "", NO_SCORE).astype(object)
    scores = np.where(held[:, None], scores, 0).astype(np.float32)
    return Scored(np.where(held, strata(scores, held, recipe), -1), scores, reasons)


def _number(cell: str | float | None, name: str, place: Callable[[int], str], row: int) -> float:
    """The number in a cell, NaN for an empty one."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return np.nan
    if isinstance(cell, str) and not NUMBER.fullmatch(cell):
        comma = ", with a point and not a comma" if isinstance(cell, str) and "," in cell else ""
        raise InputError(
            f"{place(row)}: {name} is {cell!r}, which is not a number: write a number{comma}, or leave the cell empty "
            "where the score is unknown"
        )
    number = float(cell)
    if not np.isfinite(number) or abs(number) > LARGEST:
        raise InputError(
            f"{place(row)}: {name} is {cell!r}; a score is a number from {-LARGEST:g} to {LARGEST:g}: correct it, or "
            "leave the cell empty where the score is unknown"
        )
    return number


def _refuse_outside(scores: np.ndarray, name: str, ends: Any, place: Callable[[int], str]) -> None:
    if ends is None:
        return
    outside = np.flatnonzero((scores < ends[0]) | (scores > ends[1]))
    if len(outside):
        row = int(outside[0])
        raise InputError(
            f"{place(row)}: {name} is {scores[row]:g}, outside of its range from {ends[0]:g} to {ends[1]:g} "
            f"({len(outside):,} such rows): correct the rows, or score_ranges"
        )


def _refuse_mark(scores: np.ndarray, name: str, place: Callable[[int], str]) -> None:
    """Stop at AffectNet's -2 in somebody's own table: as a number it would be the lowest valence that there is."""
    marked, others = np.flatnonzero(scores == UNKNOWN), scores[(scores != UNKNOWN) & ~np.isnan(scores)]
    if name.casefold() in OF_AFFECTNET and len(marked) and len(others) and np.abs(others).max() <= 1:
        raise InputError(
            f"{place(int(marked[0]))}: {name} is {UNKNOWN}, with which AffectNet marks an unknown score, and all the "
            f"others are from -1 to 1 ({len(marked):,} such rows): leave these cells empty"
        )


def refuse_constant(scores: np.ndarray, split: str, recipe: Recipe) -> None:
    """Stop if a score of the rows of a split, (N, K), is the same in every row.

    From such train rows nothing can be learned, and in such rows of another split the concordance is undefined.

    Raises:
        InputError: names the score.
    """
    effect = "nothing can be learned from it" if split == "train" else "its CCC is undefined"
    for k, name in enumerate(recipe.scores):
        if len(scores) and np.ptp(scores[:, k]) == 0:
            raise InputError(
                f"scores: {name} is {scores[0, k]:g} in every one of the {len(scores):,} {split} rows, so {effect}: "
                "take it out of scores, or add rows with other values"
            )


def refuse_unequal(scores: np.ndarray, person: np.ndarray, key: np.ndarray, recipe: Recipe) -> None:
    """Stop if rows of one person have different scores, although the score is the person's: a mean would hide it.

    Args:
        scores: (N, K).
        person: (N,) str, or None where the person is unknown.
        key: (N,) str, names the rows in the message.
        recipe: names the scores.

    Raises:
        InputError: names the first person, two of their rows, and how many such persons there are.
    """
    first: dict[str, int] = {}  # person -> their first row
    unlike: dict[str, tuple[int, int, int]] = {}  # person -> their first row, another one, and the score that differs
    for row, who in enumerate(person):
        if who is None:
            continue
        start = first.setdefault(who, row)
        different = np.flatnonzero(scores[row] != scores[start])
        if len(different):
            unlike.setdefault(who, (start, row, int(different[0])))
    if unlike:
        who, (one, other, k) = next(iter(unlike.items()))
        raise InputError(
            f"score_of is person, and {recipe.scores[k]} of the person {who!r} is {scores[one, k]:g} in {key[one]} and "
            f"{scores[other, k]:g} in {key[other]} ({len(unlike):,} such person{'' if len(unlike) == 1 else 's'}): "
            "correct the rows, or set --score_of picture if each picture has a score of its own"
        )


def strata(scores: np.ndarray, held: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The fifth of the range of the first score that each row is in, (N,) int64 in 0..4.

    Args:
        scores: (N, K).
        held: (N,) bool, the rows that have scores.
        recipe: may name the range; otherwise it is that of the rows.
    """
    first = scores[:, 0]
    low, high = recipe.score_ranges.get(recipe.scores[0]) or (
        (first[held].min(), first[held].max()) if held.any() else (0.0, 1.0)
    )
    share = (first - low) / max(float(high) - float(low), 1e-12)
    return np.clip((share * len(STRATA)).astype(np.int64), 0, len(STRATA) - 1)


def one_sided(scores: np.ndarray, recipe: Recipe) -> str:
    """Says that all of the validation scores, (N, K), are on one side of `screening_cut`; "" if they are not."""
    if recipe.screening_cut is None or len(set((scores[:, 0] >= recipe.screening_cut).tolist())) != 1:
        return ""
    who, lacks = ("nobody", "sensitivity") if scores[0, 0] < recipe.screening_cut else ("everybody", "specificity")
    return (
        f"screening_cut is {recipe.screening_cut:g}, and {who} of validation reaches it: {lacks} and AUC are undefined"
    )


def described(scores: np.ndarray, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Score -> its lowest, mean and highest value and its standard deviation in (N, K) scores, for `curation.json`."""
    ends = {"low": scores.min(0), "mean": scores.mean(0, dtype=np.float64), "high": scores.max(0),
            "sd": scores.std(0, dtype=np.float64)}  # fmt: skip
    return {name: {what: float(values[k]) for what, values in ends.items()} for k, name in enumerate(recipe.scores)}
