"""What every kind of model comes to here: pictures in, the scores of its own classes out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset
from datasets import Image as ImageColumn
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from pipeline.errors import InputError
from pipeline.pictures import UnusablePicture, decode_cell
from pipeline.studies.any_model.classes import Kind

Answer = Callable[[Sequence[Image.Image]], NDArray[Any]]
"""From B upright RGB pictures of any size to scores (B, C)."""
SAME = 1e-3  # within which two answers to the same pictures agree
BATCH = 64  # pictures that go through a model at once
PROBE = np.random.default_rng(0).integers(0, 256, (2, 97, 131, 3), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A model that is ready to answer.

    Attributes:
        name: as it was typed.
        kind: `transformers`, `timm`, `onnx`.
        outputs: names of its C classes, in the order of its scores.
        scores_are: what its scores are.
        preprocessing: what it does to a picture, in words.
        answer: its scores of pictures; it prepares them itself.
        record: what else evaluation.json says of it, such as the hash of its weights.
        network: the torch model behind it, as a `maps.Network`; None for other kinds.
    """

    name: str
    kind: str
    outputs: list[str]
    scores_are: Kind
    preprocessing: str
    answer: Answer
    record: Mapping[str, Any] = field(default_factory=dict)
    network: Any = None


def probe(classifier: Classifier) -> None:
    """Ask the model two pictures of other sizes than one another, before the data is read.

    Raises:
        InputError: it does not take them, does not give a score for each of its classes, or gives other scores for the
            same picture, or the same scores for every picture.
    """
    pictures = [Image.fromarray(PROBE[0]), Image.fromarray(np.ascontiguousarray(PROBE[1][:, :64]))]
    scores = classifier.answer(pictures)
    if scores.shape != (2, len(classifier.outputs)):
        raise InputError(
            f"model {classifier.name} gives {tuple(scores.shape)} scores for 2 pictures, and it names "
            f"{len(classifier.outputs)} classes; take names and weights from one save"
        )
    if not np.isfinite(scores).all():
        raise InputError(f"model {classifier.name} gives scores that are not finite numbers: its weights are damaged")
    if not np.allclose(scores, classifier.answer(pictures), rtol=SAME, atol=SAME):
        raise InputError(f"model {classifier.name} answers the same picture in two ways: it is random, export it again")
    dark_and_light = classifier.answer([Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64), (255, 255, 255))])
    if np.array_equal(dark_and_light[0], dark_and_light[1]) and np.array_equal(dark_and_light[0], scores[0]):
        raise InputError(
            f"model {classifier.name} answers noise, black and white with the same scores: it does not look at pictures"
        )


def scores_of(classifier: Classifier, table: Dataset, split: str) -> NDArray[Any]:
    """Scores (N, C) of the pictures of a table; a bar shows the time that is left.

    Raises:
        InputError: a picture cannot be decoded any more.
    """
    parts = []
    with tqdm(total=len(table), desc=f"predict {split}", unit=" pictures", disable=None) as bar:
        for pictures in _batches(table):
            parts.append(classifier.answer(pictures))
            bar.update(len(pictures))
    return np.concatenate(parts)


def _batches(table: Dataset) -> Iterator[list[Image.Image]]:
    for start in range(0, len(table), BATCH):
        yield pictures_of(table, range(start, min(start + BATCH, len(table))))


def pictures_of(table: Dataset, positions: Iterable[int]) -> list[Image.Image]:
    """The upright RGB pictures of some rows.

    Raises:
        InputError: one cannot be decoded any more.
    """
    undecoded = table.select_columns(["image", "key"]).cast_column("image", ImageColumn(decode=False))
    rows = undecoded[list(positions)]
    return [_decoded(cell, key) for cell, key in zip(rows["image"], rows["key"], strict=True)]


def _decoded(cell: dict[str, Any], key: str) -> Image.Image:
    try:
        return decode_cell(cell)
    except UnusablePicture as error:  # it was decoded when the data was read
        raise InputError(f"{key} changed while it was evaluated ({error}): run the same command again") from None
