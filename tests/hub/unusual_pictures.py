"""Small pictures as people rarely have them, each of which some reader of pictures takes for another one."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.drawn.face import draw_face

SIDE = 64
PNG_START = 33  # bytes of a PNG before which a chunk about colours may stand


def unusual_pictures(folder: Path) -> list[Path]:
    """Write them into `folder`, which is made; returns their paths."""
    folder.mkdir(parents=True)
    face = draw_face("happiness", 0, 3, SIDE)
    face = Image.merge(
        "RGB", [band.point(lambda v, f=f: int(v * f)) for band, f in zip(face.split(), (1, 0.85, 0.7), strict=True)]
    )
    half_clear = face.convert("RGBA")
    half_clear.putalpha(Image.linear_gradient("L").resize(face.size))
    palette = face.quantize(64)
    middle = palette.getpixel((SIDE // 2, SIDE // 2))
    profile = other_profile()
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgba.png": (half_clear, {}),
        "all-clear.png": (half_clear.point(lambda v: v), {}),
        "gray-clear.png": (half_clear.convert("LA"), {}),
        "palette-clear.png": (palette, {"transparency": middle}),
        "clear.webp": (half_clear, {"lossless": True, "exact": True}),
        "clear-lossy.webp": (half_clear, {}),
        "clear.avif": (half_clear, {}),
        "clear.bmp": (half_clear, {}),
        "clear.gif": (palette, {"transparency": middle}),
        "plain.gif": (palette, {}),
        "animated.gif": (palette, {"save_all": True, "append_images": [palette.rotate(90)]}),
        "animated.webp": (face, {"save_all": True, "append_images": [face.rotate(90)], "lossless": True}),
        "cmyk.jpg": (face.convert("CMYK"), {}),
        "gray.jpg": (face.convert("L"), {}),
        "progressive.jpg": (face, {"progressive": True}),
        "turned.jpg": (face.resize((64, 48)), {"exif": turned(6)}),
        "turned.png": (face.resize((64, 48)), {"exif": turned(6)}),
        "turned.avif": (face.resize((64, 48)), {"exif": turned(6)}),
        "turned.webp": (face.resize((64, 48)), {"exif": turned(6)}),
        "profile.jpg": (face, {"icc_profile": profile}),
        "profile.png": (face, {"icc_profile": profile}),
        "profile.webp": (face, {"icc_profile": profile, "lossless": True}),
        "line.png": (face.resize((3000, 1)), {}),
        "one-pixel.png": (face.resize((1, 1)), {}),
        "icon.ico": (face.resize((32, 32)), {"sizes": [(32, 32)]}),
    }
    kinds["all-clear.png"][0].putalpha(0)
    for name, (picture, options) in kinds.items():
        picture.save(folder / name, **options)
    small = bytearray((folder / "plain.gif").read_bytes())
    small[6:10] = struct.pack("<HH", SIDE + 20, SIDE + 10)
    (folder / "small-frame.gif").write_bytes(small)
    deep = np.asarray(face).astype(">u2") * 257
    (folder / "colour16.png").write_bytes(png16(deep, 2))
    (folder / "gray16.png").write_bytes(png16(deep[..., :1], 0))
    plain = png16(deep, 2)
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    (folder / "gamma.png").write_bytes(plain[:PNG_START] + gamma + plain[PNG_START:])
    return sorted(folder.iterdir())


def clear_and_deep(folder: Path, faces: Sequence[Image.Image]) -> dict[str, list[Path]]:
    """Write each face with transparency in all ways that PNG has, and with 16 bits; returns the paths by kind."""
    folder.mkdir(parents=True)
    kinds: dict[str, list[Path]] = {}
    for number, face in enumerate(faces):
        colour = np.asarray(face.convert("RGB").resize((200, 200), Image.Resampling.BICUBIC))
        alpha = np.random.default_rng(number).integers(0, 256, (200, 200, 1), np.uint8)
        gray = colour[..., :1]
        palette = Image.fromarray(colour).quantize(64)
        deep = {"RGB": (colour, 2), "RGBA": (np.dstack([colour, alpha]), 6), "LA": (np.dstack([gray, alpha]), 4)}
        plain: dict[str, tuple[Image.Image, dict[str, Any]]] = {
            "RGBA": (Image.fromarray(np.dstack([colour, alpha])), {}),
            "LA": (Image.fromarray(np.dstack([gray, alpha])), {}),
            "palette, one clear colour": (palette, {"transparency": palette.getpixel((100, 100))}),
            "palette, alpha of each colour": (palette, {"transparency": bytes(range(0, 256, 4))}),
        }
        files = {f"{kind}, 16 bits": png16(levels.astype(">u2") * 257, code) for kind, (levels, code) in deep.items()}
        for kind, (picture, options) in plain.items():
            picture.save(buffer := io.BytesIO(), "PNG", **options)
            files[kind] = buffer.getvalue()
        for kind, content in files.items():
            path = folder / f"{kind.replace(' ', '-').replace(',', '')}-{number}.png"
            path.write_bytes(content)
            kinds.setdefault(f"200 px {kind}", []).append(path)
    return kinds


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def other_profile() -> bytes:
    """sRGB with red and green in each other's place: a reader that follows it gets quite other colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(swapped)


def png16(levels: NDArray[np.uint16], kind: int) -> bytes:
    """A PNG of 16 bits from `(H, W, C)`; `kind`: 0 gray, 2 colour. Pillow writes none in colour."""
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    chunks = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
