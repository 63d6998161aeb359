"""The one decoder: the bytes or the path of a file become an upright RGB picture, or a reason why not.

Measuring, mapping, face crops, the server and `hub.predict` all decode here, so they see the same pixels. The module
needs only Pillow, because a Space carries a copy of it.
"""

import io
import warnings
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import PIL
from PIL import Image, ImageOps

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
MAX_PIXELS = 2**28 // 3  # 256 MiB of RGB: Pillow's own limit, above which it warns of a decompression bomb
MAX_SIDE = 32_766  # px: a line of 40 million px has few pixels, but resizing it would fill the memory

# Pixels are counted here before they are decoded, so Pillow's warning adds nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Fault(Enum):
    """What kind of thing is wrong with a picture."""

    EMPTY = "nothing is there"
    NO_FILE = "the file cannot be opened"
    FORMAT = "a format that is not read, or not a picture"
    TOO_LARGE = "too many pixels, or a side that is too long"
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
            than `MAX_SIDE` px, channels of more than 8 bits that Pillow would clip to white, or damaged data.
    """
    with _open(picture) as file:
        if not file.read(1):
            raise UnusablePicture(Fault.EMPTY, "empty")
        file.seek(0)
        try:
            with Image.open(file, formats=formats) as opened:
                _check_size(opened, max_pixels)
                if opened.mode.startswith(("I", "F")):
                    raise UnusablePicture(Fault.TOO_DEEP, "more than 8 bits a channel: save it with 8")
                opened.load()
                _check_size(opened, max_pixels)  # a decoder may correct the size that the header gave
                return upright(opened)
        except UnusablePicture:
            raise
        except Image.DecompressionBombError:
            raise UnusablePicture(Fault.TOO_LARGE, f"more than {max_pixels:,} pixels") from None
        except PIL.UnidentifiedImageError:
            raise UnusablePicture(Fault.FORMAT, f"not a {_names(formats)} picture") from None
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


def _open(picture: bytes | str | Path) -> BinaryIO:
    if isinstance(picture, bytes):
        return io.BytesIO(picture)
    try:
        file = Path(picture).open("rb")  # noqa: SIM115 (the caller closes it)
        return file if file.seekable() else io.BytesIO(file.read())  # a pipe, such as <(command) in a shell
    except (FileNotFoundError, ValueError):  # ValueError: a path that no file can have
        raise UnusablePicture(Fault.NO_FILE, "no such file") from None
    except OSError as error:
        raise UnusablePicture(Fault.NO_FILE, error.strerror or "cannot be opened") from None


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise UnusablePicture(Fault.TOO_LARGE, f"more than {max_pixels:,} pixels", image.size)
    if max(width, height) > MAX_SIDE:
        raise UnusablePicture(Fault.TOO_LARGE, f"a side of more than {MAX_SIDE:,} pixels", image.size)


def _names(formats: tuple[str, ...]) -> str:
    *others, last = (FORMATS[name] for name in formats)
    return f"{', '.join(others)} or {last}" if others else last
