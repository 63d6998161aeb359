"""Find the faces of a photo, crop them as training does, and show where the model looked."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import local

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline import crop
from pipeline.errors import InputError

HERE = Path(__file__).resolve().parent
WINDOWS = 7  # windows along a side, each a quarter of it: 49 pictures go through the model
GRAY = 127  # what covers a window


@dataclass(frozen=True)
class Cut:
    """A cropped face; `box` is (left, top, right, bottom) in px of the upright photo and can reach outside it."""

    box: tuple[float, float, float, float]
    detection: float
    picture: NDArray[np.uint8]


class Finder:
    """The face detector YuNet, with one instance per thread."""

    def __init__(self, weights: Path) -> None:
        """Raises InputError if these are not the weights that the crop was measured with."""
        self._weights, self._own = weights, local()
        try:
            self._own.detector = crop.load_detector(weights)
        except ValueError as error:
            raise InputError(str(error)) from None

    def __call__(self, photo: NDArray[np.uint8], size: int, align: bool, most: int) -> list[Cut]:
        """The `most` largest faces of `(H, W, 3) uint8` RGB, largest first, cut to `size` px."""
        if not hasattr(self._own, "detector"):
            self._own.detector = crop.load_detector(self._weights)
        found = crop.find_faces(self._own.detector, photo)
        found.sort(key=lambda face: -face.box[2] * face.box[3])  # the first of equal ones, as in crop.largest
        return [_cut(photo, face, size, align) for face in found[:most]]


def find_weights(named: str) -> Path | None:
    """The detector's weights: `named` or in the folder `named`; without a name, the file beside this module or None."""
    if not named:
        beside = HERE / crop.YUNET
        return beside if beside.exists() else None
    path = Path(named).expanduser()
    return path / crop.YUNET if path.is_dir() else path


def covered(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Occlusion: `(WINDOWS ** 2, H, W, 3)`, the picture `(H, W, 3)` with a gray window at each place, row by row.

    The model depends on a region if covering it lowers the score (Zeiler and Fergus 2014,
    doi:10.1007/978-3-319-10590-1_53, section 4.2). This needs only the model's answers, so it works with every engine.
    """
    pictures = np.repeat(picture[None], WINDOWS**2, axis=0)
    for one, (rows, columns) in zip(pictures, _windows(*picture.shape[:2]), strict=True):
        one[rows, columns] = GRAY
    return pictures


def needed(whole: float, scores: Sequence[float], height: int, width: int) -> tuple[NDArray[np.float64], float]:
    """The occlusion map `(height, width)`, 0 to 1: mean loss of the score `whole` over the windows that cover a pixel.

    1 is the largest loss in this picture, which is returned too. Where covering raises the score, the map is 0.

    Args:
        whole: score of the picture without a window.
        scores: scores of the pictures of `covered`, in their order.
    """
    loss, count = np.zeros((2, height, width))
    for score, (rows, columns) in zip(scores, _windows(height, width), strict=True):
        loss[rows, columns] += whole - score
        count[rows, columns] += 1
    loss = np.maximum(loss / count, 0)
    largest = float(loss.max())
    return loss / max(largest, 1e-9), largest


def draw(picture: NDArray[np.uint8]) -> str:
    """A picture as a PNG in a `data:` URL."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def draw_map(need: NDArray[np.float64]) -> str:
    """A map `(H, W)`, 0 to 1, as a red overlay for the crop, transparent where it is 0."""
    colour = np.full((*need.shape, 4), (255, 32, 0, 0), np.uint8)
    colour[..., 3] = np.round(190 * need)
    return draw(colour)


def _cut(photo: NDArray[np.uint8], face: crop.Face, size: int, align: bool) -> Cut:
    left, top, width, height = face.box
    box = (left, top, left + width, top + height)
    return Cut(box, face.score, crop.crop_face(photo, face, size, align))


def _windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Windows of a quarter of each side that overlap by half and cover everything."""

    def along(side: int) -> list[slice]:
        length = -(-side // 4)
        return [slice(start, start + length) for start in np.linspace(0, side - length, WINDOWS).round().astype(int)]

    return [(rows, columns) for rows in along(height) for columns in along(width)]


cv2.setNumThreads(1)  # several photos are searched at the same time, one per core
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # its newest engine warns at every start
