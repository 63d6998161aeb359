"""Compressed pieces in bytes: gzip, zlib, bzip2, xz, lzma and the files of a ZIP, wherever they begin."""

import bz2
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from pipeline.errors import InputError

LARGEST = 1 << 26
"""Bytes that a piece may unpack to. Notes are smaller, and nothing behind this limit would be searched."""
PIXELS = 1 << 30
"""Bytes that the pixels of a picture may take."""
MEMORY = 1 << 28
"""Bytes that unpacking an xz piece may take; its highest preset takes 2**26."""
_PART = 1 << 16
_HEADS = [
    bytes([first, level << 6 | (-(first << 8 | level << 6)) % 31])
    for first in range(0x08, 0x79, 0x10)
    for level in range(4)
]
"""The two bytes that a stream of zlib may begin with: a window, a level, and what makes them divide by 31."""
_BEGINS = re.compile(
    rb"(?P<deflate>\x1f\x8b\x08|%s)|(?P<bzip2>BZh[1-9]1AY&SY)|(?P<xz>\xfd7zXZ\x00)|(?P<zip>PK\x03\x04)"
    rb"|(?P<lzma>\x5d\x00\x00[\x00-\xff]{2}(?:\xff{8}|[\x00-\xff]{4}\x00{4}))" % b"|".join(map(re.escape, _HEADS))
)
_ZIP_HEAD = struct.Struct("<4s5H3L2H")
_FAULTS = (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError, struct.error)


def unpacked(data: bytes) -> Iterator[bytes]:
    """What the compressed pieces of the bytes hold; of a damaged one what comes before the damage.

    Raises:
        InputError: a piece unpacks to more than `LARGEST` bytes, and could not be searched to its end.
    """
    for found in _BEGINS.finditer(data):
        piece = _piece(found, data)
        if piece is None:
            continue
        content = bytearray()
        for part in _parts(*piece):
            content += part
            if len(content) > LARGEST:
                raise _too_large()
        if content:
            yield bytes(content)


def _too_large() -> InputError:
    return InputError(
        f"nothing was sent, because a compressed piece unpacks to more than {LARGEST / 1e6:.0f} MB, or a picture to "
        f"{PIXELS / 1e9:.1f} GB: it cannot be searched, so take it out"
    )


def after_deflate(data: bytes) -> bytes:
    """What stands behind a stream of zlib in the bytes; nothing if the stream is damaged or has no end.

    Raises:
        InputError: it unpacks to more than `PIXELS` bytes.
    """
    stream, view, count = zlib.decompressobj(), memoryview(data), 0
    for place in range(0, len(data), _PART):
        part: Any = view[place : place + _PART]
        while part and not stream.eof:
            try:
                count += len(stream.decompress(part, _PART))
            except zlib.error:
                return b""
            if count > PIXELS:
                raise _too_large()
            part = stream.unconsumed_tail
        if stream.eof:
            return stream.unused_data + bytes(view[place + _PART :])
    return b""


def _piece(found: re.Match[bytes], data: bytes) -> tuple[Any, memoryview] | None:
    """The decompressor of a piece, and the bytes from its beginning; None for a file of a ZIP packed in another way."""
    view = memoryview(data)[found.start() :]
    if found["zip"]:
        return _file_of_zip(view)
    if found["deflate"]:
        return zlib.decompressobj(47), view  # gzip or zlib
    if found["bzip2"]:
        return bz2.BZ2Decompressor(), view
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE if found["lzma"] else lzma.FORMAT_XZ, MEMORY), view


def _file_of_zip(view: memoryview) -> tuple[Any, memoryview] | None:
    """As `_piece`, for the file of a ZIP whose head is at the beginning of `view`."""
    if len(view) < _ZIP_HEAD.size:
        return None
    _, _, flags, method, _, _, _, _, size, name, extra = _ZIP_HEAD.unpack_from(view)
    content = view[_ZIP_HEAD.size + name + extra :]
    if method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15), content
    if method != zipfile.ZIP_LZMA:
        return None  # bzip2 and xz are found by their own heads
    # Behind a version and a length of two bytes each come the five bytes of settings with which such a file begins.
    ends = -1 if flags & 2 or not size else size
    head = bytes(content[4:9]) + struct.pack("<q", ends)
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, MEMORY), memoryview(head + bytes(content[9:]))


def _parts(stream: Any, data: memoryview) -> Iterator[bytes]:
    """A piece in parts of bounded size, up to its end or its damage."""
    place, waiting = 0, b""
    try:
        while not stream.eof:
            if isinstance(stream, bz2.BZ2Decompressor | lzma.LZMADecompressor):
                given = data[place : place + _PART] if stream.needs_input else b""
                part = stream.decompress(given, _PART)
            else:
                given = data[place : place + _PART] if not waiting else b""
                part = stream.decompress(waiting or given, _PART)
                waiting = stream.unconsumed_tail
            place += len(given)
            yield part
            if not part and not given and not waiting:
                return
    except _FAULTS as error:
        if "limit" in str(error):  # of lzma
            raise _too_large() from None
