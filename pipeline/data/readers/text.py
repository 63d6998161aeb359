"""Text files: their encoding, csv row by row, and lists as a whole."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from pipeline.errors import InputError

MARKS = (
    *((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),  # before UTF-16, whose mark one of them begins with
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
MAX_BYTES = 2**32  # of a text file; the csv file of FER2013, which holds its pixels, is a tenth as large
csv.field_size_limit(2**26)  # a cell may hold the pixels of a picture; the default is 128 KB


class OtherEncoding(InputError):  # noqa: N818 (named after what the file has)
    """A text file in another encoding than the one it was read with."""


def header(path: Path) -> set[str]:
    """The column names of a csv file, lower-case; empty where it cannot be read."""
    try:
        return {name.lower() for name in column_names(path)}
    except InputError:
        return set()


def column_names(path: Path) -> list[str]:
    """The column names of a csv file as written.

    Raises:
        InputError: as `csv_rows`.
    """
    return next(csv_rows(path), (0, []))[1]


def csv_rows(path: Path, encoding: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank; the first line decides between comma, semicolon and tab.

    Raises:
        OtherEncoding: the file is not in UTF-8, UTF-16 or UTF-32, or not in `encoding`.
        InputError: the file is not csv, or a quote that is not closed swallows rows; the message names the line.
    """
    try:
        used = encoding_of(path, encoding)
        with path.open(encoding=used, newline="") as file:
            first = file.readline()
            file.seek(0)
            yield from _rows(path, file, _delimiter(first))
    except UnicodeError as error:
        raise _other_encoding(path, used, error) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _rows(path: Path, file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of an open file; quotes are read strictly, because a lone one takes the rows after it into its cell."""
    lines: list[str] = []  # those of the row that is read

    def kept() -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=delimiter, strict=True)
    width = 0
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if reader.line_num > start or "end of data" in str(error):
                raise InputError(f"{path} line {start}: a quote opens here and is not closed; close it") from None
            raise InputError(f"{path} line {start}: not csv ({error}); write a quote in a quoted cell twice") from None
        if cells is None:
            return
        width = width or len(cells)
        if len(lines) > 1 and _swallowed(lines, delimiter, width):
            raise InputError(
                f"{path} line {start}: a quote opens here and closes on line {reader.line_num}, and the lines between "
                "look like rows of their own; close the quote, or remove the line breaks from the cell"
            )
        lines.clear()
        if any(cell.strip() for cell in cells):
            yield reader.line_num, [cell.strip() for cell in cells]


def _swallowed(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether the first line of a row and another one both have all fields, so that they are rows by themselves."""
    whole = [line.count(delimiter) + 1 >= width for line in lines]
    return width > 1 and whole[0] and any(whole[1:])


def encoding_of(path: Path, encoding: str | None = None) -> str:
    """What a text file is read as: by its byte order mark, otherwise `encoding`, otherwise UTF-16 or UTF-8.

    Raises:
        InputError: it is too large, or does not say how large it is.
    """
    with path.open("rb") as file:
        head, size = file.read(4), os.fstat(file.fileno()).st_size
    if size > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES:,} bytes: divide it")
    if head and not size:  # such as files of /proc, which may have no end
        raise InputError(f"{path} does not say how large it is: give a copy in a regular file")
    marked = next((marked for mark, marked in MARKS if head.startswith(mark)), encoding)
    if marked is None and len(head) == 4 and b"\0" in head:  # UTF-16 without a mark: every second byte of ASCII is 0
        return "utf-16-le" if head[1] == 0 else "utf-16-be"
    return marked or "utf-8"


def _delimiter(first: str) -> str:
    """Comma, semicolon, tab or bar, whichever the first line has most of; a list without any may have spaces."""
    found = max(",;\t|", key=first.count)
    return found if found in first else " " if " " in first.strip() else ","


def _other_encoding(path: Path, encoding: str, error: UnicodeError) -> OtherEncoding:
    """The line and the byte that cannot be read; lines of UTF-16 are not found by their bytes."""
    name = "UTF-8" if encoding.startswith("utf-8") else encoding
    if not name.startswith(("utf-16", "utf-32")):
        with path.open("rb") as file:
            for line, content in enumerate(file, 1):
                try:
                    content.decode(encoding)
                except UnicodeDecodeError as found:
                    byte = content[found.start]
                    return OtherEncoding(f"{path} line {line}: the byte 0x{byte:02x} is not {name}; save it as UTF-8")
    return OtherEncoding(f"{path} is not {name} ({error}); save it as UTF-8")


def read_csv(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (the header is line 1) and cells by lower-case column name of every row that is not blank.

    Raises:
        InputError: the file is not UTF-8 csv, `required` columns are missing, or a row has more or fewer fields.
    """
    rows = csv_rows(path)
    names = [name.lower() for name in next(rows, (0, []))[1]]
    missing = [name for name in required if name.lower() not in names]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)} (there are: {', '.join(names) or 'none'}); rename one"
        )
    for line, cells in rows:
        if len(cells) != len(names):
            raise InputError(
                f"{path} line {line}: {len(cells)} fields where the header names {len(names)}; quote fields that hold "
                "the delimiter"
            )
        yield line, dict(zip(names, cells, strict=True))


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a list.

    Raises:
        OtherEncoding: the file is not in UTF-8 or UTF-16, or not in `encoding`.
        InputError: the file cannot be read.
    """
    try:
        used = encoding_of(path, encoding)
        return path.read_text(encoding=used).removeprefix("\ufeff")
    except UnicodeError as error:
        raise _other_encoding(path, used, error) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
