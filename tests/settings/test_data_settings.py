"""Each setting of data is given another value, and what it changes is looked at."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from pipeline import crop
from pipeline.data.readers import read_source
from pipeline.data.readers.codes import TABLES
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.training.arguments import training_arguments
from pipeline.training.log import TrainingLog
from pipeline.training.model import build_model
from pipeline.training.plan import make_plan
from pipeline.training.sampler import EpochSampler, PictureRows, sampling_weights
from pipeline.training.steps import build_trainer
from pipeline.training.transforms import map_pictures
from tests.data.test_face_crops import Squares, eyes_of, squares_photo
from tests.settings.observed import Seen


@pytest.fixture
def voted(parquet) -> Path:
    """A row with a majority and one without: neutral, happiness, surprise, sadness, ..."""
    votes = [[0, 4, 3, 3, 0, 0, 0, 0, 0, 0], [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]]
    return parquet({"image": [PILImage.new("L", (8, 8))] * 2, "votes": votes}, votes=List(Value("int64")))


@pytest.fixture
def rolled(tmp_path: Path) -> Path:
    """A photo of a face whose eyes are not level, as `Squares` sees it, and one without a face."""
    photo = squares_photo((40, 30, 60), eyes=((55, 45), (85, 65)))
    for label, name, picture in (("happy", "face", photo), ("sad", "none", np.zeros((90, 90, 3), np.uint8))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        PILImage.fromarray(picture).save(tmp_path / "photos" / label / f"{name}.png")
    return tmp_path / "photos"


def keys(tables: DatasetDict, split: str = "validation") -> list[str]:
    return tables[split]["key"][:]


def test_source_names_the_layout_or_recognises_it(faces, read) -> None:
    root = faces(happy=3, sad=2)
    assert len(read(root).tables["all"]) == 5
    (root / "labels.csv").write_text("path,label\nhappy/00.png,happy\n", encoding="utf-8")
    assert [len(read(root, source=s).tables["all"]) for s in ("csv", "folder")] == [1, 5]
    with pytest.raises(InputError, match="choose with --source csv or --source folder"):
        read(root)


def test_data_path_is_what_is_read(faces, read) -> None:
    few, many = faces("few", 1, 1), faces("many", 3, 3)
    assert [len(read(path).tables["all"]) for path in (few, many)] == [2, 6]


def test_splits_left_out_are_made_of_train_rows(faces, tmp_path: Path, curated) -> None:
    for split in ("train", "test"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        faces(split, 20, 20).rename(tmp_path / "mine" / split)
    for splits, folder in (([], "test"), (["test"], "train")):
        table = curated(tmp_path / "mine", splits_left_out=splits, leaks="report").splits["test"]
        assert {key.split("/")[0] for key in table["key"]} == {folder}


def test_sources_are_read_together(tmp_path: Path, curated) -> None:
    for place in ("one", "two"):
        for name in ("happiness", "sadness"):
            for index in range(6):
                path = tmp_path / place / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=ord(place[0]), index=index, size=32).save(path)
    entries = [{"crop": "none"}, {"data_path": str(tmp_path / "two")}]  # the first is read from the recipe's own path
    assert len(curated(tmp_path / "one", sources=entries).rows["train"]) > 12
    assert set(curated(tmp_path / "one", sources=entries).report["sources"]) == {"one", "two"}


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], Path]:
    """Two pictures and a table that lists them, from its header and the cells of its two rows."""

    def make(header: str, first: str, second: str) -> Path:
        (tmp_path / "listed").mkdir(exist_ok=True)
        for index, name in enumerate("ab"):
            draw_face("neutral", seed=1, index=index, size=32).save(tmp_path / "listed" / f"{name}.png")
        rows = f"path,{header}\na.png,{first}\nb.png,{second}\n"
        (tmp_path / "listed" / "labels.csv").write_text(rows, encoding="utf-8")
        return tmp_path / "listed"

    return make


def test_person_column_names_the_person_or_none(listed, read) -> None:
    path = listed("label,who,subject", "happy,ann,1", "sad,ben,2")
    persons = {name: read(path, person_column=name).tables["all"]["person"][:] for name in (None, "who", "none")}
    assert persons == {None: ["1", "2"], "who": ["ann", "ben"], "none": [None, None]}
    with pytest.raises(InputError, match="no column age .*--person_column"):
        read(path, person_column="age")


def test_split_column_names_the_split_or_none(listed, read) -> None:
    path = listed("label,usage,mine", "happy,train,test", "sad,test,train")
    splits = {name: read(path, split_column=name).tables for name in (None, "mine", "none")}
    assert {name: {s: t["key"][:] for s, t in tables.items()} for name, tables in splits.items()} == {
        None: {"train": ["a.png"], "test": ["b.png"]},
        "mine": {"train": ["b.png"], "test": ["a.png"]},
        "none": {"all": ["a.png", "b.png"]},
    }


def test_csv_encoding_reads_a_table_that_is_not_utf_8(listed, read) -> None:
    path = listed("label,person", "happy,José", "sad,Zoë")
    table = path / "labels.csv"
    table.write_bytes(table.read_text(encoding="utf-8").encode("cp1252"))
    with pytest.raises(InputError, match=r"csv line 2: the byte 0xe9 is not UTF-8; .* or set --csv_encoding"):
        read(path)
    for given in (path, table):
        assert read(given, csv_encoding="cp1252").tables["all"]["person"][:] == ["José", "Zoë"]
    with pytest.raises(InputError, match="csv_encoding is 'hex', which is not an encoding of text"):
        read(path, csv_encoding="hex")


def test_label_codes_say_whose_numbers_the_labels_are(listed, read) -> None:
    path = listed("label", "3", "5")
    found = {name: read(path, label_codes=name, classes=list(CLASSES)).tables["all"] for name in TABLES}
    assert {name: [CLASSES[label] for label in table["label"]] for name, table in found.items()} == {
        "fer2013": ["happiness", "surprise"],
        "rafdb": ["disgust", "sadness"],
        "affectnet": ["surprise", "disgust"],
        "expw": ["happiness", "surprise"],
        "ckplus": ["disgust", "happiness"],
    }
    with pytest.raises(InputError, match="are the numbers 3, 5, and a number is not a name"):
        read(path)


def test_label_pattern_finds_the_label_in_a_path(tmp_path: Path, read) -> None:
    for index, name in enumerate(("ann_happy.png", "ben_sad.png")):
        draw_face("neutral", seed=1, index=index, size=32).save(tmp_path / name)
    table = read(tmp_path, label_pattern=r"(?P<person>\w+)_(?P<label>\w+)\.png").tables["all"]
    assert table["person"][:] == ["ann", "ben"]
    assert [table.features["label"].names[label] for label in table["label"]] == ["happiness", "sadness"]


def test_classes_are_the_labels_of_table_and_model(tiny, faces, read) -> None:
    classes = ["sadness", "happiness"]
    table = read(faces(happy=3, sad=1), classes=classes).tables["all"]
    assert table.features["label"].names == classes and sum(table["label"]) == 3
    model, _ = build_model(tiny(classes=classes))
    assert model.config.id2label == {0: "sadness", 1: "happiness"}
    assert model(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 2)


def test_class_map_renames_a_class_or_drops_its_rows(faces, read) -> None:
    root = faces(happy=3, sad=1)
    assert sum(read(root, class_map={"happy": "sadness"}).tables["all"]["label"]) == 4
    assert len(read(root, class_map={"happy": None}).tables["all"]) == 1


def test_image_column_names_the_picture(parquet, read) -> None:
    dark, light = PILImage.new("L", (8, 8), 0), PILImage.new("L", (8, 8), 255)
    path = parquet({"image": [dark], "photo": [light], "label": ["sad"]}, label=Value("string"))
    for column, value in ((None, 0), ("photo", 255)):
        assert np.array(read(path, image_column=column).tables["all"][0]["image"]).max() == value


def test_label_column_names_the_class(parquet, read) -> None:
    columns = {"image": [PILImage.new("L", (8, 8))], "label": ["sad"], "second": ["happy"]}
    path = parquet(columns, label=Value("string"), second=Value("string"))
    assert [read(path, label_column=c).tables["all"]["label"][:] for c in (None, "second")] == [[1], [0]]


def test_label_rule_turns_votes_into_labels(read, voted: Path) -> None:
    path, rows = voted, {}
    for rule in ("majority", "plurality"):
        rows[rule] = len(read(path, label_rule=rule, classes=list(CLASSES)).tables["all"])
    assert rows == {"majority": 1, "plurality": 2}


def test_targets_are_votes_or_labels_and_metrics_use_the_votes(tmp_path: Path, tiny, table: Dataset) -> None:
    table, log = map_pictures(table, 32, "rows"), TrainingLog(tmp_path / "logs", list(CLASSES))
    votes, labels = np.array(table["target"][:], np.float32), np.eye(7)[table["label"][:]]
    for targets, trained in (("votes", votes), ("onehot", labels)):
        plan = make_plan(tiny(targets=targets))
        made = build_trainer(plan, training_arguments(plan), table, table, log)
        assert np.array_equal(made.train_dataset.targets, trained)
        assert np.array_equal(made.eval_dataset.targets, votes), "metrics use the votes"


def test_undecided_keeps_rows_without_a_majority_in_train_only(tmp_path: Path, read, voted: Path) -> None:
    pictures = [PILImage.fromarray(np.full((8, 8), level, np.uint8)) for level in range(6)]
    votes = [[0, 9, 1, 0, 0, 0, 0, 0, 0, 0], [0, 4, 3, 0, 0, 0, 0, 3, 0, 0]]  # the second: contempt has 3
    (tmp_path / "voted").mkdir()
    for index, split in enumerate(("train", "validation", "test")):
        rows = Dataset.from_dict({"image": pictures[2 * index : 2 * index + 2], "votes": votes})
        features = Features({"image": Image(), "votes": List(Value("int64"))})
        rows.cast(features).to_parquet(tmp_path / "voted" / f"{split}.parquet")
    drop, train = (
        read(tmp_path / "voted", undecided=undecided, classes=list(CLASSES)).tables for undecided in ("drop", "train")
    )
    assert {split: len(table) for split, table in drop.items()} == {"train": 1, "validation": 1, "test": 1}
    assert {split: len(table) for split, table in train.items()} == {"train": 2, "validation": 1, "test": 1}
    kept = train["train"][1]
    assert CLASSES[kept["label"]] == "happiness"
    assert dict(zip(CLASSES, kept["target"], strict=True)) == pytest.approx(
        dict.fromkeys(CLASSES, 0) | {"happiness": 4 / 7, "surprise": 3 / 7}
    )
    with pytest.raises(InputError, match="validation and test would be made of train here"):
        read(voted, undecided="train", classes=list(CLASSES))


def test_validation_share_is_a_share_of_all_rows(faces, curated) -> None:
    root = faces()
    rows = [len(curated(root, validation_share=share).splits["validation"]) for share in (0.1, 0.25)]
    assert rows == [4, 10]


def test_test_share_is_a_share_of_all_rows_and_may_be_zero(faces, curated) -> None:
    root = faces()
    assert len(curated(root, test_share=0.25).splits["test"]) == 10
    assert "test" not in curated(root, test_share=0.0).splits


def test_split_seed_changes_splits_and_drawn_faces(tiny, faces, curated) -> None:
    root = faces()
    assert keys(curated(root).splits) != keys(curated(root, split_seed=1).splits)
    one, other = (read_source(tiny(drawn_faces=20, split_seed=seed)).tables["test"]["image"][0] for seed in (0, 1))
    assert np.array(one).tolist() != np.array(other).tolist()


def test_drawn_faces_is_the_number_of_all_splits(tiny) -> None:
    assert sum(len(table) for table in read_source(tiny(drawn_faces=40)).tables.values()) == 40


def test_crop_detect_cuts_faces_and_drops_pictures_without_one(tmp_path: Path, read, rolled: Path) -> None:
    root = rolled
    assert len(read(root).tables["all"]) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "load_detector", lambda weights: Squares())
        (row,) = read(root, crop="detect", face_detector=str(tmp_path)).tables["all"]
    assert row["image"].size == (32, 32) and row["key"] == "happy/face.png"


def test_face_align_levels_the_eyes(tmp_path: Path, read, rolled: Path) -> None:
    root = rolled
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "load_detector", lambda weights: Squares())
        as_they_are, level = (
            np.array(read(root, crop="detect", face_detector=str(tmp_path), face_align=a).tables["all"][0]["image"])
            for a in (False, True)
        )
    assert abs(eyes_of(level)) < 1 < abs(eyes_of(as_they_are))


def test_face_detector_is_a_file_that_must_exist(tmp_path: Path, faces, read) -> None:
    with pytest.raises(InputError, match=r"face detector .*mine\.onnx: No such file .* give its path with --face_det"):
        read(faces(), crop="detect", face_detector=str(tmp_path / "mine.onnx"))


def test_max_bad_share_is_where_damaged_pictures_stop_the_run(faces, curated) -> None:
    root = faces()
    (root / "sad" / "00.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="max_bad_share"):
        curated(root)
    (source,) = curated(root, max_bad_share=0.03).report["sources"].values()
    assert source["unreadable"]["count"] == 1


def test_near_copies_are_counted_and_marked(tmp_path: Path, seen: Seen, curated) -> None:
    for split, side in (("train", 96), ("val", 48)):
        for index, name in enumerate(["happiness", "sadness"] * 3):
            path = tmp_path / "near" / split / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_face(name, seed=0, index=index, size=side).save(path)
    sides = {"leaks": "report", "test_share": 0.0}
    look, pass_over = (curated(tmp_path / "near", near_copies=n, **sides) for n in (True, False))
    assert look.report["copies"]["near"]["validation_in_train"] == 6
    assert look.splits["validation"]["clean_near"][:] == [False] * 6
    assert pass_over.report["copies"]["near"] is None
    assert pass_over.splits["validation"]["clean_near"][:] == [None] * 6
    run = seen.folder
    near = json.loads((run / "curation.json").read_text())["copies"]["near"]
    rows = pq.read_table(run / "predictions.parquet", filters=[("split", "=", "test")])
    marks = rows["clean_near"].to_pylist()
    assert None not in marks and near["test_in_train"] <= marks.count(False) <= sum(near.values())
    assert "clean_near" in json.loads((run / "evaluation.json").read_text())


def test_leaks_stop_the_run_or_leave_train_or_are_reported(tmp_path: Path, curated) -> None:
    root = tmp_path / "leaking"
    for split in ("train", "validation"):
        for name in ("happiness", "sadness"):
            for index in range(3):
                (root / split / name).mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=len(split), index=index, size=32).save(root / split / name / f"{index}.png")
    shutil.copy(root / "train" / "sadness" / "0.png", root / "validation" / "sadness" / "copy.png")
    with pytest.raises(InputError, match="splits leak: train holds 1 row of validation"):
        curated(root, test_share=0.0)
    rows = {
        rule: len(curated(root, test_share=0.0, leaks=rule).splits["train"]) for rule in ("report", "drop_from_train")
    }
    assert rows == {"report": 6, "drop_from_train": 5}


def test_caps_limit_the_rows_of_a_class(faces, curated) -> None:
    rows = curated(faces(), caps={"happiness": 3}).report["rows"]["train"]
    assert rows["happiness"] == 3 and rows["sadness"] > 3


def test_row_weights_draw_a_class_more_often(faces, curated) -> None:
    table = curated(faces(), row_weights={"sadness": 4.0}).splits["train"]
    rows = PictureRows(map_pictures(table, 32, "rows"))
    sampler, labels = EpochSampler(len(rows), 0, sampling_weights(rows, balanced=False)), table["label"][:]
    drawn = []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        drawn += [labels[draw.index] for draw in sampler]
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.03), "sadness four times as often"
    assert np.ptp(sampling_weights(rows, balanced=True)) < 0.02, "balanced, the factor of a class cancels"
    rows.weights = np.where(rows.labels == 1, 0.0, rows.weights)
    assert (sampling_weights(rows, balanced=True)[rows.labels == 1] == 0).all(), "and 0 stays 0"


def test_max_train_samples_limits_train_only(faces, curated) -> None:
    rows = {split: len(t) for split, t in curated(faces(), max_train_samples=5).splits.items()}
    assert rows == {"train": 5, "validation": 4, "test": 4}


def test_max_eval_samples_limits_every_split_but_train(faces, curated) -> None:
    rows = {split: len(t) for split, t in curated(faces(), max_eval_samples=3).splits.items()}
    assert rows == {"train": 32, "validation": 3, "test": 3}
