"""Pictures that would run a program, take minutes or take gigabytes: each is left out with a reason, wherever it is."""

import os
import shutil
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image

from hub.server.answers import REFUSALS, read_picture
from hub.server.contract import Refused
from pipeline import pictures
from pipeline.data.measure import measure_batch
from pipeline.errors import InputError
from pipeline.pictures import Fault, UnusablePicture, decode
from pipeline.training.transforms import map_pictures
from tests.hostile import files

GRAY = Image.new("L", (2000, 1500), 128)
SEGMENTS = 300_000
SMALL_PART = files.chunk(b"abCd")
HOSTILE: dict[str, tuple[Callable[[], bytes], Fault]] = {
    "PostScript": (lambda: files.GHOSTSCRIPT % b"/elsewhere/x", Fault.FORMAT),
    "an endless PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n", Fault.FORMAT),
    "PostScript behind the header of DOS": (
        lambda: struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, 99, 0, 0, 0, 0, 0) + files.GHOSTSCRIPT % b"/elsewhere/x",
        Fault.FORMAT,
    ),
    "a JPEG of 6,000 scans": (lambda: files.jpeg_of_scans(600, 400, 6_000), Fault.TOO_SLOW),
    "scans behind segments that look like the end": (
        lambda: files.jpeg_of_scans(600, 400, 6_000, b"\xff\xfe\x00\x04\xff\xd9"),
        Fault.TOO_SLOW,
    ),
    "a TIFF that holds a large JPEG": (
        lambda: files.encoded(Image.new("RGB", (4000, 3000)), "TIFF", compression="jpeg"),
        Fault.TOO_SLOW,
    ),
    "a PPM that Pillow scales in Python": (
        lambda: b"P6 2000 2000 254\n" + bytes(12_000_000),
        Fault.TOO_SLOW,
    ),
    "a PPM of text": (lambda: b"P3 2000 2000 255\n" + b"1 " * 12_000_000, Fault.TOO_SLOW),
    "a BMP of runs of one pixel": (lambda: files.bmp_of_runs(2000, 2000), Fault.TOO_SLOW),
    "a JPEG 2000 in code-blocks of 4 px": (
        lambda: files.encoded(GRAY, "JPEG2000", codeblock_size=(4, 4)),
        Fault.TOO_SLOW,
    ),
    "a JPEG 2000 in precincts of 4 px": (
        lambda: files.encoded(GRAY, "JPEG2000", codeblock_size=(4, 4), precinct_size=(4, 4), num_resolutions=3),
        Fault.TOO_SLOW,
    ),
    "a large JPEG 2000": (lambda: files.encoded(Image.new("L", (5000, 5000)), "JPEG2000"), Fault.TOO_SLOW),
    "a PNG of empty chunks": (lambda: files.png(8, 8, SMALL_PART * SEGMENTS), Fault.TOO_SLOW),
    "a JPEG of empty segments": (
        lambda: b"\xff\xd8" + b"\xff\xe5\x00\x02" * SEGMENTS + files.encoded(GRAY, "JPEG")[2:],
        Fault.TOO_SLOW,
    ),
    "a PNG of 80,000,000 x 1": (lambda: files.png(80_000_000, 1), Fault.TOO_LARGE),
    "a PNG of 60,000 x 60,000": (lambda: files.png(60_000, 60_000), Fault.TOO_LARGE),
    "a PNG whose notes unpack to gigabytes": (
        lambda: files.png(8, 8, files.chunk(b"zTXt", b"a\0\0" + files.zlib.compress(bytes(2**26)))),
        Fault.DAMAGED,
    ),
}


SMALL = Image.new("RGB", (64, 64))
OTHERS: dict[str, Callable[[], bytes]] = {
    **{kind: lambda kind=kind: files.encoded(SMALL, kind) for kind in ("ICO", "PCX", "TGA", "DDS", "PDF", "SGI")},
    "MSP": lambda: files.encoded(SMALL.convert("1"), "MSP"),
    "ICNS": lambda: files.encoded(SMALL.resize((128, 128)), "ICNS"),
    "PSD": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(3 * 64 * 64 + 14),
    "FLI": lambda: struct.pack("<IHHHHHH", 128, 0xAF11, 1, 64, 64, 8, 3) + bytes(112),
    "XPM": lambda: b'/* XPM */\nstatic char *x[]={"1 1 1 1","a c #000000","a"};',
    "WMF": lambda: b"\xd7\xcd\xc6\x9a" + bytes(100),
    "EMF": lambda: b"\1" + bytes(39) + b" EMF" + bytes(100),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "HTML": lambda: b"<html><img src=x>",
    "ZIP": lambda: b"PK\x03\x04" + bytes(40),
    "JPEG XL": lambda: b"\xff\x0a" + bytes(40),
    "QOI": lambda: b"qoif" + struct.pack(">IIBB", 8, 8, 3, 0) + bytes(40),
}


@pytest.mark.parametrize("name", OTHERS)
def test_formats_that_are_not_read_are_left_out_whatever_the_name_says(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(OTHERS[name]())
    with pytest.raises(UnusablePicture) as refused:
        decode(tmp_path / "x.png")
    assert refused.value.fault is Fault.FORMAT


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "content",
    [
        files.tiff(*((tag, 3, 1, 1) for tag in range(1000, 61_000))),
        files.tiff(rows=30_000, strips=30_000),
        files.tiff((50_000, 4, 2**30 - 1, 8)),
    ],
    ids=["60,000 tags", "30,000 strips", "a tag of gigabytes"],
)
def test_a_tiff_that_says_much_is_quick(content: bytes) -> None:
    start = time.process_time()
    with suppress(UnusablePicture):
        decode(content)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_refused_before_its_work_is_done(name: str, tmp_path: Path) -> None:
    make, fault = HOSTILE[name]
    (tmp_path / "x.png").write_bytes(content := make())
    for given in (content, tmp_path / "x.png"):
        with pytest.raises(UnusablePicture) as refused:
            decode(given)
        assert refused.value.fault is fault, refused.value
    with pytest.raises(Refused) as answered:
        read_picture(content, 40_000_000)
    assert answered.value.status in {status for status, _ in REFUSALS.values()}


@pytest.mark.skipif(not shutil.which("gs"), reason="Ghostscript is not installed")
def test_pillow_itself_would_run_the_postscript(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(files.GHOSTSCRIPT % os.fsencode(tmp_path / "made"))
    Image.open(tmp_path / "x.png").load()


def test_hostile_rows_are_left_out_and_counted_and_the_others_are_measured() -> None:
    cells = [{"bytes": HOSTILE[name][0](), "path": None} for name in ("PostScript", "a JPEG of 6,000 scans")]
    cells.append({"bytes": files.encoded(GRAY, "PNG"), "path": None})
    faults = measure_batch(cells)["fault"]
    assert faults[0].startswith("not a JPEG") and "6,0" in faults[1] and faults[2] is None


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=pytest.mark.slow)])
def test_of_an_animation_of_ten_thousand_frames_or_pages_only_the_first_is_decoded(kind: str) -> None:
    decode(files.encoded(Image.new("RGB", (8, 8)), kind))
    assert decode(files.frames(kind, 10_000)).size == (8, 8)


def test_usual_pictures_are_within_the_limits() -> None:
    camera = Image.new("RGB", (6000, 4000))
    for kind, options in [("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("BMP", {})]:
        assert decode(files.encoded(camera, kind, **options)).size == camera.size
    face = Image.new("RGB", (1000, 1000))
    for content in (files.encoded(face, "JPEG2000"), files.encoded(face, "TIFF", compression="jpeg")):
        assert decode(content).size == face.size
    assert decode(files.jpeg_of_scans(100, 100, 300)).size == (100, 100), "many scans of few pixels are cheap"
    assert decode(b"P2 40 40 9\n" + b"1 " * 1600).size == (40, 40)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_a_device_and_a_folder_are_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(UnusablePicture, match="not a regular file|Is a directory"):
            decode(path)


def test_a_file_is_read_once_so_that_what_is_checked_is_what_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_bytes(files.encoded(Image.new("RGB", (9, 9)), "PNG"))
    check = pictures._check_work

    def grows(image: Image.Image, content: bytes) -> None:
        check(image, content)
        (tmp_path / "x.png").write_bytes(files.png(60_000, 60_000))

    monkeypatch.setattr(pictures, "_check_work", grows)
    assert decode(tmp_path / "x.png").size == (9, 9)


def test_a_picture_that_changes_after_it_was_measured_ends_the_run_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(files.encoded(Image.new("RGB", (9, 9)), "PNG"))
    table = Dataset.from_dict({"image": [str(file)]}, features=Features({"image": ImageFeature()}))
    file.write_bytes(b"now it is text")
    with pytest.raises(InputError, match=r"x.png changed while the run read the data \(not a JPEG.*same command"):
        map_pictures(table, 16, "map")
