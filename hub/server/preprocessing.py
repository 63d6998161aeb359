"""A picture becomes what the model sees, as the saved image processor makes it, by NumPy alone where that is exact."""

import json
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from refusal import CannotStart, first_line

Picture = NDArray[np.uint8]
Pixels = NDArray[np.float32]
Prepare = Callable[[Picture], Pixels]

PROCESSOR = "preprocessor_config.json"
BICUBIC = 3  # Pillow's number


def load_preprocessing(folder: Path, name: str) -> tuple[Prepare, tuple[int, int]]:
    """What turns a picture `(H, W, 3) uint8` RGB into `(3, *size) float32`, and that size: (height, width) in px.

    Raises:
        CannotStart: the processor is not one that this pipeline writes, and transformers cannot load it either.
    """
    processor = read_json(folder / PROCESSOR)
    if not _is_ours(processor):
        return _foreign(folder, name)
    size = processor["size"]["height"], processor["size"]["width"]
    mean, std = (np.array(processor[key]) for key in ("image_mean", "image_std"))
    values = ((np.arange(256)[:, None] * processor["rescale_factor"] - mean) / std).astype(np.float32).T

    def prepare(picture: Picture) -> Pixels:
        channels = resize(picture, size).transpose(2, 0, 1)
        return np.stack([value[channel] for value, channel in zip(values, channels, strict=True)])

    return prepare, size


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """`(H, W, 3) uint8` at another (height, width): the image processor's antialiased bicubic, to the bit.

    torchvision resizes uint8 by columns, then by rows, with weights of 16 bits, and rounds to uint8 in between
    (aten/src/ATen/native/cpu/UpSampleKernel.cpp). No matrix product is asked for: the threads of NumPy's would wait for
    each other where pictures are resized side by side.
    """
    height, width = size
    if picture.shape[1] != width:
        picture = _resize_rows(np.ascontiguousarray(picture.swapaxes(0, 1)), width).swapaxes(0, 1)
    return picture if picture.shape[0] == height else _resize_rows(np.ascontiguousarray(picture), height)


def read_json(file: Path) -> dict[str, Any]:
    """The object that a file of a model's folder holds; raises CannotStart where it holds none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotStart(f"{file.parent.name}/{file.name}: {error.strerror}: this is no folder of a model") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CannotStart(f"{file.parent.name}/{file.name} is damaged: it holds no JSON object")
    return content


def _resize_rows(rows: Picture, size: int) -> Picture:
    """`(N, M, 3)` to `(size, M, 3)`."""
    indices, weights, bits = _weights(len(rows), size)
    mixed = np.full((size, *rows.shape[1:]), 1 << (bits - 1), np.int32)  # a half, as the shift below rounds down
    for index, weight in zip(indices, weights, strict=True):
        mixed += weight[:, None, None] * rows[index]
    mixed >>= bits
    return np.clip(mixed, 0, 255, out=mixed).astype(np.uint8)


@lru_cache(16)
def _weights(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """Of which rows `(taps, size)` each new row is the sum, with which weights `(taps, size)`, in units of 2 ** -bits.

    The weights are those of Keys' cubic convolution (1981, a = -0.5).
    """
    step = length / size
    reach = 2 * max(step, 1)
    centres = (np.arange(size) + 0.5) * step
    first = np.maximum(0, (centres - reach).astype(int))
    indices = first + np.arange(math.ceil(2 * reach) + 1)[:, None]
    x = np.abs(indices + 0.5 - centres) / max(step, 1)
    cubic = np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((2.5 - 0.5 * x) * x - 4) * x + 2, 0))
    cubic[indices >= length] = 0
    cubic /= cubic.sum(0)
    bits = min(22, math.floor(math.log2(32767.5 / cubic.max())))
    return np.minimum(indices, length - 1), np.round(cubic * 2**bits).astype(np.int32), bits


def _is_ours(processor: dict[str, Any]) -> bool:
    """Whether it resizes, rescales and normalizes, in the one way that is done here."""
    side = processor.get("size")
    return (
        all(processor.get(step) for step in ("do_resize", "do_rescale", "do_normalize"))
        and processor.get("resample") == BICUBIC
        and not processor.get("do_center_crop")
        and isinstance(side, dict)
        and set(side) == {"height", "width"}
        and {"rescale_factor", "image_mean", "image_std"} <= set(processor)
    )


def _foreign(folder: Path, name: str) -> tuple[Prepare, tuple[int, int]]:
    try:
        from transformers import AutoImageProcessor

        processor = AutoImageProcessor.from_pretrained(folder)
        shape = processor([np.zeros((64, 64, 3), np.uint8)], return_tensors="np")["pixel_values"].shape
    except Exception as error:
        raise CannotStart(f"{name}: {PROCESSOR} is not ours, and transformers: {first_line(error)}") from None

    def prepare(picture: Picture) -> Pixels:
        pixels: Pixels = processor([picture], return_tensors="np")["pixel_values"][0]
        return pixels

    return prepare, (shape[2], shape[3])
