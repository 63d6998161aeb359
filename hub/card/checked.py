"""What the card takes from the run's files is checked first: a figure that cannot be is refused, not printed."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import InputError
from pipeline.run_folder import ENVIRONMENT, SEAL, Run

NATS = 1000.0
"""No NLL of float32 logits that a model gives is larger."""
UNITS = 1e7
"""No error in the unit of a score is larger: scores are at most a million."""
SHARE = (0.0, 1.0)
ENDS = {"nll": (0.0, NATS), "kl": (0.0, NATS), "mae": (0.0, UNITS), "rmse": (0.0, UNITS), "ccc": (-1.0, 1.0),
        "pearson": (-1.0, 1.0)}  # fmt: skip
"""The least and the largest value of a metric; all others are shares."""
WORDS = {"git_revision": r"[0-9a-f]{7,64}(-dirty)?", "precision": r"[a-z]+[0-9]+", "python": r"[0-9][\w.+-]{0,30}",
         "checkpoint_sha256": r"[0-9a-f]{64}"}  # fmt: skip
"""Fields of environment.json that stand in code or in a cell of the card, and what they may be."""
COUNTS = ("wall_seconds", "train_seconds", "pictures_per_second", "processes", "cores")


def check_run(run: Run) -> None:
    """Refuse figures and fields that no run writes.

    Raises:
        InputError: the file, the field, and what it holds.
    """
    for place, value, ends in _figures(run):
        if not _is_figure(value, ends):
            must = f"low <= value <= high, numbers from {ends[0]:g} to {ends[1]:g}"
            raise InputError(f"{run.path / SEAL}: {place} is {_shown(value)}, not {must}: {_cure(run)}")
    for place, value in _rows(run):
        if not _is_count(value) or isinstance(value, float):
            raise InputError(f"{run.path / SEAL}: {place} is {_shown(value)}, not a number of rows: {_cure(run)}")
    for name, pattern in WORDS.items():
        word = run.environment.get(name)
        if word is not None and not (isinstance(word, str) and re.fullmatch(pattern, word)):
            raise InputError(f"{run.path / ENVIRONMENT}: {name} is {_shown(word)}: restore the file, or train again")
    for name in COUNTS:
        if not _is_count(run.environment.get(name, 0)):
            shown = _shown(run.environment[name])
            raise InputError(f"{run.path / ENVIRONMENT}: {name} is {shown}: restore the file, or train again")


def _sets(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from run.row_sets.items()
    for source, sets in run.evaluation.get("per_source", {}).items():
        yield from ((f"per_source, {source}, {name}", rows) for name, rows in sets.items())


def _figures(run: Run) -> Iterator[tuple[str, Any, tuple[float, float]]]:
    """Every value with an interval: where it is, the value, and the least and the largest that it can be."""
    for row_set, rows in _sets(run):
        for name in (*run.metrics, "human_agreement"):
            if name in rows:
                yield f"{name} of {row_set}", rows[name], ENDS.get(name, SHARE)
        for of_class, figures in rows.get("per_class", {}).items():
            for name in ("precision", "recall", "f1"):
                yield f"{name} of {of_class!r} in {row_set}", figures[name], SHARE
        for part, figures in (rows.get("per_score", {}) | rows.get("baselines", {})).items():
            yield from ((f"{n} of {part!r} in {row_set}", figures[n], ENDS[n]) for n in run.metrics if n in figures)


def _rows(run: Run) -> Iterator[tuple[str, Any]]:
    for row_set, rows in _sets(run):
        yield f"n of {row_set}", rows["n"]
        yield from ((f"{name} of {row_set}", rows[name]) for name in ("pictures", "persons") if rows.get(name))
        for of_class, figures in rows.get("per_class", {}).items():
            yield f"support of {of_class!r} in {row_set}", figures["support"]
        yield from (
            (f"confusion_matrix of {row_set}", count) for line in rows.get("confusion_matrix", []) for count in line
        )


def _is_figure(value: Any, ends: tuple[float, float]) -> bool:
    if not isinstance(value, Mapping) or not all(_is_finite(value.get(end)) for end in ("value", "low", "high")):
        return False
    low, middle, high, slack = value["low"], value["value"], value["high"], 1e-9  # of float arithmetic
    return bool(ends[0] - slack <= low <= middle + slack and middle - slack <= high <= ends[1] + slack)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_finite(value) and value > -1e-9


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _cure(run: Run) -> str:
    return f"make it again with python -m pipeline.evaluation {run.path}"
