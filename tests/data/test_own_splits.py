"""Splits that data comes with and that hold no row: said, refused or left out on request, never silently replaced."""

import pytest
from PIL import Image as PILImage

from pipeline.data.curation import curate_sources
from pipeline.data.readers import read_sources
from pipeline.data.table import split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, curated, fill, only, pixels, save


def said(path, **settings):
    lines = []
    recipe = Recipe(data_path=str(path), **(TWO | {"leaks": "report"} | settings))
    return curate_sources(recipe, lines.append), lines


def test_a_test_split_without_class_folders_is_refused_with_count_and_what_to_type(tmp_path):
    fill(tmp_path / "train", 12, 12)
    for index in range(3):
        save(tmp_path / "test" / f"{index}.png", 9000 + index)
    with pytest.raises(
        InputError, match=r": no row of its split test is left \(left out: 3 .*--splits_left_out test to go on"
    ):
        curated(tmp_path)


def test_a_split_whose_rows_are_all_left_out_is_refused_with_the_reason(tmp_path):
    fill(tmp_path / "train", 12, 12)
    for index in range(4):
        save(tmp_path / "val" / "contempt" / f"{index}.png", 9000 + index)
    with pytest.raises(InputError, match=r"its split validation is left \(left out: 4 contempt\)"):
        curated(tmp_path)


def test_a_csv_split_without_labels_is_refused(tmp_path):
    fill(tmp_path, 12, 12)
    rows = [
        f"{p.relative_to(tmp_path)},{'' if p.stem > '008' else p.parent.name},{'test' if p.stem > '008' else 'train'}"
        for p in sorted(tmp_path.rglob("*.png"))
    ]
    (tmp_path / "faces.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    with pytest.raises(InputError, match=r"its split test is left \(left out: 6 no label\)"):
        curated(tmp_path)


def test_a_split_of_unusable_pictures_is_refused(tmp_path):
    fill(tmp_path / "train", 12, 12)
    (tmp_path / "test" / "happy").mkdir(parents=True)
    (tmp_path / "test" / "happy" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"its split test is left \(left out: 1 pictures that cannot be used\)"):
        curated(tmp_path, max_bad_share=0.5)


def test_a_train_split_without_rows_has_no_way_around_it(tmp_path):
    fill(tmp_path / "test", 12, 12)
    save(tmp_path / "train" / "contempt" / "a.png", 9000)
    with pytest.raises(InputError, match=r"its split train is left \(left out: 1 contempt\)") as refused:
        curated(tmp_path)
    assert "splits_left_out" not in str(refused.value)


@pytest.mark.parametrize("inside", ["", "happy"])
def test_a_split_folder_without_files_is_said_and_made(tmp_path, inside):
    fill(tmp_path / "train", 20, 20)
    (tmp_path / "val" / inside).mkdir(parents=True)
    result, lines = said(tmp_path)
    assert result.report["rows"]["validation"] == {"happiness": 2, "sadness": 2}
    assert result.report["empty_splits"] == {tmp_path.name: ["validation"]}
    assert f"data: {tmp_path.name}: its split validation is empty; validation is made of train rows" in lines


def test_an_empty_test_folder_without_a_test_share_gives_no_test(tmp_path):
    fill(tmp_path / "train", 20, 20)
    (tmp_path / "test").mkdir()
    result, lines = said(tmp_path, test_share=0.0)
    assert list(result.splits) == ["train", "validation"]
    assert f"data: {tmp_path.name}: its split test is empty; the run has no test" in lines


def test_an_empty_split_beside_photos_without_a_face_is_empty(tmp_path, monkeypatch):
    """Photos without a face are counted by split: those of train say nothing about validation."""
    from tests.data.test_face_crops import Squares, squares_photo

    monkeypatch.setattr("pipeline.crop.load_detector", lambda weights: Squares())
    for label, left in (("happy", 20), ("sad", 60)):
        for index in range(10):
            path = tmp_path / "train" / label / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PILImage.fromarray(squares_photo((left + index, 30 + index, 50 + index))).save(path)
    PILImage.fromarray(pixels(1) // 4).save(tmp_path / "train" / "happy" / "none.png")
    (tmp_path / "val").mkdir()
    settings = {"crop": "detect", "face_detector": str(tmp_path), "image_size": 48, "near_copies": False}
    result, _ = said(tmp_path, **settings)
    assert result.report["empty_splits"] == {tmp_path.name: ["validation"]}
    assert only(result)["left_out"]["train"] == {"without a face": 1}


def test_a_split_that_is_left_out_on_request_is_counted_and_made_of_train_rows(tmp_path):
    fill(tmp_path / "train", 20, 20)
    fill(tmp_path / "test", 4, 4, start=5000)
    result, lines = said(tmp_path, splits_left_out=["test"])
    assert all(key.startswith("train/") for key in result.splits["test"]["key"])
    assert only(result)["left_out"]["test"] == {"by splits_left_out": 8}
    assert f"data: {tmp_path.name}, left out of test: 8 by splits_left_out" in lines


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["tset"], "splits_left_out: 'tset' is not a split; splits are train, validation"),
        (["validation"], "has only train, test, so validation cannot be left out"),
    ],
)
def test_a_split_that_is_not_there_cannot_be_left_out(tmp_path, splits, message):
    fill(tmp_path / "train", 2, 2)
    fill(tmp_path / "test", 2, 2, start=5000)
    with pytest.raises(InputError, match=message):
        read_sources(Recipe(data_path=str(tmp_path), splits_left_out=splits, **TWO))


def test_partial_train_is_the_train_split_that_the_hub_converted_in_part() -> None:
    assert [split_of(name) for name in ("partial-train", "partial-test", "partial")] == ["train", "test", None]
