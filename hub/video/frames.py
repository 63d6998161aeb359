"""Sampled frames of a video, upright, with the time at which a player shows them.

FFmpeg reads them (PyAV). The content of a file chooses between a few containers, whatever its name says: FFmpeg knows
three hundred more, and some of them (playlists, for example) open other files and addresses. It gets an open file and
never a path, so it cannot open anything else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import MAX_PIXELS, MAX_SIDE

STILL = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jp2 ", b"crx "}
"""Brands of ISO media files that hold pictures."""
BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""What a QuickTime or MP4 file can begin with."""
CUT_OFF = 1.0  # seconds: a video that ends so much before its own length was cut off


class UnusableVideo(ValueError):  # noqa: N818 (named after the video)
    """Why a video cannot be read, or not to its end."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video: seconds since its start, and `(H, W, 3) uint8` RGB, upright and with square pixels."""

    time: float
    picture: NDArray[np.uint8]


def container(path: Path) -> str | None:
    """FFmpeg's name of the container that the file's content begins like; None if it is not a video."""
    try:
        with path.open("rb") as file:
            head = file.read(400)
    except OSError:
        return None
    kinds = {
        "mov": head[4:8] in BOXES and not (head[4:8] == b"ftyp" and head[8:12] in STILL),
        "matroska": head.startswith(b"\x1a\x45\xdf\xa3"),  # WebM too
        "avi": head.startswith(b"RIFF") and head[8:12] == b"AVI ",
        "mpeg": head.startswith(b"\0\0\1\xba"),
        "mpegts": head[:1] == head[188:189] == head[376:377] == b"G",
        "flv": head.startswith(b"FLV\1"),
        "asf": head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # WMV
    }
    return next((name for name, fits in kinds.items() if fits), None)


class Video:
    """An open video; a context manager.

    Attributes:
        duration: seconds, as the file states it; None if it does not.
    """

    def __init__(self, path: Path) -> None:
        """Raises UnusableVideo: not a video, no picture in it, or too large."""
        kind = container(path)
        if kind is None:
            raise UnusableVideo("not a video that is read (MP4, QuickTime, Matroska, WebM, AVI, MPEG, FLV, WMV)")
        self._file = path.open("rb")
        try:
            self._container = av.open(self._file, mode="r", format=kind)
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, IndexError, ValueError):
            self._file.close()
            raise UnusableVideo("damaged, or it has no picture track") from None
        size = self._stream.width, self._stream.height
        if not all(size) or max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS:
            self.close()
            raise UnusableVideo(f"frames of {size[0]:,} x {size[1]:,} px are not read")
        self._stream.thread_type = "AUTO"
        self.duration = self._length()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def frames(self, every: float) -> Iterator[Frame]:
        """The first frame, and then the first one at or after each multiple of `every` seconds; 0 for all frames.

        The times are those of the file, so they are right at a variable frame rate too.

        Raises:
            UnusableVideo: at the end, if something in between could not be decoded, or the file is cut off.
        """
        damaged, last, due = 0, 0.0, -np.inf
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in decoded:
                last = self._time(frame, last)
                if last >= due:
                    due = (np.floor(last / every + 1e-6) + 1) * every - 1e-6 if every else -np.inf
                    yield Frame(last, self._upright(frame))
        if damaged:
            raise UnusableVideo(f"damaged: {damaged} parts could not be decoded")
        end = last + float((self._stream.start_time or 0) * (self._stream.time_base or 0))  # Matroska counts from 0
        if self.duration is not None and end < self.duration - max(CUT_OFF, 0.05 * self.duration):
            raise UnusableVideo(f"cut off: it ends at {last:.1f} s, and says that it lasts {self.duration:.1f} s")

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            raise UnusableVideo("damaged: it cannot be read to its end") from None

    def _length(self) -> float | None:
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def _time(self, frame: Any, last: float) -> float:
        """Seconds since the start of the video; a frame without a time comes one frame after the `last`."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is None:
            return last + 1 / float(self._stream.average_rate or 25)
        return float((ticks - (self._stream.start_time or 0)) * frame.time_base)

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        """Square pixels first, then the turn that a phone wrote into the file."""
        shape = self._stream.sample_aspect_ratio
        width = max(1, round(frame.width * float(shape))) if shape else frame.width
        picture = frame.reformat(width=width, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
