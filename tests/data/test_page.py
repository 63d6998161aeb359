"""The curation page: what it shows, and that it loads nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from datasets import Features, Value

from pipeline.curation import main
from pipeline.data import measure
from pipeline.data.curated_folder import write_curated
from pipeline.data.page import vote_entropy
from pipeline.drawn.face import draw_face
from tests.data.folders import SCRIPT, curated, draw_splits, words


@pytest.fixture
def faces(tmp_path):
    return draw_splits(tmp_path / "faces")


def page_of(folder, out):
    main(words(folder, out, "--leaks", "report"))
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_page_shows_copies_escapes_names_and_loads_nothing(faces, tmp_path):
    page = page_of(faces, tmp_path / "out")
    assert "validation in train" in page and "&lt;script&gt;alert(1)&lt;&amp;.png" in page and "<script>" not in page
    assert page.count("data:image/png;base64,") == 1, "the copy is shown"
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|url\(|@import""", page)
    assert "Every picture has one label, without votes." in page


def test_the_page_counts_rows_by_source_class_and_split(faces, tmp_path):
    page = page_of(faces, tmp_path / "out")
    assert '<tr><td>faces<td class="text">sadness<td>4<td>5<td>4</tr>' in page


def test_a_near_copy_is_shown_beside_its_picture(faces, tmp_path):
    (faces / "val" / "sadness" / SCRIPT).unlink()
    draw_face("happiness", seed=5, index=1, size=48).resize((80, 80)).save(faces / "val" / "happiness" / "near.png")
    page = page_of(faces, tmp_path / "out")
    assert page.count("data:image/png;base64,") == 2
    assert "validation val/happiness/near.png ~ train train/happiness/1.png: happiness" in page


def test_a_measured_column_in_front_of_the_others_changes_nothing(tmp_path, monkeypatch):
    """Measures go by name. By position, a column before `width` would be shown under the heading of the width."""
    before = page_of(draw_splits(tmp_path / "before" / "faces"), tmp_path / "before" / "out")
    plain = measure.measure_picture
    monkeypatch.setattr(measure, "FEATURES", Features({"sharpness": Value("float32"), **measure.FEATURES}))
    monkeypatch.setattr(measure, "measure_picture", lambda cell: {"sharpness": 7.0, **plain(cell)})
    after = page_of(draw_splits(tmp_path / "after" / "faces"), tmp_path / "after" / "out")
    assert before == after
    assert "<td>48 (48 to 48)" in before


def test_every_measure_stands_under_its_heading(faces, tmp_path):
    curation = curated(faces)
    train = curation.rows["train"]
    values = {"width": 11, "height": 22, "brightness": 33, "contrast": 44}
    known = {name: np.full(len(train), value, np.float32) for name, value in values.items()}
    write_curated(tmp_path / "out", replace(curation, rows=curation.rows | {"train": replace(train, **known)}))
    table = re.split("<h2>Size and light</h2>", (tmp_path / "out" / "index.html").read_text(encoding="utf-8"))[1]
    headings = re.findall(r"<th>(\w+), ", table)
    assert dict(zip(headings, map(int, re.findall(r"<td>(\d+) \(", table)), strict=False)) == values


def test_entropy_is_in_bits():
    even, agreed = np.full((1, 4), 0.25), np.eye(4)[:1]
    assert vote_entropy(np.concatenate([even, agreed])).tolist() == pytest.approx([2.0, 0.0], abs=1e-9)
