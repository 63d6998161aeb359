"""Picture files and their labels become the one table."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image

from pipeline.data.readers.files import generated, picture_rows
from pipeline.data.readers.labels import Names, class_labels, joined_names, tallied
from pipeline.data.scores import scores_of
from pipeline.data.table import ALL, SPLITS, assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


class Labelled(NamedTuple):
    """A picture file, its key, and what its source says of it: the name of its class, its split and its person."""

    path: Path
    key: str
    name: str | None
    split: str = ALL
    person: str | None = None


class Part(NamedTuple):
    """A split that was read: its table, the rows left out by reason, and how its names were read."""

    table: Dataset
    left_out: dict[str, int]
    names: Names


class Whole(NamedTuple):
    """All splits of a source: their tables, the rows left out of each by reason, and how its names were read."""

    tables: DatasetDict
    left_out: dict[str, dict[str, int]]
    names: Names


def whole_of(parts: Mapping[str, Part], place: str, rest: Mapping[str, int] | None = None) -> Whole:
    """The `parts` by split together; `rest` counts by reason what belongs to no split.

    Raises:
        InputError: no row is left.
    """
    tables = {split: parts[split].table for split in (ALL, *SPLITS) if split in parts}
    left_out = {split: dict(parts[split].left_out) for split in tables}
    if rest:
        left_out[ALL] = left_out.get(ALL, {}) | dict(rest)
    refuse_empty(tables, place, left_out)
    return Whole(DatasetDict(tables), left_out, joined_names([part.names for part in parts.values()]))


def parts_of(
    pictures: Sequence[Labelled],
    source: str,
    recipe: Recipe,
    place: str,
    codes: Mapping[str, str] | None = None,
    hint: str = "",
) -> dict[str, Part]:
    """The part of each split that `pictures` are in; the rest as `class_labels`.

    Raises:
        InputError: as `class_labels`.
    """
    found = {one.split for one in pictures}
    return {
        split: part_of(
            [one for one in pictures if one.split == split],
            source,
            recipe,
            place if split == ALL else f"{place}, split {split}",
            codes,
            hint,
        )
        for split in (ALL, *SPLITS)
        if split in found
    }


def part_of(
    pictures: Sequence[Labelled],
    source: str,
    recipe: Recipe,
    place: str,
    codes: Mapping[str, str] | None = None,
    hint: str = "",
) -> Part:
    """The one table of `pictures`, whatever their splits; the rest as `class_labels`.

    Raises:
        InputError: as `class_labels`.
    """
    names = [one.name for one in pictures]
    labels, reasons = class_labels(names, recipe, place, codes, hint)
    cells = generated(picture_rows, Features({"image": Image()}), [one.path for one in pictures])
    targets = one_hot(labels, len(recipe.classes))
    keys, persons = [one.key for one in pictures], [one.person for one in pictures]
    table = assemble(cells, labels, targets, keys, persons, source, recipe.classes)
    return Part(table, counted(reasons), tallied(names, labels, recipe, codes))


def scored_part(
    pictures: Sequence[Labelled],
    cells: Sequence[Sequence[str | float | None]],
    source: str,
    recipe: Recipe,
    place: Callable[[int], str],
) -> Part:
    """The one table of `pictures` with scores, K `cells` each; their names are not read.

    Raises:
        InputError: as `scores_of`.
    """
    strata, scores, reasons = scores_of(cells, recipe, place)
    files = generated(picture_rows, Features({"image": Image()}), [one.path for one in pictures])
    keys, persons = [one.key for one in pictures], [one.person for one in pictures]
    return Part(assemble(files, strata, scores, keys, persons, source, recipe.labels), counted(reasons), {})


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
            f"{place}: no picture with a label is left (left out: {left_out}); check classes and class_map, or "
            "the cells of scores"
        )
