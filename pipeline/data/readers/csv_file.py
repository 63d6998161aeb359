"""Tables of labels: csv, tsv, jsonl, json or parquet files that name a picture and its class in each row.

One file, or several whose names are splits (`train.csv`, `test.csv`), or one that names the splits in a column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Features, Image

from pipeline.data.readers.agreement import Said, in_class_folders, refuse_other_folders, said_class
from pipeline.data.readers.beside import Beside, reasons, refuse_unused, tables_beside, way_out
from pipeline.data.readers.files import generated, local_path, picture_rows
from pipeline.data.readers.inventory import inventory, kind_of, named
from pipeline.data.readers.label_rows import Row, rows_of, tables_to_read, with_splits
from pipeline.data.readers.labels import class_labels, tallied
from pipeline.data.readers.listed import Listed
from pipeline.data.readers.rows import Part, counted, whole_of
from pipeline.data.readers.shares import labels_of_shares
from pipeline.data.scores import scores_of
from pipeline.data.table import ALL, SPLITS, Reading, assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "csv"
LAYOUT = "a table of labels or scores (csv, tsv, jsonl, json: columns such as path,label[,split,person])"
ORIGINS: tuple[Origin, ...] = ("local",)
# Its pictures may lie in folders of any name; those that it does not list are counted.
BEFORE: tuple[str, ...] = ("folder",)


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is such a file, or a folder with tables that label pictures in it, or None."""
    if path.is_file():
        return f"the csv file {path.name}" if kind_of(path) == "table" else None
    if not path.is_dir():
        return None
    beside = tables_beside(path, recipe)
    found = [one for one in beside.tables if one.labels]
    if not found:  # `read` says why, unless another reader takes the folder
        return "a table of pictures that cannot be read" if beside.damaged else None
    first = found[0]
    label = ", ".join(first.roles.labelled)
    more = f" and {len(found) - 1} more tables" if len(found) > 1 else ""
    return f"{first.path.name} with the columns {first.roles.picture} and {label}{more}"


def read(recipe: Recipe) -> Reading:
    """The source in the table `recipe.data_path`, or in the tables of that folder.

    The key of a picture is its path as written.

    Raises:
        InputError: a column, field or picture file is missing, a picture is listed twice, a path leads out of the
            folder, a label or split is unknown, or the table and the class folders of its pictures disagree.
    """
    given = local_path(recipe)
    beside = tables_beside(given, recipe) if given.is_dir() else Beside([], {}, {})
    labelled = {one.path for one in beside.tables if one.labels}
    by_folders = given.is_dir() and not recipe.scores and in_class_folders(given, recipe)
    without = "folder" if by_folders and recipe.source == "auto" else ""
    refuse_unused(beside, labelled, recipe, NAME if labelled else without, of_folders=False)
    tables = tables_to_read(given, recipe)
    try:
        rows = rows_of(given, tables)
    except InputError as error:
        raise InputError(f"{error}{way_out(without)}") from None
    kept, lost = with_splits(rows, tables)
    name = tables[0].path.stem if len(tables) == 1 else given.resolve().name
    place = " and ".join(str(one.path) for one in tables)
    labels = _labels(kept, tables, recipe, place)
    if given.is_dir() and not recipe.scores:  # folders say nothing of scores
        refuse_other_folders(given, _said(rows, kept, labels, tables, recipe), recipe, place, NAME)
    parts = _parts(kept, labels, recipe, name)
    others = _others(given, rows, tables, beside) if given.is_dir() else {}
    whole = whole_of(parts, place, ({"no split": lost} if lost else {}) | others)
    columns = dict.fromkeys(c for one in tables for c in one.table.columns if c not in one.roles.read)
    source = Source(
        id=name,
        title=name,
        layout=_layout(tables),
        origin="local",
        columns_not_read=tuple(columns),
        left_out=whole.left_out,
        names=whole.names,
    )
    return Reading((source,), whole.tables)


class Labels(NamedTuple):
    """Labels (N,), reasons (N,), targets (N, K) and the names that they were read from, of N rows."""

    labels: np.ndarray
    reasons: np.ndarray
    targets: np.ndarray
    shown: list[str | None]


def _labels(rows: Sequence[Row], tables: Sequence[Listed], recipe: Recipe, place: str) -> Labels:
    if recipe.scores:
        each = [tables[row.table] for row in rows]
        cells = [[one.table.columns[c][row.row] for c in one.roles.scores] for one, row in zip(each, rows, strict=True)]
        scored = scores_of(cells, recipe, lambda i: each[i].table.place(rows[i].row))
        return Labels(scored.strata, scored.reasons, scored.scores, [None] * len(rows))
    if all(one.roles.label for one in tables):
        shown = [row.label for row in rows]
        labels, reasons = class_labels(shown, recipe, place)
        return Labels(labels, reasons, one_hot(labels, len(recipe.classes)), shown)
    columns = tables[0].roles.shares
    if any(one.roles.label or set(one.roles.shares) != set(columns) for one in tables):
        raise InputError(f"{place}: the tables have different columns of labels; name one with --data_path")
    cells = [[tables[row.table].table.columns[column][row.row] for column in columns] for row in rows]
    return Labels(*labels_of_shares(cells, columns, recipe, lambda i: tables[rows[i].table].table.place(rows[i].row)))


def _said(
    rows: Sequence[Row], kept: Sequence[Row], labels: Labels, tables: Sequence[Listed], recipe: Recipe
) -> list[Said]:
    """What the tables say of every picture; rows that are not kept say nothing."""
    each = zip(kept, labels.labels.tolist(), labels.reasons, strict=True)
    classes = {row.file: said_class(label, str(reason), recipe) for row, label, reason in each}
    return [Said(row.file, row.key, classes.get(row.file), tables[row.table].table.place(row.row)) for row in rows]


def _parts(rows: Sequence[Row], found: Labels, recipe: Recipe, source: str) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for split in [s for s in (ALL, *SPLITS) if any(row.split == s for row in rows)]:
        chosen = np.array([i for i, row in enumerate(rows) if row.split == split])
        pictures = generated(picture_rows, Features({"image": Image()}), [rows[i].file for i in chosen])
        keys, persons = [rows[i].key for i in chosen], [rows[i].person for i in chosen]
        labels = found.labels[chosen]
        table = assemble(pictures, labels, found.targets[chosen], keys, persons, source, recipe.labels)
        names = tallied([found.shown[i] for i in chosen], labels, recipe)
        parts[split] = Part(table, counted(found.reasons[chosen]), names)
    return parts


def _others(root: Path, rows: Sequence[Row], tables: Sequence[Listed], beside: Beside) -> dict[str, int]:
    """Every file of the folder that no row means, by reason."""
    whole = inventory(root)
    used = {row.file for row in rows}
    unlisted = [file for file in whole.of("picture") if file.path.absolute() not in used]
    reason = f"picture that {tables[0].path.name} does not list" if len(tables) == 1 else "picture that no table lists"
    lost = {f"{reason}: {named(unlisted)}": len(unlisted)} if unlisted else {}
    return lost | whole.left_out({one.path for one in tables}, reasons(beside, root))


def _layout(tables: Sequence[Listed]) -> str:
    roles = tables[0].roles
    names = " and ".join(one.path.name for one in tables)
    kind = "label" if roles.label else "shares in" if roles.shares else "scores"
    said = {"picture": roles.picture, kind: ", ".join(roles.labelled), "split": roles.split, "person": roles.person}
    columns = ", ".join(f"{role} {column}" for role, column in said.items() if column)
    head = "; without a header" if tables[0].table.headless else ""
    notes: Mapping[str, None] = dict.fromkeys(note for one in tables for note in one.roles.notes)
    return "; ".join([f"table {names} ({columns}){head}", *notes])
