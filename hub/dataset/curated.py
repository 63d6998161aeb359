"""A curated folder as publishing reads it: its tables, its records of sources, and what may travel."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.run_folder import CURATION, SEAL
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
        InputError: it is something else, or a table is damaged or lacks a column.
    """
    if (path / SEAL).exists():
        raise InputError(f"{path} is a run folder: publish it with --repo_id; --dataset takes a curated folder")
    if not (path / CURATION).is_file():
        raise InputError(f"{path} has no {CURATION}: give a folder that python -m pipeline.curation wrote")
    splits = tuple(split for split in SPLITS if (path / f"{split}.parquet").is_file())
    if not splits:
        raise InputError(f"{path} has no train.parquet: give a folder that python -m pipeline.curation wrote")
    schema = _schema(path, splits)
    try:
        report = json.loads((path / CURATION).read_text(encoding="utf-8"))
        sources = tuple(source_from_json(id, entry) for id, entry in report["sources"].items())
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        classes = tuple(features["label"]["names"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: {CURATION} or a table is not as curation wrote it; run curation again") from None
    if report.get("scores"):
        raise InputError(f"{path} has scores: --dataset publishes curated folders with classes")
    return Curated(path, report, sources, classes, splits)


def _schema(path: Path, splits: tuple[str, ...]) -> pa.Schema:
    for split in reversed(splits):  # so that train's is returned
        file = path / f"{split}.parquet"
        try:
            schema = pq.read_schema(file)
        except (pa.ArrowException, OSError):
            raise InputError(f"{file} is damaged; run curation again") from None
        if lacking := [name for name in NEEDED if name not in schema.names]:
            raise InputError(f"{file} lacks the columns {', '.join(lacking)}: give a folder that curation wrote")
    return schema
