"""Sources in, splits out: drop unusable pictures, make missing splits, find copies and persons, count everything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import DatasetDict, Value

from pipeline.data.labelling import LABELLINGS
from pipeline.data.leaks import (
    VALIDATION_IN_TRAIN,
    Copies,
    Leaks,
    find_copies,
    judge,
    known_persons,
    persons_shared,
)
from pipeline.data.own_splits import settled
from pipeline.data.photos import photo_lines
from pipeline.data.readers import read_sources
from pipeline.data.report import found, names_table, per_class, source_reports
from pipeline.data.rows import Rows, measured_rows
from pipeline.data.selection import capped, limited, row_weights
from pipeline.data.splits import complete_splits, groups_of
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
        near_copy_groups: for each table (N,) int, equal for rows that show one picture, across splits; None without the
            search for near copies.
    """

    splits: DatasetDict
    report: dict[str, Any]
    rows: dict[str, Rows]
    near_copy_groups: Mapping[str, np.ndarray] | None = None

    @property
    def label_rule(self) -> str | None:
        """How raw votes became labels; None where no source has votes."""
        return next((s["label_rule"] for s in self.report["sources"].values() if s["label_rule"]), None)


def curate_sources(recipe: Recipe, say: Callable[[str], None], look: bool = True) -> Curated:
    """Read the sources of `recipe` and curate them; `say` gets what was read, left out and found, line by line.

    Args:
        recipe: what to read.
        say: prints a line.
        look: look at some pictures for `photo_lines`; one process of several is enough.

    Raises:
        InputError: as `read_sources` and `curate`.
    """
    readings = read_sources(recipe)
    lines = [line for reading in readings for line in reading.lines()]
    for line in [*lines, *(photo_lines(readings, recipe) if look else [])]:
        say(f"data: {line}")
    if table := names_table([source for reading in readings for source in reading.sources]):
        say(table)
    curated = curate(readings, recipe)
    for line in found(curated.report):
        say(f"data: {line}")
    if warning := LABELLINGS[recipe.task].warning(curated.report):
        say(f"warning: {warning}")
    return curated


def curate(readings: Sequence[Reading], recipe: Recipe) -> Curated:
    """Make train, validation and test of all `readings` together.

    Official splits are kept. A missing one is made of train rows: seeded, stratified by label, with copies of a picture
    and pictures of a person kept together, over all sources. The setting `leaks` decides about what official splits
    have in common. Copies are found before `caps`, `max_train_samples` and `max_eval_samples` leave rows out.

    Validation and test get the columns `clean` and `clean_near`: the row has no exact copy (and no near copy) in the
    train split as published, for test also in validation. `clean_near` is null without the search for near copies.
    train gets a column `weight` if the recipe has `row_weights`.

    Raises:
        InputError: too many pictures cannot be used, an official split lost all of its rows, splits leak and `leaks`
            is `error`, train lacks a class, or validation has no row to choose a checkpoint on.
    """
    labelling = LABELLINGS[recipe.task]
    rows, unusable = measured_rows(readings, recipe)
    rows = replace(rows, answer=labelling.answers(rows))
    readings, empty = settled(readings, rows)
    rows, made = complete_splits(rows, readings, recipe)
    present = [split for split in SPLITS if split == "train" or split in rows.split]
    copies = find_copies(rows, recipe.near_copies)
    leaks = judge(rows, copies, recipe.leaks, _curated_without_search(readings, rows, copies))
    labelling.refuse_persons(rows, leaks, recipe)
    _refuse_gaps(rows, rows.split == "train", present, recipe)
    used_copies = _copies_used(rows, copies, leaks, recipe)
    kept, by_caps = _kept(rows, leaks, present, recipe)
    splits = {split: rows.take(positions) for split, positions in kept.items()}
    chosen = {split: limited(part, split, recipe) for split, part in splits.items()}
    used = {split: kept[split][chosen[split]] for split in splits}
    report = {
        "sources": source_reports(readings, rows, unusable, made, recipe.labels),
        "rows_used": {split: per_class(rows.label[positions], recipe.labels) for split, positions in used.items()},
        "copies": copies.to_json(),
        "leaks": leaks.to_json(),
        "dropped_by_caps": by_caps,
        "empty_splits": empty,
        **_of_splits(splits, recipe),
        **labelling.report(splits, recipe),
    }
    tables = DatasetDict({split: part.take(chosen[split]).table for split, part in splits.items()})
    _add_clean(tables, used, used_copies)
    if recipe.row_weights:
        weights = row_weights(splits["train"], recipe)[chosen["train"]]
        tables["train"] = tables["train"].add_column("weight", weights, feature=Value("float32"))
    groups = {split: rows.picture[positions] for split, positions in used.items()} if recipe.near_copies else None
    return Curated(tables, report, splits, groups)


def _of_splits(splits: Mapping[str, Rows], recipe: Recipe) -> dict[str, Any]:
    """Rows by split and class, and what is known of persons, before `max_train_samples` and `max_eval_samples`."""
    persons = {split: rows.person for split, rows in splits.items()}
    return {
        "rows": {split: per_class(rows.label, recipe.labels) for split, rows in splits.items()},
        "persons_known": {split: known_persons(person) for split, person in persons.items()},
        "persons_shared": persons_shared(persons),
    }


def _kept(
    rows: Rows, leaks: Leaks, present: Sequence[str], recipe: Recipe
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Split -> the positions of its rows that `leaks` and `caps` leave, increasing; and cap -> rows that it drops."""
    kept = {split: np.flatnonzero((rows.split == split) & ~leaks.dropped) for split in present}
    _refuse_gaps(rows, (rows.split == "train") & ~leaks.dropped, present, recipe)
    chosen, by_caps = capped(rows.take(kept["train"]), recipe)
    return kept | {"train": kept["train"][chosen]}, by_caps


def _refuse_gaps(rows: Rows, train: np.ndarray, present: Sequence[str], recipe: Recipe) -> None:
    """Stop if the rows marked as `train`, (N,) bool, cannot teach the task, or validation is not `present`."""
    LABELLINGS[recipe.task].refuse_gaps(rows, train, present, recipe)
    if "validation" not in present:
        raise InputError(_no_validation(rows, recipe))


def _no_validation(rows: Rows, recipe: Recipe) -> str:
    if recipe.validation_share == 0:
        return "validation is empty: set validation_share above 0, or add pictures"
    groups = len(np.unique(groups_of(rows.picture, rows.person)))
    return (
        f"validation is empty, although validation_share is {recipe.validation_share:g}: copies and pictures of one "
        f"person stay together, so {len(rows):,} rows make {groups:,} groups, and none is free for validation: add "
        "pictures of other people, or give a validation split"
    )


def _copies_used(rows: Rows, copies: Copies, leaks: Leaks, recipe: Recipe) -> Copies:
    """`copies` as published; if every validation row has one in train, those in the train rows that `leaks` leaves.

    Raises:
        InputError: no validation row is left without a copy, so no checkpoint can be chosen.
    """
    validation = rows.split == "validation"
    if not copies.exact[VALIDATION_IN_TRAIN][validation].all():
        return copies
    left = replace(rows, split=np.where(leaks.dropped, "dropped", rows.split))
    after = find_copies(left, recipe.near_copies)
    if VALIDATION_IN_TRAIN not in after.exact or after.exact[VALIDATION_IN_TRAIN][validation].all():
        raise InputError(
            "every picture of validation has a copy in train: give a validation split of other pictures, or add "
            "--leaks drop_from_train to leave the copies out of train"
        )
    return after


def _curated_without_search(readings: Sequence[Reading], rows: Rows, copies: Copies) -> str:
    """The curated folders without a search for near copies whose rows have near copies across splits, in words."""
    marks = [near & ~copies.exact[pair] for pair, near in (copies.near or {}).items()]
    leaking = set(rows.reading[np.logical_or.reduce(marks)].tolist()) if marks else set()
    names = [r.name for n, r in enumerate(readings) if r.near_copies is False and n in leaking]
    return " and ".join(names)


def _add_clean(tables: DatasetDict, used: Mapping[str, np.ndarray], copies: Copies) -> None:
    """Add the columns `clean` and `clean_near` to validation and test; `used`: split -> positions of its rows."""
    for name, marks in (("clean", copies.exact), ("clean_near", copies.near)):
        for split in (split for split in tables if split != "train"):
            clean = np.full(len(used[split]), None if marks is None else True)
            for pair, copied in (marks or {}).items():
                if pair.shown == split:
                    clean[copied[used[split]]] = False
            tables[split] = tables[split].add_column(name, clean, feature=Value("bool"))
