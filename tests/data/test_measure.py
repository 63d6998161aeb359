"""Measuring pictures: the pixel hash, pictures that cannot be used, and the cache."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from transformers.image_utils import load_image

from pipeline.data import measure
from pipeline.data.measure import measure_picture, measure_pictures
from pipeline.data.readers import read_source
from pipeline.pictures import decode_cell
from pipeline.settings.recipe import Recipe
from tests.data.folders import fill, pixels, save


def test_the_hash_is_of_the_upright_pixels_and_not_of_the_file(tmp_path):
    upright = pixels(0)[:, :5]
    PILImage.fromarray(upright).save(tmp_path / "a.png")
    turned = PILImage.fromarray(np.rot90(upright).copy())
    exif = PILImage.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.png", exif=exif)
    PILImage.fromarray(upright.reshape(5, 8, 3)).save(tmp_path / "c.png")
    a, b, c = (measure_picture({"bytes": None, "path": str(tmp_path / f"{name}.png")})["pixels"] for name in "abc")
    assert a == b
    assert a != c, "the same bytes in another shape are another picture"
    assert measure_picture({"bytes": (tmp_path / "a.png").read_bytes(), "path": "gone.png"})["pixels"] == a


def png(width, height, depth, colour, data):
    """A PNG file of its chunks, also such as Pillow would not write."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    chunks = [
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def stored(picture, form, **how):
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


COLOURS = PILImage.fromarray(pixels(3))


TURNED = PILImage.Exif()


TURNED[0x0112] = 6


USABLE = {
    "palette": stored(COLOURS.quantize(16), "PNG"),
    "palette with a clear colour": stored(COLOURS.quantize(16), "PNG", transparency=3),
    "alpha": stored(PILImage.merge("RGBA", [*COLOURS.split(), COLOURS.getchannel(0)]), "PNG"),
    "gray and alpha": stored(PILImage.merge("LA", COLOURS.split()[:2]), "PNG"),
    "CMYK": stored(COLOURS.convert("CMYK"), "JPEG"),
    "one bit": stored(COLOURS.convert("1"), "PNG"),
    "animated": stored(COLOURS, "GIF", save_all=True, append_images=[PILImage.fromarray(pixels(4))]),
    "turned by EXIF": stored(COLOURS, "JPEG", exif=TURNED),
    "16 bits of colour": png(8, 8, 16, 2, (b"\0" + pixels(5)[0].tobytes() * 2) * 8),
    "progressive": stored(COLOURS, "JPEG", progressive=True),
    "WebP": stored(COLOURS, "WEBP"),
}


UNUSABLE = {
    "no bytes": (b"", "empty"),
    "text": (b"<html>not found</html>", "not a JPEG, PNG, WebP, GIF, BMP, AVIF, TIFF, JPEG 2000 or PPM picture"),
    "cut": (stored(COLOURS, "PNG")[:-60], "damaged"),
    "16 bits of gray": (stored(PILImage.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG"), "more than 8"),
    "floats": (stored(PILImage.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "more than 8 bits a channel"),
    "a bomb": (png(30_000, 30_000, 1, 0, b""), "more than 89,478,485 pixels"),
    "a small bomb": (png(10_000, 10_000, 1, 0, b""), "more than 89,478,485 pixels"),
}


@pytest.mark.parametrize("kind", USABLE)
def test_a_picture_of_any_kind_is_what_every_client_sees(kind, tmp_path):
    (tmp_path / "file").write_bytes(USABLE[kind])
    seen = decode_cell({"bytes": None, "path": str(tmp_path / "file")})
    assert np.array_equal(seen, load_image(str(tmp_path / "file")).convert("RGB"))
    assert np.array_equal(seen, decode_cell({"bytes": USABLE[kind], "path": None}))
    assert np.asarray(seen).std() > 10


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_picture_that_cannot_be_used_says_why(kind):
    content, why = UNUSABLE[kind]
    row = measure_picture({"bytes": content, "path": None})
    assert row.pop("fault").startswith(why)
    assert set(row.values()) == {None}


def test_a_missing_picture_says_so(tmp_path):
    assert measure_picture(None)["fault"] == "empty"
    assert measure_picture({"bytes": None, "path": str(tmp_path / "gone.png")})["fault"] == "no such file"


def test_pictures_are_decoded_once(tmp_path):
    fill(tmp_path, 5, 5)
    table = read_source(Recipe(data_path=str(tmp_path))).tables["all"]
    first = measure_pictures(table, "all").pixels
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    assert measure_pictures(table, "all").pixels.tolist() == first.tolist()


def test_after_an_interruption_finished_parts_are_reused(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "PART", 4)
    fill(tmp_path, 5, 5)
    table = read_source(Recipe(data_path=str(tmp_path))).tables["all"]
    seen = []

    def measured(picture):
        seen.append(Path(picture["path"]).name)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return measure_picture(picture)

    monkeypatch.setattr(measure, "measure_picture", measured)
    with pytest.raises(KeyboardInterrupt):
        measure_pictures(table, "all")
    again = measure_pictures(table, "all")
    assert len(seen) == 7 + 6, "the first four were kept"
    monkeypatch.setattr(measure, "PART", 100)
    assert measure_pictures(table, "all").pixels.tolist() == again.pixels.tolist()


def test_splits_of_one_file_folder_have_caches_of_their_own(tmp_path):
    fill(tmp_path / "faces", 6, 6)
    whole = read_source(Recipe(data_path=str(tmp_path / "faces"))).tables["all"]
    for split, rows in (("train", range(8)), ("test", range(4, 12))):
        whole.select(rows).select_columns(["image", "label"]).to_parquet(tmp_path / "parquet" / f"{split}-0.parquet")
    tables = read_source(Recipe(data_path=str(tmp_path / "parquet"))).tables
    pixels = {split: measure_pictures(table, split).pixels.tolist() for split, table in tables.items()}
    assert pixels["train"][4:] == pixels["test"][:4]
    assert len({*pixels["train"], *pixels["test"]}) == 12


def test_a_changed_picture_is_decoded_again(tmp_path):
    fill(tmp_path, 5, 5)
    before = measure_pictures(read_source(Recipe(data_path=str(tmp_path))).tables["all"], "all").pixels
    save(tmp_path / "sad" / "004.png", 9)
    os.utime(tmp_path / "sad" / "004.png", (1, 1))
    after = measure_pictures(read_source(Recipe(data_path=str(tmp_path))).tables["all"], "all").pixels
    assert (before != after).tolist() == [False] * 9 + [True]
