"""Pictures per second of training, by the number of rows that go through the model at once.

    python -m tests.benchmarks.micro_batch [RECIPE] [--field value ...] [--steps 4] [--rounds 3]

An optimizer step has the rows of the recipe (`total_batch_size`) in every row of the table: what is not seen at once is
accumulated. It is what LARGEST_CPU_BATCH of `pipeline/training/plan.py` is to be judged by.
"""

from dataclasses import replace

from tests.benchmarks.speed import curated, few_rows, heading, parse, print_speeds, take_turns, train_table
from tests.benchmarks.trainer_against_loop import trainer

AT_ONCE = (8, 16, 32, 64, 128, 256)


def main() -> None:
    """Measure and print the table."""
    words, recipe = parse(__doc__, steps=4)
    made = curated(recipe)
    train, few = train_table(recipe, made), few_rows(recipe, made)
    total = recipe.total_batch_size
    kinds = {}
    sizes = [size for size in AT_ONCE if total % size == 0]
    if not sizes:
        raise SystemExit(f"error: none of {AT_ONCE} divides the {total} rows of a step: set --total_batch_size")
    for size in sizes:
        typed = {"per_device_train_batch_size": size, "gradient_accumulation_steps": total // size}
        ours = replace(recipe, trainer=recipe.trainer | typed)
        kinds[f"{size} rows at once"] = lambda ours=ours: trainer(ours, train, few, words.steps)
    print(f"{heading(recipe)}; {words.steps} steps x {words.rounds} rounds")
    print_speeds(take_turns(kinds, words.rounds), beside=list(kinds)[-1])


if __name__ == "__main__":
    main()
