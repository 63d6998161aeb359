"""What official splits have in common, exact copies, near copies and persons, under each value of `leaks`."""

import json

import pytest
from PIL import ImageEnhance, ImageOps

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, curated, fill, keys, save


def test_copies_across_official_splits_are_counted_and_marked(tmp_path):
    fill(tmp_path / "train", 3, 3)
    fill(tmp_path / "val", 2, 2, start=5000)
    fill(tmp_path / "test", 2, 2, start=7000)
    save(tmp_path / "val" / "sad" / "of-train.bmp", 0)
    save(tmp_path / "test" / "sad" / "of-train.bmp", 0)
    save(tmp_path / "test" / "sad" / "of-validation.bmp", 5000)
    result = curated(tmp_path)
    assert result.report["copies"]["exact"] == {"test_in_train": 1, "validation_in_train": 1, "test_in_validation": 2}
    marked = {
        s: [k for k, c in zip(t["key"], t["clean"], strict=True) if not c] for s, t in list(result.splits.items())[1:]
    }
    assert marked["validation"] == ["val/sad/of-train.bmp"]
    assert marked["test"] == ["test/sad/of-train.bmp", "test/sad/of-validation.bmp"]
    assert "clean" not in result.splits["train"].column_names
    json.dumps(result.report)


@pytest.fixture
def leaking(tmp_path):
    """Official splits with a copy of a train picture in validation, and of both in test; ann is in train and test."""
    fill(tmp_path / "train", 4, 4)
    fill(tmp_path / "val", 3, 3, start=5000)
    fill(tmp_path / "test", 3, 3, start=7000)
    save(tmp_path / "val" / "sad" / "of-train.bmp", 0)
    save(tmp_path / "test" / "sad" / "of-train.bmp", 1)
    save(tmp_path / "test" / "sad" / "of-validation.bmp", 5000)
    ann = ("train/sad/002.png", "test/happy/000.png")
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    rows = [f"{p},{p.split('/')[1]},{p.split('/')[0]},{'ann' if p in ann else ''}" for p in files]
    (tmp_path / "faces.csv").write_text("\n".join(["path,label,split,person", *rows]))
    return tmp_path / "faces.csv"


def test_splits_that_leak_are_refused_with_counts_keys_and_what_to_type(leaking):
    with pytest.raises(InputError) as refused:
        curated(leaking, leaks="error")
    assert str(refused.value) == (
        "splits leak: train holds 1 row of test (exact copy), train holds 1 row of validation (exact copy), validation "
        "holds 1 row of test (exact copy), train holds 1 row of test (near copy), train holds 1 row of validation "
        "(near copy), validation holds 1 row of test (near copy), train holds 1 row of test (person); the first "
        "test/sad/of-train.bmp, val/sad/of-train.bmp, test/sad/of-validation.bmp: add --leaks drop_from_train to leave "
        "such rows out of train, or --leaks report to keep them and record it"
    )


def test_rows_that_leak_are_dropped_from_train_only(leaking):
    before, after = curated(leaking, leaks="report"), curated(leaking, leaks="drop_from_train")
    gone = {"train/happy/000.png", "train/happy/001.png", "train/sad/002.png"}
    assert set(keys(before)["train"]) - set(keys(after)["train"]) == gone
    for split in ("validation", "test"):
        assert before.splits[split].to_dict() == after.splits[split].to_dict(), "clean is as published"
    copies = {"test_in_train": 1, "validation_in_train": 1, "test_in_validation": 1}
    found = {
        "exact copy": copies,
        "near copy": copies,
        "person": {"test_in_train": 1, "validation_in_train": None, "test_in_validation": None},
    }
    same = {"train": 2, "validation": 2, "test": 2}  # the copies lie in other class folders
    near = {"train": 0, "validation": 0, "test": 0, "first": []}
    both = {"found": found, "two_labels": same, "near_copies_two_labels": near}
    assert before.report["leaks"] == {"rule": "report", **both, "dropped_from_train": 0}
    assert after.report["leaks"] == {
        "rule": "drop_from_train",
        **both,
        "dropped_from_train": 3,
    }


def test_a_picture_under_two_labels_is_refused_or_dropped_from_train(tmp_path):
    """RAF-DB's code 7 is neutral. Read as anger, its faces contradict any other source that holds them too."""
    for index in range(12):
        for source, name in (("right", "neutral"), ("wrong", "anger" if index < 4 else "neutral")):
            path = tmp_path / source / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_face("neutral", seed=1, index=index, size=32).save(path)
            draw_face("anger", seed=len(source) * 7, index=index, size=32).save(tmp_path / source / f"{index}.png")
        for source in ("right", "wrong"):
            (tmp_path / source / "anger").mkdir(exist_ok=True)
            (tmp_path / source / f"{index}.png").rename(tmp_path / source / "anger" / f"own{index}.png")
    entries = [{"data_path": str(tmp_path / source)} for source in ("right", "wrong")]
    settings = {"sources": entries, "classes": ["anger", "neutral"], "test_share": 0.0}
    with pytest.raises(InputError, match="^8 rows with a picture that has another label elsewhere; the first "):
        recipe = Recipe(**settings)
        curate(read_sources(recipe), recipe)
    recipe = Recipe(**settings, leaks="drop_from_train")
    result = curate(read_sources(recipe), recipe)
    assert sum(result.report["leaks"]["two_labels"].values()) == 8
    assert result.report["leaks"]["dropped_from_train"] == result.report["leaks"]["two_labels"]["train"] > 0


def test_a_class_that_leaked_away_is_missed(tmp_path):
    fill(tmp_path / "train", 4, 1)
    fill(tmp_path / "val", 4, 2, start=5000)
    save(tmp_path / "val" / "sad" / "of-train.bmp", 1000)
    with pytest.raises(InputError, match="train has no row of sadness"):
        curated(tmp_path, test_share=0.0, leaks="drop_from_train")


def test_made_splits_never_leak(tmp_path):
    fill(tmp_path, 30, 30)
    for i in range(10):
        save(tmp_path / "happy" / f"copy{i}.bmp", i)
    found = curated(tmp_path, leaks="error").report["leaks"]["found"]
    assert set(found["exact copy"].values()) == {0}


@pytest.fixture
def nearly_leaking(tmp_path):
    """Official splits of drawn faces; validation and test hold a smaller, darker JPEG of a train picture each."""
    for split, seed, count in (("train", 1, 8), ("val", 2, 4), ("test", 3, 4)):
        for index in range(count):
            for name in TWO["classes"]:
                path = tmp_path / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=seed, index=index, size=96).save(path)
    for split, index in (("val", 0), ("test", 1)):
        dark = ImageEnhance.Brightness(draw_face("sadness", seed=1, index=index, size=96)).enhance(0.8)
        ImageOps.mirror(dark).resize((64, 64)).save(tmp_path / split / "sadness" / "again.jpg", quality=70)
    return tmp_path


def test_near_copies_are_counted_marked_and_refused(nearly_leaking):
    result = curated(nearly_leaking)
    assert result.report["copies"] == {
        "exact": {"test_in_train": 0, "validation_in_train": 0, "test_in_validation": 0},
        "near": {"test_in_train": 1, "validation_in_train": 1, "test_in_validation": 0},
    }
    for split in ("validation", "test"):
        table = result.splits[split]
        assert all(table["clean"])
        assert [k for k, c in zip(table["key"], table["clean_near"], strict=True) if not c] == [
            f"{'val' if split == 'validation' else split}/sadness/again.jpg"
        ]
    with pytest.raises(
        InputError, match=r"splits leak: train holds 1 row of test \(near copy\), train holds 1 row of validation"
    ):
        curated(nearly_leaking, leaks="error")


def test_near_copies_are_dropped_from_train(nearly_leaking):
    gone = set(keys(curated(nearly_leaking))["train"]) - set(
        keys(curated(nearly_leaking, leaks="drop_from_train"))["train"]
    )
    assert gone == {"train/sadness/0.png", "train/sadness/1.png"}


def test_near_copies_that_are_not_looked_for_pass_and_are_null(nearly_leaking):
    result = curated(nearly_leaking, leaks="error", near_copies=False)
    assert result.report["copies"]["near"] is None
    assert result.splits["validation"]["clean_near"][:] == [None] * 9
    assert "near copy" not in result.report["leaks"]["found"]
