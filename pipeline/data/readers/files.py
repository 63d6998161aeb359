"""Files on disk: which are pictures, what a list names, and tables whose cache follows their files."""

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from datasets.exceptions import DatasetGenerationError

from pipeline.data.readers.inventory import PICTURE_SUFFIXES, printable_name
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

HIDDEN = (".", "__MACOSX", "@eaDir")  # how names start that are not shown


def local_path(recipe: Recipe) -> Path:
    """`recipe.data_path` as a path; it is set wherever a reader is called."""
    return Path(str(recipe.data_path)).expanduser()


def is_picture(path: Path) -> bool:
    """Whether the name of `path` ends as that of a picture file."""
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def visible(folder: Path) -> list[Path]:
    """The files and folders in `folder`, sorted, without hidden ones and without what archivers leave behind."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(HIDDEN))


def pictures_in(folder: Path) -> list[Path]:
    """The picture files that lie in `folder` itself, sorted."""
    return [p for p in visible(folder) if is_picture(p)]


def listed_pictures(
    path: Path, lines: Sequence[int], names: Sequence[str], folders: Sequence[Path], unit: str = "line"
) -> list[Path]:
    """The picture file of every row of the list `path`, in the first of `folders` that holds it.

    Row i is on line (or other `unit`) `lines[i]` and names `names[i]`.

    Raises:
        InputError: a name leads out of the folders, the file is missing, or two rows name the same.
    """
    found: dict[Path, int] = {}
    where = " or ".join(map(str, folders))
    for line, name in zip(lines, names, strict=True):
        places = [place for folder in folders if (place := _below(folder, name))]
        if not places:
            raise InputError(
                f"{path} {unit} {line}: {name!r} leads out of {where}; move the picture there, or the list up"
            )
        file = next((p for p in places if os.path.isfile(p)), None)  # noqa: PTH113 (False for a name that is too long)
        if file is None:
            raise InputError(f"{path} {unit} {line}: no picture file {name!r} in {where}; add it, or remove the line")
        if file in found:
            raise InputError(f"{path} {unit} {line}: {name} is on {unit} {found[file]} already; keep one of the two")
        found[file] = line
    return list(found)


def _below(folder: Path, name: str) -> Path | None:
    """The path of `name` in `folder`, or None if it leads out; a link inside the folder may lead anywhere."""
    base = Path(os.path.normpath(folder.absolute()))
    path = Path(os.path.normpath(base / name))
    return path if path.is_relative_to(base) else None


def refuse_unlisted(path: Path, files: Sequence[Path], folder: Path) -> None:
    """Refuse pictures in `folder` that are not among `files`, which are all that the list `path` names.

    Raises:
        InputError: how many there are, and the first.
    """
    listed = {file.name for file in files}
    others = [p.name for p in pictures_in(folder) if p.name not in listed]
    if others:
        raise InputError(
            f"{path} has no line for {len(others)} of the pictures in {folder}, the first {others[0]!r}: add "
            "their lines, or move the pictures away"
        )


def generated(
    generator: Callable[..., Iterator[dict[str, Any]]],
    features: Features,
    files: Sequence[Path],
    made_by: str = "",
    **settings: Any,
) -> Dataset:
    """The rows of `generator(files, **settings)`, kept on disk.

    They are made again if path, size or time of a file, the settings, the code of the generator, or `made_by` (what
    else decides about the rows) have changed.

    Raises:
        InputError: as raised by the generator.
    """
    if not files:
        return Dataset.from_dict({name: [] for name in features}, features=features)
    digest = blake2b(digest_size=16)
    digest.update(f"{settings}{made_by}".encode() if settings or made_by else b"")
    digest.update(repr(features).encode() + inspect.getsource(inspect.getmodule(generator) or generator).encode())
    for path in files:
        status = path.stat()
        digest.update(f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    try:
        # A tuple: `datasets` takes a list for shards.
        return Dataset.from_generator(
            generator, features=features, gen_kwargs={"files": tuple(files)} | settings, fingerprint=digest.hexdigest()
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


def picture_rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Rows for `generated` that name each picture and leave its bytes where they are.

    A path that is not UTF-8 fits into no table, so its picture is copied into it.
    """
    for path in files:
        name = os.fspath(path.absolute())
        if printable_name(name) != name:
            yield {"image": {"bytes": path.read_bytes(), "path": None}}
        else:
            yield {"image": name}
