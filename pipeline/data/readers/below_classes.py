"""What the paths of pictures say beside their class folder: splits in file names, and folders inside class folders."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.inventory import File
from pipeline.data.readers.labels import GENERIC
from pipeline.data.table import SPLITS_IN_WORDS, split_in, split_of
from pipeline.errors import InputError
from pipeline.expressions import is_expression, meaning, plain
from pipeline.settings.recipe import Recipe

SHOWN = 5  # names in a message


def splits_in_names(files: Sequence[File], recipe: Recipe, place: str, reader: str) -> list[str] | None:
    """The split that the name of each file says, such as `PrivateTest_1.jpg` and `train_0001_aligned.jpg`.

    None where they say none: no name has one, or all have the same.

    Raises:
        InputError: `source` is auto, and only some of the names say a split.
    """
    splits = [split_in(Path(file.name).stem) for file in files]
    there = Counter(split for split in splits if split)
    if sum(there.values()) == len(files):
        return [str(split) for split in splits] if len(there) > 1 else None
    if there and recipe.source == "auto":
        saying = [file for file, split in zip(files, splits, strict=True) if split]
        silent = next(file for file, split in zip(files, splits, strict=True) if not split)
        raise InputError(
            f"{place}: the names of {len(saying):,} pictures say a split, such as {saying[0].key}, and others do not, "
            f"such as {silent.key}: put all pictures into folders of {SPLITS_IN_WORDS}, or set --source {reader} where "
            "these names say no split"
        )
    return None


def folders_inside(pairs: Sequence[tuple[File, str]], recipe: Recipe, place: str, reader: str) -> str:
    """The folders inside class folders in words, "" where there are none that may say something.

    Args:
        pairs: pictures, and the class folder of each.
        recipe: its `source` decides: a reader that is named reads the class folders only.
        place: the folder, for messages.
        reader: the reader that is read with.

    Raises:
        InputError: `source` is auto, and such folders have names of their own: a person, another class, or pictures
            that somebody put aside.
    """
    inside = [(file, _inside(file, name)) for file, name in pairs]
    telling = [(file, folders[0]) for file, folders in inside if folders]
    names = Counter(name for _, name in telling)
    if not names or (len(names) == 1 and len(telling) == len(pairs)):  # one name below all classes says nothing
        return ""
    shown = ", ".join(list(names)[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
    said = f"{len(telling):,} pictures lie in folders inside class folders ({shown}), the first {telling[0][0].key}"
    if recipe.source != "auto":
        return f"{said}; they are read as the class of the outer folder"
    raise InputError(
        f"{place}: {said}. Move away what does not belong to its class"
        f"{_advice(pairs, names)}; or read them as the class of the outer folder with --source {reader}"
    )


def _inside(file: File, name: str) -> list[str]:
    """The folders between the class folder and the picture that may say something."""
    below = file.folders[file.folders.index(name) + 1 :] if name in file.folders else ()
    same = [folder for folder in below if is_expression(folder) and meaning(folder) == meaning(name)]
    return [folder for folder in below if not (split_of(folder) or plain(folder) in GENERIC or folder in same)]


def _advice(pairs: Sequence[tuple[File, str]], names: Counter[str]) -> str:
    """The pattern that reads persons, where the folders may be persons: each is in several classes or is many."""
    if any(is_expression(name) for name in names) or len(names) < 2:
        return ""
    depths = {file.folders.index(name) for file, name in pairs if name in file.folders}
    if len(depths) != 1 or any(len(file.folders) < max(depths) + 2 for file, _ in pairs):
        return ""
    above = "[^/]+/" * depths.pop()
    return f"; if they are persons, set --label_pattern '^{above}(?P<label>[^/]+)/(?P<person>[^/]+)/'"
