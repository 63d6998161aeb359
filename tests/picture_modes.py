"""One picture as a file in every mode, transparency, depth and orientation that Pillow reads."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter turn
READ_BY_THE_APP = ("PNG", "JPEG", "MPO", "GIF", "WebP", "AVIF", "BMP")
"""Last words of kinds in the formats that the app reads; it refuses the others."""


def picture_modes(folder: Path, face: Image.Image) -> dict[str, Path]:
    """Write `face` into `folder` in every kind; returns the files by kind. The first is plain RGB.

    Args:
        folder: where to write; created if missing.
        face: RGB, at least 32 x 32 px.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for number, (kind, content) in enumerate(encoded(face).items()):
        paths[kind] = folder / f"{number:02d}.{kind.split()[-1].lower().replace('jpeg2000', 'jp2')}"
        paths[kind].write_bytes(content)
    return paths


def encoded(face: Image.Image) -> dict[str, bytes]:
    """The content of the files by kind."""
    made = _transparent(face) | _opaque(face) | _deep(face)
    return {kind: make() for kind, make in made.items()}


def objects(face: Image.Image) -> dict[str, Image.Image]:
    """`face` as a picture in memory, by mode: also those that no file holds."""
    return {mode: _as(face, mode) for mode in (
        "1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV",
        "I", "I;16", "I;16B", "F",
    )}  # fmt: skip


def is_deep(kind: str) -> bool:
    """Whether Pillow keeps more than 8 bits a channel of it, and clips them to white when it converts it to RGB."""
    return kind.startswith(("I", "F"))


def for_the_app(kind: str) -> bool:
    """Whether the app reads the format."""
    return kind.endswith(READ_BY_THE_APP)


def _as(face: Image.Image, mode: str) -> Image.Image:
    if mode in ("LA", "PA", "RGBA"):
        clear = _clear(face)
        return clear if mode == "RGBA" else clear.convert("LA") if mode == "LA" else face.quantize(64).convert("PA")
    if mode in ("La", "RGBa"):
        return _as(face, mode.upper()).convert(mode)
    if mode in ("I;16", "I;16B"):
        deep = (np.asarray(face.convert("L")).astype(np.uint16) * 257).astype(">u2" if mode == "I;16B" else "<u2")
        return Image.frombytes(mode, face.size, deep.tobytes())
    return face.quantize(64) if mode == "P" else face.convert(mode)


def _clear(face: Image.Image) -> Image.Image:
    """`face` with an alpha channel from 0 to 255."""
    clear = face.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(face.size))
    return clear


def _encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _opaque(face: Image.Image) -> dict[str, Callable[[], bytes]]:
    other = [Image.new("RGB", face.size)]
    plain = {
        "1 PNG": lambda: _encoded(face.convert("1"), "PNG"),
        "L PNG": lambda: _encoded(face.convert("L"), "PNG"),
        "P PNG": lambda: _encoded(face.quantize(64), "PNG"),
        "L JPEG": lambda: _encoded(face.convert("L"), "JPEG"),
        "RGB JPEG": lambda: _encoded(face, "JPEG"),
        "RGB BMP": lambda: _encoded(face, "BMP"),
        "RGB JPEG2000": lambda: _encoded(face, "JPEG2000"),
        "RGB PPM": lambda: _encoded(face, "PPM"),
        "turned by EXIF JPEG": lambda: _encoded(face, "JPEG", exif=TURNED),
        "turned by EXIF PNG": lambda: _encoded(face, "PNG", exif=TURNED),
        "two views MPO": lambda: _encoded(face, "MPO", save_all=True, append_images=other),
        "animated PNG": lambda: _encoded(face, "PNG", save_all=True, append_images=other),
        "animated GIF": lambda: _encoded(face, "GIF", save_all=True, append_images=other),
        "animated WebP": lambda: _encoded(face, "WEBP", save_all=True, append_images=other, lossless=True),
        "CMYK JPEG": lambda: _encoded(face.convert("CMYK"), "JPEG"),
    }
    modes = ("1", "L", "P", "PA", "RGBX", "CMYK", "YCbCr", "LAB")
    return plain | {f"{mode} TIFF": lambda mode=mode: _encoded(_as(face, mode), "TIFF") for mode in modes}


def _transparent(face: Image.Image) -> dict[str, Callable[[], bytes]]:
    """By an alpha channel, or by a colour that stands for transparency (tRNS in PNG)."""
    gray, palette, clear = face.convert("L"), face.quantize(64), _clear(face)
    third, often = bytes([0, 128, 255] * 21), gray.histogram().index(max(gray.histogram()))
    colour = max(face.getcolors(face.width * face.height) or [])[1]
    associated = (b"\x52\x01\x03\x00\x01\x00\x00\x00\x02\x00", b"\x52\x01\x03\x00\x01\x00\x00\x00\x01\x00")
    return {
        "RGB PNG": lambda: _encoded(face, "PNG"),
        "LA PNG": lambda: _encoded(clear.convert("LA"), "PNG"),
        "RGBA PNG": lambda: _encoded(clear, "PNG"),
        "RGBA WebP": lambda: _encoded(clear, "WEBP", lossless=True, exact=True),
        "RGBA AVIF": lambda: _encoded(clear, "AVIF"),
        "RGBA TIFF": lambda: _encoded(clear, "TIFF"),
        "RGBa TIFF": lambda: _encoded(clear, "TIFF").replace(*associated),
        "RGBA JPEG2000": lambda: _encoded(clear, "JPEG2000"),
        "1 with a clear colour PNG": lambda: _encoded(face.convert("1"), "PNG", transparency=1),
        "L with a clear colour PNG": lambda: _encoded(gray, "PNG", transparency=often),
        "RGB with a clear colour PNG": lambda: _encoded(face, "PNG", transparency=colour),
        "P with a clear colour PNG": lambda: _encoded(palette, "PNG", transparency=3),
        "P with 63 alphas PNG": lambda: _encoded(palette, "PNG", transparency=third),
        "clear colour GIF": lambda: _encoded(palette, "GIF", transparency=3),
        "RGBA GIF": lambda: _encoded(clear, "GIF"),
        "animated RGBA WebP": lambda: _encoded(clear, "WEBP", save_all=True, append_images=[clear], lossless=True),
    }


def _deep(face: Image.Image) -> dict[str, Callable[[], bytes]]:
    """16 bits a channel, which Pillow reduces to 8 where there are several channels; whole numbers and floats."""
    wide = {f"{mode} TIFF": lambda mode=mode: _encoded(_as(face, mode), "TIFF") for mode in ("I;16", "I;16B", "I", "F")}
    return wide | {
        "I;16 PNG": lambda: _encoded(_as(face, "I;16"), "PNG"),
        "I;16 JPEG2000": lambda: _encoded(_as(face, "I;16"), "JPEG2000"),
        "I PPM": lambda: _encoded(_as(face, "I;16"), "PPM"),
        "F PPM": lambda: _encoded(_as(face, "F"), "PPM"),
        "RGB of 16 bits PNG": lambda: _png_of_16_bits(face, 2),
        "RGBA of 16 bits PNG": lambda: _png_of_16_bits(_clear(face), 6),
        "LA of 16 bits PNG": lambda: _png_of_16_bits(_clear(face).convert("LA"), 4),
    }


def _png_of_16_bits(picture: Image.Image, colour: int) -> bytes:
    """A PNG made of its chunks, because Pillow writes no colours of 16 bits."""
    pixels = np.asarray(picture).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", *picture.size, 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
