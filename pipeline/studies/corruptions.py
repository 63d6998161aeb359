"""Ten things that happen to a face between a data set and the world, each in five strengths.

After Hendrycks and Dietterich 2019 (arXiv:1903.12261), for faces framed like those of FER2013. Lengths are shares of
the side, so that a strength means the same at every size; only `low_resolution` is in px of the face.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as V

Pictures = torch.Tensor  # (B, 3, S, S) uint8
Change = Callable[[Pictures, float, torch.Generator], Pictures]

GRAY = 128
EYES, MOUTH = (0.27, 0.52), (0.64, 0.92)
"""Rows of a face that is framed like those of FER2013, as shares of its height."""


@dataclass(frozen=True)
class Corruption:
    """A change of pictures, its five strengths from weak to strong, and what they mean."""

    change: Change
    strengths: tuple[float, float, float, float, float]
    meaning: str


def blur(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """Gaussian blur."""
    sigma = strength * pixels.shape[-1]
    return V.gaussian_blur(pixels, kernel_size=[2 * math.ceil(3 * sigma) + 1] * 2, sigma=[sigma] * 2)


def noise(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """Gaussian noise, another value in each channel of each pixel."""
    drawn = torch.randn(pixels.shape, generator=random)
    return _to_bytes(pixels.float() + 255 * strength * drawn)


def jpeg(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """Encoded as JPEG and decoded again."""
    decoded = []
    for one in pixels:
        file = io.BytesIO()
        V.to_pil_image(one).save(file, "JPEG", quality=int(strength))
        decoded.append(V.pil_to_tensor(Image.open(file, formats=["JPEG"])))
    return torch.stack(decoded)


def dark(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """A share of the light, rounded to whole values as a camera would."""
    return _to_bytes(pixels.float() * strength)


def contrast(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """A share of the contrast, around the mean of each picture."""
    mean = pixels.float().mean(dim=(1, 2, 3), keepdim=True)
    return _to_bytes(mean + strength * (pixels.float() - mean))


def low_resolution(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """Resized to a side of few px, and back."""
    small = _bicubic(pixels, min(int(strength), pixels.shape[-1]))
    return _bicubic(small, pixels.shape[-1])


def eyes_covered(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """A gray bar over the eyes, from the middle outwards."""
    return _covered(pixels, EYES, strength)


def mouth_covered(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """A gray bar over the mouth, from the middle outwards."""
    return _covered(pixels, MOUTH, strength)


def rotation(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """Turned to the left or to the right; the border is mirrored."""
    angle = _signs(len(pixels), random) * math.radians(strength)
    zero = torch.zeros_like(angle)
    rows = (angle.cos(), -angle.sin(), zero), (angle.sin(), angle.cos(), zero)
    return _moved(pixels, torch.stack([torch.stack(row, 1) for row in rows], 1))


def framing(pixels: Pictures, strength: float, random: torch.Generator) -> Pictures:
    """The face is found elsewhere and larger or smaller: shifted in both directions and scaled, by one share."""
    one = torch.ones(len(pixels))
    scale = 1 + strength * _signs(len(pixels), random)
    right, down = (2 * strength * _signs(len(pixels), random) for _ in range(2))
    rows = (scale, 0 * one, right), (0 * one, scale, down)
    return _moved(pixels, torch.stack([torch.stack(row, 1) for row in rows], 1))


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "blur": Corruption(blur, (0.01, 0.02, 0.03, 0.045, 0.06), "standard deviation, share of the side"),
        "noise": Corruption(noise, (0.04, 0.08, 0.12, 0.18, 0.26), "standard deviation, share of white"),
        "jpeg": Corruption(jpeg, (50, 25, 15, 8, 4), "quality"),
        "dark": Corruption(dark, (0.6, 0.4, 0.25, 0.15, 0.08), "share of the light"),
        "contrast": Corruption(contrast, (0.6, 0.4, 0.25, 0.15, 0.08), "share of the contrast"),
        "low_resolution": Corruption(low_resolution, (32, 24, 18, 12, 8), "side of the face, px"),
        "eyes_covered": Corruption(eyes_covered, (0.2, 0.4, 0.6, 0.8, 1), "share of the width"),
        "mouth_covered": Corruption(mouth_covered, (0.2, 0.4, 0.6, 0.8, 1), "share of the width"),
        "rotation": Corruption(rotation, (5, 10, 15, 22.5, 30), "degrees"),
        "framing": Corruption(framing, (0.03, 0.06, 0.09, 0.12, 0.16), "shift and change of scale, share of the side"),
    }
)
"""The corruptions by name."""


def corrupt(pixels: Pictures, name: str, strength: float, seed: int) -> Pictures:
    """Change pictures `(B, 3, S, S) uint8`; the same seed gives the same random values."""
    return CORRUPTIONS[name].change(pixels, strength, torch.Generator().manual_seed(seed))


def _to_bytes(values: torch.Tensor) -> Pictures:
    return values.round().clamp(0, 255).to(torch.uint8)


def _bicubic(pixels: Pictures, side: int) -> Pictures:
    return V.resize(pixels, [side, side], interpolation=InterpolationMode.BICUBIC, antialias=True)


def _covered(pixels: Pictures, rows: tuple[float, float], width: float) -> Pictures:
    side = pixels.shape[-1]
    top, bottom = (round(share * side) for share in rows)
    left = round((1 - width) / 2 * side)
    covered = pixels.clone()
    covered[..., top:bottom, left : side - left] = GRAY
    return covered


def _signs(count: int, random: torch.Generator) -> torch.Tensor:
    return 2.0 * torch.randint(2, (count,), generator=random) - 1


def _moved(pixels: Pictures, theta: torch.Tensor) -> Pictures:
    """One affine map (B, 2, 3) for each picture, bicubic."""
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    images = F.grid_sample(pixels.float(), grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return _to_bytes(images)
