"""Cost of exact resuming: random numbers by counter against one running stream, and the writing of checkpoints.

    python -m tests.benchmarks.exactness [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

A running stream cannot be resumed within an epoch: in the checkpoint it is one batch ahead of the training.
"""

import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset

from pipeline.settings.recipe import Recipe
from pipeline.training.collator import Rows, TrainCollator
from pipeline.training.sampler import Draw, PictureRows
from pipeline.training.transforms import UNIFORMS
from tests.benchmarks.speed import curated, few_rows, heading, parse, take_turns, train_table
from tests.benchmarks.trainer_against_loop import short_trainer


class RunningStream(TrainCollator):
    """Draws from torch's own stream, as most training scripts do."""

    def _uniforms(self, rows: Rows) -> torch.Tensor:
        return torch.rand(len(rows), UNIFORMS)


def collating(collator: TrainCollator, rows: PictureRows, batch: int) -> float:
    """Milliseconds to collate one batch, the median of 30."""
    drawn = rows.__getitems__([Draw(i, 0, 0.0) for i in range(batch)])
    times = []
    for _ in range(30):
        began = time.perf_counter()
        collator(drawn)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def steps_a_second(recipe: Recipe, train: Dataset, few: Dataset, steps: int, collator: type[TrainCollator]) -> float:
    """Steps per second of training with batches by `collator`."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        made, log = short_trainer(recipe, train, few, steps + 5, Path(folder))
        made.train_collator.__class__ = collator
        made.train()
        return log.pictures_per_second / log.rows_per_step


def checkpoint(recipe: Recipe, few: Dataset) -> tuple[float, float]:
    """Megabytes of one checkpoint, and the seconds to write it, the median of 5."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        made, _ = short_trainer(recipe, few, few, 1, Path(folder))
        made.train()
        times = []
        for _ in range(5):
            began = time.perf_counter()
            made._save_checkpoint(made.model, None)
            times.append(time.perf_counter() - began)
        return sum(p.stat().st_size for p in (Path(folder) / "checkpoint-1").iterdir()) / 1e6, statistics.median(times)


def main() -> None:
    """Measure and print the table."""
    words, recipe = parse(__doc__)
    made = curated(recipe)
    train, few = train_table(recipe, made), few_rows(recipe, made)
    rows = PictureRows(train, recipe.targets)
    kinds = {"by counter (seed, epoch, row)": TrainCollator, "one running stream": RunningStream}
    measures = {
        name: lambda collator=collator: steps_a_second(recipe, train, few, words.steps, collator)
        for name, collator in kinds.items()
    }
    speeds = take_turns(measures, words.rounds)
    print(heading(recipe))
    for name, values in speeds.items():
        each = collating(kinds[name](recipe, [0.5] * 3, [0.5] * 3), rows, recipe.total_batch_size)
        print(f"{name:32} {statistics.median(values):7.2f} steps a second [{min(values):.2f}, {max(values):.2f}], "
              f"{each:.1f} ms to collate a batch")  # fmt: skip
    size, seconds = checkpoint(recipe, few)
    epoch = -(-len(rows) // recipe.total_batch_size) / statistics.median(speeds["by counter (seed, epoch, row)"])
    share = seconds / (epoch + seconds)
    print(f"a checkpoint: {size:.1f} MB in {seconds:.2f} s; one an epoch ({epoch:.0f} s) is {share:.2%} of a run")


if __name__ == "__main__":
    main()
