"""Photos become crops of their faces, so that a model learns what an app shows it."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from pipeline.data.table import Reading
from pipeline.errors import InputError, first_line
from pipeline.hub_client import limit_requests
from pipeline.pictures import UnusablePicture, decode_cell
from pipeline.settings.recipe import Recipe
from pipeline.source import Source

FEATURES = Features({"image": Image(), "faces": Value("int32")})  # faces: how many were found, -1 where none is seen
KEYS_SHOWN = 10


def crop_faces(reading: Reading, recipe: Recipe) -> Reading:
    """`reading` with every picture replaced by the crop of its largest face, `recipe.image_size` px a side.

    A picture without a face is dropped, and counted with its key; one with several faces becomes the crop of the
    largest, and is counted. Pictures that cannot be used stay as they are, and are counted with all such pictures.
    Crops are kept on disk.

    Raises:
        InputError: the face detector is missing, or is not the one that the crop was measured with; the faces are cut
            out already; or no picture shows a face.
    """
    if any("box" in table.column_names for table in reading.tables.values()):
        raise InputError(f"{reading.name}: its faces are cut out at their boxes already; set crop to none for it")
    detector = _detector(recipe)
    cut = partial(_crop_batch, detector=detector, size=recipe.image_size, align=recipe.face_align)
    settings = f"{cv2.__version__} {recipe.image_size} {recipe.face_align}"
    tables: dict[str, Dataset] = {}
    without: dict[str, list[str]] = {source.id: [] for source in reading.sources}  # keys of pictures without a face
    several: Counter[str] = Counter()
    faceless: dict[str, Counter[str]] = {}
    for split, table in reading.tables.items():
        tables[split], faces = _cropped(table, cut, settings, f"Cropping faces ({reading.name}, {split})")
        for id, key, count in zip(table["source"][:], table["key"][:], faces.tolist(), strict=True):
            without[id] += [key] if count == 0 else []
            several[id] += count > 1
        faceless[split] = Counter(np.array(table["source"][:], object)[faces == 0].tolist())
    if not any(map(len, tables.values())):
        total = sum(map(len, without.values()))
        raise InputError(f"{reading.name}: no face was found in any of {total} pictures; set crop to none for it")
    found = {
        id: {"no_face": {"count": len(keys), "keys": keys[:KEYS_SHOWN]}, "several_faces": several[id]}
        for id, keys in without.items()
    }
    sources = tuple(
        replace(source, faces=found[source.id], left_out=_with_faceless(source, faceless)) for source in reading.sources
    )
    return replace(reading, sources=sources, tables=DatasetDict(tables))


def _with_faceless(source: Source, faceless: Mapping[str, Counter[str]]) -> dict[str, Mapping[str, int]]:
    """What was left out of `source`, with the photos without a face: `faceless`, split -> source id -> photos."""
    left_out = dict(source.left_out)
    for split, photos in faceless.items():
        if photos[source.id]:
            left_out[split] = {**left_out.get(split, {}), "without a face": photos[source.id]}
    return left_out


def _cropped(table: Dataset, cut: Callable[..., Any], settings: str, description: str) -> tuple[Dataset, np.ndarray]:
    """The rows whose picture shows a face, with its crop as `image`; how many faces each row of `table` shows, (N,)."""
    if not len(table):  # `datasets` joins no empty tables
        return table, np.zeros(0, dtype=int)
    code = [sys.modules[__name__], crop, pictures]
    cropped = map_undecoded(table, cut, FEATURES, code, description, settings)
    faces = np.array(cropped["faces"][:], dtype=int)
    whole = concatenate_datasets([cropped.select_columns("image"), table.remove_columns("image")], axis=1)
    return whole.select(np.flatnonzero(faces != 0)), faces


def _detector(recipe: Recipe) -> Any:
    try:
        return crop.load_detector(find_detector(recipe.face_detector))
    except ValueError as error:
        raise InputError(f"{error}, and give its path with --face_detector") from None


def find_detector(face_detector: str) -> Path:
    """The local file of the face detector: a file, a file in a local folder, or the Hub's in the cache.

    Raises:
        InputError: the file is not here, and the Hub does not give it.
    """
    path = Path(face_detector).expanduser()
    if path.is_dir():
        return path / crop.YUNET
    if path.exists() or path.suffix == ".onnx":
        return path
    limit_requests()
    try:
        return Path(hf_hub_download(face_detector, crop.YUNET))
    except Exception as error:  # the client raises many kinds: no network, no such repo, no right to read
        raise InputError(
            f"face_detector {face_detector} is not a file here and could not be downloaded from the Hub "
            f"({first_line(error)}): download {crop.YUNET} from {crop.YUNET_PAGE}, "
            "and give its path with --face_detector"
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
