"""ExpW: `label.lst` with one line a face, and photos that may show several faces.

A line is `a.jpg 0 28 113 226 141 22.9 3`: see FIELDS. The list lies in the folder itself or in `label/`, the photos in
`image/`, `origin/`, `image/origin/` or beside the list (Zhang et al., arXiv:1609.06426,
http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html).
"""

import inspect
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from datasets import DatasetDict, Features, Image
from PIL import Image as PILImage

from pipeline import crop
from pipeline import pictures as decoder
from pipeline.data.readers.codes import EXPW_CODES
from pipeline.data.readers.files import generated, listed_pictures, local_path, pictures_in
from pipeline.data.readers.labels import Names, class_labels, tallied
from pipeline.data.readers.rows import counted, refuse_empty
from pipeline.data.readers.text import read_text
from pipeline.data.table import ALL, Reading, assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.pictures import UnusablePicture, decode
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "expw"
LAYOUT = "ExpW (label.lst and the photos in image/ or origin/)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("folder", "csv")  # the folder of its photos, and its list

LIST = "label.lst"
FIELDS = "image name, face id, box top, left, right, bottom, confidence, class code"
Box = tuple[int, int, int, int]  # x, y, width, height in px of the photo


class Face(NamedTuple):
    """A line of label.lst."""

    line: int
    photo: str
    face_id: str
    box: Box
    code: str

    @property
    def key(self) -> str:
        """The name of the face: its photo's, and its id there."""
        return f"{self.photo}#{self.face_id}"


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is the list of ExpW or holds it, or None."""
    return f"{LIST} of ExpW" if _list_in(path) else None


def _list_in(path: Path) -> Path | None:
    places = (path, path / LIST, path / "label" / LIST)
    return next((place for place in places if place.name == LIST and place.is_file()), None)


def read(recipe: Recipe) -> Reading:
    """The source in `recipe.data_path`: one row a face, its picture cut out of its photo at the box of the list.

    The key of a face is `photo#face_id`. There are no official splits.

    Raises:
        InputError: the list is missing, a line is wrong, or a photo is missing; the message names file and line.
    """
    path = _list_in(local_path(recipe))
    if path is None:
        raise InputError(f"data_path {recipe.data_path}: no {LIST} of ExpW there; give {LAYOUT}")
    faces = _faces(path)
    photos = _photos(path, faces)
    boxes = np.array([face.box for face in faces], dtype=np.int32).reshape(-1, 4)
    codes = [face.code for face in faces]
    labels, reasons = class_labels(codes, recipe, str(path), EXPW_CODES)
    pictures = generated(
        _cut_out,
        Features({"image": Image()}),
        [photos[face.photo] for face in faces],
        boxes=tuple(face.box for face in faces),
        made_by=_code(),
        size=recipe.image_size,
    )
    targets = one_hot(labels, len(recipe.classes))
    keys = [face.key for face in faces]
    table = assemble(pictures, labels, targets, keys, [None] * len(faces), NAME, recipe.classes, boxes)
    left_out = {ALL: counted(reasons) | _unlisted(photos)}
    refuse_empty({ALL: table}, str(path), left_out)
    return Reading(
        (_source(len(photos), left_out, tallied(codes, labels, recipe, EXPW_CODES)),), DatasetDict({ALL: table})
    )


def _source(photos: int, left_out: dict[str, dict[str, int]], names: Names) -> Source:
    return Source(
        id=NAME,
        title="ExpW",
        layout=f"ExpW by {LIST}: faces cut out of {photos:,} photos at the boxes of the list",
        origin="local",
        datasets=("ExpW",),
        terms="ExpW (Zhang et al., arXiv:1609.06426): pictures from the web, for research only",
        citation=(
            "Zhang, Luo, Loy and Tang: From Facial Expression Recognition to Interpersonal Relation Prediction. "
            "International Journal of Computer Vision, 2018, arXiv:1609.06426"
        ),
        columns_not_read=("confidence",),
        left_out=left_out,
        names=names,
    )


def _faces(path: Path) -> list[Face]:
    """The lines of the list that are not blank, checked; each face is listed once."""
    faces: dict[str, Face] = {}
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        face = _face(text.split(), line, path)
        if face.key in faces:
            before = faces[face.key].line
            raise InputError(f"{path} line {line}: face {face.key} is on line {before} already; keep one of the two")
        faces[face.key] = face
    return list(faces.values())


def _face(cells: list[str], line: int, path: Path) -> Face:
    try:
        photo, face_id, *edges, _, code = cells
        top, left, right, bottom = map(int, edges)
    except ValueError:
        raise InputError(f"{path} line {line}: {' '.join(cells)!r}; expected {FIELDS}") from None
    if right <= left or bottom <= top:
        raise InputError(
            f"{path} line {line}: the box of {photo} is empty (top {top}, left {left}, right {right}, bottom "
            f"{bottom}); correct or remove the line"
        )
    return Face(line, photo, face_id, (left, top, right - left, bottom - top), code)


def _photos(path: Path, faces: list[Face]) -> dict[str, Path]:
    """Name to file of every photo in the list."""
    root = path.parent.parent if path.parent.name == "label" else path.parent
    lines = {face.photo: face.line for face in reversed(faces)}  # the first line of a photo is what a message names
    folders = [root / "image", root / "origin", root / "image" / "origin", root]
    files = listed_pictures(path, list(lines.values()), list(lines), [folder for folder in folders if folder.is_dir()])
    return dict(zip(lines, files, strict=True))


def _unlisted(photos: Mapping[str, Path]) -> dict[str, int]:
    """How many pictures lie beside the photos of the list and are not in it."""
    listed = set(photos.values())
    count = sum(p not in listed for folder in {p.parent for p in listed} for p in pictures_in(folder))
    return {f"photo that {LIST} does not list": count} if count else {}


def _cut_out(files: tuple[Path, ...], boxes: tuple[Box, ...], size: int) -> Iterator[dict[str, Any]]:
    """The face in each box of its photo, by the one face crop; at most `size` px a side.

    A photo that cannot be used is passed on as it is, and counted where all such pictures are.
    """
    opened: tuple[Path, np.ndarray | None] | None = None
    for path, (x, y, width, height) in zip(files, boxes, strict=True):
        if opened is None or opened[0] != path:
            opened = path, _opened(path)
        photo = opened[1]
        if photo is None:
            yield {"image": str(path.absolute())}
            continue
        middle = (x + width / 2, y + height / 2)  # in place of eyes, which only an aligned crop reads
        face = crop.Face((x, y, width, height), middle, middle, 1.0)
        cut = crop.crop_face(photo, face, min(size, max(width, height)), align=False)
        yield {"image": {"bytes": _png(cut), "path": None}}


def _code() -> str:
    """What decides about a pixel of a cut besides this module."""
    sources = [inspect.getsource(module) for module in (crop, decoder)]
    return " ".join([*sources, cv2.__version__, *decoder.VERSIONS])


def _opened(path: Path) -> np.ndarray | None:
    try:
        return np.asarray(decode(path))
    except UnusablePicture:
        return None


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    PILImage.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()
