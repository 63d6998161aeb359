"""One row of the output: a face in a picture or a frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.server.expected import NOT_SURE, unsure

COLUMNS = ("file", "time", "track", "left", "top", "right", "bottom", "detection", "label", "error")
"""The columns beside one per class; the classes stand between `label` and `error`."""
NO_FACE = "no face was found"


@dataclass(frozen=True)
class Row:
    """A face, or a picture or frame without one, or a file that cannot be read.

    Attributes:
        file: the path as it was given, or found in a given folder.
        time: seconds since the start of the video; None for a picture.
        track: number of the face in its video; None for a picture.
        box: left, top, right, bottom in px of the upright picture; None if faces are not searched.
        detection: score of the detector, 0 to 1.
        scores: `(K,)`; None without a face.
        error: why there are no scores.
        of_classes: whether the highest score names a class; not in a model of scores.
    """

    file: str
    time: float | None = None
    track: int | None = None
    box: tuple[float, float, float, float] | None = None
    detection: float | None = None
    scores: NDArray[np.float64] | None = None
    error: str = ""
    of_classes: bool = True

    def values(self, classes: Sequence[str], not_sure_below: float = 0.0) -> dict[str, Any]:
        """Values by column name; None where there is none. Below the threshold the label is "not sure"."""
        box = [None if self.box is None else round(edge, 1) for edge in self.box or (0.0,) * 4]
        scores = [None] * len(classes) if self.scores is None else [round(float(score), 6) for score in self.scores]
        return (
            {"file": self.file, "time": _rounded(self.time, 3), "track": self.track}
            | dict(zip(COLUMNS[3:7], box, strict=True))
            | {"detection": _rounded(self.detection, 4)}
            | {"label": self._label(classes, not_sure_below)}
            | dict(zip(classes, scores, strict=True))
            | {"error": self.error or None}
        )

    def _label(self, classes: Sequence[str], not_sure_below: float) -> str | None:
        if self.scores is None or not self.of_classes:
            return None
        return NOT_SURE if unsure(self.scores, not_sure_below) else classes[int(np.argmax(self.scores))]


def header(classes: Sequence[str]) -> Iterator[str]:
    """The column names in their order."""
    yield from COLUMNS[:-1]
    yield from classes
    yield COLUMNS[-1]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
