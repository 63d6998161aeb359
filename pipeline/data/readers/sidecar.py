"""WebDataset: `key.jpg` with its class in `key.cls` or `key.json` beside it, as its tar files hold them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.data.readers.agreement import Said, refuse_other_folders, said_class
from pipeline.data.readers.beside import reasons, refuse_unused, tables_beside
from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, Inventory, inventory, named
from pipeline.data.readers.labels import class_labels
from pipeline.data.readers.roles import find_roles
from pipeline.data.readers.rows import Labelled, parts_of, whole_of
from pipeline.data.readers.tables import as_text, flat
from pipeline.data.readers.text import read_text
from pipeline.data.table import ALL, SPLITS_IN_WORDS, Reading, split_in, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "webdataset"
LAYOUT = "WebDataset (key.jpg with key.cls or key.json, in tar files or unpacked)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("folder", "csv")
BESIDE = (".cls", ".json")


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds pictures with files of their classes beside them, or None: a picture has one."""
    first = next(iter(_beside(inventory(path)).items()), None) if path.is_dir() else None
    return f"{first[1].name} beside {first[0].name}" if first else None


def _beside(files: Inventory) -> dict[File, Path]:
    """The file of its class beside each picture that has one: the same name up to the first dot."""
    there = {file.key: file.path for file in files.files if file.name.endswith(BESIDE)}
    if not there:
        return {}
    found = {}
    for file in files.of("picture"):
        key = "/".join((*file.folders, file.name.partition(".")[0]))
        path = next((there[key + suffix] for suffix in BESIDE if key + suffix in there), None)
        if path is not None:
            found[file] = path
    return found


def read(recipe: Recipe) -> Reading:
    """The pictures below `recipe.data_path` with the classes of the files beside them.

    Raises:
        InputError: a file of a class cannot be read, a class is unknown, or folders or a table say something else.
    """
    root = local_path(recipe)
    files = inventory(root)
    beside = _beside(files)
    tables = tables_beside(root, recipe)
    refuse_unused(tables, set(beside.values()), recipe, NAME, of_folders=False)
    pictures = _pictures(beside, recipe)
    suffixes = " and ".join(sorted({path.suffix for path in beside.values()}))
    place = f"data_path {root}, files {suffixes}"
    refuse_other_folders(root, _said_of(pictures, beside, recipe, place), recipe, place, NAME)
    parts = parts_of(pictures, root.resolve().name, recipe, place)
    without = [file for file in files.of("picture") if file not in beside]
    others = {f"picture without a file of its class: {named(without)}": len(without)} if without else {}
    whole = whole_of(parts, f"data_path {root}", others | files.left_out(set(beside.values()), reasons(tables, root)))
    source = Source(
        id=root.resolve().name,
        title=root.resolve().name,
        layout="WebDataset: the class beside each picture",
        origin="local",
        left_out=whole.left_out,
        names=whole.names,
    )
    return Reading((source,), whole.tables)


def _pictures(beside: Mapping[File, Path], recipe: Recipe) -> list[Labelled]:
    """The pictures with what their files say; splits by the files if they say some, otherwise by folders."""
    said = [_said(path, recipe) for path in beside.values()]
    splits = [one.split for one in said] if any(one.split for one in said) else [_split(file) for file in beside]
    if not all(splits):
        if any(one.split for one in said):
            without = next(path for path, split in zip(beside.values(), splits, strict=True) if not split)
            raise InputError(f"{without} names no split, and others do: add it, or set --split_column none")
        splits = [None] * len(said)
    each = zip(beside, said, splits, strict=True)
    return [Labelled(file.path, file.key, one.label, split or ALL, one.person) for file, one, split in each]


def _said_of(pictures: list[Labelled], beside: Mapping[File, Path], recipe: Recipe, place: str) -> list[Said]:
    """What the files say of their pictures."""
    labels, why = class_labels([one.name for one in pictures], recipe, place)
    classes = [said_class(label, str(reason), recipe) for label, reason in zip(labels.tolist(), why, strict=True)]
    each = zip(pictures, classes, beside.values(), strict=True)
    return [Said(one.path, one.key, name, str(path)) for one, name, path in each]


def _split(file: File) -> str | None:
    return next((s for folder in file.folders if (s := split_of(folder) or split_in(folder))), None)


class Words(NamedTuple):
    """What a file says of the picture beside it."""

    label: str | None
    person: str | None = None
    split: str | None = None


def _said(path: Path, recipe: Recipe) -> Words:
    text = read_text(path, recipe.csv_encoding).strip()
    if path.suffix != ".json":
        return Words(text or None)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, Mapping):
        return Words(as_text(content))
    cells = {name: [as_text(value)] for name, value in flat(content).items()}
    roles = find_roles(cells, recipe, str(path))
    if roles.label is None:
        raise InputError(
            f"{path}: no label among its keys {', '.join(cells)}; name it with --label_column, or leave such files out "
            "with --source folder"
        )
    cell = cells[roles.split][0] if roles.split else None
    split = split_of(cell) if cell else None
    if cell and split is None:
        raise InputError(f"{path}: unknown split {cell!r}; splits are {SPLITS_IN_WORDS}; or set --split_column none")
    return Words(cells[roles.label][0], cells[roles.person][0] if roles.person else None, split)
