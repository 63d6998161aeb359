"""Cost of exact resuming: random numbers by counter against one running stream, and the writing of checkpoints.

    python -m tests.benchmarks.exactness [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

A running stream cannot be resumed within an epoch: in the checkpoint it is one batch ahead of the training.
"""

import contextlib
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.settings.recipe import Recipe
from pipeline.training.arguments import training_arguments
from pipeline.training.collator import EvalCollator, Rows, TrainCollator
from pipeline.training.model import build_model
from pipeline.training.sampler import Draw, PictureRows
from pipeline.training.trainer import ExpressionTrainer
from pipeline.training.transforms import UNIFORMS
from tests.benchmarks.speed import curated, few_rows, heading, parse, take_turns, train_rows
from tests.benchmarks.trainer_against_loop import trainer


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


def checkpoint(recipe: Recipe, rows: PictureRows) -> tuple[float, float]:
    """Megabytes of one checkpoint, and the seconds to write it, the median of 5."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        settings = {
            "output_dir": folder,
            "max_steps": 1,
            "disable_tqdm": True,
            "save_strategy": "steps",
            "save_steps": 1,
        }
        recipe = replace(recipe, trainer=recipe.trainer | settings)
        model, processor = build_model(recipe)
        made = ExpressionTrainer(
            model=model,
            args=training_arguments(recipe),
            recipe=recipe,
            train_rows=rows,
            eval_rows=rows,
            train_collator=TrainCollator(recipe, processor.image_mean, processor.image_std),
            eval_collator=EvalCollator(processor.image_mean, processor.image_std),
            compute_metrics=lambda prediction: {"accuracy": 0.0},
        )
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
    rows, few = train_rows(recipe, made), few_rows(recipe, made)
    kinds = {"by counter (seed, epoch, row)": TrainCollator, "one running stream": RunningStream}
    measures = {
        name: lambda collator=collator: trainer(recipe, rows, few, words.steps, collator) / recipe.total_batch_size
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
