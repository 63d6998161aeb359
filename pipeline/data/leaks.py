"""Find what splits have in common, copies of a picture or a person, and apply the setting `leaks`.

A figure on rows that the model was trained on says nothing about new pictures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.rows import Rows
from pipeline.data.table import SPLITS
from pipeline.errors import InputError

KEYS_SHOWN = 3


class Pair(NamedTuple):
    """Two splits: rows of `shown` are counted that `held` has too."""

    shown: str
    held: str

    @property
    def name(self) -> str:
        """As `curation.json` names it, such as `test_in_train`."""
        return f"{self.shown}_in_{self.held}"


VALIDATION_IN_TRAIN = Pair("validation", "train")
PAIRS = (Pair("test", "train"), VALIDATION_IN_TRAIN, Pair("test", "validation"))

Marks = dict[Pair, np.ndarray]  # (N,) bool over all rows
KnownMarks = Mapping[Pair, np.ndarray | None]  # None: nobody can know, as no person is known in one of the splits


@dataclass(frozen=True)
class Copies:
    """Rows of one split that show a picture of another.

    Attributes:
        exact: equal pixels.
        near: the same picture after a change of size, file, colour, framing or light; exact copies count too. None if
            the recipe skips the search.
    """

    exact: Marks
    near: Marks | None

    def to_json(self) -> dict[str, Any]:
        """Rows by kind and pair of splits, for `curation.json`; 0 for a split that is not there."""
        none: dict[str, int | None] = {pair.name: 0 for pair in PAIRS}
        near = None if self.near is None else none | _counts(self.near)
        return {"exact": none | _counts(self.exact), "near": near}


@dataclass(frozen=True)
class Leaks:
    """What the setting `leaks` was applied to, and what followed.

    Attributes:
        rule: the setting.
        found: kind of leak, such as `exact copy` -> rows; None for persons of two splits of which nobody is known.
        two_labels: rows whose picture has another label elsewhere, (N,) bool.
        near_two_labels: rows of which only a near copy has another label, (N,) bool; None without the search.
        keys: of every row, (N,) str.
        dropped: train rows that are left out because of the rule, (N,) bool.
        split: of every row, (N,) str.
    """

    rule: str
    found: Mapping[str, KnownMarks]
    two_labels: np.ndarray
    near_two_labels: np.ndarray | None
    keys: np.ndarray
    dropped: np.ndarray
    split: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Numbers of rows, for `curation.json`; null where nobody can know."""
        near = self.near_two_labels
        first = [] if near is None else self.keys[near][:KEYS_SHOWN].tolist()
        return {
            "rule": self.rule,
            "found": {kind: _counts(marks) for kind, marks in self.found.items()},
            "two_labels": self._by_split(self.two_labels),
            "near_copies_two_labels": None if near is None else self._by_split(near) | {"first": first},
            "dropped_from_train": int(self.dropped.sum()),
        }

    def _by_split(self, marks: np.ndarray) -> dict[str, int]:
        return {split: int(marks[self.split == split].sum()) for split in SPLITS if split in self.split}


def find_copies(rows: Rows, near_copies: bool) -> Copies:
    """The copies across splits; `near_copies`: whether they were searched for."""
    return Copies(shared(rows.pixels, rows.split), shared(rows.picture, rows.split) if near_copies else None)


def shared(value: np.ndarray, split: np.ndarray) -> Marks:
    """Rows whose `value` a row of another split has too, for each pair of splits that are there.

    Args:
        value: (N,) what two splits must not share, such as a pixel hash or a person. None matches nothing.
        split: (N,) str.
    """
    pairs = [pair for pair in PAIRS if pair.shown in split and pair.held in split]
    return {pair: (split == pair.shown) & _among(value, value[split == pair.held]) for pair in pairs}


def shared_persons(person: np.ndarray, split: np.ndarray) -> KnownMarks:
    """`shared` for persons; None, not a count of 0, for a pair of splits if no person is known in one of them."""
    known = {name: known_persons(person[split == name]) > 0 for name in dict.fromkeys(split)}
    marks = shared(person, split)
    return {pair: rows if known[pair.shown] and known[pair.held] else None for pair, rows in marks.items()}


def contradicted(pixels: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Rows, (N,) bool, whose `pixels` stand under another `label` elsewhere, in any split or source."""
    group = np.unique(pixels.astype(str), return_inverse=True)[1]
    lowest, highest = np.full(group.max() + 1, label.max()), np.full(group.max() + 1, label.min())
    np.minimum.at(lowest, group, label)
    np.maximum.at(highest, group, label)
    return (lowest != highest)[group]


def judge(rows: Rows, copies: Copies, rule: str, not_searched: str = "") -> Leaks:
    """Apply `rule`, the setting `leaks`, to what splits have in common and to pictures with two labels.

    Args:
        rows: all rows, with their splits.
        copies: what `find_copies` found of them.
        rule: the setting.
        not_searched: curated folders whose near copies leak because their splits were made without the search.

    Raises:
        InputError: something leaks, and the rule is `error`.
    """
    near = {} if copies.near is None else {"near copy": copies.near}
    found: dict[str, KnownMarks] = {
        "exact copy": copies.exact,
        **near,
        "person": shared_persons(rows.person, rows.split),
    }
    two_labels = contradicted(rows.pixels, rows.answer)
    near_two_labels = None if copies.near is None else contradicted(rows.picture, rows.label) & ~two_labels
    if rule == "error":
        _refuse_leaks(rows, found, not_searched)
        _refuse_two_labels(rows, two_labels)
    dropped = np.zeros(len(rows), dtype=bool)
    if rule == "drop_from_train":
        train = rows.split == "train"
        dropped = two_labels | _among(rows.pixels, rows.pixels[~train]) | _among(rows.person, rows.person[~train])
        if copies.near is not None:
            dropped |= _among(rows.picture, rows.picture[~train])
        dropped &= train
    return Leaks(rule, found, two_labels, near_two_labels, rows.key, dropped, rows.split)


def refuse_shared_persons(rows: Rows) -> None:
    """Stop where one person is in two splits, whatever the setting `leaks` says.

    A score that belongs to a person, such as a questionnaire's, is known as soon as the person is.

    Raises:
        InputError: names the splits and the first rows.
    """
    for pair, marks in shared_persons(rows.person, rows.split).items():
        if marks is not None and marks.any():
            drop = ", or add --leaks drop_from_train to leave such persons out of train" if pair.held == "train" else ""
            raise InputError(
                f"persons of {pair.held} are in {_rows(marks)} of {pair.shown} too, the first "
                f"{', '.join(rows.key[marks][:KEYS_SHOWN])}: with scores nobody may be in two splits; correct the "
                f"splits{drop}"
            )


def persons_shared(persons: Mapping[str, np.ndarray]) -> dict[str, int | None] | None:
    """Pair of splits -> persons that are in both, for `curation.json`; None if no person is known.

    A pair is None if no person is known in one of its splits.

    Args:
        persons: split -> (N,) str, or None where the person is unknown.
    """
    known = {split: {*of_rows} - {None} for split, of_rows in persons.items()}
    if not any(known.values()):
        return None
    pairs = [pair for pair in PAIRS if {*pair} <= known.keys()]
    return {
        pair.name: len(known[pair.shown] & known[pair.held]) if known[pair.shown] and known[pair.held] else None
        for pair in pairs
    }


def known_persons(person: np.ndarray) -> int:
    """How many of the rows with `person` (N,), str or None, say who is shown."""
    return sum(who is not None for who in person)


def _refuse_leaks(rows: Rows, found: Mapping[str, KnownMarks], not_searched: str) -> None:
    leaking = [
        (kind, pair, marks)
        for kind, pairs in found.items()
        for pair, marks in pairs.items()
        if marks is not None and marks.any()
    ]
    if not leaking:
        return
    counted = [f"{pair.held} holds {_rows(marks)} of {pair.shown} ({kind})" for kind, pair, marks in leaking]
    keys = dict.fromkeys(key for _, _, marks in leaking for key in rows.key[marks][:KEYS_SHOWN])
    advice = "add --leaks drop_from_train to leave such rows out of train, or --leaks report to keep them and record it"
    if not_searched:
        advice = (
            f"{not_searched} was curated with near_copies false, and near_copies is true here: curate the data again "
            "with near_copies true, or add --near_copies false here too"
        )
    first = ", ".join([*keys][:KEYS_SHOWN])
    raise InputError(f"splits leak: {', '.join(counted)}; the first {first}: {advice}")


def _refuse_two_labels(rows: Rows, two_labels: np.ndarray) -> None:
    if not two_labels.any():
        return
    keys = [key for split in SPLITS for key in rows.key[two_labels & (rows.split == split)][:KEYS_SHOWN]]
    raise InputError(
        f"{_rows(two_labels)} with a picture that has another label elsewhere; the first "
        f"{', '.join(keys[:KEYS_SHOWN])}: correct the labels or class_map, or add --leaks drop_from_train to leave "
        "such rows out of train, or --leaks report to keep them and record it"
    )


def _counts(marks: KnownMarks) -> dict[str, int | None]:
    return {pair.name: None if rows is None else int(rows.sum()) for pair, rows in marks.items()}


def _rows(marks: np.ndarray) -> str:
    return f"{marks.sum():,} row{'' if marks.sum() == 1 else 's'}"


def _among(value: np.ndarray, others: np.ndarray) -> np.ndarray:
    known = set(others) - {None}
    return np.array([one in known for one in value], dtype=bool)
