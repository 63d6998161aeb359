"""Smoothing: the centred mean of a track, in the order of the rows."""

import numpy as np
import pytest

from hub.video.row import Row
from hub.video.smoothing import Smoother


def rows(count: int = 40) -> list[Row]:
    """Two faces at uneven times, one of them sometimes away, and frames without a face."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.4, count))
    made = []
    for number, time in enumerate(times):
        made.append(Row("clip", float(time), 1, scores=rng.random(3)))
        if number % 5:
            made.append(Row("clip", float(time), 2, scores=rng.random(3)))
        if number % 7 == 0:
            made.append(Row("clip", float(time), error="no face was found"))
    return made


@pytest.mark.parametrize("seconds", [0.3, 1.0, 100.0])
def test_scores_are_the_mean_of_the_window_around_them(seconds: float) -> None:
    given, smoother = rows(), Smoother(seconds)
    got = [row for one in given for row in smoother.add(one)] + list(smoother.end())
    assert [(row.time, row.track, row.error) for row in got] == [(row.time, row.track, row.error) for row in given]
    for row in got:
        if row.track is not None:
            near = [one.scores for one in given if one.track == row.track and abs(one.time - row.time) <= seconds / 2]
            assert row.scores == pytest.approx(np.mean(near, axis=0))


def test_zero_seconds_change_nothing() -> None:
    given, smoother = rows(), Smoother(0)
    got = [row for one in given for row in smoother.add(one)] + list(smoother.end())
    assert all(np.array_equal(one.scores, other.scores) for one, other in zip(given, got, strict=True) if one.track)


def test_a_row_leaves_half_a_window_after_it_came() -> None:
    smoother = Smoother(1.0)
    came = [len(list(smoother.add(Row("clip", float(time), 1, scores=np.ones(1))))) for time in np.arange(0, 20, 0.25)]
    assert came[:4] == [0, 0, 0, 1] and set(came[3:]) == {1}
    assert len(smoother._waiting) == 3 and len(smoother._seen[1]) == 6  # so memory does not grow with the video


def test_the_next_video_does_not_see_the_last_one() -> None:
    smoother = Smoother(10)
    first = [*smoother.add(Row("a", 0.0, 1, scores=np.zeros(1))), *smoother.end()]
    second = [*smoother.add(Row("b", 0.0, 1, scores=np.ones(1))), *smoother.end()]
    assert (first[0].scores, second[0].scores) == (0, 1)
