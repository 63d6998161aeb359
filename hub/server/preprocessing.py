"""What the saved image processor does, in NumPy: a server with ONNX needs no torch and gives the same pixels."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, first_line
from pipeline.model_folder import PROCESSOR, plain_folder, read_object

Picture = NDArray[np.uint8]
Pixels = NDArray[np.float32]
Prepare = Callable[[Picture], Pixels]

BICUBIC = 3  # Pillow's number
MAX_SIDE = 2048  # px of the model's input
LARGEST = 1e4  # of a normalized pixel; values in use are below 300


def load_preprocessing(folder: Path, name: str) -> tuple[Prepare, tuple[int, int]]:
    """A function from a picture `(H, W, 3) uint8` RGB to `(3, *size) float32`, and that size: (height, width) in px.

    Raises:
        InputError: its numbers make no sense; or this pipeline does not write such a processor, and transformers
            cannot load it either.
    """
    processor = read_object(folder, PROCESSOR)
    if not _is_ours(processor):
        return _foreign(folder, name)
    size, values = _size(processor, name), _values(processor, name)

    def prepare(picture: Picture) -> Pixels:
        channels = resize(picture, size).transpose(2, 0, 1)
        return np.stack([value[channel] for value, channel in zip(values, channels, strict=True)])

    return prepare, size


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """`(H, W, 3) uint8` at another (height, width): bit for bit the image processor's antialiased bicubic.

    torchvision resizes uint8 by columns, then by rows, with weights of 16 bits, and rounds to uint8 in between
    (aten/src/ATen/native/cpu/UpSampleKernel.cpp). A matrix product would be shorter, but the threads of NumPy's would
    wait for each other when several pictures are resized at the same time.
    """
    height, width = size
    if picture.shape[1] != width:
        picture = _resize_rows(np.ascontiguousarray(picture.swapaxes(0, 1)), width).swapaxes(0, 1)
    return picture if picture.shape[0] == height else _resize_rows(np.ascontiguousarray(picture), height)


def _resize_rows(rows: Picture, size: int) -> Picture:
    """`(N, M, 3)` to `(size, M, 3)`."""
    indices, weights, bits = _weights(len(rows), size)
    mixed = np.full((size, *rows.shape[1:]), 1 << (bits - 1), np.int32)  # a half, because the shift below rounds down
    for index, weight in zip(indices, weights, strict=True):
        mixed += weight[:, None, None] * rows[index]
    mixed >>= bits
    return np.clip(mixed, 0, 255, out=mixed).astype(np.uint8)


@lru_cache(16)
def _weights(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """Each new row as a weighted sum: indices of old rows `(taps, size)`, weights `(taps, size)` in units of 2**-bits.

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
    """Whether it resizes, rescales and normalizes in the way that is implemented here."""
    side = processor.get("size")
    return (
        all(processor.get(step) for step in ("do_resize", "do_rescale", "do_normalize"))
        and processor.get("resample") == BICUBIC
        and not processor.get("do_center_crop")
        and isinstance(side, dict)
        and set(side) == {"height", "width"}
        and {"rescale_factor", "image_mean", "image_std"} <= set(processor)
    )


def _size(processor: dict[str, Any], name: str) -> tuple[int, int]:
    """(height, width) in px."""
    sides = processor["size"]["height"], processor["size"]["width"]
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise InputError(f"{name}: {PROCESSOR} has size {sides}; both sides must be whole numbers up to {MAX_SIDE}")
    return sides


def _values(processor: dict[str, Any], name: str) -> Pixels:
    """What each of the 256 values of a channel becomes: `(3, 256)`, rising."""
    names = ("rescale_factor", "image_mean", "image_std")
    given = ", ".join(f"{key} {processor[key]}" for key in names)
    try:
        factor, mean, std = (np.array(processor[key], np.float64) for key in names)
        with np.errstate(all="ignore"):
            values = ((np.arange(256)[:, None] * factor - mean) / std).astype(np.float32).T
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0, np.float32)
    if values.shape != (3, 256) or not (np.abs(values) < LARGEST).all() or not (np.diff(values) > 0).all():
        raise InputError(f"{name}: {PROCESSOR} makes no usable pixels ({given:.200}): mend it, or train again")
    return values


def _foreign(folder: Path, name: str) -> tuple[Prepare, tuple[int, int]]:
    try:
        from transformers import AutoImageProcessor

        with plain_folder(folder, weights=False) as place:
            processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
        shape = processor([np.zeros((64, 64, 3), np.uint8)], return_tensors="np")["pixel_values"].shape
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:
        raise InputError(
            f"{name}: {PROCESSOR} is not of this project, and transformers cannot load it: {first_line(error)}"
        ) from None

    def prepare(picture: Picture) -> Pixels:
        pixels: Pixels = processor([picture], return_tensors="np")["pixel_values"][0]
        return pixels

    return prepare, (shape[2], shape[3])
