"""FER+ in any of its layouts, of which the picture folders are read here.

`FER2013Train`, `FER2013Valid` and `FER2013Test` each hold pictures and `label.csv`.

label.csv has no header. A row is a picture name, the box of the face (always the whole picture; not every version of
the script that writes the file has it) and ten votes (https://github.com/microsoft/FERPlus,
src/generate_training_data.py).
"""

from pathlib import Path

import numpy as np
from datasets import DatasetDict, Features, Image

from pipeline.data.readers import columns, fer2013, parquet
from pipeline.data.readers.ferplus_votes import counts_of, ferplus_source, labelled
from pipeline.data.readers.files import generated, listed_pictures, local_path, picture_rows, refuse_unlisted
from pipeline.data.readers.labels import joined_names
from pipeline.data.readers.rows import Part, refuse_empty
from pipeline.data.readers.text import csv_rows
from pipeline.data.table import Reading
from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin

NAME = "ferplus"
LAYOUT = "the FER+ folders FER2013Train, FER2013Valid and FER2013Test"
ORIGINS: tuple[Origin, ...] = ("local", "hub")
BEFORE: tuple[str, ...] = ("folder",)  # class folders

FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
FIELDS = (1 + len(FERPLUS_COLUMNS), 2 + len(FERPLUS_COLUMNS))  # without and with the box
NO_VOTES = "data_path {}: no FER+ votes there; give the csv pair, the FER+ folders, or parquet with votes"


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds the picture folders, or None."""
    return next((f"the FER+ folder {name}" for name in FOLDERS.values() if (path / name).is_dir()), None)


def read(recipe: Recipe) -> Reading:
    """FER+ in `recipe.data_path`: the csv pair, the picture folders, or a parquet or Hub data set with votes.

    Raises:
        InputError: there are no votes, or they do not fit their pictures; the message names file and line.
    """
    path = local_path(recipe)
    if fer2013.matches(path, recipe):
        reading = fer2013.read(recipe)
    elif matches(path, recipe):
        reading = _read_folders(path, recipe)
    elif parquet.matches(path, recipe) or not path.exists():
        reading = columns.read(recipe)
    else:
        raise InputError(NO_VOTES.format(path))
    if reading.sources[0].label_rule is None:
        raise InputError(NO_VOTES.format(path))
    return reading


def _read_folders(root: Path, recipe: Recipe) -> Reading:
    """The picture folders below `root`; the key of a picture is its FER+ name."""
    parts: dict[str, Part] = {}
    for split, name in FOLDERS.items():
        if (root / name).is_dir():
            parts[split] = _read_split(root / name, split, recipe)
    tables = {split: part.table for split, part in parts.items()}
    left_out = {split: part.left_out for split, part in parts.items()}
    refuse_empty(tables, f"data_path {root}", left_out)
    layout = f"FER+ folders {', '.join(FOLDERS[split] for split in tables)} with raw votes"
    names = joined_names([part.names for part in parts.values()])
    return Reading((ferplus_source(layout, recipe, left_out, names),), DatasetDict(tables))


def _read_split(folder: Path, split: str, recipe: Recipe) -> Part:
    path = folder / "label.csv"
    if not path.is_file():
        raise InputError(f"{folder} has no label.csv with its votes; take it from the FER+ repository")
    lines, names, votes = [], [], []
    for line, cells in csv_rows(path):
        if len(cells) not in FIELDS:
            raise InputError(
                f"{path} line {line}: {len(cells)} fields; expected {FIELDS[1]}: picture name, box in quotes, ten votes"
            )
        lines.append(line)
        names.append(cells[0])
        votes.append(counts_of(cells[-len(FERPLUS_COLUMNS) :], f"{path} line {line}"))
    files = listed_pictures(path, lines, names, [folder])
    refuse_unlisted(path, files, folder)
    pictures = generated(picture_rows, Features({"image": Image()}), files)
    counts = np.array(votes, dtype=np.int64).reshape(-1, len(FERPLUS_COLUMNS))
    return labelled(pictures, counts, names, recipe, split, lambda row: f"{path} line {lines[row]}")
