"""ExpW: one row a face, several faces a photo."""

import numpy as np
import pytest
from datasets import concatenate_datasets
from PIL import Image as PILImage

from pipeline.data.curation import curate
from pipeline.data.readers import read_source, read_sources
from pipeline.data.readers.expw import EXPW_CODES
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe
from pipeline.training.transforms import map_pictures
from tests.data.test_layouts import face, labels, refused
from tests.data.test_sources import names, read, record

RED, BLUE = (255, 0, 0), (0, 0, 255)
# image name, face id, box top, left, right, bottom, confidence, class code
TWO_FACES = ["a.jpg 0 20 10 50 60 30.5 3", "a.jpg 1 30 70 110 70 12.25 4"]


def save_expw(root, lines=TWO_FACES, photos="image", listed=""):
    """A list with `lines`, and its photos: blue, 120 x 80, red from (10, 20) to (50, 60)."""
    for name in {line.split()[0] for line in lines}:
        photo = np.full((80, 120, 3), BLUE, np.uint8)
        photo[20:60, 10:50] = RED
        (root / photos).mkdir(parents=True, exist_ok=True)
        PILImage.fromarray(photo).save(root / photos / name, quality=95)
    path = root / listed / "label.lst"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root


def test_each_face_of_a_photo_is_a_row_with_its_box_and_its_picture(tmp_path):
    reading = read(save_expw(tmp_path))
    table = reading.tables["all"]
    assert labels(table) == {"a.jpg#0": "happiness", "a.jpg#1": "sadness"}
    assert table["box"][:] == [[10, 20, 40, 40], [70, 30, 40, 40]], "x, y, width, height"
    red, blue = (np.asarray(row["image"]) for row in table)
    assert red.shape == blue.shape == (40, 40, 3), "no larger than the box"
    assert red[20, 20, 0] > 200 > 50 > red[20, 20, 2] and blue[20, 20, 2] > 200 > 50 > blue[20, 20, 0]
    assert (record(reading).id, record(reading).datasets) == ("expw", ("ExpW",))
    assert "research only" in record(reading).terms and not record(reading).may_publish_pixels
    assert record(reading).columns_not_read == ("confidence",)


def test_a_face_is_at_most_as_large_as_the_models_input(tmp_path):
    assert read(save_expw(tmp_path), image_size=16).tables["all"][0]["image"].size == (16, 16)


def test_each_code_of_expw_has_its_class(tmp_path):
    rows = [f"{code}.jpg 0 20 10 50 60 1.0 {code}" for code in range(7)]
    table = read(save_expw(tmp_path, rows)).tables["all"]
    assert names(table) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert set(EXPW_CODES.values()) == set(CLASSES)
    reading = read(tmp_path, class_map={"0": "fear", "6": None})
    assert labels(reading.tables["all"])["0.jpg#0"] == "fear"
    assert record(reading).left_out == {"all": {"6": 1}}


@pytest.mark.parametrize("photos", ["image", "origin", "image/origin", "."])
@pytest.mark.parametrize("listed", ["", "label"])
def test_expw_as_it_is_unpacked(tmp_path, photos, listed):
    save_expw(tmp_path, photos=photos, listed=listed)
    assert len(read(tmp_path).tables["all"]) == 2
    assert len(read(tmp_path / listed / "label.lst").tables["all"]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 0 20 10 50 60 30.5 3", r"label.lst line 3: face a.jpg#0 is on line 1 already"),
        ("b.jpg 0 20 10 50 60 30.5", r"label.lst line 3: 'b.jpg 0 .*'; expected image name, face id, box top"),
        ("b.jpg 0 20 x 50 60 30.5 3", r"label.lst line 3: 'b.jpg 0 .*'; expected image name, face id, box top"),
        ("b.jpg 0 20 50 10 60 30.5 3", r"label.lst line 3: the box of b.jpg is empty \(top 20, left 50, right 10"),
        ("b.jpg 0 20 10 50 60 30.5 7", r"label.lst: 1 picture with the label 7, which is not among the codes"),
    ],
)
def test_a_wrong_line_of_label_lst_is_refused_by_number(tmp_path, line, message):
    refused(save_expw(tmp_path, [*TWO_FACES, line]), message)


def test_a_photo_that_is_missing_is_named_with_its_first_line(tmp_path):
    (save_expw(tmp_path) / "image" / "a.jpg").unlink()
    refused(tmp_path, r"label.lst line 1: no picture file 'a.jpg' in .*image")


def test_photos_that_label_lst_does_not_list_are_counted(tmp_path):
    face(save_expw(tmp_path) / "image" / "b.jpg")
    assert record(read(tmp_path)).left_out == {"all": {"photo that label.lst does not list": 1}}


def test_source_expw_for_another_layout_is_refused(tmp_path):
    face(tmp_path / "sad" / "a.png")
    refused(tmp_path, "no label.lst of ExpW there", source="expw")


def test_a_damaged_photo_of_expw_is_counted_with_the_unusable_pictures(tmp_path):
    rows = [f"{i}.jpg 0 {20 + i} 10 {50 + i} {60 + i} 1.0 {3 + i % 2}" for i in range(20)]
    save_expw(tmp_path, rows)
    (tmp_path / "image" / "7.jpg").write_bytes(b"no picture")
    two = {"classes": ["happiness", "sadness"], "leaks": "report", "near_copies": False, "max_bad_share": 0.1}
    recipe = Recipe(data_path=str(tmp_path), validation_share=0.2, test_share=0.0, **two)
    (entry,) = curate(read_sources(recipe), recipe).report["sources"].values()
    assert entry["unreadable"]["count"] == 1
    assert entry["unreadable"]["keys"][0].startswith("7.jpg#0 (not a JPEG, PNG")


def test_a_table_with_boxes_joins_one_without_and_is_mapped_for_training(tmp_path):
    boxed = read(save_expw(tmp_path)).tables["all"]
    drawn = read_source(Recipe(source="drawn", drawn_faces=20)).tables["train"]
    joined = concatenate_datasets([boxed, drawn])
    assert joined["box"][:3] == [[10, 20, 40, 40], [70, 30, 40, 40], None]
    assert len(map_pictures(joined, 16, "boxes")) == len(joined)


def test_faces_are_not_looked_for_where_boxes_are_given(tmp_path):
    with pytest.raises(InputError, match="expw: its faces are cut out at their boxes already; set crop to none"):
        read(save_expw(tmp_path), crop="detect")
