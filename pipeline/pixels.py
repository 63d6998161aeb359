"""What a picture shows, measured once and kept: a hash that is equal for exact copies whatever their file, its size and
its light. A picture that cannot be decoded has no hash.
"""

import inspect
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import PIL
from datasets import Dataset, Features, Image, Value
from datasets.fingerprint import Hasher
from PIL import Image as PILImage
from PIL import ImageOps, ImageStat

FEATURES = Features(
    {
        "pixels": Value("string"),  # hash, or None
        "width": Value("int32"),
        "height": Value("int32"),
        "brightness": Value("float32"),  # mean of the luma, 0 to 255
        "contrast": Value("float32"),  # its standard deviation
    }
)


def measure_pictures(table: Dataset, split: str) -> dict[str, np.ndarray]:
    """The columns of `FEATURES`, (N,) each, for the column `image` of every row; kept on disk."""
    if not len(table):
        return {name: np.zeros(0, dtype=object if name == "pixels" else np.float32) for name in FEATURES}
    measured = map_undecoded(table, _measure_batch, FEATURES, [sys.modules[__name__]], f"Decoding pictures ({split})")
    return {name: np.array(measured[name][:], dtype=object if name == "pixels" else np.float32) for name in FEATURES}


def map_undecoded(
    table: Dataset, function: Callable[..., Any], features: Features, modules: Sequence[ModuleType], description: str
) -> Dataset:
    """`function` of batches of undecoded cells of the column `image`, as columns `features`; kept on disk.

    The cache is keyed by the rows, the source of `modules` and the libraries that decode: `datasets` alone would hash
    the function by its name and serve old results after an edit.
    """
    code = [inspect.getsource(module) for module in modules]
    return table.cast_column("image", Image(decode=False)).map(
        function,
        batched=True,
        batch_size=256,
        input_columns=["image"],
        remove_columns=table.column_names,
        features=features,
        new_fingerprint=Hasher.hash((table._fingerprint, code, PIL.__version__, datasets.__version__)),
        desc=description,
    )


def measure_picture(picture: Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of `FEATURES`."""
    upright = decoded(picture)
    if upright is None:
        return dict.fromkeys(FEATURES)
    light = ImageStat.Stat(upright.convert("L"))
    return {
        "pixels": blake2b(upright.tobytes(), digest_size=16, person=b"%dx%d" % upright.size).hexdigest(),
        "width": upright.width,
        "height": upright.height,
        "brightness": light.mean[0],
        "contrast": light.stddev[0],
    }


def decoded(picture: Mapping[str, Any] | None) -> PILImage.Image | None:
    """The picture, upright by its EXIF, as RGB, or None where it cannot be decoded.

    `picture` is an undecoded cell of an Image column: `bytes`, or else a `path`.
    """
    if picture is None:
        return None
    try:
        with PILImage.open(io.BytesIO(picture["bytes"]) if picture["bytes"] is not None else picture["path"]) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except Exception:  # on a damaged file Pillow and its codecs raise almost anything
        return None


def _measure_batch(pictures: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    rows = [measure_picture(picture) for picture in pictures]
    return {name: [row[name] for row in rows] for name in FEATURES}
