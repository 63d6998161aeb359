"""Picture files and their labels become the one table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset, Features, Image

from pipeline.data.readers.codes import code_of
from pipeline.data.readers.files import generated, picture_rows
from pipeline.data.readers.labels import Names, class_labels, tallied
from pipeline.data.table import assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


class Part(NamedTuple):
    """A split that was read: its table, the rows left out by reason, and how its names were read."""

    table: Dataset
    left_out: dict[str, int]
    names: Names


def table_of_files(
    files: Sequence[Path],
    names: Sequence[str | None],
    keys: Sequence[str],
    persons: Sequence[str | None],
    source: str,
    recipe: Recipe,
    place: str,
    codes: Mapping[str, str] | None = None,
    hint: str = "",
) -> Part:
    """The one table of the picture `files` of classes `names`; the rest as `class_labels`.

    Raises:
        InputError: as `class_labels`.
    """
    labels, reasons = class_labels(names, recipe, place, codes, hint)
    pictures = generated(picture_rows, Features({"image": Image()}), files)
    targets = one_hot(labels, len(recipe.classes))
    table = assemble(pictures, labels, targets, keys, persons, source, recipe.classes)
    return Part(table, counted(reasons), tallied(names, labels, recipe, codes))


def names_of_codes(codes: Sequence[str], names: Mapping[str, str], class_map: Mapping[str, str | None]) -> list[str]:
    """The names of `codes`; a code that `class_map` (a setting) maps, or that has no name, stays as it is."""
    mapped = {str(key).strip() for key in class_map}
    return [code if code in mapped else names.get(code_of(code), code) for code in codes]


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
