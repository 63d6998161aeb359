"""Tracks: who keeps a number, and who gets a new one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hub.video.tracks import Tracker
from pipeline.drawn.face import draw_face

FACES = [np.asarray(draw_face("neutral", 0, number, 48)) for number in (3, 11, 20)]


def box(x: float, y: float = 50, side: float = 40) -> tuple[float, float, float, float]:
    return x, y, x + side, y + side


def test_a_face_that_moves_keeps_its_number() -> None:
    tracker = Tracker(1)
    assert [tracker(step / 10, [box(12 * step)], FACES[:1]) for step in range(20)] == [[1]] * 20


@pytest.mark.parametrize("step", [0.04, 0.1, 0.25], ids=lambda step: f"every {step} s")
@pytest.mark.parametrize("height", [0, 20], ids=["same height", "one higher"])
def test_two_faces_that_cross_keep_their_numbers(step: float, height: int) -> None:
    tracker = Tracker(1)
    for time in np.arange(0, 4, step):
        one, other = box(100 * time), box(400 - 100 * time, 50 + height)
        swapped = int(time / step) % 2 == 1  # the detector lists them in any order
        places, looks = [one, other], FACES[:2]
        numbers = tracker(float(time), places[::-1] if swapped else places, looks[::-1] if swapped else looks)
        assert numbers == ([2, 1] if swapped else [1, 2]), time


def test_a_face_that_is_hidden_while_they_cross_keeps_its_number() -> None:
    tracker = Tracker(1)
    for time in np.arange(0, 4, 0.1):
        one, other = box(100 * time), box(400 - 100 * time)
        hidden = abs(one[0] - other[0]) < 35
        numbers = tracker(float(time), [one] if hidden else [one, other], FACES[:1] if hidden else FACES[:2])
        assert numbers == ([1] if hidden else [1, 2]), time


def test_a_face_that_comes_back_too_late_gets_a_new_number() -> None:
    tracker = Tracker(1)
    assert tracker(0.0, [box(0)], FACES[:1]) == [1]
    assert tracker(0.9, [box(0)], FACES[:1]) == [1]
    assert tracker(2.0, [box(0)], FACES[:1]) == [2]


def test_a_face_far_away_is_another() -> None:
    tracker = Tracker(1)
    assert tracker(0.0, [box(0)], FACES[:1]) == [1]
    assert tracker(0.1, [box(300)], FACES[:1]) == [2]
    assert tracker(0.2, [box(300), box(0)], [FACES[0], FACES[0]]) == [2, 1]


def test_a_frame_without_a_face_changes_nothing() -> None:
    tracker = Tracker(1)
    nothing: list[NDArray[np.uint8]] = []
    assert [tracker(0.0, [box(0)], FACES[:1]), tracker(0.1, [], nothing), tracker(0.2, [box(0)], FACES[:1])] == [
        [1],
        [],
        [1],
    ]


def test_a_flat_picture_is_a_look_too() -> None:
    assert Tracker(1)(0.0, [box(0)], [np.zeros((8, 8, 3), np.uint8)]) == [1]
