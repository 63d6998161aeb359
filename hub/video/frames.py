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
from av.stream import Disposition
from numpy.typing import NDArray

from pipeline.pictures import MAX_PIXELS, MAX_SIDE

from .containers import container, missing_bytes, open_file

READ = "MP4, QuickTime, Matroska, WebM, AVI, MPEG, FLV, WMV"
CUT_OFF = 1.0  # seconds: a video that ends so much before its own length was cut off, where bytes do not say so


class UnusableVideo(ValueError):  # noqa: N818 (named after the video)
    """Why a video cannot be read, or not to its end."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video: seconds since its start, and `(H, W, 3) uint8` RGB, upright and with square pixels."""

    time: float
    picture: NDArray[np.uint8]


class Video:
    """An open video; a context manager.

    Attributes:
        duration: seconds, as the file states it; None if it does not.
    """

    def __init__(self, path: Path) -> None:
        """Raises UnusableVideo: not a video, no picture in it, or too large."""
        kind = container(path)
        if kind is None:
            raise UnusableVideo(f"not a video that is read ({READ})")
        try:
            self._file = open_file(path)
        except OSError as error:  # it went since it was looked at
            raise UnusableVideo(str(error.strerror or error)) from None
        self._missing = missing_bytes(self._file, kind)
        try:
            self._container = av.open(self._file, mode="r", format=kind)
            # A cover is a track too; `best` takes another if there is one.
            stream = self._container.streams.best("video")
            if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
                raise ValueError
            self._stream = stream
        except (av.FFmpegError, ValueError):
            self._file.close()
            raise UnusableVideo(self._cut_off or "damaged, or it has no picture track") from None
        try:
            _check_size(self._stream.width, self._stream.height)
        except UnusableVideo:
            self.close()
            raise
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
        count, damaged, last, due = 0, 0, 0.0, -np.inf
        for packet in self._packets():
            damaged += packet.is_corrupt  # bytes before it are missing
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in decoded:
                count, damaged = count + 1, damaged + frame.is_corrupt
                last = self._time(frame, last)
                if last >= due:
                    due = (np.floor(last / every + 1e-6) + 1) * every - 1e-6 if every else -np.inf
                    yield Frame(last, self._upright(frame))
        if damaged:
            raise UnusableVideo(f"damaged: {damaged} parts could not be decoded")
        if self._cut_off:
            raise UnusableVideo(f"{self._cut_off}; it ends at {last:.1f} s")
        if not count:
            raise UnusableVideo("it has no frame")
        end = last + float((self._stream.start_time or 0) * (self._stream.time_base or 0))  # Matroska counts from 0
        if self.duration is not None and end < self.duration - max(CUT_OFF, 0.05 * self.duration):
            raise UnusableVideo(f"cut off: it ends at {last:.1f} s, and says that it lasts {self.duration:.1f} s")

    @property
    def _cut_off(self) -> str:
        return f"cut off: its last {self._missing:,} bytes are missing" if self._missing else ""

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
        _check_size(width, frame.height)
        picture = frame.reformat(width=width, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


def _check_size(width: int, height: int) -> None:
    if not width or not height or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UnusableVideo(f"frames of {width:,} x {height:,} px are not read")
