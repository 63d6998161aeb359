"""Scores of pictures, of folders of pictures and of videos, as a table, as JSON lines or as csv.

    python -m hub.predict MODEL PATH... [--crop detect] [--json]
    python -m hub.predict MODEL clip.mp4 photos/ --csv out.csv [--every 0.5] [--smooth 1] [--plot out.png]
    find faces -name '*.png' | python -m hub.predict MODEL -
    python -m hub.predict MODEL faces/ --class_shares estimate --not_sure_below 0.5

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
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from huggingface_hub import hf_hub_download
from tqdm.auto import tqdm

from hub import face_detector
from hub.picture_paths import PICTURES, VIDEOS, find_pictures
from hub.printed import Read, json_lines, report, say, table
from hub.server.engine import Model, load_model, ranked, to_scores
from hub.server.expected import assumed_shares, expect, settled, unsure
from hub.server.faces import Finder, find_weights
from hub.video.containers import container
from hub.video.rows import rows
from hub.video.write import Wanted, check, refuse_inputs, write
from pipeline import crop
from pipeline.class_shares import ESTIMATE, LEAST_FACES, as_json, check_tau, doubt
from pipeline.cores import cores
from pipeline.errors import InputError, end_in_one_line, first_line, printable
from pipeline.evaluation.estimated import LabelledScores, logits_of
from pipeline.evaluation.predictions import read_predictions
from pipeline.hub_client import limit_requests
from pipeline.pictures import UnusablePicture, decode
from pipeline.run_folder import PREDICTIONS

BATCH = 32


def main(argv: list[str]) -> None:
    """Print the answers.

    Raises:
        InputError: a path does not exist, or the model or the detector cannot be loaded.
        SystemExit: with code 1 if a picture could not be read.
    """
    asked = _parser().parse_args(argv)
    wanted = Wanted(
        csv=asked.csv, jsonl=asked.jsonl, plot=asked.plot, every=asked.every, smooth=asked.smooth,
        not_sure_below=asked.not_sure_below,
    )  # fmt: skip
    check(wanted)
    check_tau(asked.tau, "--tau")
    _refuse_contradictions(asked, wanted)
    suffixes = PICTURES | VIDEOS if wanted.any else PICTURES
    paths = find_pictures(asked.paths, report, suffixes)
    refuse_inputs(wanted, paths)
    cropping = asked.crop or _cropping(paths, wanted, asked.face_detector)
    model = load_model(asked.model, asked.revision)
    finder = _finder(asked.face_detector, asked.model, asked.revision) if cropping == "detect" else None
    model = _expecting(model, finder, paths, asked)
    if wanted.any:
        if write(model, finder, paths, wanted, report):
            raise SystemExit(1)
        return
    show = json_lines(asked.not_sure_below) if asked.json else table(model, paths, asked.not_sure_below)
    faults = 0
    for read, scores in _answers(model, finder, paths):
        faults += bool(read.fault)
        show(read, [(ranked(model.classes, row), unsure(row, asked.not_sure_below)) for row in scores])
    if faults:
        say(sys.stderr, f"{faults} of {len(paths)} pictures could not be read")
        raise SystemExit(1)


def _refuse_contradictions(asked: argparse.Namespace, wanted: Wanted) -> None:
    if asked.json and wanted.any:
        raise InputError("--json prints the answers, and --csv and --jsonl write them: leave --json out")
    if asked.face_detector and asked.crop == "none":
        raise InputError("--face_detector finds faces, and --crop none does not look for any: leave one of them out")


def _cropping(paths: list[str], wanted: Wanted, detector: str | None) -> str:
    """How faces are cropped where `--crop` is not given: a detector is named, or videos show more than a face.

    Raises:
        InputError: there is a video, and no file for its rows.
    """
    video = next((path for path in paths if container(Path(path))), None)
    if video is not None and not wanted.any:
        raise InputError(f"{printable(video)} is a video: name a file for its rows, with --csv FILE or --jsonl FILE")
    why = "--face_detector is given" if detector else f"{printable(video)} is a video" if video else None
    if why:
        report(f"--crop detect, because {why}")
    return "detect" if why else "none"


def _finder(named: str | None, model: str, revision: str) -> Finder:
    """The detector from a file, a folder or the Hub; without a name the one that lies with the model, if one does."""
    if named is None:
        named = _beside(model, revision) or crop.YUNET_PAGE.removeprefix("https://huggingface.co/")
    path = Path(named).expanduser()
    if path.exists() or path.suffix == ".onnx":
        return Finder(find_weights(named) or path)
    limit_requests()
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
        path = Path(model) / face_detector.FILE
        return str(path) if path.is_file() else None
    limit_requests()
    try:
        return hf_hub_download(model, face_detector.FILE, revision=revision or None)
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
    pixels = np.concatenate(faces) if faces else np.empty((0, 3, *model.size), np.float32)
    parts = [model.run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
    scores = to_scores(np.concatenate(parts), model.function) if parts else np.empty((0, len(model.classes)))
    return np.split(scores, np.cumsum([len(read.faces) for read in reads])[:-1])


def _expecting(model: Model, finder: Finder | None, paths: list[str], asked: argparse.Namespace) -> Model:
    """The model with its scores for the class shares that are asked for.

    To estimate them, every picture is read and scored once before: faces of all pictures and sampled frames count.
    """
    names = ("--class_shares", "--tau", "--not_sure_below")
    if asked.class_shares != ESTIMATE:
        return settled(model, asked.class_shares, asked.tau, asked.not_sure_below, names)
    assumed_shares(settled(model, "", asked.tau, asked.not_sure_below, names))
    own = _labelled_scores(asked.model, model)
    seen = [row.scores for row in rows(model, finder, paths, asked.every, 0.0) if row.scores is not None]
    if len(seen) < LEAST_FACES:
        raise InputError(f"class shares are estimated from at least {LEAST_FACES} faces; there are {len(seen)}")
    found = own.estimate(logits_of(np.array(seen)))
    shown = {name: round(share, 4) for name, share in as_json(found.shares, model.classes).items()}
    report(f"class shares estimated from {len(seen):,} faces: {json.dumps(shown)}")
    for why in filter(None, (found.doubt(list(model.classes)), doubt(found.shares, model.classes))):
        report(why)
    return expect(model, found.shares, asked.tau)


def _labelled_scores(name: str, model: Model) -> LabelledScores:
    """Scores and labels of the model's validation rows.

    Raises:
        InputError: as `LabelledScores.of`; or the model is not in a folder that has them.
    """
    file = Path(name) / PREDICTIONS
    if not file.is_file():
        raise InputError(
            f"--class_shares estimate needs labelled validation rows, and {model.name} has no {PREDICTIONS}: name the "
            "run folder that it comes from, or give uniform or shares that you know"
        )
    own = read_predictions(file)
    if tuple(own.classes) != tuple(model.classes):
        raise InputError(f"{file} has other classes than the model: restore the file")
    return LabelledScores.of(own, model.name)


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
        "(default if a video or --face_detector is named)",
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
    answering = parser.add_argument_group("how it answers")
    answering.add_argument(
        "--class_shares", default="", metavar="SHARES", help="scores for pictures whose classes are as frequent as "
        "this says: uniform, JSON with a share for each class, or estimate: from these pictures, which are read twice "
        "then (default: as trained)")  # fmt: skip
    answering.add_argument("--tau", type=float, default=1.0, metavar="TAU", help="how far scores go to --class_shares, "
                           "above 0 and at most 1 (default 1)")  # fmt: skip
    answering.add_argument("--not_sure_below", type=float, default=0.0, metavar="SCORE", help='answer "not sure" if '
                           "the highest score is below this (default 0: always answer)")  # fmt: skip
    files = parser.add_argument_group("rows of pictures and videos")
    files.add_argument("--csv", type=Path, metavar="FILE", help="write one row per face and frame; see docs/numbers.md")
    files.add_argument("--jsonl", type=Path, metavar="FILE", help="the same rows as JSON lines")
    files.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="sample a video (default 0: all frames)"
    )
    files.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="average the scores of a face over "
                      "so long, half before and half after (default 0: not)")  # fmt: skip
    files.add_argument("--plot", type=Path, metavar="FILE", help="draw the scores of each face over time")
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
