"""`fer2013.csv` (emotion, pixels, Usage), by itself or with the votes of FER+ in `fer2013new.csv` beside it.

Row i of fer2013new.csv is row i of fer2013.csv (https://github.com/microsoft/FERPlus); the number in a picture name is
not the row.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage

from pipeline.data.readers.codes import FER2013_CODES
from pipeline.data.readers.ferplus_votes import FER2013_CITATION, FER2013_TERMS, counts_of, ferplus_source, labelled
from pipeline.data.readers.files import generated, local_path
from pipeline.data.readers.labels import class_labels, tallied
from pipeline.data.readers.rows import Part, Whole, counted, whole_of
from pipeline.data.readers.text import header, read_csv
from pipeline.data.table import Reading, assemble
from pipeline.data.votes import FERPLUS_COLUMNS, one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "fer2013"
LAYOUT = "fer2013.csv with or without fer2013new.csv beside it"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("ferplus", "csv")  # the FER+ folders hold the same pictures

COLUMNS = {"emotion", "pixels", "usage"}
SIDE = 48  # px
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


class Rated(NamedTuple):
    """The rows of fer2013new.csv: the line of each, its usage, picture name ("" for none) and votes (N, 10)."""

    lines: np.ndarray
    usages: np.ndarray
    names: np.ndarray
    votes: np.ndarray


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is fer2013.csv or its folder, or None."""
    if (path / "fer2013.csv").is_file():
        return "fer2013.csv"
    found = [path] if path.is_file() and path.suffix.lower() in (".csv", ".txt") else list(path.glob("*.csv"))
    found = [file for file in found if file.is_file()]  # never a pipe
    return f"{found[0].name} with the column pixels" if len(found) == 1 and "pixels" in header(found[0]) else None


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`, or in the file that it names, without votes.

    The key of a picture is its FER+ name, or without votes its row in fer2013.csv.

    Raises:
        InputError: the two files do not fit, or a row is wrong; the message names file and line.
    """
    given = local_path(recipe)
    path = _csv_with_pixels(given)
    table = generated(
        _pictures, Features({"image": Image(), "emotion": Value("int8"), "usage": Value("string")}), [path]
    )
    usages = np.array(table["usage"][:], dtype=object)
    votes_path = path.with_name("fer2013new.csv")
    rated = _rated(votes_path, path, usages) if given.is_dir() and votes_path.is_file() else None
    parts: dict[str, Part] = {}
    for usage, split in USAGES.items():
        chosen = np.flatnonzero(usages == usage)
        if not len(chosen):
            continue
        if rated is None:
            parts[split] = _by_code(table, chosen, recipe, path)
        else:
            parts[split] = _by_votes(table, chosen, rated, recipe, split, votes_path)
    whole = whole_of(parts, str(path))
    if rated is None:
        return Reading((_fer2013_source(whole),), whole.tables)
    layout = "fer2013.csv with the votes of fer2013new.csv (FER+)"
    return Reading((ferplus_source(layout, recipe, whole),), whole.tables)


def _csv_with_pixels(path: Path) -> Path:
    """`path` itself, or the one csv file with `COLUMNS` in the folder `path`, which is rather fer2013.csv."""
    if path.is_file():
        return path
    if (path / "fer2013.csv").is_file():
        return path / "fer2013.csv"
    there = {p: header(p) for p in sorted(path.glob("*.csv")) if p.is_file()}
    found = [p for p, columns in there.items() if columns >= COLUMNS]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{p.name}: {', '.join(sorted(columns))}" for p, columns in list(there.items())[:5])
    raise InputError(
        f"data_path {path}: {len(found) or 'no'} csv files with the columns {', '.join(sorted(COLUMNS))} (there are "
        f"{listed or 'none'}); name one file"
    )


def _fer2013_source(whole: Whole) -> Source:
    return Source(
        id="fer2013",
        title="FER2013",
        layout="fer2013.csv",
        origin="local",
        datasets=("FER2013",),
        terms=FER2013_TERMS,
        citation=FER2013_CITATION,
        left_out=whole.left_out,
        names=whole.names,
    )


def _pictures(files: tuple[Path, ...]) -> Iterator[dict[str, Any]]:
    """Every row of fer2013.csv, its pixels as PNG."""
    line = 1
    for line, row in read_csv(files[0], ("emotion", "pixels", "Usage")):
        place = f"{files[0]} line {line}"
        try:
            pixels = bytes(map(int, row["pixels"].split()))
        except ValueError:
            raise InputError(f"{place}: pixels must be whole numbers from 0 to 255") from None
        if len(pixels) != SIDE * SIDE:
            raise InputError(f"{place}: {len(pixels)} pixels; expected {SIDE * SIDE} ({SIDE}x{SIDE})")
        if row["usage"] not in USAGES:
            raise InputError(f"{place}: unknown Usage {row['usage']!r}; expected {', '.join(USAGES)}")
        if row["emotion"] not in FER2013_CODES:
            raise InputError(
                f"{place}: emotion {row['emotion'][:40]!r} is not a code from 0 to {len(FER2013_CODES) - 1}"
            )
        png = io.BytesIO()
        PILImage.frombytes("L", (SIDE, SIDE), pixels).save(png, "PNG", compress_level=1)
        yield {
            "image": {"bytes": png.getvalue(), "path": None},
            "emotion": int(row["emotion"]),
            "usage": row["usage"],
        }
    if line == 1:
        raise InputError(f"{files[0]} has no row under its header")


def _rated(path: Path, pictures: Path, usages: np.ndarray) -> Rated:
    """The rows of fer2013new.csv, checked against the usages of fer2013.csv (`pictures`)."""
    lines, found, names, votes = [], [], [], []
    for line, row in read_csv(path, ("Usage", "Image name", *FERPLUS_COLUMNS)):
        lines.append(line)
        found.append(row["usage"])
        names.append(row["image name"])
        votes.append(counts_of([row[column] for column in FERPLUS_COLUMNS], f"{path} line {line}"))
    if len(lines) != len(usages):
        raise InputError(
            f"{path} has {len(lines)} rows and {pictures} {len(usages)}; row i of one must be row i of the other"
        )
    for row in np.flatnonzero(np.array(found, dtype=object) != usages)[:1]:
        raise InputError(
            f"{path} line {lines[row]}: Usage {found[row]!r}, but {usages[row]!r} in the same row of {pictures}; row i "
            "of one must be row i of the other"
        )
    columns = (np.array(lines), np.array(found, dtype=object), np.array(names, dtype=object))
    return Rated(*columns, np.array(votes, dtype=np.int64).reshape(-1, len(FERPLUS_COLUMNS)))


def _by_votes(table: Dataset, chosen: np.ndarray, rated: Rated, recipe: Recipe, split: str, path: Path) -> Part:
    """The table of the rows `chosen` that FER+ names, once each."""
    named = chosen[rated.names[chosen] != ""]
    rows = np.sort(named[np.unique(rated.names[named].astype(str), return_index=True)[1]])
    lost = {"no picture name": len(chosen) - len(named), "name of another row": len(named) - len(rows)}
    lines = rated.lines[rows]
    part = labelled(
        table.select_columns(["image"]).select(rows),
        rated.votes[rows],
        rated.names[rows].tolist(),
        recipe,
        split,
        lambda row: f"{path} line {lines[row]}",
    )
    return part._replace(left_out={reason: count for reason, count in lost.items() if count} | part.left_out)


def _by_code(table: Dataset, chosen: np.ndarray, recipe: Recipe, path: Path) -> Part:
    """The table of the rows `chosen`, labelled by the `emotion` column."""
    codes = [str(code) for code in np.array(table["emotion"][:])[chosen]]
    labels, reasons = class_labels(codes, recipe, str(path), FER2013_CODES)
    pictures = table.select_columns(["image"]).select(chosen)
    keys = [f"row {row}" for row in chosen]
    targets = one_hot(labels, len(recipe.classes))
    persons = [None] * len(chosen)
    labelled_rows = assemble(pictures, labels, targets, keys, persons, "fer2013", recipe.classes)
    return Part(labelled_rows, counted(reasons), tallied(codes, labels, recipe, FER2013_CODES))
