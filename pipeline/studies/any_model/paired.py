"""Two evaluations on the rows that both have: the difference in accuracy, its interval and its p value."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import row_sets
from pipeline.run_folder import PREDICTIONS
from pipeline.studies.comparison import paired_difference


@dataclass(frozen=True)
class Other:
    """Another evaluation: its folder as it was typed, and its predictions."""

    name: str
    predictions: Predictions


def read_other(folder: Path) -> Other:
    """The predictions in a folder of this command, or in a run folder.

    Raises:
        InputError: there are none, they cannot be read, or they are scores.
    """
    if not (folder / PREDICTIONS).is_file():
        raise InputError(f"against {folder} has no {PREDICTIONS}: give a run folder, or an earlier --output_dir")
    predictions = read_predictions(folder / PREDICTIONS)
    if predictions.scores:
        raise InputError(f"against {folder} predicts scores: give a run with classes")
    return Other(str(folder), predictions)


def compare(ours: Predictions, other: Other) -> dict[str, Any]:
    """Ours less theirs on each row set, on the rows of it that both have.

    Returns:
        `rows` (how many both have, and each only), and by row set the differences in `accuracy` and in the recall of
        each class, as `{n, value, low, high, p}`.

    Raises:
        InputError: they are for other classes, have no row in common, one of them names a row twice, or labels differ.
    """
    theirs = other.predictions
    if theirs.classes != ours.classes:
        raise InputError(
            f"against {other.name} is for the classes {', '.join(theirs.classes)}, and this evaluation for "
            f"{', '.join(ours.classes)}; only equal classes can be compared"
        )
    places, others = _places(ours, "this evaluation"), _places(theirs, other.name)
    both = sorted(places.keys() & others.keys())
    if not both:
        raise InputError(
            f"against {other.name}: no row in common; here is {' '.join(min(places))}, there {' '.join(min(others))}"
        )
    mine, other_rows = (np.array([of[row] for row in both]) for of in (places, others))
    _refuse_other_labels(ours, theirs, mine, other_rows, other.name)
    right = [p.logits[rows].argmax(1) == p.label[rows] for p, rows in ((ours, mine), (theirs, other_rows))]
    found: dict[str, Any] = {
        "rows": {"both": len(both), "only_here": len(places) - len(both), "only_there": len(others) - len(both)}
    }
    for name, rows in row_sets(ours).items():
        if (held := rows.held[mine]).any():
            found[name] = _differences(ours, right[0], right[1], held, ours.label[mine])
    return found


def _places(predictions: Predictions, name: str) -> dict[tuple[str, str], int]:
    """(source, key) -> position."""
    rows = list(zip(predictions.source.tolist(), predictions.key.tolist(), strict=True))
    places = {row: place for place, row in enumerate(rows)}
    if len(places) < len(rows):
        twice = next(row for place, row in enumerate(rows) if places[row] != place)
        raise InputError(f"{name} holds {' '.join(twice)} twice: rows of one name cannot be compared")
    return places


def _refuse_other_labels(
    ours: Predictions, theirs: Predictions, mine: NDArray[np.int64], others: NDArray[np.int64], name: str
) -> None:
    differ = np.flatnonzero(ours.label[mine] != theirs.label[others])
    if len(differ):
        first = int(differ[0])
        labels = " and ".join(ours.classes[p.label[rows[first]]] for p, rows in ((ours, mine), (theirs, others)))
        key = ours.key[mine[first]]
        raise InputError(
            f"against {name}: {len(differ):,} of {len(mine):,} rows have another label there, such as {key} "
            f"({labels}); only evaluations by the same labels can be compared: use the same data and label_rule"
        )


def _differences(
    ours: Predictions,
    right: NDArray[np.bool_],
    theirs_right: NDArray[np.bool_],
    held: NDArray[np.bool_],
    label: NDArray[np.int32],
) -> dict[str, Any]:
    kinds = {"accuracy": held} | {
        f"recall_{name}": held & (label == k) for k, name in enumerate(ours.classes) if (held & (label == k)).any()
    }
    return {
        name: asdict(paired_difference(right[None, rows], theirs_right[None, rows], ours.resamples, ours.seed))
        for name, rows in kinds.items()
    }


def lines_of(name: str, compared: dict[str, Any]) -> list[str]:
    """What to print of `compare`."""
    rows = compared["rows"]
    lines = [
        f"less {name}: {rows['both']:,} rows in common ({rows['only_here']:,} only here, {rows['only_there']:,} only "
        "there); difference, 95 % over rows, p of the exact paired randomisation test"
    ]
    for row_set, of in compared.items():
        if row_set != "rows":
            one = of["accuracy"]
            lines.append(
                f"  {row_set:12} n {one['n']:>6,}  accuracy {one['value']:+.3f}  "
                f"[{one['low']:+.3f}, {one['high']:+.3f}]  p {one['p']:.3f}"
            )
    return lines
