"""What curation found: the plain values of `curation.json`, and the table of rows for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.rows import Rows, Unusable
from pipeline.data.splits import SplitRecord
from pipeline.data.table import SPLITS, Reading

KEYS_SHOWN = 10
KEYS_PRINTED = 3
EVERY = "all"  # all sources, or all classes


def source_reports(
    readings: Sequence[Reading],
    rows: Rows,
    unusable: Sequence[Unusable],
    made: Sequence[SplitRecord],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Source id -> its record, with its rows by split and class, unusable pictures and how its splits were made.

    Args:
        readings: what was read.
        rows: all usable rows, before `leaks` and `caps` take any out of train.
        unusable: the other rows.
        made: for each reading how its splits were made.
        classes: their names in order.
    """
    reports = {}
    for reading, record in zip(readings, made, strict=True):
        for source in reading.sources:
            inside = rows.source == source.id
            lost = [f"{row.key} ({row.fault})" for row in unusable if row.source == source.id]
            reports[source.id] = source.to_json() | {
                "rows": {
                    split: per_class(rows.label[inside & (rows.split == split)], classes)
                    for split in SPLITS
                    if split == "train" or (inside & (rows.split == split)).any()
                },
                "unreadable": {"count": len(lost), "keys": lost[:KEYS_SHOWN]},
                "splits": record.to_json(),
            }
    return reports


def per_class(label: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    """Class -> rows, for labels (N,)."""
    return dict(zip(classes, np.bincount(label, minlength=len(classes)).tolist(), strict=True))


def losses(report: Mapping[str, Any]) -> list[str]:
    """What to print: the pictures that cannot be used, by source, and the rows that `leaks` drops from train."""
    lines = []
    for id, source in report["sources"].items():
        if count := source["unreadable"]["count"]:
            first = ", ".join(source["unreadable"]["keys"][:KEYS_PRINTED])
            lines.append(f"{id}, left out: {count:,} that cannot be used, the first {first}")
    if dropped := report["leaks"]["dropped_from_train"]:
        lines.append(f"dropped from train by leaks: {dropped:,} rows with a copy, a person or another label elsewhere")
    return lines


class Line(NamedTuple):
    """A line of the table of rows."""

    source: str
    name: str  # of the class
    rows: list[int]  # one number for each split


def lines_of(report: Mapping[str, Any]) -> list[Line]:
    """Rows by source, class and split before `leaks` and `caps`, then their sums over sources and classes."""
    splits, sources, classes = list(report["rows"]), list(report["sources"]), list(report["rows"]["train"])

    def line(source: str, name: str, ids: list[str], names: list[str]) -> Line:
        counts = [[report["sources"][id]["rows"].get(split, {}) for id in ids] for split in splits]
        return Line(source, name, [sum(of.get(n, 0) for of in of_split for n in names) for of_split in counts])

    lines = [line(source, name, [source], [name]) for source in sources for name in classes]
    if len(sources) > 1:
        lines += [line(EVERY, name, sources, [name]) for name in classes]
    return [*lines, line(EVERY, EVERY, sources, classes)]


def rows_table(report: Mapping[str, Any]) -> str:
    """The lines of `lines_of` as text; a last line says what `leaks` and `caps` leave, if that is less."""
    lines = lines_of(report)
    kept = [sum(counts.values()) for counts in report["rows"].values()]
    if kept != lines[-1].rows:
        lines.append(Line(EVERY, "after leaks and caps", kept))
    table = [("source", "class", *report["rows"]), *((a, b, *(f"{n:,}" for n in rows)) for a, b, rows in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<", "<", *">" * len(report["rows"])]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True))
        for cells in table
    )
