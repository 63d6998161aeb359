"""Where a model looks: for each class the mean of two maps over faces that have it as their label.

- `gradient`: how much a small change of each pixel changes the logit of the class (Simonyan et al. 2013, by captum).
- `occlusion`: how much the logit falls when a square is hidden (Zeiler and Fergus 2014, by captum). A square has a
  quarter of the side, moves by an eighth, and is filled with 0, the mean pixel of most models.

A map that does not depend on what the model has learned explains nothing. So the gradient map is made a second time
with the numbers of every weight shuffled (Adebayo et al. 2018), and the rank correlation of the two is reported: near 1
means that the map shows edges of the picture, not the model.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from pipeline.errors import InputError
from pipeline.evaluation.figures import DPI, save
from pipeline.evaluation.per_row import Floats

INSTALL = "--maps needs another package: pip install captum"
FIGURE = "maps.png"
WINDOW, STRIDE = 4, 8  # shares of the side
AT_ONCE = 16  # hidden squares that go through the model together


@dataclass(frozen=True)
class Network:
    """A torch model with its own preprocessing.

    Attributes:
        module: gives `.logits` (B, C) for `pixel_values`.
        pixels: from B upright RGB pictures to its `pixel_values` (B, 3, H, W).
    """

    module: torch.nn.Module
    pixels: Callable[[Sequence[Image.Image]], torch.Tensor]

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, C), with gradients."""
        found: torch.Tensor = self.module(pixel_values=pixels).logits
        return found

    def shuffled(self) -> "Network":
        """The same model with the numbers of each of its weights in a random order."""
        module, random = copy.deepcopy(self.module), torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in module.parameters():
                order = torch.randperm(weight.numel(), generator=random).to(weight.device)
                weight.copy_(weight.flatten()[order].view_as(weight))
        return Network(module, self.pixels)


def require_captum() -> None:
    """Refuse before anything is read where captum is not installed.

    Raises:
        InputError: it is not.
    """
    try:
        import captum.attr  # noqa: F401 (whether it is there)
    except ImportError:
        raise InputError(INSTALL) from None


def gradient_map(network: Network, picture: Image.Image, output: int) -> Floats:
    """Magnitude of the gradient of a logit, summed over channels: (H, W), its sum is 1."""
    from captum.attr import Saliency

    pixels = network.pixels([picture]).requires_grad_()
    return _shares(Saliency(network.logits).attribute(pixels, target=output).detach().sum(1)[0])


def occlusion_map(network: Network, picture: Image.Image, output: int) -> Floats:
    """How much a logit falls where a square is hidden, nothing where it rises: (H, W), its sum is 1."""
    from captum.attr import Occlusion

    pixels = network.pixels([picture])
    side = pixels.shape[-1]
    window, stride = max(1, side // WINDOW), max(1, side // STRIDE)
    with torch.no_grad():
        falls = Occlusion(network.logits).attribute(
            pixels,
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            target=output,
            perturbations_per_eval=AT_ONCE,
        )
    return _shares(falls.mean(1)[0].clamp(min=0))


def _shares(found: torch.Tensor) -> Floats:
    values: Floats = found.cpu().double().numpy()
    return values / max(float(values.sum()), 1e-12)


def write_maps(
    network: Network, faces: dict[str, list[Image.Image]], outputs: dict[str, int], folder: Path
) -> dict[str, Any]:
    """Draw the mean maps of each class into `folder`, and return what evaluation.json says of them.

    Args:
        network: the model.
        faces: class -> its pictures; a class without pictures is left out.
        outputs: class -> the output of the model that it is.
        folder: where the figure goes.
    """
    other = network.shuffled()
    kinds: dict[str, Callable[[Image.Image, int], Floats]] = {
        "gradient": lambda picture, output: gradient_map(network, picture, output),
        "occlusion": lambda picture, output: occlusion_map(network, picture, output),
        "shuffled": lambda picture, output: gradient_map(other, picture, output),
    }
    shown = {name: pictures for name, pictures in faces.items() if pictures and name in outputs}
    maps: dict[str, dict[str, Floats]] = {}
    with tqdm(total=sum(map(len, shown.values())), desc="maps", unit=" faces", disable=None) as bar:
        for name, pictures in shown.items():
            sums: dict[str, Any] = dict.fromkeys(kinds, 0.0)
            for picture in pictures:
                sums = {kind: sums[kind] + of(picture, outputs[name]) for kind, of in kinds.items()}
                bar.update()
            maps[name] = {kind: total / len(pictures) for kind, total in sums.items()}
    save(_figure(maps, {name: len(pictures) for name, pictures in shown.items()}), folder / FIGURE)
    return {
        name: {"faces": len(shown[name]), "shuffled_correlation": _correlation(of["gradient"], of["shuffled"])}
        for name, of in maps.items()
    }


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _figure(maps: dict[str, dict[str, Floats]], faces: dict[str, int]) -> Figure:
    """Classes across, the two maps down; the darker, the more the class depends on the place."""
    figure = Figure(figsize=(1.5 * len(maps) + 0.6, 3.8), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, len(maps), squeeze=False)
    for column, (name, of) in enumerate(maps.items()):
        for row, kind in enumerate(("gradient", "occlusion")):
            place = axes[row, column]
            place.imshow(of[kind], cmap="Blues")
            place.set(xticks=[], yticks=[])
            if not row:
                place.set_title(f"{name}\n{faces[name]} faces", fontsize=10)
            if not column:
                place.set_ylabel(kind)
    return figure
