"""Where a run folder can be made: everything that would stop it is found before data is read."""

import os
import tempfile
from pathlib import Path

from pipeline.errors import InputError, full_disk
from pipeline.settings.recipe import Recipe


def nearest_folder(path: Path) -> Path:
    """The folder that exists already on the way to `path`.

    Raises:
        InputError: a file, or a link that leads nowhere, is in the way, or a name is too long.
    """
    try:
        nearest = next(p for p in (path, *path.absolute().parents) if p.exists() or p.is_symlink())
    except OSError as error:  # a name that is too long
        raise InputError(f"output_dir {path}: {error.strerror}; choose another --output_dir") from None
    if not nearest.is_dir():
        what = "a file" if nearest.exists() else "a link that leads nowhere"
        raise InputError(f"output_dir {path}: {nearest} is {what}; choose another --output_dir")
    return nearest


def refuse_unwritable(path: Path, nearest: Path) -> None:
    """Try to make what is missing of `path`, in a folder of its own that is removed again.

    Raises:
        InputError: it cannot be made. The message says why.
        OSError: the disk is full.
    """
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"output_dir {path}: nothing can be written in {nearest}; choose another --output_dir")
    if nearest == path or path.exists():
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=nearest) as trial:
            (Path(trial) / path.absolute().relative_to(nearest)).mkdir(parents=True)
    except OSError as error:
        if full_disk(error):
            raise
        raise InputError(f"output_dir {path} cannot be made: {error.strerror}; choose another --output_dir") from None


def refuse_inside_data(recipe: Recipe) -> None:
    """Refuse an output_dir inside a folder of data, where the next run would read its pictures as data.

    Raises:
        InputError: it is inside.
    """
    places = [recipe.data_path, *(entry.get("data_path") for entry in recipe.sources)]
    for place in places:
        if place is None or not Path(place).is_dir():
            continue
        data = Path(place).resolve()
        if recipe.output_dir.resolve().is_relative_to(data):
            raise InputError(
                f"output_dir {recipe.output_dir} is inside the data ({place}), and the next run would read it as data; "
                "choose an --output_dir outside"
            )
