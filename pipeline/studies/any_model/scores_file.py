"""Somebody's scores as a csv file: `key`, a column for each class, and optionally `split` and `source`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.readers.text import OtherEncoding, csv_rows
from pipeline.data.table import split_of
from pipeline.errors import InputError
from pipeline.evaluation.per_row import Floats
from pipeline.expressions import plain

KEY, SPLIT, SOURCE = "key", "split", "source"
NOT_SCORES = (KEY, SPLIT, SOURCE)
CURE = f"rename the column, or take it out; beside the classes only {', '.join(NOT_SCORES)} are columns"


@dataclass(frozen=True)
class ScoresFile:
    """The rows of a file: for each its line, key, split and source ("" where the file has no such column).

    `scores` (N, C) are in the order of `classes`, the columns as the file names them.
    """

    path: Path
    classes: list[str]
    line: list[int]
    key: list[str]
    split: list[str]
    source: list[str]
    scores: Floats


def read_header(path: Path, encoding: str | None = None) -> list[str]:
    """The columns that hold scores; nothing else of the file is read. `encoding` is as in `csv_rows`.

    Raises:
        InputError: there is no such file, it is not csv, it lacks `key`, or names a column twice.
    """
    return _classes(path, next(_rows(path, encoding), (0, []))[1])


def _rows(path: Path, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    if not path.is_file():
        raise InputError(f"scores {path}: no such file; give a csv file with a column key and one for each class")
    try:
        yield from csv_rows(path, encoding)
    except OtherEncoding as error:
        raise InputError(f"scores {error}, or name its encoding with --csv_encoding") from None


def _classes(path: Path, header: Sequence[str]) -> list[str]:
    names = [plain(name) for name in header]
    if KEY not in names:
        raise InputError(f"scores {path}: no column {KEY} (there are: {', '.join(header) or 'none'}); name one so")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"scores {path}: two columns are called {name!r}; keep one")
    return [written for written, name in zip(header, names, strict=True) if name not in NOT_SCORES]


def read_scores(path: Path, encoding: str | None = None) -> ScoresFile:
    """Read a file of scores. `encoding` is as in `csv_rows`.

    Raises:
        InputError: as `read_header`; a row has another number of fields, an empty key, or a score that is not a number;
            or there are no rows.
    """
    rows = _rows(path, encoding)
    header = next(rows, (0, []))[1]
    classes, names = _classes(path, header), [plain(name) for name in header]
    places = [header.index(name) for name in classes]
    line, scores = [], []
    cells_of: dict[str, list[str]] = {name: [] for name in NOT_SCORES}
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"scores {path} line {number}: {len(cells)} fields where the header names {len(header)}")
        scores.append([_number(path, number, header[place], cells[place]) for place in places])
        line.append(number)
        for name, column in cells_of.items():
            column.append(cells[names.index(name)] if name in names else "")
        if not cells_of[KEY][-1]:
            raise InputError(f"scores {path} line {number}: the key is empty; every row names its picture")
    if not line:
        raise InputError(f"scores {path} holds no rows; give one for each picture")
    array = np.array(scores, dtype=np.float64).reshape(len(line), len(places))
    return ScoresFile(path, classes, line, cells_of[KEY], cells_of[SPLIT], cells_of[SOURCE], array)


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"scores {path} line {line}: {column} is {cell!r}; write a number such as 0.25") from None
    if not np.isfinite(value):
        raise InputError(f"scores {path} line {line}: {column} is {cell}; every score must be a finite number")
    return value


@dataclass(frozen=True)
class Placed:
    """The scores (N, C) of the rows to evaluate in their order, and how many rows of the file are of other splits."""

    scores: Floats
    elsewhere: int


Names = Mapping[str, Sequence[tuple[str, str]]]  # split -> (source, key) of each of its rows


def place(file: ScoresFile, wanted: Names, others: Names) -> Placed:
    """The file's scores for the rows of the splits `wanted`, in their order; `others` are rows not to evaluate.

    Raises:
        InputError: two rows of the file are one picture, one is no row of the data or of several sources, its split is
            another one than in the data, or rows of the data have no scores.
    """
    home = {row: split for group in (others, wanted) for split, rows in group.items() for row in rows}
    sources: dict[str, list[str]] = {}
    for source, key in home:
        sources.setdefault(key, []).append(source)
    found: dict[tuple[str, str], int] = {}
    for index, key in enumerate(file.key):
        row = _row_of(file, index, sources)
        if row in found:
            raise InputError(f"{_at(file, index)}: {key} stands on line {file.line[found[row]]} too; keep one row")
        found[row] = index
        _refuse_other_split(file, index, home[row], wanted)
    order = [row for rows in wanted.values() for row in rows]
    lost = [row for row in order if row not in found]
    if lost:
        raise InputError(
            f"scores {file.path} has no row for {len(lost):,} of {len(order):,} rows of {' and '.join(wanted)}, such "
            f"as {lost[0][1]}: a figure on rows that a model chose says little; add them"
        )
    return Placed(file.scores[[found[row] for row in order]], len(found) - len(order))


def _row_of(file: ScoresFile, index: int, sources: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    key, source = file.key[index], file.source[index]
    having = sources.get(key, [])
    if not having or (source and source not in having):
        of = f" of source {source}" if source else ""
        rows = zip(file.key, file.source, strict=True)
        unknown = sum(not (of_key := sources.get(k, [])) or bool(s and s not in of_key) for k, s in rows)
        raise InputError(
            f"{_at(file, index)}: key {key}{of} is not in the data ({unknown:,} such rows); keys are those of "
            f"predictions.parquet and of a curated folder, such as {next(iter(sources), 'none')}"
        )
    if not source and len(having) > 1:
        raise InputError(f"{_at(file, index)}: {' and '.join(having)} have a picture {key}; add a column source")
    return source or having[0], key


def _refuse_other_split(file: ScoresFile, index: int, split: str, wanted: Names) -> None:
    said = file.split[index]
    if not said or "all" in wanted:
        return
    if split_of(said) != split:
        raise InputError(f"{_at(file, index)}: {file.key[index]} is of {said!r} there and of {split} in the data")


def _at(file: ScoresFile, index: int) -> str:
    return f"scores {file.path} line {file.line[index]}"
