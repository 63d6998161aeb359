"""Shared by the speed benchmarks: command line, a recipe resolved for this machine, and rows measured in turns."""

import argparse
import statistics
from collections.abc import Callable, Mapping

from datasets import Dataset

from pipeline.cores import cores
from pipeline.data.curation import Curated, curate
from pipeline.data.readers import read_sources
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.recipe import Recipe
from pipeline.training import machine
from pipeline.training.plan import make_plan
from pipeline.training.transforms import map_pictures


def parse(description: str | None, steps: int = 60, rounds: int = 3) -> tuple[argparse.Namespace, Recipe]:
    """`[RECIPE] [--field value ...] [--steps N] [--rounds N]`: the words of a benchmark, and the recipe they name.

    Threads and precision are those of `train_hf.py`.
    """
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0] if description else None,
        epilog="RECIPE and --field value as for train_hf.py",
        allow_abbrev=False,
    )
    parser.add_argument("--steps", type=int, default=steps, help="optimizer steps in a measurement")
    parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each row")
    words, rest = parser.parse_known_args()
    words.recipe_words = rest
    recipe = parse_command_line(rest).recipe
    plan = make_plan(recipe)
    machine.use_threads(plan.threads)
    return words, plan.recipe


def curated(recipe: Recipe) -> Curated:
    """The splits of a recipe, pictures not yet mapped."""
    return curate(read_sources(recipe), recipe)


def train_table(recipe: Recipe, made: Curated) -> Dataset:
    """The mapped train pictures."""
    return map_pictures(made.splits["train"], recipe.store_size or recipe.image_size, "map train")


def few_rows(recipe: Recipe, made: Curated) -> Dataset:
    """Eight mapped pictures to evaluate on: a trainer needs some, and their evaluation is not measured."""
    return map_pictures(made.splits["train"].select(range(8)), recipe.image_size, "map for the evaluation")


def take_turns(kinds: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every row once per round, so that a drift of the machine affects all of them."""
    values: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, measure in kinds.items():
            values[name].append(measure())
    return values


def heading(recipe: Recipe) -> str:
    """What was measured, and on what."""
    return (
        f"{recipe.name}: {recipe.image_size} px, batch {recipe.total_batch_size}, {recipe.precision}, "
        f"{cores()} cores, {machine.device_type()}"
    )


def print_speeds(values: Mapping[str, list[float]], beside: str) -> None:
    """Pictures per second of each row: median, range, and the ratio to the row `beside`."""
    base = statistics.median(values[beside])
    width = max(map(len, values))
    print(f"{'pictures per second':{width}}  median  [range]         beside {beside!r}")
    for name, each in values.items():
        middle = statistics.median(each)
        print(f"{name:{width}} {middle:7.1f}  [{min(each):.1f}, {max(each):.1f}]  {middle / base:.3f}")
