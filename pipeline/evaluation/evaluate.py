"""From predictions to metrics with intervals: everything that is reported about a model is computed here.

    python -m pipeline.evaluation runs/NAME

makes evaluation.json and the figures of a finished run again, from its predictions.parquet and nothing else, seals the
run again, and prints the table.

Every metric of a row set is computed on the same resamples (see `values.py`). A class that a resample misses counts
there as it does everywhere (see `metrics.py`): its recall is 0, so a class with few rows gets the wide interval it
deserves. The calibration error (ECE) is biased upwards, on resamples more than on the rows themselves; value and
interval are corrected for it (`values.estimate`). Where all rows that accuracy, precision or recall count
are right, or all wrong, every resample gives the same value: there the interval is widened to the exact one of Clopper
and Pearson 1934 (0 of 18 rows: 0 to .185).
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import class_shares, run_folder
from pipeline.errors import InputError, printable_lines
from pipeline.evaluation import figures
from pipeline.evaluation.calibration import calibration_figures
from pipeline.evaluation.conformal import check_coverage, lines_of, require_crepes, set_figures
from pipeline.evaluation.expected import expected_predictions
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import RowSets, most_important, row_sets
from pipeline.evaluation.tasks import EVALUATIONS, format_table
from pipeline.evaluation.values import INTERVAL


def evaluate_predictions(path: Path) -> dict[str, Any]:
    """The content of evaluation.json, from predictions.parquet; the same file always gives the same values.

    Row sets: `validation` (rows without a pixel copy in train), `official` (all test rows), `clean` (test rows without
    a pixel copy in train or validation) and `clean_near` (without a near copy either). A set without rows is left out,
    which is also the case if copies are unknown. With several sources, `per_source` holds the same for each of them.
    Each set of a run with classes holds under `abstention` the accuracy of the answers above some thresholds.
    `calibration` says what calibration did, `class_shares` which shares the logits were set to after training.
    `flip_average` holds it for the mean score of each picture and its mirror image, where the run has both.
    `metrics` says what each metric is called and means. A row set that does not define a metric names it under
    `undefined`.

    Raises:
        InputError: as `read_predictions`, or neither validation nor test rows.
    """
    return evaluation_of(read_predictions(path))


def evaluation_of(predictions: Predictions) -> dict[str, Any]:
    """The content of evaluation.json, as `evaluate_predictions` describes it.

    Raises:
        InputError: neither validation nor test rows.
    """
    task = EVALUATIONS[predictions.task]
    evaluation: dict[str, Any] = {
        **task.about(predictions),
        "interval": INTERVAL,
        "resamples": predictions.resamples,
        "recipe": predictions.recipe,
        "metrics": {name: metric.as_json() for name, metric in task.METRICS.items()},
    }
    sets = row_sets(predictions)
    sources = np.unique(predictions.source).tolist()
    if len(sources) > 1:
        evaluation["per_source"] = {name: _evaluate_sets(predictions, sets, name) for name in sources}
    if predictions.mirrored is not None:
        averaged = replace(predictions, logits=task.flip_averaged(predictions.logits, predictions.mirrored))
        evaluation["flip_average"] = _evaluate_sets(averaged, sets)
    if predictions.calibration is not None and "validation" in sets:
        evaluation["calibration"] = calibration_figures(predictions, sets["validation"].held)
    if predictions.class_shares is not None:
        evaluation["class_shares"] = predictions.class_shares.as_json(predictions.classes)
    return evaluation | _evaluate_sets(predictions, sets)


def _evaluate_sets(predictions: Predictions, sets: RowSets, source: str | None = None) -> dict[str, Any]:
    """The metrics of every row set, of one source only if it is named, and what the set is."""
    evaluated = {}
    for name, rows in sets.items():
        words, held = rows.words, rows.held
        if source is not None:
            words, held = f"{words}, {source} only", held & (predictions.source == source)
        if held.any():
            about = {"split": rows.split, "rows": words, "label_rule": predictions.label_rule, "seed": predictions.seed}
            evaluated[name] = about | EVALUATIONS[predictions.task].evaluate_rows(predictions, held)
    return evaluated


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write evaluation.json without a seal, for a run that is not finished yet."""
    run_folder.write_json(folder / run_folder.SEAL, evaluation)


def write_figures(path: Path, folder: Path) -> list[Path]:
    """Draw what predictions.parquet at `path` shows, for the most important row set, into `folder`: the files."""
    predictions = read_predictions(path)
    sets = row_sets(predictions)
    best = sets[most_important(sets)]
    folder.mkdir(parents=True, exist_ok=True)
    found = EVALUATIONS[predictions.task].figures_of(predictions, best.held, best.words.capitalize())
    drawn = {folder / f"{name}.png": figure for name, figure in found.items()}
    for file, figure in drawn.items():
        figures.save(figure, file)
    return list(drawn)


def evaluate_run(run: Path) -> dict[str, Any]:
    """Make evaluation.json and the figures of a finished run again, and seal it again.

    A run that was sealed in the older form gets the seal of today.

    Raises:
        InputError: `run` is not finished, its environment.json is damaged, or as `evaluate_predictions`.
    """
    if not (run / run_folder.SEAL).is_file():
        raise InputError(f"{run} is not a finished run: it has no {run_folder.SEAL}")
    environment = run_folder.read_json(run / run_folder.ENVIRONMENT)
    hashes = environment.get("sha256")
    if not isinstance(hashes, dict):
        raise InputError(f"{run / run_folder.ENVIRONMENT} has no sha256: restore the file, or train again")
    predictions = run / run_folder.PREDICTIONS
    evaluation = evaluate_predictions(predictions)
    drawn = write_figures(predictions, run / "figures")
    hashes.pop(run_folder.SEAL, None)
    hashes |= {file.relative_to(run).as_posix(): run_folder.sha256(file) for file in drawn}
    run_folder.seal(run, environment, evaluation)
    return evaluation


def print_expected(run: Path, shares: str, tau: float) -> None:
    """Print the table of a finished run with scores for other class shares.

    Raises:
        InputError: as `expected_predictions`.
    """
    predictions, estimated = expected_predictions(run, shares, tau)
    evaluation = evaluation_of(predictions)
    listed = ", ".join(f"{name} {share:.3f}" for name, share in evaluation["class_shares"]["expected"].items())
    print(printable_lines(format_table(evaluation)))
    print(f"\nscores for class shares {listed}, tau {tau:g}; nothing was written")
    if estimated:
        doubts = (estimated.doubt(predictions.classes), class_shares.doubt(estimated.shares, predictions.classes))
        print(*filter(None, doubts), sep="\n")


def print_sets(folder: Path, coverage: float) -> None:
    """Print what conformal sets hold, for a run or the folder of an evaluated model.

    Raises:
        InputError: as `set_figures` and `read_predictions`.
    """
    check_coverage(coverage)
    require_crepes()
    print(*lines_of(set_figures(read_predictions(folder / run_folder.PREDICTIONS), coverage)), sep="\n")
    print("nothing was written")


def main(argv: list[str]) -> None:
    """Make the metrics of a finished run again from its predictions, and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation",
        description="Make evaluation.json and the figures of a finished run again from its predictions.parquet.",
    )
    parser.add_argument("run", type=Path, help="run folder, such as runs/quickstart")
    parser.add_argument("--class_shares", metavar="SHARES", help="print the figures with scores for pictures whose "
                        "classes are as frequent as this says: uniform, JSON with a share for each class, or estimate: "
                        "from the scores, without labels; nothing is written")  # fmt: skip
    parser.add_argument("--tau", type=float, default=1.0, metavar="TAU", help="how far scores go to --class_shares, "
                        "above 0 and at most 1 (default 1)")  # fmt: skip
    parser.add_argument("--sets", type=float, metavar="COVERAGE", help="print conformal sets of answers that are right "
                        "with this probability, such as 0.9; needs crepes; nothing is written")  # fmt: skip
    asked = parser.parse_args(argv)
    run = asked.run
    if asked.tau != 1 and not asked.class_shares:
        raise InputError("--tau says how far scores go to --class_shares: give both, or neither")
    if asked.sets is not None:
        if asked.class_shares:
            raise InputError("--sets and --class_shares are two questions: give one of them")
        print_sets(run, asked.sets)
        return
    if asked.class_shares:
        print_expected(run, asked.class_shares, asked.tau)
        return
    print(printable_lines(format_table(evaluate_run(run))))
    print(f"\nwrote {run / run_folder.SEAL} and the figures again, and sealed the run")
