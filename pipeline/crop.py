"""The one face crop: curation and the server crop faces with this module, so a model sees the same framing in both.

YuNet finds the faces. They are framed like the faces of FER2013, which the models are trained on. The module needs only
NumPy and OpenCV and imports nothing of the project, because a Space carries a copy of it.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

YUNET = "face_detection_yunet_2023mar.onnx"
YUNET_PAGE = "https://huggingface.co/opencv/face_detection_yunet"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

# YuNet's box in a FER2013 picture, as shares of the picture's side. The side of the crop follows from their product;
# tests/benchmarks/crop_geometry.py measures it and the centre (the box itself is wider and lower there).
BOX_WIDTH, BOX_HEIGHT = 0.777, 1.019
BOX_CENTRE = (0.507, 0.512)  # x, y; in mirrored pictures YuNet's box is as far to the right

SCORE = 0.6  # lowest score of a face
OVERLAP = 0.3  # if two boxes overlap by more (intersection over union), the one with the lower score is dropped
CANDIDATES = 5000  # at most so many boxes enter this suppression

# Longer side, in px, of the detector's input. YuNet was trained for faces of 10 to 300 px and misses a third of the
# faces that fill 640 px. 256 px is close to the best size for them, and enlarges FER2013's 48 px enough.
COARSE, FINE = 256, 640


@dataclass(frozen=True)
class Face:
    """A detected face, in px of its photo: x to the right, y down, from the outer corner of the first pixel."""

    box: tuple[float, float, float, float]  # left, top, width, height; can reach outside the photo
    right_eye: tuple[float, float]  # the person's right eye: on the left in an upright photo
    left_eye: tuple[float, float]
    score: float
    nose: tuple[float, float] = (math.nan, math.nan)  # nan: not known


def load_detector(weights: Path) -> cv2.FaceDetectorYN:
    """YuNet (Wu et al. 2023, doi:10.1007/s11633-023-1423-y) from its ONNX file; each thread needs its own.

    Raises:
        ValueError: the file cannot be read, or is not the version that the constants here were measured with.
    """
    # From the checked bytes, not from the path: the file cannot change in between, and every path works.
    model, config = np.frombuffer(read_weights(weights), np.uint8), np.empty(0, np.uint8)
    return cv2.FaceDetectorYN.create("onnx", model, config, (COARSE, COARSE), SCORE, OVERLAP, CANDIDATES)


def read_weights(weights: Path) -> bytes:
    """The content of YuNet's ONNX file, with its hash checked.

    Raises:
        ValueError: as `load_detector`.
    """
    where = f"download {YUNET} from {YUNET_PAGE}"
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ValueError(f"face detector {weights}: {error.strerror}; {where}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != YUNET_SHA256:
        raise ValueError(f"face detector {weights}: sha256 is {digest}, not {YUNET_SHA256}; {where}")
    return content


def find_faces(detector: cv2.FaceDetectorYN, image: np.ndarray) -> list[Face]:
    """The faces of a photo, best score first; an empty list if there are none.

    First the photo is resized to a longer side of 256 px. If no face is found, small faces are searched in its own
    size, at most 640 px. The first pass is best for larger faces, so the results need not be merged.

    Args:
        detector: from `load_detector`.
        image: `(H, W, 3) uint8` RGB, upright (turned by its EXIF tag).

    Raises:
        ValueError: the array is not such a photo.
    """
    check_photo(image)
    for side in (COARSE, min(max(image.shape[:2]), FINE)):
        faces = _detect(detector, image, side)
        if faces:
            return faces
    return []


def largest(faces: Sequence[Face]) -> Face | None:
    """The face whose box has the largest area, the first of equal ones; None if there is no face."""
    return max(faces, key=lambda face: face.box[2] * face.box[3], default=None)


def framing(face: Face, align: bool) -> np.ndarray:
    """Where the crop is in the photo: `(2, 3) float64`, the affine map from the crop's unit square to photo pixels.

    The crop is a square, and the box covers the same share of its area as in FER2013. Both the width and the height of
    the box imply a side. A turned head makes the box narrower and an open mouth makes it taller, so the side is the
    geometric mean. With `align` the square is rotated around the middle of the box until the eyes are level.
    """
    left, top, width, height = face.box
    side = math.sqrt(width * height / (BOX_WIDTH * BOX_HEIGHT))
    eyes = np.subtract(face.left_eye, face.right_eye)
    roll = math.atan2(eyes[1], eyes[0]) if align else 0.0
    axes = side * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    origin = np.array([left + width / 2, top + height / 2]) - axes @ BOX_CENTRE
    return np.column_stack([axes, origin])


def crop_face(image: np.ndarray, face: Face, size: int, align: bool) -> np.ndarray:
    """The crop of `framing`, as `(size, size, 3) uint8` RGB.

    Outside the photo its border is repeated. Reflection would mirror eyes and mouths into the crop, and a flat colour
    would draw edges; FER2013 has neither.

    Args:
        image: `(H, W, 3) uint8` RGB, the photo in which `face` was found.
        face: the face to crop.
        size: side of the crop, in px.
        align: rotate the crop so that the eyes are level. FER2013's own faces are not aligned. YuNet was mostly trained
            on upright faces: of a roll of up to 30 degrees it measures about three quarters, so a quarter remains.

    Raises:
        ValueError: the array is not such a photo.
    """
    check_photo(image)
    to_photo = framing(face, align)
    side = math.hypot(*to_photo[:, 0])
    # Sampled at a whole multiple of the crop's size and then averaged, so that a large photo does not alias.
    fine = size * max(1, math.ceil(side / size))
    axes, origin = to_photo[:, :2] / fine, to_photo[:, 2]
    matrix = np.column_stack([axes, origin + axes @ (0.5, 0.5) - 0.5])  # OpenCV counts from the centre of a pixel
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(image, matrix, (fine, fine), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)


def check_photo(image: np.ndarray) -> None:
    """Check that `image` is `(H, W, 3) uint8` with at least one pixel.

    Raises:
        ValueError: what it is, and how to convert it.
    """
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size:
        return
    raise ValueError(
        f"a photo is (H, W, 3) uint8 in RGB and not empty; this one is {image.shape} {image.dtype}: "
        'with Pillow, np.asarray(ImageOps.exif_transpose(image).convert("RGB"))'
    )


def _detect(detector: cv2.FaceDetectorYN, image: np.ndarray, side: int) -> list[Face]:
    """The faces found when the photo is resized to a longer side of `side` px, in px of the photo."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    seen = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(image, seen, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    detector.setInputSize(seen)
    found = detector.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))[1]
    if found is None:
        return []
    # Each row: box (x, y, w, h), right eye, left eye, nose, two corners of the mouth (x, y each), score.
    points = found[:, :14].reshape(-1, 7, 2).astype(float) * (width / seen[0], height / seen[1])
    return [
        Face((*corner, *extent), tuple(right), tuple(left), float(score), tuple(nose))
        for (corner, extent, right, left, nose, *_), score in zip(points.tolist(), found[:, 14], strict=True)
    ]
