"""Scores of a finished run as trained, for uniform class shares, and before and after calibration.

python -m tests.benchmarks.class_shares runs/NAME

It reads the validation rows of predictions.parquet without a copy in train, so it needs no pictures and never opens the
test split. Shares are those of config.json; runs from before it had them assume the label counts of their train rows.
`tau` raises balanced accuracy and lowers accuracy; every value has its 95 % bootstrap interval. Calibration is
cross-fitted in five parts: to the votes (what a run does) and to the labels.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.evaluation.calibration import cross_fitted
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import row_sets
from pipeline.evaluation.values import estimate, metric_values, resampled_values
from pipeline.run_folder import CONFIG, CURATION, PREDICTIONS, read_json

TAUS = (0.25, 0.5, 0.75, 1.0)
SHOWN = ("accuracy", "balanced_accuracy", "nll", "ece")


def assumed_shares(run: Path, classes: list[str]) -> class_shares.Shares:
    """The shares `(K,)` of config.json, or of the labels of the train rows."""
    config = read_json(run / CONFIG)
    if class_shares.FIELD in config:
        return class_shares.assumed(config, classes, str(run))
    counts = read_json(run / CURATION)["rows_used"]["train"]
    total = sum(counts.values())
    shares = {name: counts.get(name, 0) / total for name in classes}
    return class_shares.from_mapping(shares, classes, f"{run}: train rows")


def line(name: str, logits: NDArray, of: Predictions) -> str:
    """The values of one kind of scores with their intervals."""
    values = metric_values(logits, of.label, of.target)
    samples = resampled_values(logits, of.label, of.target, of.resamples, of.seed)
    cells = []
    for metric in SHOWN:
        found = estimate(metric, float(values[metric]), samples[metric])
        cells.append("{:.3f} [{:.3f}, {:.3f}]".format(*found) if found else "-")
    return f"{name:<32}" + "  ".join(cells)


def main(run: Path) -> None:
    """Print the table of a run."""
    predictions = read_predictions(run / PREDICTIONS)
    held = row_sets(predictions)["validation"].held
    rows = ("label", "target", "logits")
    of = replace(predictions, **{name: getattr(predictions, name)[held] for name in rows})
    folded = 1.0 if of.calibration is None else of.calibration.temperature or 1.0
    trained, hot = of.logits * np.float32(folded), np.eye(len(of.classes), dtype=np.float32)[of.label]
    assumed, uniform = assumed_shares(run, of.classes), np.full(len(of.classes), 1 / len(of.classes))
    print(f"{run.name}: {len(of.label):,} validation rows without a copy in train")
    print(f"{'':<32}" + "  ".join(f"{name.replace('_', ' '):<20}" for name in SHOWN).rstrip())
    print(line("as trained, not calibrated", trained, of))
    votes = trained / cross_fitted(trained, of.target, of.seed)[:, None]
    print(line("calibrated to votes", votes, of))
    print(line("calibrated to labels", trained / cross_fitted(trained, hot, of.seed)[:, None], of))
    for tau in TAUS:
        print(line(f"calibrated, uniform, tau {tau:g}", votes + class_shares.log_ratios(uniform, assumed, tau), of))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
