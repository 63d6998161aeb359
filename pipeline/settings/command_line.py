"""`train_hf.py [RECIPE] [--field value ...] [--resume] [--publish USER/NAME]`: its words, and what `--help` says."""

import argparse
import dataclasses
from typing import Any, NamedTuple

import yaml

from pipeline.errors import InputError
from pipeline.settings.files import RECIPES, load_yaml, recipe_from, recipe_path
from pipeline.settings.recipe import OUR_FIELDS, Recipe


class Command(NamedTuple):
    """What is asked for: the settings of the run, whether to go on with it, and where to publish it, if anywhere."""

    recipe: Recipe
    resume: bool
    publish: str | None


def parse_command_line(argv: list[str]) -> Command:
    """The words of a command line. Without RECIPE it is `quickstart`, or `own_faces` where `--data_path` is given.

    Raises:
        InputError: a setting that is none, or a value that it cannot have.
    """
    if {"-h", "--help"} & set(argv):
        _parser().parse_args(["--help"])
    words = list(argv)
    named = words.pop(0) if words and not words[0].startswith("-") else None
    overrides = {name: _yaml_value(name, text) for name, text in _pairs(words).items()}
    resume = overrides.pop("resume", False)
    if not isinstance(resume, bool):
        raise InputError(f"command line: --resume takes no value, not {resume!r}")
    publish = overrides.pop("publish", None)
    if publish is not None and not isinstance(publish, str):
        raise InputError("command line: --publish needs the name of a repository: --publish USER/NAME")
    name = named or ("own_faces" if "data_path" in overrides else "quickstart")
    path = recipe_path(name)
    settings = load_yaml(path)
    recipe_from(settings, f"recipe {path.name}")
    recipe = recipe_from(settings | overrides, "command line" if overrides else f"recipe {path.name}")
    recipe.name = path.stem
    recipe.trainer.setdefault("output_dir", f"runs/{path.stem}")
    recipe.trainer.setdefault("seed", 42)
    if publish and not recipe.evaluate_test:
        raise InputError("command line: --publish needs figures on test rows: add --evaluate_test true")
    return Command(recipe, resume, publish)


def _yaml_value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"command line: the value of --{name} is not YAML: {text!r}") from None


def _pairs(rest: list[str]) -> dict[str, str]:
    """`--name value` and `--name=value`; a name without a value is `true`."""
    pairs: dict[str, str] = {}
    words = list(rest)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise InputError(f"command line: {word!r} belongs to no setting; write [RECIPE] --field value ...")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
        pairs[name.replace("-", "_")] = value
    return pairs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train_hf.py",
        description="Fine-tune an image classifier on facial expressions. Every field of a recipe, and every field of "
        "transformers.TrainingArguments, can be set as --field value.",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
    )
    names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help=f"a YAML file, or one of: {names}")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--publish", metavar="USER/NAME", help="publish the finished run there with push_to_hub.py")
    for title in dict.fromkeys(f.metadata["group"] for f in OUR_FIELDS):
        group = parser.add_argument_group(title)
        for f in (f for f in OUR_FIELDS if f.metadata["group"] == title):
            default = f.default if f.default is not dataclasses.MISSING else f.default_factory()  # type: ignore[operator]
            shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else default
            unit = f" [{f.metadata['unit']}]" if f.metadata["unit"] else ""
            options = f" {{{', '.join(f.metadata['choices'])}}}" if f.metadata["choices"] else ""
            text = f"{f.metadata['help']}{options}{unit} (default: {shown})".replace("%", "%%")
            group.add_argument(f"--{f.name}", default=argparse.SUPPRESS, metavar="X", help=text)
    return parser
