"""From files to rows: pictures are decoded and searched ahead, and their faces go through the model together.

At most `AHEAD` pictures are in memory at a time, however long a video is.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hub.server.engine import Model, to_scores
from hub.server.faces import Cut, Finder
from pipeline.cores import cores
from pipeline.errors import printable
from pipeline.pictures import Fault, UnusablePicture, decode

from .containers import container
from .frames import READ, UnusableVideo, Video
from .row import NO_FACE, Row
from .smoothing import Smoother
from .tracks import Tracker

AHEAD = 16  # decoded pictures: 16 of 3840 x 2160 px are 0.4 GiB
PATIENCE = 1.0  # seconds that a face may be hidden, or three samples if that is longer


@dataclass
class _Shot:
    """A picture, or a frame at `time`; `end` marks the last of a file. `picture` is `(H, W, 3) uint8` RGB."""

    file: str
    picture: NDArray[np.uint8] | None = None
    time: float | None = None
    error: str = ""
    end: bool = False


Searched = tuple[_Shot, list[Cut]]


def rows(model: Model, finder: Finder | None, paths: Sequence[str], every: float, smooth: float) -> Iterator[Row]:
    """The rows of the files in their order.

    Args:
        model: the loaded model.
        finder: finds the faces; None if every picture and frame is a cropped face.
        paths: pictures and videos.
        every: seconds from one sampled frame to the next; 0 for all frames.
        smooth: seconds over which a track's scores are averaged; 0 for none.
    """
    tracker, smoother = Tracker(max(PATIENCE, 3 * every)), Smoother(smooth)
    for searched in _batches(_searched(_shots(paths, every), model, finder), AHEAD):
        scores = _scores(model, [cut.picture for _, cuts in searched for cut in cuts])
        for shot, cuts in searched:
            own = [next(scores) for _ in cuts]
            for row in _rows_of(shot, cuts, own, tracker, finder is not None):
                yield from smoother.add(replace(row, of_classes=model.ranges is None))
            if shot.end:
                yield from smoother.end()
                tracker = Tracker(max(PATIENCE, 3 * every))


def _rows_of(
    shot: _Shot, cuts: list[Cut], scores: list[NDArray[np.float64]], tracker: Tracker, searched: bool
) -> Iterator[Row]:
    if shot.error:
        yield Row(shot.file, shot.time, error=shot.error)
    elif shot.picture is not None:
        tracks: Sequence[int | None] = [None] * len(cuts)
        if shot.time is not None:
            tracks = tracker(shot.time, [cut.box for cut in cuts], [cut.picture for cut in cuts])
        for cut, track, own in zip(cuts, tracks, scores, strict=True):
            box, detection = (cut.box, cut.detection) if searched else (None, None)
            yield Row(shot.file, shot.time, track, box, detection, own)
        if not cuts:
            yield Row(shot.file, shot.time, error=NO_FACE)


def _shots(paths: Sequence[str], every: float) -> Iterator[_Shot]:
    """What is to be seen, in order; the bar counts pictures and seconds of video."""
    length = {path: _duration(path) for path in paths if container(Path(path))}
    total = len(paths) - len(length) + sum(length.values())
    with tqdm(total=round(total, 1), unit="s", desc="Pictures and seconds", disable=None) as bar:
        for path in paths:
            done = bar.n
            for shot in _video(path, every) if path in length else _picture(path):
                yield shot
                bar.update(done + (shot.time or 0) - bar.n)
            bar.update(done + length.get(path, 1) - bar.n)


def _video(path: str, every: float) -> Iterator[_Shot]:
    file, time = printable(path), None
    try:
        with Video(Path(path)) as video:
            for frame in video.frames(every):
                time = frame.time
                yield _Shot(file, frame.picture, time)
        yield _Shot(file, time=time, end=True)
    except UnusableVideo as error:
        yield _Shot(file, time=time, error=str(error), end=True)


def _picture(path: str) -> Iterator[_Shot]:
    file = printable(path)
    try:
        yield _Shot(file, np.asarray(decode(path)), end=True)
    except UnusablePicture as error:
        also = f", and not a video ({READ})" if error.fault is Fault.FORMAT else ""
        yield _Shot(file, error=f"{error}{also}", end=True)


def _duration(path: str) -> float:
    try:
        with Video(Path(path)) as video:
            return video.duration or 0.0
    except UnusableVideo:
        return 0.0


def _searched(shots: Iterator[_Shot], model: Model, finder: Finder | None) -> Iterator[Searched]:
    """The faces of each picture, in order; the next ones are decoded and searched meanwhile."""
    waiting: deque[Future[Searched]] = deque()
    with ThreadPoolExecutor(cores(), "faces") as pool:
        try:
            for shot in shots:
                waiting.append(pool.submit(_search, shot, model, finder))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _search(shot: _Shot, model: Model, finder: Finder | None) -> Searched:
    """The cut faces as model input size; the picture itself is not kept."""
    if shot.picture is None:
        return shot, []
    if finder is None:
        height, width = shot.picture.shape[:2]
        cuts = [Cut((0, 0, width, height), 1.0, shot.picture)]
    else:
        cuts = finder(shot.picture, max(model.size), model.align, sys.maxsize)
        shot = replace(shot, picture=np.empty((0, 0, 3), np.uint8))  # only the crops are needed from here on
    return shot, cuts


def _batches(searched: Iterator[Searched], size: int) -> Iterator[list[Searched]]:
    while batch := list(islice(searched, size)):
        yield batch


def _scores(model: Model, pictures: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.float64]]:
    """Scores `(K,)` of each face, in batches."""
    for start in range(0, len(pictures), AHEAD):
        pixels = np.stack([model.prepare(picture) for picture in pictures[start : start + AHEAD]])
        yield from to_scores(model.run(pixels), model.function)
