"""Contact sheets: faces of each class and source, and the names in the source that became the class."""

import re
from dataclasses import replace

import pytest

from pipeline.data.contact_sheet import contact_sheets
from pipeline.data.curated_folder import write_curated
from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, fill

NAMES = {"happy": {"happiness": 30}, "joy": {"happiness": 2}, "sad": {"sadness": 20}, "bored": {"left out": 3}}


@pytest.fixture
def two_sources(tmp_path):
    """The sources `one`, which says what it called its classes, and `two`, which does not; curated."""
    fill(tmp_path / "one", 30, 20)
    fill(tmp_path / "two", 11, 30, start=20000)
    entries = [{"data_path": str(tmp_path / name)} for name in ("one", "two")]
    recipe = Recipe(sources=entries, **TWO)
    one, two = read_sources(recipe)
    return curate([named(one, NAMES), named(two, {})], recipe)


def named(reading, names):
    return Reading(tuple(replace(source, names=names) for source in reading.sources), reading.tables)


def test_every_class_of_every_source_has_a_sheet_of_at_most_twelve_faces(two_sources):
    sheets = contact_sheets(two_sources.report, two_sources.rows)
    assert [(s.name, s.source, len(s.faces)) for s in sheets] == [
        ("happiness", "one", 12),
        ("happiness", "two", 11),
        ("sadness", "one", 12),
        ("sadness", "two", 12),
    ]
    assert all(len({face["caption"] for face in sheet.faces}) == len(sheet.faces) for sheet in sheets)


def test_a_sheet_shows_rows_of_its_class_and_source_from_all_splits(two_sources):
    for sheet in contact_sheets(two_sources.report, two_sources.rows):
        rows = {
            f"{split} {key}"
            for split, table in two_sources.splits.items()
            for key, label, source in zip(table["key"], table["label"], table["source"], strict=True)
            if (TWO["classes"][label], source) == (sheet.name, sheet.source)
        }
        assert {face["caption"] for face in sheet.faces} <= rows and sheet.rows == len(rows)


def test_the_faces_are_the_same_every_time_and_not_the_first(two_sources):
    one, again = (contact_sheets(two_sources.report, two_sources.rows) for _ in range(2))
    assert one == again
    keys = [face["caption"].split("/")[-1] for face in one[2].faces]
    assert keys != sorted(keys)


def test_a_sheet_names_what_became_its_class(two_sources):
    sheets = contact_sheets(two_sources.report, two_sources.rows)
    assert [sheet.read_from for sheet in sheets] == ["happy 30, joy 2", "", "sad 20", ""]


def test_the_page_shows_sheets_and_the_table_of_names_for_data_without_votes(two_sources, tmp_path):
    write_curated(tmp_path / "out", two_sources)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    sheets = page.split("<h2>What each class shows</h2>")[1].split("<h2>")[0]
    assert sheets.count("data:image/png;base64,") == 12 + 11 + 12 + 12
    assert "one: happy 30, joy 2 → happiness; 30 rows to use" in sheets
    table = page.split("<h2>Names in the source</h2>")[1].split("</table>")[0]
    assert re.findall(r'<td class="text">(\w+)<td class="text[ a-z]*">([\w ]+)<td>(\d+)', table) == [
        ("happy", "happiness", "30"),
        ("joy", "happiness", "2"),
        ("sad", "sadness", "20"),
        ("bored", "left out", "3"),
    ]
