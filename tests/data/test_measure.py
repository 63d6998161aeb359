"""Measuring pictures: the pixel hash, pictures that cannot be used, and the cache."""

import io
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, Value, load_dataset
from datasets.table import embed_table_storage
from PIL import Image as PILImage
from PIL import ImageOps
from transformers.image_utils import load_image

from pipeline.data import measure
from pipeline.data.measure import FEATURES, Measures, measure_batch, measure_picture, measure_pictures, measures_of
from pipeline.data.near_copies import near_copies
from pipeline.data.readers import read_source
from pipeline.drawn.face import draw_face
from pipeline.pictures import decode_cell
from pipeline.settings.recipe import Recipe
from tests.conftest import ROOT
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
    "text": (b"<html>not found</html>", "not a JPEG, PNG, WebP, GIF, BMP, AVIF, TIFF, JPEG 2000"),
    "cut": (stored(COLOURS, "PNG")[:-60], "damaged"),
    "16 bits of gray": (stored(PILImage.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG"), "more than 8"),
    "floats": (stored(PILImage.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "more than 8 bits a channel"),
    "a bomb": (png(30_000, 30_000, 1, 0, b""), "more than 89,478,485 pixels"),
    "a long line": (png(80_000_000, 1, 1, 0, b""), "a side of more than 32,766 pixels"),
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


def test_a_picture_that_does_not_fit_into_memory_ends_no_run(tmp_path):
    """In a process of its own: in this one, memory that earlier tests have freed would let the picture fit."""
    large = tmp_path / "large.png"
    PILImage.new("L", (6000, 6000)).save(large)
    code = """
import resource, sys
from pathlib import Path
from pipeline.data.measure import measure_picture

large = {"bytes": Path(sys.argv[1]).read_bytes(), "path": None}
limits = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 260_000_000, limits[1]))  # decoding takes 216 MB, measuring 396 MB
print(measure_picture(large)["fault"])
resource.setrlimit(resource.RLIMIT_AS, limits)
print(measure_picture(large)["width"])
"""
    ended = subprocess.run([sys.executable, "-c", code, large], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines() == ["needs more memory than is free", "6000"], ended.stderr


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
    stops = ["sad/001.png"]  # row 6, once

    def measured(picture):
        seen.append(picture["path"])
        if stops and picture["path"].endswith(stops[0]):
            stops.clear()
            raise KeyboardInterrupt
        return measure_picture(picture)

    monkeypatch.setattr(measure, "measure_picture", measured)
    with pytest.raises(KeyboardInterrupt):
        measure_pictures(table, "all")
    before = len(seen)
    again = measure_pictures(table, "all")
    assert len(seen) == before + 6, "the first four were kept"
    monkeypatch.setattr(measure, "PART", 100)
    assert measure_pictures(table, "all").pixels.tolist() == again.pixels.tolist()


def test_splits_of_one_file_folder_have_caches_of_their_own(tmp_path):
    fill(tmp_path / "faces", 6, 6)
    whole = read_source(Recipe(data_path=str(tmp_path / "faces"))).tables["all"]
    (tmp_path / "parquet").mkdir()
    for split, rows in (("train", range(8)), ("test", range(4, 12))):
        embedded = embed_table_storage(whole.select(rows).select_columns(["image", "label"]).with_format("arrow")[:])
        pq.write_table(embedded, tmp_path / "parquet" / f"{split}-0.parquet")
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


def test_measuring_files_and_joining_them_equals_measuring_the_whole(tmp_path):
    """As docs/data.md says: every worker measures a file, and the search runs on what they found."""
    faces = [draw_face("happiness", 0, i, 64) for i in range(9)]
    cells = [{"bytes": stored(face, "PNG"), "path": None} for face in [*faces, *map(ImageOps.mirror, faces[:3])]]
    cells.insert(5, {"bytes": b"no picture", "path": None})
    keys = [str(n) for n in range(len(cells))]
    whole = Dataset.from_dict({"image": cells, "key": keys}).cast_column("image", Image())
    columns = Features(FEATURES | {"key": Value("string")})
    for number in range(4):
        whole.shard(4, number).to_parquet(tmp_path / f"{number}.parquet")
        shard = load_dataset("parquet", data_files=f"{tmp_path}/{number}.parquet", split="train")
        measured = shard.cast_column("image", Image(decode=False)).map(
            measure_batch, batched=True, input_columns="image", remove_columns="image", features=columns
        )
        measured.to_parquet(tmp_path / "measured" / f"{number}.parquet")
    joined = load_dataset("parquet", data_files=f"{tmp_path}/measured/*.parquet", split="train")
    assert joined["key"][:] == keys
    apart, together = measures_of(joined), measure_pictures(whole, "whole")
    for field in fields(Measures):
        one, other = ([str(value) for value in getattr(of, field.name)] for of in (apart, together))
        assert one == other, field.name
    assert near_copies(apart.thumbnail).pairs.tolist() == [[0, 10], [1, 11], [2, 12]]
