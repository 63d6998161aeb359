"""A bad value of any field of TrainingArguments is refused in one line before data is read, or is harmless."""

import pytest

from pipeline.errors import InputError
from pipeline.settings.files import recipe_from
from pipeline.settings.trainer import instead_of, trainer_settings
from tests.benchmarks.trainer_fields import HARMLESS, IMPOSSIBLE, bad_values, tried

FIELDS = [name for name in trainer_settings() if not instead_of(name)]


@pytest.mark.parametrize("field", FIELDS)
def test_a_bad_value_of_any_field_is_refused_in_one_line_before_data_is_read(field: str, on_cpu) -> None:
    for value in bad_values(field):
        each = tried(field, value)
        assert each.stage != "trains" or field in HARMLESS, each
        assert "\n" not in each.words and each.words, each
        if each.stage != "trains":
            assert field in each.words or "TrainingArguments: " in each.words, "it names the field"


@pytest.mark.parametrize(("field", "value"), IMPOSSIBLE, ids=str)
def test_a_value_that_does_not_work_here_is_refused_before_data_is_read(field: str, value, on_cpu) -> None:
    each = tried(field, value)
    assert each.stage in ("arguments", "trial step") and "\n" not in each.words


@pytest.mark.parametrize("field", sorted(set(trainer_settings()) - set(FIELDS)))
def test_a_refused_field_says_what_to_use_instead(field: str) -> None:
    with pytest.raises(InputError, match=f"{field} is not a setting here: ."):
        recipe_from({field: 1}, "test")


def test_only_existing_fields_are_documented_as_harmless() -> None:
    assert set(FIELDS) >= set(HARMLESS)
