"""Whether a table of labels and the class folders of its pictures say the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.readers.inventory import File, inventory
from pipeline.errors import InputError
from pipeline.expressions import canonical, is_expression
from pipeline.settings.recipe import Recipe

CHOICE = "choose with --source csv or --source folder"


class Said(NamedTuple):
    """What a table says of a picture: its file, key and label, and the place of the row for messages."""

    file: Path
    key: str
    label: str | None
    place: str


def refuse_other_folders(root: Path, said: Sequence[Said], recipe: Recipe, place: str) -> None:
    """Stop where pictures lie in class folders that say something else, or that the table lists only a part of.

    Raises:
        InputError: the first such picture, and the settings that choose.
    """
    by_file = {one.file: one for one in said}
    others: list[File] = []
    for file in inventory(root).of("picture"):
        folder = _class_of_folders(file, recipe)
        one = by_file.get(file.path.absolute())
        if folder is not None and one is None:
            others.append(file)
        elif folder is not None and one is not None and one.label is not None:
            label = _quiet(one.label, recipe)
            if label is not None and label != folder:
                raise InputError(
                    f"{one.place}: {one.key} is {one.label!r} in the table, and lies in a folder of {folder}: {CHOICE}"
                )
    if others:
        raise InputError(
            f"{place}: {len(said):,} pictures are listed, and {len(others):,} more lie in class folders, the first "
            f"{others[0].key}: {CHOICE}"
        )


def _class_of_folders(file: File, recipe: Recipe) -> str | None:
    return next((found for name in file.folders if (found := _quiet(name, recipe)) is not None), None)


def _quiet(name: str, recipe: Recipe) -> str | None:
    """The class that a name means, or the name of an expression outside the classes; None for any other word."""
    try:
        found = canonical(name, recipe.classes, recipe.class_map)
    except InputError:
        return None
    return found or (name if is_expression(name) else None)
