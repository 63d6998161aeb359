"""The one decoder: the bytes or the path of a file become an upright RGB picture, or a reason why not.

Measuring, mapping, face crops, the server and `hub.predict` all decode here, so they see the same pixels. The module
needs only Pillow, because a Space carries a copy of it. HEIF (.heic) is read where pillow-heif is installed as well.
"""

import io
import os
import re
import stat
import warnings
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageOps

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

# By content, whatever a file's name says. Pillow knows forty more. Some of them start other programs (EPS starts
# Ghostscript), some follow paths (FLI, PSD), and data sets of faces use none of them.
FORMATS = {
    "JPEG": "JPEG",  # and MPO, a JPEG with several views, which Pillow's JPEG reader opens
    "PNG": "PNG",
    "WEBP": "WebP",
    "GIF": "GIF",
    "BMP": "BMP",
    "AVIF": "AVIF",
    "TIFF": "TIFF",
    "JPEG2000": "JPEG 2000",
    "PPM": "PPM",
}
"""Pillow's name of each format that is read, and its usual name."""
VERSIONS = [f"Pillow {PIL.__version__}"]
"""The libraries that decode; what is cached of decoded pictures depends on them."""
if pillow_heif is not None:
    FORMATS["HEIF"] = "HEIF"
    VERSIONS.append(f"pillow-heif {pillow_heif.__version__}")
HEIF_HEAD = re.compile(rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.S)
"""The first bytes of a HEIF file; an AVIF file may start with the last two marks, and Pillow is asked for it first."""
HEIF_UNREAD = "HEIF, which needs another package: pip install pillow-heif"
MAX_PIXELS = 2**28 // 3  # 256 MiB of RGB: Pillow's own limit, above which it warns of a decompression bomb
MAX_SIDE = 32_766  # px: a line of 40 million px has few pixels, but resizing it would fill the memory

MAX_BYTES = 2**29  # of a file: more than MAX_PIXELS need without compression
# The work of a decoder is counted before it starts, and not timed: then the same pictures are read on every machine. A
# unit is one pass over one pixel, 1 to 3 ns.
MAX_WORK = 2**30
SLOW = {"JPEG2000": 64, "Python": 512}
"""Passes that a decoder counts for: OpenJPEG takes 40 bytes a pixel and more, Pillow's decoders in Python 1 us."""
MAX_READS = 2**18  # by Pillow's parsers: a file of a million empty segments would take them seconds
MAX_SEGMENTS = 10_000  # of a JPEG; a progressive one has about 30
LIBTIFF_SCANS = 100  # at which libtiff stops in a JPEG in a TIFF

# Pixels are counted here before they are decoded, so Pillow's warning adds nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Fault(Enum):
    """What kind of thing is wrong with a picture."""

    EMPTY = "nothing is there"
    NO_FILE = "the file cannot be opened"
    FORMAT = "a format that is not read, or not a picture"
    TOO_LARGE = "too many pixels, or a side that is too long"
    TOO_SLOW = "decoding it would take too much time or memory"
    TOO_DEEP = "more than 8 bits a channel"
    DAMAGED = "the picture cannot be decoded to its end"


class UnusablePicture(ValueError):  # noqa: N818 (named after the picture)
    """Why a picture cannot be used: `fault`, the reason in a few words, and its (width, height) in px where known."""

    def __init__(self, fault: Fault, reason: str, size: tuple[int, int] | None = None) -> None:
        super().__init__(reason)
        self.fault = fault
        self.size = size


def decode(
    picture: bytes | str | Path, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = tuple(FORMATS)
) -> Image.Image:
    """The picture as RGB with 8 bits a channel, upright by its EXIF tag: what `pipeline()` makes of it.

    An animation gives its first frame. Transparency is dropped, not composited onto a colour.

    Args:
        picture: the content of a file, or its path.
        max_pixels: larger pictures are refused before memory is taken for them.
        formats: keys of `FORMATS` that may be decoded.

    Raises:
        UnusablePicture: there is nothing, no such file, another format, more than `max_pixels` pixels or a side of more
            than `MAX_SIDE` px, more work than `MAX_WORK`, channels of more than 8 bits that Pillow would clip to white,
            damaged data, or there is not enough memory.
    """
    content = picture if isinstance(picture, bytes) else _read(Path(picture))
    if not content:
        raise UnusablePicture(Fault.EMPTY, "empty")
    try:
        with Image.open(_Counted(content), formats=formats) as opened:
            _check_size(opened, max_pixels)
            _check_work(opened, content)
            if opened.mode.startswith(("I", "F")):
                raise UnusablePicture(Fault.TOO_DEEP, "more than 8 bits a channel: save it with 8")
            opened.load()
            _check_size(opened, max_pixels)  # a decoder may correct the size that the header gave
            return upright(opened)
    except UnusablePicture:
        raise
    except MemoryError:
        raise UnusablePicture(Fault.TOO_LARGE, "needs more memory than is free") from None
    except Image.DecompressionBombError:
        raise UnusablePicture(Fault.TOO_LARGE, f"more than {max_pixels:,} pixels") from None
    except PIL.UnidentifiedImageError:
        raise UnusablePicture(Fault.FORMAT, _unread(content, formats)) from None
    except Exception:  # on damaged files Pillow and its codecs raise almost anything
        raise UnusablePicture(Fault.DAMAGED, "damaged") from None


def decode_cell(cell: Mapping[str, Any] | None) -> Image.Image:
    """`decode` for a cell of an Image column of `datasets` that is not decoded yet: its `bytes`, or else its `path`.

    Raises:
        UnusablePicture: as `decode`; also for a cell without a picture.
    """
    if cell is None or (cell["bytes"] is None and cell["path"] is None):
        raise UnusablePicture(Fault.EMPTY, "empty")
    return decode(cell["path"] if cell["bytes"] is None else cell["bytes"])


def upright(image: Image.Image) -> Image.Image:
    """A decoded picture as RGB, turned as its EXIF tag says."""
    return ImageOps.exif_transpose(image).convert("RGB")


# Without blocking: opening a pipe would wait for somebody who writes to it. Both flags are not on every system.
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class _Counted(io.BytesIO):
    """A file in memory that Pillow reads, at most `MAX_READS` times."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise UnusablePicture(Fault.TOO_SLOW, "in too many small parts: save it again")
        return super().read(size)


def _read(path: Path) -> bytes:
    """The whole file at once: what is checked is what is decoded, also if somebody writes to it meanwhile."""
    try:
        with os.fdopen(os.open(path, READ), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnusablePicture(Fault.NO_FILE, "not a regular file")
            content = file.read(MAX_BYTES + 1)
    except UnusablePicture:
        raise
    except (FileNotFoundError, ValueError):  # ValueError: a path that no file can have
        raise UnusablePicture(Fault.NO_FILE, "no such file") from None
    except OSError as error:
        raise UnusablePicture(Fault.NO_FILE, error.strerror or "cannot be opened") from None
    if len(content) > MAX_BYTES:
        raise UnusablePicture(Fault.TOO_LARGE, f"more than {MAX_BYTES:,} bytes")
    return content


def _check_work(image: Image.Image, content: bytes) -> None:
    """Refuse a small file that would keep a decoder busy for minutes, or make it take gigabytes."""
    if image.format == "JPEG2000" and _has_small_blocks(content):
        raise UnusablePicture(Fault.TOO_SLOW, "in code-blocks of less than 32 px: save it as PNG")
    passes = _passes(image, content)
    if image.width * image.height * passes > MAX_WORK:
        reason = f"too slow to decode: {passes:,} passes over its pixels; save it as PNG"
        raise UnusablePicture(Fault.TOO_SLOW, reason, image.size)


def _passes(image: Image.Image, content: bytes) -> int:
    """How often a decoder goes over all pixels."""
    if image.format in ("JPEG", "MPO"):
        return _scans(content)
    if image.format == "TIFF" and "jpeg" in str(image.info.get("compression")):
        return LIBTIFF_SCANS
    tiles: Any = getattr(image, "tile", [])
    in_python = any(tile[0] in Image.DECODERS for tile in tiles)
    return SLOW["Python"] if in_python else SLOW.get(image.format or "", 1)


MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # between scans: coded pixels hold 0xff only before 0 or a restart


def _scans(content: bytes) -> int:
    """The scans of a JPEG, up to its end. libjpeg decodes each over the whole picture, however few bytes it has."""
    scans, place = 0, 2
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(content, place)
        if found is None or content[found.end() - 1] == 0xD9:
            return scans
        scans += content[found.end() - 1] == 0xDA
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    raise UnusablePicture(Fault.TOO_SLOW, "a JPEG of too many segments: save it again")


CODING_STYLE = re.compile(rb"\xff([\x52\x53])(..)", re.S)
LONGEST_STYLE = 45  # bytes: with a precinct for each of 33 resolutions


def _has_small_blocks(content: bytes) -> bool:
    """Whether a JPEG 2000 has code-blocks or precincts with a side below 32 px: OpenJPEG takes 5 kB for each.

    Every coding style is looked at, also those of tiles. Coded pixels may look like one, so its length must fit.
    """
    for found in CODING_STYLE.finditer(content):
        length = int.from_bytes(found[2], "big")
        style = content[found.end() : found.start() + 2 + length]
        first, at = (0, 5) if found[1] == b"\x52" else (1, 2)
        if length > LONGEST_STYLE or not at + 5 <= len(style) == length - 2:
            continue
        sides = [exponent + 2 for exponent in style[at + 1 : at + 3]]
        if style[first] & 1:
            sides += [half for byte in style[at + 5 :] for half in (byte & 15, byte >> 4)]
        if min(sides) < 5:
            return True
    return False


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise UnusablePicture(Fault.TOO_LARGE, f"more than {max_pixels:,} pixels", image.size)
    if max(width, height) > MAX_SIDE:
        raise UnusablePicture(Fault.TOO_LARGE, f"a side of more than {MAX_SIDE:,} pixels", image.size)


def _unread(content: bytes, formats: tuple[str, ...]) -> str:
    """Why no decoder took the file: HEIF can be made readable, other formats cannot."""
    if pillow_heif is None and formats == tuple(FORMATS) and HEIF_HEAD.match(content):
        return HEIF_UNREAD
    *others, last = (FORMATS[name] for name in formats)
    return f"not a {', '.join(others)} or {last} picture" if others else f"not a {last} picture"
