"""What TensorBoard shows of a run beside its curves: the first batch, the surest mistakes, settings with final figures.

Event files are published with the run. So they hold pictures only where every source allows to publish its own.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.utils.tensorboard.summary import hparams
from torchvision.utils import make_grid

from pipeline.evaluation.figures import to_array
from pipeline.evaluation.tasks import EVALUATIONS
from pipeline.run_folder import ROW_SETS
from pipeline.settings.recipe import Recipe
from pipeline.training.collator import TrainCollator
from pipeline.training.log import EventFile
from pipeline.training.sampler import EpochSampler, PictureRows
from pipeline.training.transforms import from_bytes

SHOWN = 16  # pictures of a figure
COLUMNS = 4


def may_be_shown(curation: Mapping[str, Any]) -> bool:
    """Whether the terms of every source in `curation.json` allow to publish its pictures."""
    return all(source["may_publish_pixels"] for source in curation["sources"].values())


def log_first_batch(
    events: EventFile, rows: PictureRows, sampler: EpochSampler, collator: TrainCollator, size: int
) -> None:
    """Pictures of the first batch, of `size` rows, as the model gets them: augmented, mixed, resized."""
    draws = list(islice(iter(sampler), size))
    images = collator(rows.__getitems__(draws))["pixel_values"][:SHOWN].cpu()
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (collator.mean, collator.std))
    grid = make_grid((images * std + mean).clamp(0, 1), nrow=COLUMNS, padding=2)
    events.image("train/first_batch", (grid * 255).round().byte().permute(1, 2, 0).numpy(), 0)


def log_surest_mistakes(events: EventFile, table: Dataset, outputs: NDArray, recipe: Recipe, step: int) -> None:
    """The surest mistakes, or the largest errors: a mapped table of N rows and their outputs `(N, K)`."""
    target, label = (np.asarray(table[name][:]) for name in ("target", "label"))
    surest = EVALUATIONS[recipe.task].surest_mistakes(outputs, target, label, recipe.outputs, SHOWN)
    if not surest:
        return
    lines = -(-len(surest) // COLUMNS)
    figure = Figure(figsize=(2 * COLUMNS, 2.4 * lines), dpi=100, layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for place in axes:
        place.axis("off")
    for place, (row, words) in zip(axes, surest.items(), strict=False):
        place.imshow(from_bytes(table[row]["pixels"]).transpose(1, 2, 0))
        place.set_title(words, fontsize=9)
    events.image("validation/surest_mistakes", to_array(figure), step)


def log_settings(events: EventFile, recipe: Recipe, evaluation: Mapping[str, Any], step: int) -> None:
    """The settings that are numbers or switches, with the final figures of each row set, for the tab of hparams."""
    settings: dict[str, Any] = {n: v for n, v in recipe.settings().items() if isinstance(v, bool | int | float)}
    figures = {
        f"final/{rows}/{name}": float(evaluation[rows][name]["value"])
        for rows in ROW_SETS
        for name in EVALUATIONS[recipe.task].METRICS
        if name in evaluation.get(rows, {})
    }
    for summary in hparams({"recipe": recipe.name} | settings, figures):
        events.summary(summary, step)
    for name, value in figures.items():
        events.scalar(name, value, step)
