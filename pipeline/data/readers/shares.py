"""Columns called as the classes that hold a share or a count each: targets, and the label that leads."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.data.readers.roles import share_parts
from pipeline.errors import InputError
from pipeline.expressions import canonical
from pipeline.settings.recipe import Recipe

TRUTH = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}


def labels_of_shares(
    cells: Sequence[Sequence[str | None]], columns: Sequence[str], recipe: Recipe, place: Callable[[int], str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str | None]]:
    """Labels (N,), -1 where a row is left out, reasons (N,), targets (N, K), and the name of the leading column (N).

    A row is left out where it is empty, where two columns lead, or where the leading column is none of the classes.
    Targets are the shares of the classes, so that they sum to 1.

    Args:
        cells: N rows with a cell for each of `columns`.
        columns: names of expressions.
        recipe: its classes and `class_map` decide.
        place: names a row in a message.

    Raises:
        InputError: a cell is not a number of at least 0.
    """
    values = np.array([[_share(cell, place, row) for cell in each] for row, each in enumerate(cells)], dtype=np.float64)
    values = values.reshape(-1, len(columns))
    words = [parts[1] if (parts := share_parts(column)) else column for column in columns]
    meanings = [canonical(word, recipe.classes, recipe.class_map) for word in words]
    into = np.zeros((len(columns), len(recipe.classes)))
    for column, meaning in enumerate(meanings):
        if meaning is not None:
            into[column, recipe.classes.index(meaning)] = 1
    outside = [column for column, meaning in enumerate(meanings) if meaning is None]
    names = [*recipe.classes, *(words[column].strip().lower() for column in outside)]
    grouped = np.hstack([values @ into, values[:, outside]])
    best = grouped.max(1, initial=0)
    leading = grouped.argmax(1) if grouped.size else np.zeros(len(values), int)
    reasons = np.array([names[i] if i >= len(recipe.classes) else "" for i in leading], dtype=object)
    reasons[(grouped == best[:, None]).sum(1) > 1] = "tie"
    reasons[best == 0] = "no label"
    labels = np.where(reasons == "", leading, -1).astype(np.int64)
    shares = (values @ into).astype(np.float32)
    targets = shares / np.maximum(shares.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    shown: list[str | None] = [
        None if best[row] == 0 else columns[int(values[row].argmax())] for row in range(len(values))
    ]
    return labels, reasons, targets.astype(np.float32), shown


def _share(cell: str | None, place: Callable[[int], str], row: int) -> float:
    try:
        value = TRUTH.get((cell or "0").casefold(), -1.0) if cell and cell.isalpha() else float(cell or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise InputError(f"{place(row)}: {cell!r} is not a share or a count; expected a number of at least 0")
    return value
