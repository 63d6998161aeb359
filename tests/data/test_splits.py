"""Splits that are made: stratified, seeded, with copies and persons kept together."""

from collections import Counter

import numpy as np
import pytest
from PIL import ImageOps

from pipeline.data.curation import curate
from pipeline.data.readers import read_source, read_sources
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


# Made splits beside official ones


@pytest.fixture
def beside_a_test(tmp_path):
    """42 train rows and an official test: 7 train rows are copies, 7 near copies, and 7 show persons of test."""
    rows = []
    for split, seed, count in (("train", 1, 42), ("test", 2, 21)):
        for index in range(count):
            name = TWO["classes"][index % 2]
            path = tmp_path / split / name / f"{index:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_face(name, seed=seed, index=index, size=64).save(path)
            person = f"{'p' if index < 21 else 'only-in-train'}{index}" if index >= 14 else ""
            rows.append((path, split, person))
    for index in range(7):
        name = TWO["classes"][index % 2]
        draw_face(name, seed=2, index=index, size=64).save(tmp_path / "train" / name / f"{index:02d}.png")
    for index in range(7, 14):
        name = TWO["classes"][index % 2]
        near = ImageOps.mirror(draw_face(name, seed=2, index=index, size=64)).resize((48, 48))
        near.save(tmp_path / "train" / name / f"{index:02d}.png")
    lines = [f"{p.relative_to(tmp_path).as_posix()},{p.parent.name},{split},{who}" for p, split, who in rows]
    (tmp_path / "faces.csv").write_text("\n".join(["path,label,split,person", *lines]), encoding="utf-8")
    return tmp_path / "faces.csv"


@pytest.mark.parametrize("seed", range(4))
def test_a_made_validation_has_no_copy_near_copy_or_person_of_the_official_test(beside_a_test, seed):
    result = curated(beside_a_test, validation_share=0.2, split_seed=seed)
    found = result.report["leaks"]["found"]
    assert [found[kind]["test_in_validation"] for kind in ("exact copy", "near copy", "person")] == [0, 0, 0]
    assert [found[kind]["test_in_train"] for kind in ("exact copy", "near copy", "person")] == [7, 14, 7]
    assert sorted(int(key[-6:-4]) for key in keys(result)["validation"])[0] >= 21, "the free rows only"
    assert len(result.splits["validation"]) > 3


def test_rows_kept_out_of_a_made_validation_obey_leaks(beside_a_test):
    with pytest.raises(InputError, match=r"splits leak: train holds 7 rows of test \(exact copy\)"):
        curated(beside_a_test, leaks="error")
    result = curated(beside_a_test, leaks="drop_from_train", validation_share=0.2)
    assert all(int(key[-6:-4]) >= 21 for split in ("train", "validation") for key in keys(result)[split])


def test_without_the_search_a_made_validation_still_has_no_exact_copy_of_test(beside_a_test):
    result = curated(beside_a_test, near_copies=False, validation_share=0.3)
    assert sorted(int(key[-6:-4]) for key in keys(result)["validation"])[0] >= 7


def test_a_made_test_has_no_copy_of_the_official_validation(tmp_path):
    fill(tmp_path / "train", 20, 20)
    for index in range(6):
        save(tmp_path / "val" / "happy" / f"{index}.bmp", index)
        save(tmp_path / "val" / "sad" / f"{index}.bmp", 1000 + index)
    fill(tmp_path / "val", 5, 5, start=9000)
    result = curated(tmp_path, test_share=0.3)
    assert result.report["copies"]["exact"] == {"test_in_train": 0, "validation_in_train": 12, "test_in_validation": 0}


def test_a_picture_in_two_official_splits_of_other_sources_stays_out_of_made_ones(tmp_path):
    for name, held in (("one", "val"), ("two", "test")):
        start = {"one": 20000, "two": 40000}[name]
        fill(tmp_path / name / "train", 8, 8, start=start)
        fill(tmp_path / name / held, 4, 4, start=start + 5000)
        save(tmp_path / name / held / "happy" / "both.bmp", 7)
    fill(tmp_path / "three", 20, 20)
    recipe = Recipe(sources=[{"data_path": str(tmp_path / n)} for n in ("one", "two", "three")], leaks="report", **TWO)
    result = curate(read_sources(recipe), recipe)
    assert "happy/007.png" in keys(result)["train"]


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
@pytest.mark.parametrize("seed", range(5))
def test_sources_that_make_different_splits_share_pictures_in_train_only(tmp_path, order, seed):
    """One has a test of its own and makes validation; two has a validation of its own and makes test."""
    for name, held in (("one", "test"), ("two", "val")):
        fill(tmp_path / name / "train", 20, 20)
        fill(tmp_path / name / held, 4, 4, start={"test": 20000, "val": 40000}[held])
    entries = [{"data_path": str(tmp_path / name)} for name in order]
    recipe = Recipe(sources=entries, split_seed=seed, near_copies=False, leaks="report", **TWO)
    with pytest.raises(InputError, match="cannot be made, because every train row shows a picture or a person"):
        curate(read_sources(recipe), recipe)
    for name, start in (("one", 60000), ("two", 80000)):
        fill(tmp_path / name / "train" / "happy", 12, 0, start=start)
        fill(tmp_path / name / "train" / "sad", 0, 12, start=start)
    found = curate(read_sources(recipe), recipe).report["copies"]["exact"]
    assert found == {"test_in_train": 0, "validation_in_train": 0, "test_in_validation": 0}


def test_a_split_that_only_shared_pictures_could_fill_is_refused(tmp_path):
    fill(tmp_path / "train", 4, 4)
    fill(tmp_path / "test", 4, 4)
    with pytest.raises(InputError, match="validation cannot be made, because every train row .* so these splits leak"):
        curated(tmp_path)
