"""How a checkpoint wants a picture resized and cut. It is measured on its image processor, like the values of pixels.

Every picture of a run becomes a square of `image_size`: the whole picture, by bicubic interpolation. The map,
evaluation, the saved processor and all clients do it alike, to the pixel. A processor may do otherwise: cut a margin
off (`crop_pct`, `do_center_crop`, `shortest_edge`), interpolate in another way (`resample`), pad, or keep the size.
Then the checkpoint is refused, unless the recipe says `geometry: whole_picture`. A cut margin is made for photos of
objects; a face crop has its face up to the border.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as V
from transformers.image_utils import SizeDict

from pipeline.training.transforms import normalize, resize

ROUNDING = 3 / 255  # Pillow rounds to 8 bits after each of its two passes, torchvision likewise
FIELDS = (
    "do_resize",
    "size",
    "size_divisor",
    "input_size",
    "resample",
    "interpolation",
    "do_center_crop",
    "crop_size",
    "crop_pct",
    "crop_mode",
    "do_pad",
    "pad_size",
)
"""What transformers' and timm's processors call their geometry."""
SIZES = ("size", "crop_size", "pad_size")


def other_geometry(processor: Any, mean: list[float], std: list[float], order: tuple[int, ...]) -> str:
    """In which words a processor makes another picture than `transforms.resize` does; empty if it does not.

    A small and a large picture are tried, because some processors only differ where they enlarge or shrink.

    Args:
        processor: of transformers, for RGB pictures.
        mean: of each colour of a picture in [0, 1].
        std: likewise.
        order: the colour that each channel of its output has.
    """
    side = 64
    for times in (0.5, 2.5):
        shape = (3, int(times * side) + 3, int(times * side * 0.7))
        picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        theirs = processor([V.to_pil_image(picture)], return_tensors="pt")["pixel_values"][0].double()
        side = theirs.shape[1]
        if theirs.shape[2] != side:
            return declared(processor)
        ours = normalize(resize(picture, side)[None].double() / 255, mean, std)[0, list(order)]
        if (ours - theirs).abs().max() >= ROUNDING / min(std):
            return declared(processor)
    return ""


def largest_side(processor: Any) -> int:
    """The largest number of px in the fields of a processor; 0 if it has none."""
    said = [getattr(processor, name, None) for name in SIZES]
    said.append(getattr(processor, "data_config", {}).get("input_size"))
    numbers: list[Any] = []
    for value in said:
        sides = list(dict(value).values()) if isinstance(value, SizeDict | dict) else value
        numbers += sides if isinstance(sides, list | tuple) else [sides]
    return max((number for number in numbers if isinstance(number, int)), default=0)


def declared(processor: Any) -> str:
    """The geometry as the processor's file has it, such as `ViTImageProcessor: size shortest_edge 256`."""
    said: dict[str, Any] = {name: getattr(processor, name, None) for name in FIELDS}
    said |= getattr(processor, "data_config", {})
    fields = ", ".join(f"{name} {_plain(name, said[name])}" for name in FIELDS if said.get(name) is not None)
    return f"{type(processor).__name__}: {fields}"


def _plain(name: str, value: Any) -> str:
    """A size as `shortest_edge 256`, an interpolation by its name, everything else as it is."""
    if isinstance(value, SizeDict | dict):
        return " ".join(f"{side} {number}" for side, number in dict(value).items() if number is not None)
    return Image.Resampling(int(value)).name.lower() if name == "resample" else str(value)
