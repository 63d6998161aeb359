"""A drawn face with the answer to it: the page compares its own answer at every start, on every device."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from hub.export.preprocessed import PICTURE, PROBABILITIES
from pipeline import crop
from pipeline.errors import InputError

FILE = "self_test.png"


def stored_answer(photo: Image.Image, weights: Path, model: Path, size: int, align: bool) -> dict[str, Any]:
    """Box (left, top, width, height) and probabilities of the largest face of `photo`, as the server finds them.

    Args:
        photo: RGB.
        weights: YuNet's file.
        model: `model_with_preprocessing.onnx`.
        size: side of the crop, in px.
        align: whether crops have level eyes.

    Raises:
        InputError: the detector does not find the face.
    """
    pixels = np.asarray(photo)
    face = crop.largest(crop.find_faces(crop.load_detector(weights), pixels))
    if face is None:
        raise InputError(f"{weights}: the face detector finds no face in the picture with which the page tests itself")
    cut = crop.crop_face(pixels, face, size, align)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    probabilities = session.run([PROBABILITIES], {PICTURE: cut})[0]
    return {"picture": FILE, "box": list(face.box), "probabilities": [float(value) for value in probabilities]}
