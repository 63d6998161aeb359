"""How a checkpoint wants the values of its pixels: measured on the image processor that it comes with.

Fields of a processor say it in many ways (`do_normalize`, `rescale_factor`, `rescale_offset`, `include_top`,
`do_flip_channel_order`). So pictures of one colour go through the processor itself, and what comes out says which
channel goes where, with which scale. This becomes one mean and standard deviation per channel of an RGB picture.
Another order of the channels becomes another order of the first convolution's weights, which gives the same logits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, PreTrainedModel, TimmWrapperImageProcessor

from pipeline.errors import InputError, first_line
from pipeline.model_folder import CONFIG, PROCESSOR, plain_folder, read_object
from pipeline.training.checkpoint_files import PROCESSORS
from pipeline.training.geometry import largest_side, other_geometry
from pipeline.training.library_words import quiet

COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 150, 200]], np.uint8)
SIDE = 64  # px of a picture of one colour
LARGEST_SIDE = 4096  # px that a processor may make of it; more is a slip that fills the memory


@dataclass(frozen=True)
class InputValues:
    """What the model wants of an RGB picture in [0, 1].

    Attributes:
        mean: of each colour.
        std: of each colour.
        order: the colour that each channel of the model has.
        geometry: what its processor does otherwise than `transforms.resize`; empty if nothing.
    """

    mean: list[float]
    std: list[float]
    order: tuple[int, int, int] = (0, 1, 2)
    geometry: str = ""


def input_values(folder: Path) -> InputValues:
    """The values that the checkpoint in `folder` was trained with.

    Raises:
        InputError: it says nothing about them, its processor cannot be loaded, or does more than scale the values.
    """
    processor = image_processor(folder)
    if (side := largest_side(processor)) > LARGEST_SIDE:
        raise InputError(
            f"its image processor makes pictures of {side:,} px, and at most {LARGEST_SIDE:,} are tried: mend "
            f"{folder / PROCESSOR}"
        )
    seen = _measure(processor)
    if not np.isfinite(seen).all():
        raise InputError(
            f"its image processor ({type(processor).__name__}) gives numbers that are not finite: mend image_mean, "
            f"image_std or rescale_factor in {folder / PROCESSOR}"
        )
    offset, scale = seen[0], (seen[1:4] - seen[0]) / 255  # scale[colour, channel]
    order = np.abs(scale).argmax(0)
    slope = scale[order, range(3)]
    predicted = offset + COLOURS[4, order] * slope
    if sorted(order) != [0, 1, 2] or (slope <= 0).any() or not np.allclose(predicted, seen[4], atol=1e-3):
        raise InputError(
            f"its image processor ({type(processor).__name__}) does more to the values of pixels than scale them and "
            f"reorder the channels, which this pipeline cannot do: change {folder / PROCESSOR}"
        )
    back = np.argsort(order)
    std = (1 / (255 * slope))[back]
    mean = -offset[back] * std
    mean, std = _as_declared(mean, processor, "mean", back), _as_declared(std, processor, "std", back)
    red, green, blue = order.tolist()
    values = (mean.tolist(), std.tolist(), (red, green, blue))
    try:
        return InputValues(*values, other_geometry(processor, *values))
    except Exception as error:
        raise InputError(f"its image processor does not take every RGB picture: {first_line(error)}") from None


def _check_timm(mean: Any, std: Any) -> None:
    """Refuse values of timm's older files that are not three numbers each, the std above 0."""
    try:
        middle, spread = np.array(mean, float), np.array(std, float)
    except (TypeError, ValueError):
        middle, spread = np.empty(0), np.empty(0)
    if middle.shape != (3,) or spread.shape != (3,) or not np.isfinite([middle, spread]).all() or (spread <= 0).any():
        raise InputError(f"{CONFIG}: mean {mean} and std {std} are not three numbers each, std above 0: mend them")


def reorder_channels(model: PreTrainedModel, values: InputValues) -> None:
    """Give the first convolution of a model that takes other than RGB pictures the order of RGB.

    Raises:
        InputError: the model has no such convolution.
    """
    if values.order == (0, 1, 2):
        return
    first = first_convolution(model)
    if first is None:
        raise InputError("it takes the channels in another order than RGB, and has no convolution to reorder")
    with torch.no_grad():
        first.weight.copy_(first.weight[:, np.argsort(values.order).tolist()])


def first_convolution(model: nn.Module) -> nn.Conv2d | None:
    """The convolution that a model applies to the picture, where it has one."""
    return next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)


def image_processor(folder: Path) -> Any:
    """The image processor that a checkpoint comes with; for timm's older files one with the values that they name.

    Raises:
        InputError: it names no mean and std of its pictures, or cannot be loaded.
    """
    config = read_object(folder, CONFIG)
    try:
        if not any((folder / name).is_file() for name in PROCESSORS) and not config.get("pretrained_cfg"):
            if not config.get("mean") or not config.get("std"):
                raise InputError(f"{folder} names no mean and std of its pictures: add {PROCESSOR}")
            _check_timm(config["mean"], config["std"])
            return TimmWrapperImageProcessor(pretrained_cfg=config)  # timm's older files have them in the open
        with quiet(), plain_folder(folder, weights=False) as place:  # quiet: a word on timm's processor and PIL
            return AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # any kind, for a damaged file or an unknown processor
        if "Unrecognized image processor" in str(error):  # in a folder of ours, and then all that there are
            raise InputError(f"{folder / PROCESSOR} names no image processor that transformers has: mend it") from None
        raise InputError(f"its image processor cannot be loaded: {first_line(error)}") from None


def _measure(processor: Any) -> NDArray[np.float64]:
    """What the processor makes of the middle of a picture of each colour: (5, 3)."""
    plain = [Image.new("RGB", (SIDE, SIDE), tuple(colour.tolist())) for colour in COLOURS]
    try:
        seen = [processor([picture], return_tensors="pt")["pixel_values"][0] for picture in plain]
    except Exception as error:
        raise InputError(f"its image processor does not take an RGB picture: {first_line(error)}") from None
    if seen[0].ndim != 3 or len(seen[0]) != 3:
        raise InputError(
            f"its image processor gives {tuple(seen[0].shape)} for an RGB picture, not (3, height, width): this is not "
            "an image classifier of colour pictures"
        )
    return np.array([pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2].double().numpy() for pixels in seen])


def _as_declared(
    measured: NDArray[np.float64], processor: Any, name: str, back: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The numbers as the processor's file has them where they are what was measured; otherwise to float32's digits."""
    said = getattr(processor, "data_config", {}).get(name) or getattr(processor, f"image_{name}", None)
    if isinstance(said, (list, tuple)) and len(said) == 3:
        declared = np.array(said, float)[back]
        if np.allclose(declared, measured, atol=2e-6):
            return declared
    return np.array([float(f"{value:.7g}") if abs(value) > 1e-7 else 0.0 for value in measured])
