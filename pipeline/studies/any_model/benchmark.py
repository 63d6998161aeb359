"""A benchmark of labels without pictures: keys, votes and copies in parquet tables, as publishing writes them.

`push_to_hub.py CURATED --dataset` writes such a folder where the terms of a source keep its pictures back. A curated
folder of this machine is read in the same way. Nothing here needs pictures or torch.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, List, Value

from pipeline.data.report import per_class
from pipeline.data.table import SPLITS
from pipeline.errors import InputError
from pipeline.run_folder import CURATION, read_json
from pipeline.source import source_from_json
from pipeline.studies.any_model.labelled import MARKS, Labelled, Split, chosen_split, names_of

ROUNDING = 1e-3  # how far the shares of a row may sum from 1
NEEDED = ("label", "target", "source", "person", "key")


def is_benchmark(path: Path) -> bool:
    """Whether a folder holds `curation.json` and a table of labels beside it."""
    return (path / CURATION).is_file() and bool(_files(path))


def _files(path: Path) -> dict[str, Path]:
    return {split: file for split in SPLITS if (file := path / f"{split}.parquet").is_file()}


def read_benchmark(path: Path, split: Split, say: Callable[[str], None]) -> Labelled:
    """The rows of `split`, or with `all` every row.

    Raises:
        InputError: a table is damaged, lacks a column, names a picture twice or has labels outside its classes; the
            tables have other classes than one another; or the split does not exist.
    """
    files = _files(path)
    report = read_json(path / CURATION)
    found = chosen_split(split, list(files), f"benchmark {path}")
    classes = {split: _classes(file) for split, file in files.items()}
    names = next(iter(classes.values()))
    if other := [split for split, of in classes.items() if of != names]:
        raise InputError(f"benchmark {path}: {other[0]}.parquet has other classes than {next(iter(files))}.parquet")
    tables = {name: _table(file, len(names)) for name, file in files.items()}
    _refuse_twice(path, tables)
    wanted = list(tables) if found == "all" else [found]
    table = _joined([tables[name] for name in wanted], found == "all")
    others = {name: names_of(rows) for name, rows in tables.items() if name not in wanted}
    if not len(table):
        raise InputError(f"benchmark {path} has no rows of {found}: choose another --split")
    label = np.asarray(table["label"][:])
    sources = _sources(path, report)
    say(f"data: benchmark {path}: {', '.join(f'{name} {len(rows):,}' for name, rows in tables.items())} rows")
    record = {
        "sources": sources,
        "rows": {found: per_class(label, names)},
        "other_splits": {name: len(rows) for name, rows in others.items()},
    }
    label_rule = next((source["label_rule"] for source in sources.values() if source["label_rule"]), None)
    return Labelled({found: table}, others, names, label_rule, record)


def _classes(file: Path) -> list[str]:
    try:
        schema = pq.read_schema(file)
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features["label"]["names"]]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"benchmark {file} cannot be read: {str(error).splitlines()[0]}") from None
    except (KeyError, ValueError, TypeError):
        raise InputError(f"benchmark {file} does not name its classes: download it again, or curate again") from None


def _table(file: Path, count: int) -> Dataset:
    schema = pq.read_schema(file)
    if lacking := [name for name in NEEDED if name not in schema.names]:
        raise InputError(f"benchmark {file} lacks {', '.join(lacking)}: download it again, or curate again")
    columns = pq.read_table(file, columns=[*NEEDED, *(name for name in MARKS if name in schema.names)]).to_pydict()
    rows = len(columns["key"])
    for row, key in enumerate(columns["key"]):
        if not key or not columns["source"][row]:
            raise InputError(f"benchmark {file}: row {row} has no key or no source: mend the row")
        label = columns["label"][row]
        if label is None or not 0 <= label < count or not _are_shares(columns["target"][row], count):
            raise InputError(f"benchmark {file}: {key} has no label, or its votes are not shares of {count} classes")
    for mark in MARKS:
        columns.setdefault(mark, [None] * rows)
    return Dataset.from_dict(columns, features=_features(count))


def _are_shares(target: Sequence[float] | None, count: int) -> bool:
    """Whether votes are one number for each class, none below 0, which sum to 1."""
    shares = np.asarray(target if target is not None else [], dtype=np.float64)
    return shares.shape == (count,) and bool((shares >= 0).all()) and abs(float(shares.sum()) - 1) < ROUNDING


def _features(count: int) -> Features:
    columns: dict[str, Any] = {"label": Value("int64"), "target": List(Value("float32"), length=count)}
    return Features(columns | {n: Value("string") for n in NEEDED[2:]} | {mark: Value("bool") for mark in MARKS})


def _refuse_twice(path: Path, tables: dict[str, Dataset]) -> None:
    seen: set[tuple[str, str]] = set()
    for split, table in tables.items():
        for row in names_of(table):
            if row in seen:
                raise InputError(f"benchmark {path}: {split}.parquet has {' '.join(row)} a second time; keep one")
            seen.add(row)


def _joined(tables: list[Dataset], without_marks: bool) -> Dataset:
    columns = {name: [value for table in tables for value in table[name][:]] for name in (*NEEDED, *MARKS)}
    if without_marks:
        columns |= {mark: [None] * len(columns["key"]) for mark in MARKS}
    return Dataset.from_dict(columns, features=tables[0].features)


def _sources(path: Path, report: dict[str, Any]) -> dict[str, Any]:
    try:
        return {id: source_from_json(id, entry).to_json() for id, entry in report["sources"].items()}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path / CURATION} does not record its sources: download it again, or curate again") from None
