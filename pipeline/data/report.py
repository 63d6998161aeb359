"""What curation found: the plain values of `curation.json`, and the table of rows for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.rows import Rows, Unusable
from pipeline.data.splits import SplitRecord
from pipeline.data.table import SPLITS, Reading

KEYS_SHOWN = 10
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


def rows_table(report: Mapping[str, Any]) -> str:
    """Rows by source, class and split, as text."""
    splits = list(report["rows"])
    lines = [["source", "class", *splits], *([*names, *(f"{n:,}" for n in rows)] for names, rows in _counted(report))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = (f"{source:{widths[0]}}  {name:{widths[1]}}" for source, name, *_ in lines)
    numbers = ("".join(f"  {n:>{w}}" for n, w in zip(line[2:], widths[2:], strict=True)) for line in lines)
    return "\n".join(map("".join, zip(words, numbers, strict=True)))


def _counted(report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """(source, class) and the rows of each split: of every source, then in all, then what is left of it."""
    splits, sources = list(report["rows"]), report["sources"]
    classes = list(report["rows"]["train"])

    def rows(of: Sequence[str], names: Sequence[str]) -> list[int]:
        return [sum(sources[s]["rows"].get(split, {}).get(n, 0) for s in of for n in names) for split in splits]

    for source in sources:
        yield from (((source, name), rows([source], [name])) for name in classes)
    if len(sources) > 1:
        yield from (((EVERY, name), rows(list(sources), [name])) for name in classes)
    found = rows(list(sources), classes)
    yield (EVERY, EVERY), found
    kept = [sum(report["rows"][split].values()) for split in splits]
    if kept != found:
        yield (EVERY, "after leaks and caps"), kept
