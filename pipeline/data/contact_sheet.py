"""Contact sheets: faces of each class and source side by side, so that wrong labels are seen at a glance."""

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.data.rows import Rows

FACES = 12  # on a sheet
SIDE = 96  # px of a picture on the page
SEED = 0  # chooses the faces


class Sheet(NamedTuple):
    """Faces of one class from one source."""

    name: str  # of the class
    source: str
    rows: int
    read_from: str  # the names in the source that became this class, with their rows; "" if it has no names
    faces: list[dict[str, str]]  # `picture` (a data URL) and `caption`


def contact_sheets(report: Mapping[str, Any], splits: Mapping[str, Rows]) -> list[Sheet]:
    """A sheet for each class and source that has rows, with at most `FACES` rows of all splits, chosen by a fixed seed.

    Args:
        report: the report of curation.
        splits: its rows by split.
    """
    sheets = []
    for label, name in enumerate(report["rows"]["train"]):
        for source, record in report["sources"].items():
            places = [
                (split, position)
                for split, rows in splits.items()
                for position in np.flatnonzero((rows.label == label) & (rows.source == source)).tolist()
            ]
            if places:
                chosen = np.random.default_rng(SEED).permutation(len(places))[:FACES]
                faces = [_face(splits[split], split, position) for split, position in (places[i] for i in chosen)]
                sheets.append(Sheet(name, source, len(places), _read_from(record["names"], name), faces))
    return sheets


def _read_from(names: Mapping[str, Mapping[str, int]], wanted: str) -> str:
    return ", ".join(f"{name} {classes[wanted]:,}" for name, classes in names.items() if classes.get(wanted))


def _face(rows: Rows, split: str, position: int) -> dict[str, str]:
    row = rows.table[position]
    return {"picture": data_url(row["image"]), "caption": f"{split} {row['key']}"}


def data_url(image: Image.Image) -> str:
    """A picture of at most `SIDE` px a side as a PNG inside the page."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    encoded = io.BytesIO()
    small.save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
