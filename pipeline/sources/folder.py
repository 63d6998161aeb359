"""Class folders: `<class>/*.png`, or `<split>/<class>/*.png`."""

from pathlib import Path

from datasets import Dataset, DatasetDict, Features, Image

from pipeline.errors import InputError
from pipeline.recipe import Recipe
from pipeline.sources import Source
from pipeline.sources.files import PICTURE_SUFFIXES, generated, picture_rows, visible
from pipeline.sources.rows import SPLIT_NAMES, SPLITS, UNKNOWN_TERMS, assemble, class_labels, counted, refuse_empty
from pipeline.votes import one_hot


def read(recipe: Recipe) -> Source:
    """The source in the folder `recipe.data_path`; a picture's key is its path below it.

    Raises:
        InputError: a folder named after no class, split folders beside class folders, two folders for one split, or
            no picture.
    """
    root = Path(str(recipe.data_path)).expanduser()
    if not root.is_dir():
        raise InputError(f"data_path {root} is no folder; class folders are <class>/*.png or <split>/<class>/*.png")
    folders = [p for p in visible(root) if p.is_dir()]
    splits = _split_folders(root, folders)
    tables: dict[str, Dataset] = {}
    dropped: dict[str, dict[str, int]] = {}
    for split, folder in (splits or {"all": root}).items():
        tables[split], dropped[split] = _read_split(root, folder, recipe)
    refuse_empty(tables, f"data_path {root}", dropped)
    shape = "<split>/<class>" if splits else "<class>"
    return Source(
        root.resolve().name, f"class folders {shape}", DatasetDict(tables), dropped, UNKNOWN_TERMS, False, None
    )


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


def _read_split(root: Path, folder: Path, recipe: Recipe) -> tuple[Dataset, dict[str, int]]:
    files: list[Path] = []
    names: list[str | None] = []
    strangers = 0
    for class_folder in (p for p in visible(folder) if p.is_dir()):
        inside = sorted(p for p in class_folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        found = [p for p in inside if p.suffix.lower() in PICTURE_SUFFIXES]
        strangers += len(inside) - len(found)
        files += found
        names += [class_folder.name] * len(found)
    labels, reasons = class_labels(names, recipe, str(folder))
    pictures = generated(picture_rows, Features({"image": Image()}), files)
    keys = [p.relative_to(root).as_posix() for p in files]
    targets = one_hot(labels, len(recipe.classes))
    table = assemble(pictures, labels, targets, keys, [None] * len(files), root.resolve().name, recipe.classes)
    return table, counted(reasons) | ({"not a picture file": strangers} if strangers else {})
