"""FER+ with its ten raw votes a picture (Barsoum et al., arXiv:1608.01041): what all of its layouts share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from pipeline.data.readers.files import local_path
from pipeline.data.readers.labels import LEFT_OUT, Names
from pipeline.data.readers.rows import Part, Whole, counted, whole_of
from pipeline.data.table import Reading, assemble
from pipeline.data.votes import FERPLUS_COLUMNS, apply_label_rule, check_votes
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

FER2013_TERMS = (
    "FER2013 pictures (Goodfellow et al., arXiv:1307.0414, found by web search): no open licence is known, for "
    "research and evaluation only, never to be published"
)
FER2013_CITATION = (
    "Goodfellow et al.: Challenges in Representation Learning: A report on three machine learning contests. 2013, "
    "arXiv:1307.0414"
)
FERPLUS_TERMS = (
    f"{FER2013_TERMS}; FER+ votes (Barsoum et al., arXiv:1608.01041): MIT, Copyright (c) Microsoft Corporation"
)
FERPLUS_CITATION = (
    "Barsoum et al.: Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution. "
    "ICMI 2016, arXiv:1608.01041"
)


class Voted(NamedTuple):
    """N rows with votes: a table with the column `votes`, one with the pictures, their keys and persons."""

    votes: Dataset
    pictures: Dataset
    keys: list[str]
    persons: Sequence[str | None]


def read_votes(
    voted: Mapping[str, Voted],
    recipe: Recipe,
    not_read: Sequence[str] = (),
    lost: Mapping[str, Mapping[str, int]] | None = None,
) -> Reading:
    """FER+ from tables with a column `votes`, by split.

    Args:
        voted: the rows of each split.
        recipe: its label rule and classes decide.
        not_read: other columns.
        lost: split -> reason -> rows that are not among `voted`.

    Raises:
        InputError: votes that are not ten counts, or not 8 to 10 together.
    """
    parts: dict[str, Part] = {}
    for split, rows in voted.items():
        place = f"data_path {recipe.data_path}, split {split}"
        part = labelled(
            rows.pictures, _votes(rows.votes, place), rows.keys, recipe, split, f"{place} row {{}}".format, rows.persons
        )
        parts[split] = part._replace(left_out=part.left_out | dict((lost or {}).get(split, {})))
    whole = whole_of(parts, f"data_path {recipe.data_path}")
    local = local_path(recipe).exists()
    layout = f"{'parquet' if local else 'Hub data set'} with raw votes of FER+"
    source = ferplus_source(layout, recipe, whole, "local" if local else "hub")
    return Reading((replace(source, columns_not_read=tuple(not_read)),), whole.tables)


def ferplus_source(layout: str, recipe: Recipe, whole: Whole, origin: Origin = "local") -> Source:
    """The record of FER2013 with the votes of FER+."""
    return Source(
        id="ferplus",
        title="FER2013 with the votes of FER+",
        layout=layout,
        origin=origin,
        datasets=("FER2013", "FER+"),
        terms=FERPLUS_TERMS,
        citation=f"{FER2013_CITATION}; {FERPLUS_CITATION}",
        label_rule=recipe.label_rule,
        left_out=whole.left_out,
        names=whole.names,
    )


def labelled(
    pictures: Dataset,
    votes: np.ndarray,
    keys: list[str],
    recipe: Recipe,
    split: str,
    place: Callable[[int], str],
    persons: Sequence[str | None] = (),
) -> Part:
    """The one table of `pictures` under the label rule of the recipe; names are the columns with the most votes."""
    check_votes(votes, place)
    keep_undecided = recipe.undecided == "train" and split == "train"
    labels, targets, reasons = apply_label_rule(
        votes, recipe.label_rule, recipe.classes, recipe.class_map, keep_undecided
    )
    table = assemble(pictures, labels, targets, keys, persons or [None] * len(keys), "ferplus", recipe.classes)
    return Part(table, counted(reasons), _most_votes(votes, labels, recipe))


def _most_votes(votes: np.ndarray, labels: np.ndarray, recipe: Recipe) -> Names:
    """Each column of votes -> what became of the rows in which it has the most, the first of equals."""
    names: Names = {column: {} for column in FERPLUS_COLUMNS}
    for column, label in zip(votes.argmax(1).tolist(), labels.tolist(), strict=True):
        into = recipe.classes[label] if label >= 0 else LEFT_OUT
        of_column = names[FERPLUS_COLUMNS[column]]
        of_column[into] = of_column.get(into, 0) + 1
    return names


def counts_of(cells: Sequence[str], place: str) -> list[int]:
    """The votes in the cells of a csv file.

    Raises:
        InputError: a cell is not a whole number.
    """
    if not all(cell.isdecimal() for cell in cells):
        raise InputError(f"{place}: votes {list(cells)} must be whole numbers from 0 to 10")
    return [int(cell) for cell in cells]


def _votes(table: Dataset, place: str) -> np.ndarray:
    """The column `votes` as (N, 10) int64."""
    if "votes" not in table.column_names:
        raise InputError(f"{place}: no column votes, which the other splits have")
    column = table.data.column("votes").combine_chunks()
    expected = f"expected ten counts a row: {', '.join(FERPLUS_COLUMNS)}"
    if not pa.types.is_list(column.type) and not pa.types.is_fixed_size_list(column.type):
        raise InputError(f"{place}: column votes holds {column.type}; {expected}")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != len(FERPLUS_COLUMNS))
    if len(wrong):
        raise InputError(f"{place} row {wrong[0]}: {lengths[wrong[0]]} votes; {expected}")
    flat = column.flatten()
    try:
        whole = flat.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(f"{place}: column votes: {error}; {expected}") from None
    return pc.fill_null(whole, -1).to_numpy(zero_copy_only=False).reshape(-1, len(FERPLUS_COLUMNS))
