"""Which kind of video a file is, and whether all of it is there, by its first bytes and the lengths that it states."""

import os
import stat
from pathlib import Path
from typing import IO

from pipeline.pictures import READ

STILL = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jp2 ", b"crx "}
"""Brands of ISO media files that hold pictures."""
BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""What a QuickTime or MP4 file can begin with."""
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""The two elements of a Matroska or WebM file (RFC 8794, RFC 9559)."""


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read. Opening a pipe would wait for ever, and a device never ends.

    Raises:
        OSError: it cannot be opened, or it is not a regular file.
    """
    file = os.fdopen(os.open(path, READ), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError("not a regular file")


def container(path: Path) -> str | None:
    """FFmpeg's name of the container that the file's content begins like; None if it is not a video."""
    try:
        with open_file(path) as file:
            head = file.read(400)
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return None
    kinds = {
        "mov": head[4:8] in BOXES and not (head[4:8] == b"ftyp" and head[8:12] in STILL),
        "matroska": head.startswith(EBML),  # WebM too
        "avi": head.startswith(b"RIFF") and head[8:12] == b"AVI ",
        "mpeg": head.startswith(b"\0\0\1\xba"),
        "mpegts": any(head[at : at + 1] == head[at + step : at + step + 1] == head[at + 2 * step : at + 2 * step + 1]
                      == b"G" for at, step in ((0, 188), (4, 192))),  # with time stamps in between: AVCHD, Blu-ray
        "flv": head.startswith(b"FLV\1"),
        "asf": head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # WMV
    }  # fmt: skip
    return next((name for name, fits in kinds.items() if fits), None)


def missing_bytes(file: IO[bytes], kind: str) -> int:
    """How many bytes a file lacks of the length that its outermost parts state; 0 where they state none."""
    size = os.fstat(file.fileno()).st_size
    ends = {"mov": _end_of_boxes, "matroska": _end_of_segment, "avi": _end_of_riff}
    end = ends[kind](file, size) if kind in ends else 0
    file.seek(0)
    return max(0, end - size)


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """Where the last box ends (ISO/IEC 14496-12, 4.2); bytes after it that are not a box do not count."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4])
        if length < 8 or not head[4:8].isalnum():
            break  # 0: it goes on to the end of the file
        at += length
    return at


def _end_of_segment(file: IO[bytes], size: int) -> int:
    at = 0
    for element in (EBML, SEGMENT):
        file.seek(at)
        head = file.read(12)
        width = 9 - head[4].bit_length() if len(head) == 12 else 9  # bytes of the length
        if not head.startswith(element) or width > 8:
            return 0
        ones = (1 << 7 * width) - 1
        length = int.from_bytes(head[4 : 4 + width]) & ones
        if length == ones:
            return 0  # written live, so its length was not known
        at += 4 + width + length
    return at


def _end_of_riff(file: IO[bytes], size: int) -> int:
    file.seek(4)
    return 8 + int.from_bytes(file.read(4), "little")
