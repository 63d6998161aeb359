"""Whether what says the class of pictures, and the class folders they lie in, say the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.readers.codes import TABLES, code_of, is_number
from pipeline.data.readers.inventory import File, inventory
from pipeline.errors import InputError
from pipeline.expressions import canonical, is_expression, meaning
from pipeline.settings.recipe import Recipe


class Said(NamedTuple):
    """What a table or a file beside a picture says of it.

    Attributes:
        file: the picture.
        key: its name, for messages.
        label: the class that it became, or the name of an expression that is none of the classes; None for neither.
        place: where it is said, for messages.
    """

    file: Path
    key: str
    label: str | None
    place: str


def refuse_other_folders(root: Path, said: Sequence[Said], recipe: Recipe, place: str, reader: str) -> None:
    """Stop where class folders say another class of a picture, or hold more pictures, unless `source` is given.

    Whatever names a class passes here: names, codes, shares, and files beside pictures.

    Raises:
        InputError: the first such picture, and the settings that choose.
    """
    if recipe.source != "auto":
        return
    choice = f"choose with --source {reader} or --source folder"
    by_file = {one.file.absolute(): one for one in said}
    others: list[File] = []
    for file in inventory(root).of("picture"):
        folder = _class_of_folders(file, recipe)
        one = by_file.get(file.path.absolute())
        if folder is not None and one is None:
            others.append(file)
        elif folder is not None and one is not None and one.label is not None and meaning(one.label) != meaning(folder):
            raise InputError(f"{one.place}: {one.key} is {one.label} here, and lies in a folder of {folder}: {choice}")
    if others:
        raise InputError(
            f"{place}: {len(said):,} pictures have a label here, and {len(others):,} more lie in class folders, the "
            f"first {others[0].key}: {choice}"
        )


def said_class(label: int, reason: str, recipe: Recipe) -> str | None:
    """What `Said` holds for a row with the index `label`, or -1 and the `reason` why it is left out."""
    return recipe.classes[label] if label >= 0 else reason if is_expression(reason) else None


def in_class_folders(root: Path, recipe: Recipe) -> bool:
    """Whether a picture lies in a folder named after a class."""
    return any(_class_of_folders(file, recipe) is not None for file in inventory(root).of("picture"))


def _class_of_folders(file: File, recipe: Recipe) -> str | None:
    return next((found for name in file.folders if (found := _quiet(name, recipe)) is not None), None)


def _quiet(name: str, recipe: Recipe) -> str | None:
    """The class that a name or code means, or the name of an expression outside the classes; None for another word."""
    try:
        found = canonical(name, recipe.classes, recipe.class_map)
    except InputError:
        codes = TABLES.get(recipe.label_codes or "", {})
        code = code_of(name) if is_number(name) else ""
        return _quiet(codes[code], recipe) if code in codes else None
    return found or (name if is_expression(name) else None)
