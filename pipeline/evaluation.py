"""From predictions to figures with intervals: everything that is said about a model is computed here.

    python -m pipeline.evaluation runs/NAME

makes evaluation.json and the figures of a finished run anew from its predictions.parquet alone, and prints the table.

Intervals are 95 % percentile bootstraps over rows (Efron and Tibshirani 1993, chapter 13). Every figure of a row set is
taken on the same resamples. A class that a resample misses counts there as it does everywhere (see `pipeline.metrics`):
its recall is 0, so a class with few rows gets the wide interval it deserves. The calibration error (ECE) is biased
upwards, on resamples more than on the rows themselves; where that leaves the value outside, the interval is widened to
hold it. Where all rows that accuracy, precision or recall count are right, or all wrong, every resample says the same:
there the interval is widened to the exact one of Clopper and Pearson 1934 (0 of 18 rows: 0 to .185).
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline import figures, metrics
from pipeline.errors import InputError

INTERVAL = 0.95
COLUMNS = ("split", "source", "key", "label", "target", "logits", "clean", "clean_near")
ROW_SETS = ("official", "clean", "clean_near", "validation")
"""Names of row sets in `evaluation.json`, the one that speaks for the model first."""

RowSets = dict[str, tuple[str, str, NDArray[np.bool_]]]


@dataclass(frozen=True)
class Predictions:
    """predictions.parquet as arrays of N rows; where copies were not looked for, `checked` and `clean*` are False."""

    split: NDArray[np.str_]
    source: NDArray[np.str_]
    key: NDArray[np.str_]
    label: NDArray[np.int32]
    target: NDArray[np.float32]
    logits: NDArray[np.float32]
    checked: NDArray[np.bool_]
    clean: NDArray[np.bool_]
    clean_near: NDArray[np.bool_]
    classes: list[str]
    label_rule: str | None
    seed: int
    resamples: int
    recipe: str


def read_predictions(path: Path) -> Predictions:
    """predictions.parquet with its metadata.

    Raises:
        InputError: no parquet file, a missing column or metadata, no rows, or values that do not fit the classes.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}: it is not a predictions file of this project")
    try:
        about = json.loads((table.schema.metadata or {})[b"fer"])
        about = {name: about[name] for name in ("classes", "label_rule", "seed", "resamples", "recipe")}
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} lacks metadata of this project ({error}): evaluate the model again") from None
    if not table.num_rows or about["resamples"] < 1:
        raise InputError(f"{path} holds {table.num_rows} rows for {about['resamples']} resamples; both must be above 0")
    label = table["label"].fill_null(-1).to_numpy()
    try:
        target, logits = (np.array(table[name].to_pylist(), dtype=np.float32) for name in ("target", "logits"))
    except (TypeError, ValueError):
        raise InputError(f"{path}: rows of target or logits differ in length or are empty") from None
    shape = (len(label), len(about["classes"]))
    if target.shape != shape or logits.shape != shape or label.min() < 0 or label.max() >= shape[1]:
        raise InputError(f"{path}: label, target and logits do not fit the {shape[1]} classes in its metadata")
    bad = np.flatnonzero(~(np.isfinite(logits).all(1) & np.isfinite(target).all(1)))
    if len(bad):
        raise InputError(f"{path}: row {bad[0]} ({table['key'][bad[0]]}) has logits or a target that is not finite")
    split, source, key = (np.array(table[name].to_pylist()) for name in ("split", "source", "key"))
    checked = table["clean"].is_valid().to_numpy()
    clean, clean_near = (table[name].fill_null(False).to_numpy() for name in ("clean", "clean_near"))
    return Predictions(split, source, key, label, target, logits, checked, clean, clean_near, **about)


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


def row_sets(predictions: Predictions) -> RowSets:
    """Name of each row set that has rows -> its split, what its rows are in words, and which of the N rows it holds.

    Raises:
        InputError: no set has rows.
    """
    validation, test = predictions.split == "validation", predictions.split == "test"
    clean = predictions.clean
    sets = {
        "validation": ("validation", "validation rows without a pixel copy in train", validation & clean),
        "official": ("test", "all test rows", test),
        "clean": ("test", "test rows without a pixel copy in train or validation", test & clean),
        "clean_near": ("test", "test rows without a near copy in train or validation", test & predictions.clean_near),
    }
    if not predictions.checked[validation].any():
        sets["validation"] = ("validation", "all validation rows (copies in train were not looked for)", validation)
    sets = {name: parts for name, parts in sets.items() if parts[2].any()}
    if not sets:
        raise InputError("predictions hold no clean validation rows and no test rows: there is nothing to evaluate")
    return sets


def most_important(evaluation: dict[str, Any]) -> str:
    """The row set that speaks for the model: `official` where test was opened, else `validation`."""
    return next(name for name in ROW_SETS if name in evaluation)


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


def format_table(evaluation: dict[str, Any]) -> str:
    """What a run prints at its end, at most 100 columns wide for class names of up to 18 letters."""
    best = most_important(evaluation)
    names = [name for name in ROW_SETS if name in evaluation]
    sets = {name: evaluation[name] for name in names} | {
        f"{name}, {source}": rows
        for source, own in evaluation.get("per_source", {}).items()
        for name, rows in own.items()
    }
    width = max(map(len, (*sets, *evaluation["classes"])))
    lines = [f"{'':{width}}  {'rows':>6}  {'accuracy':20}  {'macro F1':20}  {'NLL':5}  {'ECE':5}"]
    for name, rows in sets.items():
        figures_shown = f"{_shown(rows['accuracy'])}  {_shown(rows['macro_f1'])}"
        calibration = f"{rows['nll']['value']:.3f}  {rows['ece']['value']:.3f}"
        lines.append(f"{name:{width}}  {rows['n']:>6,}  {figures_shown}  {calibration}")
    lines += ["", f"{best:{width}}  {'rows':>6}  {'recall':20}  {'precision':20}  {'F1':20}"]
    for name, figure in evaluation[best]["per_class"].items():
        shown = "  ".join(_shown(figure[key]) for key in ("recall", "precision", "f1"))
        lines.append(f"{name:{width}}  {figure['support']:>6,}  {shown}")
    lines += ["", *(f"{name}: {evaluation[name]['rows']}" for name in names)]
    if "human_agreement" in evaluation[best]:
        voter = _shown(evaluation[best]["human_agreement"])
        lines.append(f"people: one voter drawn at random agrees with the label on {voter} of the {best} rows")
    absent = [name for name, figure in evaluation[best]["per_class"].items() if not figure["support"]]
    if absent:
        lines.append(f"no {best} rows of {', '.join(absent)}: counted as 0 in macro F1 and balanced accuracy")
    share, resamples = evaluation["interval"], evaluation["resamples"]
    lines.append(f"[low, high]: {share:.0%} interval, percentile bootstrap over rows, {resamples:,} resamples")
    return "\n".join(line.rstrip() for line in lines)


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


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


def main(argv: list[str] | None = None) -> int:
    """The command line: 0, or 2 with one line on stderr for a mistake of the user."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation",
        description="Make evaluation.json and the figures of a finished run anew from its predictions.parquet.",
    )
    parser.add_argument("run", type=Path, help="run folder, such as runs/quickstart")
    try:
        print(format_table(evaluate_run(parser.parse_args(argv).run)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
