"""From predictions to figures with intervals: everything that is said about a model is computed here.

    python -m pipeline.evaluation runs/NAME

makes evaluation.json and the figures of a finished run anew from its predictions.parquet alone, and prints the table.

Intervals are 95 % percentile bootstraps over rows (Efron and Tibshirani 1993, chapter 13). Every figure of a row set is
taken on the same resamples. A class that a resample misses counts there as it does everywhere (see `metrics.py`):
its recall is 0, so a class with few rows gets the wide interval it deserves. The calibration error (ECE) is biased
upwards, on resamples more than on the rows themselves; where that leaves the value outside, the interval is widened to
hold it. Where all rows that accuracy, precision or recall count are right, or all wrong, every resample says the same:
there the interval is widened to the exact one of Clopper and Pearson 1934 (0 of 18 rows: 0 to .185).
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.errors import InputError
from pipeline.evaluation import figures, metrics
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import RowSets, most_important, row_sets
from pipeline.evaluation.text import format_table

INTERVAL = 0.95


def evaluate_predictions(path: Path) -> dict[str, Any]:
    """The content of evaluation.json, from predictions.parquet alone; the same file always gives the same figures.

    Row sets: `validation` (rows without a pixel copy in train), `official` (all test rows), `clean` (test rows without
    a pixel copy in train or validation) and `clean_near` (without a near copy either). A set without rows is left out,
    as where copies are unknown. Where there are several sources, `per_source` holds the same of each alone.

    Raises:
        InputError: as `read_predictions`, or neither validation nor test rows.
    """
    predictions = read_predictions(path)
    evaluation: dict[str, Any] = {
        "classes": predictions.classes,
        "interval": INTERVAL,
        "resamples": predictions.resamples,
        "recipe": predictions.recipe,
    }
    sets = row_sets(predictions)
    sources = np.unique(predictions.source).tolist()
    if len(sources) > 1:
        evaluation["per_source"] = {name: _evaluate_sets(predictions, sets, name) for name in sources}
    return evaluation | _evaluate_sets(predictions, sets)


def _evaluate_sets(predictions: Predictions, sets: RowSets, source: str | None = None) -> dict[str, Any]:
    """The figures of every row set, of one source alone where it is named, and what the set is."""
    figures_of = {}
    for name, (split, rows, held) in sets.items():
        if source is not None:
            rows, held = f"{rows}, {source} alone", held & (predictions.source == source)
        if held.any():
            about = {"split": split, "rows": rows, "label_rule": predictions.label_rule, "seed": predictions.seed}
            figures_of[name] = about | _evaluate_rows(predictions, held)
    return figures_of


def _evaluate_rows(predictions: Predictions, held: NDArray[np.bool_]) -> dict[str, Any]:
    logits, label, target = predictions.logits[held], predictions.label[held], predictions.target[held]
    values = metrics.point_figures(logits, label, target)
    samples = metrics.bootstrap_figures(logits, label, target, predictions.resamples, predictions.seed)
    tail = 50 * (1 - INTERVAL)
    ends = {name: np.percentile(sample, (tail, 100 - tail), axis=0) for name, sample in samples.items()}

    def one(name: str, *index: int) -> dict[str, float]:
        value, (low, high) = float(values[name][index]), (float(end[index]) for end in ends[name])
        return {"value": value, "low": min(low, value), "high": max(high, value)}

    def rate(right: int, of: int, name: str, *index: int) -> dict[str, float]:
        figure = one(name, *index)
        if of and right in (0, of):
            exact = binomtest(right, of).proportion_ci(INTERVAL)
            figure |= {"low": min(figure["low"], exact.low), "high": max(figure["high"], exact.high)}
        return figure

    matrix = metrics.ConfusionMatrix().compute(predictions=logits, references=label)["confusion_matrix"]
    counts = np.array(matrix)
    right, support, predicted = (each.tolist() for each in (counts.diagonal(), counts.sum(1), counts.sum(0)))
    return {
        "n": len(label),
        "accuracy": rate(sum(right), len(label), "accuracy"),
        **{name: one(name) for name in ("macro_f1", "balanced_accuracy", "nll", "kl", "ece")},
        "per_class": {
            name: {
                "precision": rate(right[k], predicted[k], "precision", k),
                "recall": rate(right[k], support[k], "recall", k),
                "f1": one("f1", k),
                "support": support[k],
            }
            for k, name in enumerate(predictions.classes)
        },
        "confusion_matrix": matrix,
        **({"human_agreement": one("human_agreement")} if (target.max(1) < 1 - 1e-6).any() else {}),
    }


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write evaluation.json, the seal of a run folder, in one step."""
    _write_json(folder / "evaluation.json", evaluation)


def write_figures(path: Path, folder: Path) -> list[Path]:
    """Draw what predictions.parquet at `path` shows, for the most important row set, into `folder`: the files."""
    predictions = read_predictions(path)
    sets = row_sets(predictions)
    name = most_important(sets)
    _, rows, held = sets[name]
    logits, label = predictions.logits[held], predictions.label[held]
    matrix = metrics.ConfusionMatrix().compute(predictions=logits, references=label)["confusion_matrix"]
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        folder / "confusion_matrix.png": figures.confusion_matrix(matrix, predictions.classes, rows.capitalize()),
        folder / "reliability.png": figures.reliability(logits, label),
    }
    for file, figure in drawn.items():
        figures.save(figure, file)
    return list(drawn)


def evaluate_run(run: Path) -> dict[str, Any]:
    """Make evaluation.json and the figures of a finished run anew, and renew their sha256 in its environment.json.

    Raises:
        InputError: `run` is not finished, or as `evaluate_predictions`.
    """
    seal, environment_file = run / "evaluation.json", run / "environment.json"
    if not seal.is_file():
        raise InputError(f"{run} is not a finished run: it has no evaluation.json")
    try:
        environment = json.loads(environment_file.read_text())
        hashes = environment["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{environment_file} cannot be read or has no sha256: the run folder is damaged") from None
    evaluation = evaluate_predictions(run / "predictions.parquet")
    rewritten = [*write_figures(run / "predictions.parquet", run / "figures"), seal]
    write_evaluation(run, evaluation)
    hashes |= {file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in rewritten}
    _write_json(environment_file, environment)
    return evaluation


def _write_json(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    aside.replace(path)


def main(argv: list[str]) -> None:
    """Make the figures of a finished run again from its predictions, and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation",
        description="Make evaluation.json and the figures of a finished run again from its predictions.parquet.",
    )
    parser.add_argument("run", type=Path, help="run folder, such as runs/quickstart")
    print(format_table(evaluate_run(parser.parse_args(argv).run)))
