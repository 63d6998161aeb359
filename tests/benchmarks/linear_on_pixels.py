"""What a linear model on raw pixels reaches on the rows of a finished run: if it comes close, the task is too easy.

python tests/benchmarks/linear_on_pixels.py runs/quickstart
"""

import json
import sys
from math import sqrt
from pathlib import Path

import numpy as np
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipeline.curation import curate  # noqa: E402
from pipeline.recipe import load_yaml, recipe_from  # noqa: E402
from pipeline.sources import read_source  # noqa: E402

SIDE = 32  # px; at 64 px it takes four times as long and is no better
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # C of LogisticRegression, chosen on validation


def pixels(table: Dataset, mode: str) -> np.ndarray:
    """Pictures as rows (N, SIDE * SIDE * channels) float32; `mode` is L (grey) or RGB."""
    return np.stack([np.asarray(row.convert(mode).resize((SIDE, SIDE)), np.float32).ravel() for row in table["image"]])


def wilson(accuracy: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a share (https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval)."""
    centre, half = accuracy + z * z / (2 * n), z * sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def linear_accuracy(splits: dict[str, Dataset]) -> tuple[float, str]:
    """Test accuracy of the linear model that is best on validation, and which it was."""
    labels = {split: np.array(table["label"]) for split, table in splits.items()}
    best = (-1.0, -1.0, "")
    for mode in ("L", "RGB"):
        scaler = StandardScaler()
        train = scaler.fit_transform(pixels(splits["train"], mode))
        validation, test = (scaler.transform(pixels(splits[name], mode)) for name in ("validation", "test"))
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=300).fit(train, labels["train"])
            chosen_on = model.score(validation, labels["validation"])
            print(f"  {mode} C={strength:g}: validation {chosen_on:.3f}", file=sys.stderr)
            best = max(best, (chosen_on, model.score(test, labels["test"]), f"{mode}, C={strength:g}"))
    return best[1], best[2]


def main(run: Path) -> None:
    """Print both accuracies, with their intervals, on the official test rows."""
    recipe = recipe_from(load_yaml(run / "recipe.yaml"), str(run / "recipe.yaml"))
    official = json.loads((run / "evaluation.json").read_text())["official"]
    splits = dict(curate(read_source(recipe), recipe).splits)
    if len(splits["test"]) != official["n"]:
        raise SystemExit(
            f"{run} was evaluated on {official['n']} test rows; its recipe now gives {len(splits['test'])}"
        )
    linear, which = linear_accuracy(splits)
    print(f"{'official test':<40} accuracy  95 % (Wilson)  n")
    for name, accuracy in ((str(run), official["accuracy"]["value"]), (f"linear on pixels ({which})", linear)):
        low, high = wilson(accuracy, official["n"])
        print(f"{name:<40} {accuracy:.3f}     {low:.3f}-{high:.3f}    {official['n']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
