"""The command line `train_hf.py [RECIPE] [--field value ...] [--resume] [--publish USER/NAME]` and its `--help`."""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from pipeline.errors import InputError, printable
from pipeline.settings.files import RECIPES, load_yaml, recipe_from, recipe_path
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.settings.schema import SHOWN, Setting
from pipeline.settings.trainer import instead_of, trainer_settings
from pipeline.settings.yaml_text import Ambiguous, read_strictly

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""A hyphen, and what text processors and chats make of one or two."""


class Command(NamedTuple):
    """What to do: the settings of the run, whether to resume it, and where to publish it (None: nowhere).

    `changed` holds the recipe file's values of the settings that the command line changed.
    """

    recipe: Recipe
    resume: bool
    publish: str | None
    changed: dict[str, Any]


def parse_command_line(argv: list[str]) -> Command:
    """Parse a command line. Without RECIPE it is `quickstart`, or `own_faces` if `--data_path` is given.

    Raises:
        InputError: an unknown setting, a setting without its value, or a value that it cannot have.
    """
    if {"-h", "--help"} & set(argv):
        _parser().parse_args(["--help"])
    words = list(argv)
    named = words.pop(0) if words and words[0][:1] not in DASHES else None
    overrides = {name: value_of(name, text) for name, text in pairs(words).items()}
    resume = overrides.pop("resume", False)
    if not isinstance(resume, bool):
        raise InputError(f"command line: --resume takes no value, but has {resume!r}")
    asked, publish = "publish" in overrides, overrides.pop("publish", None)
    if asked and not isinstance(publish, str):
        raise InputError("command line: --publish needs the name of a repository: --publish USER/NAME")
    path = recipe_path(named or ("own_faces" if "data_path" in overrides else "quickstart"))
    settings = {"output_dir": f"runs/{path.stem}", "seed": 42} | load_yaml(path)
    recipe = recipe_from(settings, f"recipe {path.name}", path.stem)
    before = recipe.settings()
    if overrides:
        recipe = recipe_from(settings | overrides, "command line", path.stem)
    changed = {name: before.get(name) for name, value in recipe.settings().items() if before.get(name) != value}
    if publish and not recipe.evaluate_test:
        raise InputError("command line: --publish needs metrics on test rows: add --evaluate_test true")
    return Command(recipe, resume, publish, changed)


def describe_changes(recipe: Recipe, changed: dict[str, Any]) -> str:
    """What the command line changed of a recipe, a line each, and where all settings are written."""
    settings = recipe.settings()
    words = [f"  {name} {settings[name]} ({_before(value)})" for name, value in changed.items()]
    heading = f"recipe {recipe.name}, with" if words else f"recipe {recipe.name} as it is"
    return "\n".join([heading, *words, f"all settings: {recipe.output_dir / 'recipe.yaml'}"])


def _before(value: Any) -> str:
    return "not in the recipe" if value is None else f"recipe: {value}"


def pairs(rest: list[str]) -> dict[str, str | None]:
    """`--name value` and `--name=value`; None for a name without a value.

    Raises:
        InputError: a word belongs to no setting, or a setting is given twice.
    """
    found: dict[str, str | None] = {}
    words = list(rest)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word.partition("=")[0] == "--":
            raise InputError(f"command line: {_no_setting(word)}")
        name, equals, text = word[2:].partition("=")
        name, follows = name.replace("-", "_"), words and not words[0].startswith("--")
        value = text if equals else words.pop(0) if follows else None
        if name in found:
            values = _both(name, found[name], value)
            raise InputError(f"command line: --{name} stands there twice{values}; give it once")
        found[name] = value
    return found


def replaced(words: Sequence[str], **settings: object) -> list[str]:
    """Words of a command line with other values for these settings."""
    kept, dropping = [], False
    for word in words:
        if word.startswith("--"):
            dropping = word[2:].partition("=")[0].replace("-", "_") in settings
        if not dropping:
            kept.append(word)
    return kept + [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def _both(name: str, first: str | None, second: str | None) -> str:
    """The two values of a setting; of any other name they are not shown, because one may be a token."""
    if name not in _known() or instead_of(name):
        return ""
    shown = ["no value" if text is None else repr(text[:SHOWN]) for text in (first, second)]
    return f", with {' and '.join(shown)}"


def _no_setting(word: str) -> str:
    """Why a word is neither a setting nor its value; a dash that a text processor made of two hyphens is named."""
    name = word.lstrip(DASHES).partition("=")[0]
    if word[0:1] in DASHES and name.replace("-", "_") in {*_known(), "resume", "publish"}:
        return f"{word!r} does not begin with two hyphens; write --{name}"
    return f"{word!r} belongs to no setting; write [RECIPE] --field value ..., the recipe first"


def _known() -> dict[str, Setting]:
    return {each.name: each for each in OUR_FIELDS} | trainer_settings()


def value_of(name: str, text: str | None) -> Any:
    """The value as YAML reads it; true for a switch without a value. An empty text, as of a shell variable that is not
    set, is not a value. A setting that is text has it as it was typed, because YAML takes ` #1` for a comment."""
    setting = _known().get(name)
    if setting and (text.strip() == "" if text is not None else not setting.is_switch):
        raise InputError(f"command line: --{name} needs a value: {setting.value}")
    if text is None:
        return True
    if name == "publish":
        return text.strip() or None
    is_quoted = len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] in ("'", '"')
    if setting and setting.is_text and not is_quoted and text.strip().lower() not in ("null", "~"):
        if printable(text) != text:
            raise InputError(f"command line: --{name} holds a character that cannot be shown: {text[:SHOWN]!r}")
        return text.strip()
    try:
        return read_strictly(text)
    except Ambiguous as error:
        raise InputError(f"command line: the value of --{name}: {error.words}") from None
    except yaml.YAMLError:
        raise InputError(f"command line: the value of --{name} is not YAML: {text[:SHOWN]!r}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train_hf.py",
        description="Fine-tune an image classifier on facial expressions. Every field of a recipe, and every field of "
        "transformers.TrainingArguments, can be set as --field value.",
        epilog="docs/settings.md also lists the fields of TrainingArguments that are checked or refused.",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
    )
    names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help=f"a YAML file, or one of: {names}")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--publish", metavar="USER/NAME", help="publish the finished run there with push_to_hub.py")
    for title in dict.fromkeys(each.group for each in OUR_FIELDS):
        group = parser.add_argument_group(title)
        for each in (each for each in OUR_FIELDS if each.group == title):
            unit = f", in {each.unit}" if each.unit else ""
            text = f"{each.help} [{each.value}{unit}] (default: {each.default_in_words})".replace("%", "%%")
            group.add_argument(f"--{each.name}", default=argparse.SUPPRESS, metavar="X", help=text)
    return parser
