"""AffectNet: `training.csv` and `validation.csv`, or `train_set` and `val_set` with images and annotations.

The csv files have the columns subDirectory_filePath (below the file's folder or `Manually_Annotated_Images`) and
expression; a folder has `images/0.jpg` and `annotations/0_exp.npy` (Mollahosseini et al., arXiv:1708.03985).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, Value

from pipeline.data.readers.codes import AFFECTNET_CODES
from pipeline.data.readers.files import generated, listed_pictures, local_path, pictures_in
from pipeline.data.readers.rows import Labelled, Whole, part_of, whole_of
from pipeline.data.readers.text import column_names, header, read_csv
from pipeline.data.table import ALL, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "affectnet"
LAYOUT = "AffectNet (training.csv and validation.csv, or train_set/ and val_set/)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("csv", "folder")

LISTS = {"train": "training.csv", "validation": "validation.csv"}
FOLDERS = {"train": "train_set", "validation": "val_set", "test": "test_set"}
PATH_COLUMN = "subDirectory_filePath"  # a column that no other data set has
AFFECTNET_TERMS = (
    "AffectNet (Mollahosseini et al., arXiv:1708.03985): pictures from the web, under a signed agreement for research "
    "only; they may not be distributed"
)
AFFECTNET_CITATION = (
    "Mollahosseini, Hasani and Mahoor: AffectNet: A Database for Facial Expression, Valence, and Arousal Computing in "
    "the Wild. IEEE Transactions on Affective Computing, 2017, arXiv:1708.03985"
)


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a csv file of AffectNet, or holds its files or folders; otherwise None."""
    if found := affectnet_lists(path):
        return f"{' and '.join(place.name for place in found.values())} of AffectNet"
    found = affectnet_folders(path)
    return f"{' and '.join(f'{place.name}/' for place in found.values())} of AffectNet" if found else None


def affectnet_lists(path: Path) -> dict[str, Path]:
    """The csv files of AffectNet in the folder `path` by split, or `path` itself; empty where none has its columns."""
    if path.is_file():
        found = {next((split for split, name in LISTS.items() if name == path.name.lower()), ALL): path}
        return found if path.suffix.lower() in (".csv", ".txt") and PATH_COLUMN.lower() in header(path) else {}
    for folder in (path, path / "Manually_Annotated_file_lists"):
        found = {split: folder / name for split, name in LISTS.items() if (folder / name).is_file()}
        if any(PATH_COLUMN.lower() in header(table) for table in found.values()):
            return found
    return {}


def affectnet_folders(path: Path) -> dict[str, Path]:
    """The folders of AffectNet in `path` by split; empty where none holds annotations."""
    found = {split: path / name for split, name in FOLDERS.items() if (path / name).is_dir()}
    return found if any((folder / "annotations").is_dir() for folder in found.values()) else {}


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`, or in the csv file that it names.

    The key of a picture is its path as the csv file has it, or below the folder. A csv file may list a part of the
    pictures; with annotations, every picture must have one.

    Raises:
        InputError: there is neither layout, labels and pictures do not fit, or a code has no name; the message names
            the file, and its line where it has lines.
    """
    root = local_path(recipe)
    lists, folders = affectnet_lists(root), affectnet_folders(root)
    if not lists and not folders:
        raise InputError(
            f"data_path {root}: no AffectNet there; expected training.csv and validation.csv with the column "
            f"{PATH_COLUMN}, or train_set/ and val_set/ with annotations/"
        )
    parts = {}
    for split, place in (lists or folders).items():
        coded = _by_csv(place, root) if lists else _by_annotations(place, root)
        parts[split] = part_of(coded, NAME, recipe, str(place), AFFECTNET_CODES)
    names = ", ".join(place.name for place in (lists or folders).values())
    layout = f"AffectNet by {names}" if lists else f"AffectNet in {names} by annotations/*_exp.npy"
    whole = whole_of(parts, f"data_path {root}")
    return Reading((_source(layout, list(lists.values()), whole),), whole.tables)


def _source(layout: str, lists: Sequence[Path], whole: Whole) -> Source:
    unread = dict.fromkeys(name for path in lists for name in column_names(path))
    return Source(
        id="affectnet",
        title="AffectNet",
        layout=layout,
        origin="local",
        datasets=("AffectNet",),
        terms=AFFECTNET_TERMS,
        citation=AFFECTNET_CITATION,
        may_publish_labels=False,
        columns_not_read=tuple(name for name in unread if name.lower() not in (PATH_COLUMN.lower(), "expression")),
        left_out=whole.left_out,
        names=whole.names,
    )


def _by_csv(path: Path, root: Path) -> list[Labelled]:
    # The other cells of a row, landmarks above all, would fill the memory.
    rows = [
        (line, row[PATH_COLUMN.lower()], row["expression"]) for line, row in read_csv(path, (PATH_COLUMN, "expression"))
    ]
    base = path.parent if root.is_file() else root
    folders = [path.parent, *sorted(base.glob("Manually_Annotated_Images"))]
    folders += sorted(base.glob("Manually_Annotated*/Manually_Annotated_Images"))
    files = listed_pictures(path, [line for line, _, _ in rows], [name for _, name, _ in rows], folders)
    return [Labelled(file, key, code) for file, (_, key, code) in zip(files, rows, strict=True)]


def _by_annotations(folder: Path, root: Path) -> list[Labelled]:
    files, annotations = _pairs(folder / "images", folder / "annotations")
    codes = generated(_codes, Features({"code": Value("string")}), annotations)
    return [
        Labelled(file, file.relative_to(root).as_posix(), code)
        for file, code in zip(files, codes["code"][:], strict=True)
    ]


def _pairs(images: Path, annotations: Path) -> tuple[list[Path], list[Path]]:
    """The pictures and, in the same order, their annotations: `0.jpg` has `0_exp.npy`."""
    for needed in (images, annotations):
        if not needed.is_dir():
            raise InputError(f"no folder {needed}; expected images/0.jpg with annotations/0_exp.npy")
    pictures: dict[str, Path] = {}
    for picture in pictures_in(images):
        before = pictures.setdefault(f"{picture.stem}_exp.npy", picture)
        if before != picture:
            raise InputError(f"{before} and {picture.name} share one annotation; keep one of the two pictures")
    found = {path.name for path in annotations.glob("*_exp.npy")}
    for name, picture in pictures.items():
        if name not in found:
            raise InputError(f"{picture} has no {annotations / name}; add it, or move the picture away")
    for name in sorted(found - pictures.keys()):
        raise InputError(f"{annotations / name} has no picture in {images}; add it, or move the annotation away")
    return list(pictures.values()), [annotations / name for name in pictures]


def _codes(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The code in every npy file."""
    for path in files:
        try:
            value = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError, MemoryError):
            value = None
        if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "iuU":
            raise InputError(
                f"{path} is not an npy file of one whole number (pickled objects are not opened, since that can run "
                "code): save the code again with numpy.save"
            )
        yield {"code": str(value.item()).strip()}
