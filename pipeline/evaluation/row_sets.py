"""The sets of rows that metrics are computed on."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.predictions import Predictions
from pipeline.run_folder import ROW_SETS


@dataclass(frozen=True)
class HeldRows:
    """A row set of one predictions.parquet: its split, what its rows are in words, and which of the N rows it holds."""

    split: str
    words: str
    held: NDArray[np.bool_]


RowSets = dict[str, HeldRows]


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
        **{name: predictions.split == name for name in ("train", "all")},
    }
    sets = {name: HeldRows(ROW_SETS[name].split, ROW_SETS[name].words, rows) for name, rows in held.items()}
    if not predictions.checked[of_split["validation"]].any():
        words = "all validation rows (copies in train were not looked for)"
        sets["validation"] = HeldRows("validation", words, of_split["validation"])
    sets = {name: rows for name, rows in sets.items() if rows.held.any()}
    if not sets:
        raise InputError(
            "predictions hold no clean validation rows and no rows of test, train or all, so nothing to evaluate"
        )
    return sets


def most_important(evaluation: Container[str]) -> str:
    """The row set to quote: `official` if test was opened, otherwise `validation`."""
    return next(name for name in ROW_SETS if name in evaluation)
