"""Whatever a person holds, as the one table that curation reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from pipeline.data.readers.layouts import LAYOUTS, recognise
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


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
    faces: dict[str, Any] | None = None  # what the face crop left out, and where it had a choice; None without a crop
    labels_may_travel: bool = True  # keys and labels, row by row; False where an agreement keeps them with who signed


def read_sources(recipe: Recipe) -> list[Source]:
    """Each entry of `recipe.sources` read with its own data settings; without entries the one source of the recipe.

    Raises:
        InputError: as `read_source`; or two sources have one name, or a data setting is given that none of them uses.
    """
    _refuse_unused(recipe)
    if not recipe.sources:
        return [read_source(recipe)]
    read = [read_source(replace(recipe, sources=[], **entry)) for entry in recipe.sources]
    names = [source.name for source in read]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"sources: two of them are called {name}; rename a folder")
    return read


def _refuse_unused(recipe: Recipe) -> None:
    entries = recipe.sources or [{}]
    reads = (entry.get("source", recipe.source) != "drawn" and "data_path" not in entry for entry in entries)
    if recipe.data_path is not None and not any(reads):
        why = "each of the sources names its own" if recipe.sources else "source is drawn: add --source auto to read it"
        raise InputError(f"data_path {recipe.data_path} would not be read, for {why}")
    if recipe.face_align and all(entry.get("crop", recipe.crop) == "none" for entry in entries):
        raise InputError("face_align levels the eyes of faces that are cropped here: add --crop detect, or leave it")


def read_source(recipe: Recipe) -> Source:
    """The source that `recipe.source` names, or that `recipe.data_path` is seen to hold; its faces cropped on demand.

    Raises:
        InputError: nothing is there, no layout is recognised, a reader refuses what it finds, or faces cannot be found.
    """
    source = _read_as_it_is(recipe)
    return source if recipe.crop == "none" else import_module("pipeline.data.face_crops").crop_faces(source, recipe)


def _read_as_it_is(recipe: Recipe) -> Source:
    if recipe.source == "drawn":
        return import_module("pipeline.data.readers.drawn").read(recipe)
    if recipe.data_path is None:
        raise InputError(f"data_path is not set: give --data_path with {LAYOUTS}; or --source drawn")
    path = Path(recipe.data_path).expanduser()
    kind = recipe.source if recipe.source not in ("auto", "ferplus") else recognise(path, recipe)
    if not path.exists() and kind != "hub":
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    source = _reader(kind)(recipe)
    made = {"validation": recipe.validation_share, "test": recipe.test_share}
    missing = [split for split, share in made.items() if share and split not in source.tables]
    if recipe.undecided == "train" and source.label_rule is not None and missing:
        raise InputError(
            f"data_path {path}: undecided train keeps rows without a label in train alone, and {' and '.join(missing)} "
            "would be made of train here: give data with its own splits, or set undecided drop"
        )
    if recipe.source == "ferplus" and source.label_rule is None:
        raise InputError(
            f"data_path {path}: no FER+ votes there; give the csv pair, the FER+ folders, or parquet with votes"
        )
    return source


def _reader(kind: str) -> Callable[[Recipe], Source]:
    modules = {"csv": "csv_file", "parquet": "table", "hub": "table", "ferplus": "ferplus_folders"}
    return import_module(f"pipeline.data.readers.{modules.get(kind, kind)}").read
