"""The layouts in which FER+, RAF-DB and AffectNet are held, with drawn faces, and every way they may be wrong."""

import json
import os
import pickle
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.curation import main
from pipeline.data.readers.affectnet import AFFECTNET_CODES
from pipeline.data.readers.rafdb import RAFDB_CODES
from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.drawn.face import draw_face
from pipeline.drawn.movements import EXPRESSIONS
from pipeline.errors import InputError
from pipeline.expressions import CLASSES, canonical
from tests.data.test_sources import check_contract, names, read, record, write_csv

EIGHT = [*CLASSES, "contempt"]


def face(path, expression="neutral", index=0):
    """A drawn face of 48 x 48; what has no expression is drawn neutral."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = expression if expression in EXPRESSIONS else "neutral"
    draw_face(shown, 0, index).resize((48, 48)).save(path)
    return path


def labels(table):
    return dict(zip(table["key"][:], names(table), strict=True))


def refused(path, message, **settings):
    with pytest.raises(InputError, match=message) as error:
        read(path, **settings)
    assert "\n" not in str(error.value)


# FER+ picture folders

BOX = "(0, 0, 48, 48)"
HAPPY = [1, 9, *[0] * 8]


def save_ferplus(root, rows=(), folders=("FER2013Train",), extra=()):
    """label.csv with `rows` in each of `folders`, and a picture for each row whose name stays in the folder."""
    for folder in folders:
        write_csv(root / folder / "label.csv", rows)
        for index, name in enumerate([*(row[0] for row in rows if ".." not in row[0]), *extra]):
            face(root / folder / name, index=index)
    return root


def test_ferplus_folders_are_its_three_splits(tmp_path):
    source = read(save_ferplus(tmp_path, [["a.png", BOX, *HAPPY]], ("FER2013Train", "FER2013Valid", "FER2013Test")))
    check_contract(source)
    assert list(source.tables) == ["train", "validation", "test"]
    assert (record(source).id, record(source).label_rule) == ("ferplus", "majority")
    assert "FER2013Valid" in record(source).layout
    assert "no open licence" in record(source).terms
    assert record(source).may_publish_labels and not record(source).may_publish_pixels


@pytest.mark.parametrize("boxes", [[BOX], []], ids=["with the box", "without"])
def test_each_vote_column_of_ferplus_folders_has_its_class(tmp_path, boxes):
    votes = np.eye(10, dtype=int) * 10
    rows = [[f"{column}.png", *boxes, *votes[i]] for i, column in enumerate(FERPLUS_COLUMNS)]
    source = read(save_ferplus(tmp_path, rows), source="ferplus")
    assert labels(source.tables["train"]) == {f"{name}.png": name for name in CLASSES}
    assert record(source).left_out["train"] == {"contempt": 1, "unknown": 1, "not a face": 1}


def test_ferplus_folders_follow_the_vote_rules(tmp_path):
    rows = [["a.png", BOX, *HAPPY], ["b.png", BOX, 5, 4, 1, *[0] * 7]]
    save_ferplus(tmp_path, rows)
    assert record(read(tmp_path)).left_out["train"] == {}
    assert labels(read(tmp_path).tables["train"]) == {"a.png": "happiness", "b.png": "neutral"}
    np.testing.assert_allclose(read(tmp_path).tables["train"]["target"][0], [0, 0, 0, 0.9, 0.1, 0, 0], atol=1e-6)
    tied = save_ferplus(tmp_path / "tied", [["a.png", BOX, *HAPPY], ["b.png", BOX, 5, 5, *[0] * 8]])
    assert record(read(tied)).left_out["train"] == {"no majority": 1}
    assert record(read(tied, label_rule="plurality")).left_out["train"] == {"tie": 1}


@pytest.mark.parametrize(
    ("rows", "extra", "message"),
    [
        ([["a.png", BOX, *HAPPY], ["b.png", *HAPPY[:9]]], (), r"label.csv line 2: 10 fields; expected 12"),
        ([["a.png", BOX, "x", *HAPPY[1:]]], (), r"label.csv line 1: votes .* must be whole numbers"),
        ([["a.png", BOX, *[6] * 10]], (), r"label.csv line 1: votes .* sum to 60"),
        ([["a.png", BOX, *HAPPY], ["../b.png", BOX, *HAPPY]], (), r"label.csv line 2: '../b.png' leads out of "),
        ([["a.png", BOX, *HAPPY], ["./a.png", BOX, *HAPPY]], (), r"label.csv line 2: ./a.png is on line 1 already"),
        (
            [["a.png", BOX, *HAPPY]],
            ("b.png", "c.png"),
            r"label.csv has no line for 2 of the pictures in .* the first 'b.png'",
        ),
        ([], (), r"no picture with a label is left"),
    ],
)
def test_a_wrong_label_csv_is_refused_by_file_and_line(tmp_path, rows, extra, message):
    refused(save_ferplus(tmp_path, rows, extra=extra), message)


def test_ferplus_folders_without_pictures_or_without_votes_are_refused(tmp_path):
    path = save_ferplus(tmp_path, [["a.png", BOX, *HAPPY], ["b.png", BOX, *HAPPY]]) / "FER2013Train"
    (path / "b.png").unlink()
    refused(tmp_path, r"label.csv line 2: no picture file 'b.png' in .*FER2013Train; add it, or remove the line")
    (path / "label.csv").unlink()
    refused(tmp_path, "FER2013Train has no label.csv")


# RAF-DB


def save_rafdb(root, rows=None, pictures="aligned", listed="", end="\n", encoding="utf-8"):
    """A list of RAF-DB and its aligned pictures; the default has every code in train, and two in test."""
    if rows is None:
        rows = [
            *((f"train_{code:05d}.jpg", str(code)) for code in range(1, 8)),
            ("test_0001.jpg", 7),
            ("test_0002.jpg", 4),
        ]
    for index, (name, code) in enumerate(rows):
        stem, _, suffix = name.rpartition(".")
        if ".." not in stem:
            face(root / pictures / f"{stem}_aligned.{suffix}", RAFDB_CODES.get(str(code), ""), index)
    path = root / listed / "list_patition_label.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{name} {code}{end}" for name, code in rows).encode(encoding))
    return root


EVERY_RAF_CODE = {
    "train_00001.jpg": "surprise",
    "train_00002.jpg": "fear",
    "train_00003.jpg": "disgust",
    "train_00004.jpg": "happiness",
    "train_00005.jpg": "sadness",
    "train_00006.jpg": "anger",
    "train_00007.jpg": "neutral",
}


def test_each_code_of_the_rafdb_list_has_its_class(tmp_path):
    source = read(save_rafdb(tmp_path))
    check_contract(source)
    assert list(source.tables) == ["train", "test"]
    assert labels(source.tables["train"]) == EVERY_RAF_CODE
    assert labels(source.tables["test"]) == {"test_0001.jpg": "neutral", "test_0002.jpg": "happiness"}
    assert (record(source).id, record(source).label_rule) == ("rafdb", None)
    assert not record(source).may_publish_labels
    assert "non-commercial" in record(source).terms


def test_raf_code_seven_is_neutral(tmp_path):
    assert RAFDB_CODES["7"] == "neutral"
    rows = [("train_00001.jpg", 7), ("train_00002.jpg", 6)]
    listed = read(save_rafdb(tmp_path / "list", rows)).tables["train"]
    assert labels(listed) == {"train_00001.jpg": "neutral", "train_00002.jpg": "anger"}
    for code in ("7", "6"):
        face(tmp_path / "folders" / "train" / code / "a.jpg")
    coded = read(tmp_path / "folders", label_codes="rafdb")
    assert labels(coded.tables["train"]) == {"train/6/a.jpg": "anger", "train/7/a.jpg": "neutral"}


@pytest.mark.parametrize("root", ["", "basic"])
def test_rafdb_as_it_is_unpacked(tmp_path, root):
    save_rafdb(tmp_path / root, None, "Image/aligned", "EmoLabel", "\r\n", "utf-8-sig")
    assert labels(read(tmp_path).tables["train"]) == EVERY_RAF_CODE
    assert labels(read(tmp_path / root / "EmoLabel" / "list_patition_label.txt").tables["train"]) == EVERY_RAF_CODE


def test_a_rafdb_list_without_a_test_line_has_no_test_split(tmp_path):
    assert list(read(save_rafdb(tmp_path, [("train_1.jpg", 1)])).tables) == ["train"]


def test_class_map_is_asked_before_the_codes_of_rafdb(tmp_path):
    source = read(save_rafdb(tmp_path), class_map={"7": None, "6": "disgust"})
    assert labels(source.tables["train"])["train_00006.jpg"] == "disgust"
    assert record(source).left_out == {"train": {"7": 1}, "test": {"7": 1}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("train_1.jpg", 8), ("train_2.jpg", 8)],
            r"label.txt: 2 pictures with the label 8, which is not among .*: name each with --class_map",
        ),
        ([("train_1.jpg", 1), ("face.jpg", 2)], r"label.txt line 2: 'face.jpg 2'; expected a name that starts with"),
        (
            [("train_1.jpg", "")],
            r"label.txt line 1: 'train_1.jpg'; expected a name that starts with train_ or test_, and",
        ),
        ([("train_1.jpg", 1), ("train_1.jpg", 2)], r"label.txt line 2: train_1_aligned.jpg is on line 1 already"),
        (
            [("train_1.jpg", 1), ("train_/../../a.jpg", 1)],
            r"label.txt line 2: 'train_/../../a_aligned.jpg' leads out of",
        ),
    ],
)
def test_a_wrong_rafdb_list_is_refused_by_file_and_line(tmp_path, rows, message):
    refused(save_rafdb(tmp_path, rows), message)


def test_a_rafdb_list_longer_or_shorter_than_its_pictures_is_refused(tmp_path):
    save_rafdb(tmp_path)
    face(tmp_path / "aligned" / "train_00008_aligned.jpg")
    refused(tmp_path, r"label.txt has no line for 1 of the pictures in .*aligned, the first 'train_00008_aligned.jpg'")
    for code in (7, 8):
        (tmp_path / "aligned" / f"train_0000{code}_aligned.jpg").unlink()
    refused(tmp_path, r"label.txt line 7: no picture file 'train_00007_aligned.jpg' in .*aligned")
    (tmp_path / "aligned").rename(tmp_path / "original")
    refused(tmp_path, r"label.txt: no folder .*aligned or .*Image/aligned with its pictures")


@pytest.mark.parametrize("split", ["", "train/"])
def test_folders_one_to_seven_are_rafdb_only_where_a_setting_says_so(tmp_path, split):
    for code, name in RAFDB_CODES.items():
        face(tmp_path / split / code / "a.jpg", name, int(code))
    refused(tmp_path, "labels of 7 pictures are the numbers 1, 2, 3, 4, 5, 6, 7, .* RAF-DB|rafdb: 1 surprise")
    for settings in ({"source": "rafdb"}, {"label_codes": "rafdb"}):
        source = read(tmp_path, **settings)
        check_contract(source)
        found = {f"{split}{code}/a.jpg": name for code, name in RAFDB_CODES.items()}
        assert labels(next(iter(source.tables.values()))) == found
        assert record(source).names["6 = anger"] == {"anger": 1}
    assert record(read(tmp_path, source="rafdb")).id == "rafdb"


def test_folders_one_to_seven_that_class_map_names_are_not_rafdb(tmp_path):
    for code in "1234567":
        face(tmp_path / code / "a.jpg", index=int(code))
    source = read(tmp_path, class_map={str(i + 1): name for i, name in enumerate(CLASSES)})
    assert names(source.tables["all"]) == list(CLASSES)
    assert record(source).id == tmp_path.name
    assert "RAF" not in record(source).layout


@pytest.mark.parametrize("class_map", [{}, {"0": "anger"}])
@pytest.mark.parametrize("source", ["auto", "folder"])
def test_folders_zero_to_six_are_not_guessed_at(tmp_path, class_map, source):
    for code in "0123456":
        face(tmp_path / code / "a.jpg", index=int(code))
    message = r"are the numbers (0, )?1, 2, 3, 4, 5, 6, and a number is not a name, .*different orders .*--label_codes"
    refused(tmp_path, message, source=source, class_map=class_map)
    refused(tmp_path, r"1 picture with the label 0, which is not among the codes", source="rafdb")
    class_map = {str(i): name for i, name in enumerate(CLASSES)}
    assert names(read(tmp_path, source=source, class_map=class_map).tables["all"]) == list(CLASSES)


def test_rafdb_in_named_folders_keeps_its_terms_where_source_says_so(tmp_path):
    face(tmp_path / "test" / "angry" / "a.jpg")
    source = read(tmp_path, source="rafdb")
    assert (names(source.tables["test"]), record(source).id) == (["anger"], "rafdb")
    assert not record(source).may_publish_labels
    assert record(read(tmp_path)).id == tmp_path.name


# AffectNet


def save_affectnet_csv(root, pictures="", codes=range(11), split="training", delimiter=",", columns=None):
    """A csv file of AffectNet with a row for each code, and the pictures below the folder `pictures`."""
    columns = columns or ["subDirectory_filePath", "face_x", "facial_landmarks", "expression", "valence", "arousal"]
    root.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(columns)]
    for index, code in enumerate(codes):
        name = f"{index}/{split} {index}.jpg"
        face(root / pictures / name, AFFECTNET_CODES.get(str(code), ""), index)
        lines.append(delimiter.join([name, "5", "1.5 2.5", str(code), "-0.5", "0.1"]))
    path = root / f"{split}.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


EVERY_AFFECTNET_CODE = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"]
NO_EXPRESSION = {"contempt": 1, "none": 1, "uncertain": 1, "no-face": 1}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_each_code_of_an_affectnet_csv_has_its_class(tmp_path, delimiter):
    save_affectnet_csv(tmp_path, delimiter=delimiter)
    save_affectnet_csv(tmp_path, codes=(6, 0), split="validation", delimiter=delimiter)
    source = read(tmp_path)
    check_contract(source)
    assert list(source.tables) == ["train", "validation"], "its own validation split is kept"
    assert names(source.tables["train"]) == EVERY_AFFECTNET_CODE
    assert labels(source.tables["validation"]) == {"0/validation 0.jpg": "anger", "1/validation 1.jpg": "neutral"}
    assert record(source).left_out == {"train": NO_EXPRESSION, "validation": {}}
    assert (record(source).id, record(source).label_rule) == ("affectnet", None)
    assert not record(source).may_publish_labels
    assert "research" in record(source).terms


def test_contempt_can_be_the_eighth_class_of_affectnet(tmp_path):
    save_affectnet_csv(tmp_path)
    source = read(tmp_path, classes=EIGHT)
    check_contract(source, EIGHT)
    assert names(source.tables["train"]) == [*EVERY_AFFECTNET_CODE, "contempt"]
    assert "contempt" not in record(source).left_out["train"]


@pytest.mark.parametrize("pictures", ["Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images"])
def test_affectnet_as_it_is_unpacked(tmp_path, pictures):
    path = save_affectnet_csv(tmp_path, pictures, split="training")
    assert names(read(tmp_path).tables["train"]) == EVERY_AFFECTNET_CODE
    assert list(read(path).tables) == ["train"]
    (tmp_path / "Manually_Annotated_file_lists").mkdir()
    path.rename(tmp_path / "Manually_Annotated_file_lists" / "training.csv")
    assert names(read(tmp_path).tables["train"]) == EVERY_AFFECTNET_CODE


def test_an_affectnet_csv_of_another_name_has_no_split(tmp_path):
    assert list(read(save_affectnet_csv(tmp_path, split="mine"), source="affectnet").tables) == ["all"]


def test_a_wrong_affectnet_csv_is_refused_by_file_and_line(tmp_path):
    path = save_affectnet_csv(tmp_path / "code", codes=(0, 11, 11))
    refused(path, r"training.csv: 2 pictures with the label 11, which is not among .*--class_map")
    assert record(read(path, class_map={"11": None})).left_out == {"train": {"11": 2}}
    path = save_affectnet_csv(tmp_path / "column", columns=["subDirectory_filePath", *"abcde"])
    refused(path.parent, r"training.csv: no column expression \(there are: subdirectory_filepath, a, b")
    path = save_affectnet_csv(tmp_path / "picture")
    (path.parent / "3" / "training 3.jpg").unlink()
    refused(path.parent, r"training.csv line 5: no picture file '3/training 3.jpg' in")
    path.write_text(path.read_text().replace("3/training 3.jpg", "../code/0/training 0.jpg"))
    refused(path.parent, r"training.csv line 5: '../code/0/training 0.jpg' leads out of")
    path.write_text(path.read_text().replace("../code/0/training 0.jpg", "0/training 0.jpg"))
    refused(path.parent, r"training.csv line 5: 0/training 0.jpg is on line 2 already")


def test_a_validation_list_without_its_columns_is_not_passed_over(tmp_path):
    save_affectnet_csv(tmp_path)
    (tmp_path / "validation.csv").write_text("path,expression\na.jpg,1\n")
    refused(tmp_path, r"validation.csv: no column subDirectory_filePath")


def save_affectnet_npy(root, codes=range(11), split="train_set"):
    """`images/` and `annotations/` with a picture and its files for each code."""
    (root / split / "annotations").mkdir(parents=True)
    for index, code in enumerate(codes):
        face(root / split / "images" / f"{index:02d}.jpg", AFFECTNET_CODES.get(str(code), ""), index)
        np.save(root / split / "annotations" / f"{index:02d}_exp.npy", np.array(code))
        np.save(root / split / "annotations" / f"{index:02d}_val.npy", np.array(0.5))
    return root


@pytest.mark.parametrize("kind", [int, str])
def test_each_code_of_affectnet_annotations_has_its_class(tmp_path, kind):
    save_affectnet_npy(tmp_path, [kind(code) for code in range(11)])
    save_affectnet_npy(tmp_path, [kind(6)], "val_set")
    source = read(tmp_path)
    check_contract(source)
    assert names(source.tables["train"]) == EVERY_AFFECTNET_CODE
    assert labels(source.tables["validation"]) == {"val_set/images/00.jpg": "anger"}
    assert record(source).left_out == {"train": NO_EXPRESSION, "validation": {}}
    assert record(source).id == "affectnet"


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_in_an_annotation_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save_affectnet_npy(tmp_path, [0, 1]) / "train_set" / "annotations" / "01_exp.npy"
    np.save(path, np.array(Bomb(), dtype=object), allow_pickle=True)
    refused(tmp_path, r"01_exp.npy is not an npy file of one whole number \(pickled objects are not opened")
    path.write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path, r"01_exp.npy is not an npy file of one whole number")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("value", [np.array([1, 2]), np.array(1.0), np.array([], dtype=int), None])
def test_an_annotation_without_one_code_is_refused(tmp_path, value):
    path = save_affectnet_npy(tmp_path, [0, 1]) / "train_set" / "annotations" / "01_exp.npy"
    path.write_bytes(b"")
    if value is not None:
        np.save(path, value)
    refused(tmp_path, r"01_exp.npy is not an npy file of one whole number")


def test_annotations_that_do_not_fit_their_pictures_are_refused(tmp_path):
    folder = save_affectnet_npy(tmp_path, [0, 1]) / "train_set"
    face(folder / "images" / "01.png")
    refused(tmp_path, r"01.jpg and 01.png share one annotation")
    (folder / "images" / "01.png").rename(folder / "images" / "02.png")
    refused(tmp_path, r"02.png has no .*annotations/02_exp.npy")
    (folder / "images" / "02.png").unlink()
    (folder / "images" / "01.jpg").unlink()
    refused(tmp_path, r"annotations/01_exp.npy has no picture in .*images")
    (folder / "images").rename(folder / "pictures")
    refused(tmp_path, r"no folder .*train_set/images; expected images/0.jpg")


def test_source_affectnet_for_another_layout_is_refused(tmp_path):
    face(tmp_path / "sad" / "a.png")
    refused(tmp_path, "no AffectNet there; expected training.csv", source="affectnet")


# what all layouts share


def test_the_codes_of_all_sources_lead_to_classes_or_are_dropped():
    for codes in (RAFDB_CODES, AFFECTNET_CODES):
        meanings = [canonical(name) for name in codes.values()]
        assert Counter(meanings) >= Counter(CLASSES)


@pytest.mark.parametrize("name", ["Non-Face", "no face", "noface", "NF"])
def test_pictures_without_a_face_are_dropped_whatever_they_are_called(name):
    assert canonical(name) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_csv_file_with_any_delimiter_and_names_in_any_script(tmp_path, delimiter):
    faces = {"лицо 1.png": "sad", "顔/二.png": "Happy", "وجه.png": "natural", "a b/ü.png": "surprised"}
    for index, name in enumerate(faces):
        face(tmp_path / "мои faces" / name, index=index)
    rows = [("path", "label"), *faces.items()]
    (tmp_path / "мои faces" / "labels.csv").write_text("\n".join(map(delimiter.join, rows)), encoding="utf-8-sig")
    found = labels(read(tmp_path / "мои faces").tables["all"])
    assert found == dict(zip(faces, ["sadness", "happiness", "neutral", "surprise"], strict=True))


def test_names_in_any_script_in_the_rafdb_list(tmp_path):
    source = read(save_rafdb(tmp_path / "顔", [("train_лицо 1.jpg", 7), ("test_顔.jpg", 1)]))
    assert labels(source.tables["train"]) == {"train_лицо 1.jpg": "neutral"}
    assert labels(source.tables["test"]) == {"test_顔.jpg": "surprise"}


@pytest.mark.parametrize("name", ["../b.png", "faces/../../b.png", "/b.png", "x" * 300 + ".png", ""])
def test_a_csv_file_names_pictures_below_its_folder_alone(tmp_path, name):
    face(tmp_path / "b.png")
    path = write_csv(tmp_path / "mine" / "labels.csv", [["path", "label"], [name, "sad"]])
    elsewhere = "'/b.png' is a path of another machine|no picture file '(x+.png)?' in .*mine"
    refused(path, f"labels.csv line 2: ('.*b.png' leads out of .*mine|{elsewhere})")


def test_linked_folders_are_read_and_links_in_a_circle_end(tmp_path):
    face(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "faces" / "happy").mkdir(parents=True)
    face(tmp_path / "faces" / "happy" / "b.png", index=1)
    (tmp_path / "faces" / "sad").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "itself").symlink_to(tmp_path / "elsewhere" / "itself")
    source = read(tmp_path / "faces")
    assert labels(source.tables["all"]) == {"happy/b.png": "happiness", "sad/a.png": "sadness"}


# all three together


def test_the_merged_recipe_takes_each_source_in_its_own_layout_and_none_vanishes(tmp_path):
    """A source with its own validation split once vanished from a merge: here every row is counted under its source."""
    votes = [[f"{i}.png", BOX, *HAPPY] for i in range(4)]
    save_ferplus(tmp_path / "ferplus", votes, ("FER2013Train", "FER2013Valid", "FER2013Test"))
    for split in ("training", "validation"):
        save_affectnet_csv(tmp_path / "affectnet", split=split)
    codes = [code for code in range(1, 8) for _ in range(4)]
    rows = [(f"train_{i:05d}.jpg", str(code)) for i, code in enumerate(codes)] + [("test_0001.jpg", "7")]
    save_rafdb(tmp_path / "rafdb", rows)
    sources = [{"data_path": str(tmp_path / name)} for name in ("ferplus", "affectnet", "rafdb")]
    words = ["--sources", json.dumps(sources), "--leaks", "report", "--near_copies", "false", "--test_share", "0.0"]
    main(["merged_vit_tiny", *words, "--output_dir", str(tmp_path / "out")])
    report = json.loads((tmp_path / "out" / "curation.json").read_text())
    counted = {
        name: {split: sum(rows.values()) for split, rows in source["rows"].items()}
        for name, source in report["sources"].items()
    }
    assert counted == {
        "ferplus": {"train": 4, "validation": 4, "test": 4},
        "affectnet": {"train": 7, "validation": 7},
        "rafdb": {"train": 27, "validation": 1, "test": 1},
    }
    for split, rows in report["rows"].items():
        assert sum(rows.values()) == sum(source.get(split, 0) for source in counted.values())
        kept = pq.read_table(tmp_path / "out" / f"{split}.parquet")["source"].to_pylist()
        assert {name: kept.count(name) for name in counted} == {
            name: rows.get(split, 0) for name, rows in counted.items()
        }
    assert {s: sum(source["left_out"].get("train", {}).values()) for s, source in report["sources"].items()} == {
        "ferplus": 0,
        "affectnet": 4,
        "rafdb": 0,
    }
