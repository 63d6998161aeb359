"""Bytes from anywhere become a picture, or a reason why not."""

import io
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps
from refusal import Refused

# What cameras, browsers and the pipeline write. Pillow knows forty more, among them ones that start other programs
# (EPS) or follow paths (FLI, PSD); nobody sends a face in those.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
MAX_SIDE = 32_766  # px; a line of 40 million px is few pixels, but what resizes it would fill the memory
NAMES = "a JPEG, PNG, WebP, GIF, BMP or AVIF"

ImageFile.LOAD_TRUNCATED_IMAGES = False
# Pixels are counted below, and what is damaged is refused; Pillow's warnings would fill the log, and memory, as Python
# keeps each text that it has shown.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(content: bytes, max_pixels: int, formats: tuple[str, ...] | None = FORMATS) -> NDArray[np.uint8]:
    """The picture as `(H, W, 3) uint8` RGB, upright by its EXIF: what `pipeline()` and training make of it.

    Of an animation it is the first frame. Transparency is dropped, not laid on a colour.

    Args:
        content: of a file.
        max_pixels: more are refused before memory is taken for them.
        formats: of Pillow that may be decoded; None for all.

    Raises:
        Refused: 400 for nothing or a damaged picture, 413 for a large one, 415 for no picture of these formats, or one
            with more than 8 bits a channel, which Pillow would clip to white.
    """
    if not content:
        raise Refused(400, "empty: no picture was sent")
    try:
        with Image.open(io.BytesIO(content), formats=formats) as opened:
            _check_size(opened, max_pixels)
            if opened.mode.startswith(("I", "F")):
                raise Refused(415, "more than 8 bits a channel: save the picture with 8")
            opened.load()
            _check_size(opened, max_pixels)  # a decoder may have found other ones
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise Refused(413, f"too many pixels: at most {max_pixels:,} are read") from None
    except PIL.UnidentifiedImageError:
        what = NAMES if formats == FORMATS else "a picture that Pillow knows"
        raise Refused(415, f"not {what}, or damaged in its first bytes") from None
    except Exception:  # on damaged files Pillow and its codecs raise almost anything
        raise Refused(400, "damaged: the picture cannot be decoded to its end") from None


def _check_size(picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise Refused(413, f"{width} x {height} are too many pixels: at most {max_pixels:,} are read")
    if max(width, height) > MAX_SIDE:
        raise Refused(413, f"{width} x {height} is too long: at most {MAX_SIDE:,} pixels are read along a side")
