"""`--help` and docs/settings.md come from the fields, and Trainer's fields from the installed transformers."""

import dataclasses
import re
import subprocess
import sys
from enum import Enum
from typing import get_type_hints

import pytest
from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from pipeline.settings.files import recipe_from
from pipeline.settings.recipe import OUR_FIELDS
from pipeline.settings.reference import PAGE, page
from pipeline.settings.trainer import DEFAULTS, REFUSED, TrainerRanges, instead_of
from pipeline.settings.trainer_source import trainer_fields
from tests.conftest import ROOT


def without_torch(*words: str) -> subprocess.CompletedProcess[str]:
    """`python train_hf.py WORDS` in a process that fails if it imports torch or transformers."""
    code = "import runpy, sys; sys.argv[0] = 'train_hf.py'\n"
    code += "try: runpy.run_path('train_hf.py', run_name='__main__')\n"
    code += "finally: assert not {'torch', 'transformers'} & sys.modules.keys()"
    return subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_help_names_every_setting_of_ours_with_its_default_and_needs_no_torch() -> None:
    shown = without_torch("--help")
    assert shown.returncode == 0, shown.stderr
    for setting in OUR_FIELDS:
        assert f"--{setting.name} X" in shown.stdout
    assert " ".join(shown.stdout.split()).count("(default: ") == len(OUR_FIELDS)


@pytest.mark.parametrize("words", [("--flip", "2"), ("--learning_rate", "-1"), ("--learnin_rate", "1"), ("--seed",)])
def test_a_mistyped_setting_needs_no_torch(words: tuple[str, ...]) -> None:
    ended = without_torch(*words)
    assert ended.returncode == 2 and ended.stderr.startswith("error: command line: "), ended.stderr


def test_docs_settings_md_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m pipeline.settings --write"


def test_docs_name_every_setting_of_ours_and_every_field_of_trainer_that_is_checked_or_refused() -> None:
    rows = re.findall(r"^\| `(\w+)`", page(), re.MULTILINE)
    assert rows[: len(OUR_FIELDS)] == [each.name for each in OUR_FIELDS]
    assert set(rows[len(OUR_FIELDS) :]) == get_type_hints(TrainerRanges).keys() | REFUSED.keys()


# Trainer's fields, which are read from the source of transformers


def test_the_fields_of_trainer_are_those_of_the_installed_transformers() -> None:
    fields = {f.name: f for f in dataclasses.fields(TrainingArguments) if f.init}
    read = trainer_fields()
    assert read.keys() == fields.keys()
    assert REFUSED.keys() | TrainerRanges.__annotations__.keys() | DEFAULTS.keys() <= fields.keys()
    for name in fields.keys() - {"optim", "include_for_metrics"}:  # whose defaults are computed
        assert read[name].default == fields[name].default, name


def test_every_field_of_trainer_takes_its_own_default() -> None:
    for name, field in trainer_fields().items():
        if field.default is not None and instead_of(name) is None:
            assert recipe_from({name: field.default}, "test").trainer[name] == field.default


@pytest.mark.parametrize(("name", "kind"), [("lr_scheduler_type", SchedulerType), ("optim", OptimizerNames)])
def test_the_choices_of_trainer_are_those_of_the_installed_transformers(name: str, kind: type[Enum]) -> None:
    for choice in kind:
        assert recipe_from({name: choice.value}, "test").trainer[name] == choice.value
