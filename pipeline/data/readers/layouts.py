"""Which layout a path holds, told by the names of files and columns; no picture is opened."""

import re
from pathlib import Path

from pipeline.data.readers.files import PICTURE_SUFFIXES, header, visible
from pipeline.data.table import SPLIT_SYNONYMS
from pipeline.errors import InputError
from pipeline.expressions import RAFDB_CODES
from pipeline.settings.recipe import Recipe

LAYOUTS = (
    "class folders (<class>/*.png or <split>/<class>/*.png), a csv file path,label[,split,person], parquet files with "
    "a picture and a label column (or FER+ votes), fer2013.csv with or without fer2013new.csv, the FER+ folders "
    "FER2013Train, FER2013Valid and FER2013Test, RAF-DB (list_patition_label.txt and aligned/, or folders 1 to 7), "
    "AffectNet (training.csv and validation.csv, or train_set/ and val_set/), or a Hub data set id"
)

FILE_SUFFIXES = (".csv", ".parquet", ".txt", ".zip", ".tar", ".gz", ".json")  # never the end of a Hub data set id

FERPLUS_FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
RAFDB_LIST = "list_patition_label.txt"  # spelled so
AFFECTNET_LISTS = {"train": "training.csv", "validation": "validation.csv"}
AFFECTNET_FOLDERS = {"train": "train_set", "validation": "val_set", "test": "test_set"}
AFFECTNET_PATH = "subDirectory_filePath"  # a column that no other data set has


def recognise(path: Path, recipe: Recipe) -> str:
    """The kind of source (a value of the setting `source`) that `path`, which is `recipe.data_path`, holds.

    Raises:
        InputError: nothing is there, or no layout fits.
    """
    kind = _recognise_folder(path, recipe) if path.is_dir() else _recognise_file(path) if path.is_file() else None
    if kind is not None:
        return kind
    if not path.exists():
        hub_id = re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", str(recipe.data_path))
        if hub_id and path.suffix.lower() not in FILE_SUFFIXES:
            return "hub"
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    state = "is empty" if path.is_dir() and not any(path.iterdir()) else "holds no layout that is understood"
    raise InputError(f"data_path {path} {state}: give {LAYOUTS}")


def _recognise_file(path: Path) -> str | None:
    if rafdb_list(path) is not None:
        return "rafdb"
    if path.suffix.lower() == ".parquet":
        return "parquet"
    if path.suffix.lower() in (".csv", ".txt"):
        return "affectnet" if affectnet_lists(path) else "fer2013" if "pixels" in header(path) else "csv"
    return None


def _recognise_folder(path: Path, recipe: Recipe) -> str | None:
    if (path / "curation.json").is_file() and (path / "train.parquet").is_file():
        return "curated"
    if (path / "fer2013.csv").is_file():
        return "fer2013"
    if any((path / name).is_dir() for name in FERPLUS_FOLDERS.values()):
        return "ferplus"
    if rafdb_list(path) is not None:
        return "rafdb"
    if affectnet_lists(path) or affectnet_folders(path):
        return "affectnet"
    if next(path.rglob("*.parquet"), None):
        return "parquet"
    tables = [header(p) for p in path.glob("*.csv")]
    if len(tables) == 1 and {"path", "label"} <= tables[0]:
        return "csv"
    if len(tables) == 1 and "pixels" in tables[0]:
        return "fer2013"
    classes = _class_folders(path)
    if classes and classes <= RAFDB_CODES.keys() and not classes <= {*recipe.class_map, *recipe.classes}:
        return "rafdb"
    if any(
        p.suffix.lower() in PICTURE_SUFFIXES for folder in visible(path) if folder.is_dir() for p in folder.rglob("*")
    ):
        return "folder"
    return None


def _class_folders(root: Path) -> set[str]:
    """The names of the folders in `root`, or in its split folders."""
    folders = [p for p in visible(root) if p.is_dir()]
    if any(p.name.lower() in SPLIT_SYNONYMS for p in folders):
        folders = [p for folder in folders for p in visible(folder) if p.is_dir()]
    return {p.name for p in folders}


def rafdb_list(path: Path) -> Path | None:
    """The list of RAF-DB: `path` itself, or where it lies in the folder `path`; None where there is none."""
    places = (path, path / RAFDB_LIST, path / "EmoLabel" / RAFDB_LIST, path / "basic" / "EmoLabel" / RAFDB_LIST)
    return next((place for place in places if place.name == RAFDB_LIST and place.is_file()), None)


def affectnet_lists(path: Path) -> dict[str, Path]:
    """The csv files of AffectNet in the folder `path` by split, or `path` itself; empty where none has its columns."""
    if path.is_file():
        found = {next((split for split, name in AFFECTNET_LISTS.items() if name == path.name.lower()), "all"): path}
        return found if AFFECTNET_PATH.lower() in header(path) else {}
    for folder in (path, path / "Manually_Annotated_file_lists"):
        found = {split: folder / name for split, name in AFFECTNET_LISTS.items() if (folder / name).is_file()}
        if any(AFFECTNET_PATH.lower() in header(table) for table in found.values()):
            return found
    return {}


def affectnet_folders(path: Path) -> dict[str, Path]:
    """The folders of AffectNet in `path` by split; empty where none holds annotations."""
    found = {split: path / name for split, name in AFFECTNET_FOLDERS.items() if (path / name).is_dir()}
    return found if any((folder / "annotations").is_dir() for folder in found.values()) else {}
