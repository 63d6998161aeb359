"""Every layout a person may hold, drawn small, and every way it may be wrong."""

import csv
import os

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from pipeline.data.readers import read_source, read_sources
from pipeline.data.readers.inventory import JUNK_REASON
from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe

VOTES = {"happiness": [1, 9, 0, 0, 0, 0, 0, 0, 0, 0], "nobody": [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]}


def picture(seed=0):
    return PILImage.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8))


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path)
    return path


def read(path, **settings):
    return read_source(Recipe(data_path=str(path), **settings))


def record(reading):
    (source,) = reading.sources
    return source


def names(table):
    return [table.features["label"].names[label] for label in table["label"]]


def check_contract(source, classes=CLASSES):
    for table in source.tables.values():
        assert table.column_names == ["image", "label", "target", "source", "person", "key"]
        assert table.features["image"] == Image()
        assert table.features["label"] == ClassLabel(names=list(classes))
        assert table.features["target"] == List(Value("float32"), length=len(classes))
        assert len(set(table["key"])) == len(table)
        np.testing.assert_allclose(np.array(table["target"][:]).sum(1), 1, atol=1e-6)
        assert np.array(table["target"][:]).shape == (len(table), len(classes))
        assert table[0]["image"].size == (48, 48)
    assert not record(source).may_publish_pixels


# class folders


def test_class_folders_are_read_by_name_in_any_case_and_under_synonyms(tmp_path):
    for seed, name in enumerate(("Angry", "HAPPY", "surprise")):
        save(tmp_path / name / "a.png", seed)
    source = read(tmp_path)
    check_contract(source)
    assert list(source.tables) == ["all"]
    assert names(source.tables["all"]) == ["anger", "happiness", "surprise"]
    assert source.tables["all"]["key"][:] == ["Angry/a.png", "HAPPY/a.png", "surprise/a.png"]
    assert np.array(source.tables["all"][0]["image"]).tolist() == np.array(picture(0)).tolist()


def test_split_folders_are_official_splits(tmp_path):
    for split in ("train", "valid", "test"):
        save(tmp_path / split / "sad" / "a.png")
    assert set(read(tmp_path).tables) == {"train", "validation", "test"}


def test_folders_of_dropped_classes_and_strange_files_are_counted(tmp_path):
    save(tmp_path / "fear" / "a.png")
    save(tmp_path / "contempt" / "b.png")
    (tmp_path / "fear" / "notes.txt").write_text("x")
    (tmp_path / "fear" / ".hidden.png").write_text("x")
    source = read(tmp_path)
    assert len(source.tables["all"]) == 1
    assert record(source).left_out == {
        "all": {"contempt": 1, "not read: fear/notes.txt": 1, f"{JUNK_REASON}: fear/.hidden.png": 1}
    }


def test_an_unknown_class_folder_is_named_with_its_pictures_and_the_setting(tmp_path):
    save(tmp_path / "happy" / "a.png")
    save(tmp_path / "hapy" / "a.png")
    save(tmp_path / "hapy" / "b.png", 1)
    with pytest.raises(InputError, match=r"2 pictures of unknown class 'hapy' \(did you mean 'happy'\?\).*class_map"):
        read(tmp_path)
    assert names(read(tmp_path, class_map={"hapy": "happiness"}).tables["all"]) == ["happiness"] * 3
    assert record(read(tmp_path, class_map={"hapy": None})).left_out == {"all": {"hapy": 2}}


def test_class_folders_beside_split_folders_are_refused(tmp_path):
    save(tmp_path / "train" / "sad" / "a.png")
    save(tmp_path / "happy" / "a.png")
    with pytest.raises(InputError, match="happy, train"):
        read(tmp_path)


def test_an_empty_split_folder_is_an_empty_split(tmp_path):
    save(tmp_path / "train" / "sad" / "a.png")
    (tmp_path / "test" / "sad").mkdir(parents=True)
    assert [len(table) for table in read(tmp_path).tables.values()] == [1, 0]


def test_a_changed_picture_changes_the_table_and_an_unchanged_folder_does_not(tmp_path):
    path = save(tmp_path / "sad" / "a.png")
    first = read(tmp_path).tables["all"]
    assert read(tmp_path).tables["all"]._fingerprint == first._fingerprint
    save(path, 1)
    os.utime(path, (1, 1))
    assert read(tmp_path).tables["all"]._fingerprint != first._fingerprint
    save(tmp_path / "sad" / "b.png", 2)
    assert len(read(tmp_path).tables["all"]) == 2


# csv file


def write_csv(path, rows, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_csv_file_with_bom_splits_and_persons(tmp_path):
    save(tmp_path / "faces/a.png")
    save(tmp_path / "faces/b.png", 1)
    rows = [
        ["Path", "label", "split", "person"],
        ["faces/a.png", "Happy", "train", "ann"],
        ["faces/b.png", "joy", "val", ""],
    ]
    source = read(write_csv(tmp_path / "labels.csv", rows, "utf-8-sig"))
    check_contract(source)
    train, validation = source.tables["train"], source.tables["validation"]
    assert (names(train), train["person"][:], train["key"][:]) == (["happiness"], ["ann"], ["faces/a.png"])
    assert (names(validation), validation["person"][:]) == (["happiness"], [None])
    assert len(read(tmp_path).tables) == 2, "the folder of the csv file is recognised too"


def test_class_map_renames_numbers_of_a_csv_file(tmp_path):
    save(tmp_path / "a.png")
    path = write_csv(tmp_path / "labels.csv", [["path", "label"], ["a.png", "1"]])
    assert names(read(path, class_map={"1": "surprise"}).tables["all"]) == ["surprise"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["song", "label"], ["a", "happy"]], r"labels.csv: no column of pictures .*song, label.*--image_column"),
        ([["path", "label"], ["a.png"]], r"labels.csv line 2: 1 fields where the header names 2"),
        ([["path", "label"], ["a.png", "happy", "x"]], r"labels.csv line 2: 3 fields"),
        ([["path", "label"], ["a.png", "happy"], ["b.png", "sad"]], r"labels.csv line 3: no picture file 'b.png'"),
        ([["path", "label"], ["a.png", "happy"], ["a.png", "sad"]], r"labels.csv line 3: a.png is on line 2"),
        (
            [["path", "label"], ["a.png", "7"]],
            r"labels.csv: the labels of 1 picture are the numbers 7, and a number is not",
        ),
        ([["path", "label", "split"], ["a.png", "sad", "fold1"]], r"labels.csv line 2: unknown split 'fold1'"),
        ([["path", "label"], ["a.png", "hapy"]], r"labels.csv: 1 picture of unknown class 'hapy'"),
        ([["path", "label"], ["a.png", "contempt"]], r"no picture with a label is left .*'contempt': 1"),
        ([["path", "label"]], r"no picture with a label is left"),
    ],
)
def test_a_wrong_csv_file_is_refused_by_file_and_line(tmp_path, rows, message):
    save(tmp_path / "a.png")
    path = write_csv(tmp_path / "labels.csv", rows)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_csv_file_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes("path,label\nü.png,sad\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read(tmp_path / "labels.csv")


# parquet and Hub


def save_parquet(folder, split="train", **columns):
    folder.mkdir(exist_ok=True, parents=True)
    count = len(next(iter(columns.values()))[0])
    features = Features({"image": Image()} | {name: feature for name, (_, feature) in columns.items()})
    data = {"image": [picture(i) for i in range(count)]} | {name: values for name, (values, _) in columns.items()}
    Dataset.from_dict(data, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def test_parquet_class_labels_are_read_by_name_whatever_their_order(tmp_path):
    label = ClassLabel(names=["happy", "contempt", "Anger"])
    for split in ("train", "test"):
        save_parquet(tmp_path, split, emotion=([0, 1, 2], label), person_id=([7, 8, 9], Value("int64")))
    source = read(tmp_path)
    check_contract(source)
    assert set(source.tables) == {"train", "test"}
    assert names(source.tables["train"]) == ["happiness", "anger"]
    assert source.tables["train"]["person"][:] == ["7", "9"]
    assert record(source).left_out["test"] == {"contempt": 1}


def test_each_class_of_muxspace_has_its_name_and_person(tmp_path):
    """muxspace/facial_expressions in seven classes: parquet files with the columns of its data card."""
    label, text = ClassLabel(names=CLASSES), Value("string")
    for split in ("train", "validation", "test"):
        persons = [f"{split}-{i}" for i in range(7)]
        columns = {"label": (list(range(7)), label), "person_id": (persons, text), "annotator": (["x"] * 7, text)}
        save_parquet(tmp_path / "muxspace-7cls", split, **columns)
    source = read(tmp_path / "muxspace-7cls")
    check_contract(source)
    assert record(source).id == "muxspace-7cls" and set(source.tables) == {"train", "validation", "test"}
    for split, table in source.tables.items():
        assert names(table) == list(CLASSES)
        assert table["person"][:] == [f"{split}-{i}" for i in range(7)]


def test_parquet_strings_are_names_and_null_is_no_label(tmp_path):
    save_parquet(tmp_path, expression=(["Sad", None, "fear"], Value("string")))
    source = read(tmp_path / "train-00000-of-00001.parquet")
    assert names(source.tables["all"]) == ["sadness", "fear"]
    assert record(source).left_out == {"all": {"no label": 1}}


def test_parquet_bare_numbers_need_a_word_from_the_user(tmp_path):
    save_parquet(tmp_path, label=([0, 6], Value("int64")))
    for settings in ({}, {"label_column": "label"}, {"classes": ["anger", "fear"]}):
        with pytest.raises(InputError, match="the numbers 0, 6, and a number is not a name.*label_codes.*class_map"):
            read(tmp_path, **settings)
    assert names(read(tmp_path, label_codes="fer2013").tables["train"]) == ["anger", "neutral"]
    mapped = read(tmp_path, class_map={"0": "neutral", "6": "anger"})
    assert names(mapped.tables["train"]) == ["neutral", "anger"]


def test_columns_are_named_where_none_is_recognised(tmp_path):
    save_parquet(tmp_path, feeling=(["sad"], Value("string")), score=([0.5], Value("float32")))
    with pytest.raises(InputError, match="no label column is recognised .*feeling.*--label_column"):
        read(tmp_path)
    assert names(read(tmp_path, label_column="feeling").tables["train"]) == ["sadness"]
    with pytest.raises(InputError, match="no column mood"):
        read(tmp_path, label_column="mood")
    with pytest.raises(InputError, match="the numbers 0.5, and a number is not a name"):
        read(tmp_path, label_column="score")
    with pytest.raises(InputError, match="score is not a picture column .*--image_column"):
        read(tmp_path, label_column="feeling", image_column="score")


def test_a_damaged_parquet_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"train.parquet cannot be read as parquet") as error:
        read(tmp_path / "train.parquet")
    assert "\n" not in str(error.value)


def test_a_changed_parquet_file_is_read_anew(tmp_path):
    save_parquet(tmp_path, label=(["sad"], Value("string")))
    assert names(read(tmp_path).tables["train"]) == ["sadness"]
    save_parquet(tmp_path, label=(["fear", "sad"], Value("string")))
    os.utime(tmp_path / "train-00000-of-00001.parquet", (1, 1))
    assert names(read(tmp_path).tables["train"]) == ["fear", "sadness"]


def test_splits_of_other_names_are_refused(tmp_path):
    save_parquet(tmp_path, label=(["sad"], Value("string")))
    save_parquet(tmp_path, "fold_2", label=(["sad"], Value("string")))
    with pytest.raises(InputError, match=r"fold_2-\S+.parquet names no split, and other parquet files do"):
        read(tmp_path)


def test_a_hub_id_that_cannot_be_reached_is_named_with_what_to_do():
    with pytest.raises(InputError, match="data_path nobody/no-faces: no such folder.*HF_HUB_OFFLINE") as error:
        read("nobody/no-faces")
    assert "\n" not in str(error.value)


# FER+


def save_ferplus(folder, votes, split="train"):
    count = len(votes)
    pictures = [{"path": f"fer{i:07d}.png", "bytes": None} for i in range(count)]
    for i, cell in enumerate(pictures):
        cell["bytes"] = save(folder.with_name("pictures") / cell["path"], i).read_bytes()
    features = Features({"image": Image(), "votes": List(Value("int8"))})
    table = Dataset.from_dict({"image": pictures, "votes": votes}, features=features)
    table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_column_of_ten_votes_is_ferplus(tmp_path):
    source = read(save_ferplus(tmp_path, [VOTES["happiness"], VOTES["nobody"]]))
    check_contract(source)
    table = source.tables["train"]
    assert (names(table), table["key"][:]) == (["happiness"], ["fer0000000.png"])
    np.testing.assert_allclose(table["target"][0], [0, 0, 0, 0.9, 0.1, 0, 0], atol=1e-6)
    assert (record(source).id, record(source).label_rule, record(source).left_out) == (
        "ferplus",
        "majority",
        {"train": {"no majority": 1}},
    )
    assert "no open licence" in record(source).terms


@pytest.mark.parametrize("row", [[10], [6] * 10, None], ids=["one count", "too many votes", "none"])
def test_wrong_votes_in_parquet_are_refused_by_split_and_row(tmp_path, row):
    save_ferplus(tmp_path, [VOTES["happiness"], row])
    with pytest.raises(InputError, match="split train row 1: .* expected ten counts"):
        read(tmp_path)


def test_source_ferplus_without_votes_is_refused(tmp_path):
    save_parquet(tmp_path, label=(["sad"], Value("string")))
    with pytest.raises(InputError, match="no FER\\+ votes"):
        read(tmp_path, source="ferplus")


USAGES = ("Training", "Training", "PublicTest", "PrivateTest")


def save_pair(folder, pictures=None, votes=None):
    """The two csv files of FER+ with four rows; the second has no picture name."""
    pixels = " ".join(map(str, np.array(picture()).ravel()))
    pictures = pictures or [[3, pixels, usage] for usage in USAGES]
    shown = ("a.png", "", "c.png", "d.png")
    votes = votes or [[usage, name, *VOTES["happiness"]] for usage, name in zip(USAGES, shown, strict=True)]
    columns = ["Usage", "Image name", *FERPLUS_COLUMNS[:9], "NF"]
    write_csv(folder / "fer2013.csv", [["emotion", "pixels", "Usage"], *pictures])
    write_csv(folder / "fer2013new.csv", [columns, *votes])
    return folder


def test_the_two_csv_files_of_ferplus_are_joined_row_by_row(tmp_path):
    source = read(save_pair(tmp_path))
    check_contract(source)
    assert {split: table["key"][:] for split, table in source.tables.items()} == {
        "train": ["a.png"],
        "validation": ["c.png"],
        "test": ["d.png"],
    }
    assert record(source).left_out["train"] == {"no picture name": 1}
    assert (record(source).id, record(source).label_rule) == ("ferplus", "majority")
    assert np.array(source.tables["test"][0]["image"]).tolist() == np.array(picture()).tolist()


def test_a_picture_name_that_comes_again_is_dropped(tmp_path):
    again = [[usage, "a.png" if usage == "Training" else usage, *VOTES["happiness"]] for usage in USAGES]
    source = read(save_pair(tmp_path, votes=again))
    assert source.tables["train"]["key"][:] == ["a.png"]
    assert record(source).left_out["train"] == {"name of another row": 1}


def test_fer2013_csv_alone_has_its_own_codes(tmp_path):
    save_pair(tmp_path)
    source = read(tmp_path / "fer2013.csv")
    check_contract(source)
    assert names(source.tables["train"]) == ["happiness", "happiness"]
    assert (record(source).id, record(source).label_rule) == ("fer2013", None)


def changed(rows, row, column, value):
    return [[value if (i, j) == (row, column) else cell for j, cell in enumerate(r)] for i, r in enumerate(rows)]


PICTURES = [[3, " ".join(["7"] * 2304), usage] for usage in USAGES]
RATED = [[usage, f"{i}.png", *VOTES["happiness"]] for i, usage in enumerate(USAGES)]


@pytest.mark.parametrize(
    ("pictures", "votes", "message"),
    [
        (PICTURES, RATED[:3], r"fer2013new.csv has 3 rows and .*fer2013.csv 4"),
        (changed(PICTURES, 1, 1, "7 7"), RATED, r"fer2013.csv line 3: 2 pixels; expected 2304"),
        (changed(PICTURES, 1, 1, "7 x"), RATED, r"fer2013.csv line 3: pixels must be whole numbers"),
        (changed(PICTURES, 1, 2, "Tuning"), RATED, r"fer2013.csv line 3: unknown Usage 'Tuning'"),
        (changed(PICTURES, 1, 0, 9), RATED, r"fer2013.csv line 3: emotion '9' is not a code"),
        (PICTURES, changed(RATED, 2, 0, "Training"), r"fer2013new.csv line 4: Usage 'Training', but 'PublicTest'"),
        (PICTURES, changed(RATED, 2, 3, "9.5"), r"fer2013new.csv line 4: votes .* whole numbers"),
        (PICTURES, changed(RATED, 2, 3, 11), r"fer2013new.csv line 4: votes .* expected ten counts"),
    ],
)
def test_a_wrong_pair_is_refused_by_file_and_line(tmp_path, pictures, votes, message):
    with pytest.raises(InputError, match=message) as error:
        read(save_pair(tmp_path, pictures, votes))
    assert "\n" not in str(error.value)


def test_a_vote_file_without_its_columns_is_refused(tmp_path):
    save_pair(tmp_path)
    write_csv(tmp_path / "fer2013new.csv", [["Usage", "Image name", "neutral"], ["Training", "a.png", 10]])
    with pytest.raises(InputError, match=r"fer2013new.csv: no column happiness, surprise"):
        read(tmp_path)


# nothing


def test_a_missing_path_is_named_with_the_layouts(tmp_path):
    with pytest.raises(InputError, match=r"faces does not exist: give class folders .* Hub data set id"):
        read(tmp_path / "faces")
    with pytest.raises(InputError, match="does not exist"):
        read("labels.csv")
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "faces", source="folder")


def test_an_empty_folder_is_called_empty(tmp_path):
    with pytest.raises(InputError, match="is empty: give class folders"):
        read(tmp_path)


def test_a_folder_of_loose_pictures_is_not_guessed_at(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds no layout that is understood"):
        read(tmp_path)


def test_a_source_without_a_path_asks_for_one():
    with pytest.raises(InputError, match="data_path is not set"):
        read_source(Recipe())


def test_a_wrong_source_for_the_layout_is_refused_in_one_line(tmp_path):
    save(tmp_path / "sad" / "a.png")
    for source in ("csv", "parquet", "fer2013", "ferplus"):
        with pytest.raises(InputError, match=str(tmp_path)):
            read(tmp_path, source=source)


def test_a_fer2013_file_without_rows_is_refused(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", [["emotion", "pixels", "Usage"]])
    with pytest.raises(InputError, match="no row under its header"):
        read(path)


def test_a_data_path_that_no_source_reads_is_refused(tmp_path):
    write_csv(tmp_path / "labels.csv", [])
    entries = [{"data_path": str(tmp_path / "labels.csv")}]
    with pytest.raises(InputError, match="would not be read, because source is drawn: add --source auto"):
        read_sources(Recipe(source="drawn", data_path="faces"))
    with pytest.raises(InputError, match="would not be read, because each of the sources names its own"):
        read_sources(Recipe(sources=entries, data_path="faces"))
    with pytest.raises(InputError, match="labels.csv would not be read, because its source is drawn: add source: auto"):
        read_sources(Recipe(sources=entries, source="drawn"))


def test_level_eyes_without_a_crop_are_refused():
    for settings in ({}, {"sources": [{"crop": "none"}], "crop": "detect"}):
        with pytest.raises(InputError, match="face_align levels the eyes of faces that are cropped here"):
            read_sources(Recipe(source="drawn", drawn_faces=10, face_align=True, **settings))
