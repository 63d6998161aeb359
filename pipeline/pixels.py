"""What a picture shows, as a hash: equal for exact copies whatever their file, None where it cannot be decoded."""

import inspect
import io
import sys
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import datasets
import numpy as np
import PIL
from datasets import Dataset, Features, Image, Value
from datasets.fingerprint import Hasher
from PIL import Image as PILImage
from PIL import ImageOps


def hash_pictures(table: Dataset, split: str) -> np.ndarray:
    """`pixel_hash` of the column `image` of every row, (N,) str or None; kept on disk.

    The cache is keyed by the rows, the source of this module and the libraries that decode: `datasets` alone would hash
    the function by its name and serve old hashes after an edit.
    """
    if not len(table):
        return np.zeros(0, dtype=object)
    code = inspect.getsource(sys.modules[__name__])
    hashed = table.cast_column("image", Image(decode=False)).map(
        _hash_batch,
        batched=True,
        batch_size=256,
        input_columns=["image"],
        remove_columns=table.column_names,
        features=Features({"pixels": Value("string")}),
        new_fingerprint=Hasher.hash((table._fingerprint, code, PIL.__version__, datasets.__version__)),
        desc=f"Decoding pictures ({split})",
    )
    return np.array(hashed["pixels"][:], dtype=object)


def pixel_hash(picture: Mapping[str, Any] | None) -> str | None:
    """Hash of the decoded picture (upright by its EXIF, as RGB) and its size, or None where it cannot be decoded."""
    upright = decoded(picture)
    if upright is None:
        return None
    return blake2b(upright.tobytes(), digest_size=16, person=b"%dx%d" % upright.size).hexdigest()


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


def _hash_batch(pictures: Sequence[Mapping[str, Any] | None]) -> dict[str, list[str | None]]:
    return {"pixels": [pixel_hash(picture) for picture in pictures]}
