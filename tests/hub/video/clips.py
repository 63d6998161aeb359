"""Write small videos of drawn faces: two that cross, any frame times, turned as by a phone."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.drawn.face import draw_face

Picture = NDArray[np.uint8]
TICKS = 1000  # per second
TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""The four numbers of a QuickTime matrix, by the clockwise turn that a player makes, in degrees."""


def write_clip(
    path: Path,
    frames: Iterable[tuple[float, Picture]],
    clockwise: int = 0,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """A video of pictures `(H, W, 3)` with even sides, each at its time in seconds; `options` are FFmpeg's."""
    with av.open(str(path), "w", options=options or {}) as file:
        stream = None
        for time, picture in frames:
            if stream is None:
                stream = file.add_stream(codec, rate=30)
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
                stream.codec_context.time_base = Fraction(1, TICKS)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    if clockwise:
        _turn(path, clockwise)
    return path


def _turn(path: Path, clockwise: int) -> None:
    """Write the turn into the track header of an MP4 file, as phones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # version 0: 40 bytes stand between the box's name and its matrix
    a, b, c, d = (value << 16 for value in TURNS[clockwise])
    content[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def crossing(
    times: Sequence[float], size: int = 96, width: int = 480, labels: Sequence[str] = ()
) -> Iterator[tuple[float, Picture]]:
    """Two drawn people who walk past each other; the first is in front."""
    first, second = (
        draw_face(label, 0, number, size)
        for number, label in zip((3, 11), labels or ("happiness", "sadness"), strict=True)
    )
    for time in times:
        share = time / times[-1]
        photo = Image.new("RGB", (width, 2 * size), (120, 130, 125))
        way = width - size - 20
        photo.paste(second, (10 + round((1 - share) * way), size // 2 + 14))
        photo.paste(first, (10 + round(share * way), size // 2 - 14))
        yield time, np.asarray(photo)
