"""Archives of pictures: unpacked once into the cache of data sets, within limits, and then read as a folder."""

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple

import datasets

from pipeline.data.readers.inventory import ARCHIVE_SUFFIXES, inventory, kind_of
from pipeline.errors import InputError, first_line

MAX_ENTRIES = 5_000_000
MAX_BYTES = 500 * 2**30
MAX_RATIO = 1000  # times the size of the archive: pictures hardly shrink, and bombs shrink more


class Entry(NamedTuple):
    """A file in an archive: its path there, its size, and how it is opened."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def archives_in(path: Path) -> list[Path]:
    """`path` itself if it is an archive; the archives of a folder that holds nothing else that may be data."""
    if path.is_file():
        return [path] if kind_of(path) == "archive" else []
    if not path.is_dir():
        return []
    whole = inventory(path)
    found = [file.path for file in whole.of("archive")]
    return [] if whole.of("picture") or whole.of("parquet") else found


def unpacked(path: Path, archives: list[Path]) -> Path:
    """The folder that holds what is in `archives`; each of several has a folder of its own, where the archive lies.

    So `train/0.tar` becomes `train/0/`: its split is kept, and no file meets one of another archive.

    Raises:
        InputError: an archive is damaged, too large, encrypted, holds links or paths that lead out of it, or holds a
            file twice; or two archives have one name.
    """
    inside = {archive: _place_in(path, archive) if len(archives) > 1 else Path() for archive in archives}
    _refuse_same_place(inside)
    digest = blake2b(digest_size=16)
    for archive, below in inside.items():
        digest.update(f"{below}\0{archive.stat().st_size}\0".encode(errors="surrogateescape"))
        with archive.open("rb") as file:
            for part in iter(lambda file=file: file.read(2**22), b""):  # type: ignore[misc]
                digest.update(part)
    place = Path(datasets.config.HF_DATASETS_CACHE) / "unpacked" / digest.hexdigest() / _stem(path.resolve())
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        for archive, below in inside.items():
            _unpack(archive, aside / below)
        os.replace(aside, place)  # noqa: PTH105
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def _place_in(root: Path, archive: Path) -> Path:
    return archive.relative_to(root).parent / _stem(archive)


def _refuse_same_place(inside: Mapping[Path, Path]) -> None:
    first: dict[Path, Path] = {}
    for archive, below in inside.items():
        if first.setdefault(below, archive) != archive:
            raise InputError(f"{first[below]} and {archive} would be unpacked into one folder: rename one of them")


def _stem(path: Path) -> str:
    name = path.name
    suffix = next((s for s in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True) if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] or "archive"


def _unpack(archive: Path, folder: Path) -> None:
    total = 0
    try:
        with _opened(archive) as entries:
            for number, entry in enumerate(entries):
                total += entry.size
                if number >= MAX_ENTRIES or total > min(MAX_BYTES, MAX_RATIO * archive.stat().st_size):
                    raise InputError(
                        f"{archive} unpacks to too many files or bytes; unpack it yourself and give the folder"
                    )
                _write(entry, folder / _safe(entry.name, archive), archive)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{archive} cannot be unpacked ({first_line(error)}): unpack it yourself and give the folder"
        ) from None


def _write(entry: Entry, target: Path, archive: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InputError(
            f"{archive} holds {entry.name!r} twice; unpack it yourself, look which one is right, and give the folder"
        ) from None
    source = entry.open()
    with file:
        if source is None:
            return
        with source:
            left = entry.size
            while left > 0 and (part := source.read(min(left, 2**20))):  # never more than the size that was checked
                file.write(part)
                left -= len(part)


def _safe(name: str, archive: Path) -> str:
    parts = name.replace("\\", "/").split("/")
    if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise InputError(
            f"{archive} holds the path {name!r}, which leads out of it; unpack it yourself after a look at it"
        )
    return "/".join(part for part in parts if part not in ("", "."))


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[Entry]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _of_zip(file, archive)
    else:
        with tarfile.open(archive) as tar:
            yield _of_tar(tar, archive)


def _of_zip(archived: zipfile.ZipFile, archive: Path) -> Iterator[Entry]:
    for info in archived.infolist():
        if info.external_attr >> 28 == 0xA:
            raise InputError(f"{archive} holds the link {info.filename!r}; unpack it yourself and give the folder")
        if not info.is_dir():
            yield Entry(info.filename, info.file_size, lambda info=info: archived.open(info))  # type: ignore[misc]


def _of_tar(tar: tarfile.TarFile, archive: Path) -> Iterator[Entry]:
    for info in tar:
        if info.isdir():
            continue
        if not info.isreg():
            raise InputError(
                f"{archive} holds the link or device {info.name!r}; unpack it yourself and give the folder"
            )
        opened: Any = lambda info=info: tar.extractfile(info)  # noqa: E731
        yield Entry(info.name, info.size, opened)
