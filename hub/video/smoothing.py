"""Average the scores of a track over time, in bounded memory."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .row import Row


class Smoother:
    """Mean of a track's scores from `seconds / 2` before a row to `seconds / 2` after it.

    The window is centred, so a change of expression is not shown too late. Rows therefore leave half a window later
    than they came, in their order. Rows of a picture (without a time), and rows without a face, are not changed.
    """

    def __init__(self, seconds: float) -> None:
        """Args: `seconds`: length of the window; 0 leaves the scores as they are."""
        self._half = seconds / 2
        self._waiting: deque[Row] = deque()
        self._seen: dict[int, deque[tuple[float, NDArray[np.float64]]]] = {}

    def add(self, row: Row) -> Iterator[Row]:
        """Take the next row of a video; give the rows whose windows are complete."""
        if row.time is not None and row.track is not None and row.scores is not None:
            self._seen.setdefault(row.track, deque()).append((row.time, row.scores))
        self._waiting.append(row)
        while self._waiting and _ends_before(self._waiting[0].time, self._half, row.time):
            yield self._smoothed(self._waiting.popleft())

    def end(self) -> Iterator[Row]:
        """Give the rows that still wait, and forget the video."""
        while self._waiting:
            yield self._smoothed(self._waiting.popleft())
        self._seen.clear()

    def _smoothed(self, row: Row) -> Row:
        if row.time is None or row.track is None or row.scores is None:
            return row
        samples = self._seen[row.track]
        while samples[0][0] < row.time - self._half - 1e-9:
            samples.popleft()
        window = [scores for time, scores in samples if time <= row.time + self._half + 1e-9]
        return replace(row, scores=np.mean(window, axis=0))


def _ends_before(time: float | None, half: float, now: float | None) -> bool:
    """Whether the window around `time` can get no more samples."""
    return time is None or now is None or time + half + 1e-9 < now
