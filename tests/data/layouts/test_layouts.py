"""Whatever people hold goes in right, or one line says why not: over all layouts."""

from collections import Counter
from pathlib import Path

import pytest

from tests.data.layouts.every import KINDS, LAYOUTS
from tests.data.layouts.expectation import Layout
from tests.data.layouts.outcome import outcome_of

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
        assert Counter(layout.quick for layout in kind.layouts)[True] == 1, kind.title
