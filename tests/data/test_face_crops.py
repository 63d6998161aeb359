"""Photos become crops of their largest face; YuNet itself where `YUNET` names its weights."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PILImage

from pipeline import crop
from pipeline.data.curation import curate
from pipeline.data.readers import read_source, read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.test_sources import record

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
TWO = {"classes": ["happiness", "sadness"], "image_size": 48}


def squares_photo(*faces, eyes=((0, 0), (1, 0))):
    """A black photo of red squares (left, top, side) with a green right eye and a blue left eye at (x, y)."""
    photo = np.zeros((180, 240, 3), np.uint8)
    for left, top, side in faces:
        photo[top : top + side, left : left + side] = RED
    for (x, y), colour in zip(eyes, (GREEN, BLUE), strict=True):
        photo[y : y + 4, x : x + 4] = colour
    return photo


class Squares:
    """In place of YuNet, whose weights no repository of this size should carry: sees what `squares_photo` paints."""

    def setInputSize(self, size):  # noqa: N802 (OpenCV's name)
        pass

    def detect(self, image):
        image = image[..., ::-1].astype(int)
        boxes = cv2.connectedComponentsWithStats((image.max(2) > 128).astype(np.uint8))[2][1:, :4]
        seen = [np.argwhere(image[..., c] > 128)[:, ::-1] for c in (1, 2)]
        eyes = [places.mean(0).tolist() if len(places) else [0, 0] for places in seen]
        rows = [[*box, *eyes[0], *eyes[1], *[0] * 6, 0.9] for box in boxes.tolist() if box[2] > 8]
        return 1, np.array(rows, np.float32) if rows else None


def eyes_of(picture):
    """How much lower the blue eye lies than the green one, in px."""
    rows = [np.nonzero(picture[..., c].astype(int) - picture[..., 0] > 60)[0].mean() for c in (1, 2)]
    return rows[1] - rows[0]


@pytest.fixture
def squares(monkeypatch):
    monkeypatch.setattr(crop, "load_detector", lambda weights: Squares())


def photos(root, **pictures):
    for name, picture in pictures.items():
        path = root / "happy" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            PILImage.fromarray(picture).save(path)
    return root


def recipe_for(root, **settings):
    return Recipe(**{"data_path": str(root), "crop": "detect", "face_detector": str(root)} | TWO | settings)


def test_the_largest_face_is_cut_out_and_pictures_without_one_are_dropped_and_counted(squares, tmp_path):
    root = photos(
        tmp_path,
        one=squares_photo((100, 50, 70)),
        two=squares_photo((10, 10, 40), (100, 50, 70)),
        none=np.zeros((90, 90, 3), np.uint8),
        damaged=b"no picture",
    )
    source = read_source(recipe_for(root))
    table = source.tables["all"]
    assert record(source).faces == {"no_face": {"count": 1, "keys": ["happy/none.png"]}, "several_faces": 1}
    assert table["key"][:] == ["happy/damaged.png", "happy/one.png", "happy/two.png"]
    assert table["label"][:] == [0] * 3
    one, two = (np.array(table[i]["image"]) for i in (1, 2))
    assert one.shape == (48, 48, 3) and np.array_equal(one, two)
    red = np.argwhere((one == RED).all(2))
    share = (len(red) / 48**2) ** 0.5
    assert share == pytest.approx((crop.BOX_WIDTH * crop.BOX_HEIGHT) ** 0.5, abs=0.05)


def test_the_report_counts_unusable_pictures_and_pictures_without_a_face_separately(squares, tmp_path):
    for label, start in (("happy", 20), ("sad", 60)):
        for i in range(6):
            (tmp_path / label).mkdir(exist_ok=True)
            PILImage.fromarray(squares_photo((start + i, 30 + i, 50 + i))).save(tmp_path / label / f"{i}.png")
    photos(tmp_path, none=np.zeros((90, 90, 3), np.uint8), damaged=b"no picture")
    recipe = recipe_for(tmp_path, max_bad_share=0.2, test_share=0.0, validation_share=0.2, near_copies=False)
    (entry,) = curate(read_sources(recipe), recipe).report["sources"].values()
    assert entry["faces"] == {"no_face": {"count": 1, "keys": ["happy/none.png"]}, "several_faces": 0}
    assert entry["unreadable"]["count"] == 1
    assert entry["unreadable"]["keys"][0].startswith("happy/damaged.png (not a JPEG, PNG")


def test_faces_are_looked_for_once(squares, tmp_path, monkeypatch):
    root = photos(tmp_path, one=squares_photo((100, 50, 70)))
    first = read_source(recipe_for(root)).tables["all"][0]["image"]
    monkeypatch.setattr(Squares, "detect", lambda *_: pytest.fail("looked again"))
    assert np.array_equal(read_source(recipe_for(root)).tables["all"][0]["image"], first)
    with pytest.raises(pytest.fail.Exception, match="looked again"):
        read_source(recipe_for(root, face_align=True))


def test_crops_are_a_setting_of_each_source(squares, tmp_path):
    for place, entry in (("photos", {"crop": "detect", "face_detector": str(tmp_path)}), ("faces", {})):
        photos(tmp_path / place, one=squares_photo((100, 50, 70)))
        entry["data_path"] = str(tmp_path / place)
        (source,) = read_sources(Recipe(sources=[entry], **TWO))
        assert source.tables["all"][0]["image"].size == ((48, 48) if place == "photos" else (240, 180))


def test_an_empty_split_stays_empty(squares, tmp_path):
    photos(tmp_path / "train", one=squares_photo((100, 50, 70)))
    (tmp_path / "test" / "happy").mkdir(parents=True)
    tables = read_source(recipe_for(tmp_path)).tables
    assert {split: len(table) for split, table in tables.items()} == {"train": 1, "test": 0}


def test_a_source_without_any_face_is_refused(squares, tmp_path):
    root = photos(tmp_path, none=np.zeros((90, 90, 3), np.uint8))
    with pytest.raises(InputError, match="no face was found in any of 1 pictures; set crop to none for it"):
        read_source(recipe_for(root))


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("other.onnx", r"face detector .*other\.onnx: sha256 is .*, and give its path with --face_detector"),
        (".", r"face detector .*face_detection_yunet_2023mar\.onnx: No such file"),
        ("nobody/nothing", r"face_detector nobody/nothing is not a file here and could not be downloaded from the Hub"),
    ],
)
def test_a_detector_that_is_not_there_is_named_with_where_to_get_it(tmp_path, monkeypatch, detector, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    photos(tmp_path, one=squares_photo((100, 50, 70)))
    (tmp_path / "other.onnx").write_bytes(b"weights of another year")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_source(recipe_for(tmp_path, face_detector=detector))
    assert "\n" not in str(error.value) and crop.YUNET_PAGE in str(error.value)


def test_yunet_crops_drawn_faces_out_of_photos(tmp_path):
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    photo = np.full((480, 640, 3), 128, np.uint8)
    photo[100:300, 200:400] = np.asarray(draw_face("happiness", 0, 3, 200))
    root = photos(tmp_path, face=photo, none=np.full((480, 640, 3), 128, np.uint8))
    source = read_source(recipe_for(root, face_detector=str(Path(os.environ["YUNET"]))))
    assert record(source).faces == {"no_face": {"count": 1, "keys": ["happy/none.png"]}, "several_faces": 0}
    assert np.array(source.tables["all"][0]["image"]).std() > 20
