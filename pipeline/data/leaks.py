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


def contradicted(pixels: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows (N,) bool by split whose very picture stands under another label somewhere, in any split or source."""
    group = np.unique(np.concatenate(list(pixels.values())).astype(str), return_inverse=True)[1]
    label = np.concatenate(list(labels.values()))
    lowest, highest = np.full(group.max() + 1, label.max()), np.full(group.max() + 1, label.min())
    np.minimum.at(lowest, group, label)
    np.maximum.at(highest, group, label)
    ends = np.cumsum([len(rows) for rows in pixels.values()])[:-1]
    return dict(zip(pixels, np.split((lowest != highest)[group], ends), strict=True))


def gate(
    kinds: Mapping[str, Mapping[str, np.ndarray]],
    contradictions: Mapping[str, np.ndarray],
    keys: Mapping[str, np.ndarray],
    rule: str,
) -> tuple[np.ndarray, dict[str, Any]]:
    """The rows of train to keep, (N,) bool, and what is to be noted.

    Args:
        kinds: kind of leak, such as `exact copy` -> split -> (N,) object, as for `shared`.
        contradictions: split -> (N,) bool, of `contradicted`.
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
    two_labels = {split: int(rows.sum()) for split, rows in contradictions.items()}
    if any(two_labels.values()) and rule == "error":
        names = [str(key) for split, rows in contradictions.items() for key in keys[split][rows][:KEYS_SHOWN]]
        raise InputError(
            f"{sum(two_labels.values())} rows show a picture that stands under another label too (the first "
            f"{', '.join(names[:KEYS_SHOWN])}): mend the labels or class_map, or add --leaks drop_from_train to take "
            "such rows out of train, or --leaks report to let them pass, on record"
        )
    keep = np.ones(len(keys["train"]), dtype=bool)
    if rule == "drop_from_train":
        keep &= ~contradictions["train"]
        for values in kinds.values():
            for split in values.keys() - {"train"}:
                keep &= ~_among(values["train"], values[split])
    passed = {kind: counts(marks) for kind, marks in found.items()}
    dropped = int((~keep).sum())
    return keep, {"rule": rule, "found": passed, "two_labels": two_labels, "dropped_from_train": dropped}


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
