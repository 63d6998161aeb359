"""FER+ in any of its layouts, of which the picture folders are read here.

`FER2013Train`, `FER2013Valid` and `FER2013Test` each hold pictures and `label.csv`.

label.csv has no header. A row is a picture name, the box of the face (always the whole picture; not every version of
the script that writes the file has it) and ten votes (https://github.com/microsoft/FERPlus,
src/generate_training_data.py).
"""

from pathlib import Path

import numpy as np
from datasets import Features, Image

from pipeline.data.readers import columns, fer2013, parquet
from pipeline.data.readers.ferplus_votes import counts_of, ferplus_source, labelled
from pipeline.data.readers.files import generated, listed_pictures, local_path, picture_rows, refuse_unlisted
from pipeline.data.readers.rows import Part, whole_of
from pipeline.data.readers.text import csv_rows
from pipeline.data.table import Reading
from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin

NAME = "ferplus"
LAYOUT = "the FER+ folders FER2013Train, FER2013Valid and FER2013Test"
ORIGINS: tuple[Origin, ...] = ("local", "hub")
BEFORE: tuple[str, ...] = ("folder", "csv")  # class folders, and a table of shares

VOTES = "fer2013new.csv"

FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
FIELDS = (1 + len(FERPLUS_COLUMNS), 2 + len(FERPLUS_COLUMNS))  # without and with the box
NO_VOTES = "data_path {}: no FER+ votes there; give the csv pair, the FER+ folders, or parquet with votes"


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds the picture folders, or votes without their pictures, or None."""
    found = next((f"the FER+ folder {name}" for name in FOLDERS.values() if (path / name).is_dir()), None)
    return found or (f"{VOTES} of FER+ without fer2013.csv" if _votes_of(path) else None)


def _votes_of(path: Path) -> Path | None:
    """The file of votes for fer2013.csv: `path` itself, or in the folder `path`; None where the pair is complete."""
    votes = path if path.name == VOTES else path / VOTES
    return votes if votes.is_file() and not (path / "fer2013.csv").is_file() else None


def read(recipe: Recipe) -> Reading:
    """FER+ in `recipe.data_path`: the csv pair, the picture folders, or a parquet or Hub data set with votes.

    Raises:
        InputError: there are no votes, or they do not fit their pictures; the message names file and line.
    """
    path = local_path(recipe)
    if votes := _votes_of(path):
        raise InputError(
            f"{votes} holds the votes for the rows of fer2013.csv, which is not beside it: put fer2013.csv there and "
            "give the folder; pictures in folders go in as FER2013Train, FER2013Valid and FER2013Test with a label.csv "
            "each, as generate_training_data.py of FER+ writes them"
        )
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
    whole = whole_of(parts, f"data_path {root}")
    layout = f"FER+ folders {', '.join(FOLDERS[split] for split in parts)} with raw votes"
    return Reading((ferplus_source(layout, recipe, whole),), whole.tables)


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
