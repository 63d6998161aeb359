"""Measure every picture once and cache it: pixel hash, thumbnail, size and light.

The hash is equal for exact copies, whatever file format they are stored in. The thumbnail serves the search for near
copies. A picture that cannot be used has a fault instead of measures.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

PART = 8192  # rows that are cached together
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


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What was measured of N pictures, (N,) each.

    Attributes:
        fault: why the picture cannot be used, str; None where it can.
        pixels: hash of the decoded picture, str; None where there is a fault, as in the other columns.
        thumbnail: SIDE * SIDE gray pixels, bytes.
        width: px, float32.
        height: px, float32.
        brightness: mean of the luma, float32 from 0 to 255.
        contrast: standard deviation of the luma, float32.
    """

    fault: np.ndarray
    pixels: np.ndarray
    thumbnail: np.ndarray
    width: np.ndarray
    height: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray


def measure_pictures(table: Dataset, name: str) -> Measures:
    """Measure the column `image` of every row of `table`, or read the cached result; `name` is for the progress bar."""
    code = [sys.modules[__name__], pictures]
    cached = map_undecoded(table, _measure_batch, FEATURES, code, f"Decoding pictures ({name})")

    def column(of: str, dtype: type) -> np.ndarray:
        return np.array(cached[of][:], dtype)

    return Measures(
        fault=column("fault", object),
        pixels=column("pixels", object),
        thumbnail=column("thumbnail", object),
        width=column("width", np.float32),
        height=column("height", np.float32),
        brightness=column("brightness", np.float32),
        contrast=column("contrast", np.float32),
    )


def map_undecoded(
    table: Dataset,
    function: Callable[..., Any],
    features: Features,
    modules: Sequence[ModuleType],
    description: str,
    settings: str = "",
) -> Dataset:
    """Map `function` over batches of undecoded cells of the column `image`; the results are columns `features`.

    Results are cached on disk. The key of the cache is made of the rows, the source code of `modules`, the `settings`
    of `function` and the versions of the libraries that decode: `datasets` by itself hashes an imported function by its
    name and would return old results after an edit. The cache is written in parts of PART rows. After an interruption
    the finished parts are reused.
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
    """Measure one undecoded cell of an Image column: one row of `FEATURES`."""
    try:
        upright = decode_cell(picture)
    except UnusablePicture as error:
        return dict.fromkeys(FEATURES) | {"fault": str(error)}
    gray = upright.convert("L")
    counts = gray.histogram()  # much smaller than the picture as an array of float64
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
