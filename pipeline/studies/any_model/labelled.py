"""The rows that a model is evaluated on: from anything that the readers take, split by split, nothing made up.

Nothing is trained here, so no split is made of another one, and no row is taken out because it has a copy elsewhere.
The columns `clean` and `clean_near` say which rows have one, where the data has a train split to compare with.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from datasets import Dataset, Value

from pipeline.data.curation import curate_sources
from pipeline.data.leaks import Copies, find_copies
from pipeline.data.own_splits import settled
from pipeline.data.readers import read_sources
from pipeline.data.report import names_table, per_class
from pipeline.data.rows import Rows, Unusable, measured_rows
from pipeline.data.table import SPLITS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

Split = Literal["test", "validation", "train", "all"]
KEYS_SHOWN = 10
MARKS = ("clean", "clean_near")


@dataclass(frozen=True)
class Labelled:
    """Rows with labels, by the split that they are evaluated as.

    Attributes:
        tables: columns `label`, `target`, `source`, `person`, `key`, `clean`, `clean_near`, and `image` where the data
            has pictures.
        others: split -> (source, key) of the rows that are not evaluated.
        classes: K names, in the order of the labels.
        label_rule: how votes became labels, or None.
        record: what evaluation.json says of the data: sources, rows used, and rows that were not and why.
    """

    tables: Mapping[str, Dataset]
    others: Mapping[str, list[tuple[str, str]]]
    classes: list[str]
    label_rule: str | None
    record: dict[str, Any]

    @property
    def names(self) -> dict[str, list[tuple[str, str]]]:
        """Split -> (source, key) of each row to evaluate."""
        return {split: names_of(table) for split, table in self.tables.items()}

    def line(self) -> str:
        """How many rows of which split are evaluated."""
        counts = ", ".join(f"{len(table):,} of {split}" for split, table in self.tables.items())
        return f"rows: n {counts}"


def names_of(table: Dataset) -> list[tuple[str, str]]:
    """(source, key) of each row."""
    return list(zip(table["source"][:], table["key"][:], strict=True))


def read_labelled(recipe: Recipe, split: Split, say: Callable[[str], None]) -> Labelled:
    """The rows of `split` that the data itself has, or with `all` every row; `say` gets what was read and left out.

    Raises:
        InputError: as `read_sources` and `measured_rows`; or the data has no such split.
    """
    readings = read_sources(recipe)
    for reading in readings:
        for line in reading.lines():
            say(f"data: {line}")
    if table := names_table([source for reading in readings for source in reading.sources]):
        say(table)
    searched = recipe.near_copies and split != "all"
    rows, unusable = measured_rows(readings, replace(recipe, near_copies=searched))
    readings, _ = settled(readings, rows)
    said = _record(readings, unusable)
    for source, lost in said["unusable"].items():
        say(f"data: {source}: {lost['count']:,} pictures cannot be used, such as {lost['keys'][0]}")
    found = chosen_split(split, dict.fromkeys(rows.split.tolist()), f"data_path {recipe.data_path}")
    wanted = np.full(len(rows), True) if found == "all" else rows.split == found
    table = _with_marks(rows, wanted, find_copies(rows, searched) if found != "all" else None)
    others = {name: names_of(rows.table.select(np.flatnonzero(rows.split == name))) for name in {*rows.split[~wanted]}}
    label_rule = next((s.label_rule for reading in readings for s in reading.sources if s.label_rule), None)
    record = said | {
        "rows": {found: per_class(rows.label[wanted], recipe.classes)},
        "other_splits": {name: len(names) for name, names in sorted(others.items())},
    }
    return Labelled({found: table}, others, recipe.classes, label_rule, record)


def chosen_split(split: Split, present: Sequence[str] | Mapping[str, Any], where: str) -> str:
    """The name of the split to evaluate, if the data has it.

    Raises:
        InputError: it does not.
    """
    if split == "all" or split in present:
        return split
    own = [name for name in SPLITS if name in present]
    has = f"the splits {', '.join(own)}" if own else "no splits of its own"
    choices = " or ".join(f"--split {name}" for name in [*own, "all"])
    raise InputError(f"{where} has {has}, so there are no {split} rows: name the rows to evaluate with {choices}")


def _with_marks(rows: Rows, wanted: np.ndarray, copies: Copies | None) -> Dataset:
    """The wanted rows with `clean` and `clean_near`; null where nothing was searched, or train is not there."""
    table = rows.table.select(np.flatnonzero(wanted))
    split = rows.split[wanted][0]
    for name, marks in (("clean", copies and copies.exact), ("clean_near", copies and copies.near)):
        pairs = [copied[wanted] for pair, copied in (marks or {}).items() if pair.shown == split]
        with_train = any(pair.shown == split and pair.held == "train" for pair in marks or {})
        clean = ~np.logical_or.reduce(pairs) if with_train else np.full(len(table), None)
        table = table.add_column(name, clean, feature=Value("bool"))
    return table


def _record(readings: Sequence[Reading], unusable: Sequence[Unusable]) -> dict[str, Any]:
    sources = {source.id: source for reading in readings for source in reading.sources}
    lost = Counter(row.source for row in unusable)
    return {
        "sources": {id: source.to_json() for id, source in sources.items()},
        "unusable": {
            id: {"count": n, "keys": [f"{u.key} ({u.fault})" for u in unusable if u.source == id][:KEYS_SHOWN]}
            for id, n in lost.items()
        },
    }


def read_rows_of_run(recipe: Recipe, say: Callable[[str], None]) -> Labelled:
    """The rows that a run evaluated: its validation split, and its test split where the recipe opens it.

    Raises:
        InputError: as `curate_sources`.
    """
    curated = curate_sources(recipe, say)
    kept = ("validation", "test") if recipe.evaluate_test else ("validation",)
    tables = {split: table for split, table in curated.splits.items() if split in kept}
    others = {split: names_of(table) for split, table in curated.splits.items() if split not in kept}
    sources = curated.report["sources"]
    record = {
        "sources": sources,
        "unusable": {id: source["unreadable"] for id, source in sources.items() if source["unreadable"]["count"]},
        "rows": {split: curated.report["rows_used"][split] for split in tables},
        "other_splits": {split: len(names) for split, names in others.items()},
    }
    return Labelled(tables, others, recipe.classes, curated.label_rule, record)
