"""What a person sees of training: one bar, one line an evaluation, and the same figures in results.csv."""

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerState

from pipeline.task import DEFAULT, TASKS
from pipeline.training.log import OF_THE_CLOCK

BEFORE = (" epoch", "   step", "train loss", "validation loss")
AFTER = ("best so far", "seconds", "    left")


@dataclass(frozen=True)
class Evaluated:
    """One evaluation in training: `best` is the best value so far of the metric that chooses the checkpoint."""

    epoch: float
    step: int
    train_loss: float | None  # the last one logged before it
    metrics: dict[str, float]
    best: float


def evaluations(history: Sequence[dict[str, Any]], metric: str, greater_is_better: bool) -> Iterator[Evaluated]:
    """The evaluations in Trainer's log history, which a resumed run reads from its checkpoint."""
    loss, best = None, None
    for entry in history:
        loss = entry.get("loss", loss)
        if f"eval_{metric}" not in entry:
            continue
        value = float(entry[f"eval_{metric}"])
        better = best is None or (value > best if greater_is_better else value < best)
        best = value if best is None or better else best
        named = sorted(name for name in entry if name.startswith("eval_") and name not in OF_THE_CLOCK)
        metrics = {name.removeprefix("eval_"): float(entry[name]) for name in named}
        yield Evaluated(entry["epoch"], entry["step"], loss, metrics, best)


class Progress(TrainerCallback):
    """Prints a line for each evaluation and writes `results` (results.csv), in the first process only.

    The bar is on a terminal only: a file or a CI log gets no control characters.
    """

    def __init__(self, results: Path, task: str = DEFAULT) -> None:
        self.results, self.shown = results, TASKS[task].shown
        self.columns = (*BEFORE, *self.shown.values(), *AFTER)
        self._bar: tqdm | None = None
        self._started, self._first_step = time.perf_counter(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started, self._first_step = time.perf_counter(), state.global_step
        if state.is_world_process_zero:
            print(self._line(self.columns))
            hidden = args.disable_tqdm or not sys.stderr.isatty()
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", leave=False, disable=hidden)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        metric = str(args.metric_for_best_model).removeprefix("eval_")
        done = list(evaluations(state.log_history, metric, bool(args.greater_is_better)))
        write_results(self.results, done)
        with tqdm.external_write_mode(sys.stdout):
            print(self._words(done[-1], state), flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def _words(self, now: Evaluated, state: Any) -> str:
        seconds = time.perf_counter() - self._started
        steps = max(1, state.global_step - self._first_step)
        values = [now.train_loss, *(now.metrics.get(name) for name in ("loss", *self.shown)), now.best]
        return self._line(
            [
                f"{now.epoch:.4g}",
                f"{now.step:,}",
                *("" if value is None else f"{value:.4f}" for value in values),
                f"{seconds:,.0f}",
                f"{seconds / steps * (state.max_steps - state.global_step):,.0f} s",
            ]
        )

    def _line(self, cells: Sequence[str]) -> str:
        return "  ".join(cell.rjust(len(name)) for cell, name in zip(cells, self.columns, strict=True))


def write_results(path: Path, done: Sequence[Evaluated]) -> None:
    """Write results.csv: a row for each evaluation. It is written whole, so a resumed run has every row once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["epoch", "step", "train_loss", *(f"validation_{name}" for name in done[-1].metrics), "best_so_far"]
        )
        for each in done:
            table.writerow([each.epoch, each.step, each.train_loss, *each.metrics.values(), each.best])


def ending(state: TrainerState) -> dict[str, Any]:
    """How a run that was not interrupted ended, and which step is published: the same in a resumed run."""
    early = state.global_step < state.max_steps
    return {
        "training_ended": "early stopping" if early else "all steps",
        "last_step": state.global_step,
        "published_step": state.best_global_step,
    }


def ending_in_words(state: TrainerState) -> str:
    """`ending` as a line of the console."""
    publishing = f"publishing step {state.best_global_step:,}"
    if state.global_step >= state.max_steps:
        return f"trained all {state.max_steps:,} steps; {publishing}"
    epochs: dict[Any, float] = {entry["step"]: entry["epoch"] for entry in state.log_history}
    best, last = epochs[state.best_global_step], epochs[state.global_step]
    return f"stopped early at epoch {last:.4g}: no better since {best:.4g}; {publishing}"
