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
from pipeline.data.own_splits import without_splits
from pipeline.data.readers import (
    affectnet,
    avec,
    ckplus,
    csv_file,
    curated,
    drawn,
    expw,
    fer2013,
    ferplus,
    folder,
    hub,
    parquet,
    patterns,
    rafdb,
    sidecar,
)
from pipeline.data.readers.archives import archives_in, unpacked
from pipeline.data.readers.configs import refuse_other_splits
from pipeline.data.readers.files import local_path
from pipeline.data.readers.hints import hint_for_files
from pipeline.data.readers.inventory import PAPERS, Unread, inventory, named
from pipeline.data.readers.labels import unmatched_keys
from pipeline.data.readers.shards import refuse_missing_parts
from pipeline.data.table import ALL, Reading, split_of
from pipeline.errors import InputError
from pipeline.expressions import is_expression
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
    ckplus,
    avec,
    curated,
    patterns,
    sidecar,
    hub,
    drawn,
)
SPLITS_BY_NAME = (folder.NAME, csv_file.NAME, patterns.NAME, sidecar.NAME)  # readers that find splits by names
# Readers that also read scores.
WITH_SCORES = (csv_file.NAME, parquet.NAME, affectnet.NAME, avec.NAME, curated.NAME, hub.NAME, drawn.NAME)
BY_NAME = {reader.NAME: reader for reader in READERS}
_layouts = [reader.LAYOUT for reader in READERS if reader.LAYOUT]
LAYOUTS = f"{'; '.join(_layouts[:-1])}; or {_layouts[-1]}"


def read_sources(recipe: Recipe) -> list[Reading]:
    """Each entry of `recipe.sources` read with its own data settings; without entries the one source of the recipe.

    Raises:
        InputError: as `read_source` and `refuse_settings`; or two sources have one name, or a key of `class_map` is in
            none of them.
    """
    refuse_settings(recipe)
    each = _each_source(recipe)
    readings = [read_source(entry) for entry in each]
    ids = [source.id for reading in readings for source in reading.sources]
    for id in ids:
        if ids.count(id) > 1:
            raise InputError(f"sources: two of them are called {id}; rename a folder")
    _refuse_unmatched(each, readings)
    return readings


def refuse_settings(recipe: Recipe) -> None:
    """Refuse, before a file is opened, what no data can make right.

    Raises:
        InputError: a source has no reader, a data setting is given that no source uses, train is limited to fewer rows
            than classes, or something is to be drawn that cannot be.
    """
    _refuse_unused(recipe)
    least = len(recipe.labels)
    if recipe.max_train_samples is not None and recipe.max_train_samples < least:
        raise InputError(
            f"max_train_samples is {recipe.max_train_samples}, but train needs at least {least} rows; set it to "
            f"{least} or more"
        )
    for entry in _each_source(recipe):
        _refuse_unknown(entry.source)
        if entry.source == drawn.NAME:
            drawn.refuse_undrawable(entry)


def _each_source(recipe: Recipe) -> list[Recipe]:
    return [replace(recipe, sources=[], **entry) for entry in recipe.sources or [{}]]


def _refuse_unmatched(each: list[Recipe], readings: list[Reading]) -> None:
    """Stop at keys of `class_map` that no source with this `class_map` has: they are misspelled."""
    for entry in each:
        same = [r for other, r in zip(each, readings, strict=True) if other.class_map == entry.class_map]
        names = {name: None for reading in same for source in reading.sources for name in source.names}
        if names and (lost := unmatched_keys(entry.class_map, names)):
            there = ", ".join(list(names)[:20])
            raise InputError(
                f"class_map names {', '.join(lost)}, which is not in the data (there are: {there}); correct it"
            )


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
    inventory.cache_clear()  # the files may have changed since the last call
    reader, placed = _reader_of(recipe)
    _refuse_without_scores(reader, recipe)
    if reader.NAME in SPLITS_BY_NAME:
        refuse_other_splits(local_path(recipe), recipe, reader.NAME)
    reading = reader.read(placed)
    if placed is not recipe:
        reading = _with_files_around(reading, local_path(recipe), local_path(placed))
    reading = without_splits(reading, recipe)
    _refuse_undecided(reading, recipe)
    return reading if recipe.crop == "none" else crop_faces(reading, recipe)


def _reader_of(recipe: Recipe) -> tuple[Reader, Recipe]:
    """The reader that the setting `source` names, for `auto` the one that recognises the path; and where it reads."""
    _refuse_unknown(recipe.source)
    named = BY_NAME.get(recipe.source)
    if named is not None and "drawn" in named.ORIGINS:
        return named, recipe
    if recipe.data_path is None:
        raise InputError(f"data_path is not set: give --data_path with {LAYOUTS}; or --source {drawn.NAME}")
    path = local_path(recipe)
    if named is not None and not path.exists() and "hub" not in named.ORIGINS:
        raise InputError(f"data_path {path} does not exist: give {named.LAYOUT}")
    if path.is_dir():
        refuse_missing_parts(path, inventory(path).files)
    if archives := archives_in(path):
        path = unpacked(path, archives)
    path = _inside(path, recipe, named)
    placed = replace(recipe, data_path=str(path)) if path != local_path(recipe) else recipe
    return named or recognise(path, placed), placed


def _refuse_without_scores(reader: Reader, recipe: Recipe) -> None:
    if recipe.scores and reader.NAME not in WITH_SCORES:
        raise InputError(
            f"data_path {recipe.data_path}: source {reader.NAME} has classes and no scores; the scores "
            f"{', '.join(recipe.scores)} can be columns of a csv file or of parquet files"
        )


def _inside(path: Path, recipe: Recipe, named: Reader | None) -> Path:
    """The folder in a folder that only wraps it, such as `archive/` or `DATASET/`, however deep; otherwise `path`."""
    readers = [named] if named else list(READERS)
    while path.is_dir():
        if any(reader.NAME != folder.NAME and reader.matches(path, recipe) for reader in readers):
            return path
        whole = inventory(path)
        tops = {file.folders[:1] for file in whole.files if file.folders or not PAPERS.fullmatch(file.name)}
        only = next(iter(tops)) if len(tops) == 1 else ()
        if not only or split_of(only[0]) or is_expression(only[0]) or not _holds_data(path / only[0]):
            return path
        path = path / only[0]
    return path


def _holds_data(path: Path) -> bool:
    """Whether a folder holds folders of pictures, or tables: more than loose pictures of one class."""
    if not path.is_dir():
        return False
    whole = inventory(path)
    loose = any(not file.folders for file in whole.of("picture"))
    return bool(whole.of("table") or whole.of("parquet") or (whole.of("picture") and not loose))


def _with_files_around(reading: Reading, given: Path, inner: Path) -> Reading:
    """The reading with the files counted that lie in `given` beside the folder `inner` that was read."""
    if not given.is_dir() or not inner.is_relative_to(given) or inner == given:
        return reading
    around, inside = inventory(given), inventory(inner)
    below = f"{inner.relative_to(given).as_posix()}/"
    files = [file for file in around.files if not file.key.startswith(below)]
    counts = {f"file beside the data: {named(files)}": len(files)}
    for reason, unread in around.others.items():
        inner_count = inside.others[reason].count if reason in inside.others else 0
        outer = Unread(unread.count - inner_count, [name for name in unread.names if not name.startswith(below)])
        counts[outer.in_words(reason)] = outer.count
    first, *others = reading.sources
    left_out = {split: dict(reasons) for split, reasons in first.left_out.items()}
    for reason, count in counts.items():
        if count > 0:
            of_all = left_out.setdefault(ALL, {})
            of_all[reason] = of_all.get(reason, 0) + count
    return replace(reading, sources=(replace(first, left_out=left_out), *others))


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
    inventory.cache_clear()
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
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"data_path {path} is empty: give {LAYOUTS}")
    hint = hint_for_files(path, recipe)
    layouts = "docs/data.md lists all layouts" if hint else f"give {LAYOUTS}"
    raise InputError(f"data_path {path} holds no layout that is understood{hint}: {layouts}")


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
