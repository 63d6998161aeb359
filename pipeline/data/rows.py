"""The rows of all sources in named columns: splits, leaks, caps and the curation page are decided on them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets

from pipeline.data.measure import Measures, measure_pictures
from pipeline.data.persons import persons_of
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N rows: their table, and beside it one array (N,) for each property.

    Attributes:
        table: the rows with their pictures, in the columns of `pipeline.data.table`.
        reading: position of the reading that the row is from, int.
        split: split of the row, str; `all` until splits are made.
        source: id of its source, str.
        key: name of the picture in its source, str.
        label: index into the classes, or into the strata of scores, int.
        answer: equal for rows that are labelled alike, int: the label, until curation knows the task.
        person: `source: person`, str; None where the person is unknown.
        pixels: hash of the decoded picture, str: equal for exact copies.
        picture: cluster of near copies: equal for rows that show one picture. The same as `pixels` without a search.
        width: of the picture in px, float32.
        height: px, float32.
        brightness: mean of the luma, float32 from 0 to 255.
        contrast: standard deviation of the luma, float32.
    """

    table: Dataset
    reading: np.ndarray
    split: np.ndarray
    source: np.ndarray
    key: np.ndarray
    label: np.ndarray
    answer: np.ndarray
    person: np.ndarray
    pixels: np.ndarray
    picture: np.ndarray
    width: np.ndarray
    height: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, positions: np.ndarray) -> "Rows":
        """The rows at `positions`, (M,) int, increasing."""
        if len(positions) == len(self):
            return self
        return Rows(table=self.table.select(positions), **{n: c[positions] for n, c in self._columns().items()})

    @staticmethod
    def joined(parts: Sequence["Rows"]) -> "Rows":
        """The rows of all `parts`, in their order."""
        columns = [part._columns() for part in parts]
        joined = {name: np.concatenate([of_part[name] for of_part in columns]) for name in columns[0]}
        return Rows(table=concatenate_datasets([part.table for part in parts]), **joined)

    def _columns(self) -> dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "table"}


@dataclass(frozen=True)
class Unusable:
    """A row whose picture cannot be used."""

    source: str
    split: str  # as it came: `all` for a source without splits
    key: str
    fault: str


def measured_rows(readings: Sequence[Reading], recipe: Recipe) -> tuple[Rows, list[Unusable]]:
    """The usable rows of all `readings` in their order, measured, and the rows whose picture cannot be used.

    Raises:
        InputError: of a source more pictures than `max_bad_share` cannot be used, or a row has no record of its source.
    """
    parts, thumbnails, faults = [], [], []
    for number, reading in enumerate(readings):
        for split, table in reading.tables.items():
            measures = measure_pictures(table, f"{reading.name}, {split}")
            parts.append(_part(table, measures, number, split))
            thumbnails += measures.thumbnail.chunks
            faults.append(measures.fault)
    rows, fault = Rows.joined(parts), np.concatenate(faults)
    usable = np.array([why is None for why in fault], dtype=bool)
    unusable = [Unusable(rows.source[i], rows.split[i], rows.key[i], fault[i]) for i in np.flatnonzero(~usable)]
    _refuse_unusable(rows, unusable, recipe.max_bad_share)
    _refuse_unknown_sources(rows, readings)
    if recipe.near_copies:
        from pipeline.data.near_copies import clusters_of, near_copies  # here, because it loads torch

        rows = replace(
            rows, picture=clusters_of(near_copies(pa.chunked_array(thumbnails, pa.binary())).pairs, len(rows))
        )
    return rows.take(np.flatnonzero(usable)), unusable


def _refuse_unusable(rows: Rows, unusable: Sequence[Unusable], limit: float) -> None:
    for source in dict.fromkeys(row.source for row in unusable):
        total = int((rows.source == source).sum())
        bad = [row for row in unusable if row.source == source]
        if len(bad) > limit * total:
            first = ", ".join(f"{row.key} ({row.fault})" for row in bad[:3])
            raise InputError(
                f"{source}: {len(bad)} of {total} pictures ({len(bad) / total:.1%}) cannot be used, the first {first}: "
                f"more than max_bad_share {limit:g}; repair them, or raise max_bad_share"
            )


def _refuse_unknown_sources(rows: Rows, readings: Sequence[Reading]) -> None:
    """Stop at rows without a record: nobody would know their terms. Folders curated twice used to have such rows."""
    known = {(number, source.id) for number, reading in enumerate(readings) for source in reading.sources}
    for number, source in dict.fromkeys(zip(rows.reading.tolist(), rows.source, strict=True)):
        if (number, source) not in known:
            raise InputError(
                f"{readings[number].name}: rows of the source {source} have no record of their own, so their terms are "
                "unknown; curate the original data again with python -m pipeline.curation"
            )


def _part(table: Dataset, measures: Measures, reading: int, split: str) -> Rows:
    source, person = np.array(table["source"][:], object), persons_of(table["person"][:])
    label = np.array(table["label"][:], int)
    named = [None if who is None else f"{of}: {who}" for of, who in zip(source, person, strict=True)]
    return Rows(
        table=table,
        reading=np.full(len(table), reading),
        split=np.full(len(table), split, object),
        source=source,
        key=np.array(table["key"][:], object),
        label=label,
        answer=label,
        # Sources number their persons from 1: equal numbers of two sources are different people.
        person=np.array(named, object),
        pixels=measures.pixels,
        picture=measures.pixels,
        width=measures.width,
        height=measures.height,
        brightness=measures.brightness,
        contrast=measures.contrast,
    )
