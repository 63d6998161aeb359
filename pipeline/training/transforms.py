"""Pictures to tensors: the deterministic transform that `datasets.map` caches, and the random ones of a train batch.

The deterministic transform gives exactly the uint8 pixels that the saved image processor has before it rescales and
normalises. So training (without augmentation), evaluation and `pipeline()` see the same picture.
"""

import hashlib
import math
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as V

from pipeline import pictures
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

UNIFORMS = 16  # random numbers that `augment` uses for one picture


def resize(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """`(..., 3, H, W) uint8` to `(..., 3, size, size) uint8`: bicubic, antialiased, as the image processor does it."""
    return V.resize(pixels, [size, size], interpolation=InterpolationMode.BICUBIC, antialias=True)


def to_pixels(image: Image.Image, size: int) -> torch.Tensor:
    """A picture, turned upright by its EXIF tag, as `(3, size, size) uint8` RGB."""
    return resize(V.pil_to_tensor(pictures.upright(image)), size)


def map_pictures(table: datasets.Dataset, size: int, description: str) -> datasets.Dataset:
    """`table` with its `image` column replaced by `pixels`, the bytes that `from_bytes` reads.

    Arrow stores a nested array as a list of lists, which is slow to read rows from, so pixels are bytes. The cache on
    disk depends on the table's content, the size, the source of this file and of the decoder, and the versions of the
    libraries that decode and resize. `datasets` hashes a function by reference: without the source, an edit here would
    return old pictures.

    Raises:
        InputError: a picture cannot be decoded any more.
    """
    code = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in (__file__, pictures.__file__)]
    versions = [m.__version__ for m in (torch, torchvision, PIL, datasets)]
    features = datasets.Features(
        {name: feature for name, feature in table.features.items() if name != "image"}
        | {"pixels": datasets.Value("binary")}
    )

    def decode(batch: dict[str, list[Any]]) -> dict[str, list[bytes]]:
        return {"pixels": [to_pixels(_decoded(cell), size).numpy().tobytes() for cell in batch["image"]]}

    return table.cast_column("image", datasets.Image(decode=False)).map(
        decode,
        batched=True,
        batch_size=64,
        writer_batch_size=128,
        remove_columns=["image"],
        features=features,
        desc=description,
        new_fingerprint=datasets.fingerprint.Hasher.hash([table._fingerprint, size, code, versions]),
    )


def _decoded(cell: dict[str, Any]) -> Image.Image:
    try:
        return pictures.decode_cell(cell)
    except pictures.UnusablePicture as error:  # curation has decoded it before
        where = cell["path"] or "a picture of the table"
        raise InputError(f"{where} changed while the run read the data ({error}): run the same command again") from None


def from_bytes(pixels: bytes) -> np.ndarray:
    """A picture of `map_pictures` as `(3, size, size) uint8`."""
    size = math.isqrt(len(pixels) // 3)
    return np.frombuffer(pixels, dtype=np.uint8).reshape(3, size, size)


def normalize(pixels: torch.Tensor, mean: list[float], std: list[float]) -> torch.Tensor:
    """`(B, 3, H, W)` float in [0, 1] to model input with the processor's mean and standard deviation."""
    middle, spread = (torch.tensor(each, device=pixels.device).view(1, -1, 1, 1) for each in (mean, std))
    return (pixels - middle) / spread


def augment(pixels: torch.Tensor, uniforms: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Flip, rotation, random resized crop, coarseness, light and erasing, each picture by its own random numbers.

    Args:
        pixels: `(B, 3, S, S) uint8`.
        uniforms: `(B, UNIFORMS)` in [0, 1).
        recipe: its augmentation settings and `image_size`.

    Returns:
        `(B, 3, image_size, image_size) float32` in [0, 1]; erased boxes are 0.5.
    """
    geometry, light, box, small, soft = uniforms.split([6, 3, 5, 1, 1], dim=1)
    images = _reduce(_resample(pixels, geometry, recipe), small[:, 0], recipe.low_resolution)
    images = _jitter(_blur(images, soft[:, 0], recipe.blur), light, recipe)
    return _erase(images, box, recipe) if recipe.erasing else images


def _resample(pixels: torch.Tensor, u: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """One affine map for crop, flip, rotation and resizing: a single interpolation, not four.

    Random resized crop follows Szegedy et al. 2015 (arXiv:1409.4842), and goes beyond the picture where asked to.
    """
    size = recipe.image_size
    changes = (recipe.flip, recipe.rotation, 1 - recipe.crop_area, 1 - recipe.crop_ratio, recipe.zoom_out, recipe.shift)
    if not any(changes):
        return resize(pixels, size).float() / 255
    flip = torch.where(u[:, 0] < recipe.flip, -1.0, 1.0)
    angle = (2 * u[:, 1] - 1) * math.radians(recipe.rotation)
    area = recipe.crop_area + (1 + recipe.zoom_out - recipe.crop_area) * u[:, 2]
    ratio = torch.exp((2 * u[:, 3] - 1) * math.log(recipe.crop_ratio))
    largest = math.sqrt(1 + recipe.zoom_out)
    width, height = (area * ratio).sqrt().clamp(max=largest), (area / ratio).sqrt().clamp(max=largest)
    right, down = (
        (2 * u[:, 4 + i] - 1) * ((1 - side).abs() + 2 * recipe.shift) for i, side in enumerate((width, height))
    )
    theta = torch.stack(
        [
            torch.stack([width * flip * angle.cos(), -height * angle.sin(), right], dim=1),
            torch.stack([width * flip * angle.sin(), height * angle.cos(), down], dim=1),
        ],
        dim=1,
    )
    gray = bool((pixels[:, :1] == pixels[:, 1:]).all())  # three equal channels need one interpolation
    images = (pixels[:, :1] if gray else pixels).float() / 255
    grid = F.affine_grid(theta, [len(pixels), images.shape[1], size, size], align_corners=False)
    images = F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return images.clamp(0, 1).expand(-1, 3, -1, -1)


def _reduce(images: torch.Tensor, u: torch.Tensor, least: float) -> torch.Tensor:
    """Resize to between `least` and all of the side, and back: a face that is small in its photo."""
    if least == 1:
        return images
    size, reduced = images.shape[-1], torch.empty_like(images)
    sides = ((least + (1 - least) * u) * size).round().clamp(min=1).int()
    for side in sides.unique().tolist():
        reduced[sides == side] = _bicubic(_bicubic(images[sides == side], side), size)
    return reduced


def _bicubic(images: torch.Tensor, side: int) -> torch.Tensor:
    return V.resize(images, [side, side], interpolation=InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)


def _blur(images: torch.Tensor, u: torch.Tensor, largest: float) -> torch.Tensor:
    """Gaussian blur with a standard deviation up to `largest` of the side: a camera that is out of focus."""
    if not largest:
        return images
    size = images.shape[-1]
    reach = math.ceil(3 * largest * size)
    place = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-0.5 * (place / (u * largest * size).clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, dim=0)[:, None]
    rows = F.pad(images.flatten(0, 1)[None], (reach,) * 4, mode="replicate")  # (1, B * 3, ...): a kernel for each
    rows = F.conv2d(rows, kernel[:, :, None], groups=len(kernel))
    return F.conv2d(rows, kernel[..., None], groups=len(kernel)).view_as(images)


def _jitter(images: torch.Tensor, u: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    def factor(column: int, strength: float) -> torch.Tensor:
        return (1 + (2 * u[:, column] - 1) * strength).view(-1, 1, 1, 1)

    if recipe.brightness:
        images = images * factor(0, recipe.brightness)
    if recipe.contrast:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = mean + (images - mean) * factor(1, recipe.contrast)
    if recipe.saturation:
        gray = V.rgb_to_grayscale(images, num_output_channels=3)
        images = gray + (images - gray) * factor(2, recipe.saturation)
    return images.clamp(0, 1)


def _erase(images: torch.Tensor, u: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896) with a mid-grey box of 2 to 25 % of the area."""
    side = images.shape[-1]
    area, ratio = 0.02 + 0.23 * u[:, 1], torch.exp((2 * u[:, 2] - 1) * math.log(3.0))
    height, width = (area * ratio).sqrt().clamp(max=1) * side, (area / ratio).sqrt().clamp(max=1) * side
    top, left = (u[:, 3] * (side - height)).floor(), (u[:, 4] * (side - width)).floor()
    position = torch.arange(side, device=images.device)
    rows = (position >= top[:, None]) & (position < (top + height)[:, None])
    columns = (position >= left[:, None]) & (position < (left + width)[:, None])
    erased = (u[:, 0] < recipe.erasing)[:, None, None] & rows[:, :, None] & columns[:, None, :]
    return torch.where(erased[:, None], 0.5, images)
