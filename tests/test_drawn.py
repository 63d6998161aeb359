from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train_hf
from pipeline.data.readers import drawn, read_source
from pipeline.data.table import Reading
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe


def read(**settings: Any) -> Reading:
    return read_source(Recipe(source="drawn", **({"drawn_faces": 100} | settings)))


def pixels(label: str, seed: int = 0, index: int = 0, size: int = 64) -> np.ndarray:
    return np.asarray(draw_face(label, seed, index, size), dtype=int)


@pytest.mark.parametrize("label", CLASSES)
def test_the_same_arguments_draw_the_same_pixels(label: str) -> None:
    assert np.array_equal(pixels(label, 3, 14), pixels(label, 3, 14))


def test_another_index_or_seed_draws_another_picture() -> None:
    faces = {pixels("fear", seed, index).tobytes() for seed in range(3) for index in range(30)}
    assert len(faces) == 90


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("label", [c for c in CLASSES if c != "neutral"])
def test_an_expression_moves_the_face_and_leaves_the_background(label: str, index: int) -> None:
    change = np.abs(pixels(label, 0, index) - pixels("neutral", 0, index)).max(axis=2)
    assert (change[12:52, 12:52] > 40).mean() > 0.015
    assert change[:8, :3].max() == change[:8, -3:].max() == 0


def test_a_face_has_the_size_asked_for_in_rgb() -> None:
    face = draw_face("happiness", 0, 0, size=100)
    assert face.size == (100, 100)
    assert face.mode == "RGB"


def test_people_differ_in_skin_place_and_light() -> None:
    faces = np.stack([pixels("neutral", 0, index) for index in range(60)])
    middle = faces[:, 28:36, 28:36].mean(axis=(1, 2, 3))
    assert middle.max() - middle.min() > 100
    assert faces.std(axis=0).min() > 25


def test_splits_share_70_15_15_and_are_disjoint() -> None:
    tables = read().tables
    assert {split: len(table) for split, table in tables.items()} == {"train": 70, "validation": 15, "test": 15}
    keys = [key for table in tables.values() for key in table["key"]]
    assert len(set(keys)) == 100


def test_more_faces_keep_the_split_and_the_label_of_the_first_ones() -> None:
    few, many = read(drawn_faces=60).tables, read(drawn_faces=100).tables
    for split in few:
        known = dict(zip(many[split]["key"], many[split]["label"], strict=True))
        assert all(known[k] == label for k, label in zip(few[split]["key"], few[split]["label"], strict=True))


def test_a_row_is_the_picture_of_its_key_and_its_target_is_its_label() -> None:
    table = read(split_seed=5).tables["train"]
    for row in table.select(range(5)):
        again = pixels(CLASSES[row["label"]], 5, int(row["key"].removeprefix("drawn-")))
        assert np.array_equal(np.asarray(row["image"]), again)
        assert row["target"] == [float(i == row["label"]) for i in range(len(CLASSES))]
        assert row["person"] is None


def test_every_class_is_drawn_about_equally_often() -> None:
    labels = np.array(read(drawn_faces=400).tables["train"]["label"])
    assert np.bincount(labels, minlength=7).min() > 20


def test_the_order_of_a_subset_of_classes_changes_labels_and_no_picture() -> None:
    one, other = (read(classes=c).tables["test"] for c in (["surprise", "anger"], ["anger", "surprise"]))
    assert one.features["label"].names == ["surprise", "anger"]
    assert [1 - label for label in one["label"]] == list(other["label"])
    assert [len(t) for t in one["target"]] == [2] * 15
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one["image"], other["image"], strict=True))


def test_the_second_reading_comes_from_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read().tables["train"]
    monkeypatch.setattr(drawn, "draw_face", None)
    second = read().tables["train"]
    assert first.cache_files == second.cache_files
    assert first._fingerprint == second._fingerprint


def test_another_version_of_the_drawing_code_is_not_served_from_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read().tables["train"].cache_files
    monkeypatch.setattr(drawn, "_code", lambda: "other code")
    assert read().tables["train"].cache_files != before


def test_a_class_that_cannot_be_drawn_is_named() -> None:
    with pytest.raises(InputError, match="'contempt' cannot be drawn"):
        read(classes=["anger", "contempt"])
    with pytest.raises(InputError, match="'contempt' cannot be drawn"):
        draw_face("contempt", 0, 0)


def test_too_few_faces_for_three_splits_are_refused() -> None:
    with pytest.raises(InputError, match="drawn_faces is 19"):
        read(drawn_faces=19)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--drawn_faces", "7"], "drawn_faces is 7; draw at least 20"),
        (["--classes", "[happiness, contempt]"], "classes: 'contempt' cannot be drawn"),
        (["--max_train_samples", "6"], "max_train_samples is 6, but train needs at least 7 rows"),
    ],
)
def test_what_settings_make_impossible_is_refused_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_hf.main(["quickstart", *words, "--output_dir", str(tmp_path / "run")])
    assert capsys.readouterr().out == "" and not (tmp_path / "run").exists()
