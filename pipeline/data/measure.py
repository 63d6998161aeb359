"""Measure every picture once and cache it: pixel hash, thumbnail, size and light.

The hash is equal for exact copies, whatever file format they are stored in. The thumbnail serves the search for near
copies. A picture that cannot be used has a fault instead of measures.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Image, Value, concatenate_datasets
from datasets.fingerprint import Hasher
from PIL import Image as PILImage

from pipeline import pictures
from pipeline.cores import cores
from pipeline.pictures import UnusablePicture, decode_cell

PART = 8192  # rows that are cached together
DECODERS = 4  # pictures that are decoded at once, at most: the largest ones take 256 MiB several times over
SIDE = 48  # px of a thumbnail: the size of FER2013
HASH = "S32"  # of the decoded pixels: 16 bytes in hexadecimal
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
        pixels: hash of the decoded picture, bytes of fixed size; empty where there is a fault.
        thumbnail: SIDE * SIDE gray pixels, binary; null where there is a fault. It stays on disk until it is used.
        width: px, float32; NaN where there is a fault, as in the other columns.
        height: px, float32.
        brightness: mean of the luma, float32 from 0 to 255.
        contrast: standard deviation of the luma, float32.
    """

    fault: np.ndarray
    pixels: np.ndarray
    thumbnail: pa.ChunkedArray
    width: np.ndarray
    height: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray


def measure_pictures(table: Dataset, name: str) -> Measures:
    """Measure the column `image` of every row of `table`, or read the cached result; `name` is for the progress bar."""
    code = [sys.modules[__name__], pictures]
    return measures_of(map_undecoded(table, measure_batch, FEATURES, code, f"Decoding pictures ({name})"))


def measures_of(measured: Dataset) -> Measures:
    """The rows of `measured`, which has the columns `FEATURES`, as `measure_batch` makes them."""
    columns = measured.with_format("arrow")[:]

    def numbers(of: str) -> np.ndarray:
        return columns[of].to_numpy().astype(np.float32)

    return Measures(
        fault=columns["fault"].to_numpy(),
        pixels=np.array(columns["pixels"].fill_null("").to_pylist(), HASH),
        thumbnail=columns["thumbnail"],
        width=numbers("width"),
        height=numbers("height"),
        brightness=numbers("brightness"),
        contrast=numbers("contrast"),
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
    made_by = (table._fingerprint, code, settings, pictures.VERSIONS, datasets.__version__)
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


def measure_batch(cells: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """Measure undecoded cells of an Image column: the columns `FEATURES`."""
    with ThreadPoolExecutor(min(cores(), DECODERS)) as pool:  # Pillow and hashlib work without Python's lock
        rows = list(pool.map(measure_picture, cells))
    return {name: [row[name] for row in rows] for name in FEATURES}


def measure_picture(picture: Mapping[str, Any] | None) -> dict[str, Any]:
    """Measure one undecoded cell of an Image column: one row of `FEATURES`."""
    try:
        return _measured(decode_cell(picture))
    except UnusablePicture as error:
        fault = str(error)
    except MemoryError:
        fault = "needs more memory than is free"
    return dict.fromkeys(FEATURES) | {"fault": fault}


def _measured(upright: PILImage.Image) -> dict[str, Any]:
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
