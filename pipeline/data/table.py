"""The one table: what every reader returns, and what curation reads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value, concatenate_datasets
from datasets.table import InMemoryTable

from pipeline.data.persons import persons_of
from pipeline.source import Source

SPLITS = ("train", "validation", "test")
ALL = "all"  # the only split of a source that has no splits of its own

# What data sets call their splits, in lower case.
SPLIT_SYNONYMS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
    "eval": "validation",
    "evaluation": "validation",
}
SPLITS_IN_WORDS = "train, validation (valid, val, dev) and test"

BEFORE_SPLIT = r"(?:partial)?"  # `partial-train`, as the Hub calls the converted part of a large data set
AFTER_SPLIT = r"(?:set|data|images|imgs|pictures|faces|folder|split)?"  # `train_set`, `test images`

BOX = List(Value("int32"), length=4)  # x, y, width, height in px of the photo; x to the right, y down


def split_of(name: str) -> str | None:
    """The split that a folder, file or cell names, or None: `Training`, `val` and `test_set` are names of splits."""
    word = re.sub(r"[\W_]+", "", name.casefold())
    found = re.fullmatch(f"{BEFORE_SPLIT}({'|'.join(SPLIT_SYNONYMS)}){AFTER_SPLIT}", word)
    return SPLIT_SYNONYMS[found[1]] if found else None


def split_in(stem: str) -> str | None:
    """The split in the name of a file, such as `fer_train_labels` or `test-00000-of-00001`, or None for none or "
    "several."""
    words = [split_of(word) for word in re.split(r"[\W_\d]+", stem)]
    found = {word for word in words if word}
    return found.pop() if len(found) == 1 else split_of(stem)


@dataclass(frozen=True)
class Reading:
    """What a reader returns: where the pictures came from, and the one table of each split.

    Attributes:
        sources: a record for each value of the column `source`: usually one; as many as a curated folder was made of.
        tables: the splits that the source has among train, validation and test, otherwise one split `all`. Each has
            the columns of `features`; `key` is unique within the reading; `target` holds shares that sum to 1, or
            scores.
        near_copies: of a curated folder, whether near copies were searched for when its splits were made; otherwise
            None.
    """

    sources: tuple[Source, ...]
    tables: DatasetDict
    near_copies: bool | None = None

    def lines(self) -> list[str]:
        """What to print: of each source its layout, the columns that were not read, and what was left out by reason."""
        return [line for source in self.sources for line in _lines(source)]

    @property
    def name(self) -> str:
        """The ids of its sources, for messages."""
        return " and ".join(source.id for source in self.sources)


def _lines(source: Source) -> list[str]:
    lines = [f"{source.id}, {source.layout}"]
    if source.columns_not_read:
        lines.append(f"{source.id}, columns not read: {', '.join(source.columns_not_read)}")
    for split, reasons in source.left_out.items():
        lines += [f"{source.id}, {left_out_of(split)}: {count:,} {reason}" for reason, count in reasons.items()]
    return lines


def left_out_of(split: str) -> str:
    """The words `left out of train`, or `left out` for a source without splits."""
    return "left out" if split == ALL else f"left out of {split}"


def features(labels: Sequence[str], outputs: int | None = None, with_box: bool = False) -> Features:
    """The columns of the one table: `labels` are classes, or the strata of `outputs` scores.

    `box` is there where one photo may show several faces.
    """
    columns = {
        "image": Image(),
        "label": ClassLabel(names=list(labels)),
        "target": List(Value("float32"), length=outputs or len(labels)),
        "source": Value("string"),
        "person": Value("string"),
        "key": Value("string"),
    }
    return Features(columns | ({"box": BOX} if with_box else {}))


def assemble(
    pictures: Dataset,
    labels: np.ndarray,
    targets: np.ndarray,
    keys: Sequence[str],
    persons: Sequence[str | None],
    source: str,
    classes: Sequence[str],
    boxes: np.ndarray | None = None,
) -> Dataset:
    """The one table of a split, without the rows of label -1.

    Args:
        pictures: one column `image`, N rows.
        labels: (N,) int, index into `classes`, or -1.
        targets: (N, K) float32: shares of the classes, or scores.
        keys: N unique and stable names.
        persons: N names as the source writes them, or None; words for nobody become None.
        source: the id of their source.
        classes: names of the labels: the K classes, or the strata of scores.
        boxes: (N, 4) int, as BOX; None for a table without boxes.
    """
    persons = [cell if known else None for cell, known in zip(persons, persons_of(persons), strict=True)]
    outputs = targets.shape[1]
    whole = features(classes, outputs, boxes is not None)
    if not (labels >= 0).any():  # `concatenate_datasets` would lose the columns
        return Dataset.from_dict({name: [] for name in whole}, features=whole)
    columns = {
        "label": pa.array(labels, pa.int64()),
        "target": pa.FixedSizeListArray.from_arrays(pa.array(targets.ravel(), pa.float32()), outputs),
        "source": pa.array([source] * len(labels), pa.string()),
        "person": pa.array(persons, pa.string()),
        "key": pa.array(keys, pa.string()),
    }
    if boxes is not None:
        columns["box"] = pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel(), pa.int32()), 4)
    beside = Features({name: f for name, f in whole.items() if name in columns})
    digest = blake2b(repr((beside, source, list(keys), list(persons))).encode(errors="replace"), digest_size=16)
    digest.update(labels.tobytes() + targets.tobytes() + (b"" if boxes is None else boxes.tobytes()))
    table = InMemoryTable(pa.table(columns, schema=beside.arrow_schema))
    joined = concatenate_datasets([pictures, Dataset(table, fingerprint=digest.hexdigest())], axis=1)
    return joined if (labels >= 0).all() else joined.select(np.flatnonzero(labels >= 0))
