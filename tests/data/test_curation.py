"""Several sources in one, gaps that stop a run, and the counts of FER+ itself."""

import os
from pathlib import Path

import pytest

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, curated, fill, keys, only, save


def test_sources_are_merged_by_class_name_and_a_picture_stays_in_one_split(tmp_path):
    fill(tmp_path / "posed" / "train", 8, 8)
    fill(tmp_path / "posed" / "val", 4, 4, start=5000)
    for index in range(30):
        save(tmp_path / "web" / "joy" / f"{index}.png", 20000 + index)
        save(tmp_path / "web" / "natural" / f"{index}.png", 30000 + index)
    for index in range(4):  # a picture of posed's validation
        save(tmp_path / "web" / "joy" / f"again{index}.bmp", 5000 + index)
    entries = [{"data_path": str(tmp_path / "posed")}, {"data_path": str(tmp_path / "web")}]
    recipe = Recipe(sources=entries, classes=["happiness", "sadness", "neutral"], test_share=0.0, validation_share=0.2)
    result = curate(read_sources(recipe), recipe)
    posed, web = result.report["sources"]["posed"], result.report["sources"]["web"]
    assert posed["splits"]["official"] == ["train", "validation"] and posed["splits"]["made"] == []
    assert posed["rows"]["validation"] == {"happiness": 4, "sadness": 4, "neutral": 0}
    assert web["splits"]["made"] == ["train", "validation"]
    assert web["rows"]["train"] == {"happiness": 24, "sadness": 0, "neutral": 24}
    assert {k for k in keys(result)["validation"] if "again" in k} == {f"joy/again{i}.bmp" for i in range(4)}
    assert result.report["copies"]["exact"] == dict.fromkeys(result.report["copies"]["exact"], 0)
    assert set(result.splits["train"]["source"]) == {"posed", "web"}


def test_copies_across_sources_with_official_splits_are_refused(tmp_path):
    for name, start in (("one", 0), ("two", 50000)):
        fill(tmp_path / name / "train", 6, 6, start=start)
        fill(tmp_path / name / "val", 3, 3, start=start + 5000)
    save(tmp_path / "two" / "train" / "sad" / "of-one.bmp", 5000)
    recipe = Recipe(sources=[{"data_path": str(tmp_path / n)} for n in ("one", "two")], test_share=0.0, **TWO)
    with pytest.raises(InputError, match=r"splits leak: train holds 1 row of validation \(exact copy\)"):
        curate(read_sources(recipe), recipe)


def test_persons_of_one_name_in_two_sources_are_two_persons(tmp_path):
    for name, start in (("one", 0), ("two", 50000)):
        fill(tmp_path / name, 4, 4, start=start)
        rows = [
            f"{p.parent.name}/{p.name},{p.parent.name},{'train' if (p.stem < '002') == (name == 'one') else 'val'},ann"
            for p in sorted((tmp_path / name).rglob("*.png"))
        ]
        rows = [row.replace("ann", "ann" if ",train," in row else "bob") for row in rows]
        (tmp_path / name / f"{name}.csv").write_text("\n".join(["path,label,split,person", *rows]))
    recipe = Recipe(sources=[{"data_path": str(tmp_path / n)} for n in ("one", "two")], test_share=0.0, **TWO)
    assert curate(read_sources(recipe), recipe).report["persons_shared"] == {"validation_in_train": 0}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"data_path": "a", "validation_share": 0.2}], "sources: validation_share is not a setting of one source"),
        ([{"data_path": "a", "leaks": "report"}], "sources: leaks is not a setting of one source"),
        ([{"data_path": "a", "flip": 0.1}], "sources: flip is not a setting of one source"),
        ([{"path": "a"}], "sources: path is not a setting of one source; those are class_map, crop, csv_encoding"),
    ],
)
def test_an_entry_of_sources_holds_the_settings_of_one_source(entries, message):
    with pytest.raises(InputError, match=message):
        Recipe(sources=entries)


def test_two_sources_of_one_name_are_refused(tmp_path):
    for place in ("a", "b"):
        fill(tmp_path / place / "faces", 5, 5, start=len(place))
    with pytest.raises(InputError, match="two of them are called faces; rename a folder"):
        read_sources(Recipe(sources=[{"data_path": str(tmp_path / p / "faces")} for p in ("a", "b")], **TWO))


def test_a_validation_split_of_copies_only_is_refused(tmp_path):
    fill(tmp_path / "train", 3, 3)
    fill(tmp_path / "val", 3, 3)
    with pytest.raises(InputError, match="every picture of validation has a copy in train: .*--leaks drop_from_train"):
        curated(tmp_path, test_share=0.0)


def test_a_validation_split_of_copies_is_clean_once_train_has_lost_them(tmp_path):
    fill(tmp_path / "train", 6, 6)
    fill(tmp_path / "val", 3, 3)
    result = curated(tmp_path, test_share=0.0, leaks="drop_from_train")
    assert keys(result)["train"] == [f"train/{name}/00{i}.png" for name in ("happy", "sad") for i in (3, 4, 5)]
    for column in ("clean", "clean_near"):
        assert result.splits["validation"][column][:] == [True] * 6
    assert result.report["copies"]["exact"]["validation_in_train"] == 6, "as published"


def test_a_validation_split_of_some_copies_stays_marked_as_published(tmp_path):
    fill(tmp_path / "train", 6, 6)
    fill(tmp_path / "val", 3, 3)
    save(tmp_path / "val" / "happy" / "new.png", 777)
    result = curated(tmp_path, test_share=0.0, leaks="drop_from_train")
    clean = dict(zip(keys(result)["validation"], result.splits["validation"]["clean"], strict=True))
    assert [key for key, is_clean in clean.items() if is_clean] == ["val/happy/new.png"]


def test_unusable_pictures_are_dropped_counted_and_named(tmp_path):
    fill(tmp_path, 30, 30)
    whole = (tmp_path / "sad" / "000.png").read_bytes()
    (tmp_path / "sad" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "sad" / "empty.png").write_bytes(b"")
    result = curated(tmp_path, max_bad_share=0.1)
    lost = ["sad/cut.png (damaged)", "sad/empty.png (empty)"]
    assert only(result)["unreadable"] == {"count": 2, "keys": lost, "reasons": {"all": {"damaged": 1, "empty": 1}}}
    assert sum(map(len, result.splits.values())) == 60
    with pytest.raises(
        InputError, match=r"2 of 62 pictures \(3.2%\) cannot be used, the first sad/cut.png \(damaged\).*max_bad_share"
    ):
        curated(tmp_path)


def test_a_class_without_a_train_row_is_named_with_counts_and_setting(tmp_path):
    fill(tmp_path, 10, 10)
    with pytest.raises(
        InputError, match=r"no row of fear \(happiness 8, fear 0, sadness 8\).*'\[happiness, sadness\]'"
    ):
        curated(tmp_path, classes=["happiness", "fear", "sadness"])


def test_an_empty_validation_is_refused(tmp_path):
    fill(tmp_path, 2, 2)
    with pytest.raises(InputError, match="validation is empty"):
        curated(tmp_path, validation_share=0.0)


FERPLUS: dict[str, dict] = {
    "majority": {
        "train": [2099, 119, 532, 7287, 8739, 3013, 3149],
        "validation": [287, 24, 62, 865, 1182, 351, 415],
        "test": [273, 18, 83, 893, 1089, 384, 396],
    },
    "plurality": {"train": 27194, "validation": 3440, "test": [322, 28, 95, 912, 1190, 434, 428]},
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["majority", "plurality"])
def test_ferplus_gives_its_known_counts(rule):
    folder = os.environ.get("FER_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip("FER_DATA does not name the folder of the FER+ parquet files")
    result = curated(folder, classes=Recipe().classes, label_rule=rule)
    for split, expected in FERPLUS[rule].items():
        counts = list(result.report["rows"][split].values())
        assert (counts if isinstance(expected, list) else sum(counts)) == expected
    if rule == "majority":
        assert result.report["copies"]["exact"] == {
            "test_in_train": 257,
            "validation_in_train": 248,
            "test_in_validation": 41,
        }
        assert sum(result.splits["test"]["clean"]) == 2854
        assert sum(result.splits["validation"]["clean"]) == 2938
