"""One reader of tables of labels: csv with any delimiter, jsonl, json, parquet without pictures."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data.readers.inventory import PICTURE_SUFFIXES
from pipeline.data.readers.text import OtherEncoding, csv_rows, read_text
from pipeline.errors import InputError

Column = list[str | None]
MOST_COLUMNS = 200  # a wider table holds measures or pixels


@dataclass(frozen=True)
class Table:
    """N rows of a file.

    Attributes:
        path: the file.
        columns: name -> N cells as text, None for an empty one.
        lines: where each row is: its line in a text file, its row in a parquet file.
        unit: `line` or `row`, for messages.
        headless: whether its first line is a row already, so that its columns have numbers for names.
    """

    path: Path
    columns: Mapping[str, Column]
    lines: Sequence[int]
    unit: str = "line"
    headless: bool = False

    def place(self, row: int) -> str:
        """Where row `row` is, for messages."""
        return f"{self.path} {self.unit} {self.lines[row]}"

    @property
    def in_words(self) -> str:
        """Its file and columns, for messages."""
        return f"{self.path.name} (columns: {', '.join(self.columns)})"


def read_table(path: Path, encoding: str | None = None) -> Table:
    """The table in a file, read once until the file changes; `encoding` is the setting `csv_encoding`.

    Raises:
        InputError: the file cannot be read as its suffix says, or a row has other fields; the message names the line.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _read(path, encoding, status.st_size, status.st_mtime_ns)
    except OtherEncoding as error:
        raise InputError(f"{error}, or set --csv_encoding to what it was saved in, such as cp1252 or gb18030") from None


@lru_cache(maxsize=64)
def _read(path: Path, encoding: str | None, size: int, time: int) -> Table:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, encoding)
    return _json(path, encoding) if suffix == ".json" else _csv(path, encoding)


def names_a_picture(cell: str | None) -> bool:
    """Whether a cell looks like the name of a picture file."""
    return cell is not None and cell.lower().endswith(PICTURE_SUFFIXES)


def _csv(path: Path, encoding: str | None) -> Table:
    rows = csv_rows(path, encoding)
    line, first = next(rows, (0, []))
    headless = any(names_a_picture(cell) for cell in first)
    names = [f"column {i}" if headless or not name else name for i, name in enumerate(first, 1)]
    counts = Counter(name.lower() for name in names)
    twice = next((name for name in names if counts[name.lower()] > 1), None)
    if twice is not None:
        raise InputError(f"{path}: two columns are called {twice}; rename one")
    lines, cells = ([line], [first]) if headless else ([], [])
    for line, row in rows:
        if len(row) != len(names):
            raise InputError(
                f"{path} line {line}: {len(row)} fields where the header names {len(names)}; quote fields that hold "
                "the delimiter"
            )
        lines.append(line)
        cells.append(row)
    columns = {name: [row[i] or None for row in cells] for i, name in enumerate(names)}
    return Table(path, columns, lines, headless=headless)


def _json_lines(path: Path, encoding: str | None) -> Table:
    rows, lines = [], []
    for line, text in enumerate(read_text(path, encoding).split("\n"), 1):
        if text.strip():
            rows.append(_parsed(text, f"{path} line {line}"))
            lines.append(line)
    return _of_rows(path, rows, lines, "line")


def _json(path: Path, encoding: str | None) -> Table:
    """A list of mappings, one mapping of picture names to labels, or one of columns to lists of cells."""
    content = _parsed(read_text(path, encoding), str(path))
    if isinstance(content, dict) and content and all(names_a_picture(k) and _plain(v) for k, v in content.items()):
        content = [{"file": key, "label": value} for key, value in content.items()]
    if isinstance(content, dict) and _is_columns(content):
        content = [dict(zip(content, row, strict=True)) for row in zip(*content.values(), strict=True)]
    if not isinstance(content, list):
        keys = (
            f"a mapping with the keys {', '.join(map(str, list(content)[:6]))}"
            if isinstance(content, dict)
            else "no list"
        )
        raise InputError(f"{path} holds {keys}; expected a list with one mapping for each picture")
    return _of_rows(path, content, list(range(len(content))), "entry")


def _is_columns(content: Mapping[str, Any]) -> bool:
    lists = [value for value in content.values() if isinstance(value, list) and value and all(map(_plain, value))]
    return len(lists) == len(content) > 1 and len({len(cells) for cells in lists}) == 1


def _plain(value: Any) -> bool:
    return isinstance(value, str | int)


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON: {str(error)[:100]}") from None


def _of_rows(path: Path, rows: Sequence[Any], lines: Sequence[int], unit: str) -> Table:
    for row, line in zip(rows, lines, strict=True):
        if not isinstance(row, dict):
            raise InputError(f'{path} {unit} {line}: expected a mapping such as {{"file": "a.png", "label": "happy"}}')
    cells = [flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    return Table(path, {name: [as_text(row.get(name)) for row in cells] for name in names}, lines, unit)


def flat(row: Mapping[Any, Any], above: str = "") -> dict[str, Any]:
    """A mapping with mappings inside as one mapping: `{"meta": {"subject": 1}}` has the key `meta.subject`."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{above}{key}"
        cells |= flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return cells


def as_text(value: Any) -> str | None:
    """A cell as text; None for an empty one; a whole float as a whole number, which pandas makes of numbers and "
    "gaps."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value).strip() or None


def _parquet(path: Path) -> Table:
    try:
        schema = pq.read_schema(path)
        plain = [field.name for field in schema if not (pa.types.is_nested(field.type) or _binary(field.type))]
        table = pq.read_table(path, columns=plain[:MOST_COLUMNS])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    columns = {name: [as_text(cell) for cell in table[name].to_pylist()] for name in table.column_names}
    return Table(path, columns, list(range(len(table))), "row")


def _binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
