"""Faces drawn by a program, to try everything without data: with the expression as label, or its intensity as score."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from datasets import Dataset, DatasetDict, NamedSplit

from pipeline.data.table import Reading, features
from pipeline.drawn import face, look
from pipeline.drawn import movements as expression
from pipeline.drawn.face import draw_face
from pipeline.drawn.movements import EXPRESSIONS
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source
from pipeline.task import STRATA

NAME = "drawn"
LAYOUT = ""
ORIGINS: tuple[Origin, ...] = ("drawn",)
BEFORE: tuple[str, ...] = ()

SCORE = "intensity"  # of the expression, from 0 to 1

# Of twenty pictures in a row, 14 are for train, 3 for validation and 3 for test.
TWENTIETHS = {"train": range(14), "validation": range(14, 17), "test": range(17, 20)}


def matches(path: Path, recipe: Recipe) -> str | None:
    """None: no path holds drawn faces; the setting `source` asks for them."""
    return None


def _rows(split: str, count: int, seed: int, classes: tuple[str, ...], code: str) -> Iterator[dict[str, Any]]:
    """The rows of one split; `code` (see `_code`) is here so that it counts in the name of the cached table."""
    names = sorted(classes)  # the order of the classes must not change a picture
    for index in _indices(split, count):
        name = names[np.random.default_rng([seed, index, 1]).integers(len(names))]
        picture = draw_face(name, seed, index)
        yield {"image": picture, "label": name, "target": [float(name == c) for c in classes]} | _named(index)


def _scored_rows(split: str, count: int, seed: int, code: str) -> Iterator[dict[str, Any]]:
    """`_rows` with one score: how far any expression but neutral has moved the face, uniform from 0 to 1."""
    moving = sorted(name for name in EXPRESSIONS if name != "neutral")
    for index in _indices(split, count):
        random = np.random.default_rng([seed, index, 1])
        name, score = moving[random.integers(len(moving))], float(np.float32(random.uniform()))
        picture = draw_face(name, seed, index, intensity=score)
        stratum = STRATA[min(int(score * len(STRATA)), len(STRATA) - 1)]
        yield {"image": picture, "label": stratum, "target": [score]} | _named(index)


def _indices(split: str, count: int) -> Iterator[int]:
    return (index for index in range(count) if index % 20 in TWENTIETHS[split])


def _named(index: int) -> dict[str, Any]:
    return {"source": NAME, "person": None, "key": f"drawn-{index:06d}"}


def _code() -> str:
    """A hash of everything that decides about a pixel besides the settings."""
    sources = b"".join(
        Path(file).read_bytes() for file in (__file__, expression.__file__, face.__file__, look.__file__)
    )
    versions = f"{np.__version__} {PIL.__version__}"
    return hashlib.sha256(sources + versions.encode()).hexdigest()


def read(recipe: Recipe) -> Reading:
    """`recipe.drawn_faces` pictures of 64 x 64 with official splits of 70, 15 and 15 %; drawn once, then cached.

    Raises:
        InputError: `recipe.classes` or `recipe.scores` holds a name that cannot be drawn, or there are too few pictures
            for three splits.
    """
    refuse_undrawable(recipe)
    settings: dict[str, Any] = {"count": recipe.drawn_faces, "seed": recipe.split_seed, "code": _code()}
    if not recipe.scores:
        settings["classes"] = tuple(recipe.classes)
    tables = {}
    for split in TWENTIETHS:
        rows = {"split": split, **settings}
        tables[split] = Dataset.from_generator(
            _scored_rows if recipe.scores else _rows,
            features=features(recipe.labels, len(recipe.outputs)),
            gen_kwargs=rows,
            split=NamedSplit(split),
            fingerprint=hashlib.sha256(repr(rows).encode()).hexdigest()[:32],
        )
    labels = [label for table in tables.values() for label in table["label"]]
    counts = {} if recipe.scores else {name: labels.count(i) for i, name in enumerate(recipe.classes)}
    source = Source(
        id="drawn",
        title="drawn faces",
        layout=f"{recipe.drawn_faces} faces drawn from seed {recipe.split_seed}",
        origin="drawn",
        licence="Apache-2.0",
        terms="drawn by this project, Apache-2.0",
        may_publish_pixels=True,
        left_out={split: {} for split in TWENTIETHS},
        names={name: {name: count} for name, count in counts.items()},
    )
    return Reading((source,), DatasetDict(tables))


def refuse_undrawable(recipe: Recipe) -> None:
    """Refuse settings that this program cannot draw.

    Raises:
        InputError: as `read`.
    """
    if recipe.scores and recipe.scores != [SCORE]:
        raise InputError(f"scores is {recipe.scores}; source drawn knows one: --scores '[{SCORE}]'")
    unknown = [name for name in recipe.classes if name not in EXPRESSIONS]
    if unknown:
        raise InputError(f"classes: {unknown[0]!r} cannot be drawn; source drawn knows {', '.join(EXPRESSIONS)}")
    if recipe.drawn_faces < 20:
        raise InputError(f"drawn_faces is {recipe.drawn_faces}; draw at least 20, so that every split has rows")
