"""Tables that say something of pictures: which file each row means, its label, split and person."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.data.readers.files import listed_pictures
from pipeline.data.readers.inventory import PAPERS, File, Inventory, inventory, plain_path
from pipeline.data.readers.roles import Roles, find_roles
from pipeline.data.readers.tables import Table, read_table
from pipeline.data.table import SPLITS_IN_WORDS, split_in, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

DEEPEST = 3  # folders above a table; deeper text files belong to one picture each
MOST_TABLES = 200
OF_ANOTHER = ("fer2013new.csv",)  # votes for the rows of fer2013.csv
ELSEWHERE = re.compile(r"[A-Za-z]:[\\/]|[\\/]|\w+://")  # how paths of another machine begin


@dataclass(frozen=True)
class Listed:
    """A table and what its columns hold."""

    table: Table
    roles: Roles

    @property
    def path(self) -> Path:
        """The file of the table."""
        return self.table.path

    @property
    def labels(self) -> bool:
        """Whether it has labels, shares that become labels, or scores."""
        return bool(self.roles.labelled)

    @cached_property
    def names(self) -> list[str]:
        """The name of the picture of each row."""
        return [cell or "" for cell in self.table.columns[str(self.roles.picture)]]

    def cells(self, column: str | None) -> Sequence[str | None]:
        """The cells of a column, or None for every row."""
        return self.table.columns[column] if column else [None] * len(self.names)

    def splits(self) -> list[str | None]:
        """The split of each row by its column, otherwise by the name of the file.

        Raises:
            InputError: a cell is not the name of a split; the message names the line.
        """
        if self.roles.split is None:
            return [split_in(self.path.stem)] * len(self.names)
        found = []
        for row, cell in enumerate(self.cells(self.roles.split)):
            split = None if cell is None else split_of(cell)
            if cell is not None and split is None:
                raise InputError(
                    f"{self.table.place(row)}: unknown split {cell!r} in the column {self.roles.split}; splits are "
                    f"{SPLITS_IN_WORDS}; --split_column none reads no split"
                )
            found.append(split)
        return found


def listed(path: Path, recipe: Recipe) -> Listed:
    """The table `path` and its roles.

    Raises:
        InputError: it cannot be read, or its columns fit more than one role.
    """
    table = read_table(path, recipe.csv_encoding)
    return Listed(table, find_roles(table.columns, recipe, str(path)))


def candidates(files: Inventory) -> list[File]:
    """The text and parquet files that may be tables of the whole folder."""
    shallow = [f for f in files.files if f.kind in ("table", "parquet") and len(f.folders) < DEEPEST]
    shallow = [file for file in shallow if file.name not in OF_ANOTHER and not PAPERS.fullmatch(file.name)]
    return shallow if len(shallow) <= MOST_TABLES else [f for f in shallow if not f.folders][:MOST_TABLES]


def files_of(one: Listed, root: Path) -> list[Path]:
    """The picture of each row of a table: beside it, below `root`, or the one file there whose path ends so.

    Raises:
        InputError: a name leads out of the folder, means no file or several, or two rows mean the same.
    """
    found = [find_picture(root, one.path, name) for name in one.names]
    if all(found):
        by_file: dict[Path, int] = {}
        for row, file in enumerate(found):
            before = by_file.setdefault(Path(str(file)), row)
            if before != row:
                raise InputError(
                    f"{one.table.place(row)}: {one.names[row]} is on {one.table.unit} {one.table.lines[before]} "
                    "already; keep one of the two"
                )
        return list(by_file)
    missing = found.index(None)
    if ELSEWHERE.match(one.names[missing]):
        raise InputError(
            f"{one.table.place(missing)}: {one.names[missing]!r} is a path of another machine; write the paths of "
            f"pictures as they are below {root}"
        )
    names, lines = one.names[missing : missing + 1], one.table.lines[missing : missing + 1]
    return listed_pictures(one.path, lines, names, [one.path.parent], one.table.unit)


def find_picture(root: Path, table: Path, name: str) -> Path | None:
    """The picture file that a cell means, or None."""
    if not name or "\0" in name or len(os.fsencode(name)) > 4096:
        return None
    base = Path(os.path.normpath(table.parent.absolute()))
    for spelled in dict.fromkeys(
        (name, name.replace("\\", "/"), *(unicodedata.normalize(f, name) for f in ("NFC", "NFD")))
    ):
        path = Path(os.path.normpath(base / spelled))
        inside = path.is_relative_to(base) or path.is_relative_to(root.absolute())
        if inside and os.path.isfile(path):  # noqa: PTH113 (False for a name that is too long)
            return path
    if name.startswith(("/", "..")):
        return None
    return inventory(root).endings.get(plain_path(name))
