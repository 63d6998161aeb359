"""Whatever a person holds, as the one table that curation reads."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from datasets import DatasetDict

from pipeline.errors import InputError
from pipeline.recipe import Recipe
from pipeline.sources.files import PICTURE_SUFFIXES, header, visible

LAYOUTS = (
    "class folders (<class>/*.png or <split>/<class>/*.png), a csv file path,label[,split,person], parquet files with "
    "a picture and a label column (or FER+ votes), fer2013.csv with or without fer2013new.csv, or a Hub data set id"
)

FILE_SUFFIXES = (".csv", ".parquet", ".txt", ".zip", ".tar", ".gz", ".json")  # never the end of a Hub data set id


@dataclass(frozen=True)
class Source:
    """One origin of pictures as the one table.

    Every split of `tables` has the columns image (Image), label (ClassLabel of `classes`), target (K float32 that sum
    to 1), source, person (or None) and key (unique and stable name of the picture in its source).
    """

    name: str
    layout: str  # one line to print: what was recognised
    tables: DatasetDict  # the splits it officially has among train, validation and test, else one split "all"
    dropped: dict[str, dict[str, int]]  # split -> reason -> rows
    terms: str
    pixels_may_travel: bool
    label_rule: str | None  # None where labels came ready


def read_sources(recipe: Recipe) -> list[Source]:
    """Each entry of `recipe.sources` read with its own data settings; without entries the one source of the recipe.

    Raises:
        InputError: as `read_source`; or two sources have one name.
    """
    if not recipe.sources:
        return [read_source(recipe)]
    read = [read_source(replace(recipe, sources=[], **entry)) for entry in recipe.sources]
    names = [source.name for source in read]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"sources: two of them are called {name}; rename a folder")
    return read


def read_source(recipe: Recipe) -> Source:
    """The source that `recipe.source` names, or that `recipe.data_path` is seen to hold.

    Raises:
        InputError: nothing is there, no layout is recognised, or a reader refuses what it finds.
    """
    if recipe.source == "drawn":
        return import_module("pipeline.sources.drawn").read(recipe)
    if recipe.data_path is None:
        raise InputError(f"data_path is not set: give --data_path with {LAYOUTS}; or --source drawn")
    path = Path(recipe.data_path).expanduser()
    kind = recipe.source if recipe.source not in ("auto", "ferplus") else recognise(path, recipe.data_path)
    if not path.exists() and kind != "hub":
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    source = _reader(kind)(recipe)
    if recipe.source == "ferplus" and source.label_rule is None:
        raise InputError(f"data_path {path}: no FER+ votes there; give the csv pair, or parquet with a column votes")
    return source


def _reader(kind: str) -> Callable[[Recipe], Source]:
    modules = {"csv": "csv_file", "parquet": "table", "hub": "table"}
    return import_module(f"pipeline.sources.{modules.get(kind, kind)}").read


def recognise(path: Path, name: str) -> str:
    """The kind of source (a value of the setting `source`) that `path` holds; `name` is the path as it was given.

    Raises:
        InputError: nothing is there, or no layout fits.
    """
    if path.is_file() and path.suffix.lower() == ".parquet":
        return "parquet"
    if path.is_file() and path.suffix.lower() in (".csv", ".txt"):
        return "fer2013" if "pixels" in header(path) else "csv"
    if path.is_dir():
        kind = _recognise_folder(path)
        if kind is not None:
            return kind
    if not path.exists():
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name) and path.suffix.lower() not in FILE_SUFFIXES:
            return "hub"
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    state = "is empty" if path.is_dir() and not any(path.iterdir()) else "holds no layout that is understood"
    raise InputError(f"data_path {path} {state}: give {LAYOUTS}")


def _recognise_folder(path: Path) -> str | None:
    if (path / "curation.json").is_file() and (path / "train.parquet").is_file():
        return "curated"
    if (path / "fer2013.csv").is_file():
        return "fer2013"
    if next(path.rglob("*.parquet"), None):
        return "parquet"
    tables = [header(p) for p in path.glob("*.csv")]
    if len(tables) == 1 and {"path", "label"} <= tables[0]:
        return "csv"
    if len(tables) == 1 and "pixels" in tables[0]:
        return "fer2013"
    if any(
        p.suffix.lower() in PICTURE_SUFFIXES for folder in visible(path) if folder.is_dir() for p in folder.rglob("*")
    ):
        return "folder"
    return None
