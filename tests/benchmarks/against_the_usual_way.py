"""Pictures per second, end to end: this project against stock Trainer with each picture transformed on access.

    python -m tests.benchmarks.against_the_usual_way [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

The rival does what `examples/pytorch/image-classification/run_image_classification.py` of transformers does: it decodes
the pictures in every epoch, and torchvision transforms them one by one in `set_transform`, with the default number of
loader workers (none). The command in its README means 8 rows per step in float32. Each further row changes one thing of
the row above. All rows share model, weights and size, and all are timed by the clock of the training loop.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torchvision import transforms as T
from transformers import Trainer, TrainingArguments

from pipeline.cores import cores
from pipeline.settings.recipe import Recipe
from pipeline.training import machine
from pipeline.training.model import build_model
from tests.benchmarks.speed import curated, few_rows, heading, parse, print_speeds, take_turns, train_table
from tests.benchmarks.trainer_against_loop import SteadyLog, trainer

EXAMPLE_ROWS = 8  # rows a step on the page of the example


def of_the_example(recipe: Recipe, normalize: T.Normalize) -> T.Compose:
    """What the example does to a picture."""
    return T.Compose([T.RandomResizedCrop(recipe.image_size), T.RandomHorizontalFlip(), T.ToTensor(), normalize])


def of_the_recipe(recipe: Recipe, normalize: T.Normalize) -> T.Compose:
    """The recipe's augmentation, as it is usually written."""
    ratio = (1 / recipe.crop_ratio, recipe.crop_ratio)
    bicubic = T.InterpolationMode.BICUBIC
    return T.Compose(
        [
            T.RandomRotation(recipe.rotation, interpolation=T.InterpolationMode.BILINEAR),
            T.RandomResizedCrop(recipe.image_size, (recipe.crop_area, 1.0), ratio, interpolation=bicubic),
            T.RandomHorizontalFlip(recipe.flip),
            T.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation),
            T.ToTensor(),
            normalize,
            T.RandomErasing(recipe.erasing, (0.02, 0.25)),
        ]
    )


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of the rival."""
    pixels = torch.stack([row["pixel_values"] for row in rows])
    return {"pixel_values": pixels, "labels": torch.tensor([row["label"] for row in rows])}


def usual_way(
    recipe: Recipe,
    table: Dataset,
    steps: int,
    rows: int,
    transform: Callable[[Recipe, T.Normalize], T.Compose] = of_the_example,
    workers: int = 0,
    precision: str = "fp32",
) -> float:
    """Pictures per second of the rival."""
    model, processor = build_model(recipe)
    apply = transform(recipe, T.Normalize(processor.image_mean, processor.image_std))

    def train_transforms(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"pixel_values": [apply(image.convert("RGB")) for image in batch["image"]], "label": batch["label"]}

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        args = TrainingArguments(
            output_dir=folder,
            max_steps=steps + 5,
            per_device_train_batch_size=rows,
            dataloader_num_workers=workers,
            remove_unused_columns=False,
            bf16=precision == "bf16",
            fp16=precision == "fp16",
            use_cpu=machine.device_type() == "cpu",
            save_strategy="no",
            disable_tqdm=True,
        )
        log = SteadyLog(Path(folder) / "logs", recipe.classes, rows)
        table = table.with_transform(train_transforms)
        Trainer(model=model, args=args, train_dataset=table, data_collator=collate, callbacks=[log]).train()
        return log.pictures_per_second


def main() -> None:
    """Measure and print the table."""
    words, recipe = parse(__doc__)
    made = curated(recipe)
    train, few, table = train_table(recipe, made), few_rows(recipe, made), made.splits["train"]
    plain, total = replace(recipe, precision="fp32"), recipe.total_batch_size
    steps = words.steps

    def usual(rows_a_step: int, **how: Any) -> Callable[[], float]:
        return lambda: usual_way(recipe, table, steps * total // rows_a_step, rows_a_step, **how)

    shipped, equal = "the usual way, as the example is", f"+ {total} rows a step, as the recipe"
    own = {"transform": of_the_recipe}
    kinds = {
        shipped: usual(EXAMPLE_ROWS),
        equal: usual(total),
        "+ the recipe's augmentation, picture by picture": usual(total, **own),
        f"+ {cores()} loader workers": usual(total, workers=cores(), **own),
    }
    if recipe.precision != "fp32":
        kinds[f"+ {recipe.precision}"] = usual(total, workers=cores(), precision=recipe.precision, **own)
    ours = {"ours, fp32": lambda: trainer(plain, train, few, steps)}
    if recipe.precision != "fp32":
        ours[f"ours, {recipe.precision}"] = lambda: trainer(recipe, train, few, steps)
    speeds = take_turns(kinds | ours, words.rounds)
    print(f"{heading(recipe)}; {steps} steps x {words.rounds} rounds")
    print_speeds(speeds, beside=shipped)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"at equal precision and rows a step: {middle['ours, fp32'] / middle[equal]:.2f} times the usual way; "
          f"as shipped: {middle[list(ours)[-1]] / middle[shipped]:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()
