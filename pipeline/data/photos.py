"""Photos or faces: look at some pictures of a source that is not cropped, and say if its faces are small."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from datasets import Image, concatenate_datasets
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from pipeline import crop
from pipeline.data.table import Reading
from pipeline.pictures import UnusablePicture, decode_cell
from pipeline.settings.recipe import Recipe

LOOKED_AT = 200  # pictures of a reading
SMALL = 0.5  # a face whose box has less than this share of the picture's height; 1.0 in FER2013


def photo_lines(readings: Sequence[Reading], recipe: Recipe) -> list[str]:
    """A line for each reading whose pictures are mostly photos with a small face, and how to crop them.

    The detector looks at `LOOKED_AT` pictures, chosen by `split_seed`. Nothing is downloaded: without its weights on
    this machine nothing is said.
    """
    lines = []
    for reading, entry in zip(readings, recipe.sources or [{}], strict=True):
        if any(source.faces is not None or source.origin == "drawn" for source in reading.sources):
            continue
        detector = _detector_at_hand(entry.get("face_detector", recipe.face_detector))
        heights = list(_face_heights(detector, reading, recipe.split_seed)) if detector else []
        small = [height for height in heights if height is not None and height < SMALL]
        if len(small) > len(heights) / 2:
            add = "add crop: detect to its entry in sources" if recipe.sources else "add --crop detect"
            lines.append(
                f"{reading.name}: {len(small)} of {len(heights)} pictures looked at are photos with a small face "
                f"(median: {np.median(small):.0%} of the height); to train on faces, {add}"
            )
    return lines


def weights_at_hand(face_detector: str) -> Path | None:
    """The local file of the setting `face_detector`, or the Hub's in the cache; None if it would need a download."""
    path = Path(face_detector).expanduser()
    file = path / crop.YUNET if path.is_dir() else path
    if file.is_file():
        return file
    try:
        cached = try_to_load_from_cache(face_detector, crop.YUNET)
    except HFValidationError:  # it is not the spelling of a Hub id
        return None
    return Path(cached) if isinstance(cached, str) else None


def _detector_at_hand(face_detector: str) -> cv2.FaceDetectorYN | None:
    weights = weights_at_hand(face_detector)
    try:
        return None if weights is None else crop.load_detector(weights)
    except ValueError:  # another version of the weights: an error for those who ask for a crop, and nobody did
        return None


def _face_heights(detector: cv2.FaceDetectorYN, reading: Reading, seed: int) -> Iterator[float | None]:
    """For each picture looked at, the share of its height that its largest face has; None without a face."""
    pictures = [table.select_columns("image") for table in reading.tables.values() if len(table)]
    table = concatenate_datasets(pictures).cast_column("image", Image(decode=False))
    for position in sorted(np.random.default_rng(seed).permutation(len(table))[:LOOKED_AT].tolist()):
        try:
            photo = np.asarray(decode_cell(table[position]["image"]))
        except UnusablePicture:
            continue
        face = crop.largest(crop.find_faces(detector, photo))
        yield None if face is None else face.box[3] / photo.shape[0]
