"""Whatever people hold goes in right, or one line says why not: over all layouts."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.layouts.every import KINDS, LAYOUTS
from tests.data.layouts.expectation import Expected, Layout, refused, right
from tests.data.layouts.outcome import Outcome, outcome_of
from tests.data.layouts.place import LEFT_OUT, Place, Row

RIGHT = right()
CASES = [pytest.param(x, id=x.name, marks=[] if x.quick else [pytest.mark.slow]) for x in LAYOUTS]


@pytest.mark.parametrize("layout", CASES)
def test_a_layout_goes_in_right_or_one_line_says_why_not(layout: Layout, tmp_path: Path) -> None:
    outcome = outcome_of(layout, tmp_path)
    assert outcome.expected, f"{layout.title}\nexpected: {layout.expected.in_words()}\ngot: {outcome}"


def test_every_kind_of_trap_has_enough_layouts() -> None:
    assert len(LAYOUTS) >= 80
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    for kind in KINDS:
        assert len(kind.layouts) >= 5, kind.title
        assert len({layout.reader for layout in kind.layouts}) >= 3, kind.title
        assert 1 <= Counter(layout.quick for layout in kind.layouts)[True] <= 3, (
            kind.title
        )  # the default tests stay short


def first(at: Place) -> Row:
    return next(iter(at.rows.values()))[0]


def another_class(at: Place) -> None:
    first(at).label = "surprise"


def another_split(at: Place) -> None:
    next(row for (row,) in at.rows.values() if row.split == "test").split = "train"


def a_person(at: Place) -> None:
    first(at).person = "ann"


def other_shares(at: Place) -> None:
    first(at).target = [0.5, 0.5, 0, 0, 0, 0, 0]


def a_picture_less(at: Place) -> None:
    del at.rows[next(iter(at.rows))]


def a_picture_more(at: Place) -> None:
    at.cell("fear", "never written")


def junk(at: Place) -> None:
    first(at).fate = LEFT_OUT


TRUTHS = {
    another_class: "1 of surprise read as anger",
    another_split: "1 rows of train are in test",
    a_person: "1 rows with another person",
    other_shares: "targets are not the shares",
    a_picture_less: "1 rows show a picture that is not of this data set",
    a_picture_more: "1 of 57 pictures are not read, the first 'never written'; 1 pictures vanished, 0 counted",
    junk: "1 pictures that should be left out went in",
}


def outcome_of_another_truth(tmp_path: Path, change: Callable[[Place], None], expected: Expected = RIGHT) -> Outcome:
    def make(at: Place) -> None:
        at.class_folders("train/", split="train")
        at.class_folders("test/", split="test")
        change(at)

    return outcome_of(Layout("", "", make, expected, (), quick=True), tmp_path)


@pytest.mark.parametrize("change", TRUTHS, ids=lambda change: change.__name__)
def test_an_outcome_that_differs_from_the_truth_is_wrong(change: Callable[[Place], None], tmp_path: Path) -> None:
    outcome = outcome_of_another_truth(tmp_path, change)
    assert (outcome.verdict, outcome.expected) == ("WRONG", False)
    assert TRUTHS[change] in outcome.detail


def test_rows_that_go_in_where_a_refusal_is_expected_are_not_as_expected(tmp_path: Path) -> None:
    outcome = outcome_of_another_truth(tmp_path, lambda at: None, refused("class"))
    assert (outcome.verdict, outcome.expected) == ("right", False)


def test_a_refusal_without_the_words_expected_is_not_as_expected(tmp_path: Path) -> None:
    def gone(at: Place) -> None:
        shutil.rmtree(at.root)

    assert outcome_of_another_truth(tmp_path / "a", gone, refused("does not exist")).expected
    outcome = outcome_of_another_truth(tmp_path / "b", gone, refused("does not exist", "no such words"))
    assert (outcome.verdict, outcome.expected) == ("refused", False)
    assert "it does not say no such words" in outcome.detail
