"""Sources in, splits out: drop unusable pictures, make missing splits, find copies and persons, count everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import DatasetDict, Value

from pipeline.data.leaks import VALIDATION_IN_TRAIN, Copies, Leaks, find_copies, judge, persons_shared
from pipeline.data.report import per_class, source_reports
from pipeline.data.rows import Rows, measured_rows
from pipeline.data.selection import capped, limited, row_weights
from pipeline.data.splits import complete_splits
from pipeline.data.table import SPLITS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


@dataclass(frozen=True)
class Curated:
    """Splits ready to be mapped, and what was found on the way.

    Attributes:
        splits: train, validation and, where there is one, test; the tables of the rows to use.
        report: plain values for `curation.json`.
        rows: the rows of each split with their measures, before `max_train_samples` and `max_eval_samples`.
    """

    splits: DatasetDict
    report: dict[str, Any]
    rows: dict[str, Rows]

    @property
    def label_rule(self) -> str | None:
        """How raw votes became labels; None where no source has votes."""
        return next((s["label_rule"] for s in self.report["sources"].values() if s["label_rule"]), None)


def curate(readings: Sequence[Reading], recipe: Recipe) -> Curated:
    """Make train, validation and test of all `readings` together.

    Official splits are kept. A missing one is made of train rows: seeded, stratified by label, with copies of a picture
    and pictures of a person kept together, over all sources. The setting `leaks` decides about what official splits
    have in common. Copies are found before `caps`, `max_train_samples` and `max_eval_samples` leave rows out.

    Validation and test get the columns `clean` and `clean_near`: the row has no exact copy (and no near copy) in the
    train split as published, for test also in validation. `clean_near` is null without the search for near copies.
    train gets a column `weight` if the recipe has `row_weights`.

    Raises:
        InputError: too many pictures cannot be used, splits leak and `leaks` is `error`, train lacks a class, or
            validation has no row to choose a checkpoint on.
    """
    rows, unusable = measured_rows(readings, recipe)
    rows, made = complete_splits(rows, readings, recipe)
    present = [split for split in SPLITS if split == "train" or split in rows.split]
    _refuse_gaps(rows.label[rows.split == "train"], present, recipe)
    copies = find_copies(rows, recipe.near_copies)
    _refuse_copied_validation(rows, copies)
    leaks = judge(rows, copies, recipe.leaks)
    kept = _kept(rows, leaks, present, recipe)
    splits = {split: rows.take(positions) for split, positions in kept.items()}
    chosen = {split: limited(part, split, recipe) for split, part in splits.items()}
    used = {split: kept[split][chosen[split]] for split in splits}
    report = {
        "sources": source_reports(readings, rows, unusable, made, recipe.classes),
        "rows": {split: per_class(part.label, recipe.classes) for split, part in splits.items()},
        "rows_used": {split: per_class(rows.label[positions], recipe.classes) for split, positions in used.items()},
        "copies": copies.to_json(),
        "leaks": leaks.to_json(),
        "persons_shared": persons_shared({split: part.person for split, part in splits.items()}),
    }
    tables = DatasetDict({split: part.take(chosen[split]).table for split, part in splits.items()})
    _add_clean(tables, used, copies)
    if recipe.row_weights:
        weights = row_weights(splits["train"], recipe)[chosen["train"]]
        tables["train"] = tables["train"].add_column("weight", weights, feature=Value("float32"))
    return Curated(tables, report, splits)


def _kept(rows: Rows, leaks: Leaks, present: Sequence[str], recipe: Recipe) -> dict[str, np.ndarray]:
    """Split -> the positions of its rows that `leaks` and `caps` leave, increasing."""
    kept = {split: np.flatnonzero((rows.split == split) & ~leaks.dropped) for split in present}
    _refuse_gaps(rows.label[kept["train"]], present, recipe)
    kept["train"] = kept["train"][capped(rows.take(kept["train"]), recipe)]
    return kept


def _refuse_gaps(train: np.ndarray, present: Sequence[str], recipe: Recipe) -> None:
    """Stop if a class is not among the labels `train` (N,), or validation is not `present`."""
    counts = per_class(train, recipe.classes)
    missing = [name for name, count in counts.items() if not count]
    if missing:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        others = ", ".join(name for name in recipe.classes if name not in missing)
        raise InputError(
            f"train has no row of {', '.join(missing)} ({listed}): add pictures, or set --classes '[{others}]'"
        )
    if "validation" not in present:
        raise InputError("validation is empty: set validation_share above 0, or add pictures")


def _refuse_copied_validation(rows: Rows, copies: Copies) -> None:
    if copies.exact[VALIDATION_IN_TRAIN][rows.split == "validation"].all():
        raise InputError("every picture of validation has a copy in train: give a validation split of other pictures")


def _add_clean(tables: DatasetDict, used: Mapping[str, np.ndarray], copies: Copies) -> None:
    """Add the columns `clean` and `clean_near` to validation and test; `used`: split -> positions of its rows."""
    for name, marks in (("clean", copies.exact), ("clean_near", copies.near)):
        for split in (split for split in tables if split != "train"):
            clean = np.full(len(used[split]), None if marks is None else True)
            for pair, copied in (marks or {}).items():
                if pair.shown == split:
                    clean[copied[used[split]]] = False
            tables[split] = tables[split].add_column(name, clean, feature=Value("bool"))
