"""The tables of a published data set: the same columns in every split, with or without pictures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, List, Value
from tqdm.auto import tqdm

from pipeline.cores import cores
from pipeline.errors import InputError

from .curated import Curated
from .rebuild import HASH, ROWS_AT_ONCE, pixel_hash

GROUP = "copy_group"  # rows with the same number show the same pixels
NEAR_GROUP = "near_copy_group"  # rows with the same number show one picture; null without the search
OWN = ("label", "target", "source", "person", "key")
MARKS = ("clean", "clean_near")  # null in train


def features(curated: Curated, pixels: bool) -> Features:
    """The columns; `image` only with `pixels`."""
    columns = {
        "label": ClassLabel(names=list(curated.classes)),
        "target": List(Value("float32"), length=len(curated.classes)),
        "source": Value("string"),
        "person": Value("string"),
        "key": Value("string"),
        HASH: Value("string"),
        GROUP: Value("int64"),
        NEAR_GROUP: Value("int64"),
        **{mark: Value("bool") for mark in MARKS},
    }
    return Features(({"image": Image()} if pixels else {}) | columns)


def write_tables(curated: Curated, folder: Path, pixels: bool) -> dict[str, int]:
    """Write a parquet file for each split; return split -> rows.

    Persons get numbers in place of names, in the order in which they appear: a hash of a name could be guessed. The
    numbers of persons and groups of copies go across splits.

    Raises:
        InputError: a row without a key, two rows with the same, or a picture that cannot be decoded.
    """
    schema = features(curated, pixels).arrow_schema
    groups: dict[str, int] = {}
    persons: dict[str, str] = {}
    keys: set[tuple[str, str]] = set()
    with (
        ThreadPoolExecutor(cores()) as pool,
        tqdm(total=sum(curated.rows.values()), desc="Hashing", disable=None) as bar,
    ):
        for split in curated.splits:
            with pq.ParquetWriter(folder / f"{split}.parquet", schema) as writer:
                for rows in _batches(curated, split):
                    contents = [row["image"]["bytes"] for row in rows]
                    for row, value in zip(rows, pool.map(pixel_hash, contents), strict=True):
                        _check_key(curated, split, row, keys)
                        if value is None:
                            raise InputError(
                                f"{curated.path}/{split}.parquet: {row['key']} cannot be decoded; run curation again"
                            )
                        row |= {
                            HASH: value,
                            GROUP: groups.setdefault(value, len(groups)),
                            "person": _number(row["person"], persons),
                        }
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    bar.update(len(rows))
    return curated.rows


def _batches(curated: Curated, split: str) -> Iterator[list[dict[str, Any]]]:
    table = curated.table(split)
    optional = (*MARKS, NEAR_GROUP)
    there = [name for name in ("image", *OWN, *optional) if name in table.schema_arrow.names]
    for batch in table.iter_batches(ROWS_AT_ONCE, columns=there):
        yield [dict.fromkeys(optional) | row for row in batch.to_pylist()]


def _check_key(curated: Curated, split: str, row: dict[str, Any], keys: set[tuple[str, str]]) -> None:
    key = row["source"], row["key"]
    if not row["key"]:
        raise InputError(
            f"{curated.path}/{split}.parquet has rows without a key, so nobody could name them; run curation again"
        )
    if key in keys:
        raise InputError(f"{curated.path}: two rows of {key[0]} have the key {key[1]}; run curation again")
    keys.add(key)


def _number(person: str | None, persons: dict[str, str]) -> str | None:
    """The number of a person, whose name the data set must not give away; new ones are added to `persons`."""
    return None if person is None else persons.setdefault(person, f"person-{len(persons) + 1}")
