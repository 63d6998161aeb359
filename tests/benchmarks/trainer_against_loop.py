"""Pictures per second of this project's Trainer against a bare loop, in one run; each row changes one thing.

    python -m tests.benchmarks.trainer_against_loop [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

Model, batch, precision, pictures, augmentation and optimizer are the same in every row. The rows are measured in turns,
so that a drift of the machine affects all of them, and the median of the rounds is printed with its range.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from datasets import Dataset
from torch.nn import functional as F

from pipeline.settings.recipe import Recipe
from pipeline.training.arguments import training_arguments
from pipeline.training.collator import TrainCollator
from pipeline.training.ema import EMA
from pipeline.training.log import TrainingLog
from pipeline.training.model import build_for_training
from pipeline.training.optimizer import layer_decay_of, parameter_groups
from pipeline.training.plan import make_plan
from pipeline.training.sampler import EpochSampler, PictureRows
from pipeline.training.steps import build_trainer
from pipeline.training.trainer import ExpressionTrainer
from tests.benchmarks.speed import curated, few_rows, heading, parse, print_speeds, take_turns, train_table


def bare_loop(recipe: Recipe, train: Dataset, steps: int, ema: bool, clip: bool, data: bool) -> float:
    """Pictures per second of the shortest loop that trains this recipe; without `data` one batch is used again."""
    model, processor = build_for_training(recipe, "cpu")
    model.train()
    rate, decay = float(recipe.trainer["learning_rate"]), float(recipe.trainer["weight_decay"])
    layer_decay = layer_decay_of(model, recipe.layer_decay, recipe.image_size)
    optimizer = torch.optim.AdamW(parameter_groups(model, rate, decay, layer_decay, recipe.image_size), fused=True)
    average = EMA(model, recipe.ema_decay)
    rows, collate = PictureRows(train, recipe.targets), TrainCollator(recipe, processor.image_mean, processor.image_std)
    loader = torch.utils.data.DataLoader(
        rows, recipe.total_batch_size, sampler=EpochSampler(len(rows), recipe.seed), collate_fn=collate
    )
    batches = iter(loader)
    batch, began = next(batches), 0.0
    for step in range(1, steps + 6):
        if step == 6:  # five steps to warm up
            began = time.perf_counter()
        if data:
            batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = model(batch["pixel_values"]).logits
        loss = F.cross_entropy(logits.float(), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if ema:
            average.update(model, step)
    return steps * recipe.total_batch_size / (time.perf_counter() - began)


def short_trainer(
    recipe: Recipe, train: Dataset, few: Dataset, steps: int, folder: Path
) -> tuple[ExpressionTrainer, "SteadyLog"]:
    """The trainer of `train_hf.py` for a run of `steps` steps with one checkpoint at its end, and its clock."""
    settings = {"output_dir": str(folder), "max_steps": steps, "disable_tqdm": True, "save_strategy": "steps"}
    plan = make_plan(replace(recipe, trainer=recipe.trainer | settings | {"save_steps": 10**6}))
    log = SteadyLog(folder / "logs", recipe.classes, plan.rows_per_step)
    return build_trainer(plan, training_arguments(plan), train, few, log), log


def trainer(recipe: Recipe, train: Dataset, few: Dataset, steps: int) -> float:
    """Pictures per second of the loop of `train_hf.py`, by the clock that `environment.json` is written from."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        made, log = short_trainer(recipe, train, few, steps + 5, Path(folder))
        made.train()
        return log.pictures_per_second


class SteadyLog(TrainingLog):
    """Skips the first five steps, as the bare loop does."""

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        super().on_step_end(args, state, control, **kwargs)
        if state.global_step == 5:  # type: ignore[attr-defined]
            self.steps, self.train_seconds, self.wait_seconds = 0, 0.0, 0.0


def main() -> None:
    """Measure and print the table."""
    words, recipe = parse(__doc__)
    made = curated(recipe)
    train, few = train_table(recipe, made), few_rows(recipe, made)
    whole = "+ EMA: the bare loop to compare with"
    kinds: dict[str, Callable[[], float]] = {
        "bare loop, one batch again and again": lambda: bare_loop(recipe, train, words.steps, False, False, False),
        "+ batches from the loader, augmented": lambda: bare_loop(recipe, train, words.steps, False, False, True),
        "+ gradient clipping": lambda: bare_loop(recipe, train, words.steps, False, True, True),
        whole: lambda: bare_loop(recipe, train, words.steps, True, True, True),
        "Trainer (callbacks, logging, schedule)": lambda: trainer(recipe, train, few, words.steps),
    }
    speeds = take_turns(kinds, words.rounds)
    print(f"{heading(recipe)}; {words.steps} steps x {words.rounds} rounds")
    print_speeds(speeds, beside=whole)


if __name__ == "__main__":
    main()
