"""How a path finds its reader, what a reading says of itself, and what every reader has."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Value

from pipeline.curation import main
from pipeline.data.readers import BY_NAME, LAYOUTS, READERS, read_source, read_sources, recognise
from pipeline.data.readers.inventory import JUNK_REASON
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS, Reading, features
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Source
from tests.avec import write_list, write_pictures
from tests.data.test_expw import save_expw
from tests.data.test_layouts import save_affectnet_csv, save_ferplus, save_rafdb
from tests.data.test_sources import read, record, save, save_pair, save_parquet, write_csv

DOCS = Path(__file__).parents[2] / "docs"


def recognised(path, **settings):
    return recognise(path, Recipe(data_path=str(path), **settings)).NAME


def folder(root):
    save(root / "happy" / "a.png")


def csv_file(root):
    save(root / "faces" / "a.png")
    write_csv(root / "labels.csv", [["path", "label"], ["faces/a.png", "happy"]])


def parquet(root):
    save_parquet(root, label=(["sad"], Value("string")))


def curated(root):
    parquet(root)
    (root / "train-00000-of-00001.parquet").rename(root / "train.parquet")
    (root / "curation.json").write_text('{"sources": {}}', encoding="utf-8")


def webdataset(root):
    save(root / "0001.png")
    (root / "0001.cls").write_text("happy", encoding="utf-8")


def ckplus(root):
    save(root / "cohn-kanade-images" / "S005" / "001" / "S005_001_00000011.png")
    label = root / "Emotion" / "S005" / "001" / "S005_001_00000011_emotion.txt"
    label.parent.mkdir(parents=True)
    label.write_text("   3.0000000e+00\n", encoding="utf-8")


def avec(root):
    write_list(root, "train_split.csv", {300: 4, 301: 11}, "2019")
    for number in (300, 301):
        write_pictures(root, number, 4, 1)


HELD = {
    "folder": folder,
    "csv": csv_file,
    "parquet": parquet,
    "fer2013": save_pair,
    "ferplus": lambda root: save_ferplus(root, [["a.png", 1, 9, *[0] * 8]]),
    "rafdb": save_rafdb,
    "affectnet": save_affectnet_csv,
    "expw": save_expw,
    "ckplus": ckplus,
    "avec": avec,
    "curated": curated,
    "webdataset": webdataset,
}


def test_every_reader_of_local_files_recognises_its_own_layout_and_no_other(tmp_path):
    assert HELD.keys() | {"hub", "drawn", "pattern"} == BY_NAME.keys(), "a new reader needs a layout here"
    for name, make in HELD.items():
        make(tmp_path / name)
        assert recognised(tmp_path / name) == name


def test_a_name_that_is_no_path_is_an_id_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recognised(Path("anna/faces")) == "hub"


@pytest.mark.parametrize(
    ("both", "what"),
    [
        (("folder", "parquet"), r"folders of pictures \(happy/\) and parquet files \(train-"),
        (("folder", "fer2013"), r"folders of pictures \(happy/\) and fer2013.csv"),
        (("parquet", "csv"), r"labels.csv with the columns path and label and parquet files"),
        (("rafdb", "expw"), r"list_patition_label.txt and label.lst of ExpW"),
    ],
)
def test_two_readers_of_one_path_are_named_with_the_setting_that_chooses(tmp_path, both, what):
    for name in both:
        HELD[name](tmp_path)
    first, second = (name for name in BY_NAME if name in both)
    pattern = rf"holds {what}.*, and only one of them is read: choose with --source {first} or --source {second}"
    with pytest.raises(InputError, match=pattern) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)
    assert len(read(tmp_path, source=both[0]).sources) == 1


def test_the_csv_pair_is_read_before_the_ferplus_folders_that_it_makes(tmp_path):
    save_pair(tmp_path)
    HELD["ferplus"](tmp_path)
    assert recognised(tmp_path) == "fer2013"
    assert "fer2013new.csv" in record(read(tmp_path, source="ferplus")).layout


def test_a_hidden_parquet_file_is_not_the_data(tmp_path):
    folder(tmp_path)
    parquet(tmp_path / ".cache")
    assert recognised(tmp_path) == "folder"


def test_an_unknown_source_is_refused_with_all_names_before_any_is_read(tmp_path):
    entries = [{"data_path": str(tmp_path / "missing")}, {"data_path": str(tmp_path), "source": "foldr"}]
    message = rf"source is 'foldr' \(did you mean folder\?\); it must be one of auto, {', '.join(BY_NAME)}$"
    with pytest.raises(InputError, match=message):
        read_sources(Recipe(sources=entries))
    with pytest.raises(InputError, match=message):
        read_source(Recipe(source="foldr", data_path=str(tmp_path)))


def test_messages_and_docs_know_every_reader():
    text = (DOCS / "add_a_reader.md").read_text(encoding="utf-8")
    for reader in READERS:
        assert reader.LAYOUT in LAYOUTS
        assert f"`{reader.NAME}`" in text
        assert all(name in BY_NAME for name in reader.BEFORE)


def test_every_synonym_of_a_split_is_one_of_the_three():
    assert set(SPLIT_SYNONYMS.values()) == set(SPLITS)


# What a reading says of itself


def test_a_reading_says_its_layout_what_was_not_read_and_what_was_left_out():
    source = Source(
        id="mine",
        title="mine",
        layout="a csv file",
        origin="local",
        columns_not_read=("age", "note"),
        left_out={"train": {"no majority": 1200, "contempt": 3}, "test": {}, ALL: {"not a picture file": 1}},
    )
    assert Reading((source,), None).lines() == [
        "mine, a csv file",
        "mine, columns not read: age, note",
        "mine, left out of train: 1,200 no majority",
        "mine, left out of train: 3 contempt",
        "mine, left out: 1 not a picture file",
    ]


def test_columns_that_are_not_read_are_named(tmp_path):
    save(tmp_path / "csv" / "a.png")
    rows = [["Age", "path", "label", "person", "Note"], ["3", "a.png", "sad", "ann", "x"]]
    write_csv(tmp_path / "csv" / "labels.csv", rows)
    assert record(read(tmp_path / "csv")).columns_not_read == ("Age", "Note")
    text = Value("string")
    save_parquet(tmp_path / "parquet", label=(["sad"], text), person_id=(["a"], text), annotator=(["x"], text))
    assert record(read(tmp_path / "parquet")).columns_not_read == ("annotator",)
    save_affectnet_csv(tmp_path / "affectnet")
    unread = ("face_x", "facial_landmarks", "valence", "arousal")
    assert record(read(tmp_path / "affectnet")).columns_not_read == unread


def test_pictures_that_no_folder_or_list_names_are_counted(tmp_path):
    folder(tmp_path / "classes")
    save(tmp_path / "classes" / "loose.png")
    assert record(read(tmp_path / "classes")).left_out == {"all": {"picture in no class folder: loose.png": 1}}
    for place in ("train/happy/a.png", "train/loose.png", "loose.png"):
        save(tmp_path / "splits" / place)
    loose = {
        "train": {"picture in no class folder: train/loose.png": 1},
        "all": {"picture in no class folder: loose.png": 1},
    }
    assert record(read(tmp_path / "splits")).left_out == loose
    csv_file(tmp_path / "csv")
    save(tmp_path / "csv" / "faces" / "b.png")
    save(tmp_path / "csv" / ".hidden" / "c.png")
    assert record(read(tmp_path / "csv")).left_out == {
        "all": {"picture that labels.csv does not list: faces/b.png": 1, f"{JUNK_REASON}: .hidden": 1}
    }
    assert record(read(tmp_path / "csv" / "labels.csv")).left_out == {"all": {}}


def test_an_empty_split_has_the_columns_of_the_table(tmp_path):
    save(tmp_path / "train" / "sad" / "a.png")
    save(tmp_path / "test" / "contempt" / "a.png")
    (tmp_path / "val" / "sad").mkdir(parents=True)
    tables = read(tmp_path).tables
    assert {split: len(table) for split, table in tables.items()} == {"train": 1, "validation": 0, "test": 0}
    assert all(table.features == features(Recipe().classes) for table in tables.values())


# What was agreed to for each data set


@pytest.mark.parametrize(
    ("name", "datasets", "labels", "said"),
    [
        ("fer2013", ("FER2013", "FER+"), True, "no open licence is known"),
        ("ferplus", ("FER2013", "FER+"), True, "MIT"),
        ("rafdb", ("RAF-DB",), False, "signed agreement"),
        ("affectnet", ("AffectNet",), False, "signed agreement"),
        ("expw", ("ExpW",), True, "research only"),
    ],
)
def test_each_data_set_has_its_terms_as_fields(tmp_path, name, datasets, labels, said):
    HELD[name](tmp_path)
    source = record(read(tmp_path))
    assert (source.origin, source.datasets, source.licence) == ("local", datasets, "other")
    assert (source.may_publish_pixels, source.may_publish_labels) == (False, labels)
    assert said in source.terms and source.citation


def test_drawn_faces_are_free_and_unknown_pictures_are_not_published(tmp_path):
    drawn = record(read_source(Recipe(source="drawn", drawn_faces=20)))
    assert (drawn.origin, drawn.licence, drawn.may_publish_pixels) == ("drawn", "Apache-2.0", True)
    for name in ("folder", "csv", "parquet"):
        HELD[name](tmp_path / name)
        unknown = record(read(tmp_path / name))
        assert (unknown.origin, unknown.licence, unknown.may_publish_pixels) == ("local", "other", False)
        assert "does not state the terms" in unknown.terms


# Curated folders

TWO = ["happiness", "sadness"]


@pytest.fixture(scope="module")
def curated_of_two(tmp_path_factory):
    """A curated folder of drawn faces and of a folder of pictures."""
    root = tmp_path_factory.mktemp("curated")
    for index in range(12):
        name = TWO[index % 2]
        (root / "photos" / name).mkdir(parents=True, exist_ok=True)
        draw_face(name, seed=7, index=index, size=48).save(root / "photos" / name / f"{index}.png")
    sources = [{"source": "drawn"}, {"source": "folder", "data_path": str(root / "photos")}]
    words = ["quickstart", "--drawn_faces", "40", "--classes", str(TWO), "--near_copies", "false"]
    main([*words, "--sources", json.dumps(sources), "--output_dir", str(root / "out")])
    return root / "out"


def test_a_curated_folder_gives_back_a_record_for_each_of_its_sources(curated_of_two):
    reading = read(curated_of_two, classes=TWO)
    drawn, photos = reading.sources
    assert (drawn.id, drawn.origin, drawn.licence) == ("drawn", "drawn", "Apache-2.0")
    assert (photos.id, photos.origin, photos.licence) == ("photos", "local", "other")
    assert drawn.may_publish_pixels and not photos.may_publish_pixels
    assert photos.layout == "from a curated folder: class folders <class>"
    assert {id for table in reading.tables.values() for id in table.unique("source")} == {"drawn", "photos"}


def test_one_old_record_for_several_sources_becomes_one_for_each(curated_of_two, tmp_path):
    """Before records had an origin, a curated folder that was made of one had a single record."""
    (tmp_path / "old").mkdir()
    for file in curated_of_two.glob("*.parquet"):
        (tmp_path / "old" / file.name).symlink_to(file)
    old = {
        "layout": "curated table",
        "terms": "drawn: drawn by this project, Apache-2.0; photos: the source does not state the terms",
        "pixels_may_travel": False,
        "label_rule": None,
        "dropped": {"train": {}},
    }
    report = {"sources": {"drawn and photos": old}}
    (tmp_path / "old" / "curation.json").write_text(json.dumps(report), encoding="utf-8")
    drawn, photos = read(tmp_path / "old", classes=TWO).sources
    assert (drawn.id, photos.id) == ("drawn", "photos")
    assert replace(drawn, id="", title="") == replace(photos, id="", title="")
    assert not drawn.may_publish_pixels and drawn.licence == "other"


def test_a_source_of_a_curated_folder_cannot_come_in_twice(curated_of_two):
    entries = [{"source": "drawn"}, {"data_path": str(curated_of_two)}]
    with pytest.raises(InputError, match="two of them are called drawn"):
        read_sources(Recipe(sources=entries, classes=TWO, drawn_faces=20))
