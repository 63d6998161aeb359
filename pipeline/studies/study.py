"""One recipe under several seeds: its figures as mean and range over the seeds, with the interval over rows.

From the predictions.parquet of each run alone. The interval is the 95 % percentile bootstrap of the mean over seeds,
over rows as in `pipeline.evaluation.evaluate`: all runs are taken on the same resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.evaluate import INTERVAL
from pipeline.evaluation.metrics import bootstrap_figures, point_figures
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.row_sets import row_sets


@dataclass(frozen=True)
class Study:
    """What S runs said on the N rows of one set, in the order of the rows' names."""

    row_set: str
    classes: list[str]
    rows: NDArray[np.str_]  # (N, 2): source and key
    label: NDArray[np.int32]  # (N,)
    target: NDArray[np.float32]  # (N, K)
    logits: NDArray[np.float32]  # (S, N, K)
    seeds: list[int]
    resamples: int

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether a run's largest logit on a row is that of the label: (S, N)."""
        return self.logits.argmax(2) == self.label


@dataclass(frozen=True)
class OverSeeds:
    """A figure over the seeds: its mean, the least and greatest of them, and the interval of the mean over rows."""

    mean: float
    least: float
    greatest: float
    low: float
    high: float


def row_sets_of(runs: Sequence[Path]) -> list[str]:
    """Names of the row sets that all runs have, in the order of `pipeline.evaluation.row_sets`."""
    each = [row_sets(read_predictions(run / "predictions.parquet")) for run in runs]
    return [name for name in each[0] if all(name in sets for sets in each)]


def read_study(runs: Sequence[Path], row_set: str) -> Study:
    """Finished runs on one of their row sets.

    Raises:
        InputError: a file cannot be read, lacks the row set or names a row twice; or the runs differ in their classes,
            rows or labels.
    """
    each = [_read_run(run / "predictions.parquet", row_set) for run in runs]
    for run, one in zip(runs, each, strict=True):
        refuse_other_rows(each[0], one, f"{runs[0]} and {run}")
    first, logits = each[0], np.concatenate([one.logits for one in each])
    seeds = [one.seeds[0] for one in each]
    return Study(row_set, first.classes, first.rows, first.label, first.target, logits, seeds, first.resamples)


def _read_run(path: Path, row_set: str) -> Study:
    told = read_predictions(path)
    sets = row_sets(told)
    if row_set not in sets:
        raise InputError(f"{path} has no {row_set} rows (it has {', '.join(sets)})")
    held = np.flatnonzero(sets[row_set][2])
    held = held[np.lexsort((told.key[held], told.source[held]))]
    rows = np.stack([told.source[held], told.key[held]], axis=1)
    twice = np.flatnonzero((rows[1:] == rows[:-1]).all(1))
    if len(twice):
        raise InputError(f"{path} holds {' '.join(rows[twice[0]])} twice: its rows cannot be told apart by their names")
    logits = told.logits[held][None]
    return Study(row_set, told.classes, rows, told.label[held], told.target[held], logits, [told.seed], told.resamples)


def refuse_other_rows(one: Study, other: Study, which: str) -> None:
    """A row is compared with itself alone.

    Raises:
        InputError: classes, rows or labels differ; `which` names the two.
    """
    which = f"{which}, {one.row_set} rows"
    if one.classes != other.classes:
        raise InputError(f"{which}: the classes are {', '.join(one.classes)} and {', '.join(other.classes)}")
    first, second = ({(*row,) for row in study.rows.tolist()} for study in (one, other))
    if first != second:
        raise InputError(
            f"{which}: {len(first - second)} of the first and {len(second - first)} of the second have no partner, "
            f"such as {' '.join(min(first ^ second))}; only runs on the same rows can be compared"
        )
    differ = np.flatnonzero(one.label != other.label)
    if len(differ):
        row = int(differ[0])
        labels = " and ".join(one.classes[study.label[row]] for study in (one, other))
        raise InputError(
            f"{which}: {len(differ)} have two labels, such as {' '.join(one.rows[row])} ({labels}); only runs on "
            "the same labels can be compared"
        )


def figures_of(study: Study, watched: Sequence[str]) -> dict[str, OverSeeds]:
    """`accuracy`, `macro_f1`, `nll`, `ece`, and `recall_<class>` of each class in `watched`."""
    points = [point_figures(logits, study.label, study.target) for logits in study.logits]
    draws = [
        bootstrap_figures(logits, study.label, study.target, study.resamples, study.seeds[0]) for logits in study.logits
    ]
    tail, figures = 50 * (1 - INTERVAL), {}
    for name in ("accuracy", "macro_f1", "nll", "ece", *(f"recall_{name}" for name in watched)):
        of_class = name.removeprefix("recall_")
        figure, pick = (name, ...) if of_class == name else ("recall", (..., study.classes.index(of_class)))
        values = np.array([point[figure][pick] for point in points])
        drawn = np.mean([draw[figure][pick] for draw in draws], axis=0)
        low, high = np.percentile(drawn, (tail, 100 - tail))
        mean = float(values.mean())
        # The calibration error of a resample is biased upwards: see `pipeline.evaluation.evaluate`.
        ends = (min(float(low), mean), max(float(high), mean))
        figures[name] = OverSeeds(mean, float(values.min()), float(values.max()), *ends)
    return figures
