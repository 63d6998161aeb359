"""Speed of the loader without a model, and of the model without a loader; seconds to the first step; peak memory.

    python -m tests.benchmarks.loader_alone [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

The loader reads cached uint8 pictures, augments and mixes, in the main process as the recipe has it and with two
workers; the model trains on one batch again and again. The first step is counted from the start of `python train_hf.py`
to the log line of step 1: cold, with an empty cache of data sets, so that pictures are decoded, measured and searched
for copies; then warm, with the cache of that run.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from pipeline.cores import cores
from pipeline.settings.recipe import Recipe
from pipeline.training.collator import TrainCollator
from pipeline.training.sampler import EpochSampler, PictureRows
from tests.benchmarks.speed import curated, heading, parse, print_speeds, take_turns, train_table
from tests.benchmarks.trainer_against_loop import bare_loop

ROOT = Path(__file__).parent.parent.parent
MODEL = "the model, one batch again and again"


def loading(recipe: Recipe, rows: PictureRows, steps: int, workers: int) -> float:
    """Pictures per second of the loader without training; the first five batches are not counted."""
    loader = torch.utils.data.DataLoader(
        rows,
        recipe.total_batch_size,
        sampler=EpochSampler(len(rows), recipe.seed),
        collate_fn=TrainCollator(recipe, [0.5] * 3, [0.5] * 3),
        num_workers=workers,
    )
    seen, began = 0, 0.0
    for number, batch in enumerate(loader):
        if number == 5:
            began = time.perf_counter()
        if number >= 5:
            seen += len(batch["labels"])
        if number == steps + 4:
            break
    return seen / (time.perf_counter() - began)


def first_step(words: list[str], steps: int, cache: Path) -> tuple[float, float]:
    """Seconds from the start of train_hf.py to its first step, and its peak resident memory in GiB over `steps`."""
    with tempfile.TemporaryDirectory() as folder:
        few = {"max_steps": steps, "logging_steps": 1, "disable_tqdm": "true", "evaluate_test": "false"}
        few |= {"max_eval_samples": 256, "output_dir": f"{folder}/run"}
        command = [sys.executable, "-u", "train_hf.py", *words, *(f"--{name}={value}" for name, value in few.items())]
        began, seconds = time.perf_counter(), 0.0
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"HF_DATASETS_CACHE": str(cache)}, stdout=subprocess.PIPE, text=True
        ) as child:
            for line in child.stdout or ():
                if not seconds and "'loss'" in line:
                    seconds = time.perf_counter() - began
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"error: {' '.join(command)} ended with {child.returncode}")
        return seconds, used.ru_maxrss / 2**20


def main() -> None:
    """Measure and print the tables."""
    words, recipe = parse(__doc__)
    train = train_table(recipe, curated(recipe))
    rows = PictureRows(train, recipe.targets)
    workers = int(recipe.trainer.get("dataloader_num_workers", 0))
    kinds = {
        MODEL: lambda: bare_loop(recipe, train, words.steps, False, False, False),
        f"the loader, {workers} workers": lambda: loading(recipe, rows, words.steps, workers),
        f"the loader, {cores()} workers": lambda: loading(recipe, rows, words.steps, cores()),
    }
    speeds = take_turns(kinds, words.rounds)
    print(f"{heading(recipe)}; {words.steps} batches x {words.rounds} rounds")
    print_speeds(speeds, beside=MODEL)
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            seconds, gib = first_step(words.recipe_words, words.steps, Path(cache))
            print(f"{name}: first step after {seconds:.1f} s; highest resident memory {gib:.2f} GiB")


if __name__ == "__main__":
    main()
