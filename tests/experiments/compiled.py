"""Pictures per second of training by the kind of attention, and with `torch.compile` or without.

    python -m tests.experiments.compiled [RECIPE] [--field value ...] [--steps 20] [--rounds 2]

`torch_compile` is a setting of `transformers.TrainingArguments`. The first five steps, in which it compiles, are not
timed.
"""

from dataclasses import replace

from tests.benchmarks.speed import curated, few_rows, heading, parse, print_speeds, take_turns, train_table
from tests.benchmarks.trainer_against_loop import trainer


def main() -> None:
    """Measure and print the table."""
    words, recipe = parse(__doc__, steps=20, rounds=2)
    made = curated(recipe)
    train, few = train_table(recipe, made), few_rows(recipe, made)
    kinds = {}
    for compiled in (False, True):
        for attention in ("eager", "sdpa"):
            name = f"{attention} attention{', compiled' if compiled else ''}"
            ours = replace(recipe, attention=attention, trainer=recipe.trainer | {"torch_compile": compiled})
            kinds[name] = lambda ours=ours: trainer(ours, train, few, words.steps)
    print(f"{heading(recipe)}; {words.steps} steps x {words.rounds} rounds")
    print_speeds(take_turns(kinds, words.rounds), beside=next(iter(kinds)))


if __name__ == "__main__":
    main()
