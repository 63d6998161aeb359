"""Class folders: `<class>/*.png`, or `<split>/<class>/*.png`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict

from pipeline.data.readers import Source
from pipeline.data.readers.files import PICTURE_SUFFIXES, visible
from pipeline.data.readers.rows import SPLIT_NAMES, SPLITS, UNKNOWN_TERMS, refuse_empty, table_of_files
from pipeline.errors import InputError
from pipeline.expressions import decoded
from pipeline.settings.recipe import Recipe


def read(recipe: Recipe) -> Source:
    """The source in the folder `recipe.data_path`; a picture's key is its path below it.

    Raises:
        InputError: a folder named by a number, or as `class_folders`.
    """
    root = Path(str(recipe.data_path)).expanduser()
    name = root.resolve().name
    tables, dropped, shape = class_folders(root, recipe, name, {})
    return Source(name, f"class folders {shape}", tables, dropped, UNKNOWN_TERMS, False, None)


def class_folders(
    root: Path, recipe: Recipe, source: str, codes: Mapping[str, str]
) -> tuple[DatasetDict, dict[str, dict[str, int]], str]:
    """The tables by split, the dropped rows by split and reason, and the shape of the folders; `codes` name classes.

    Raises:
        InputError: a folder named after no class or by a number that is none of `codes`, split folders beside class
            folders, two folders for one split, or no picture.
    """
    if not root.is_dir():
        raise InputError(f"data_path {root} is no folder; class folders are <class>/*.png or <split>/<class>/*.png")
    folders = [p for p in visible(root) if p.is_dir()]
    splits = _split_folders(root, folders)
    tables: dict[str, Dataset] = {}
    dropped: dict[str, dict[str, int]] = {}
    for split, folder in (splits or {"all": root}).items():
        tables[split], dropped[split] = _read_split(root, folder, recipe, source, codes)
    refuse_empty(tables, f"data_path {root}", dropped)
    return DatasetDict(tables), dropped, "<split>/<class>" if splits else "<class>"


def _split_folders(root: Path, folders: list[Path]) -> dict[str, Path] | None:
    """Split name to folder, or None where the folders are classes."""
    named = [(SPLITS[p.name.lower()], p) for p in folders if p.name.lower() in SPLITS]
    if not named:
        return None
    others = [p.name for p in folders if p.name.lower() not in SPLITS]
    if others or len(dict(named)) < len(named):
        raise InputError(
            f"data_path {root} holds the folders {', '.join(p.name for p in folders)}: expected one folder each for "
            f"{SPLIT_NAMES}, and nothing beside them"
        )
    return {split: dict(named)[split] for split in ("train", "validation", "test") if split in dict(named)}


def _read_split(
    root: Path, folder: Path, recipe: Recipe, source: str, codes: Mapping[str, str]
) -> tuple[Dataset, dict[str, int]]:
    files: list[Path] = []
    names: list[str] = []
    strangers = 0
    for class_folder in (p for p in visible(folder) if p.is_dir()):
        inside = sorted(p for p in class_folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        found = [p for p in inside if p.suffix.lower() in PICTURE_SUFFIXES]
        strangers += len(inside) - len(found)
        files += found
        names += [class_folder.name] * len(found)
    _refuse_numbers(names, [*codes, *recipe.class_map, *recipe.classes], folder)
    classes = decoded(names, codes, recipe.class_map)
    keys = [p.relative_to(root).as_posix() for p in files]
    table, dropped = table_of_files(files, classes, keys, [None] * len(files), source, recipe, str(folder))
    return table, dropped | ({"not a picture file": strangers} if strangers else {})


def _refuse_numbers(names: Sequence[str], known: Sequence[str], folder: Path) -> None:
    """Stop at folders named by numbers: FER2013, AffectNet, RAF-DB and a sorted list each count in another order."""
    numbers = [name for name in names if name.isdecimal() and name not in known]
    if numbers:
        shown = ", ".join(sorted(set(numbers), key=int))
        raise InputError(
            f"{folder}: {len(numbers)} picture{'s' if len(numbers) > 1 else ''} in folders named {shown}, and data "
            "sets number their classes in different orders; name each with --class_map "
            f'\'{{"{numbers[0]}": "..."}}\', or, where all folders are 1 to 7 as in RAF-DB, set --source rafdb'
        )
