"""Planted tokens behind encodings, marks and compression are found like others."""

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from hub import packed
from hub.packed import after_deflate, unpacked
from hub.privacy import refuse_private
from hub.readings import readings
from pipeline.errors import InputError
from tests.hostile.test_secrets import TOKEN, in_card, in_json, in_png, png_bytes, refused, write_table

DATA = TOKEN.encode()
HALF = len(TOKEN) // 2
FIRST, REST = TOKEN[:HALF], TOKEN[HALF:]


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w", method) as archive:
        archive.writestr("a.txt", content)
    return file.getvalue()


def small_window(content: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=10)
    return packer.compress(content) + packer.flush()


PACKED: dict[str, bytes] = {
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "lzma": lzma.compress(DATA, lzma.FORMAT_ALONE),
    "zip": zipped(DATA),
    "zip by bzip2": zipped(DATA, zipfile.ZIP_BZIP2),
    "zip by lzma": zipped(DATA, zipfile.ZIP_LZMA),
    "gzip in gzip": gzip.compress(gzip.compress(DATA)),
    "zip of a bzip2": zipped(bz2.compress(DATA)),
    "zlib with a small window": small_window(DATA),
    "gzip whose end is missing": gzip.compress(DATA)[:-8],
    "base64 of base64": base64.b64encode(base64.b64encode(DATA)),
    "UTF-32": TOKEN.encode("utf-32-le"),
    "UTF-32, big end first": TOKEN.encode("utf-32-be"),
}


def in_text_file(folder: Path, data: bytes) -> str:
    (folder / "notes.txt").write_bytes(data)
    return "notes.txt"


PLACES: tuple[Callable[[Path, bytes], str], ...] = (
    in_text_file,
    lambda folder, data: in_png(folder, png_bytes() + data),
    lambda folder, data: write_table(folder, pa.table({"b": [data]})),
    lambda folder, data: in_json(folder, base64.b64encode(data).decode()),
    lambda folder, data: in_json(folder, data.hex()),
)


@pytest.mark.parametrize("place", PLACES, ids=["text", "behind a picture", "column", "base64", "hexadecimal"])
@pytest.mark.parametrize("name", PACKED)
def test_a_packed_token_is_found(name: str, place: Callable[[Path, bytes], str], tmp_path: Path) -> None:
    refused(tmp_path, place(tmp_path, PACKED[name]), TOKEN)


UNSEEN = ("\ufe0f", "\u034f", "\u200e", "\u2062", "\U000e0001", "\u3164", "\u180e", "\u202e")
MARKS = ("<b></b>", "**", "`", "~~", "<!-- -->", "<!-- a\n<b> -->", '<span class="x">', f'<a\nhref="{90 * "x"}">')
ENCODED = base64.b64encode(DATA).decode().rstrip("=")
BEFORE = ("/", "x-", "v1/", "abc/", "id=", "key_")
TEXTS: dict[str, str] = {
    **{f"unseen {ord(sign):x}": FIRST + sign + REST for sign in UNSEEN},
    **{f"mark {mark}": FIRST + mark + REST for mark in MARKS},
    "letters of language tags": "".join(chr(0xE0000 + ord(letter)) for letter in TOKEN),
    "an escape before letters of hexadecimal": TOKEN.replace("_", "\\u005f"),
    "an escape in braces": TOKEN.replace("_", "\\u{5f}"),
    **{f"base64 behind {before}": before + ENCODED for before in BEFORE},
    "base64 and a letter": ENCODED + (5 - len(ENCODED) % 4) * "A",
    "hexadecimal": DATA.hex(),
    "hexadecimal behind 0x": "0x" + DATA.hex(),
    "hexadecimal behind a letter": "va" + DATA.hex() + "f",
    "hexadecimal in pairs": DATA.hex(":"),
    "hexadecimal of a program": ", ".join(f"0x{number:02X}" for number in DATA),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_token_that_a_reader_would_see_is_found(name: str, tmp_path: Path) -> None:
    refused(tmp_path, in_card(tmp_path, TEXTS[name]), TOKEN)


def with_pixels(data: bytes, more: bytes) -> bytes:
    """A PNG whose chunk of pixels goes on behind their end."""
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    body = data[at : at + 4 + length] + more
    whole = struct.pack(">I", length + len(more)) + body + struct.pack(">I", zlib.crc32(body))
    return data[: at - 4] + whole + data[at + 8 + length :]


def test_a_packed_token_behind_the_pixels_is_found(tmp_path: Path) -> None:
    for before in (0, 70_000):
        more = bytes(before) + zlib.compress(DATA)
        refused(tmp_path, in_png(tmp_path, with_pixels(png_bytes(), more)), TOKEN)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


PACK = gzip.compress(DATA)
CHUNKS: dict[str, bytes] = {
    "the name of a profile": chunk(b"iCCP", DATA + b"\0\0" + zlib.compress(b"profile")),
    "a profile": chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(DATA)),
    "colours": chunk(b"PLTE", DATA.ljust(48)),
    "packed colours": chunk(b"PLTE", PACK.ljust(3 * (len(PACK) // 3 + 1))),
    "packed transparency": chunk(b"tRNS", PACK),
    "behind a frame": chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4) + zlib.compress(bytes(72)) + PACK),
    "behind a frame after a damaged one": chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", b"damaged!")
    + chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4) + zlib.compress(bytes(72)) + PACK),
}  # fmt: skip


@pytest.mark.parametrize("name", CHUNKS)
def test_a_token_in_any_chunk_of_a_picture_is_found(name: str, tmp_path: Path) -> None:
    picture = png_bytes()
    refused(tmp_path, in_png(tmp_path, picture[:33] + CHUNKS[name] + picture[33:]), TOKEN)


KINDS = [(kind, "") for kind in ("JPEG", "BMP", "TIFF", "GIF", "WEBP")]
KINDS += [("JPEG", "comment"), ("GIF", "comment"), ("WEBP", "exif")]


@pytest.mark.parametrize("kind, note", KINDS)
def test_a_packed_token_in_a_picture_of_another_kind_is_found(kind: str, note: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(file := io.BytesIO(), kind, **({note: PACK} if note else {}))
    picture = file.getvalue() + (b"" if note else PACK)
    refused(tmp_path, write_table(tmp_path, pa.table({"b": [picture]})), TOKEN)


def test_a_picture_of_gigabytes_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "PIXELS", 1000)
    Image.new("L", (40, 40)).save(tmp_path / "face.png")
    with pytest.raises(InputError, match="cannot be searched"):
        refuse_private(tmp_path, "somebody-else")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_what_unpacks_to_too_much_is_not_sent(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "LARGEST", 1 << 18)
    in_png(tmp_path, png_bytes() + pack(bytes(1 << 19) + DATA))
    with pytest.raises(InputError, match="unpacks to more than"):
        refuse_private(tmp_path, "somebody-else")


def test_a_token_behind_a_megabyte_is_found(tmp_path: Path) -> None:
    refused(tmp_path, in_png(tmp_path, png_bytes() + gzip.compress(bytes(1_100_000) + DATA)), TOKEN)


def test_an_xz_piece_that_needs_gigabytes_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MEMORY", 1 << 20)
    in_png(tmp_path, png_bytes() + lzma.compress(DATA, preset=6))
    with pytest.raises(InputError, match="cannot be searched"):
        refuse_private(tmp_path, "somebody-else")


BEGINNINGS = (b"", b"\x1f\x8b\x08", b"x\x9c", b"BZh91AY&SY", b"\xfd7zXZ\0", b"PK\x03\x04" + bytes(40))


@pytest.mark.parametrize("data", BEGINNINGS)
def test_what_only_begins_like_a_packed_piece_is_nothing(data: bytes) -> None:
    assert list(unpacked(data)) == [] and after_deflate(data) == b""


def test_hashes_and_pixels_in_base64_stay_what_they_are() -> None:
    texts = [*readings(json.dumps({"sha256": "0123456789abcdef" * 4, "code": base64.b64encode(bytes(300)).decode()}))]
    assert len(texts) == 1
