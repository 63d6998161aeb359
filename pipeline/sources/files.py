"""Files on disk: which are pictures, csv files row by row, and tables whose cache follows their files."""

import csv
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from datasets.exceptions import DatasetGenerationError

from pipeline.errors import InputError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")


def visible(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted, without hidden files and what archivers leave behind."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))


def header(path: Path) -> set[str]:
    """The column names of a csv file, lower-case; empty where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {name.strip().lower() for name in next(csv.reader(file), [])}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()


def read_csv(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (the header is line 1) and cells by lower-case column name of every row that is not blank.

    Raises:
        InputError: the file is no UTF-8 csv, `required` columns are missing, or a row has more or fewer fields.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = [name.strip().lower() for name in next(reader, [])]
            missing = [name for name in required if name.lower() not in names]
            if missing:
                raise InputError(
                    f"{path}: no column {', '.join(missing)} (there are: {', '.join(names) or 'none'}); rename one"
                )
            for cells in reader:
                if cells and len(cells) != len(names):
                    raise InputError(
                        f"{path} line {reader.line_num}: {len(cells)} fields where the header names {len(names)}; "
                        "quote fields that hold commas"
                    )
                if cells:
                    yield reader.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a UTF-8 csv file: {error}") from None


def generated(generator: Callable[..., Iterator[dict[str, Any]]], features: Features, files: Sequence[Path]) -> Dataset:
    """The rows of `generator(files)`, kept on disk while path, size and time of the files, and its code, are the same.

    Raises:
        InputError: as raised by the generator.
    """
    if not files:
        return Dataset.from_dict({name: [] for name in features}, features=features)
    digest = blake2b(digest_size=16)
    digest.update(repr(features).encode() + inspect.getsource(inspect.getmodule(generator) or generator).encode())
    for path in files:
        status = path.stat()
        digest.update(f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    try:
        # A tuple: `datasets` takes a list for shards.
        return Dataset.from_generator(
            generator, features=features, gen_kwargs={"files": tuple(files)}, fingerprint=digest.hexdigest()
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


def picture_rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Rows for `generated` that name each picture and leave its bytes where they are."""
    for path in files:
        yield {"image": os.fspath(path.absolute())}
