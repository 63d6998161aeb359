"""The decoder: which files are pictures, what it makes of them, and that all readers of pictures use it."""

import ast
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image, ImageOps
from transformers.image_utils import load_image

from hub.server.answers import SENT, read_picture
from pipeline import pictures
from pipeline.data.measure import measure_picture
from pipeline.pictures import FORMATS, MAX_PIXELS, MAX_SIDE, Fault, UnusablePicture, decode, decode_cell
from pipeline.training.transforms import from_bytes, map_pictures
from tests.conftest import ROOT

RNG = np.random.default_rng(0)
COLOUR = Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8))
CLEAR = Image.merge("RGBA", [*COLOUR.split(), COLOUR.getchannel(1)])
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter turn


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int, colour: int, data: bytes) -> bytes:
    """A PNG made of its chunks, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


FILES = {
    "JPEG": encoded(COLOUR, "JPEG"),
    "JPEG, progressive": encoded(COLOUR, "JPEG", progressive=True),
    "JPEG, turned": encoded(COLOUR, "JPEG", exif=TURNED),
    "JPEG, gray": encoded(COLOUR.convert("L"), "JPEG"),
    "JPEG, CMYK": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "MPO, two views": encoded(COLOUR, "MPO", save_all=True, append_images=[Image.new("RGB", COLOUR.size)]),
    "PNG": encoded(COLOUR, "PNG"),
    "PNG, turned": encoded(COLOUR, "PNG", exif=TURNED),
    "PNG, palette": encoded(COLOUR.quantize(16), "PNG"),
    "PNG, palette with a clear colour": encoded(COLOUR.quantize(16), "PNG", transparency=3),
    "PNG, alpha": encoded(CLEAR, "PNG"),
    "PNG, gray with alpha": encoded(CLEAR.convert("LA"), "PNG"),
    "PNG, one bit": encoded(COLOUR.convert("1"), "PNG"),
    "PNG, 16 bits of colour": png(40, 40, 16, 2, (b"\0" + COLOUR.tobytes()[: 40 * 3] * 2) * 40),
    "GIF, two frames": encoded(COLOUR, "GIF", save_all=True, append_images=[Image.new("RGB", COLOUR.size)]),
    "BMP": encoded(COLOUR, "BMP"),
    "WebP": encoded(COLOUR, "WEBP"),
    "WebP, alpha": encoded(CLEAR, "WEBP", lossless=True),
    "AVIF": encoded(COLOUR, "AVIF"),
    "TIFF": encoded(COLOUR, "TIFF"),
    "TIFF, compressed": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "JPEG 2000": encoded(COLOUR, "JPEG2000"),
    "PPM": encoded(COLOUR, "PPM"),
    "PGM": encoded(COLOUR.convert("L"), "PPM"),
}
GRAY_16 = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
UNUSABLE = {
    "nothing": (b"", Fault.EMPTY, "empty"),
    "text": (b"<html>not found</html>", Fault.FORMAT, "not a JPEG, PNG, WebP, GIF, BMP, AVIF, TIFF, JPEG 2000 or PPM"),
    "an icon": (encoded(COLOUR, "ICO"), Fault.FORMAT, "not a JPEG"),
    "PostScript": (encoded(COLOUR, "EPS"), Fault.FORMAT, "not a JPEG"),
    "a PDF": (encoded(COLOUR, "PDF"), Fault.FORMAT, "not a JPEG"),
    "half a PNG": (FILES["PNG"][: len(FILES["PNG"]) // 2], Fault.DAMAGED, "damaged"),
    "half a JPEG": (FILES["JPEG"][: len(FILES["JPEG"]) // 2], Fault.DAMAGED, "damaged"),
    "16 bits of gray in a PNG": (encoded(GRAY_16, "PNG"), Fault.TOO_DEEP, "more than 8 bits a channel"),
    "16 bits of gray in a PGM": (encoded(GRAY_16, "PPM"), Fault.TOO_DEEP, "more than 8 bits a channel"),
    "16 bits of gray in JPEG 2000": (encoded(GRAY_16, "JPEG2000"), Fault.TOO_DEEP, "more than 8 bits a channel"),
    "floats": (encoded(Image.new("F", (9, 9)), "TIFF"), Fault.TOO_DEEP, "more than 8 bits a channel"),
    "a bomb": (png(30_000, 30_000, 1, 0, b""), Fault.TOO_LARGE, "more than 89,478,485 pixels"),
    "a small bomb": (png(10_000, 10_000, 1, 0, b""), Fault.TOO_LARGE, "more than 89,478,485 pixels"),
    "a long line": (encoded(Image.new("L", (MAX_SIDE + 1, 1)), "PNG"), Fault.TOO_LARGE, "a side of more than 32,766"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_is_upright_rgb_as_pipeline_reads_it(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILES[kind])
    seen = decode(FILES[kind])
    assert (seen.mode, seen.size) == ("RGB", (40, 40))
    assert np.array_equal(seen, ImageOps.exif_transpose(Image.open(tmp_path / "file")).convert("RGB"))
    assert np.array_equal(seen, load_image(str(tmp_path / "file")).convert("RGB"))


@pytest.mark.parametrize("kind", FILES)
def test_the_format_is_known_by_content_and_not_by_name(kind: str, tmp_path: Path) -> None:
    for name in ("x.png", "x.eps", "x"):
        (tmp_path / name).write_bytes(FILES[kind])
        assert np.array_equal(decode(tmp_path / name), decode(FILES[kind]))


def test_every_format_of_the_list_is_among_these_files() -> None:
    read = {Image.open(io.BytesIO(content), formats=tuple(FORMATS)).format for content in FILES.values()}
    assert read - {"MPO"} == set(FORMATS)


def test_a_picture_turned_by_its_tag_is_turned_back() -> None:
    assert np.array_equal(decode(FILES["PNG, turned"]), COLOUR.rotate(-90))


def test_transparency_is_dropped_and_not_composited() -> None:
    assert np.array_equal(decode(FILES["PNG, alpha"]), COLOUR)


@pytest.mark.parametrize("kind", ["GIF, two frames", "MPO, two views"])
def test_the_first_of_several_pictures_is_read(kind: str) -> None:
    assert np.asarray(decode(FILES[kind])).std() > 10, "the second is black"


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_picture_has_a_fault_and_a_reason(kind: str, tmp_path: Path) -> None:
    content, fault, reason = UNUSABLE[kind]
    (tmp_path / "x.png").write_bytes(content)
    for source in (content, tmp_path / "x.png", str(tmp_path / "x.png")):
        with pytest.raises(UnusablePicture) as caught:
            decode(source)
        assert caught.value.fault is fault
        assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("kind", ["a small bomb", "a long line"])
def test_what_is_too_large_is_refused_with_its_size_before_it_is_decoded(kind: str) -> None:
    tracemalloc.start()
    with pytest.raises(UnusablePicture) as caught:
        decode(UNUSABLE[kind][0])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.size in ((10_000, 10_000), (MAX_SIDE + 1, 1))
    assert most < 2**20


def test_a_bomb_is_refused_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(UNUSABLE["a small bomb"][0])
    code = "import sys; from pipeline.pictures import decode; decode(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "UnusablePicture: more than 89,478,485 pixels" in done.stderr
    assert "Warning" not in done.stderr


def test_the_limits_are_those_of_pillow_and_can_be_lowered() -> None:
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS
    assert decode(FILES["PNG"], max_pixels=1600).size == (40, 40)
    with pytest.raises(UnusablePicture, match="more than 1,599 pixels"):
        decode(FILES["PNG"], max_pixels=1599)


def test_the_list_of_formats_can_be_narrowed_and_the_reason_names_it() -> None:
    with pytest.raises(UnusablePicture, match="not a JPEG or PNG picture") as caught:
        decode(FILES["GIF, two frames"], formats=("JPEG", "PNG"))
    assert caught.value.fault is Fault.FORMAT


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "gone.png", "no such file"), ("a\0b", "no such file"), (tmp_path, "directory")]:
        with pytest.raises(UnusablePicture, match=reason) as caught:
            decode(path)
        assert caught.value.fault is Fault.NO_FILE
    with pytest.raises(UnusablePicture, match="empty"):
        decode_cell(None)
    with pytest.raises(UnusablePicture, match="empty"):
        decode_cell({"bytes": None, "path": None})


def test_a_picture_from_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["/bin/sh", "-c", 'cat > "$0"', str(tmp_path / "pipe")], stdin=subprocess.PIPE) as writer:
        writer.stdin.write(FILES["PNG"])
        writer.stdin.close()
        assert np.array_equal(decode(tmp_path / "pipe"), COLOUR)


def test_postscript_named_png_starts_no_program(tmp_path: Path) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    ghostscript.chmod(0o755)
    (tmp_path / "x.png").write_bytes(UNUSABLE["PostScript"][0])
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(code: str) -> bool:
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False)
        return (tmp_path / "started").exists()

    assert not run("from pipeline.pictures import decode; decode('x.png')")
    assert run("from PIL import Image; Image.open('x.png').load()"), "Pillow itself would have started it"


# ---- Who uses it


@pytest.mark.parametrize("kind", FILES)
def test_measuring_mapping_and_the_server_see_the_same_pixels(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILES[kind])
    cells = [{"bytes": FILES[kind], "path": None}, {"bytes": None, "path": str(tmp_path / "file")}]
    seen = decode(FILES[kind])
    same = measure_picture({"bytes": encoded(seen, "PNG"), "path": None})
    assert [measure_picture(cell) for cell in cells] == [same, same]
    table = Dataset.from_dict({"image": cells}, features=Features({"image": ImageFeature()}))
    for row in map_pictures(table, 40, "same size, so nothing is resized"):
        assert np.array_equal(from_bytes(row["pixels"]).transpose(1, 2, 0), seen)
    if Image.open(io.BytesIO(FILES[kind]), formats=tuple(FORMATS)).format in (*SENT, "MPO"):
        assert np.array_equal(read_picture(FILES[kind], MAX_PIXELS), seen)


def test_the_cache_of_mapped_pictures_follows_the_source_of_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Dataset.from_dict({"image": [COLOUR]}, features=Features({"image": ImageFeature()}))
    first = map_pictures(table, 32, "first")._fingerprint
    edited = tmp_path / "pictures.py"
    edited.write_text(Path(pictures.__file__).read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    monkeypatch.setattr(pictures, "__file__", str(edited))
    assert map_pictures(table, 32, "edited")._fingerprint != first


@pytest.mark.parametrize(("module", "packages"), [("pictures", {"PIL"}), ("crop", {"cv2", "numpy"}), ("cores", set())])
def test_what_a_space_carries_needs_few_packages(module: str, packages: set[str]) -> None:
    tree = ast.parse((ROOT / "pipeline" / f"{module}.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == packages
