"""Accuracy of a linear model on raw pixels, on the rows of a finished run: if it comes close, the task is too easy.

python -m tests.benchmarks.linear_on_pixels runs/quickstart
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.settings.files import load_yaml, recipe_from

SIDE = 32  # px; at 64 px it takes four times as long and is no better
STRENGTHS = (1e-2, 1e-1)  # C of LogisticRegression, chosen on validation; below 1e-2 it is worse
ITERATIONS = 150  # a budget, not convergence: on validation more of them are no better


def pixels(table: Dataset) -> np.ndarray:
    """Pictures as rows (N, SIDE * SIDE * 3) float32; only grey values are worse."""
    return np.stack([np.asarray(row.convert("RGB").resize((SIDE, SIDE)), np.float32).ravel() for row in table["image"]])


def linear_accuracy(splits: dict[str, Dataset]) -> tuple[float, str]:
    """Test accuracy of the linear model that is best on validation, and which it was."""
    labels = {split: np.array(table["label"]) for split, table in splits.items()}
    scaler = StandardScaler()
    train = scaler.fit_transform(pixels(splits["train"]))
    validation, test = (scaler.transform(pixels(splits[name])) for name in ("validation", "test"))
    best = (-1.0, -1.0, "")
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(train, labels["train"])
        chosen_on = model.score(validation, labels["validation"])
        best = max(best, (chosen_on, model.score(test, labels["test"]), f"C={strength:g}"))
    return best[1], best[2]


def main(run: Path) -> None:
    """Print both accuracies, with their intervals, on the official test rows."""
    recipe = recipe_from(load_yaml(run / "recipe.yaml"), str(run / "recipe.yaml"))
    if recipe.scores:
        raise SystemExit(f"{run} has scores: its evaluation.json compares them with a linear model already")
    official = json.loads((run / "evaluation.json").read_text())["official"]
    splits = dict(curate(read_sources(recipe), recipe).splits)
    if len(splits["test"]) != official["n"]:
        raise SystemExit(
            f"{run} was evaluated on {official['n']} test rows; its recipe now gives {len(splits['test'])}"
        )
    linear, which = linear_accuracy(splits)
    print(f"{'official test':<40} accuracy  95 % (Wilson)  n")
    for name, accuracy in ((str(run), official["accuracy"]["value"]), (f"linear on pixels ({which})", linear)):
        right = round(accuracy * official["n"])
        interval = binomtest(right, official["n"]).proportion_ci(method="wilson")
        print(f"{name:<40} {accuracy:.3f}     {interval.low:.3f}-{interval.high:.3f}    {official['n']}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(Path(sys.argv[1]))
