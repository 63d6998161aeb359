"""Every setting has a test of its effect: a test's name begins with the name of its setting."""

import re
from pathlib import Path

from pipeline.settings.recipe import OUR_FIELDS

NAMES = [each.name for each in OUR_FIELDS]


def setting_of(test: str) -> str | None:
    """The longest name that fits: `test_crop_area_changes_every_picture` is a test of crop_area, not of crop."""
    return max((name for name in NAMES if test.startswith(f"test_{name}_")), key=len, default=None)


def test_every_setting_has_a_test_that_begins_with_its_name() -> None:
    files = Path(__file__).parent.glob("test_*_settings.py")
    tests = [test for path in files for test in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)]
    assert sorted(set(NAMES) - {setting_of(test) for test in tests}) == [], "settings without a test"


def test_the_longest_name_is_the_one_that_counts() -> None:
    assert setting_of("test_crop_area_changes_every_picture") == "crop_area"
    assert setting_of("test_cutmix_mixes_pictures_and_labels") == "cutmix"
    assert setting_of("test_cutmixer_is_nothing") is None
