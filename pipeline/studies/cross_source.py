"""What one source of pictures teaches about another: linear probes, trained on each source and judged on every source.

    python -m pipeline.cross_source RECIPE --sources '[{data_path: A}, {data_path: B}]' --checkpoint DIR \\
        --output_dir FOLDER

The recipe and its overrides are those of train_hf.py. The checkpoint stays frozen: a multinomial logistic regression on
its features is trained on the train rows of each source, of all sources, and (with three or more) of all but one. Each
is judged on the clean validation rows of every source: those without a copy in any train split. No test row is read.
It takes one pass over the pictures and minutes, where fine-tuning takes hours; a fine-tuned model is better
everywhere, and `python -m pipeline.evaluation --model RUN --data_path OTHER` says by how much.

`cross_source.json` has accuracy, macro F1 and balanced accuracy with intervals, and the difference to the source's own
probe row by row; `cross_source.png` is the matrix. One number sums up: the mean accuracy on sources that a probe has
not seen, as a share of the mean accuracy of the sources' own probes.
"""

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import datasets
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.data.curated_folder import refuse_existing
from pipeline.data.curation import curate_sources
from pipeline.errors import InputError
from pipeline.evaluation.figures import DPI, save
from pipeline.evaluation.values import interval, metric_values, resampled_values
from pipeline.run_folder import write_json
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.recipe import Recipe
from pipeline.studies import ONLY_CLASSES
from pipeline.studies.comparison import paired_difference
from pipeline.training.features import features
from pipeline.training.model import build_model
from pipeline.training.transforms import map_pictures

RESAMPLES = 2000
FEWEST = 30  # rows of a source; fewer say nothing
STRENGTH = 0.01  # C of the logistic regression on standardised features
ITERATIONS = 200  # a budget of L-BFGS, not convergence
UNSEEN = -1e3  # logit of a class that a probe does not know
METRICS = ("accuracy", "macro_f1", "balanced_accuracy")
RESULT, PICTURE = "cross_source.json", "cross_source.png"


class Seen(NamedTuple):
    """N pictures as a frozen model sees them."""

    features: NDArray[np.float32]  # (N, D)
    label: NDArray[np.int64]  # (N,)
    source: NDArray[np.str_]  # (N,)

    def take(self, held: NDArray[np.bool_]) -> "Seen":
        """The rows that are `held` (N,)."""
        return Seen(self.features[held], self.label[held], self.source[held])


class Probe:
    """A multinomial logistic regression on standardised features, with K classes."""

    def __init__(self, train: Seen, classes: int) -> None:
        self.classes = classes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._scale = StandardScaler().fit(train.features)
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
            self._model = model.fit(self._scale.transform(train.features), train.label)

    def logits(self, seen: Seen) -> NDArray[np.float64]:
        """Logits (N, K); a class that was not in train gets UNSEEN."""
        logits = np.full((len(seen.label), self.classes), UNSEEN)
        logits[:, self._model.classes_] = self._model.predict_log_proba(self._scale.transform(seen.features))
        return logits


def crossed(train: Seen, validation: Seen, classes: int, resamples: int, seed: int) -> dict[str, Any]:
    """The content of `cross_source.json`: every probe on the validation rows of every source, with K `classes`.

    Raises:
        InputError: there are fewer than two sources, or one has too few rows or one class only.
    """
    names = sorted(set(train.source) | set(validation.source))
    _refuse_few(names, train, validation)
    taught = _taught(names, train)
    logits = {name: Probe(train.take(held), classes).logits(validation) for name, held in taught.items()}
    rows = {target: validation.source == target for target in names}
    own = {target: logits[target][held].argmax(1) == validation.label[held] for target, held in rows.items()}
    cells = {
        name: {
            target: _cell(given[held], validation.label[held], own[target], resamples, seed)
            for target, held in rows.items()
        }
        for name, given in logits.items()
    }
    home = float(np.mean([cells[name][name]["accuracy"]["value"] for name in names]))
    away = float(np.mean([cells[a][b]["accuracy"]["value"] for a in names for b in names if a != b]))
    return {
        "train_rows": {name: int(held.sum()) for name, held in taught.items()},
        "validation_rows": {name: int(held.sum()) for name, held in rows.items()},
        "own": home,
        "other": away,
        "kept": away / home if home else None,
        "trained_on": cells,
    }


def _taught(names: list[str], train: Seen) -> dict[str, NDArray[np.bool_]]:
    taught = {name: train.source == name for name in names} | {"all": np.full(len(train.label), True)}
    if len(names) > 2:  # with two sources, all but one is the other one
        taught |= {f"all but {name}": train.source != name for name in names}
    return taught


def _refuse_few(names: list[str], train: Seen, validation: Seen) -> None:
    if len(names) < 2:
        raise InputError(
            f"the data have one source ({names[0]}): name two or more, --sources '[{{data_path: A}}, {{data_path: B}}]'"
        )
    for name in names:
        for split, seen in (("train", train), ("clean validation", validation)):
            held = seen.source == name
            if held.sum() < FEWEST:
                raise InputError(f"{name} has {held.sum()} {split} rows; at least {FEWEST} are needed")
        if len(set(train.label[train.source == name])) < 2:
            raise InputError(f"{name} has one class only in train: a probe needs two or more")


def _cell(
    logits: NDArray[np.float64], label: NDArray[np.int64], own: NDArray[np.bool_], resamples: int, seed: int
) -> dict[str, Any]:
    one_hot = np.eye(logits.shape[1])[label]
    values = metric_values(logits, label, one_hot)
    samples = resampled_values(logits, label, one_hot, resamples, seed)
    less = paired_difference((logits.argmax(1) == label)[None], own[None], resamples, seed)
    return {
        "n": len(label),
        **{name: _with_interval(samples[name], float(values[name])) for name in METRICS},
        "less_than_own": asdict(less),
    }


def _with_interval(samples: NDArray[np.float64], value: float) -> dict[str, float | None]:
    low, high = interval(samples, value) or (None, None)
    return {"value": value, "low": low, "high": high}


def matrix(result: Mapping[str, Any]) -> Figure:
    """Accuracy by what a probe was trained on (down) and judged on (across)."""
    cells = result["trained_on"]
    targets = list(result["validation_rows"])
    values = np.array([[of[target]["accuracy"]["value"] for target in targets] for of in cells.values()])
    figure = Figure(figsize=(2.4 + 1.3 * len(targets), 1.4 + 0.55 * len(cells)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", color="white" if value > 0.6 else "black")
    axes.set_xticks(range(len(targets)), targets)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.set(xlabel="validation rows of", ylabel="trained on", title="Accuracy of linear probes")
    return figure


def text_of(result: Mapping[str, Any]) -> str:
    """The table for the terminal."""
    targets = list(result["validation_rows"])
    width = max(len(name) for name in result["trained_on"]) + 2
    lines = [f"{'trained on':{width}}" + "".join(f"{name:>24}" for name in targets) + "  (accuracy, 95 %)"]
    for name, of in result["trained_on"].items():
        cells = [of[target]["accuracy"] for target in targets]
        shown = [f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]" for cell in cells]
        lines.append(f"{name:{width}}" + "".join(f"{cell:>24}" for cell in shown))
    kept = "undefined" if result["kept"] is None else f"{result['kept']:.3f}"
    rows = ", ".join(f"{name} {count:,}" for name, count in result["validation_rows"].items())
    return "\n".join(
        [*lines, f"clean validation rows: {rows}", f"sources not seen keep {kept} of what the sources' own probes have"]
    )


def look(recipe: Recipe) -> tuple[Seen, Seen]:
    """Train rows and clean validation rows of the recipe's sources, as its frozen model sees them.

    Raises:
        InputError: the recipe has scores, or as `build_model` and `curate_sources`.
    """
    if recipe.scores:
        raise InputError(f"command line: {ONLY_CLASSES}")
    built = build_model(recipe)
    splits = curate_sources(recipe, print).splits
    clean = "clean_near" if recipe.near_copies else "clean"
    tables = {
        "train": splits["train"],
        "validation": splits["validation"].filter(bool, input_columns=clean, desc="clean validation"),
    }

    def seen(split: str, table: datasets.Dataset) -> Seen:
        mapped = map_pictures(table, recipe.image_size, f"map {split}")
        return Seen(
            features(built, mapped, f"features {split}"), np.array(table["label"][:]), np.array(table["source"][:])
        )

    return seen("train", tables["train"]), seen("validation", tables["validation"])


def main(argv: list[str]) -> None:
    """Train the probes and write what they know of each other's pictures."""
    recipe = parse_command_line(argv).recipe
    refuse_existing(recipe.output_dir)
    result = crossed(*look(recipe), len(recipe.labels), RESAMPLES, recipe.seed)
    result |= {"checkpoint": recipe.checkpoint, "image_size": recipe.image_size, "seed": recipe.seed}
    recipe.output_dir.mkdir(parents=True, exist_ok=True)
    write_json(recipe.output_dir / RESULT, result)
    save(matrix(result), recipe.output_dir / PICTURE)
    print(text_of(result))
    print(f"written: {recipe.output_dir / RESULT} and {PICTURE}")
