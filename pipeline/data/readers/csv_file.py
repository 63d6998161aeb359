"""Tables of labels: csv, tsv, jsonl, json or parquet files that name a picture and its class in each row.

One file, or several whose names are splits (`train.csv`, `test.csv`), or one that names the splits in a column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image

from pipeline.data.readers.agreement import Said, refuse_other_folders
from pipeline.data.readers.files import generated, local_path, picture_rows
from pipeline.data.readers.inventory import inventory, kind_of, printable
from pipeline.data.readers.labels import Names, class_labels, joined_names, tallied
from pipeline.data.readers.listed import Listed, files_of, listed, tables_of
from pipeline.data.readers.rows import counted, refuse_empty
from pipeline.data.readers.shares import labels_of_shares
from pipeline.data.readers.text import header
from pipeline.data.table import ALL, SPLITS, Reading, assemble, split_in, split_of
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "csv"
LAYOUT = "a table of labels (csv, tsv, jsonl, json: columns such as path,label[,split,person])"
ORIGINS: tuple[Origin, ...] = ("local",)
# Its pictures may lie in folders of any name; those that it does not list are counted.
BEFORE: tuple[str, ...] = ("folder",)


class Row(NamedTuple):
    """A row of a table of labels."""

    file: Path
    key: str
    label: str | None
    split: str | None
    person: str | None
    table: int  # which table it is from
    row: int


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is such a file, or a folder with tables that label pictures in it, or None."""
    if path.is_file():
        return f"the csv file {path.name}" if kind_of(path) == "table" else None
    found = label_tables(path, recipe) if path.is_dir() else []
    if not found:
        return None
    first = found[0]
    label = first.roles.label or ", ".join(first.roles.shares)
    more = f" and {len(found) - 1} more tables" if len(found) > 1 else ""
    return f"{first.path.name} with the columns {first.roles.picture} and {label}{more}"


def label_tables(root: Path, recipe: Recipe) -> list[Listed]:
    """The tables in a folder that label pictures below it."""
    return [one for one in tables_of(root, recipe) if one.labels]


def read(recipe: Recipe) -> Reading:
    """The source in the table `recipe.data_path`, or in the tables of that folder.

    The key of a picture is its path as written.

    Raises:
        InputError: a column, field or picture file is missing, a picture is listed twice, a path leads out of the
            folder, a label or split is unknown, or the table and the class folders of its pictures disagree.
    """
    given = local_path(recipe)
    root = given if given.is_dir() else None
    tables = _tables(given, recipe)
    every = [row for number, one in enumerate(tables) for row in _rows(one, number, root, len(tables) == 1)]
    _refuse_twice(every, tables)
    rows, lost = _with_splits(every, tables)
    name = tables[0].path.stem if len(tables) == 1 else given.resolve().name
    place = " and ".join(str(one.path) for one in tables)
    whole = _labelled(rows, tables, recipe, name, place)
    tables_by_split, left_out, names = whole
    if lost:
        left_out.setdefault(ALL, {})["no split"] = lost
    if root is not None:
        if recipe.source == "auto":
            refuse_other_folders(
                root,
                [Said(row.file, row.key, row.label, tables[row.table].table.place(row.row)) for row in every],
                recipe,
                place,
            )
        _count_others(root, every, tables, left_out)
    refuse_empty(tables_by_split, place, left_out)
    source = Source(
        id=name,
        title=name,
        layout=_layout(tables),
        origin="local",
        columns_not_read=tuple(
            dict.fromkeys(c for one in tables for c in one.table.columns if c not in one.roles.read)
        ),
        left_out=left_out,
        names=names,
    )
    return Reading((source,), DatasetDict(tables_by_split))


def csv_path(path: Path, columns: set[str]) -> Path:
    """`path` itself, or the one csv file with `columns` in the folder `path`."""
    if path.is_file():
        return path
    found = [p for p in sorted(path.glob("*.csv")) if p.is_file() and columns <= header(p)]
    if len(found) == 1:
        return found[0]
    there = "; ".join(
        f"{p.name}: {', '.join(sorted(header(p)))}" for p in sorted(path.glob("*.csv"))[:5] if p.is_file()
    )
    raise InputError(
        f"data_path {path}: {len(found) or 'no'} csv files with the columns {', '.join(sorted(columns))} (there are "
        f"{there or 'none'}); name one file"
    )


def _tables(given: Path, recipe: Recipe) -> list[Listed]:
    """The tables to read.

    Raises:
        InputError: there is none, or several of which some name no split.
    """
    if given.is_file():
        one = listed(given, recipe)
        if not one.roles.picture or not one.labels:
            role = "picture" if not one.roles.picture else "label"
            option = "--image_column" if role == "picture" else "--label_column"
            head = ", which has no header: add a first line such as path,label" if one.table.headless else ""
            raise InputError(
                f"{given}{head}: no column of {role}s is recognised (columns: {', '.join(one.table.columns)}); name it "
                f"with {option}"
            )
        return [one]
    found = label_tables(given, recipe)
    if not found:
        raise InputError(f"data_path {given}: no csv, jsonl or json file with pictures and labels; name one file")
    named = [one for one in found if one.roles.split or split_in(one.path.stem) or _split_of_folders(one.path, given)]
    if len(found) > 1 and len(named) < len(found):
        each = "; ".join(one.table.in_words for one in found)
        raise InputError(
            f"data_path {given}: {len(found)} tables of labels, and not all of them are named after splits ({each}): "
            "name one with --data_path, or call them train.csv, val.csv and test.csv"
        )
    return found


def _rows(one: Listed, number: int, root: Path | None, alone: bool) -> list[Row]:
    """The rows of a table; its names are keys where it is `alone`, otherwise paths below `root` are."""
    files = files_of(one, root or one.path.parent)
    base = (root or one.path.parent).absolute()
    splits = one.splits()
    if one.roles.split is None and splits and (splits[0] is None or root is None):
        splits = [_split_of_folders(file, base) for file in files]
    labels, persons = one.cells(one.roles.label), one.cells(one.roles.person)
    return [
        Row(file, printable(name) if alone else _key(file, base), label, split, person, number, row)
        for row, (file, name, label, split, person) in enumerate(
            zip(files, one.names, labels, splits, persons, strict=True)
        )
    ]


def _key(file: Path, base: Path) -> str:
    return printable(file.relative_to(base) if file.is_relative_to(base) else file)


def _split_of_folders(file: Path, base: Path) -> str | None:
    """The split that a folder between `base` and the picture names."""
    folders = file.relative_to(base).parts[:-1] if file.is_relative_to(base) else ()
    found = {split for split in map(split_of, folders) if split}
    return found.pop() if len(found) == 1 else None


def _refuse_twice(rows: Sequence[Row], tables: Sequence[Listed]) -> None:
    seen: dict[Path, Row] = {}
    for row in rows:
        before = seen.setdefault(row.file, row)
        if before is not row:
            raise InputError(
                f"{tables[row.table].table.place(row.row)}: {row.key} is listed in "
                f"{tables[before.table].table.place(before.row)} already; keep one of the two"
            )


def _with_splits(rows: list[Row], tables: Sequence[Listed]) -> tuple[list[Row], int]:
    """The rows with a split each, `all` where no row has one, and how many have none although others do."""
    if not any(row.split for row in rows):
        return [row._replace(split=ALL) for row in rows], 0
    if all(one.roles.split is None for one in tables):
        without = next((row for row in rows if not row.split), None)
        if without is not None:
            raise InputError(
                f"{tables[without.table].table.place(without.row)}: {without.key} lies in no folder of a split, and "
                "others do; give the table a column split"
            )
    kept = [row for row in rows if row.split]
    return kept, len(rows) - len(kept)


def _labelled(
    rows: Sequence[Row], tables: Sequence[Listed], recipe: Recipe, source: str, place: str
) -> tuple[dict[str, Dataset], dict[str, dict[str, int]], Names]:
    found: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    names: list[Names] = []
    labels, reasons, targets, shown = _labels(rows, tables, recipe, place)
    for split in [s for s in (ALL, *SPLITS) if any(row.split == s for row in rows)]:
        chosen = np.array([i for i, row in enumerate(rows) if row.split == split])
        pictures = generated(picture_rows, Features({"image": Image()}), [rows[i].file for i in chosen])
        keys, persons = [rows[i].key for i in chosen], [rows[i].person for i in chosen]
        found[split] = assemble(pictures, labels[chosen], targets[chosen], keys, persons, source, recipe.classes)
        left_out[split] = counted(reasons[chosen])
        names.append(tallied([shown[i] for i in chosen], labels[chosen], recipe))
    return found, left_out, joined_names(names)


def _labels(
    rows: Sequence[Row], tables: Sequence[Listed], recipe: Recipe, place: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str | None]]:
    """Labels (N,), reasons (N,), targets (N, K) and the names that they were read from, of all rows."""
    if all(one.roles.label for one in tables):
        shown = [row.label for row in rows]
        labels, reasons = class_labels(shown, recipe, place)
        return labels, reasons, one_hot(labels, len(recipe.classes)), shown
    columns = tables[0].roles.shares
    if any(one.roles.label or set(one.roles.shares) != set(columns) for one in tables):
        raise InputError(f"{place}: the tables have different columns of labels; name one with --data_path")
    cells = [[tables[row.table].table.columns[column][row.row] for column in columns] for row in rows]
    return labels_of_shares(cells, columns, recipe, lambda i: tables[rows[i].table].table.place(rows[i].row))


def _count_others(
    root: Path, rows: Sequence[Row], tables: Sequence[Listed], left_out: dict[str, dict[str, int]]
) -> None:
    """Count every file of the folder that no row means."""
    whole = inventory(root)
    used = {row.file for row in rows}
    unlisted = sum(file.path.absolute() not in used for file in whole.of("picture"))
    which = tables[0].path.name if len(tables) == 1 else "no table"
    reason = f"picture that {which} does not list" if len(tables) == 1 else "picture that no table lists"
    counts = ({reason: unlisted} if unlisted else {}) | whole.left_out({one.path for one in tables})
    if counts:
        left_out[ALL] = left_out.get(ALL, {}) | counts


def _layout(tables: Sequence[Listed]) -> str:
    roles = tables[0].roles
    names = " and ".join(one.path.name for one in tables)
    label = roles.label or f"shares in {', '.join(roles.shares)}"
    said = {"picture": roles.picture, "label": label, "split": roles.split, "person": roles.person}
    columns = ", ".join(f"{role} {column}" for role, column in said.items() if column)
    head = "; without a header" if tables[0].table.headless else ""
    notes: Mapping[str, None] = dict.fromkeys(note for one in tables for note in one.roles.notes)
    return "; ".join([f"table {names} ({columns}){head}", *notes])
