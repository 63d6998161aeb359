"""A curated folder as publishing reads it: its tables, its records of sources, and what may travel."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.run_folder import CURATION, SEAL, read_json
from pipeline.source import Source, source_from_json

SPLITS = ("train", "validation", "test")
NEEDED = ("image", "label", "target", "source", "person", "key")


@dataclass(frozen=True)
class Curated:
    """A folder of `python -m pipeline.curation`.

    Attributes:
        path: the folder.
        report: content of its curation.json.
        sources: a record for each source.
        classes: their K names, in the order of the labels.
        splits: names of the splits that are there.
    """

    path: Path
    report: Mapping[str, Any]
    sources: tuple[Source, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    def table(self, split: str) -> pq.ParquetFile:
        """The open table of a split."""
        return pq.ParquetFile(self.path / f"{split}.parquet")

    @property
    def rows(self) -> dict[str, int]:
        """Split -> number of rows."""
        return {split: self.table(split).metadata.num_rows for split in self.splits}


def read_curated(path: Path) -> Curated:
    """Read a curated folder.

    Raises:
        InputError: it is something else, a table is damaged or lacks a column, or the tables hold other rows than the
            report says.
    """
    if (path / SEAL).exists():
        raise InputError(f"{path} is a run folder: publish it with --repo_id; --dataset takes a curated folder")
    if not (path / CURATION).is_file():
        raise InputError(f"{path} has no {CURATION}: give a folder that python -m pipeline.curation wrote")
    splits = tuple(split for split in SPLITS if (path / f"{split}.parquet").is_file())
    if "train" not in splits:
        raise InputError(f"{path} has no train.parquet: give a folder that python -m pipeline.curation wrote")
    schemas = {split: _schema(path / f"{split}.parquet") for split in splits}
    report = read_json(path / CURATION)
    if report.get("scores"):
        raise InputError(f"{path} has scores: --dataset publishes curated folders with classes")
    try:
        sources = tuple(source_from_json(id, entry) for id, entry in report["sources"].items())
        classes, *others = (_classes(schema) for schema in schemas.values())
        counted = {split: [report["rows_used"][split][name] for name in classes] for split in splits}
        whole = {"exact", "near"} <= report["copies"].keys() and "persons_shared" in report
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole or any(other != classes for other in others):
        raise InputError(f"{path}: {CURATION} or a table is not as curation wrote it; run curation again")
    curated = Curated(path, report, sources, classes, splits)
    for split in splits:
        _check_rows(curated, split, counted[split])
    return curated


def _schema(file: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError):
        raise InputError(f"{file} is damaged; run curation again") from None
    if lacking := [name for name in NEEDED if name not in schema.names]:
        raise InputError(f"{file} lacks the columns {', '.join(lacking)}: give a folder that curation wrote")
    return schema


def _classes(schema: pa.Schema) -> tuple[str, ...]:
    return tuple(json.loads(schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"])


def _check_rows(curated: Curated, split: str, counted: list[int]) -> None:
    """Refuse rows that the report does not know: its counts and its records of sources are what the card says."""
    table = pq.read_table(curated.path / f"{split}.parquet", columns=["label", "target", "source"])
    labels, known = table["label"].to_pylist(), {source.id for source in curated.sources}
    if unknown := sorted(set(map(str, table["source"].to_pylist())) - known):
        wrong = f"has rows of {unknown[0]}, and {CURATION} has no record of it"
    elif [labels.count(number) for number in range(len(counted))] != counted or len(labels) != sum(counted):
        wrong = f"has other rows by class than {CURATION} counts"
    elif any(target is None or len(target) != len(counted) for target in table["target"].to_pylist()):
        wrong = f"has targets that are not {len(counted)} shares"
    else:
        return
    raise InputError(f"{curated.path}/{split}.parquet {wrong}; run curation again")
