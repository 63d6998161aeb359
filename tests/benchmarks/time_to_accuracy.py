"""Minutes of training until a validation accuracy is reached, from finished runs and the output of plain scripts.

    python -m tests.benchmarks.time_to_accuracy RUN_OR_LOG ... [--accuracy 0.85]

A folder is a run of `train_hf.py` (its event files), a file the saved output of a script that prints, after each epoch,
`epoch 1/6 120 s, 140 pictures/s, validation 0.8110`, the seconds since the first step. Both clocks start
with it and include evaluation. For a fair comparison run both in the same hour, one after the other:

    python train_hf.py ferplus_vit_tiny_cpu --data_path DIR --checkpoint DIR --output_dir runs/ours
    python SCRIPT --epochs 6 --cutmix 0 | tee plain.log

Where the CPU would emulate the bf16 of SCRIPT, `python -m tests.experiments.without_autocast SCRIPT` trains in fp32, as
ours does there. Our validation rows are those without a pixel copy in train; a script that keeps the copies has the
easier ones.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EPOCH = re.compile(r"^epoch \d+/\d+ (?P<seconds>[\d.]+) s, .*validation (?P<accuracy>[\d.]+)", re.MULTILINE)


class Evaluation(NamedTuple):
    """An accuracy on validation, and the seconds of training before it."""

    seconds: float
    accuracy: float


def of_run(run: Path) -> list[Evaluation]:
    """The evaluations of a run that was never interrupted: the clock would count the interruption."""
    files = sorted((run / "logs").glob("events.out.tfevents.*"))
    if len(files) != 1:
        raise SystemExit(f"error: {run} has {len(files)} event files; it takes a run that went through without a stop")
    events = EventAccumulator(str(files[0]), size_guidance={"scalars": 0})
    events.Reload()
    if "validation/accuracy" not in events.Tags()["scalars"]:
        return []
    began = events.FirstEventTimestamp()
    return [Evaluation(e.wall_time - began, e.value) for e in events.Scalars("validation/accuracy")]


def of_log(log: Path) -> list[Evaluation]:
    """The evaluations that a script printed."""
    found = [Evaluation(float(m["seconds"]), float(m["accuracy"])) for m in EPOCH.finditer(log.read_text())]
    if not found:
        raise SystemExit(f"error: {log} has no line such as: epoch 1/6 120 s, 140 pictures/s, validation 0.8110")
    return found


def main() -> None:
    """Print a line for each run or log."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN_OR_LOG")
    parser.add_argument("--accuracy", type=float, default=0.85)
    words = parser.parse_args()
    for path in words.paths:
        if not path.exists():
            parser.error(f"{path} does not exist")
    width = max(len(path.name) for path in words.paths)
    print(f"{'':{width}}  minutes to {words.accuracy:g}   best accuracy  minutes in all")
    for path in words.paths:
        evaluations = of_run(path) if path.is_dir() else of_log(path)
        reached = next((f"{e.seconds / 60:.1f}" for e in evaluations if e.accuracy >= words.accuracy), "not reached")
        best = max((e.accuracy for e in evaluations), default=float("nan"))
        minutes = evaluations[-1].seconds / 60 if evaluations else float("nan")
        print(f"{path.name:{width}}  {reached:>15}  {best:14.3f}  {minutes:14.1f}")


if __name__ == "__main__":
    sys.exit(main())
