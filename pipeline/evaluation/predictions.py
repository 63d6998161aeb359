"""predictions.parquet: the scores of a model on every evaluated picture. All metrics are computed from this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.errors import InputError
from pipeline.task import DEFAULT

if TYPE_CHECKING:
    import datasets

COLUMNS = {
    "split": pa.string(),
    "source": pa.string(),
    "key": pa.string(),
    "label": pa.int32(),
    "target": pa.list_(pa.float32()),
    "logits": pa.list_(pa.float32()),
    "clean": pa.bool_(),
    "clean_near": pa.bool_(),
}
"""Columns of predictions.parquet, one row per picture. `clean*` are null where copies were not looked for."""

MIRRORED = "mirrored"
"""Column of runs with `flip_average`: logits of the mirrored pictures."""

PERSON = "person"
"""Column where persons are known: a number for each, as text, null where nobody is known. It names nobody."""

LINEAR = "linear"
"""Column of runs with scores: what a linear model on pixels predicts (see `pipeline/training/linear.py`)."""

ABOUT = ("classes", "label_rule", "seed", "resamples", "recipe")
"""What the file's own metadata holds under `fer`; newer files hold `calibration` and `class_shares` too."""
OF_SCORES: dict[str, Any] = {"task": DEFAULT, "scores": {}, "score_of": "picture", "screening_cut": None}
"""What it holds beside them in runs with scores, and what holds for other runs."""


@dataclass(frozen=True)
class Calibration:
    """What a run folded into its last layer: a temperature, or a factor and a summand of each class. `skipped` says why
    there is neither.

    `rows` are the validation rows that it was fitted on, and `targets` what it was fitted to: votes or labels.
    """

    rows: int
    targets: str
    temperature: float | None = None
    factors: Sequence[float] | None = None
    summands: Sequence[float] | None = None
    skipped: str = ""

    def undone(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits (N, K) as trained, of those that the saved model gives."""
        if self.temperature is not None:
            return logits * np.float32(self.temperature)
        if self.factors is None or self.summands is None:
            return logits
        factors, summands = (np.array(each, np.float32) for each in (self.factors, self.summands))
        trained: NDArray[np.float32] = (logits - summands) / factors
        return trained

    def as_json(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True)
class Expected:
    """Class shares `(K,)` that logits were set to after training, those that they assumed before, and how far."""

    expected: class_shares.Shares
    assumed: class_shares.Shares
    tau: float

    @property
    def log_ratios(self) -> class_shares.Shares:
        """What was added to the logits `(K,)`."""
        return class_shares.log_ratios(self.expected, self.assumed, self.tau)

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Shares by class."""
        by_class = {name: class_shares.as_json(getattr(self, name), classes) for name in ("expected", "assumed")}
        return by_class | {"tau": self.tau}


@dataclass(frozen=True)
class Predictions:
    """The columns of predictions.parquet as arrays of N rows, and its metadata.

    Where copies were not looked for, `checked`, `clean` and `clean_near` are False.
    """

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
    mirrored: NDArray[np.float32] | None = None  # logits of the mirrored pictures
    person: NDArray[np.str_] | None = None  # a number, "" where nobody is known; None if no row has a person
    calibration: Calibration | None = None
    class_shares: Expected | None = None  # None: those of training
    task: str = DEFAULT
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # score -> low, mean, high, sd in train
    score_of: str = "picture"
    screening_cut: float | None = None
    linear: NDArray[np.float32] | None = None

    @property
    def outputs(self) -> list[str]:
        """Names of the K outputs of the model: the classes, or the scores."""
        return self.classes or list(self.scores)


def read_predictions(path: Path) -> Predictions:
    """Read predictions.parquet and its metadata.

    Raises:
        InputError: not a parquet file, a missing column or metadata, no rows, or values that do not fit the classes.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}: it is not a predictions file of this project")
    try:
        written = json.loads((table.schema.metadata or {})[b"fer"])
        about = {name: written[name] for name in ABOUT} | {n: written.get(n, of) for n, of in OF_SCORES.items()}
        about |= _after_training(written)
    except (KeyError, ValueError, TypeError, InputError) as error:
        raise InputError(f"{path} lacks metadata of this project ({error}): evaluate the model again") from None
    if not table.num_rows or about["resamples"] < 1:
        raise InputError(f"{path} holds {table.num_rows} rows for {about['resamples']} resamples; both must be above 0")
    label = table["label"].fill_null(-1).to_numpy()
    names = [name for name in ("target", "logits", MIRRORED, LINEAR) if name in table.column_names]
    try:
        scores = {name: np.array(table[name].to_pylist(), dtype=np.float32) for name in names}
    except (TypeError, ValueError):
        raise InputError(f"{path}: rows of {' or '.join(names)} differ in length or are empty") from None
    outputs = about["classes"] or list(about["scores"])
    shape, first = (len(label), len(outputs)), 0 if about["classes"] else -1  # rows with scores have no label
    if any(values.shape != shape for values in scores.values()) or label.min() < first or label.max() >= shape[1]:
        kind = "classes" if about["classes"] else "scores"
        raise InputError(f"{path}: label, {' and '.join(names)} do not fit the {shape[1]} {kind} in its metadata")
    bad = np.flatnonzero(~np.all([np.isfinite(values).all(1) for values in scores.values()], axis=0))
    if len(bad):
        raise InputError(f"{path}: row {bad[0]} ({table['key'][bad[0]]}) has logits or a target that is not finite")
    split, source, key = (np.array(table[name].to_pylist()) for name in ("split", "source", "key"))
    checked = table["clean"].is_valid().to_numpy()
    clean, clean_near = (table[name].fill_null(False).to_numpy() for name in ("clean", "clean_near"))
    columns = {"split": split, "source": source, "key": key, "label": label, **scores}
    if PERSON in table.column_names:
        columns[PERSON] = np.array(table[PERSON].cast(pa.string()).fill_null("").to_pylist())
    return Predictions(**columns, checked=checked, clean=clean, clean_near=clean_near, **about)


def _after_training(written: Mapping[str, Any]) -> dict[str, Any]:
    """What was folded into the last layer; nothing in files from before there was anything."""
    calibration, shares, classes = written.get("calibration"), written.get("class_shares"), written["classes"]
    if shares is not None:
        of = {name: class_shares.from_mapping(shares[name], classes, name) for name in ("expected", "assumed")}
        shares = Expected(**of, tau=float(shares["tau"]))
    return {"calibration": calibration and Calibration(**calibration), "class_shares": shares}


def write_predictions(
    path: Path,
    tables: dict[str, datasets.Dataset],
    logits: dict[str, np.ndarray],
    about: dict[str, Any],
    mirrored: dict[str, np.ndarray] | None = None,
    persons: list[str | None] | None = None,
    linear: dict[str, np.ndarray] | None = None,
) -> None:
    """Write predictions.parquet: the mapped table of each split beside its logits `(N, K) float32`.

    `about` holds the values of `ABOUT`, `calibration` as JSON if there is one, and those of `OF_SCORES` in a run with
    scores; `mirrored` the logits of the mirrored pictures, `persons` those of the rows of all splits in their order
    (see `numbered_persons`), and `linear` the predictions `(N, K)` of a linear model on pixels.
    """
    scored = bool(about.get("scores"))
    parts = [_rows(split, table, logits[split], scored) for split, table in tables.items()]
    for name, values in ((MIRRORED, mirrored), (LINEAR, linear)):
        if values is not None:
            parts = [
                part.append_column(name, [pa.array(list(values[split]), COLUMNS["logits"])])
                for part, split in zip(parts, tables, strict=True)
            ]
    table = pa.concat_tables(parts)
    if persons is not None:
        table = table.append_column(PERSON, pa.array(persons, pa.string()))
    pq.write_table(table.replace_schema_metadata({"fer": json.dumps(about)}), path)


def numbered_persons(tables: Mapping[str, datasets.Dataset]) -> list[str | None] | None:
    """A number for the person of each row of all mapped tables, None where nobody is known; None if no row has one.

    Equal names in two sources are different people.
    """
    rows = [
        (source, person)
        for table in tables.values()
        for source, person in zip(table["source"][:], table["person"][:], strict=True)
    ]
    known = dict.fromkeys(row for row in rows if row[1] is not None)
    if not known:
        return None
    number: dict[Any, str] = {row: str(n) for n, row in enumerate(known)}
    return [number.get(row) for row in rows]


def write_expected(path: Path, expected: Expected) -> None:
    """Set the logits of a predictions.parquet to other class shares, as a shift in the last layer does."""
    table = pq.ParquetFile(path).read()
    about = json.loads(table.schema.metadata[b"fer"])
    about["class_shares"] = expected.as_json(about["classes"])
    for name in ("logits", MIRRORED):
        if name in table.column_names:
            logits = np.array(table[name].to_pylist(), dtype=np.float32) + expected.log_ratios.astype(np.float32)
            table = table.set_column(table.column_names.index(name), name, pa.array(list(logits), COLUMNS["logits"]))
    pq.write_table(table.replace_schema_metadata({"fer": json.dumps(about)}), path)


def _rows(split: str, table: datasets.Dataset, logits: np.ndarray, scored: bool) -> pa.Table:
    values = {"split": [split] * len(table), "logits": list(logits)}
    if scored:
        values["label"] = [None] * len(table)  # those of the table are the strata of splits
    values |= {name: table[name][:] for name in COLUMNS if name not in values}
    return pa.table({name: pa.array(values[name], kind) for name, kind in COLUMNS.items()})
