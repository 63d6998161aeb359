"""Class names become labels; picture files and their labels become the one table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image

from pipeline.data.readers.files import generated, picture_rows
from pipeline.data.table import assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.expressions import canonical
from pipeline.settings.recipe import Recipe


def class_labels(names: Sequence[str | None], recipe: Recipe, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int64, -1 where the row is left out, and the reasons (N,) object, "" where it stays.

    Raises:
        InputError: a name that is not a class; the message starts with `place` and counts its pictures.
    """
    meanings: dict[str | None, tuple[int, str]] = {}
    for name, count in Counter(names).items():
        if name is None or not name.strip():
            meanings[name] = (-1, "no label")
            continue
        try:
            meaning = canonical(name, recipe.classes, recipe.class_map)
        except InputError as error:
            raise InputError(f"{place}: {count} picture{'s' if count > 1 else ''} of {error}") from None
        meanings[name] = (-1, name.strip().lower()) if meaning is None else (recipe.classes.index(meaning), "")
    labels = np.fromiter((meanings[name][0] for name in names), np.int64, len(names))
    reasons = np.array([meanings[name][1] for name in names], dtype=object)
    return labels, reasons


def table_of_files(
    files: Sequence[Path],
    names: Sequence[str | None],
    keys: Sequence[str],
    persons: Sequence[str | None],
    source: str,
    recipe: Recipe,
    place: str,
) -> tuple[Dataset, dict[str, int]]:
    """The one table of the picture `files` of classes `names`, and the rows left out by reason.

    Raises:
        InputError: as `class_labels`.
    """
    labels, reasons = class_labels(names, recipe, place)
    pictures = generated(picture_rows, Features({"image": Image()}), files)
    targets = one_hot(labels, len(recipe.classes))
    return assemble(pictures, labels, targets, keys, persons, source, recipe.classes), counted(reasons)


def names_of_codes(codes: Sequence[str], names: Mapping[str, str], class_map: Mapping[str, str | None]) -> list[str]:
    """The names of `codes`; a code that `class_map` (a setting) maps, or that has no name, stays as it is."""
    mapped = {str(key).strip() for key in class_map}
    return [code if code in mapped else names.get(code, code) for code in codes]


def counted(reasons: np.ndarray) -> dict[str, int]:
    """Rows by the reason why they are left out, most frequent first."""
    return dict(Counter(str(reason) for reason in reasons if reason).most_common())


def refuse_empty(tables: Mapping[str, Dataset], place: str, left_out: Mapping[str, Mapping[str, int]]) -> None:
    """Stop where every row was left out, or there was none.

    Raises:
        InputError: no row is left.
    """
    if not any(len(table) for table in tables.values()):
        raise InputError(
            f"{place}: no picture with a label is left (left out: {left_out}); check classes and class_map"
        )
