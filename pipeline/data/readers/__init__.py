"""Whatever a person holds, as the one table that curation reads.

A reader is a module of this folder. It recognises a path by the names of files and columns (`matches`), and reads it
(`read`). `READERS` is their only list: the values of the setting `source` and the layouts in messages come from it.
How to add one: docs/add_a_reader.md.
"""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pipeline.data.face_crops import crop_faces
from pipeline.data.readers import (
    affectnet,
    csv_file,
    curated,
    drawn,
    expw,
    fer2013,
    ferplus,
    folder,
    hub,
    parquet,
    rafdb,
)
from pipeline.data.readers.files import local_path
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin


class Reader(Protocol):
    """What a module is that reads one kind of source."""

    NAME: str  # the value of the setting `source`
    LAYOUT: str  # what it reads, for messages; "" where data_path does not decide
    ORIGINS: tuple[Origin, ...]  # where its pictures may come from: `local` needs a path that exists, `drawn` none
    BEFORE: tuple[str, ...]  # readers that give way where both match, because this one reads their files too

    def matches(self, path: Path, recipe: Recipe) -> str | None:
        """Why `path`, which is `recipe.data_path`, is its kind of source, in a few words, or None; opens no picture."""

    def read(self, recipe: Recipe) -> Reading:
        """The source in `recipe.data_path`; refuses what it cannot read with an InputError."""


READERS: tuple[Reader, ...] = (
    folder,
    csv_file,
    parquet,
    fer2013,
    ferplus,
    rafdb,
    affectnet,
    expw,
    curated,
    hub,
    drawn,
)
BY_NAME = {reader.NAME: reader for reader in READERS}
_layouts = [reader.LAYOUT for reader in READERS if reader.LAYOUT]
LAYOUTS = f"{'; '.join(_layouts[:-1])}; or {_layouts[-1]}"


def read_sources(recipe: Recipe) -> list[Reading]:
    """Each entry of `recipe.sources` read with its own data settings; without entries the one source of the recipe.

    Raises:
        InputError: as `read_source`; or two sources have one name, or a data setting is given that none of them uses.
    """
    _refuse_unused(recipe)
    if not recipe.sources:
        return [read_source(recipe)]
    each = [replace(recipe, sources=[], **entry) for entry in recipe.sources]
    for entry in each:
        _refuse_unknown(entry.source)  # all of them before the first is read
    readings = [read_source(entry) for entry in each]
    ids = [source.id for reading in readings for source in reading.sources]
    for id in ids:
        if ids.count(id) > 1:
            raise InputError(f"sources: two of them are called {id}; rename a folder")
    return readings


def _refuse_unused(recipe: Recipe) -> None:
    entries = recipe.sources or [{}]
    reads = (entry.get("source", recipe.source) != drawn.NAME and "data_path" not in entry for entry in entries)
    if recipe.data_path is not None and not any(reads):
        why = "each of the sources names its own" if recipe.sources else "source is drawn: add --source auto to read it"
        raise InputError(f"data_path {recipe.data_path} would not be read, because {why}")
    for entry in recipe.sources:
        if "data_path" in entry and entry.get("source", recipe.source) == drawn.NAME:
            place = f"sources: data_path {entry['data_path']}"
            raise InputError(f"{place} would not be read, because its source is drawn: add source: auto beside it")
    if recipe.face_align and all(entry.get("crop", recipe.crop) == "none" for entry in entries):
        raise InputError("face_align levels the eyes of faces that are cropped here: add --crop detect, or leave it")


def read_source(recipe: Recipe) -> Reading:
    """The source that `recipe.source` names, or that `recipe.data_path` is recognised as; faces cropped on demand.

    Raises:
        InputError: nothing is there, no reader or more than one recognises it, a reader refuses what it finds, or
            faces cannot be found.
    """
    reading = _reader_of(recipe).read(recipe)
    _refuse_undecided(reading, recipe)
    return reading if recipe.crop == "none" else crop_faces(reading, recipe)


def _reader_of(recipe: Recipe) -> Reader:
    """The reader that the setting `source` names; for `auto` the one that recognises the path."""
    _refuse_unknown(recipe.source)
    named = BY_NAME.get(recipe.source)
    if named is not None and "drawn" in named.ORIGINS:
        return named
    if recipe.data_path is None:
        raise InputError(f"data_path is not set: give --data_path with {LAYOUTS}; or --source {drawn.NAME}")
    path = local_path(recipe)
    if named is None:
        return recognise(path, recipe)
    if not path.exists() and "hub" not in named.ORIGINS:
        raise InputError(f"data_path {path} does not exist: give {named.LAYOUT}")
    return named


def _refuse_unknown(source: str) -> None:
    known = ["auto", *BY_NAME]
    if source not in known:
        near = difflib.get_close_matches(source, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"source is {source!r}{hint}; it must be one of {', '.join(known)}")


def recognise(path: Path, recipe: Recipe) -> Reader:
    """The one reader that recognises `path`, which is `recipe.data_path`.

    Raises:
        InputError: none does, or more than one.
    """
    why = {reader.NAME: found for reader in READERS if (found := reader.matches(path, recipe))}
    behind = {name for found in why for name in BY_NAME[found].BEFORE}
    chosen = [name for name in why if name not in behind]
    if len(chosen) == 1:
        return BY_NAME[chosen[0]]
    if chosen:
        seen = " and ".join(why[name] for name in chosen)
        named = " or ".join(f"--source {name}" for name in chosen)
        raise InputError(f"data_path {path} holds {seen}, and only one of them is read: choose with {named}")
    if not path.exists():
        raise InputError(f"data_path {path} does not exist: give {LAYOUTS}")
    state = "is empty" if path.is_dir() and not any(path.iterdir()) else "holds no layout that is understood"
    raise InputError(f"data_path {path} {state}: give {LAYOUTS}")


def _refuse_undecided(reading: Reading, recipe: Recipe) -> None:
    """Rows without a label may be kept in train only, so validation and test cannot be made of them."""
    if recipe.undecided != "train" or all(source.label_rule is None for source in reading.sources):
        return
    made = {"validation": recipe.validation_share, "test": recipe.test_share}
    missing = [split for split, share in made.items() if share and split not in reading.tables]
    if missing:
        raise InputError(
            f"data_path {recipe.data_path}: undecided train keeps rows without a label in train only, but "
            f"{' and '.join(missing)} would be made of train here: give data with its own splits, or set undecided drop"
        )
