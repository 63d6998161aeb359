"""`docs/settings.md`, made from the same fields as `--help` and the checks."""

from itertools import groupby
from pathlib import Path

from pipeline.settings.recipe import OUR_FIELDS
from pipeline.settings.schema import Setting
from pipeline.settings.trainer import REFUSED, trainer_settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

BEGINNING = """# Settings

<!-- Made by `python -m pipeline.settings --write`; a test compares it with the code. -->

Every setting below can stand in a recipe (`name: value`) or on the command line (`--name value`), which wins. Values
are YAML: `1e-4`, `true`, `null`, `'{happy: happiness}'`. On the command line, text is taken as you type it
(`--output_dir "runs/a #1"`). A setting that is true or false needs no value (`--evaluate_test`); every other one does.
A `~` at the start of a path is your home folder. Unknown names, wrong types, values out of range, a setting that stands
there twice and numbers that YAML reads otherwise (`010` as 8) are errors before any data is read. The run folder keeps
every setting in `recipe.yaml`, which is itself a recipe.
"""

TRAINER = """
## Trainer

Every field of `transformers.TrainingArguments` is a setting too, unless it is in the last table. Its type is checked by
its annotation there. For these fields we also check the range, or our default differs from Trainer's.
"""

REFUSED_HERE = """
## Fields of TrainingArguments that are refused

| field | why, or what to use instead |
|---|---|
"""


def page() -> str:
    """The whole page: a table for each group, then Trainer's fields, then those that are refused."""
    groups = [f"\n## {group.capitalize()}\n\n{_table(list(members))}" for group, members in _grouped()]
    trainer = [each for each in trainer_settings().values() if each.help]
    refused = REFUSED | {"hub_*": REFUSED["push_to_hub"], "trackio_*": REFUSED["run_name"]}
    rows = "".join(f"| `{name}` | {words} |\n" for name, words in sorted(refused.items()))
    return "".join([BEGINNING, *groups, TRAINER, "\n", _table(trainer), REFUSED_HERE, rows])


def _grouped() -> list[tuple[str, list[Setting]]]:
    return [(group, list(members)) for group, members in groupby(OUR_FIELDS, key=lambda each: each.group)]


def _table(settings: list[Setting]) -> str:
    heading = "| setting | value | unit | default | what it does |\n|---|---|---|---|---|\n"
    return heading + "".join(
        f"| `{each.name}` | {each.value} | {each.unit} | `{each.default_in_words}` | {each.help}{_only(each)} |\n"
        for each in settings
    )


def _only(each: Setting) -> str:
    return f" (only for task {each.task})" if each.task else ""
