"""Splits that are made: stratified, seeded, with copies and persons kept together."""

from collections import Counter

import numpy as np
import pytest
from PIL import ImageOps

from pipeline.data.readers import read_source
from pipeline.data.splits import grouped_split, groups_of
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, curated, fill, keys, only, save


def test_missing_splits_are_made_stratified_and_the_same_every_time(tmp_path):
    fill(tmp_path, 40, 20)
    result = curated(tmp_path)
    assert result.report["rows"] == {
        "train": {"happiness": 32, "sadness": 16},
        "validation": {"happiness": 4, "sadness": 2},
        "test": {"happiness": 4, "sadness": 2},
    }
    assert sorted(sum(keys(result).values(), [])) == sorted(
        read_source(Recipe(data_path=str(tmp_path))).tables["all"]["key"]
    )
    assert keys(curated(tmp_path)) == keys(result)
    assert keys(curated(tmp_path, split_seed=1)) != keys(result)
    assert only(result)["splits"] == {
        "official": [],
        "made": ["train", "validation", "test"],
        "seed": 0,
        "shares": {"validation": 0.1, "test": 0.1},
    }


def test_without_a_test_share_no_test_is_made(tmp_path):
    fill(tmp_path, 10, 10)
    assert list(curated(tmp_path, test_share=0.0).splits) == ["train", "validation"]


def test_an_official_test_is_kept_and_validation_is_taken_from_train(tmp_path):
    fill(tmp_path / "train", 20, 20)
    fill(tmp_path / "test", 10, 10, start=5000)
    result = curated(tmp_path)
    assert all(key.startswith("test/") for key in result.splits["test"]["key"]) and len(result.splits["test"]) == 20
    assert all(key.startswith("train/") for key in result.splits["validation"]["key"])
    assert len(result.splits["validation"]) == 6, "a tenth of all 60 rows"
    assert (only(result)["splits"]["official"], only(result)["splits"]["made"]) == (["train", "test"], ["validation"])


def test_copies_of_a_picture_never_fall_into_two_made_splits(tmp_path):
    fill(tmp_path, 10, 10)
    for i in range(10):
        for copy in range(3):
            save(tmp_path / "happy" / f"copy-{i}-{copy}.bmp", i)
    result = curated(tmp_path)
    assert result.report["copies"]["exact"] == {"test_in_train": 0, "validation_in_train": 0, "test_in_validation": 0}
    assert all(result.splits["validation"]["clean"]) and all(result.splits["test"]["clean"])


def test_a_person_is_never_in_two_made_splits(tmp_path):
    fill(tmp_path, 30, 30)
    rows = [f"{p.relative_to(tmp_path)},{p.parent.name},{int(p.stem) // 5}" for p in sorted(tmp_path.rglob("*.png"))]
    (tmp_path / "faces.csv").write_text("\n".join(["path,label,person", *rows]))
    result = curated(tmp_path)
    persons = [set(table["person"]) for table in result.splits.values()]
    assert sorted(map(len, persons)) == [1, 1, 4]
    assert result.report["persons_shared"] == {"validation_in_train": 0, "test_in_train": 0, "test_in_validation": 0}


def test_persons_in_two_official_splits_are_counted(tmp_path):
    fill(tmp_path, 4, 4)
    rows = [
        f"{p.relative_to(tmp_path)},{p.parent.name},{'train' if p.stem != '003' else 'val'},ann"
        for p in sorted(tmp_path.rglob("*.png"))
    ]
    (tmp_path / "faces.csv").write_text("\n".join(["path,label,split,person", *rows]))
    assert curated(tmp_path, test_share=0.0).report["persons_shared"] == {"validation_in_train": 1}


def test_groups_join_over_pictures_and_persons():
    groups = groups_of(np.array(["a", "a", "b", "c", "d"], object), np.array([None, "x", "x", None, "y"], object))
    assert len(set(groups[:3])) == 1
    assert len(set(groups)) == 3


def test_rare_classes_go_to_train_first():
    labels = np.array([0] * 40 + [1] * 2)
    part = grouped_split(labels, np.arange(42), [0.8, 0.1, 0.1], seed=3)
    assert Counter(part[:40].tolist()) == {0: 32, 1: 4, 2: 4}
    assert part[40:].tolist() == [0, 0]


def test_groups_of_every_size_fall_into_all_parts_by_their_shares():
    rng = np.random.default_rng(5)
    sizes = np.repeat([1, 2, 3, 6], 300)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.repeat(rng.choice(3, len(sizes), p=[0.6, 0.3, 0.1]), sizes)
    part = grouped_split(labels, groups, [0.7, 0.2, 0.1], seed=1)
    for size in (1, 2, 3, 6):
        shares = np.bincount(part[np.repeat(sizes, sizes) == size]) / (300 * size)
        assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02), f"groups of {size}"
    for label in range(3):
        assert np.bincount(part[labels == label]) / (labels == label).sum() == pytest.approx([0.7, 0.2, 0.1], abs=0.01)


def test_a_source_without_train_is_refused(tmp_path):
    fill(tmp_path / "test", 3, 3)
    with pytest.raises(InputError, match="none to train on"):
        curated(tmp_path)


def test_made_splits_keep_near_copies_together(tmp_path):
    for index in range(20):
        for name in TWO["classes"]:
            (tmp_path / name).mkdir(exist_ok=True)
            face = draw_face(name, seed=1, index=index, size=96)
            face.save(tmp_path / name / f"{index}.png")
            ImageOps.mirror(face).resize((48, 48)).save(tmp_path / name / f"{index}-again.png")
    result = curated(tmp_path, leaks="error")
    assert set(result.report["copies"]["near"].values()) == {0}
    apart = curated(tmp_path, near_copies=False)
    twins = {key.replace("-again", "") for key in keys(apart)["validation"]}
    assert twins & {key.replace("-again", "") for key in keys(apart)["train"]}, "the search matters"
