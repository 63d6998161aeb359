"""What the scores of finished runs are worth, for one run or for the seeds of a recipe, in one table each and over all.

python -m tests.benchmarks.confidence RUN [RUN ...] [--rows official] [--coverage 0.9]

It reads predictions.parquet, so it needs no pictures. By default it reads validation rows without a copy in train; test
rows only with `--rows official`, in runs that evaluated them. What is fitted never sees the rows that measure it: on
validation rows it is cross-fitted in five parts, on test rows it is fitted on validation.

- as trained, with the temperature that a run folds into its last layer, and with vector scaling to the same votes.
  `vector - temperature` is the paired difference in NLL.
- accuracy of the answers that remain if the least sure 10 % get none.
- conformal sets, as `python -m pipeline.evaluation RUN --sets 0.9` prints them; they need `pip install crepes`.
- calibrated scores for uniform class shares.

Values have 95 % bootstrap intervals over rows. Over several runs: mean (least to greatest).
"""

import argparse
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.evaluation.abstention import thresholds
from pipeline.evaluation.calibration import Scaling, by_temperature, cross_fitted, fit_vector
from pipeline.evaluation.conformal import set_figures
from pipeline.evaluation.per_row import cross_entropy
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import row_sets
from pipeline.evaluation.values import estimate, interval, metric_values, resampled_rows, resampled_values
from pipeline.run_folder import PREDICTIONS
from tests.benchmarks.class_shares import assumed_shares, trained_logits

SHOWN = ("accuracy", "balanced_accuracy", "nll", "ece")
TAUS = (0.25, 0.5, 0.75, 1.0)
ANSWERED = 0.9
Value = tuple[float, float, float]
Lines = dict[str, dict[str, Value]]  # what -> metric -> value and interval


def scaled(of: Predictions, rows: NDArray, fitted: NDArray, fit: Callable[[NDArray, NDArray], Scaling]) -> NDArray:
    """The logits as trained of the `rows` (N,) after a scaling that is fitted on other rows."""
    logits = trained_logits(of)
    if not (rows & fitted).any():
        return fit(logits[fitted], of.target[fitted]).of(logits[rows])
    return cross_fitted(logits[rows], of.target[rows], of.seed, fit)


def measured(logits: NDArray, of: Predictions) -> dict[str, Value]:
    """The metrics of the rows `of`, with these logits."""
    values = metric_values(logits, of.label, of.target)
    samples = resampled_values(logits, of.label, of.target, of.resamples, of.seed)
    found = {name: estimate(name, float(values[name]), samples[name]) for name in SHOWN}
    return {name: value for name, value in found.items() if value}


def less(one: NDArray, other: NDArray, of: Predictions) -> Value:
    """The mean NLL of `one` less that of `other`, row by row, with its interval."""
    rows = cross_entropy(one, of.target) - cross_entropy(other, of.target)
    drawn = [times @ rows / len(rows) for times in resampled_rows(np.arange(len(rows)), of.resamples, of.seed)]
    value = float(rows.mean())
    return (value, *(interval(np.concatenate(drawn), value) or (value, value)))


def figures_of(run: Path, name: str, coverage: float) -> tuple[int, Lines]:
    """The number of rows, and every line of the table of a run on the row set `name`."""
    predictions = read_predictions(run / PREDICTIONS)
    sets = row_sets(predictions)
    rows, fitted = sets[name].held, sets["validation"].held
    chosen = ("split", "source", "key", "label", "target", "logits", "checked", "clean", "clean_near")
    of = replace(predictions, **{each: getattr(predictions, each)[rows] for each in chosen}, mirrored=None, person=None)
    plain = trained_logits(predictions)[rows]
    votes = scaled(predictions, rows, fitted, by_temperature)
    vector = scaled(predictions, rows, fitted, fit_vector)
    lines: Lines = {
        "as trained": measured(plain, of),
        "temperature": measured(votes, of),
        "vector scaling": measured(vector, of),
        "vector - temperature": {"nll": less(vector, votes, of)},
    }
    sure = next(each for each in thresholds(votes, of.label) if each["answered"] <= ANSWERED + 1e-3)
    lines[f"the surest {sure['answered']:.0%}"] = {"accuracy": _ends(sure["accuracy"])}
    uniform = np.full(len(of.classes), 1 / len(of.classes))
    ratios = class_shares.log_ratios(uniform, assumed_shares(run, of.classes), 1.0)
    lines |= {f"uniform shares, tau {tau:g}": measured(votes + tau * ratios, of) for tau in TAUS}
    return len(of.label), lines | _sets(of if name == "validation" else predictions, coverage)


def _sets(predictions: Predictions, coverage: float) -> Lines:
    found: Lines = {}
    if importlib.util.find_spec("crepes") is None:
        return found
    for of, sets in set_figures(predictions, coverage)["sets"].items():
        held = {f"holds {what}": _ends(each) for what, each in sets["holds"].items()}
        size = sets["classes_in_a_set"]
        found[f"sets that hold {of}"] = held | {"classes in a set": (size, size, size)}
    return found


def _ends(share: Mapping[str, float]) -> Value:
    return share["value"], share["low"], share["high"]


def text_of(lines: Lines) -> list[str]:
    """A line for each, with a cell for each metric."""
    shown = []
    for what, values in lines.items():
        cells = [f"{name.replace('_', ' ')} {value:.3f} [{low:.3f}, {high:.3f}]" for name, (value, low, high)
                 in values.items()]  # fmt: skip
        shown.append(f"{what:<42}" + "  ".join(cells))
    return shown


def over_runs(tables: list[Lines]) -> Lines:
    """Mean, least and greatest value of the runs."""
    return {
        what: {
            name: (float(np.mean(found)), min(found), max(found))
            for name in values
            if (found := [table[what][name][0] for table in tables if name in table.get(what, {})])
        }
        for what, values in tables[0].items()
    }


def main() -> None:
    """Print a table for each run, and one over all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.confidence", allow_abbrev=False)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--rows", choices=("validation", "official"), default="validation")
    parser.add_argument("--coverage", type=float, default=0.9)
    asked = parser.parse_args()
    if importlib.util.find_spec("crepes") is None:
        print("sets are left out: they need another package: pip install crepes")
    tables = []
    for run in asked.runs:
        n, lines = figures_of(run, asked.rows, asked.coverage)
        print(f"{run.name}: {n:,} {asked.rows} rows; value [95 % interval]", *text_of(lines), "", sep="\n")
        tables.append(lines)
    if len(tables) > 1:
        print(f"{len(tables)} runs: mean [least, greatest]", *text_of(over_runs(tables)), sep="\n")


if __name__ == "__main__":
    main()
