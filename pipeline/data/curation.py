"""Sources in, splits out: unusable pictures dropped, missing splits made, copies and persons found, all counted.

python -m pipeline.curation RECIPE [--data_path DIR] --output_dir out    # the same step alone, and a page to look at
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, Value
from datasets.table import embed_table_storage

from pipeline.data.leaks import PAIRS, contradicted, counts, gate, shared
from pipeline.data.measure import measure_pictures
from pipeline.data.near_copies import clusters_of, near_copies
from pipeline.data.page import counts_table, write_page
from pipeline.data.readers import Source, read_sources
from pipeline.data.selection import capped, limited, row_weights
from pipeline.data.splits import SPLITS, Rows, complete_splits
from pipeline.errors import InputError
from pipeline.run_folder import CURATION, write_json
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.recipe import Recipe

KEYS_SHOWN = 10
ROWS_AT_ONCE = 256  # in memory, with their pictures


@dataclass(frozen=True)
class Curated:
    """Splits ready to be mapped, and what was found on the way."""

    splits: DatasetDict  # train, validation and where there is one test; see `curate` for the column clean
    report: dict[str, Any]  # plain values: curation.json
    rows: dict[str, Rows]  # the splits before the row limits, with what was measured of them

    @property
    def label_rule(self) -> str | None:
        """How raw votes became labels; None where no source has votes."""
        return next((s["label_rule"] for s in self.report["sources"].values() if s["label_rule"]), None)


def curate(sources: Sequence[Source], recipe: Recipe) -> Curated:
    """Train, validation and (where there is or shall be one) test of all `sources` together.

    A source's official splits are kept. A missing one is made of its train rows: seeded, stratified by label, with
    copies of a picture and pictures of a person kept together, over all sources. What official splits have in common is
    judged by the setting `leaks`. Validation and test get the columns `clean` and `clean_near`: no exact copy, and no
    near copy either, in train (validation), or in train and validation (test), as published; `clean_near` is null where
    near copies were not looked for. Copies are found before `caps`, `max_train_samples` and `max_eval_samples` cut rows
    off.

    Raises:
        InputError: too many pictures cannot be used, splits leak and `leaks` is `error`, train lacks a class, or
            validation has no row to choose on.
    """
    read = _readable_all(sources, recipe)
    completed, how = complete_splits([rows for rows, _ in read], [s.name for s in sources], recipe)
    names = [name for name in SPLITS if name == "train" or any(len(c.get(name, ())) for c in completed)]
    splits = {name: Rows.joined([c[name] for c in completed if name in c]) for name in names}
    _refuse_gaps(splits, recipe)
    kinds = {"exact copy": {name: split.pixels for name, split in splits.items()}}
    if recipe.near_copies:
        kinds["near copy"] = {name: split.pictures for name, split in splits.items()}
    columns, copies = _copies(kinds)
    kinds["person"] = {name: split.persons for name, split in splits.items()}
    contradictions = contradicted(kinds["exact copy"], {name: split.labels for name, split in splits.items()})
    keys = {name: np.array(split.table["key"][:]) for name, split in splits.items()}
    keep, leaks = gate(kinds, contradictions, keys, recipe.leaks)
    splits["train"] = splits["train"].take(np.flatnonzero(keep))
    _refuse_gaps(splits, recipe)
    splits["train"] = splits["train"].take(capped(splits["train"], recipe))
    chosen = {split: limited(splits[split], split, recipe) for split in splits}
    tables = DatasetDict({split: splits[split].take(chosen[split]).table for split in splits})
    for name, clean in columns.items():
        for split, marks in clean.items():
            tables[split] = tables[split].add_column(name, marks[chosen[split]], feature=Value("bool"))
    if recipe.row_weights:
        weights = row_weights(splits["train"], recipe)[chosen["train"]]
        tables["train"] = tables["train"].add_column("weight", weights, feature=Value("float32"))
    report = {
        "sources": {
            source.name: _report_of(source, parts, unreadable, made, recipe)
            for source, parts, (_, unreadable), made in zip(sources, completed, read, how, strict=True)
        },
        "rows": {split: _per_class(splits[split].labels, recipe) for split in splits},
        "rows_used": {split: _per_class(splits[split].labels[chosen[split]], recipe) for split in splits},
        "copies": copies,
        "leaks": leaks,
        "persons_shared": _persons_shared(splits),
    }
    return Curated(tables, report, splits)


def _readable_all(sources: Sequence[Source], recipe: Recipe) -> list[tuple[dict[str, Rows], dict[str, Any]]]:
    """Of every source the rows whose picture can be used, by split; of the others their count and the first keys."""
    measured = [
        {split: measure_pictures(table, f"{source.name}, {split}") for split, table in source.tables.items()}
        for source in sources
    ]
    parts = [part for of_source in measured for part in of_source.values()]
    pictures = np.concatenate([part["pixels"] for part in parts])
    thumbnails = np.concatenate([part.pop("thumbnail") for part in parts])
    if recipe.near_copies:
        pictures = clusters_of(near_copies(thumbnails).pairs, len(pictures))
    ends = iter(np.split(pictures, np.cumsum([len(part["pixels"]) for part in parts])[:-1]))
    for part in parts:
        part["pictures"] = next(ends)
    return [_readable(source, of_source, recipe) for source, of_source in zip(sources, measured, strict=True)]


def _readable(
    source: Source, measured: Mapping[str, dict[str, np.ndarray]], recipe: Recipe
) -> tuple[dict[str, Rows], dict[str, Any]]:
    rows: dict[str, Rows] = {}
    lost: list[str] = []
    for split, table in source.tables.items():
        pixels, pictures, faults = (measured[split].pop(name) for name in ("pixels", "pictures", "fault"))
        readable = np.array([fault is None for fault in faults], dtype=bool)
        bad = np.flatnonzero(~readable)
        lost += [f"{key} ({fault})" for key, fault in zip(table.select(bad)["key"], faults[bad], strict=True)]
        labels = np.array(table["label"][:], dtype=int)
        known = zip(table["source"][:], table["person"][:], strict=True)  # of a curated table there may be several
        persons = np.array([None if person is None else f"{name}: {person}" for name, person in known], dtype=object)
        measures = np.stack(list(measured[split].values()), axis=1)
        rows[split] = Rows(table, labels, pixels, pictures, persons, measures).take(np.flatnonzero(readable))
    total = sum(len(table) for table in source.tables.values())
    if len(lost) > recipe.max_bad_share * total:
        raise InputError(
            f"{source.name}: {len(lost)} of {total} pictures ({len(lost) / total:.1%}) cannot be used, the first "
            f"{', '.join(lost[:3])}: above max_bad_share {recipe.max_bad_share:g}; repair them, or raise max_bad_share"
        )
    return rows, {"count": len(lost), "keys": lost[:KEYS_SHOWN]}


def _refuse_gaps(splits: Mapping[str, Rows], recipe: Recipe) -> None:
    counts = _per_class(splits["train"].labels, recipe)
    missing = [name for name, count in counts.items() if not count]
    if missing:
        present = ", ".join(name for name in recipe.classes if name not in missing)
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(
            f"train has no row of {', '.join(missing)} ({listed}): add pictures, or set --classes '[{present}]'"
        )
    if "validation" not in splits:
        raise InputError("validation is empty: set validation_share above 0, or give more pictures")


def _copies(kinds: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The columns `clean` and `clean_near` of validation and test, (N,) each; how many rows have a copy, by kind."""
    columns: dict[str, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    for column, name, kind in (("clean", "exact", "exact copy"), ("clean_near", "near", "near copy")):
        values = kinds.get(kind)
        rows = {split: len(marks) for split, marks in kinds["exact copy"].items() if split != "train"}
        columns[column] = {split: np.full(n, None if values is None else True) for split, n in rows.items()}
        copied = shared(values or {})
        for pair, marks in copied.items():
            columns[column][pair.split("_in_")[0]][marks] = False
        found[name] = None if values is None else {f"{a}_in_{b}": 0 for a, b in PAIRS} | counts(copied)
    if not columns["clean"]["validation"].any():
        raise InputError("every picture of validation has a copy in train: give a validation split of other pictures")
    return columns, found


def _report_of(
    source: Source, parts: Mapping[str, Rows], unreadable: dict[str, Any], made: dict[str, Any], recipe: Recipe
) -> dict[str, Any]:
    return {
        "layout": source.layout,
        "terms": source.terms,
        "pixels_may_travel": source.pixels_may_travel,
        "labels_may_travel": source.labels_may_travel,
        "label_rule": source.label_rule,
        "rows": {split: _per_class(rows.labels, recipe) for split, rows in parts.items()},
        "dropped": source.dropped,
        "unreadable": unreadable,
        "faces": source.faces,
        "splits": made,
    }


def _per_class(labels: np.ndarray, recipe: Recipe) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(recipe.classes)).tolist()
    return dict(zip(recipe.classes, counts, strict=True))


def _persons_shared(splits: Mapping[str, Rows]) -> dict[str, int] | None:
    """Persons of one split that are in another too, or None where no person is known."""
    known = {name: {p for p in split.persons if p is not None} for name, split in splits.items()}
    if not any(known.values()):
        return None
    pairs: Sequence[tuple[str, str]] = (("validation", "train"), ("test", "train"), ("test", "validation"))
    return {f"{a}_in_{b}": len(known[a] & known[b]) for a, b in pairs if a in known and b in known}


def write_tables(folder: Path, tables: Mapping[str, Dataset], report: Mapping[str, Any]) -> None:
    """A new folder that is read as `--source curated`: a parquet file a split, pictures and all, and curation.json."""
    folder.mkdir(parents=True)
    for split, table in tables.items():
        with pq.ParquetWriter(folder / f"{split}.parquet", table.features.arrow_schema) as writer:
            for rows in table.with_format("arrow").iter(ROWS_AT_ONCE):
                writer.write_table(embed_table_storage(rows))  # `to_parquet` would keep the paths of pictures
    write_json(folder / CURATION, report)


def main(argv: list[str]) -> None:
    """Curate what a recipe names; tables, curation.json and the page go into a new folder, whole or not at all."""
    recipe = parse_command_line(argv).recipe
    out = recipe.output_dir
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output_dir {out} is there already; choose another --output_dir")
    sources = read_sources(recipe)
    for source in sources:
        print(f"data: {source.name}, {source.layout}")
    curated = curate(sources, recipe)
    aside = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    write_tables(aside, curated.splits, curated.report)
    write_page(curated.report, curated.rows, aside / "index.html")
    aside.replace(out)
    print(counts_table(curated.report))
    print(f"\n{out}\nlook: {out}/index.html (it holds pictures of the source: keep it on this machine)")
