"""What the saved image processor does, in NumPy: a server with ONNX needs no torch and gives the same pixels."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, first_line
from pipeline.model_folder import PROCESSOR, PROCESSOR_5, plain_folder, read_object
from pipeline.own_file import why_not_own

Picture = NDArray[np.uint8]
Pixels = NDArray[np.float32]
Prepare = Callable[[Picture], Pixels]

BICUBIC = 3  # Pillow's number
MAX_SIDE = 2048  # px of the model's input
LARGEST = 1e4  # of a normalized pixel; values in use are below 300
KINDS = ("ViTImageProcessor", "ViTImageProcessorFast")
NUMBERS = frozenset({"size", "rescale_factor", "image_mean", "image_std"})
HONOURED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), (True,)),
    "resample": (BICUBIC,),
    "image_processor_type": KINDS,
    **dict.fromkeys(("do_center_crop", "do_pad"), (False, None)),
    "do_convert_rgb": (True, False, None),  # the picture is RGB already
    "data_format": ("channels_first", None),
    **dict.fromkeys(("crop_size", "pad_size", "input_data_format", "device", "return_tensors"), (None,)),
}
"""Field -> the values that this module honours. A processor with another field or value goes through transformers."""
SIDES = ("size", "crop_size", "pad_size")
ASPECTS = ((64, 64), (40, 90), (90, 40))  # (height, width) px of pictures that a processor of transformers is tried on


def load_preprocessing(folder: Path, name: str) -> tuple[Prepare, tuple[int, int]]:
    """A function from a picture `(H, W, 3) uint8` RGB to `(3, *size) float32`, and that size: (height, width) in px.

    Raises:
        InputError: its numbers make no sense; or this pipeline does not write such a processor, and transformers
            cannot load it either, or gives something else than pixels of one size.
    """
    processor = _settings(folder)
    if not is_honoured(processor):
        _refuse_large(processor, name)
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


def is_honoured(processor: dict[str, Any]) -> bool:
    """Whether this module does all that the settings of a processor say: it knows every field and every value.

    Another kind of processor may crop, flip channels or shift values, also without a field that says so.
    """
    side = processor.get("size")
    return (
        {*NUMBERS, "do_resize", "do_rescale", "do_normalize", "resample", "image_processor_type"} <= set(processor)
        and all(name in NUMBERS or _is_one_of(value, HONOURED.get(name, ())) for name, value in processor.items())
        and isinstance(side, dict)
        and set(side) == {"height", "width"}
    )


def _is_one_of(value: Any, honoured: tuple[Any, ...]) -> bool:
    """Whether `value` is among those of a field, and of their type: 1 is not true."""
    return any(type(value) is type(each) and value == each for each in honoured)


def _settings(folder: Path) -> dict[str, Any]:
    """Those of the image processor: transformers 5 reads them from processor_config.json first, if they are there."""
    if why_not_own(folder, PROCESSOR_5) != "is missing":
        inside = read_object(folder, PROCESSOR_5).get("image_processor")
        if isinstance(inside, dict):
            return inside
    return read_object(folder, PROCESSOR)


def _refuse_large(processor: dict[str, Any], name: str) -> None:
    """Refuse pictures that would fill the memory before anything is made of them."""
    for field in SIDES:
        value = processor.get(field)
        sides = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if large := [side for side in sides if isinstance(side, int | float) and not side <= MAX_SIDE]:
            raise InputError(f"{name}: {PROCESSOR} has {field} {large[0]}; at most {MAX_SIDE} px are made")


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
    """What the processor of transformers does, if it gives `(3, height, width)` of one size and nothing beside it."""
    try:
        from transformers import AutoImageProcessor

        with plain_folder(folder, weights=False) as place:
            processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:
        raise InputError(
            f"{name}: {PROCESSOR} is not of this project, and transformers cannot load it: {first_line(error):.200}"
        ) from None

    def prepare(picture: Picture) -> Pixels:
        pixels: Pixels = np.asarray(processor([picture], return_tensors="np")["pixel_values"][0], np.float32)
        return pixels

    return prepare, _foreign_size(processor, name)


def _foreign_size(processor: Any, name: str) -> tuple[int, int]:
    """(height, width) in px of what a processor of transformers makes of every picture.

    Raises:
        InputError: it fails, or gives other things than pixels, or another size for another picture.
    """
    kind, noise = type(processor).__name__, np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (*aspect, 3), dtype=np.uint8) for aspect in ASPECTS]
    try:
        made = [processor([each], return_tensors="np") for each in pictures]
        beside = sorted(set(made[0]) - {"pixel_values"})
        shapes = [np.shape(each["pixel_values"]) for each in made]
        again = processor([pictures[0]], return_tensors="np")["pixel_values"]
        same = np.array_equal(again, made[0]["pixel_values"])
    except Exception as error:
        raise InputError(f"{name}: its image processor ({kind}) does not take pictures: {first_line(error)}") from None
    if beside:
        raise InputError(f"{name}: its image processor ({kind}) also gives {beside[0]}, which this server cannot use")
    if len(shapes[0]) != 4 or shapes[0][:2] != (1, 3):
        raise InputError(f"{name}: its image processor ({kind}) gives {shapes[0]}, not (1, 3, height, width)")
    if len(set(shapes)) > 1:
        sizes = ", ".join(str(shape) for shape in sorted(set(shapes)))
        raise InputError(
            f"{name}: its image processor ({kind}) gives pixels of several sizes, {sizes}, and a batch needs "
            "one: give it a height and a width"
        )
    if not same:
        raise InputError(f"{name}: its image processor ({kind}) gives other pixels for the same picture")
    return shapes[0][2], shapes[0][3]
