"""What a model said, as predictions.parquet holds it, and the sets of its rows that figures are taken on."""

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.run_folder import ROW_SETS

COLUMNS = ("split", "source", "key", "label", "target", "logits", "clean", "clean_near")


@dataclass(frozen=True)
class HeldRows:
    """A row set of one predictions.parquet: its split, what its rows are in words, and which of the N rows it holds."""

    split: str
    words: str
    held: NDArray[np.bool_]


RowSets = dict[str, HeldRows]


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


def row_sets(predictions: Predictions) -> RowSets:
    """The row sets that have rows, by name, validation first.

    Raises:
        InputError: no set has rows.
    """
    of_split = {split: predictions.split == split for split in ("validation", "test")}
    held = {
        "validation": of_split["validation"] & predictions.clean,
        "official": of_split["test"],
        "clean": of_split["test"] & predictions.clean,
        "clean_near": of_split["test"] & predictions.clean_near,
    }
    sets = {name: HeldRows(ROW_SETS[name].split, ROW_SETS[name].words, rows) for name, rows in held.items()}
    if not predictions.checked[of_split["validation"]].any():
        words = "all validation rows (copies in train were not looked for)"
        sets["validation"] = HeldRows("validation", words, of_split["validation"])
    sets = {name: rows for name, rows in sets.items() if rows.held.any()}
    if not sets:
        raise InputError("predictions hold no clean validation rows and no test rows: there is nothing to evaluate")
    return sets


def most_important(evaluation: Container[str]) -> str:
    """The row set to quote: `official` if test was opened, otherwise `validation`."""
    return next(name for name in ROW_SETS if name in evaluation)
