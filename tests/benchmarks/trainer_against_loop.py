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
from torch.nn import functional as F

from pipeline.settings.recipe import Recipe
from pipeline.training.arguments import training_arguments
from pipeline.training.collator import EvalCollator, TrainCollator
from pipeline.training.ema import EMA
from pipeline.training.log import TrainingLog
from pipeline.training.machine import makes_batches_on_gpu
from pipeline.training.model import add_drop_path, build_model, set_attention
from pipeline.training.optimizer import parameter_groups
from pipeline.training.sampler import EpochSampler, PictureRows
from pipeline.training.trainer import ExpressionTrainer
from tests.benchmarks.speed import curated, few_rows, heading, parse, print_speeds, take_turns, train_rows


def bare_loop(recipe: Recipe, rows: PictureRows, steps: int, ema: bool, clip: bool, data: bool) -> float:
    """Pictures per second of the shortest loop that trains this recipe; without `data` one batch is used again."""
    model, processor = build_model(recipe)
    set_attention(model, recipe.attention, "cpu")
    add_drop_path(model, recipe.drop_path)
    model.train()
    rate, decay = float(recipe.trainer["learning_rate"]), float(recipe.trainer["weight_decay"])
    optimizer = torch.optim.AdamW(parameter_groups(model, rate, decay, recipe.layer_decay), fused=True)
    average = EMA(model, recipe.ema_decay)
    collate = TrainCollator(recipe, processor.image_mean, processor.image_std)
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


def trainer(
    recipe: Recipe, rows: PictureRows, few: PictureRows, steps: int, collator: type[TrainCollator] = TrainCollator
) -> float:
    """Pictures per second of the loop of `train_hf.py`, by the clock that `environment.json` is written from."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        settings = {"output_dir": folder, "max_steps": steps + 5, "disable_tqdm": True, "save_strategy": "steps"}
        recipe = replace(recipe, trainer=recipe.trainer | settings | {"save_steps": 10**6})
        args = training_arguments(recipe)
        model, processor = build_model(recipe)
        set_attention(model, recipe.attention, args.device.type)
        add_drop_path(model, recipe.drop_path)
        device = args.device if makes_batches_on_gpu(args.dataloader_num_workers) else "cpu"
        collating = (processor.image_mean, processor.image_std, device)
        log = SteadyLog(Path(folder) / "logs", recipe.classes, recipe.total_batch_size)
        ExpressionTrainer(
            model=model,
            args=args,
            recipe=recipe,
            train_rows=rows,
            eval_rows=few,
            train_collator=collator(recipe, *collating),
            eval_collator=EvalCollator(*collating),
            compute_metrics=log.compute_metrics,
            callbacks=[log],
        ).train()
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
    rows, few = train_rows(recipe, made), few_rows(recipe, made)
    whole = "+ EMA: the bare loop to compare with"
    kinds: dict[str, Callable[[], float]] = {
        "bare loop, one batch again and again": lambda: bare_loop(recipe, rows, words.steps, False, False, False),
        "+ batches from the loader, augmented": lambda: bare_loop(recipe, rows, words.steps, False, False, True),
        "+ gradient clipping": lambda: bare_loop(recipe, rows, words.steps, False, True, True),
        whole: lambda: bare_loop(recipe, rows, words.steps, True, True, True),
        "Trainer (callbacks, logging, schedule)": lambda: trainer(recipe, rows, few, words.steps),
    }
    speeds = take_turns(kinds, words.rounds)
    print(f"{heading(recipe)}; {words.steps} steps x {words.rounds} rounds")
    print_speeds(speeds, beside=whole)


if __name__ == "__main__":
    main()
