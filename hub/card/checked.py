"""What the card takes from the run's files is checked first: a figure that cannot be is refused, not printed."""

import sys
from collections.abc import Iterator, Mapping
from itertools import chain, product
from typing import Any

from pydantic import BaseModel, ValidationError

from hub.card import schema
from hub.card.metadata import sources_of
from pipeline.errors import InputError, first_line, printable
from pipeline.run_folder import CONFIG, CURATION, ENVIRONMENT, RECIPE, SEAL, Run
from pipeline.task import TASKS

NATS = 1000.0
"""No NLL of float32 logits that a model gives is larger."""
UNITS = 1e7
"""No error in the unit of a score is larger: scores are at most a million."""
TEMPERATURE = 10.0
"""No temperature that a run folds is larger, and no factor of a class."""
SUMMAND = 100.0
"""No summand of a class is larger."""
Ends = tuple[float, float]
SHARE: Ends = (0.0, 1.0)
ENDS: dict[str, Ends] = {"nll": (0.0, NATS), "kl": (0.0, NATS), "mae": (0.0, UNITS), "rmse": (0.0, UNITS),
                         "brier": (0.0, 2.0), "ccc": (-1.0, 1.0), "pearson": (-1.0, 1.0)}  # fmt: skip
"""The least and the largest value of a metric; all others are shares."""
SCHEMA: dict[str, type[BaseModel]] = {
    ENVIRONMENT: schema.Environment,
    CURATION: schema.Curation,
    CONFIG: schema.Config,
    RECIPE: schema.Recipe,
}
"""Of each file that has the same fields for every task; see `schema.EVALUATIONS` for evaluation.json."""


def check_run(run: Run) -> None:
    """Refuse figures and fields that no run writes.

    Raises:
        InputError: the file, the field, and what it holds.
    """
    if run.task not in schema.EVALUATIONS:
        tasks = " or ".join(schema.EVALUATIONS)
        raise InputError(f"{run.path / SEAL}: task is {_shown(run.task)}, not {tasks}: {_cure(run)}")
    _check_fields(run, SEAL, run.evaluation, schema.EVALUATIONS[run.task])
    for file, content in zip(SCHEMA, (run.environment, run.curation, run.config, run.recipe), strict=True):
        _check_fields(run, file, content, SCHEMA[file])
    _check_names(run)
    try:
        sources_of(run)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{run.path / CURATION}: the record of a source lacks a field ({first_line(error)}): restore the file, or "
            "train again"
        ) from None
    for place, value, ends in chain(_figures(run), _after_training(run)):
        if not _is_figure(value, ends):
            must = f"low <= value <= high, numbers from {ends[0]:g} to {ends[1]:g}"
            raise InputError(f"{run.path / SEAL}: {place} is {_shown(value)}, not {must}: {_cure(run)}")
    for place, value in _rows(run):
        if not _is_count(value) or isinstance(value, float):
            raise InputError(f"{run.path / SEAL}: {place} is {_shown(value)}, not a number of rows: {_cure(run)}")


def _check_fields(run: Run, file: str, content: Mapping[str, Any], fields: type[BaseModel]) -> None:
    """Hold a file against its schema; the first field that does not fit is reported.

    Raises:
        InputError: as `check_run`.
    """
    try:
        fields.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ", ".join(str(part) for part in first["loc"] if part != "[key]") or "the whole"
        what = "is missing" if first["type"] == "missing" else f"is {_shown(first['input'])}"
        cure = _cure(run) if file == SEAL else "restore the file, or train again"
        raise InputError(printable(f"{run.path / file}: {place[:200]} {what}: {cure}")) from None


def _check_names(run: Run) -> None:
    """Every class or score has a row in every table of them, and every split counts the same labels.

    Raises:
        InputError: as `check_run`.
    """
    used, parts = run.curation["rows_used"], "per_class" if run.classes else "per_score"
    if "train" not in used:
        raise InputError(f"{run.path / CURATION}: rows_used of train is missing: restore the file, or train again")
    tables = [(SEAL, name, rows[parts], run.outputs) for name, rows in _sets(run)]
    tables += [(CURATION, f"rows_used of {split}", rows, run.classes or used["train"]) for split, rows in used.items()]
    for file, place, table, names in tables:
        if missing := set(names) ^ set(table):
            raise InputError(f"{run.path / file}: {place} does not have the {TASKS[run.task].names} of the run, as for "
                             f"{_shown(min(missing))}: restore the file, or train again")  # fmt: skip


def _sets(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from run.row_sets.items()
    for source, sets in run.evaluation.get("per_source", {}).items():
        yield from ((f"per_source, {source}, {name}", rows) for name, rows in sets.items())


def _figures(run: Run) -> Iterator[tuple[str, Any, Ends]]:
    """Every value with an interval: where it is, the value, and the least and the largest that it can be."""
    for row_set, rows in _sets(run):
        for name in (*run.metrics, "human_agreement"):
            if name in rows:
                yield f"{name} of {row_set}", rows[name], ENDS.get(name, SHARE)
        for of_class, figures in rows.get("per_class", {}).items():
            for name in ("precision", "recall", "f1"):
                yield f"{name} of {of_class!r} in {row_set}", figures[name], SHARE
        for part, figures in (rows.get("per_score", {}) | rows.get("baselines", {})).items():
            yield from (
                (f"{n} of {part!r} in {row_set}", figures[n], ENDS.get(n, SHARE)) for n in run.metrics if n in figures
            )
        for part, found in (rows.get("screening") or {"found": {}})["found"].items():
            yield from ((f"{n} of {part!r} in {row_set}, screening", of, SHARE) for n, of in found.items())


def _after_training(run: Run) -> Iterator[tuple[str, Any, Ends]]:
    """What was folded into the last layer, and the thresholds of abstention."""
    calibration, shares = run.evaluation.get("calibration") or {}, run.evaluation.get("class_shares") or {}
    if "temperature" in calibration:
        yield "temperature of calibration", _exactly(calibration["temperature"]), (0.0, TEMPERATURE)
    for name, ends in (("factors", (0.0, TEMPERATURE)), ("summands", (-SUMMAND, SUMMAND))):
        if name in calibration:
            yield from ((f"{name} of calibration", _exactly(value), ends) for value in calibration[name])
            yield f"number of {name} of calibration", _exactly(len(calibration[name])), 2 * (len(run.classes),)
    if "skipped" not in calibration and calibration:
        for when, name in product(("before", "after"), ("nll", "ece")):
            figure = (calibration.get(when) or {}).get(name)
            yield f"calibration, {when}, {name}", figure, ENDS.get(name, SHARE)
    if shares:
        yield "tau of class_shares", _exactly(shares.get("tau")), SHARE
        for of, name in product(("expected", "assumed"), run.classes):
            yield f"{of} share of {name!r}", _exactly((shares.get(of) or {}).get(name)), SHARE
    for row_set, rows in run.row_sets.items():
        for point in rows.get("abstention", ()):
            yield f"accuracy of abstention in {row_set}", point.get("accuracy"), SHARE
            for name in ("not_sure_below", "answered"):
                yield f"{name} of abstention in {row_set}", _exactly(point.get(name)), SHARE


def _exactly(number: Any) -> dict[str, Any]:
    return {"value": number, "low": number, "high": number}


def _rows(run: Run) -> Iterator[tuple[str, Any]]:
    for row_set, rows in _sets(run):
        yield f"n of {row_set}", rows["n"]
        yield from ((f"rows of abstention in {row_set}", point.get("rows")) for point in rows.get("abstention", ()))
        for of_class, figures in rows.get("per_class", {}).items():
            yield f"support of {of_class!r} in {row_set}", figures["support"]
        yield from (
            (f"confusion_matrix of {row_set}", count) for line in rows.get("confusion_matrix", []) for count in line
        )


def _is_figure(value: Any, ends: Ends) -> bool:
    if not isinstance(value, Mapping) or not all(_is_finite(value.get(end)) for end in ("value", "low", "high")):
        return False
    low, middle, high, slack = value["low"], value["value"], value["high"], 1e-9  # of float arithmetic
    return bool(ends[0] - slack <= low <= middle + slack and middle - slack <= high <= ends[1] + slack)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # also whole numbers that no float holds


def _is_count(value: Any) -> bool:
    return _is_finite(value) and value > -1e-9


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _cure(run: Run) -> str:
    return f"make it again with python -m pipeline.evaluation {run.path}"
