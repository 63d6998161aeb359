"""Unusable pictures, made splits, exact copies, limits, and the counts of FER+ itself."""

import io
import json
import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageEnhance, ImageOps
from transformers.image_utils import load_image

from pipeline.data import measure as room_of_pixels
from pipeline.data.curation import curate
from pipeline.data.measure import decoded, measure_picture, measure_pictures
from pipeline.data.readers import read_source, read_sources
from pipeline.data.splits import grouped_split, groups_of
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

TWO = {"classes": ["happiness", "sadness"]}


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(pixels(seed)).save(path)


def fill(folder, happy, sad, start=0):
    """`happy` and `sad` different pictures in class folders."""
    for i in range(happy):
        save(folder / "happy" / f"{i:03d}.png", start + i)
    for i in range(sad):
        save(folder / "sad" / f"{i:03d}.png", start + 1000 + i)


def curated(path, **settings):
    recipe = Recipe(data_path=str(path), **(TWO | {"leaks": "report"} | settings))
    return curate(read_sources(recipe), recipe)


def only(result):
    """The report on the one source."""
    (report,) = result.report["sources"].values()
    return report


def keys(result):
    return {split: table["key"][:] for split, table in result.splits.items()}


# made splits


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


# copies in official splits


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


def test_splits_that_leak_are_refused_and_the_message_counts_names_and_says_what_to_do(leaking):
    with pytest.raises(InputError) as told:
        curated(leaking, leaks="error")
    assert str(told.value) == (
        "splits leak: 1 rows test_in_train by exact copy, 1 rows validation_in_train by exact copy, 1 rows "
        "test_in_validation by exact copy, 1 rows test_in_train by near copy, 1 rows validation_in_train by near copy, "
        "1 rows test_in_validation by near copy, 1 rows test_in_train by person (the first test/sad/of-train.bmp, "
        "val/sad/of-train.bmp, test/sad/of-validation.bmp): add --leaks drop_from_train to take such rows out of "
        "train, or --leaks report to let them pass, on record"
    )


def test_leaks_are_taken_out_of_train_alone(leaking):
    before, after = curated(leaking, leaks="report"), curated(leaking, leaks="drop_from_train")
    gone = {"train/happy/000.png", "train/happy/001.png", "train/sad/002.png"}
    assert set(keys(before)["train"]) - set(keys(after)["train"]) == gone
    for split in ("validation", "test"):
        assert before.splits[split].to_dict() == after.splits[split].to_dict(), "clean is as published"
    copies = {"test_in_train": 1, "validation_in_train": 1, "test_in_validation": 1}
    found = {
        "exact copy": copies,
        "near copy": copies,
        "person": {"test_in_train": 1, "validation_in_train": 0, "test_in_validation": 0},
    }
    same = {"train": 2, "validation": 2, "test": 2}  # the copies lie in other class folders
    assert before.report["leaks"] == {"rule": "report", "found": found, "two_labels": same, "dropped_from_train": 0}
    assert after.report["leaks"] == {
        "rule": "drop_from_train",
        "found": found,
        "two_labels": same,
        "dropped_from_train": 3,
    }


def test_a_picture_under_two_labels_is_refused_or_taken_out_of_train(tmp_path):
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
    with pytest.raises(InputError, match=r"^8 rows show a picture that stands under another label too \(the first "):
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


# near copies


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
        InputError, match="splits leak: 1 rows test_in_train by near copy, 1 rows validation_in_train by"
    ):
        curated(nearly_leaking, leaks="error")


def test_near_copies_are_taken_out_of_train(nearly_leaking):
    gone = set(keys(curated(nearly_leaking))["train"]) - set(
        keys(curated(nearly_leaking, leaks="drop_from_train"))["train"]
    )
    assert gone == {"train/sadness/0.png", "train/sadness/1.png"}


def test_near_copies_that_are_not_looked_for_pass_and_are_null(nearly_leaking):
    result = curated(nearly_leaking, leaks="error", near_copies=False)
    assert result.report["copies"]["near"] is None
    assert result.splits["validation"]["clean_near"][:] == [None] * 9
    assert "near copy" not in result.report["leaks"]["found"]


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
    assert twins & {key.replace("-again", "") for key in keys(apart)["train"]}, "they would have been parted"


# several sources


def test_sources_are_merged_by_class_name_and_a_picture_stays_in_one_split(tmp_path):
    fill(tmp_path / "posed" / "train", 8, 8)
    fill(tmp_path / "posed" / "val", 4, 4, start=5000)
    for index in range(30):
        save(tmp_path / "web" / "joy" / f"{index}.png", 20000 + index)
        save(tmp_path / "web" / "natural" / f"{index}.png", 30000 + index)
    for index in range(4):  # a picture of posed's validation
        save(tmp_path / "web" / "joy" / f"again{index}.bmp", 5000 + index)
    entries = [{"data_path": str(tmp_path / "posed")}, {"data_path": str(tmp_path / "web"), "class_map": {"sad": None}}]
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
    with pytest.raises(InputError, match="splits leak: 1 rows validation_in_train by exact copy"):
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


def test_caps_and_weights_name_a_source_a_class_or_both(tmp_path):
    for name, start in (("one", 0), ("two", 50000)):
        fill(tmp_path / name, 30, 20, start=start)
    entries = [{"data_path": str(tmp_path / n)} for n in ("one", "two")]

    def train(**settings):
        recipe = Recipe(sources=entries, test_share=0.0, **TWO, **settings)
        table = curate(read_sources(recipe), recipe).splits["train"]
        return table, Counter(zip(table["source"], table.features["label"].int2str(table["label"][:]), strict=True))

    whole = {("one", "happiness"): 27, ("one", "sadness"): 18, ("two", "happiness"): 27, ("two", "sadness"): 18}
    assert train()[1] == whole
    assert train(caps={"two/sadness": 5})[1] == whole | {("two", "sadness"): 5}
    assert sum(train(caps={"one": 10})[1][("one", c)] for c in TWO["classes"]) == 10
    table, counts = train(caps={"happiness": 20})
    assert counts[("one", "happiness")] + counts[("two", "happiness")] == 20
    assert table["key"][:] == train(caps={"happiness": 20})[0]["key"][:], "seeded"
    table, _ = train(row_weights={"two": 3.0, "sadness": 0.5, "one/sadness": 0.0})
    weights = {(s, n): w for s, n, w in zip(table["source"], table["label"], table["weight"], strict=True)}
    assert weights == {("one", 0): 1.0, ("one", 1): 0.0, ("two", 0): 3.0, ("two", 1): 1.5}
    for setting in ("caps", "row_weights"):
        with pytest.raises(InputError, match=rf"{setting}: three is no source \(one, two\), no class \(happiness, sad"):
            train(**{setting: {"three": 1}})


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([{"data_path": "a", "validation_share": 0.2}], "sources: validation_share is not a setting of one source"),
        ([{"data_path": "a", "leaks": "report"}], "sources: leaks is not a setting of one source"),
        ([{"data_path": "a", "flip": 0.1}], "sources: flip is not a setting of one source"),
        ([{"path": "a"}], "sources: path is not a setting of one source; those are class_map, crop, data_path"),
    ],
)
def test_an_entry_of_sources_holds_the_settings_of_one_source(entries, told):
    with pytest.raises(InputError, match=told):
        Recipe(sources=entries)


def test_two_sources_of_one_name_are_refused(tmp_path):
    for place in ("a", "b"):
        fill(tmp_path / place / "faces", 5, 5, start=len(place))
    with pytest.raises(InputError, match="two of them are called faces; rename a folder"):
        read_sources(Recipe(sources=[{"data_path": str(tmp_path / p / "faces")} for p in ("a", "b")], **TWO))


def test_a_validation_of_nothing_but_copies_is_refused(tmp_path):
    fill(tmp_path / "train", 3, 3)
    fill(tmp_path / "val", 3, 3)
    with pytest.raises(InputError, match="every picture of validation has a copy in train"):
        curated(tmp_path, test_share=0.0)


def test_the_hash_is_of_the_upright_pixels_and_not_of_the_file(tmp_path):
    upright = pixels(0)[:, :5]
    PILImage.fromarray(upright).save(tmp_path / "a.png")
    turned = PILImage.fromarray(np.rot90(upright).copy())
    exif = PILImage.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.png", exif=exif)
    PILImage.fromarray(upright.reshape(5, 8, 3)).save(tmp_path / "c.png")
    a, b, c = (measure_picture({"bytes": None, "path": str(tmp_path / f"{name}.png")})["pixels"] for name in "abc")
    assert a == b
    assert a != c, "the same bytes in another shape are another picture"
    assert measure_picture({"bytes": (tmp_path / "a.png").read_bytes(), "path": "gone.png"})["pixels"] == a


# unusable pictures


def test_unusable_pictures_are_dropped_counted_and_named(tmp_path):
    fill(tmp_path, 30, 30)
    whole = (tmp_path / "sad" / "000.png").read_bytes()
    (tmp_path / "sad" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "sad" / "empty.png").write_bytes(b"")
    result = curated(tmp_path, max_bad_share=0.1)
    lost = ["sad/cut.png (damaged)", "sad/empty.png (no picture that Pillow knows)"]
    assert only(result)["unreadable"] == {"count": 2, "keys": lost}
    assert sum(map(len, result.splits.values())) == 60
    with pytest.raises(
        InputError, match=r"2 of 62 pictures \(3.2%\) cannot be used, the first sad/cut.png \(damaged\).*max_bad_share"
    ):
        curated(tmp_path)


def png(width, height, depth, colour, data):
    """A PNG file of its chunks, also such as Pillow would not write."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    chunks = [
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def stored(picture, form, **how):
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


COLOURS = PILImage.fromarray(pixels(3))
TURNED = PILImage.Exif()
TURNED[0x0112] = 6
USABLE = {
    "palette": stored(COLOURS.quantize(16), "PNG"),
    "palette with a clear colour": stored(COLOURS.quantize(16), "PNG", transparency=3),
    "alpha": stored(PILImage.merge("RGBA", [*COLOURS.split(), COLOURS.getchannel(0)]), "PNG"),
    "gray and alpha": stored(PILImage.merge("LA", COLOURS.split()[:2]), "PNG"),
    "CMYK": stored(COLOURS.convert("CMYK"), "JPEG"),
    "one bit": stored(COLOURS.convert("1"), "PNG"),
    "animated": stored(COLOURS, "GIF", save_all=True, append_images=[PILImage.fromarray(pixels(4))]),
    "turned by EXIF": stored(COLOURS, "JPEG", exif=TURNED),
    "16 bits of colour": png(8, 8, 16, 2, (b"\0" + pixels(5)[0].tobytes() * 2) * 8),
    "progressive": stored(COLOURS, "JPEG", progressive=True),
    "WebP": stored(COLOURS, "WEBP"),
}
UNUSABLE = {
    "no bytes": (b"", "empty"),
    "text": (b"<html>not found</html>", "no picture that Pillow knows"),
    "cut": (stored(COLOURS, "PNG")[:-60], "damaged"),
    "16 bits of gray": (stored(PILImage.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG"), "more than 8"),
    "floats": (stored(PILImage.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "more than 8 bits a channel"),
    "a bomb": (png(30_000, 30_000, 1, 0, b""), "more than 89,478,485 pixels"),
    "a small bomb": (png(10_000, 10_000, 1, 0, b""), "more than 89,478,485 pixels"),
}


@pytest.mark.parametrize("kind", USABLE)
def test_a_picture_of_any_kind_is_what_every_client_sees(kind, tmp_path):
    (tmp_path / "file").write_bytes(USABLE[kind])
    seen = decoded({"bytes": None, "path": str(tmp_path / "file")})
    assert np.array_equal(seen, load_image(str(tmp_path / "file")).convert("RGB"))
    assert np.array_equal(seen, decoded({"bytes": USABLE[kind], "path": None}))
    assert np.asarray(seen).std() > 10


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_picture_that_cannot_be_used_says_why(kind):
    content, why = UNUSABLE[kind]
    row = measure_picture({"bytes": content, "path": None})
    assert row.pop("fault").startswith(why)
    assert set(row.values()) == {None}


def test_a_missing_picture_says_so(tmp_path):
    assert measure_picture(None)["fault"] == "empty"
    assert measure_picture({"bytes": None, "path": str(tmp_path / "gone.png")})["fault"] == "no such file"


def test_pictures_are_decoded_once(tmp_path):
    fill(tmp_path, 5, 5)
    table = read_source(Recipe(data_path=str(tmp_path))).tables["all"]
    first = measure_pictures(table, "all")["pixels"]
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    assert measure_pictures(table, "all")["pixels"].tolist() == first.tolist()


def test_what_was_stopped_goes_on_with_the_part_that_is_not_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(room_of_pixels, "PART", 4)
    fill(tmp_path, 5, 5)
    table = read_source(Recipe(data_path=str(tmp_path))).tables["all"]
    seen = []

    def measured(picture):
        seen.append(Path(picture["path"]).name)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return measure_picture(picture)

    monkeypatch.setattr(room_of_pixels, "measure_picture", measured)
    with pytest.raises(KeyboardInterrupt):
        measure_pictures(table, "all")
    again = measure_pictures(table, "all")
    assert len(seen) == 7 + 6, "the first four were kept"
    monkeypatch.setattr(room_of_pixels, "PART", 100)
    assert measure_pictures(table, "all")["pixels"].tolist() == again["pixels"].tolist()


def test_splits_that_are_kept_in_one_place_are_told_apart(tmp_path):
    fill(tmp_path / "faces", 6, 6)
    whole = read_source(Recipe(data_path=str(tmp_path / "faces"))).tables["all"]
    for split, rows in (("train", range(8)), ("test", range(4, 12))):
        whole.select(rows).select_columns(["image", "label"]).to_parquet(tmp_path / "parquet" / f"{split}-0.parquet")
    tables = read_source(Recipe(data_path=str(tmp_path / "parquet"))).tables
    pixels = {split: measure_pictures(table, split)["pixels"].tolist() for split, table in tables.items()}
    assert pixels["train"][4:] == pixels["test"][:4]
    assert len({*pixels["train"], *pixels["test"]}) == 12


def test_a_changed_picture_is_decoded_anew(tmp_path):
    fill(tmp_path, 5, 5)
    before = measure_pictures(read_source(Recipe(data_path=str(tmp_path))).tables["all"], "all")["pixels"]
    save(tmp_path / "sad" / "004.png", 9)
    os.utime(tmp_path / "sad" / "004.png", (1, 1))
    after = measure_pictures(read_source(Recipe(data_path=str(tmp_path))).tables["all"], "all")["pixels"]
    assert (before != after).tolist() == [False] * 9 + [True]


# gaps and limits


def test_a_class_without_a_train_row_is_named_with_counts_and_setting(tmp_path):
    fill(tmp_path, 10, 10)
    with pytest.raises(
        InputError, match=r"no row of fear \(happiness 8, fear 0, sadness 8\).*'\[happiness, sadness\]'"
    ):
        curated(tmp_path, classes=["happiness", "fear", "sadness"])


def test_an_empty_test_is_no_test(tmp_path):
    fill(tmp_path / "train", 10, 10)
    save(tmp_path / "test" / "contempt" / "a.png", 7)
    result = curated(tmp_path)
    assert list(result.splits) == ["train", "validation"]
    assert only(result)["dropped"]["test"] == {"contempt": 1}


def test_an_empty_validation_is_refused(tmp_path):
    fill(tmp_path, 2, 2)
    with pytest.raises(InputError, match="validation is empty"):
        curated(tmp_path, validation_share=0.0)


def test_a_source_without_train_is_refused(tmp_path):
    fill(tmp_path / "test", 3, 3)
    with pytest.raises(InputError, match="none to train on"):
        curated(tmp_path)


def test_limits_take_a_seeded_subset_that_keeps_every_class_of_train(tmp_path):
    fill(tmp_path, 60, 2)
    result = curated(tmp_path, max_train_samples=3, max_eval_samples=2, test_share=0.0)
    assert {split: len(table) for split, table in result.splits.items()} == {"train": 3, "validation": 2}
    assert result.report["rows_used"]["train"]["sadness"] >= 1
    assert sum(result.report["rows"]["train"].values()) > 50, "counted before the limit"
    assert keys(curated(tmp_path, max_train_samples=3, max_eval_samples=2, test_share=0.0)) == keys(result)
    with pytest.raises(InputError, match="max_train_samples is 1; train needs 2"):
        curated(tmp_path, max_train_samples=1)


# FER+ itself

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
