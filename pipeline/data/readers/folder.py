"""Class folders: `<class>/*.png`, or `<split>/<class>/*.png`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict

from pipeline.data.readers.files import is_picture, local_path, pictures_in, visible
from pipeline.data.readers.rows import names_of_codes, refuse_empty, table_of_files
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS, SPLITS_IN_WORDS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "folder"
LAYOUT = "class folders (<class>/*.png or <split>/<class>/*.png)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ()

LeftOut = dict[str, dict[str, int]]  # split -> reason -> rows


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a folder of class folders, or None: a folder in it holds a picture somewhere."""
    if not path.is_dir():
        return None
    first = next((f for f in visible(path) if f.is_dir() and any(is_picture(p) for p in f.rglob("*"))), None)
    return f"folders of pictures ({first.name}/)" if first else None


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`; the key of a picture is its path below it.

    Raises:
        InputError: a folder named by a number, or as `class_folders`.
    """
    root = local_path(recipe)
    name = root.resolve().name
    tables, left_out, shape = class_folders(root, recipe, name, {})
    source = Source(id=name, title=name, layout=f"class folders {shape}", origin="local", left_out=left_out)
    return Reading((source,), tables)


def class_folders(
    root: Path, recipe: Recipe, source: str, codes: Mapping[str, str]
) -> tuple[DatasetDict, LeftOut, str]:
    """The tables by split, the rows left out by split and reason, and the shape of the folders; `codes` name classes.

    Raises:
        InputError: a folder named after no class or by a number that is none of `codes`, split folders beside class
            folders, two folders for one split, or no picture.
    """
    if not root.is_dir():
        raise InputError(f"data_path {root} is not a folder; class folders are <class>/*.png or <split>/<class>/*.png")
    folders = [p for p in visible(root) if p.is_dir()]
    splits = split_folders(root, folders)
    tables: dict[str, Dataset] = {}
    left_out: LeftOut = {}
    for split, folder in (splits or {ALL: root}).items():
        tables[split], left_out[split] = _read_split(root, folder, recipe, source, codes)
    if splits:
        left_out |= {ALL: loose} if (loose := _loose(root)) else {}
    refuse_empty(tables, f"data_path {root}", left_out)
    return DatasetDict(tables), left_out, "<split>/<class>" if splits else "<class>"


def split_folders(root: Path, folders: list[Path]) -> dict[str, Path] | None:
    """Split name to folder, or None where the folders are classes."""
    named = [(SPLIT_SYNONYMS[p.name.lower()], p) for p in folders if p.name.lower() in SPLIT_SYNONYMS]
    if not named:
        return None
    others = [p.name for p in folders if p.name.lower() not in SPLIT_SYNONYMS]
    if others or len(dict(named)) < len(named):
        raise InputError(
            f"data_path {root} holds the folders {', '.join(p.name for p in folders)}: expected one folder each for "
            f"{SPLITS_IN_WORDS}, and no other folder beside them"
        )
    return {split: dict(named)[split] for split in SPLITS if split in dict(named)}


def _read_split(
    root: Path, folder: Path, recipe: Recipe, source: str, codes: Mapping[str, str]
) -> tuple[Dataset, dict[str, int]]:
    files: list[Path] = []
    names: list[str] = []
    others = 0
    for class_folder in (p for p in visible(folder) if p.is_dir()):
        inside = sorted(p for p in class_folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        found = [p for p in inside if is_picture(p)]
        others += len(inside) - len(found)
        files += found
        names += [class_folder.name] * len(found)
    _refuse_numbers(names, [*codes, *recipe.class_map, *recipe.classes], folder)
    classes = names_of_codes(names, codes, recipe.class_map)
    keys = [p.relative_to(root).as_posix() for p in files]
    table, left_out = table_of_files(files, classes, keys, [None] * len(files), source, recipe, str(folder))
    return table, left_out | ({"not a picture file": others} if others else {}) | _loose(folder)


def _loose(folder: Path) -> dict[str, int]:
    """The pictures that lie in `folder` itself, so that no folder names their class."""
    count = len(pictures_in(folder))
    return {"picture in no class folder": count} if count else {}


def _refuse_numbers(names: Sequence[str], known: Sequence[str], folder: Path) -> None:
    """Stop at folders named by numbers: FER2013, AffectNet, RAF-DB and sorted names each count in another order."""
    numbers = [name for name in names if name.isdecimal() and name not in known]
    if numbers:
        shown = ", ".join(sorted(set(numbers), key=int))
        raise InputError(
            f"{folder}: {len(numbers)} picture{'s' if len(numbers) > 1 else ''} in folders named {shown}, and data "
            "sets number their classes in different orders; name each with --class_map "
            f'\'{{"{numbers[0]}": "..."}}\', or, where all folders are 1 to 7 as in RAF-DB, set --source rafdb'
        )
