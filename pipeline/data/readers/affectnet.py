"""AffectNet: `training.csv` and `validation.csv`, or `train_set` and `val_set` with images and annotations.

The csv files have the columns subDirectory_filePath (below the file's folder or `Manually_Annotated_Images`),
expression, valence and arousal; a folder has `images/0.jpg` and `annotations/0_exp.npy`, `0_val.npy` and `0_aro.npy`
(Mollahosseini et al., arXiv:1708.03985). Valence and arousal run from -1 to 1; -2 says that they are unknown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, Value

from pipeline.data.readers.codes import AFFECTNET_CODES, is_number
from pipeline.data.readers.files import generated, listed_pictures, local_path, pictures_in
from pipeline.data.readers.rows import Labelled, Part, Whole, part_of, scored_part, whole_of
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
SCORES = {"valence": "val", "arousal": "aro"}  # score -> the end of its file's name
UNKNOWN = -2.0
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
    _refuse_other_scores(recipe)
    for split, place in (lists or folders).items():
        if recipe.scores:
            parts[split] = (_scored_by_csv if lists else _scored_by_annotations)(place, root, recipe)
            continue
        coded = _by_csv(place, root) if lists else _by_annotations(place, root)
        parts[split] = part_of(coded, NAME, recipe, str(place), AFFECTNET_CODES)
    names = ", ".join(place.name for place in (lists or folders).values())
    layout = f"AffectNet by {names}" if lists else f"AffectNet in {names} by annotations/{_files(recipe)}"
    whole = whole_of(parts, f"data_path {root}")
    return Reading((_source(layout, list(lists.values()), whole, recipe),), whole.tables)


def _files(recipe: Recipe) -> str:
    """The names of the annotations that are read."""
    return " and ".join(f"*_{SCORES[name]}.npy" for name in recipe.scores) or "*_exp.npy"


def _refuse_other_scores(recipe: Recipe) -> None:
    other = [name for name in recipe.scores if name not in SCORES]
    if other:
        raise InputError(f"scores: AffectNet has no {other[0]}; it has {' and '.join(SCORES)}")


def _source(layout: str, lists: Sequence[Path], whole: Whole, recipe: Recipe) -> Source:
    read_too = recipe.scores or ["expression"]
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
        columns_not_read=tuple(name for name in unread if name.lower() not in (PATH_COLUMN.lower(), *read_too)),
        left_out=whole.left_out,
        names=whole.names,
    )


def _by_csv(path: Path, root: Path) -> list[Labelled]:
    lines, names, cells = _cells_of_csv(path, ("expression",))
    files = _listed(path, root, lines, names)
    return [Labelled(file, key, code) for file, key, (code,) in zip(files, names, cells, strict=True)]


def _scored_by_csv(path: Path, root: Path, recipe: Recipe) -> Part:
    lines, names, cells = _cells_of_csv(path, tuple(recipe.scores))
    pictures = [Labelled(file, key, None) for file, key in zip(_listed(path, root, lines, names), names, strict=True)]
    return scored_part(pictures, _known(cells), NAME, _with_ranges(recipe), lambda row: f"{path} line {lines[row]}")


def _scored_by_annotations(folder: Path, root: Path, recipe: Recipe) -> Part:
    read = [_annotated(folder, ending) for ending in (SCORES[name] for name in recipe.scores)]
    pictures = [Labelled(file, file.relative_to(root).as_posix(), None) for file in read[0][0]]
    cells = list(zip(*(values for _, values in read), strict=True))
    return scored_part(pictures, _known(cells), NAME, _with_ranges(recipe), lambda row: str(pictures[row].path))


def _annotated(folder: Path, ending: str) -> tuple[list[Path], list[str]]:
    """The pictures of a folder, and the number that each has in its annotation of this ending."""
    files, annotations = _pairs(folder / "images", folder / "annotations", ending)
    return files, generated(_numbers, Features({"code": Value("string")}), annotations)["code"][:]


def _known(cells: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """The cells, empty where AffectNet says that the score is unknown."""
    return [[None if is_number(cell) and float(cell) == UNKNOWN else cell for cell in row] for row in cells]


def _with_ranges(recipe: Recipe) -> Recipe:
    return replace(recipe, score_ranges={name: [-1.0, 1.0] for name in recipe.scores} | recipe.score_ranges)


def _cells_of_csv(path: Path, columns: tuple[str, ...]) -> tuple[list[int], list[str], list[tuple[str, ...]]]:
    """Lines, names of pictures and cells of `columns`; landmarks, the other cells, would fill the memory."""
    kept = [
        (line, row[PATH_COLUMN.lower()], tuple(row[name] for name in columns))
        for line, row in read_csv(path, (PATH_COLUMN, *columns))
    ]
    return [line for line, _, _ in kept], [name for _, name, _ in kept], [cells for _, _, cells in kept]


def _listed(path: Path, root: Path, lines: list[int], names: list[str]) -> list[Path]:
    base = path.parent if root.is_file() else root
    folders = [path.parent, *sorted(base.glob("Manually_Annotated_Images"))]
    folders += sorted(base.glob("Manually_Annotated*/Manually_Annotated_Images"))
    return listed_pictures(path, lines, names, folders)


def _by_annotations(folder: Path, root: Path) -> list[Labelled]:
    files, annotations = _pairs(folder / "images", folder / "annotations", "exp")
    codes = generated(_codes, Features({"code": Value("string")}), annotations)
    return [
        Labelled(file, file.relative_to(root).as_posix(), code)
        for file, code in zip(files, codes["code"][:], strict=True)
    ]


def _pairs(images: Path, annotations: Path, ending: str) -> tuple[list[Path], list[Path]]:
    """The pictures and, in the same order, their annotations of an `ending`: for `exp`, `0.jpg` has `0_exp.npy`."""
    for needed in (images, annotations):
        if not needed.is_dir():
            raise InputError(f"no folder {needed}; expected images/0.jpg with annotations/0_{ending}.npy")
    pictures: dict[str, Path] = {}
    for picture in pictures_in(images):
        before = pictures.setdefault(f"{picture.stem}_{ending}.npy", picture)
        if before != picture:
            raise InputError(f"{before} and {picture.name} share one annotation; keep one of the two pictures")
    found = {path.name for path in annotations.glob(f"*_{ending}.npy")}
    for name, picture in pictures.items():
        if name not in found:
            raise InputError(f"{picture} has no {annotations / name}; add it, or move the picture away")
    for name in sorted(found - pictures.keys()):
        raise InputError(f"{annotations / name} has no picture in {images}; add it, or move the annotation away")
    return list(pictures.values()), [annotations / name for name in pictures]


def _codes(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The code in every npy file."""
    yield from _read(files, "iuU", "whole number", "code")


def _numbers(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The number in every npy file, as text; AffectNet has saved some as text."""
    yield from _read(files, "iufU", "number", "number")


def _read(files: Sequence[Path], kinds: str, what: str, short: str) -> Iterator[dict[str, Any]]:
    for path in files:
        try:
            value = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError, MemoryError):
            value = None
        if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in kinds:
            raise InputError(
                f"{path} is not an npy file of one {what} (pickled objects are not opened, since that can run "
                f"code): save the {short} again with numpy.save"
            )
        yield {"code": str(value.item()).strip()}
