"""Every file below a path, each once: its key, and its kind by content. What is not read is counted by reason."""

import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from pipeline.errors import printable
from pipeline.expressions import is_expression
from pipeline.pictures import FORMATS, HEIF_HEAD, HEIF_UNREAD

# fmt: off
PICTURE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k",
    ".jpx", ".pgm", ".ppm", ".pbm", ".pnm", ".heic", ".heif", ".hif",
)
# fmt: on
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".lst", ".jsonl", ".ndjson", ".json")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
JUNK = re.compile(
    r"\..*|__MACOSX|__pycache__|@eaDir|@Recycle|@tmp|#recycle|lost\+found|\$RECYCLE\.BIN|System Volume Information"
    r"|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r",
    re.I,
)
# Files beside data that say something of it and hold none.
PAPERS = re.compile(r"(readme|licen[sc]e|citation|about|changelog).*|.*\.(md|rst|pdf|html?|bib|ya?ml)", re.I)
HEAD = 265  # bytes that tell a kind: the mark of tar is at 257
PICTURE_HEADS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|BM.{4}\0\0\0\0|RIFF.{4}WEBP|II[*+]\0|MM\0[*+]"
    rb"|.{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,8}?avi[fs])"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51|P[1-6]\s+[\d#]",
    re.S,
)
OTHER_HEADS = {
    "heif": HEIF_HEAD,
    "parquet": re.compile(rb"PAR1"),
    "archive": re.compile(rb"PK\x03\x04|\x1f\x8b|.{257}ustar", re.S),
}
DATA_KINDS = ("parquet", "archive", "table")  # kinds of files that hold pictures or labels, the largest first
SHOWN = 5  # names in a message
BAR_AFTER = 3  # seconds: most folders are looked at in less

JUNK_REASON = "hidden, or made by another program"
DEAD = "dead link"
AGAIN = "link to a folder that is read anyway"
SPECIAL = "neither a file nor a folder"


class File(NamedTuple):
    """A file below the root.

    Attributes:
        path: where it is opened.
        key: its path below the root, printable whatever bytes its name has.
        kind: picture, heif (which no installed package reads), parquet, table, archive or other.
    """

    path: Path
    key: str
    kind: str

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders between the root and the file."""
        return tuple(self.key.split("/")[:-1])

    @property
    def name(self) -> str:
        """Its printable name."""
        return self.key.rpartition("/")[2]


@dataclass
class Unread:
    """What is never read for one reason: how many files, and the first names."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str, count: int = 1) -> None:
        """Count `count` files below or at `name`."""
        self.count += count
        if len(self.names) <= SHOWN:
            self.names.append(name)

    def in_words(self, reason: str) -> str:
        """The reason with the first names."""
        return f"{reason}: {', '.join(self.names[:SHOWN])}" + (" and more" if len(self.names) > SHOWN else "")


@dataclass(frozen=True)
class Inventory:
    """The files below `root` that may be read, sorted by key, and what else there is by reason."""

    root: Path
    files: tuple[File, ...]
    others: Mapping[str, Unread]
    outside: int  # links that lead out of the root

    def of(self, kind: str) -> list[File]:
        """The files of one kind."""
        return [file for file in self.files if file.kind == kind]

    @cached_property
    def endings(self) -> dict[str, Path]:
        """Each end of a path below the root in lower case, with and without its suffix, that only one picture has."""
        found: dict[str, Path | None] = {}
        for file in self.of("picture"):
            parts = plain_path(file.key).split("/")
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                stem = end.rpartition(".")[0] if end.endswith(PICTURE_SUFFIXES) else ""
                for name in filter(None, (end, stem)):
                    found[name] = None if name in found else file.path.absolute()
        return {name: path for name, path in found.items() if path is not None}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the pictures in lower case, with and without suffix.

        Without suffix only names that no other word or number looks like.
        """
        clear = {stem for stem in self.stems if len(stem) > 2 and re.search(r"\d", stem) and not stem.isdigit()}
        return frozenset(clear | {plain_path(file.name) for file in self.of("picture")})

    @cached_property
    def stems(self) -> frozenset[str]:
        """The names of the pictures without suffix, in lower case, but those of expressions."""
        names = (plain_path(file.name) for file in self.of("picture"))
        stems = {name.rpartition(".")[0] if name.endswith(PICTURE_SUFFIXES) else name for name in names}
        return frozenset(stem for stem in stems if not is_expression(stem))

    def left_out(self, used: Collection[Path], why: Mapping[Path, str] | None = None) -> dict[str, int]:
        """Reason -> count for every file that is not a picture and none of `used`, and for what is never read.

        Files are named; `why` says more of some of them.
        """
        why = why or {}
        rest = [f for f in self.files if f.kind != "picture" and f.path not in used]
        heif = sum(f.kind == "heif" for f in rest)
        data = sorted((f for f in rest if f.kind in DATA_KINDS or f.path in why), key=_by_kind)
        others = [f for f in rest if f.kind not in (*DATA_KINDS, "heif") and f.path not in why]
        said = [f for f in data if f.path in why][:SHOWN]
        unsaid = [f for f in data if f.path not in {one.path for one in said}]
        reasons = {f"not read: {why[f.path]}": 1 for f in said} | {
            f"not read: {named(unsaid)}": len(unsaid),
            f"not a picture file: {named(others)}": len(others),
            HEIF_UNREAD: heif,
        }
        return {reason: count for reason, count in reasons.items() if count} | {
            unread.in_words(reason): unread.count for reason, unread in self.others.items()
        }


def _by_kind(file: File) -> int:
    return DATA_KINDS.index(file.kind) if file.kind in DATA_KINDS else len(DATA_KINDS)


def plain_path(name: str) -> str:
    """A path for comparison: in lower case and one form of accents, with slashes."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./")).casefold()


def printable_name(name: str | Path) -> str:
    """A file name that can be printed and stored: bytes that are not UTF-8, and control characters, as `\\xe9`."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


@lru_cache(maxsize=4)
def inventory(root: Path) -> Inventory:
    """All files below the folder `root`; `inventory.cache_clear()` makes the next call look again.

    Links to folders are followed once; a link to a folder that is read anyway is counted. Pipes, sockets and devices
    are never opened.
    """
    with tqdm(desc=f"Looking at {root}", unit=" files", delay=BAR_AFTER, leave=False, disable=None) as bar:
        walk = _Walk(root, bar)
        walk.folder(root, "")
        walk.follow_links()
    return Inventory(root, tuple(sorted(walk.files, key=lambda file: file.key)), dict(walk.others), walk.outside)


class _Walk:
    """One walk over all folders; links to folders wait until the folders themselves are read."""

    def __init__(self, root: Path, bar: tqdm) -> None:
        self.bar = bar
        self.files: list[File] = []
        self.others: defaultdict[str, Unread] = defaultdict(Unread)
        self.outside = 0
        self.root = os.path.realpath(root)
        self.seen: set[str] = set()
        self.links: list[tuple[Path, str, str]] = []

    def folder(self, path: Path, key: str) -> None:
        self.seen.add(os.path.realpath(path))
        try:
            entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name))
        except OSError:
            self.others["folder that cannot be opened"].add(key)
            return
        for entry in entries:
            self.bar.update()
            below = f"{key}{printable_name(entry.name)}"
            if JUNK.fullmatch(entry.name):
                self.others[JUNK_REASON].add(below, _count(Path(entry.path)))
            elif entry.is_symlink():
                self._link(Path(entry.path), below)
            elif entry.is_dir(follow_symlinks=False):
                self.folder(Path(entry.path), f"{below}/")
            elif entry.is_file(follow_symlinks=False):
                self.files.append(_file(Path(entry.path), below))
            else:
                self.others[SPECIAL].add(below)

    def _link(self, path: Path, key: str) -> None:
        try:
            mode = path.stat().st_mode
        except OSError:
            self.others[DEAD].add(key)
            return
        target = os.path.realpath(path)
        self.outside += not f"{target}/".startswith(f"{self.root}/")
        if stat.S_ISDIR(mode):
            self.links.append((path, key, target))
        elif stat.S_ISREG(mode):
            self.files.append(_file(path, key))
        else:
            self.others[SPECIAL].add(key)

    def follow_links(self) -> None:
        while self.links:
            path, key, target = self.links.pop(0)
            if target in self.seen or f"{self.root}/".startswith(f"{target.rstrip('/')}/"):
                self.others[AGAIN].add(key)
            else:
                self.folder(path, f"{key}/")


def _count(path: Path) -> int:
    """The files below a folder that is not read, at least 1."""
    if path.is_symlink() or not path.is_dir():
        return 1
    return max(1, sum(len(files) for _, _, files in os.walk(path)))


def _file(path: Path, key: str) -> File:
    return File(path, key, kind_of(path))


def kind_of(path: Path) -> str:
    """The kind of a regular file: by its first bytes, otherwise by its name.

    A file that is named as a picture and holds nothing known counts as a picture, so that damaged ones are found.
    """
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    if PICTURE_HEADS.match(head):
        return "picture"
    kind = next((kind for kind, pattern in OTHER_HEADS.items() if pattern.match(head)), None)
    if kind == "heif" and "HEIF" in FORMATS:
        return "picture"
    if kind == "archive":
        return kind if path.name.lower().endswith(ARCHIVE_SUFFIXES) else "other"
    if kind is not None:
        return kind
    if suffix in PICTURE_SUFFIXES:
        return "picture"
    return "table" if suffix in TABLE_SUFFIXES else "parquet" if suffix == ".parquet" else "other"


def named(files: Sequence[File]) -> str:
    """The first of some files, for messages."""
    shown: Iterator[str] = (file.key for file in files[:SHOWN])
    return ", ".join(shown) + (f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else "")
