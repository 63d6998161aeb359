"""Class folders: `<class>/*.png`, or `<split>/<class>/*.png`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict

from pipeline.data.readers.files import PICTURE_SUFFIXES, visible
from pipeline.data.readers.rows import refuse_empty, table_of_files
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS, SPLITS_IN_WORDS, Reading
from pipeline.errors import InputError
from pipeline.expressions import decoded
from pipeline.settings.recipe import Recipe
from pipeline.source import Source


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`; a picture's key is its path below it.

    Raises:
        InputError: a folder named by a number, or as `class_folders`.
    """
    root = Path(str(recipe.data_path)).expanduser()
    name = root.resolve().name
    tables, left_out, shape = class_folders(root, recipe, name, {})
    source = Source(id=name, title=name, layout=f"class folders {shape}", origin="local", left_out=left_out)
    return Reading((source,), tables)


def class_folders(
    root: Path, recipe: Recipe, source: str, codes: Mapping[str, str]
) -> tuple[DatasetDict, dict[str, dict[str, int]], str]:
    """The tables by split, the left_out rows by split and reason, and the shape of the folders; `codes` name classes.

    Raises:
        InputError: a folder named after no class or by a number that is none of `codes`, split folders beside class
            folders, two folders for one split, or no picture.
    """
    if not root.is_dir():
        raise InputError(f"data_path {root} is no folder; class folders are <class>/*.png or <split>/<class>/*.png")
    folders = [p for p in visible(root) if p.is_dir()]
    splits = _split_folders(root, folders)
    tables: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    for split, folder in (splits or {ALL: root}).items():
        tables[split], left_out[split] = _read_split(root, folder, recipe, source, codes)
    refuse_empty(tables, f"data_path {root}", left_out)
    return DatasetDict(tables), left_out, "<split>/<class>" if splits else "<class>"


def _split_folders(root: Path, folders: list[Path]) -> dict[str, Path] | None:
    """Split name to folder, or None where the folders are classes."""
    named = [(SPLIT_SYNONYMS[p.name.lower()], p) for p in folders if p.name.lower() in SPLIT_SYNONYMS]
    if not named:
        return None
    others = [p.name for p in folders if p.name.lower() not in SPLIT_SYNONYMS]
    if others or len(dict(named)) < len(named):
        raise InputError(
            f"data_path {root} holds the folders {', '.join(p.name for p in folders)}: expected one folder each for "
            f"{SPLITS_IN_WORDS}, and nothing beside them"
        )
    return {split: dict(named)[split] for split in SPLITS if split in dict(named)}


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
    table, left_out = table_of_files(files, classes, keys, [None] * len(files), source, recipe, str(folder))
    return table, left_out | ({"not a picture file": strangers} if strangers else {})


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
