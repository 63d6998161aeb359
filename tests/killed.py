"""`python -m tests.killed POINT WORDS`: `train_hf.py WORDS`, killed by SIGKILL at an exact point.

The whole process group is killed, as in a power failure.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState

import train_hf
from pipeline.evaluation import predictions
from pipeline.training import checkpoints
from pipeline.training import output_dir as run_folder
from pipeline.training.ema import EMA
from pipeline.training.trainer import ExpressionTrainer

# The function that is running, and the number of the call that is killed.
POINTS: dict[str, tuple[Any, str, int]] = {
    "in a step": (ExpressionTrainer, "training_step", 8),
    "in an evaluation": (ExpressionTrainer, "prediction_step", 4),
    "in the averages of a checkpoint": (EMA, "save", 3),
    "in the optimizer of a checkpoint": (torch, "save", 7),
    "in the state of a checkpoint": (TrainerState, "save_to_json", 3),
    "in the removal of a checkpoint": (checkpoints, "rotate_checkpoints", 4),
    "after the last step": (run_folder, "write_model", 1),
    "in the predictions": (predictions, "write_predictions", 1),
    "in the seal": (run_folder.shutil, "copyfile", 1),
}


def power_off() -> None:
    """Kill every process of the group."""
    os.killpg(0, signal.SIGKILL)


def killing(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """`function`, whose call number `call` never returns. A file that it writes is left half written."""
    calls = 0

    def call_or_die(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < call:
            return function(*args, **kwargs)
        if function.__name__ == "rotate_checkpoints":
            next(p for p in Path(args[0]).glob("checkpoint-*") if str(p) != args[2]).joinpath("optimizer.pt").unlink()
        elif function.__name__ in ("save", "save_to_json", "write_predictions"):
            function(*args, **kwargs)
            newest = max((p for p in Path(sys.argv[-1]).rglob("*") if p.is_file()), key=lambda p: p.stat().st_mtime_ns)
            os.truncate(newest, newest.stat().st_size // 2)
        return power_off()

    return call_or_die


if __name__ == "__main__":
    owner, name, call = POINTS[sys.argv.pop(1)]
    setattr(owner, name, killing(getattr(owner, name), call))
    train_hf.main(sys.argv[1:])
