"""A linear model on pixels: what scores of a run are worth is said beside what a ridge regression reaches."""

from collections.abc import Mapping

import datasets
import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from pipeline.training.transforms import from_bytes

SIDE = 32  # px
MOST_ROWS = 20_000  # of train; more rows take long and change little
STRENGTHS = (1e1, 1e2, 1e3, 1e4, 1e5)  # of the penalty, for pixels from 0 to 1; the best on validation is taken


def linear_predictions(train: datasets.Dataset, evaluated: Mapping[str, datasets.Dataset]) -> dict[str, np.ndarray]:
    """Predictions (N, K) float32 of each split by the ridge regression that has the lowest error on validation.

    The tables are mapped: `pixels` and `target` (K,). Of train, at most `MOST_ROWS` seeded rows are used.
    """
    if len(train) > MOST_ROWS:
        train = train.select(np.sort(np.random.default_rng(0).permutation(len(train))[:MOST_ROWS]))
    pixels = {split: _pixels(table) for split, table in evaluated.items()}
    scores = np.asarray(evaluated["validation"]["target"][:], dtype=np.float32)
    spread = np.maximum(scores.std(0), 1e-12)
    given, known = _pixels(train), np.asarray(train["target"][:], dtype=np.float32)
    models = [Ridge(alpha=strength, solver="cholesky").fit(given, known) for strength in STRENGTHS]

    def error(model: Ridge) -> float:
        return float((((_answers(model, pixels["validation"]) - scores) / spread) ** 2).mean())

    best = min(models, key=error)
    return {split: _answers(best, of_split) for split, of_split in pixels.items()}


def _answers(model: Ridge, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(pixels), dtype=np.float32).reshape(len(pixels), -1)


def _pixels(table: datasets.Dataset) -> np.ndarray:
    """Pictures as rows (N, SIDE * SIDE * 3) float32 from 0 to 1."""
    small = [
        F.interpolate(torch.from_numpy(from_bytes(row)[None].astype(np.float32)), SIDE, mode="area")
        for row in table["pixels"]
    ]
    return torch.cat(small).flatten(1).div(255).numpy()
