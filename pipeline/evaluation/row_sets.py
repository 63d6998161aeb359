"""The sets of rows that metrics are computed on."""

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.predictions import Predictions

ROW_SETS = ("official", "clean", "clean_near", "validation")
"""Names of row sets in `evaluation.json`, the one that speaks for the model first."""

RowSets = dict[str, tuple[str, str, NDArray[np.bool_]]]


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


def most_important(evaluation: Container[str]) -> str:
    """The row set that speaks for the model: `official` where test was opened, else `validation`."""
    return next(name for name in ROW_SETS if name in evaluation)
