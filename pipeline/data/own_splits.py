"""The splits that data comes with: which of them are used, and what happens if one holds no row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from datasets import DatasetDict

from pipeline.data.rows import Rows
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS_IN_WORDS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Source

NOT_USED = "by splits_left_out"  # a reason in `Source.left_out`


def without_splits(reading: Reading, recipe: Recipe) -> Reading:
    """`reading` without the splits that the setting `splits_left_out` names; their rows are counted as left out.

    Raises:
        InputError: the reading has no such split.
    """
    sources, tables = reading.sources, dict(reading.tables)
    for name in recipe.splits_left_out:
        split = SPLIT_SYNONYMS.get(name.strip().lower())
        if split is None:
            raise InputError(f"splits_left_out: {name!r} is not a split; splits are {SPLITS_IN_WORDS}")
        if split not in tables:
            has = "no splits of its own" if ALL in tables else f"only {', '.join(tables) or 'none'}"
            raise InputError(f"splits_left_out: {reading.name} has {has}, so {split} cannot be left out; remove it")
        rows = Counter(tables.pop(split)["source"][:])
        sources = tuple(_left_out(source, split, rows[source.id]) for source in sources)
    return replace(reading, sources=sources, tables=DatasetDict(tables))


def _left_out(source: Source, split: str, rows: int) -> Source:
    if not rows:
        return source
    reasons = {**source.left_out.get(split, {}), NOT_USED: rows}
    return replace(source, left_out={**source.left_out, split: reasons})


def settled(readings: Sequence[Reading], rows: Rows) -> tuple[list[Reading], dict[str, list[str]]]:
    """The readings without the splits that came empty, and those splits by the name of their reading.

    A split that held nothing at all, such as an empty folder, counts as missing. A split that lost all of its rows is
    never replaced: somebody meant these pictures to be that split.

    Args:
        readings: what was read.
        rows: the usable rows of all readings.

    Raises:
        InputError: a split held something, and no usable row of it is left.
    """
    kept, empty = [], {}
    for number, reading in enumerate(readings):
        filled = {*rows.split[rows.reading == number]}
        gone = [split for split in reading.tables if split not in filled]
        for split in gone:
            _refuse_emptied(reading, split)
        if gone:
            empty[reading.name] = gone
            tables = {s: t for s, t in reading.tables.items() if s in filled}
            reading = replace(reading, tables=DatasetDict(tables))
        kept.append(reading)
    return kept, empty


def _refuse_emptied(reading: Reading, split: str) -> None:
    reasons = Counter({"pictures that cannot be used": len(reading.tables[split])})
    for source in reading.sources:
        reasons.update(source.left_out.get(split, {}))
    lost = {reason: count for reason, count in reasons.items() if count}
    if not lost:
        return
    counted = ", ".join(f"{count:,} {reason}" for reason, count in lost.items())
    without = "" if split in ("train", ALL) else f", or add --splits_left_out {split} to go on as if it were not there"
    raise InputError(
        f"{reading.name}: no row of its split {split} is left (left out: {counted}): give its pictures a label, or "
        f"check classes and class_map{without}"
    )


def empty_lines(empty: Mapping[str, Sequence[str]], present: Sequence[str]) -> list[str]:
    """What to print: splits that came empty; `present`: the splits of the run."""
    return [
        f"{name}: its split {split} is empty"
        + (f"; {split} is made of train rows" if split in present else f"; the run has no {split}")
        for name, splits in empty.items()
        for split in splits
    ]
