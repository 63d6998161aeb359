"""The pictures that a command names: files, folders, patterns, or a list on standard input."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import PurePath

from pipeline.errors import InputError, printable
from pipeline.pictures import Fault, UnusablePicture, decode

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".tif", ".tiff"}
VIDEOS = {".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts",
          ".flv", ".wmv", ".asf", ".3gp", ".3g2"}  # fmt: skip
"""Files with these suffixes are read from a folder; a file that is named itself may have any suffix."""
STDIN = "-"


def find_pictures(
    words: Sequence[str], say: Callable[[str], None], suffixes: Set[str] = frozenset(PICTURES)
) -> list[str]:
    """The paths of the pictures, in the order of the words; those of a folder sorted, and each path once.

    Args:
        words: files, folders, patterns such as `faces/**/*.png`, and `-` for a list of files and folders on standard
            input: one path per line, or paths that end in a zero byte, as `find -print0` prints.
        say: is given a line about each folder without pictures, and about files and linked folders in folders that
            are left out.
        suffixes: those of the files that are taken from folders, in lower case.

    Raises:
        InputError: a word names nothing, a folder cannot be read, or there is no picture.
    """
    other: Counter[str] = Counter()
    linked: list[str] = []
    found: dict[str, str] = {}
    for word in words:
        for path in _read_list() if word == STDIN else _matches(word):
            is_folder = os.path.isdir(path)  # noqa: PTH112 (keeps a leading ./)
            files = _in_folder(path, suffixes, other, linked) if is_folder else [path]
            if not files:
                say(f"{printable(path)}: no picture in this folder")
            found |= {os.path.normpath(file): file for file in files if os.path.normpath(file) not in found}
    known = ", ".join(sorted(suffixes))
    if not found:
        raise InputError(f"no picture in {', '.join(map(printable, words))}: folders are searched for {known}")
    if other:
        kinds = ", ".join(f"{printable(suffix) or 'no suffix'} {count}" for suffix, count in other.most_common())
        say(f"left out, because their suffix is not one of {known}: {kinds}")
    if linked:
        say(f"not searched, because they are links: {len(linked)} folders, such as {printable(linked[0])}; name them")
    return list(found.values())


def _matches(word: str) -> list[str]:
    """The path itself, or the paths that fit a pattern: not every shell replaces patterns."""
    if os.path.lexists(word):
        return [word]
    matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 (keeps a leading ./)
    if not matches:
        raise InputError(f"{printable(word) or 'an empty path'}: no such file or folder")
    return matches


def _read_list() -> Iterator[str]:
    """Paths on standard input; those that do not exist are reported when they are read."""
    content = sys.stdin.buffer.read()
    try:
        decode(content)
        is_picture = True
    except UnusablePicture as error:
        is_picture = error.fault not in (Fault.EMPTY, Fault.FORMAT)
    if is_picture:
        raise InputError("- reads a list of paths from standard input, and this is a picture: give its path")
    lines = content.split(b"\0") if b"\0" in content else content.split(b"\n")
    return (os.fsdecode(line.removesuffix(b"\r")) for line in lines if line.strip())


def _in_folder(folder: str, suffixes: Set[str], other: Counter[str], linked: list[str]) -> list[str]:
    """Sorted paths of the pictures under a folder; counts files with other suffixes, and lists linked folders."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{printable(str(error.filename))}: {error.strerror}")

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        inner = (os.path.join(place, name) for name in folders)  # noqa: PTH118 (keeps a leading ./)
        linked += [path for path in inner if os.path.islink(path)]  # noqa: PTH114 (a link may lead in a circle)
        for name in names:
            suffix = PurePath(name).suffix.lower()
            if suffix in suffixes:
                found.append(os.path.join(place, name))  # noqa: PTH118 (keeps a leading ./)
            else:
                other[suffix] += 1
    return sorted(found, key=lambda path: PurePath(path).parts)
