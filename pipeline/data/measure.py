"""What a picture shows, measured once and kept: a hash that is equal for exact copies whatever their file, a thumbnail
that near copies are looked for by, its size and its light. A picture that cannot be used has a fault in their place.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import PIL
from datasets import Dataset, Features, Image, Value, concatenate_datasets
from datasets.fingerprint import Hasher
from PIL import Image as PILImage

from pipeline import pictures
from pipeline.pictures import UnusablePicture, decode_cell

PART = 8192  # rows that are kept on disk together
SIDE = 48  # px of a thumbnail: the size of FER2013
LUMA = np.arange(256)
FEATURES = Features(
    {
        "fault": Value("string"),  # why the picture cannot be used, or None
        "pixels": Value("string"),  # hash, or None
        "thumbnail": Value("binary"),  # SIDE * SIDE gray pixels, or None
        "width": Value("int32"),
        "height": Value("int32"),
        "brightness": Value("float32"),  # mean of the luma, 0 to 255
        "contrast": Value("float32"),  # its standard deviation
    }
)


def measure_pictures(table: Dataset, name: str) -> dict[str, np.ndarray]:
    """The columns of `FEATURES`, (N,) each, for the column `image` of every row; kept on disk."""
    dtypes = {name: np.float32 if "32" in feature.dtype else object for name, feature in FEATURES.items()}
    code = [sys.modules[__name__], pictures]
    measured = map_undecoded(table, _measure_batch, FEATURES, code, f"Decoding pictures ({name})")
    return {feature: np.array(measured[feature][:], dtype) for feature, dtype in dtypes.items()}


def map_undecoded(
    table: Dataset,
    function: Callable[..., Any],
    features: Features,
    modules: Sequence[ModuleType],
    description: str,
    settings: str = "",
) -> Dataset:
    """`function` of batches of undecoded cells of the column `image`, as columns `features`; kept on disk.

    The cache is keyed by the rows, the source of `modules`, the `settings` of `function` and the libraries that decode:
    `datasets` alone would hash the function by its name and serve old results after an edit. It is written in parts of
    PART rows, and what was stopped goes on with the first part that is not whole.
    """
    if not len(table):
        return Dataset.from_dict({name: [] for name in features}, features=features)
    code = [inspect.getsource(module) for module in modules]
    made_by = (table._fingerprint, code, settings, PIL.__version__, datasets.__version__)
    undecoded = table.cast_column("image", Image(decode=False))
    starts = range(0, len(table), PART)
    parts = [
        undecoded.select(range(start, min(start + PART, len(table)))).map(
            function,
            batched=True,
            batch_size=256,
            input_columns=["image"],
            remove_columns=table.column_names,
            features=features,
            new_fingerprint=Hasher.hash((made_by, start, PART)),
            desc=description if len(starts) == 1 else f"{description}, from row {start:,} of {len(table):,}",
        )
        for start in starts
    ]
    return concatenate_datasets(parts)


def measure_picture(picture: Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of `FEATURES`."""
    try:
        upright = decode_cell(picture)
    except UnusablePicture as error:
        return dict.fromkeys(FEATURES) | {"fault": str(error)}
    gray = upright.convert("L")
    counts = gray.histogram()  # of it: an array of a photo in float64 would be larger than the photo eight times
    brightness = np.average(LUMA, weights=counts)
    return {
        "fault": None,
        "pixels": blake2b(upright.tobytes(), digest_size=16, person=b"%dx%d" % upright.size).hexdigest(),
        "thumbnail": gray.resize((SIDE, SIDE), PILImage.Resampling.BICUBIC).tobytes(),
        "width": upright.width,
        "height": upright.height,
        "brightness": brightness,
        "contrast": np.sqrt(np.average((LUMA - brightness) ** 2, weights=counts)),
    }


def _measure_batch(cells: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    rows = [measure_picture(picture) for picture in cells]
    return {name: [row[name] for row in rows] for name in FEATURES}
