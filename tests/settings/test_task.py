"""The task: one seam, and settings that belong to one task."""

import re
from typing import Any, Literal, get_args, get_origin

import pytest

from pipeline.errors import InputError
from pipeline.settings.recipe import OUR_FIELDS
from pipeline.settings.schema import Setting, flat
from tests.conftest import ROOT
from tests.scores import scored_recipe

TABLES = {
    "pipeline/task.py",
    "pipeline/settings/recipe.py",  # which settings are of one task
    "pipeline/data/labelling.py",
    "pipeline/training/objectives.py",
    "pipeline/evaluation/tasks.py",
    "pipeline/run_folder.py",  # what files from before there were two tasks hold
    "hub/card/card.py",
    "hub/card/metadata.py",
    "hub/card/schema.py",  # what evaluation.json holds
    "hub/server/engine.py",  # travels alone, and reads config.json itself
}


def other_value(each: Setting) -> Any:
    """A value of a setting that is not its default."""
    (kind, *_) = flat(each.kind)
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != each.default)
    if get_origin(kind) is dict:
        return {"happy": [0.0, 1.0] if each.name == "score_ranges" else "anger"}
    if get_origin(kind) is list:
        return ["anger", "fear"]
    return "column" if kind is str else 2 if kind is int else 0.25


@pytest.mark.parametrize("each", [s for s in OUR_FIELDS if s.task], ids=lambda each: each.name)
def test_a_setting_of_one_task_is_refused_in_the_other(each: Setting) -> None:
    other = {"classification": "regression", "regression": "classification"}[each.task]
    settings = {"task": other, "scores": ["intensity"] if other == "regression" else []}
    with pytest.raises(InputError, match=f"{each.name} is a setting of task {each.task}, and this is task {other}"):
        scored_recipe(**settings | {each.name: other_value(each)})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scores": []}, r"scores is \[\]; name every one of them once"),
        ({"scores": ["a", "A "]}, "name every one of them once"),
        ({"score_ranges": {"valence": [0.0, 1.0]}}, "score_ranges has valence: .*one of the scores intensity"),
        ({"score_ranges": {"intensity": [1.0, 0.0]}}, "give the lowest and the highest value"),
        ({"score_ranges": {"intensity": [1.0]}}, "give the lowest and the highest value"),
        ({"score_ranges": {"intensity": 1}}, "score_ranges: intensity is 1; it must be a list of finite numbers"),
        ({"score_ranges": {"intensity": [0.0, float("inf")]}}, "it must be a list of finite numbers"),
        ({"score_loss": "l1"}, "score_loss is 'l1'; it must be one of ccc, mse, both"),
        ({"task": "ranking"}, "task is 'ranking'; it must be one of classification, regression"),
    ],
)
def test_mistakes_in_settings_of_scores_end_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        scored_recipe(**settings)


def test_the_task_is_asked_in_one_module_and_looked_up_in_tables() -> None:
    asking = set()
    for folder in ("pipeline", "hub"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"[\"'](regression|classification)[\"']", path.read_text()):
                asking.add(path.relative_to(ROOT).as_posix())
    assert asking == TABLES
