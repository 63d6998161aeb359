"""The picture folders of FER+: `FER2013Train`, `FER2013Valid` and `FER2013Test`, each with pictures and `label.csv`.

label.csv has no header. A row is a picture name, the box of the face (always the whole picture; not every version of
the script that writes the file has it) and ten votes (https://github.com/microsoft/FERPlus,
src/generate_training_data.py).
"""

from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image

from pipeline.data.readers.ferplus import counts_of, ferplus_source, labelled
from pipeline.data.readers.files import csv_rows, generated, listed_pictures, picture_rows, refuse_unlisted
from pipeline.data.readers.layouts import FERPLUS_FOLDERS
from pipeline.data.readers.rows import refuse_empty
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.expressions import FERPLUS_COLUMNS
from pipeline.settings.recipe import Recipe

FIELDS = (1 + len(FERPLUS_COLUMNS), 2 + len(FERPLUS_COLUMNS))  # without and with the box


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`; the key of a picture is its FER+ name.

    Raises:
        InputError: a label.csv is missing or does not fit its pictures, or votes cannot be; the message names file
            and line.
    """
    root = Path(str(recipe.data_path)).expanduser()
    tables: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    for split, name in FERPLUS_FOLDERS.items():
        if (root / name).is_dir():
            tables[split], left_out[split] = _read_split(root / name, split, recipe)
    refuse_empty(tables, f"data_path {root}", left_out)
    layout = f"FER+ folders {', '.join(FERPLUS_FOLDERS[split] for split in tables)} with raw votes"
    return Reading((ferplus_source(layout, recipe, left_out),), DatasetDict(tables))


def _read_split(folder: Path, split: str, recipe: Recipe) -> tuple[Dataset, dict[str, int]]:
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
