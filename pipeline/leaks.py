"""What one split shows of another, copies of a picture or pictures of a person: refused, taken out, or put on record.

A figure on rows that were trained on is no figure. Left of `_in_` stands the split whose rows are counted.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import InputError

PAIRS = (("test", "train"), ("validation", "train"), ("test", "validation"))
KEYS_SHOWN = 3

Marks = dict[str, np.ndarray]  # "test_in_train" -> (N,) bool over the rows of test


def shared(values: Mapping[str, np.ndarray]) -> Marks:
    """Rows of a split whose value is one of another split's, by pair of splits that are there.

    Args:
        values: split -> (N,) object: what two rows must not have in common, such as a hash of pixels or the name of a
            person. None is in common with nothing.
    """
    return {f"{a}_in_{b}": _among(values[a], values[b]) for a, b in PAIRS if a in values and b in values}


def counts(marks: Marks) -> dict[str, int]:
    """Rows by pair of splits."""
    return {pair: int(rows.sum()) for pair, rows in marks.items()}


def gate(
    kinds: Mapping[str, Mapping[str, np.ndarray]], keys: Mapping[str, np.ndarray], rule: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """The rows of train to keep, (N,) bool, and what is to be noted.

    Args:
        kinds: kind of leak, such as `exact` -> split -> (N,) object, as for `shared`.
        keys: split -> (N,) names of the rows.
        rule: the setting `leaks`.

    Raises:
        InputError: something leaks, and the rule is `error`.
    """
    found = {kind: shared(values) for kind, values in kinds.items()}
    told = [f"{n} rows {pair} by {kind}" for kind, marks in found.items() for pair, n in counts(marks).items() if n]
    if told and rule == "error":
        raise InputError(
            f"splits leak: {', '.join(told)} ({_first(found, keys)}): add --leaks drop_from_train to take such rows "
            "out of train, or --leaks report to let them pass, on record"
        )
    keep = np.ones(len(keys["train"]), dtype=bool)
    if rule == "drop_from_train":
        for values in kinds.values():
            for split in values.keys() - {"train"}:
                keep &= ~_among(values["train"], values[split])
    passed = {kind: counts(marks) for kind, marks in found.items()}
    return keep, {"rule": rule, "found": passed, "dropped_from_train": int((~keep).sum())}


def _among(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    known = set(others) - {None}
    return np.array([value in known for value in values], dtype=bool)


def _first(found: Mapping[str, Marks], keys: Mapping[str, np.ndarray]) -> str:
    names = [
        str(key)
        for marks in found.values()
        for pair, rows in marks.items()
        for key in keys[pair.split("_in_")[0]][rows][:KEYS_SHOWN]
    ]
    return "the first " + ", ".join(dict.fromkeys(names[:KEYS_SHOWN]))
