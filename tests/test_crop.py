"""The geometry of the crop on made-up faces; with YuNet itself if `YUNET` names its weights."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import crop
from pipeline.crop import Face, crop_face, find_faces, framing, largest, load_detector
from pipeline.drawn.face import draw_face
from pipeline.expressions import CLASSES

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (120, 150, 3), dtype=np.uint8)

# A photo whose red is x and green y, and blue falls with x: so a crop of it shows where each pixel comes from.
COLUMNS, ROWS = np.meshgrid(np.arange(250), np.arange(250))
WHERE = np.stack([COLUMNS, ROWS, 250 - COLUMNS], axis=2).astype(np.uint8)


def face_of(left: float, top: float, side: float, roll: float = 0.0) -> Face:
    """The face whose upright crop is this square; its eyes are rolled by so many degrees around the box's middle."""
    middle = np.array([left + 0.507 * side, top + 0.512 * side])
    width, height = 0.777 * side, 1.019 * side
    half = 0.2 * side * np.array([math.cos(math.radians(roll)), math.sin(math.radians(roll))])
    box = (middle[0] - width / 2, middle[1] - height / 2, width, height)
    return Face(box, tuple(middle - half), tuple(middle + half), 0.9)


class Shown:
    """Replaces YuNet: keeps its inputs, and finds the given row in the given pass."""

    def __init__(self, row: np.ndarray | None = None, look: int = 1) -> None:
        self.row, self.look = row, look
        self.sizes: list[tuple[int, int]] = []
        self.images: list[np.ndarray] = []

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802 (OpenCV's name)
        self.sizes.append(size)

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
        self.images.append(image)
        return 1, self.row if len(self.images) == self.look else None


@pytest.fixture(scope="session")
def yunet() -> Any:
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    return load_detector(Path(os.environ["YUNET"]))


def test_a_crop_at_the_photos_own_scale_copies_its_pixels() -> None:
    assert np.array_equal(crop_face(NOISE, face_of(31, 17, 48), 48, align=False), NOISE[17:65, 31:79])


def test_the_box_has_its_share_of_width_and_height_around_its_centre() -> None:
    face = face_of(40, 30, 100)
    square = framing(face, align=False)
    assert square == pytest.approx(np.array([[100, 0, 40], [0, 100, 30]]))
    left, top, width, height = face.box
    assert (width / 100, height / 100) == pytest.approx((crop.BOX_WIDTH, crop.BOX_HEIGHT))
    assert square @ (*crop.BOX_CENTRE, 1) == pytest.approx([left + width / 2, top + height / 2])


def test_a_narrow_or_long_box_keeps_its_share_of_area() -> None:
    face = Face((10, 10, 30, 90), (20, 40), (30, 40), 0.9)
    square = framing(face, align=False)
    assert 30 * 90 / square[0, 0] ** 2 == pytest.approx(0.777 * 1.019)
    assert square[0, 0] == square[1, 1]


@pytest.mark.parametrize("roll", [0, -35, -10, 10, 35, 90, 170])
@pytest.mark.parametrize(
    ("left", "top", "side", "size"), [(70, 60, 100, 100), (80.5, 71.25, 77.7, 48), (90, 95, 60, 150)]
)
def test_every_pixel_comes_from_its_place_in_the_photo(
    left: float, top: float, side: float, size: int, roll: float
) -> None:
    cut = crop_face(WHERE, face_of(left, top, side, roll), size, align=True).astype(float)
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    v, u = (np.mgrid[:size, :size] + 0.5) / size * side - np.array([0.512, 0.507])[:, None, None] * side
    x, y = left + 0.507 * side + cos * u - sin * v, top + 0.512 * side + sin * u + cos * v
    off = cut - np.stack([x - 0.5, y - 0.5, 250 - (x - 0.5)], axis=2)  # the first pixel's middle is at 0.5
    assert np.abs(off).max() < 1
    assert abs((off[..., 0] - off[..., 2]).mean()) < 0.25  # rounding lifts all colours; a shift lifts one of these


@pytest.mark.parametrize("roll", [-30, -8, 12, 40])
def test_eyes_are_level_after_align_and_as_they_were_without(roll: float) -> None:
    face = face_of(60, 60, 120, roll)
    photo = np.zeros((240, 240, 3), np.uint8)
    y, x = np.mgrid[:240, :240] + 0.5
    for channel, eye in enumerate((face.right_eye, face.left_eye)):
        photo[..., channel] = np.clip(255 * (4 - np.hypot(x - eye[0], y - eye[1])), 0, 255)

    def tilt(align: bool) -> float:
        cut = crop_face(photo, face, 96, align).astype(float)
        rows, columns = np.mgrid[:96, :96]
        right, left = ([(cut[..., c] * n).sum() / cut[..., c].sum() for n in (columns, rows)] for c in (0, 1))
        return math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))

    assert tilt(align=True) == pytest.approx(0, abs=0.3)
    assert tilt(align=False) == pytest.approx(roll, abs=0.3)


def test_outside_the_photo_its_border_is_repeated() -> None:
    cut = crop_face(NOISE, face_of(-10, 95, 40), 40, align=False)
    assert np.array_equal(cut[:25, 10:], NOISE[95:, :30])
    assert np.array_equal(cut[:25, :10], np.repeat(NOISE[95:, :1], 10, axis=1))
    assert np.array_equal(cut[25:, 10:], np.repeat(NOISE[-1:, :30], 15, axis=0))
    assert (cut[25:, :10] == NOISE[-1, 0]).all()


def test_shrinking_averages_and_does_not_alias() -> None:
    checks = np.repeat((np.indices((240, 240)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    whole = crop_face(checks, face_of(0, 0, 240), 48, align=False)
    odd = crop_face(checks, face_of(7.3, 5.1, 201), 48, align=False)
    assert np.abs(whole[1:-1, 1:-1] - 127.5).max() < 6 and np.abs(odd - 127.5).max() < 40
    twice = NOISE[10:106, 20:116].reshape(48, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(crop_face(NOISE, face_of(20, 10, 96), 48, align=False) - twice).max() <= 0.5


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [1, 48, 112, 224])
def test_a_crop_has_its_size_and_is_deterministic(size: int, align: bool) -> None:
    before = NOISE.copy()
    first, second = (crop_face(NOISE, face_of(20.4, 8.8, 73.1, 11), size, align) for _ in range(2))
    assert first.shape == (size, size, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second) and np.array_equal(NOISE, before)


def test_a_view_of_a_photo_is_cropped_like_its_copy() -> None:
    view = NOISE[:, ::-1, ::-1]
    copy = np.ascontiguousarray(view)
    assert np.array_equal(*(crop_face(photo, face_of(9, 9, 60), 48, align=False) for photo in (view, copy)))


def test_the_largest_face_has_the_largest_box_and_the_first_of_equal_ones_wins() -> None:
    wide = Face((0, 0, 90, 20), (30, 5), (60, 5), 0.9)
    faces = [face_of(0, 0, 30), face_of(5, 0, 60), face_of(0, 5, 60), wide]
    assert largest(faces) is faces[1]
    assert largest([]) is None


def test_a_detected_face_is_in_pixels_of_the_photo() -> None:
    row = np.arange(15, dtype=np.float32)[None]
    photo = np.zeros((512, 384, 3), np.uint8)  # seen at half its size
    assert find_faces(Shown(row), photo) == [Face((0, 2, 4, 6), (8, 10), (12, 14), 14, (16, 18))]


def test_the_detector_gets_bgr() -> None:
    detector = Shown()
    find_faces(detector, np.full((256, 256, 3), (10, 20, 30), np.uint8))
    assert (detector.images[0] == (30, 20, 10)).all()


@pytest.mark.parametrize(
    ("height", "width", "looks"),
    [
        (48, 48, [(256, 256), (48, 48)]),
        (300, 400, [(256, 192), (400, 300)]),
        (2000, 1000, [(128, 256), (320, 640)]),
        (3000, 1, [(1, 256), (1, 640)]),
    ],
)
def test_a_photo_without_a_face_is_searched_twice(height: int, width: int, looks: list[tuple[int, int]]) -> None:
    detector = Shown()
    assert find_faces(detector, np.zeros((height, width, 3), np.uint8)) == []
    assert detector.sizes == looks
    assert [image.shape[1::-1] for image in detector.images] == looks


def test_a_face_in_the_first_pass_needs_no_second() -> None:
    row = np.ones((1, 15), np.float32)
    for look in (1, 2):
        detector = Shown(row, look)
        assert len(find_faces(detector, np.zeros((600, 600, 3), np.uint8))) == 1
        assert len(detector.sizes) == look


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((9, 0, 3), np.uint8),
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 1), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9, 3), np.float32),
    ],
    ids=lambda image: f"{image.shape} {image.dtype}",
)
def test_an_array_that_is_not_an_rgb_photo_is_refused_with_what_to_do(image: np.ndarray) -> None:
    for use in (lambda: find_faces(Shown(), image), lambda: crop_face(image, face_of(0, 0, 5), 48, align=False)):
        with pytest.raises(ValueError, match=r'not empty; this one is .*convert\("RGB"\)') as error:
            use()
        assert f"{image.shape} {image.dtype}" in str(error.value) and "\n" not in str(error.value)


def test_missing_or_other_weights_are_refused_with_where_to_get_them(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"weights of another year")
    reasons = {tmp_path / "none.onnx": "No such file", tmp_path: "Is a directory", other: "sha256 is "}
    for path, reason in reasons.items():
        with pytest.raises(ValueError, match=f"{path}: {reason}.*download {crop.YUNET} from https://") as error:
            load_detector(path)
        assert "\n" not in str(error.value)


def test_a_copy_of_the_file_works_without_the_project(tmp_path: Path) -> None:
    shutil.copy(crop.__file__, tmp_path / "crop.py")
    code = (
        "import sys, crop, numpy; face = crop.Face((9, 9, 30, 40), (15, 20), (30, 22), 1.0);"
        "print(crop.crop_face(numpy.zeros((60, 60, 3), numpy.uint8), face, 48, align=True).shape);"
        "print([name for name in ('torch', 'PIL', 'pipeline') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n")[:2] == ["(48, 48, 3)", "[]"]


def photo_with(label: str, left: int, top: int, side: int, height: int = 480, width: int = 640) -> np.ndarray:
    """A drawn face pasted into plain grey. YuNet sees drawn faces, but their framing is not that of FER2013."""
    photo = np.full((height, width, 3), 128, np.uint8)
    photo[top : top + side, left : left + side] = np.asarray(draw_face(label, 0, 3, side))
    return photo


@pytest.mark.parametrize("label", CLASSES)
def test_yunet_frames_a_drawn_face_the_same_at_every_place(label: str, yunet: Any) -> None:
    squares = []
    for left, top, side in ((0, 0, 256), (300, 200, 256), (450, 40, 128)):
        faces = find_faces(yunet, photo_with(label, left, top, side))
        assert len(faces) == 1 and faces[0].right_eye[0] < faces[0].left_eye[0]
        square = framing(faces[0], align=False)
        squares.append([*((square @ (0.5, 0.5, 1) - (left, top)) / side), square[0, 0] / side])
    assert np.ptp(squares, axis=0).max() < 0.15


def test_yunet_finds_a_small_face_in_the_second_pass_and_none_in_a_plain_photo(yunet: Any) -> None:
    small = photo_with("happiness", 700, 500, 100, height=900, width=1280)
    assert len(find_faces(yunet, small)) == 1 and crop._detect(yunet, small, crop.COARSE) == []
    assert find_faces(yunet, np.full((90, 160, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("degrees", [-20, 20])
def test_align_removes_most_of_a_roll(degrees: float, yunet: Any) -> None:
    def tilted(photo: np.ndarray) -> tuple[Face, float]:
        face = largest(find_faces(yunet, photo))
        assert face
        return face, math.degrees(math.atan2(*np.subtract(face.left_eye, face.right_eye)[::-1]))

    seen, left = [], []
    for index in range(15):  # a drawn face has a roll of its own, so their medians
        upright = draw_face(CLASSES[index % 7], 0, index, 112)
        photo = np.asarray(upright.rotate(-degrees, fillcolor=(128, 128, 128)))
        face, tilt = tilted(photo)
        seen.append(tilt - tilted(np.asarray(upright))[1])
        left.append(tilted(crop_face(photo, face, 112, align=True))[1])
    assert 8 < np.median(seen) * np.sign(degrees) < 20  # less than it is: see crop_face
    assert abs(np.median(left)) < abs(np.median(seen)) / 2
