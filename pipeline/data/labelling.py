"""What curation asks of each task: when two rows contradict each other, what train must hold, what the report adds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from pipeline.data.leaks import Leaks, refuse_shared_persons
from pipeline.data.report import few_rows, per_class
from pipeline.data.rows import Rows
from pipeline.data.scores import described, one_sided, refuse_constant, refuse_unequal
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


class Labelling(Protocol):
    """One task's part of curation."""

    def answers(self, rows: Rows) -> np.ndarray:
        """A number for each row, (N,) int, equal for rows that are labelled alike."""

    def refuse_persons(self, rows: Rows, leaks: Leaks, recipe: Recipe) -> None:
        """Stop at persons that the task does not allow, beyond what `leaks` refuses."""

    def refuse_gaps(self, rows: Rows, train: np.ndarray, present: Sequence[str], recipe: Recipe) -> None:
        """Stop if the rows marked as `train`, (N,) bool, cannot teach the task."""

    def warning(self, report: Mapping[str, Any]) -> str:
        """What will be uncertain; "" if nothing is."""

    def report(self, splits: Mapping[str, Rows], recipe: Recipe) -> dict[str, Any]:
        """What `curation.json` says beside what it says of every task."""


class OfClasses:
    """Every class needs a row in train."""

    def answers(self, rows: Rows) -> np.ndarray:
        return rows.label

    def refuse_persons(self, rows: Rows, leaks: Leaks, recipe: Recipe) -> None:
        pass

    def refuse_gaps(self, rows: Rows, train: np.ndarray, present: Sequence[str], recipe: Recipe) -> None:
        counts = per_class(rows.label[train], recipe.classes)
        missing = [name for name, count in counts.items() if not count]
        if not missing:
            return
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        others = [name for name in recipe.classes if name not in missing]
        elsewhere = np.isin(rows.label, [recipe.classes.index(name) for name in missing]) & ~train
        where = ", ".join(f"{s} {n}" for s in present if s != "train" and (n := int(elsewhere[rows.split == s].sum())))
        without = f", or set --classes '[{', '.join(others)}]'" if len(others) > 1 else ""
        listed += f"; other splits have {where}" if where else ""
        raise InputError(f"train has no row of {', '.join(missing)} ({listed}): add pictures{without}")

    def warning(self, report: Mapping[str, Any]) -> str:
        return few_rows(report)

    def report(self, splits: Mapping[str, Rows], recipe: Recipe) -> dict[str, Any]:
        return {}


class OfScores:
    """A score must differ between the rows of every split, and a person is in one split only."""

    def answers(self, rows: Rows) -> np.ndarray:
        alike: np.ndarray = np.unique(_scores(rows), axis=0, return_inverse=True)[1].ravel()
        return alike

    def refuse_persons(self, rows: Rows, leaks: Leaks, recipe: Recipe) -> None:
        refuse_shared_persons(replace(rows, split=np.where(leaks.dropped, "dropped", rows.split)))
        unnamed = np.array([who is None for who in rows.person], dtype=bool) & (rows.split != "train")
        if recipe.score_of == "person" and unnamed.any():
            raise InputError(
                f"score_of is person, and {unnamed.sum():,} rows of validation and test name none, the first "
                f"{rows.key[unnamed][0]}: name the column of persons with --person_column, or add the missing persons"
            )
        if recipe.score_of == "person":
            refuse_unequal(_scores(rows)[~leaks.dropped], rows.person[~leaks.dropped], rows.key[~leaks.dropped], recipe)

    def refuse_gaps(self, rows: Rows, train: np.ndarray, present: Sequence[str], recipe: Recipe) -> None:
        scores = _scores(rows)
        refuse_constant(scores[train], "train", recipe)
        for split in present:
            if split != "train":
                refuse_constant(scores[rows.split == split], split, recipe)

    def warning(self, report: Mapping[str, Any]) -> str:
        return str(report.get("one_sided", ""))

    def report(self, splits: Mapping[str, Rows], recipe: Recipe) -> dict[str, Any]:
        said = one_sided(_scores(splits["validation"]), recipe)
        scores = {split: described(_scores(rows), recipe) for split, rows in splits.items()}
        return {"scores": scores} | ({"one_sided": said} if said else {})


def _scores(rows: Rows) -> np.ndarray:
    """The column `target`, (N, K) float32."""
    return np.asarray(rows.table.with_format("numpy")["target"][:], dtype=np.float32)


LABELLINGS: Mapping[str, Labelling] = {"classification": OfClasses(), "regression": OfScores()}
