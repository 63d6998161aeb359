"""Whatever a person holds, as the one table that curation reads."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from pipeline.data.face_crops import crop_faces
from pipeline.data.readers.layouts import LAYOUTS, recognise
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


def read_sources(recipe: Recipe) -> list[Reading]:
    """Each entry of `recipe.sources` read with its own data settings; without entries the one source of the recipe.

    Raises:
        InputError: as `read_source`; or two sources have one name, or a data setting is given that none of them uses.
    """
    _refuse_unused(recipe)
    if not recipe.sources:
        return [read_source(recipe)]
    read = [read_source(replace(recipe, sources=[], **entry)) for entry in recipe.sources]
    names = [source.id for reading in read for source in reading.sources]
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


def read_source(recipe: Recipe) -> Reading:
    """The source that `recipe.source` names, or that `recipe.data_path` is seen to hold; its faces cropped on demand.

    Raises:
        InputError: nothing is there, no layout is recognised, a reader refuses what it finds, or faces cannot be found.
    """
    reading = _read_as_it_is(recipe)
    return reading if recipe.crop == "none" else crop_faces(reading, recipe)


def _read_as_it_is(recipe: Recipe) -> Reading:
    if recipe.source == "drawn":
        return import_module("pipeline.data.readers.drawn").read(recipe)
    if recipe.data_path is None:
        raise InputError(f"data_path is not set: give --data_path with {LAYOUTS}; or --source drawn")
    path = Path(recipe.data_path).expanduser()
    kind = recipe.source if recipe.source not in ("auto", "ferplus") else recognise(path, recipe)
    if not path.exists() and kind != "hub":
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    reading = _reader(kind)(recipe)
    voted = any(source.label_rule is not None for source in reading.sources)
    made = {"validation": recipe.validation_share, "test": recipe.test_share}
    missing = [split for split, share in made.items() if share and split not in reading.tables]
    if recipe.undecided == "train" and voted and missing:
        raise InputError(
            f"data_path {path}: undecided train keeps rows without a label in train alone, and {' and '.join(missing)} "
            "would be made of train here: give data with its own splits, or set undecided drop"
        )
    if recipe.source == "ferplus" and not voted:
        raise InputError(
            f"data_path {path}: no FER+ votes there; give the csv pair, the FER+ folders, or parquet with votes"
        )
    return reading


def _reader(kind: str) -> Callable[[Recipe], Reading]:
    modules = {"csv": "csv_file", "parquet": "table", "hub": "table", "ferplus": "ferplus_folders"}
    return import_module(f"pipeline.data.readers.{modules.get(kind, kind)}").read
