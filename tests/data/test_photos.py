"""Photos or faces: a line says that a source holds whole photos, if the detector is here; nothing is downloaded."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from pipeline import crop
from pipeline.data import photos
from pipeline.data.curation import curate_sources
from pipeline.data.photos import photo_lines, weights_at_hand
from pipeline.data.readers import read_sources
from pipeline.drawn.face import draw_face
from pipeline.settings.recipe import Recipe
from pipeline.training import machine, steps
from pipeline.training.arguments import training_arguments
from pipeline.training.plan import make_plan
from tests.data.folders import TWO, fill
from tests.data.test_face_crops import Squares, squares_photo


@pytest.fixture
def detector(tmp_path, monkeypatch):
    """A file in place of YuNet's weights; the detector sees the squares of `squares_photo`."""
    monkeypatch.setattr(crop, "load_detector", lambda weights: Squares())
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / crop.YUNET).write_bytes(b"weights")
    return str(tmp_path / "weights")


def squares(root, small, large):
    """Photos of a square: `small` ones with a third of the height, `large` ones with five sixths of it."""
    for index in range(small + large):
        path = root / "train" / ("happy", "sad")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.fromarray(squares_photo((index, index % 20, 60 if index < small else 150))).save(path)
    return root


def lines(root, detector, **settings):
    recipe = Recipe(data_path=str(root), face_detector=detector, **(TWO | settings))
    return photo_lines(read_sources(recipe), recipe)


def test_photos_with_small_faces_are_said_with_the_option_that_crops(tmp_path, detector):
    assert lines(squares(tmp_path / "mine", small=6, large=4), detector) == [
        "mine: 6 of 10 pictures looked at are photos with a small face (median: 34% of the height); to train on "
        "faces, add --crop detect"
    ]


def test_pictures_that_are_mostly_faces_are_passed_over(tmp_path, detector):
    assert lines(squares(tmp_path / "mine", small=4, large=6), detector) == []


def test_pictures_without_a_face_count_as_looked_at(tmp_path, detector):
    root = squares(tmp_path / "mine", small=4, large=0)
    for index in range(5):
        PILImage.fromarray(np.zeros((90, 90, 3), np.uint8)).save(root / "train" / "sad" / f"none{index}.png")
    assert lines(root, detector) == []


def test_only_some_pictures_are_looked_at_chosen_by_the_split_seed(tmp_path, detector, monkeypatch):
    monkeypatch.setattr(photos, "LOOKED_AT", 3)
    root = squares(tmp_path / "mine", small=12, large=0)
    assert " 3 of 3 pictures looked at " in lines(root, detector)[0]
    heights = []
    monkeypatch.setattr(photos, "_face_heights", lambda *_: heights.append(_[2]) or [])
    lines(root, detector, split_seed=7)
    assert heights == [7]


def test_an_entry_of_sources_is_named(tmp_path, detector):
    squares(tmp_path / "mine", small=6, large=0)
    recipe = Recipe(sources=[{"data_path": str(tmp_path / "mine")}], face_detector=detector, **TWO)
    assert photo_lines(read_sources(recipe), recipe)[0].endswith("add crop: detect to its entry in sources")


def test_a_source_is_looked_at_with_its_own_detector(tmp_path, detector):
    squares(tmp_path / "mine", small=6, large=0)
    entry = {"data_path": str(tmp_path / "mine"), "face_detector": detector}
    recipe = Recipe(sources=[entry], face_detector="missing.onnx", **TWO)
    assert len(photo_lines(read_sources(recipe), recipe)) == 1
    other = Recipe(sources=[entry | {"face_detector": "missing.onnx"}], face_detector=detector, **TWO)
    assert photo_lines(read_sources(other), other) == []


def test_cropped_and_drawn_faces_are_not_looked_at(tmp_path, detector, monkeypatch):
    monkeypatch.setattr(photos, "_face_heights", lambda *_: pytest.fail("looked"))
    root = squares(tmp_path / "mine", small=6, large=0)
    assert lines(root, detector, crop="detect", image_size=48) == []
    drawn = Recipe(source="drawn", drawn_faces=20, image_size=32, face_detector=detector)
    assert photo_lines(read_sources(drawn), drawn) == []


@pytest.mark.parametrize("setting", ["opencv/face_detection_yunet", "no/such/id/at all", "missing.onnx"])
def test_without_weights_nothing_is_said_or_downloaded(tmp_path, monkeypatch, setting):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "cache"), raising=False)
    assert weights_at_hand(setting) is None
    assert lines(squares(tmp_path / "mine", small=6, large=0), setting) == []


def test_weights_of_another_version_are_not_used(tmp_path):
    (tmp_path / crop.YUNET).write_bytes(b"another version")
    assert lines(squares(tmp_path / "mine", small=6, large=0), str(tmp_path)) == []


def test_both_commands_say_it_before_the_rows_are_measured(tmp_path, detector):
    root = squares(tmp_path / "mine", small=20, large=0)
    said = []
    recipe = Recipe(data_path=str(root), face_detector=detector, near_copies=False, leaks="report", **TWO)
    curate_sources(recipe, said.append)
    assert said[1].startswith("data: mine: 20 of 20 pictures looked at are photos with a small face")


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_process_of_a_training_run_looks(tmp_path, detector, monkeypatch, tiny, rank):
    looked = []
    monkeypatch.setattr(photos, "_face_heights", lambda *_: looked.append(rank) or [])
    monkeypatch.setattr(machine, "rank", lambda: rank)
    root = squares(tmp_path / "mine", small=20, large=0)
    plan = make_plan(tiny(source="auto", data_path=str(root), face_detector=detector, leaks="report", **TWO))
    steps.load_data(plan, training_arguments(plan))
    assert looked == ([] if rank else [0])


def test_yunet_tells_photos_from_faces(tmp_path):
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    for index in range(4):
        face = draw_face("happiness", 0, index, 200)
        photo = np.full((480, 640, 3), 128, np.uint8)
        photo[100:300, 200:400] = np.asarray(face)
        for place, picture in (("photos", PILImage.fromarray(photo)), ("faces", face)):
            path = tmp_path / place / "happy" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    weights = str(Path(os.environ["YUNET"]))
    assert len(lines(tmp_path / "photos", weights)) == 1
    assert lines(tmp_path / "faces", weights) == []


def test_noise_is_no_photo(tmp_path, detector):
    fill(tmp_path / "mine", 5, 5)
    assert lines(tmp_path / "mine", detector) == []
