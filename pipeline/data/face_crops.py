"""Photos of a source become crops of their faces, so that a model learns what an app shows it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from huggingface_hub import hf_hub_download
from PIL import Image as PILImage

from pipeline import crop, pictures
from pipeline.data.measure import map_undecoded
from pipeline.data.readers import Source
from pipeline.errors import InputError, first_line
from pipeline.pictures import UnusablePicture, decode_cell
from pipeline.settings.recipe import Recipe

FEATURES = Features({"image": Image(), "faces": Value("int32")})  # faces: how many were found, -1 where none is seen
KEYS_SHOWN = 10


def crop_faces(source: Source, recipe: Recipe) -> Source:
    """`source` with every picture replaced by the crop of its largest face, `recipe.image_size` px a side.

    A picture without a face is dropped, and counted with its key; one with several shows its largest, and is counted.
    Pictures that cannot be used stay as they are, to be counted where all are. Crops are kept on disk.

    Raises:
        InputError: there is no face detector, or not the one that the crop was measured with.
    """
    weights = find_detector(recipe.face_detector)
    try:
        detector = crop.load_detector(weights)
    except ValueError as error:
        raise InputError(f"{error}, and give its path with --face_detector") from None
    cut = partial(_crop_batch, detector=detector, size=recipe.image_size, align=recipe.face_align)
    code, told = [sys.modules[__name__], crop, pictures], f"{cv2.__version__} {recipe.image_size} {recipe.face_align}"
    tables: dict[str, Dataset] = {}
    none: list[str] = []
    several = 0
    for split, table in source.tables.items():
        if not len(table):  # `datasets` joins no empty tables
            tables[split] = table
            continue
        cropped = map_undecoded(table, cut, FEATURES, code, f"Cropping faces ({source.name}, {split})", told)
        faces = np.array(cropped["faces"][:], dtype=int)
        none += table.select(np.flatnonzero(faces == 0))["key"][:]
        several += int((faces > 1).sum())
        whole = concatenate_datasets([cropped.select_columns("image"), table.remove_columns("image")], axis=1)
        tables[split] = whole.select(np.flatnonzero(faces != 0))
    if not any(map(len, tables.values())):
        raise InputError(f"{source.name}: no face was found in any of {len(none)} pictures; set crop to none for it")
    found = {"no_face": {"count": len(none), "keys": none[:KEYS_SHOWN]}, "several_faces": several}
    return replace(source, tables=DatasetDict(tables), faces=found)


def find_detector(face_detector: str) -> Path:
    """The local file of the face detector: itself, in a local folder, or the Hub's in the cache."""
    path = Path(face_detector).expanduser()
    if path.is_dir():
        return path / crop.YUNET
    if path.exists() or path.suffix == ".onnx":
        return path
    try:
        return Path(hf_hub_download(face_detector, crop.YUNET))
    except Exception as error:  # the client raises many kinds: no network, no such repo, no right to read
        raise InputError(
            f"face_detector {face_detector} is no file here and could not be had from the Hub ({first_line(error)}): "
            f"download {crop.YUNET} from {crop.YUNET_PAGE}, and give its path with --face_detector"
        ) from None


def _crop_batch(
    cells: Sequence[Mapping[str, Any] | None], detector: Any, size: int, align: bool
) -> dict[str, list[Any]]:
    images: list[Any] = []
    counts = []
    for cell in cells:
        try:
            array = np.asarray(decode_cell(cell))
        except UnusablePicture:
            images.append(cell)
            counts.append(-1)
            continue
        faces = crop.find_faces(detector, array)
        face = crop.largest(faces)
        images.append(None if face is None else PILImage.fromarray(crop.crop_face(array, face, size, align)))
        counts.append(len(faces))
    return {"image": images, "faces": counts}
