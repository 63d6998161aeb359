"""What corruptions do, as curves and as a sheet of pictures."""

from typing import Any

import datasets
import numpy as np
import torch
from matplotlib.figure import Figure

from pipeline.evaluation.figures import BLUE, DPI, GREY
from pipeline.studies.corruptions import CORRUPTIONS, corrupt
from pipeline.training.transforms import from_bytes


def curves(shift: dict[str, Any]) -> Figure:
    """Accuracy over strength, a panel a corruption, with the interval of the difference to the unchanged pictures."""
    columns = 5
    rows = -(-len(shift["corruptions"]) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.5 * rows), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, shares) in zip(panels, shift["corruptions"].items(), strict=False):
        strength = np.arange(len(shares) + 1)
        value = [shift["unchanged"], *(share["accuracy"] for share in shares)]
        low, high = (
            [shift["unchanged"], *(shift["unchanged"] + share[end] for share in shares)] for end in ("low", "high")
        )
        axes.axhline(shift["unchanged"], color=GREY, linewidth=1, linestyle="--")
        axes.fill_between(strength, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(strength, value, color=BLUE, marker="o", markersize=3)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_ylim(0, 1)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.supxlabel("strength (0: unchanged)", fontsize=10)
    figure.supylabel("accuracy", fontsize=10)
    return figure


def sheet(table: datasets.Dataset, seed: int) -> Figure:
    """The first picture of `table` (column `pixels`) under every corruption (down) and strength (across)."""
    pixels = torch.from_numpy(from_bytes(table[0]["pixels"]).copy())[None]
    figure = Figure(figsize=(7.5, 1.15 * len(CORRUPTIONS)), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(CORRUPTIONS), 6)
    for line, (name, corruption) in zip(panels, CORRUPTIONS.items(), strict=True):
        changed = [pixels, *(corrupt(pixels, name, strength, seed) for strength in corruption.strengths)]
        for axes, picture in zip(line, changed, strict=True):
            axes.imshow(picture[0].permute(1, 2, 0).numpy())
            axes.set(xticks=(), yticks=())
        line[0].set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontsize=8)
    return figure
