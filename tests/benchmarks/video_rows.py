"""Rows of a video against a plain loop of `pipeline()` over its frames, and an hour of video in flat memory.

    python -m tests.benchmarks.video_rows MODEL --face_detector PATH            # frames a second, side by side
    python -m tests.benchmarks.video_rows MODEL --face_detector PATH --minutes 60 --every 1   # seconds, memory

The video shows two drawn people who walk past each other, 640 x 360 px at 10 frames a second. Both ways sample the same
frames, find faces with the same detector and use the same model.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image

from hub.server.engine import load_model
from hub.server.faces import Finder
from hub.video.rows import rows
from pipeline import crop
from pipeline.cores import cores
from tests.hub.video.clips import crossing, write_clip

RATE = 10  # frames per second
WALK = 20  # seconds for one walk


def make_video(path: Path, seconds: int) -> Path:
    walk = [picture for _, picture in crossing([n / RATE for n in range(WALK * RATE)], size=180, width=640)]
    return write_clip(path, ((n / RATE, walk[n % len(walk)]) for n in range(seconds * RATE)))


def by_rows(model: str, detector: Path, video: Path, every: float) -> tuple[int, float]:
    """Faces, and frames per second."""
    loaded, finder = load_model(model), Finder(detector)
    begun = time.perf_counter()
    made = list(rows(loaded, finder, [str(video)], every, 0.0))
    return sum(row.scores is not None for row in made), len({row.time for row in made}) / (time.perf_counter() - begun)


def by_loop(model: str, detector: Path, video: Path, every: float) -> tuple[int, float]:
    """The same with `pipeline()`, one face at a time, as most scripts do it."""
    from transformers import pipeline

    classify, found = pipeline("image-classification", model=model), crop.load_detector(detector)
    begun, faces, frames, due = time.perf_counter(), 0, 0, 0.0
    with av.open(str(video)) as file:
        for frame in file.decode(video=0):
            if frame.time + 1e-6 < due:
                continue
            due, frames = frame.time + every, frames + 1
            picture = frame.to_ndarray(format="rgb24")
            for face in crop.find_faces(found, picture):
                classify(Image.fromarray(crop.crop_face(picture, face, 112, False)))
                faces += 1
    return faces, frames / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--face_detector", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--every", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        video = make_video(Path(place, "walk.mp4"), round(asked.minutes * 60) or 40)
        if asked.minutes:
            hour(asked.model, asked.face_detector, video, asked.every)
            return
        ways = {"rows": by_rows, "loop of pipeline()": by_loop}
        print(f"{cores()} cores; frames per second, {asked.rounds} rounds in turn")
        speed: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                faces, each = way(asked.model, asked.face_detector, video, asked.every)
                speed[name].append(each)
                print(f"{name:<20} {each:7.1f}  ({faces} faces)", flush=True)
        print(
            {name: f"median {np.median(each):.1f} ({min(each):.1f} to {max(each):.1f})" for name, each in speed.items()}
        )


def hour(model: str, detector: Path, video: Path, every: float) -> None:
    loaded, finder = load_model(model), Finder(detector)
    begun, count, peaks = time.perf_counter(), 0, []
    for row in rows(loaded, finder, [str(video)], every, 1.0):
        count += 1
        if count % 500 == 0:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
            print(
                f"{row.time:8.1f} s of video, {time.perf_counter() - begun:7.1f} s, {peaks[-1]:,} MiB at most",
                flush=True,
            )
    print(
        f"{count:,} rows in {time.perf_counter() - begun:.0f} s; memory grew by {peaks[-1] - peaks[0]} MiB after the "
        "first 500"
    )


if __name__ == "__main__":
    main()
