"""Scores of pictures, of folders of pictures and of videos, as a table, as JSON lines or as csv.

    python -m hub.predict MODEL PATH... [--crop detect] [--json]
    python -m hub.predict MODEL clip.mp4 photos/ --csv out.csv [--every 0.5] [--smooth 1] [--plot out.png]
    find faces -name '*.png' | python -m hub.predict MODEL -

Answers go to standard output in the order of the paths, everything else to standard error. Pictures that cannot be read
are named and counted. The exit code is 0 if all were read, 1 if one could not be read, and 2 for a mistake in the
command.
"""

import argparse
import io
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download
from tqdm.auto import tqdm

from hub.picture_paths import PICTURES, VIDEOS, find_pictures, printable
from hub.server.engine import Model, load_model, ranked, to_scores
from hub.server.faces import Finder, find_weights
from hub.server.preprocessing import Pixels
from hub.video.frames import container
from hub.video.write import Wanted, check, write
from pipeline import crop
from pipeline.cores import cores
from pipeline.errors import InputError, end_in_one_line, first_line
from pipeline.pictures import UnusablePicture, decode

BATCH = 32
SHOWN = 3  # classes per line of the table


@dataclass
class Read:
    """A picture's faces as model input `(F, 3, H, W)`, and where they are; or why it cannot be read."""

    path: str
    pixels: Pixels | None = None
    faces: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""


def main(argv: list[str]) -> None:
    """Print the answers.

    Raises:
        InputError: a path does not exist, or the model or the detector cannot be loaded.
        SystemExit: with code 1 if a picture could not be read.
    """
    asked = _parser().parse_args(argv)
    wanted = Wanted(csv=asked.csv, jsonl=asked.jsonl, plot=asked.plot, every=asked.every, smooth=asked.smooth)
    check(wanted)
    suffixes = PICTURES | VIDEOS if wanted.any else PICTURES
    paths = find_pictures(asked.paths, _report, suffixes)
    cropping = asked.crop or _cropping(paths, wanted)
    model = load_model(asked.model, asked.revision)
    finder = _finder(asked.face_detector, asked.model, asked.revision) if cropping == "detect" else None
    if wanted.any:
        if write(model, finder, paths, wanted, _report):
            raise SystemExit(1)
        return
    show = _json_lines if asked.json else _table(model, paths)
    faults = 0
    for read, scores in _answers(model, finder, paths):
        faults += bool(read.fault)
        show(read, [ranked(model.classes, row) for row in scores])
    if faults:
        _say(sys.stderr, f"{faults} of {len(paths)} pictures could not be read")
        raise SystemExit(1)


def _cropping(paths: list[str], wanted: Wanted) -> str:
    """How faces are cropped where `--crop` is not given: videos show more than a face.

    Raises:
        InputError: there is a video, and no file for its rows.
    """
    video = next((path for path in paths if container(Path(path))), None)
    if video is None:
        return "none"
    if not wanted.any:
        raise InputError(f"{printable(video)} is a video: name a file for its rows, with --csv FILE or --jsonl FILE")
    _report(f"--crop detect, because {printable(video)} is a video")
    return "detect"


def _finder(named: str | None, model: str, revision: str) -> Finder:
    """The detector from a file, a folder or the Hub; without a name the one that lies with the model, if one does."""
    if named is None:
        named = _beside(model, revision) or crop.YUNET_PAGE.removeprefix("https://huggingface.co/")
    path = Path(named).expanduser()
    if path.exists() or path.suffix == ".onnx":
        return Finder(find_weights(named) or path)
    try:
        downloaded = hf_hub_download(named, crop.YUNET)
    except Exception as error:  # the client raises many kinds
        raise InputError(
            f"--face_detector {named} is not a file here and could not be loaded from the Hub ({first_line(error)}): "
            f"download {crop.YUNET} from {crop.YUNET_PAGE} and give its path"
        ) from None
    return Finder(Path(downloaded))


def _beside(model: str, revision: str) -> str | None:
    """The path of the detector in the model's folder or repository, or None."""
    if Path(model).is_dir():
        path = Path(model) / crop.YUNET
        return str(path) if path.is_file() else None
    try:
        return hf_hub_download(model, crop.YUNET, revision=revision or None)
    except Exception:  # it has none, or the Hub does not answer: the next place says so
        return None


def _answers(model: Model, finder: Finder | None, paths: list[str]) -> Iterator[tuple[Read, np.ndarray]]:
    """Each picture in order with the scores `(F, K)` of its faces; the next ones are decoded while the model runs."""
    waiting: deque[Future[Read]] = deque()
    ahead = iter(paths)
    with (
        ThreadPoolExecutor(cores()) as pool,
        tqdm(total=len(paths), unit="picture", desc="Pictures", disable=None) as bar,
    ):

        def fill() -> None:
            while len(waiting) < 2 * BATCH and (path := next(ahead, None)):
                waiting.append(pool.submit(_read, path, model, finder))

        fill()
        while waiting:
            reads = [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]
            fill()
            yield from zip(reads, _scores(model, reads), strict=True)
            bar.update(len(reads))


def _read(path: str, model: Model, finder: Finder | None) -> Read:
    try:
        photo = np.asarray(decode(path))
    except UnusablePicture as error:
        return Read(path, fault=str(error))
    if finder is None:
        return Read(path, model.prepare(photo)[None], [{}])
    cuts = finder(photo, max(model.size), model.align, sys.maxsize)
    faces = [{"box": [round(edge, 2) for edge in cut.box], "detection": round(cut.detection, 4)} for cut in cuts]
    return Read(path, np.stack([model.prepare(cut.picture) for cut in cuts]) if cuts else None, faces)


def _scores(model: Model, reads: list[Read]) -> list[np.ndarray]:
    """Scores `(F, K)` of the faces of each picture."""
    faces = [read.pixels for read in reads if read.pixels is not None]
    rows = np.concatenate(faces) if faces else np.empty((0, 3, *model.size), np.float32)
    parts = [model.run(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    scores = to_scores(np.concatenate(parts), model.function) if parts else np.empty((0, len(model.classes)))
    return np.split(scores, np.cumsum([len(read.faces) for read in reads])[:-1])


def _json_lines(read: Read, scores: list[list[dict[str, Any]]]) -> None:
    """One line per picture: its faces, largest first, with the scores of all classes, best first; or the error."""
    faces = [place | {"scores": ranking} for place, ranking in zip(read.faces, scores, strict=True)]
    answer = {"error": read.fault} if read.fault else {"faces": faces}
    _say(sys.stdout, json.dumps({"file": read.path} | answer))


def _table(model: Model, paths: list[str]) -> Callable[[Read, list[list[dict[str, Any]]]], None]:
    """One line per face: the file, the number of the face if there are several, the best classes with their scores."""
    first = min(60, max(len(printable(path)) for path in paths) + 4)
    label = max(map(len, model.classes))
    form, most = ("6.1%", SHOWN) if model.ranges is None else ("8.4g", len(model.classes))

    def show(read: Read, scores: list[list[dict[str, Any]]]) -> None:
        name = printable(read.path)
        if read.fault:
            _say(sys.stderr, f"{name}: {read.fault}")
        elif not scores:
            _say(sys.stdout, f"{name:<{first}}  no face was found")
        for number, ranking in enumerate(scores, 1):
            face = f"{name} #{number}" if len(scores) > 1 else name
            best = "  ".join(f"{one['label']:<{label}} {one['score']:{form}}" for one in ranking[:most])
            _say(sys.stdout, f"{face:<{first}}  {best}")

    return show


def _report(line: str) -> None:
    _say(sys.stderr, line)


def _say(stream: Any, line: str) -> None:
    tqdm.write(line, file=stream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hub.predict", description="Scores of pictures: what their faces show.", allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL", help="run folder, published folder or Hub id")
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="picture, folder, pattern, or - for a list of paths on standard input"
    )
    parser.add_argument("--revision", default="", help="branch, tag or commit of a Hub id")
    parser.add_argument(
        "--crop",
        choices=("none", "detect"),
        help="none: every picture is a cropped face (default); detect: find the faces in photos, as the app does "
        "(default if a video is named)",
    )
    parser.add_argument(
        "--face_detector",
        metavar="PATH",
        help="weights of YuNet: a file, a folder or a Hub id (default: the file that lies with the model, or "
        f"{crop.YUNET_PAGE.removeprefix('https://huggingface.co/')})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON per picture, also if it cannot be read"
    )
    rows = parser.add_argument_group("rows of pictures and videos")
    rows.add_argument("--csv", type=Path, metavar="FILE", help="write one row per face and frame; see docs/numbers.md")
    rows.add_argument("--jsonl", type=Path, metavar="FILE", help="the same rows as JSON lines")
    rows.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="sample a video (default 0: all frames)"
    )
    rows.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="average the scores of a face over "
                      "so long, half before and half after (default 0: not)")  # fmt: skip
    rows.add_argument("--plot", type=Path, metavar="FILE", help="draw the scores of each face over time")
    return parser


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for file names that are not text
    try:
        code = end_in_one_line(main)
        sys.stdout.flush()
    except BrokenPipeError:  # for example `| head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)
