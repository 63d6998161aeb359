"""One recipe under several seeds: run it, resume what was interrupted, and report mean, range and interval.

    python -m pipeline.repeat RECIPE --seeds 0 1 2 [--field value ...] [--against OUTPUT_DIR ...] [--write]

Each seed is a run of `train_hf.py` in a process of its own, in `OUTPUT_DIR-seed-N`. A finished run with equal settings
is not run again, wherever it was made; an interrupted one is resumed. Ctrl-C stops after the running step, and the same
command goes on. If a seed fails, the others still run. `--against` names other studies on the same rows by their
output_dir (or single runs) and adds a paired test against each. `--write` appends the rows of the study to
`docs/log.csv`.
"""

import argparse
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from pipeline.errors import InputError, Stopped
from pipeline.run_folder import RECIPE, SEAL
from pipeline.settings.command_line import parse_command_line, replaced
from pipeline.settings.files import load_yaml
from pipeline.studies import ONLY_CLASSES
from pipeline.studies.study import finished_runs

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "train_hf.py"
LOG = ROOT / "docs" / "log.csv"


class SeedRun(NamedTuple):
    """One seed of a study: its folder, and the words for `train_hf.py`."""

    seed: int
    folder: Path
    words: list[str]


class Request(NamedTuple):
    """What the command line asks for."""

    runs: list[SeedRun]
    against: dict[str, list[Path]]  # name of a study to its finished runs
    write: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}")


def parse(argv: list[str]) -> Request:
    """The words of a command line; everything but the options here is for `train_hf.py`, and is checked as there.

    Raises:
        InputError: seeds are missing, repeated or not whole numbers; a setting is unknown, or is the seed itself; what
            `--against` names is not a finished run, or has the name of another.
    """
    parser = _Parser(
        prog="python -m pipeline.repeat",
        description="Run a recipe under several seeds and report mean, range and interval of its metrics.",
        epilog="RECIPE and --field value as for train_hf.py",
        allow_abbrev=False,
    )
    parser.add_argument("--seeds", nargs="+", type=int, required=True, metavar="N", help="training seeds, each once")
    parser.add_argument("--against", nargs="+", type=Path, default=[], metavar="OUTPUT_DIR", help="other studies")
    parser.add_argument("--write", action="store_true", help="append the rows to docs/log.csv")
    options, words = parser.parse_known_args(argv)
    if len(set(options.seeds)) < len(options.seeds):
        raise InputError(f"command line: --seeds {' '.join(map(str, options.seeds))} names a seed twice")
    if any(word.partition("=")[0] == "--seed" for word in words):
        raise InputError("command line: --seed is given by --seeds here")
    recipe, resume, publish, _ = parse_command_line(words)
    if recipe.scores:
        raise InputError(f"command line: {ONLY_CLASSES}")
    if resume or publish:
        raise InputError(f"command line: --{'resume' if resume else 'publish'} is for train_hf.py; here runs go on by "
                         "themselves and are published with push_to_hub.py")  # fmt: skip
    runs = []
    for seed in options.seeds:
        folder = recipe.output_dir.with_name(f"{recipe.output_dir.name}-seed-{seed}")
        runs.append(SeedRun(seed, folder, replaced(words, seed=seed, output_dir=folder)))
    names = [path.name for path in options.against]
    if len(set(names)) < len(names):
        raise InputError(f"command line: --against {' '.join(names)} names two studies alike; rename a folder")
    try:
        against = {path.name: finished_runs(path) for path in options.against}
    except InputError as error:
        raise InputError(f"--against {error}") from None
    return Request(runs, against, options.write)


def find(runs: list[SeedRun]) -> list[Any]:
    """The run folder of each, before anything is run.

    Raises:
        InputError: one holds something other than this study.
    """
    from pipeline.training.output_dir import find_run
    from pipeline.training.plan import resolve_precision

    found = []
    for run in runs:
        recipe = parse_command_line(run.words).recipe
        if recipe.precision == "auto" and (run.folder / SEAL).is_file():
            precision = load_yaml(run.folder / RECIPE).get("precision", "auto")  # as it was made, on whatever machine
        else:
            precision = resolve_precision(recipe.precision)[0]
        found.append(find_run(replace(recipe, precision=precision), resume=True))
    return found


def train(run: SeedRun, begun: bool) -> int:
    """`train_hf.py` of one seed, in a process of its own: its exit code.

    Signals of a terminal would reach the child too, and a second signal ends a run at once: so the child gets a session
    of its own, and signals that arrive here are passed on.

    Raises:
        Stopped: by SIGINT or SIGTERM; the child has saved what it had.
    """
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None:
            child.send_signal(number)

    before = {s: signal.signal(s, pass_on) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        child = subprocess.Popen(
            [sys.executable, str(TRAIN), *run.words, *(["--resume"] if begun else [])], start_new_session=True
        )
        if asked:
            child.send_signal(asked[0])
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise Stopped(f"stopped in seed {run.seed}: the same command goes on", code=128 + asked[0])
    return code


def train_all(runs: list[SeedRun]) -> list[int]:
    """Bring every seed to its end: the seeds that failed."""
    failed = []
    for run, found in zip(runs, find(runs), strict=True):
        if found.finished:
            print(f"seed {run.seed}: {run.folder} is finished", flush=True)
            continue
        begun = (found.aside / RECIPE).is_file()
        print(f"seed {run.seed}: {'resuming in' if begun else 'into'} {run.folder}", flush=True)
        if code := train(run, begun):
            print(f"seed {run.seed}: train_hf.py ended with {code}; the other seeds still run", flush=True)
            failed.append(run.seed)
    return failed


def command_of(argv: list[str]) -> str:
    """The command for the log: of a path of this machine, only the last name is kept."""
    words = [word for word in argv if word != "--write"]
    shown = shlex.join(["python", "-m", "pipeline.repeat", *words])
    return re.sub(r"(?<![\w.~-])~?/(?:[^/\s'\",{}\[\]]+/)*(?=[^/\s])", "", shown)


def main(argv: list[str]) -> None:
    """Run what is missing, then the tables and the rows of all seeds that are finished."""
    request = parse(argv)
    failed = train_all(request.runs)
    finished = [run.folder for run in request.runs if run.seed not in failed]
    if finished:
        from pipeline.studies.log import append_rows, as_csv, log_row
        from pipeline.studies.table import comparisons, studies_of, text_of

        rows = []
        for study in studies_of(finished):
            compared = comparisons(study, request.against)
            print(f"\n{text_of(study, compared)}")
            rows.append(log_row(study, compared, finished, command_of(argv)))
        if not failed:
            print(f"\n{as_csv(rows)}")
            if request.write:
                append_rows(LOG, rows)
                print(f"written to {LOG}")
    if failed:
        raise Stopped(f"seeds {' '.join(map(str, failed))} failed: the same command tries them again", code=1)
