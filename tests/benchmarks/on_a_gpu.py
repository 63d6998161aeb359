"""Pictures per second of training on one GPU, by size, precision and where batches are made; and how busy it was.

    python -m tests.benchmarks.on_a_gpu [RECIPE] [--field value ...] [--steps 60] [--rounds 3]

In the rows with workers they resize and augment the batches, as many workers as there are cores; in the other rows the
GPU does it. Busy is the share of time in which a kernel ran, as nvidia-smi reports it, from the start
of a row to its end, model and first steps included.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import mean

from datasets import Dataset

from pipeline.cores import cores
from pipeline.settings.recipe import Recipe
from pipeline.training import machine
from tests.benchmarks.speed import curated, few_rows, parse, print_speeds, take_turns, train_table
from tests.benchmarks.trainer_against_loop import trainer

SIZES, PRECISIONS = (112, 224), ("fp32", "bf16", "fp16")
QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]


@contextmanager
def watched(seen: list[float]) -> Iterator[None]:
    """Add the utilisation in percent to `seen`, several times a second."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(float(subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout.split()[0]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def watched_row(recipe: Recipe, train: Dataset, few: Dataset, steps: int, seen: list[float]) -> float:
    """Pictures per second of training, with the utilisation added to `seen`."""
    with watched(seen):
        return trainer(recipe, train, few, steps)


def main() -> None:
    """Measure and print the tables."""
    words, recipe = parse(__doc__)
    if machine.device_type() != "cuda":
        raise SystemExit("error: this machine has no CUDA GPU")
    made = curated(recipe)
    busy: dict[str, list[float]] = {}
    kinds: dict[str, Callable[[], float]] = {}
    for size in SIZES:
        recipe = replace(recipe, image_size=size)
        train, few = train_table(recipe, made), few_rows(recipe, made)
        for precision in PRECISIONS:
            for workers in (0, cores()) if precision == "fp16" else (0,):
                ours = replace(
                    recipe, precision=precision, trainer=recipe.trainer | {"dataloader_num_workers": workers}
                )
                name = f"{size} px, {precision}" + (f", {workers} workers" if workers else "")
                kinds[name] = partial(watched_row, ours, train, few, words.steps, busy.setdefault(name, []))
    speeds = take_turns(kinds, words.rounds)
    print(f"{recipe.name}: batch {recipe.total_batch_size}, {cores()} cores, {machine.describe()['device']}")
    print(f"{words.steps} steps x {words.rounds} rounds")
    print_speeds(speeds, beside=next(iter(kinds)))
    for name, shares in busy.items():
        print(f"{name}: busy {mean(shares):.0f} %, at most {max(shares):.0f} %")


if __name__ == "__main__":
    main()
