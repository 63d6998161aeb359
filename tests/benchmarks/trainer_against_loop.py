"""Pictures per second of our Trainer against a bare loop, side by side in one run; each row changes one thing.

    python -m tests.benchmarks.trainer_against_loop [RECIPE] [--data_path DIR] [--checkpoint DIR] [--steps 60]

Model, batch, precision, pictures, augmentation and optimizer are the same in every row. The rows take turns, and the
median of the rounds is printed with its range, so that a drift of the machine falls on all of them.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from pipeline import machine
from pipeline.arguments import training_arguments
from pipeline.collator import EvalCollator, TrainCollator
from pipeline.curation import curate
from pipeline.ema import EMA
from pipeline.model import add_drop_path, build_model, set_attention
from pipeline.optimizer import parameter_groups
from pipeline.recipe import Recipe
from pipeline.recipe_file import load_yaml, recipe_from, recipe_path
from pipeline.sampler import EpochSampler, PictureRows
from pipeline.sources import read_sources
from pipeline.trainer import ExpressionTrainer
from pipeline.training_log import TrainingLog
from pipeline.transforms import map_pictures


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
        set_attention(model, recipe.attention, "cpu")
        add_drop_path(model, recipe.drop_path)
        log = _SteadyLog(Path(folder) / "logs", recipe.classes, recipe.total_batch_size)
        ExpressionTrainer(
            model=model,
            args=args,
            recipe=recipe,
            train_rows=rows,
            eval_rows=few,
            train_collator=collator(recipe, processor.image_mean, processor.image_std),
            eval_collator=EvalCollator(processor.image_mean, processor.image_std),
            compute_metrics=log.compute_metrics,
            callbacks=[log],
        ).train()
        return log.pictures_per_second


class _SteadyLog(TrainingLog):
    """Forgets the first five steps, as the bare loop does."""

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        super().on_step_end(args, state, control, **kwargs)
        if state.global_step == 5:  # type: ignore[attr-defined]
            self.steps, self.train_seconds, self.wait_seconds = 0, 0.0, 0.0


def prepare(name: str, data_path: str | None, checkpoint: str | None) -> tuple[Recipe, PictureRows, PictureRows]:
    """A recipe with its precision resolved, its train rows, and eight of them to evaluate on."""
    given = {k: v for k, v in (("data_path", data_path), ("checkpoint", checkpoint)) if v}
    recipe = recipe_from(load_yaml(recipe_path(name)) | given, name)
    machine.use_all_cores()
    recipe = replace(recipe, precision=machine.resolve_precision(recipe.precision)[0])
    table = curate(read_sources(recipe), recipe).splits["train"]
    rows = PictureRows(map_pictures(table, recipe.store_size or recipe.image_size, "map train"))
    return recipe, rows, PictureRows(map_pictures(table.select(range(8)), recipe.image_size, "map for the evaluation"))


def parse(description: str | None) -> argparse.Namespace:
    """The words of a speed benchmark: recipe, data, checkpoint, steps and rounds."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("--data_path")
    parser.add_argument("--checkpoint")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Measure and print the table."""
    words = parse(__doc__)
    recipe, rows, few = prepare(words.recipe, words.data_path, words.checkpoint)
    kinds: dict[str, Callable[[], float]] = {
        "bare loop, one batch again and again": lambda: bare_loop(recipe, rows, words.steps, False, False, False),
        "+ batches from the loader, augmented": lambda: bare_loop(recipe, rows, words.steps, False, False, True),
        "+ gradient clipping": lambda: bare_loop(recipe, rows, words.steps, False, True, True),
        "+ EMA: the bare loop to compare with": lambda: bare_loop(recipe, rows, words.steps, True, True, True),
        "Trainer (callbacks, logging, schedule)": lambda: trainer(recipe, rows, few, words.steps),
    }
    speeds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(words.rounds):
        for name, measure in kinds.items():
            speeds[name].append(measure())
    loop = statistics.median(speeds["+ EMA: the bare loop to compare with"])
    print(
        f"{words.recipe}: {recipe.image_size} px, batch {recipe.total_batch_size}, {recipe.precision}, "
        f"{machine.cores()} cores"
    )
    print(f"{words.steps} steps x {words.rounds} rounds; pictures per second")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"{name:40} {middle:7.1f}  [{min(values):.1f}, {max(values):.1f}]  {middle / loop:.3f} of the bare loop")


if __name__ == "__main__":
    main()
