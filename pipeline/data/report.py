"""What curation found: the plain values of `curation.json`, and the lines and tables for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.own_splits import empty_lines
from pipeline.data.rows import Rows, Unusable
from pipeline.data.splits import SplitRecord
from pipeline.data.table import SPLITS, Reading, left_out_of
from pipeline.source import Source

KEYS_SHOWN = 10
KEYS_PRINTED = 3
EVERY = "all"  # all sources, or all classes
FEW = {"train": 30, "validation": 10, "test": 10}  # with fewer rows, a class is hardly learned or measured


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
                "unreadable": {"count": len(lost), "keys": lost[:KEYS_SHOWN], "reasons": _reasons(unusable, source.id)},
                "splits": record.to_json(),
            }
    return reports


def _reasons(unusable: Sequence[Unusable], source: str) -> dict[str, dict[str, int]]:
    """Split as it came -> why pictures of `source` cannot be used -> how many."""
    reasons: dict[str, Counter[str]] = {}
    for row in unusable:
        if row.source == source:
            reasons.setdefault(row.split, Counter())[row.fault] += 1
    return {split: dict(counts.most_common()) for split, counts in reasons.items()}


def per_class(label: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    """Class -> rows, for labels (N,)."""
    return dict(zip(classes, np.bincount(label, minlength=len(classes)).tolist(), strict=True))


def names_table(sources: Sequence[Source]) -> str:
    """The names in each source, the classes that they became, and their rows, as text; "" if no source has names."""
    lines = [
        (source.id, name, one, f"{rows:,}")
        for source in sources
        for name, classes in source.names.items()
        for one, rows in classes.items()
    ]
    return _aligned([("source", "name there", "class", "rows"), *lines], "<<<>") if lines else ""


def found(report: Mapping[str, Any]) -> list[str]:
    """What to print after curation: splits that came empty, what else was left out, and whether persons are known."""
    drawn = all(source["origin"] == "drawn" for source in report["sources"].values())
    persons = [] if drawn else [_persons(report)]
    return [*empty_lines(report["empty_splits"], list(report["rows"])), *_losses(report), *persons, *_scores(report)]


def _scores(report: Mapping[str, Any]) -> list[str]:
    """The range of each score in train; none in a report of classes."""
    in_train = report.get("scores", {}).get("train", {})
    return [f"score {name} in train: {of['low']:.4g} to {of['high']:.4g}, mean {of['mean']:.4g}, standard deviation "
            f"{of['sd']:.4g}" for name, of in in_train.items()]  # fmt: skip


def few_rows(report: Mapping[str, Any]) -> str:
    """By split how many classes have fewer rows than `FEW` among those to use, and the smallest; "" if none has."""
    found = []
    for split, counts in report["rows_used"].items():
        few = {name: count for name, count in counts.items() if count < FEW[split]}
        if few:
            least = min(few, key=lambda name: few[name])
            found.append(f"{split} {len(few)} of {len(counts)} classes below {FEW[split]} ({least} {few[least]})")
    return f"few rows, so figures of a class are uncertain: {', '.join(found)}" if found else ""


def _persons(report: Mapping[str, Any]) -> str:
    known, shared = report["persons_known"], report["persons_shared"]
    if shared is None:
        return "persons: unknown, so one person may be in several splits"
    rows = {split: sum(counts.values()) for split, counts in report["rows"].items()}
    listed = ", ".join(f"{known[split]:,} of {rows[split]:,} {split} rows" for split in rows)
    pairs = ", ".join(f"{pair} {'unknown' if n is None else f'{n:,}'}" for pair, n in shared.items())
    some = any(known[split] < rows[split] for split in rows)
    rest = "; rows without a person may show any of them" if some else ""
    return f"persons: known for {listed}; in two splits: {pairs}{rest}"


def _losses(report: Mapping[str, Any]) -> list[str]:
    """The pictures that cannot be used, by source, split and reason, and the rows that settings drop."""
    lines = []
    for id, source in report["sources"].items():
        for split, reasons in source["unreadable"]["reasons"].items():
            lines += [f"{id}, {left_out_of(split)}: {count:,} {reason}" for reason, count in reasons.items()]
        if keys := source["unreadable"]["keys"]:
            lines.append(f"{id}, the first that cannot be used: {', '.join(keys[:KEYS_PRINTED])}")
    lines += _near_copies_two_labels(report["leaks"].get("near_copies_two_labels"))
    if dropped := report["leaks"]["dropped_from_train"]:
        lines.append(f"dropped from train by leaks: {dropped:,} rows with a copy, a person or another label elsewhere")
    lines += [
        f"dropped from train by caps: {count:,} rows of {key}" for key, count in report["dropped_by_caps"].items()
    ]
    for split, counts in report["rows"].items():
        setting = "max_train_samples" if split == "train" else "max_eval_samples"
        if beyond := sum(counts.values()) - sum(report["rows_used"][split].values()):
            lines.append(f"dropped from {split} by {setting}: {beyond:,} rows")
    return lines


def _near_copies_two_labels(found: Mapping[str, Any] | None) -> list[str]:
    """The line about near copies under two labels: one of the labels is wrong, or the pictures differ in expression."""
    rows = {split: count for split, count in (found or {}).items() if split != "first" and count}
    if not found or not rows:
        return []
    listed = ", ".join(f"{count:,} {split} rows" for split, count in rows.items())
    return [f"near copies under another label: {listed}, the first {', '.join(found['first'])}; look at their labels"]


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
    splits = list(report["rows"])
    kept = [sum(counts.values()) for counts in report["rows"].values()]
    if kept != lines[-1].rows:
        lines.append(Line(EVERY, "after leaks and caps", kept))
    table = [(a, b, *(f"{n:,}" for n in rows)) for a, b, rows in lines]
    return _aligned([("source", "class", *splits), *table], "<<" + ">" * len(splits))


def _aligned(table: Sequence[Sequence[str]], sides: str) -> str:
    """The cells of `table` in columns; `sides`: for each column `<` or `>`, where its cells stand."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True)).rstrip()
        for cells in table
    )
