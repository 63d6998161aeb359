"""Rows of tables of labels: which tables of a folder have some, and the file, split and person of each row."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.readers.beside import tables_beside
from pipeline.data.readers.inventory import printable_name
from pipeline.data.readers.listed import Listed, files_of, listed
from pipeline.data.table import ALL, split_in, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


class Row(NamedTuple):
    """A row of a table of labels."""

    file: Path
    key: str
    label: str | None
    split: str | None
    person: str | None
    table: int  # which table it is from
    row: int


def label_tables(root: Path, recipe: Recipe) -> list[Listed]:
    """The tables in a folder that label pictures below it."""
    return [one for one in tables_beside(root, recipe).tables if one.labels]


def tables_to_read(given: Path, recipe: Recipe) -> list[Listed]:
    """The tables to read.

    Raises:
        InputError: there is none, or several of which some name no split.
    """
    if given.is_file():
        one = listed(given, recipe)
        if not one.roles.picture or not one.labels:
            role = "picture" if not one.roles.picture else "score" if recipe.scores else "label"
            option = {"picture": "--image_column", "score": "--scores", "label": "--label_column"}[role]
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


def rows_of(given: Path, tables: Sequence[Listed]) -> list[Row]:
    """The rows of all `tables` of the file or folder `given`, each with the file of its picture.

    Raises:
        InputError: a picture is missing, lies outside, or is listed twice; the message names the line.
    """
    root = given if given.is_dir() else None
    rows = [row for number, one in enumerate(tables) for row in _rows(one, number, root, len(tables) == 1)]
    _refuse_twice(rows, tables)
    return rows


def _rows(one: Listed, number: int, root: Path | None, alone: bool) -> list[Row]:
    """The rows of a table; its names are keys where it is `alone`, otherwise paths below `root` are."""
    files = files_of(one, root or one.path.parent)
    base = (root or one.path.parent).absolute()
    splits = one.splits()
    if one.roles.split is None and splits and (splits[0] is None or root is None):
        splits = [_split_of_folders(file, base) for file in files]
    labels, persons = one.cells(one.roles.label), one.cells(one.roles.person)
    return [
        Row(file, printable_name(name) if alone else _key(file, base), label, split, person, number, row)
        for row, (file, name, label, split, person) in enumerate(
            zip(files, one.names, labels, splits, persons, strict=True)
        )
    ]


def _key(file: Path, base: Path) -> str:
    return printable_name(file.relative_to(base) if file.is_relative_to(base) else file)


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


def with_splits(rows: list[Row], tables: Sequence[Listed]) -> tuple[list[Row], int]:
    """The rows with a split each, `all` where no row has one, and how many have none although others do.

    Raises:
        InputError: folders name the splits of some pictures only.
    """
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
