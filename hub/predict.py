"""Scores of pictures and of folders of pictures, as a table or as JSON lines.

    python -m hub.predict MODEL PATH... [--crop detect] [--json]

Answers go to standard output, everything else to standard error. Pictures that cannot be read are named and counted.
The exit code is 1 if no picture could be read, and 2 for a mistake in the command.
"""

import argparse
import io
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download
from tqdm.auto import tqdm

from hub.server.engine import Model, load_model, ranked, to_scores
from hub.server.faces import Finder, find_weights
from hub.server.preprocessing import Pixels
from pipeline import crop
from pipeline.cores import cores
from pipeline.errors import InputError, end_in_one_line, first_line
from pipeline.pictures import UnusablePicture, decode

BATCH = 32
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".tif", ".tiff"}
"""Files with these suffixes are read from a folder; a file on the command line may have any suffix."""
SHOWN = 3  # classes per line of the table


@dataclass
class Read:
    """A picture's faces as model input `(F, 3, H, W)`, and where they are; or why it cannot be read."""

    path: Path
    pixels: Pixels | None = None
    faces: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""


def main(argv: list[str]) -> None:
    """Print the answers.

    Raises:
        InputError: a path does not exist, or the model or the detector cannot be loaded.
        SystemExit: with code 1 if no picture could be read.
    """
    asked = _parser().parse_args(argv)
    paths = _pictures(asked.paths)
    model = load_model(asked.model, asked.revision)
    finder = _finder(asked.face_detector) if asked.crop == "detect" else None
    show = _json_lines if asked.json else _table(model, paths)
    faults = 0
    for read, scores in _answers(model, finder, paths):
        if read.fault:
            faults += 1
            _say(sys.stderr, f"{read.path}: {read.fault}")
        else:
            show(read, [ranked(model.classes, row) for row in scores])
    if faults:
        _say(sys.stderr, f"{faults} of {len(paths)} pictures could not be read")
    if faults == len(paths):
        raise SystemExit(1)


def _pictures(given: Sequence[Path]) -> list[Path]:
    """The given files, and the pictures in the given folders sorted by name; each once."""
    found: dict[Path, None] = {}
    for path in given:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        inside = [path]
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        found |= dict.fromkeys(inside)
    if not found:
        raise InputError(f"no picture in {', '.join(map(str, given))}: looked for {', '.join(sorted(SUFFIXES))}")
    return list(found)


def _finder(named: str) -> Finder:
    """The detector from a file, a folder or the Hub."""
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


def _answers(model: Model, finder: Finder | None, paths: list[Path]) -> Iterator[tuple[Read, np.ndarray]]:
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


def _read(path: Path, model: Model, finder: Finder | None) -> Read:
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
    """One line per picture: its file, and its faces, largest first, with the scores of all classes, best first."""
    faces = [place | {"scores": ranking} for place, ranking in zip(read.faces, scores, strict=True)]
    _say(sys.stdout, json.dumps({"file": str(read.path), "faces": faces}))


def _table(model: Model, paths: list[Path]) -> Callable[[Read, list[list[dict[str, Any]]]], None]:
    """One line per face: the file, the number of the face if there are several, the best classes with their scores."""
    first = min(60, max(len(str(path)) for path in paths) + 4)
    label = max(map(len, model.classes))

    def show(read: Read, scores: list[list[dict[str, Any]]]) -> None:
        if not scores:
            _say(sys.stdout, f"{str(read.path):<{first}}  no face was found")
        for number, ranking in enumerate(scores, 1):
            name = f"{read.path} #{number}" if len(scores) > 1 else str(read.path)
            best = "  ".join(f"{one['label']:<{label}} {one['score']:6.1%}" for one in ranking[:SHOWN])
            _say(sys.stdout, f"{name:<{first}}  {best}")

    return show


def _say(stream: Any, line: str) -> None:
    tqdm.write(line, file=stream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hub.predict", description="Scores of pictures: what their faces show.", allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL", help="run folder, published folder or Hub id")
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="picture, or folder with pictures in it")
    parser.add_argument("--revision", default="", help="branch, tag or commit of a Hub id")
    parser.add_argument(
        "--crop",
        choices=("none", "detect"),
        default="none",
        help="none: every picture is a cropped face (default); detect: find the faces in photos, as the app does",
    )
    parser.add_argument(
        "--face_detector",
        metavar="PATH",
        default=crop.YUNET_PAGE.removeprefix("https://huggingface.co/"),
        help="weights of YuNet: a file, a folder or a Hub id (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON per picture")
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
