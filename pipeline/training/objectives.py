"""The training objective of each task: its targets, its loss, and what an evaluation in training sees.

`OBJECTIVES` has one class a task. It is made of the recipe, the train rows, how many of them go through the model at
once, and their sampling weights `(N,)`, which are None where each row is drawn once. The loss of a step is a sum over
rows, which the trainer divides by the row count of the whole optimizer step.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import PreTrainedModel

from pipeline import class_shares, clinical
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.training.linear import linear_predictions
from pipeline.training.loss import balanced_cross_entropy, label_shares, row_weights
from pipeline.training.sampler import PictureRows, trained_shares
from pipeline.training.scale import in_the_unit, scale_of
from pipeline.training.score_loss import score_loss


class Objective(Protocol):
    """What the trainer asks of a task."""

    def summed(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The training loss summed over rows, without blank ones: outputs (B, K) float32 and labels (B, K)."""

    def evaluated(self, outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of an evaluation, and the outputs as metrics take them."""

    def published(self, model: PreTrainedModel) -> PreTrainedModel:
        """The trained model as clients get it."""

    def about(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What predictions.parquet says of the outputs, from `report`, the content of curation.json."""

    def baseline(self, train: Dataset, evaluated: Mapping[str, Dataset]) -> dict[str, np.ndarray] | None:
        """Predictions (N, K) of a simpler model for each split, to compare with; None for none."""


class OfClasses:
    """Soft-target cross-entropy; class balance and label smoothing act in training only.

    The balance is that of `pipeline/training/loss.py`; the labels already hold the rows' weights.
    """

    def __init__(
        self, recipe: Recipe, rows: PictureRows, rows_per_device: int, drawn: np.ndarray | None = None
    ) -> None:
        self.recipe, self.classes = recipe, recipe.classes
        self.smoothing, self.balanced = recipe.label_smoothing, recipe.class_balance in ("weights", "logit_adjustment")
        self.label_shares = None
        if self.balanced:
            shares = label_shares(rows.labels, rows.targets.shape[1], rows.weights)
            rows.loss_weights = row_weights(rows.labels, shares)
            if recipe.class_balance == "logit_adjustment":
                self.label_shares = torch.from_numpy(shares).float()
        shares = trained_shares(rows, drawn)
        self.trained_shares = (1 - self.smoothing) * shares + self.smoothing / len(shares)

    def summed(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.balanced:
            shares = None if self.label_shares is None else self.label_shares.to(outputs.device)
            losses = balanced_cross_entropy(outputs, labels, self.smoothing, shares)
        else:
            losses = F.cross_entropy(outputs, labels, label_smoothing=self.smoothing, reduction="none")
        return losses[labels.sum(dim=1) > 0].sum()  # without the blank row of an empty batch

    def evaluated(self, outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return F.cross_entropy(outputs.float(), labels), outputs

    def published(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model with the class shares that it assumes in its config, and a mark if a class is of health."""
        setattr(model.config, class_shares.FIELD, class_shares.as_json(self.trained_shares, self.classes))
        if clinical.health_names(self.recipe.settings()):
            setattr(model.config, clinical.FIELD, True)
        return model

    def about(self, report: Mapping[str, Any]) -> dict[str, Any]:
        return {"classes": self.classes}

    def baseline(self, train: Dataset, evaluated: Mapping[str, Dataset]) -> dict[str, np.ndarray] | None:
        return None


class OfScores:
    """Scores standardised by their mean and standard deviation in train, whatever their unit.

    The model learns standardised scores; `pipeline/training/scale.py` folds the unit into its last layer at the end.
    """

    def __init__(
        self, recipe: Recipe, rows: PictureRows, rows_per_device: int, drawn: np.ndarray | None = None
    ) -> None:
        if recipe.score_loss != "mse" and rows_per_device < 2:
            raise InputError(
                f"score_loss {recipe.score_loss} compares the rows that go through the model at once, and here that is "
                "one row: raise --total_batch_size or --per_device_train_batch_size, or set --score_loss mse"
            )
        self.recipe = recipe
        self.scale, self.kind = scale_of(rows.targets), recipe.score_loss
        ends = zip(recipe.scores, rows.targets.min(0).tolist(), rows.targets.max(0).tolist(), strict=True)
        self.ranges = {name: [low, high] for name, low, high in ends}
        rows.targets = self.scale.standardised(rows.targets)

    def summed(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen = ~labels.isnan().any(dim=1)  # without the blank row of an empty batch
        return score_loss(outputs[seen], labels[seen], self.kind) * seen.sum()

    def evaluated(self, outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, sd = (torch.from_numpy(each).to(outputs.device) for each in (self.scale.mean, self.scale.sd))
        return score_loss(outputs.float(), (labels - mean) / sd, self.kind), outputs.float() * sd + mean

    def published(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model with the unit of the scores in its last layer, and their range and kind in its config."""
        unit = in_the_unit(model, self.scale)
        unit.config.score_ranges = self.ranges
        setattr(unit.config, clinical.FIELD, bool(clinical.health_names(self.recipe.settings())))
        return unit

    def about(self, report: Mapping[str, Any]) -> dict[str, Any]:
        scores = {"scores": report["scores"]["train"], "score_of": self.recipe.score_of}
        if self.recipe.screening_cut is not None:
            scores["screening_cut"] = self.recipe.screening_cut
        return {"classes": [], "task": self.recipe.task, **scores}

    def baseline(self, train: Dataset, evaluated: Mapping[str, Dataset]) -> dict[str, np.ndarray] | None:
        return linear_predictions(train, evaluated)


OBJECTIVES: Mapping[str, Callable[[Recipe, PictureRows, int, np.ndarray | None], Objective]] = {
    "classification": OfClasses,
    "regression": OfScores,
}

BLANK: Mapping[str, float] = {"classification": 0.0, "regression": np.nan}
"""The label of the blank picture in a batch without rows: it adds no loss."""
