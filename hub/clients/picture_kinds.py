"""A face in the kinds of pictures that people have: small, large, gray, transparent, rotated by a camera.

Clients are compared on them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def picture_kinds(folder: Path, faces: Sequence[Path | Image.Image], size: tuple[int, int]) -> dict[str, list[Path]]:
    """Write each face into `folder` in each kind; returns the paths by kind.

    JPEG is lossy, so clients are compared on the same file; decoders may differ by one level.

    Args:
        folder: where to write; created if missing.
        faces: pictures of one face.
        size: height and width of the model's input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, list[Path]] = {}
    for number, face in enumerate(faces):
        for kind, (picture, suffix, options) in _as_people_have_it(face, number, size).items():
            path = folder / f"{kind.replace(' ', '-').replace(',', '')}-{number:04d}.{suffix}"
            picture.save(path, **options)
            kinds.setdefault(kind, []).append(path)
    return kinds


def _as_people_have_it(
    face: Path | Image.Image, number: int, size: tuple[int, int]
) -> dict[str, tuple[Image.Image, str, dict[str, Any]]]:
    """Kind -> picture, suffix, options of `save`."""
    image = (face if isinstance(face, Image.Image) else Image.open(face)).convert("RGB")
    colour = Image.merge(
        "RGB", [band.point(lambda v, f=f: int(v * f)) for band, f in zip(image.split(), (1, 0.85, 0.7), strict=True)]
    )

    def sized(width: int, height: int) -> Image.Image:
        return colour.resize((width, height), Image.Resampling.BICUBIC)

    clear = sized(100, 100).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    keyed = (sized(100, 100).quantize(64), sized(100, 100).convert("L"), sized(100, 100))[number % 3]
    exif = Image.Exif()
    exif[0x0112] = 2 + number % 7  # each of the seven ways to be turned or mirrored
    photo = {"quality": 92}
    return {
        "48 px gray": (image.convert("L").resize((48, 48), Image.Resampling.BICUBIC), "png", {}),
        "224 px colour": (sized(224, 224), "png", {}),
        "RGBA": (clear, "png", {}),
        "one clear colour": (keyed, "png", {"transparency": keyed.getpixel((50, 50))}),
        "131 x 97": (sized(131, 97), "png", {}),
        "97 x 131": (sized(97, 131), "png", {}),
        "900 x 1200 JPEG": (sized(900, 1200), "jpg", photo),
        "JPEG turned by EXIF": (sized(160, 120), "jpg", photo | {"exif": exif}),
        "model's own size": (sized(size[1], size[0]), "png", {}),
    }
