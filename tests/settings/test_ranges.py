"""A value below or above the range of a setting is refused in one line, and so is one of another type."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.files import recipe_from
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.settings.schema import Setting, flat
from pipeline.settings.trainer import trainer_settings

CHECKED = [*OUR_FIELDS, *(each for each in trainer_settings().values() if each.help)]
NUMERIC = [each for each in CHECKED if {int, float} & set(flat(each.kind))]


def limits(kind: Any) -> Iterator[Any]:
    """The limits of a kind, in whatever it is wrapped."""
    if get_origin(kind) is Annotated:
        for each in kind.__metadata__:
            yield from each.metadata if isinstance(each, FieldInfo) else [each]
    for part in get_args(kind):
        yield from limits(part)


def outside(each: Setting) -> Iterator[tuple[str, float]]:
    """Values just out of range, at both ends."""
    step = 1 if int in flat(each.kind) else 1e-6
    for limit in limits(each.kind):
        for name, value in (("ge", -step), ("gt", 0), ("le", step), ("lt", 0)):
            if hasattr(limit, name) and not (each.name in ("save_steps", "logging_steps") and name == "lt"):
                yield each.name, getattr(limit, name) + value


BAD = [case for each in NUMERIC for case in outside(each)]
WRONG_TYPES = [(each, value) for each in NUMERIC for value in (True, "many", math.nan, math.inf, [1])]
WRONG_TYPES += [(each, 1.5) for each in NUMERIC if float not in flat(each.kind)]
WRONG_TYPES += [(each, value) for each in CHECKED if each.value == "true or false" for value in (1, "yes", None)]


def refused(name: str, value: Any) -> str:
    with pytest.raises(InputError) as error:
        recipe_from({name: value}, "test")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_number_has_a_range() -> None:
    unbounded = [each.name for each in NUMERIC if not list(outside(each))]
    assert unbounded == ["screening_cut"], (
        "its range is that of the scores: test_screening_cut_adds_what_is_found_at_it"
    )


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, value: float) -> None:
    each = next(each for each in CHECKED if each.name == name)
    assert refused(name, value) == f"test: {name} is {value!r}; it must be {each.value}"


@pytest.mark.parametrize(("each", "value"), WRONG_TYPES, ids=lambda each: getattr(each, "name", repr(each)))
def test_a_value_of_another_type_is_refused_with_the_type(each: Setting, value: Any) -> None:
    assert refused(each.name, value) == f"test: {each.name} is {value!r}; it must be {each.value}"


@pytest.mark.parametrize("value", ["1e300", "-1e300", "1e11", "9" * 500], ids=lambda value: value[:9])
@pytest.mark.parametrize("each", NUMERIC, ids=lambda each: each.name)
def test_a_finite_number_beyond_any_use_is_refused_in_a_line_of_readable_length(each: Setting, value: str) -> None:
    with pytest.raises(InputError, match=f"command line: {each.name} is ") as said:
        parse_command_line([f"--{each.name}={value}"])
    assert "\n" not in str(said.value) and len(str(said.value)) < 250


def test_a_number_that_yaml_cannot_hold_is_refused() -> None:
    for value in ("9" * 5000, "2026-99-99"):
        with pytest.raises(InputError, match="command line: the value of --max_steps is not YAML: "):
            parse_command_line(["--max_steps", value])


@pytest.mark.parametrize("each", CHECKED, ids=lambda each: each.name)
def test_the_limits_that_a_range_includes_are_taken(each: Setting) -> None:
    for limit in limits(each.kind):
        for name in ("ge", "le"):
            if hasattr(limit, name) and not isinstance(each.default, dict):
                fitting = {"validation_share": 0.0, "test_share": 0.0, "image_size": 16_384}
                recipe_from(fitting | {each.name: getattr(limit, name)}, "test")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"row_weights": {"sadness": -1}}, "row_weights: sadness is -1; it must be a number of at least 0"),
        ({"caps": {"sadness": 1.5}}, "caps: sadness is 1.5; it must be a whole number of at least 0"),
        ({"caps": [3]}, "caps is [3]; it must be a mapping of names to a whole number of at least 0"),
        ({"classes": ["happiness", True]}, "classes: entry 2 is True; it must be text"),
        ({"classes": 7}, "classes is 7; it must be a list of names"),
        ({"sources": "DIR"}, "sources is 'DIR'; it must be a list of mappings"),
        ({"sources": [{"data_path": "a", "crop": "face"}]}, "sources: crop is 'face'; it must be one of none, detect"),
        ({"class_map": {"a": True}}, "class_map: a is True; it must be text or null"),
        ({"vit_config": 3}, "vit_config is 3; it must be a mapping such as {name: value}"),
        ({"data_path": True}, "data_path is True; it must be text or null"),
        ({"disable_tqdm": "yes"}, "disable_tqdm is 'yes'; it must be true or false or null"),
        ({"optim": "sgdd"}, "optim is 'sgdd'; it must be one of adamw_torch, "),
        ({"lr_scheduler_type": "cosin"}, "; the nearest is cosine"),
        ({"save_strategy": "best"}, "save_strategy is 'best'; it must be one of epoch, steps"),
        ({"freeze": "backbones"}, "freeze is 'backbones'; it must be one of none, backbone; the nearest is backbone"),
    ],
    ids=str,
)
def test_any_other_value_is_refused_with_what_it_must_be(settings: dict[str, Any], words: str) -> None:
    ((name, value),) = settings.items()
    assert words in refused(name, value)


def test_an_absurd_number_inside_a_mapping_is_refused_too() -> None:
    assert "vit_config is 1e+300, and no setting goes beyond" in refused("vit_config", {"deep": [{"er": 1e300}]})


def test_yaml_false_is_the_choice_no() -> None:
    assert recipe_from({"logging_strategy": False}, "test").trainer["logging_strategy"] == "no"


def test_a_recipe_made_in_code_is_checked_too() -> None:
    with pytest.raises(InputError, match=r"^flip is 2; it must be a number from 0 to 1$"):
        Recipe(flip=2)
    with pytest.raises(InputError, match="unknown setting flap"):
        Recipe(flap=1)


@pytest.mark.parametrize(
    "typed",
    [
        {"lr_scheduler_kwargs": {"power": float("nan")}},
        {"lr_scheduler_kwargs": {"deep": {"er": [1, float("inf")]}}},
        {"vit_config": {"layer_norm_eps": float("nan")}},
        {"gradient_checkpointing_kwargs": {"context": {"depth": float("inf")}}},
        {"sources": [{"caps": {"fear": float("nan")}}]},
        {"vit_config": {"deep": [{"er": float("-inf")}]}},
    ],
    ids=str,
)
def test_a_number_inside_a_mapping_is_finite_too(typed: dict) -> None:
    with pytest.raises(InputError, match=f"{next(iter(typed))} holds (nan|-?inf); every number in it must be finite"):
        recipe_from({"output_dir": "runs/x"} | typed, "test")
