"""One recipe under several seeds: its metrics as mean and range over the seeds, with the interval over rows.

The only input is the predictions.parquet of each run. The interval is the 95 % percentile bootstrap of the mean over
seeds, over rows as in `pipeline.evaluation.values`: all runs are evaluated on the same resamples.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import row_sets
from pipeline.evaluation.values import estimate, metric_values, resampled_values
from pipeline.run_folder import PREDICTIONS, SEAL
from pipeline.studies import ONLY_CLASSES

SHOWN = {name: metric.title for name, metric in METRICS.items() if metric.table}
"""Metrics that a study shows, and their titles."""


@dataclass(frozen=True)
class Study:
    """What S runs predicted on the N rows of one set, in the order of the rows' names."""

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
    """A metric over the seeds: mean, least and greatest value, and the interval of the mean over rows."""

    mean: float
    least: float
    greatest: float
    low: float
    high: float


def finished_runs(path: Path) -> list[Path]:
    """The run at `path`, or the finished runs of the study whose output_dir it is.

    Raises:
        InputError: there is none.
    """
    found = [path] if (path / SEAL).is_file() else [
        seal.parent
        for seal in path.parent.glob(f"*/{SEAL}")
        if re.fullmatch(rf"{re.escape(path.name)}-seed-\d+", seal.parent.name)
    ]  # fmt: skip
    if not found:
        raise InputError(f"{path}: no finished run here, and no {path.name}-seed-N beside it")
    return sorted(found)


def row_sets_of(runs: Sequence[Path]) -> list[str]:
    """Names of the row sets that all runs have, in the order of `pipeline.evaluation.row_sets`.

    Raises:
        InputError: a file cannot be read, or a run predicts scores.
    """
    each = [row_sets(_of_classes(run / PREDICTIONS)) for run in runs]
    return [name for name in each[0] if all(name in sets for sets in each)]


def read_study(runs: Sequence[Path], row_set: str) -> Study:
    """Finished runs on one of their row sets.

    Raises:
        InputError: a file cannot be read, lacks the row set or names a row twice; or the runs differ in their classes,
            rows or labels.
    """
    each = [_read_run(run / PREDICTIONS, row_set) for run in runs]
    for run, one in zip(runs, each, strict=True):
        refuse_other_rows(each[0], one, f"{runs[0]} and {run}")
    first, logits = each[0], np.concatenate([one.logits for one in each])
    seeds = [one.seeds[0] for one in each]
    return Study(row_set, first.classes, first.rows, first.label, first.target, logits, seeds, first.resamples)


def _of_classes(path: Path) -> Predictions:
    read = read_predictions(path)
    if read.scores:
        raise InputError(f"{path}: {ONLY_CLASSES}")
    return read


def _read_run(path: Path, row_set: str) -> Study:
    read = _of_classes(path)
    sets = row_sets(read)
    if row_set not in sets:
        raise InputError(f"{path} has no {row_set} rows (it has {', '.join(sets)})")
    held = np.flatnonzero(sets[row_set].held)
    held = held[np.lexsort((read.key[held], read.source[held]))]
    rows = np.stack([read.source[held], read.key[held]], axis=1)
    twice = np.flatnonzero((rows[1:] == rows[:-1]).all(1))
    if len(twice):
        raise InputError(f"{path} holds {' '.join(rows[twice[0]])} twice: rows of one name cannot be compared")
    logits = read.logits[held][None]
    return Study(row_set, read.classes, rows, read.label[held], read.target[held], logits, [read.seed], read.resamples)


def refuse_other_rows(one: Study, other: Study, which: str) -> None:
    """Studies are compared row by row, so they need the same rows.

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


def over_seeds(study: Study, watched: Sequence[str]) -> dict[str, OverSeeds]:
    """The metrics of `SHOWN`, and `recall_<class>` of each class in `watched`; without those that are not defined."""
    points = [metric_values(logits, study.label, study.target) for logits in study.logits]
    samples = [
        resampled_values(logits, study.label, study.target, study.resamples, study.seeds[0]) for logits in study.logits
    ]
    picks: dict[str, tuple[str, Any]] = {name: (name, ...) for name in SHOWN}
    picks |= {f"recall_{of_class}": ("recall", (..., study.classes.index(of_class))) for of_class in watched}
    found = {}
    for name, (metric, index) in picks.items():
        values = [float(point[metric][index]) for point in points]
        resampled = [sample[metric][index] for sample in samples]
        over_all = estimate(metric, float(np.mean(values)), np.mean(resampled, axis=0))
        of_seeds = [estimate(metric, *of_seed) for of_seed in zip(values, resampled, strict=True)]
        if over_all is not None:
            mean, *ends = over_all
            single = [of_seed[0] for of_seed in of_seeds if of_seed is not None]
            found[name] = OverSeeds(mean, min(single), max(single), *ends)
    return found
