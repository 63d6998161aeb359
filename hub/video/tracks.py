"""Follow faces from frame to frame: each face gets the number of its track.

A track is continued by the face that overlaps most with where it is expected, and looks most like it. Faces and tracks
are matched all at once (Hungarian method), as in SORT (Bewley et al. 2016, doi:10.1109/ICIP.2016.7533003), with a
constant velocity in place of a Kalman filter. The look keeps two faces apart that cross.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""
Array = NDArray[np.float64]

REACH = 1.0  # a face may be so many of its own sizes away from where it is expected
LOOK = 16  # px: a face is compared as a colour picture of this side
INERTIA = 0.5  # share of the old velocity in the new one
FAR = 1e6  # cost of a pair that may not be matched


@dataclass
class _Track:
    number: int
    box: Array
    velocity: Array  # of the middle, px per second
    look: Array
    time: float

    def expected(self, time: float) -> Array:
        """The box `(4,)` at `time`: moved with its velocity, of the same size."""
        return self.box + np.tile(self.velocity * (time - self.time), 2)


class Tracker:
    """Numbers the faces of one video, from 1 on, in the order in which they appear."""

    def __init__(self, patience: float) -> None:
        """A face that is not seen for more than `patience` seconds gets a new number when it comes back."""
        self._patience = patience
        self._tracks: list[_Track] = []
        self._count = 0

    def __call__(self, time: float, boxes: Sequence[Box], pictures: Sequence[NDArray[np.uint8]]) -> list[int]:
        """The track of each face of the frame at `time`.

        Args:
            time: seconds; each call has a later one.
            boxes: of the F faces.
            pictures: their crops, `(S, S, 3) uint8`.
        """
        self._tracks = [track for track in self._tracks if time - track.time <= self._patience]
        faces, looks = np.array(boxes, float).reshape(-1, 4), [_look(picture) for picture in pictures]
        chosen: dict[int, _Track] = {}
        if self._tracks and len(faces):
            cost = np.array(
                [[_cost(track, time, *face) for face in zip(faces, looks, strict=True)] for track in self._tracks]
            )
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] < FAR:
                    chosen[int(column)] = self._tracks[row]
        return [
            self._continue(chosen[index], time, faces[index], looks[index])
            if index in chosen
            else self._start(time, faces[index], looks[index])
            for index in range(len(faces))
        ]

    def _start(self, time: float, box: Array, look: Array) -> int:
        self._count += 1
        self._tracks.append(_Track(self._count, box, np.zeros(2), look, time))
        return self._count

    @staticmethod
    def _continue(track: _Track, time: float, box: Array, look: Array) -> int:
        seen = (_middle(box) - _middle(track.box)) / max(time - track.time, 1e-3)
        track.velocity = INERTIA * track.velocity + (1 - INERTIA) * seen if track.velocity.any() else seen
        track.box, track.time = box, time
        track.look = INERTIA * track.look + (1 - INERTIA) * look
        return track.number


def _cost(track: _Track, time: float, box: Array, look: Array) -> float:
    """0 for the same place and look, 2 for neither; `FAR` where the face is out of reach."""
    expected = track.expected(time)
    size = np.sqrt(np.prod(expected[2:] - expected[:2]))
    nearest = min(float(np.linalg.norm(_middle(box) - _middle(place))) for place in (expected, track.box))
    if nearest > REACH * size:
        return FAR
    return 1 - _overlap(expected, box) + (1 - float(track.look @ look)) / 2


def _overlap(one: Array, other: Array) -> float:
    """Intersection over union of two boxes."""
    common = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    both = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common
    return float(common / max(both, 1e-9))


def _middle(box: Array) -> Array:
    return (box[:2] + box[2:]) / 2


def _look(picture: NDArray[np.uint8]) -> Array:
    """A small colour picture with mean 0 and length 1, so that the product of two is their correlation."""
    small = cv2.resize(picture, (LOOK, LOOK), interpolation=cv2.INTER_AREA).astype(float).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-9)
