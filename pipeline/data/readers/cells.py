"""Pictures in cells of a table: their names, and paths in them that may be opened."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image
from datasets.fingerprint import Hasher
from datasets.table import InMemoryTable

OUTSIDE = "picture that is only a path, outside of the data"


def pictures_of(table: Dataset, column: str) -> Dataset:
    """`table` with nothing but the column `image`, decoded on access."""
    pictures = table.select_columns([column]).cast_column(column, Image())
    return pictures if column == "image" else pictures.rename_column(column, "image")


def picture_keys(pictures: dict[str, Dataset]) -> dict[str, list[str]]:
    """A unique key for every picture: its stored name where all splits have one for each, otherwise split and row."""
    names = {split: _field(table, "path").to_pylist() for split, table in pictures.items()}
    together = [name for split in names.values() for name in split]
    if all(together) and len(set(together)) == len(together):
        return {split: [str(name) for name in split_names] for split, split_names in names.items()}
    return {split: [f"{split}/{row:07d}" for row in range(len(table))] for split, table in pictures.items()}


def without_paths_outside(pictures: Dataset, root: Path | None) -> tuple[Dataset, np.ndarray]:
    """The pictures, and which rows (N,) bool are only a path that leads out of `root` (None: any path does).

    Such paths are taken out, so that nothing opens them: a table of somebody else could name any file of this machine.
    A path below `root` becomes absolute.
    """
    empty = pc.is_null(_field(pictures, "bytes")).to_numpy()
    if not empty.any():
        return pictures, np.zeros(len(pictures), bool)
    paths = _field(pictures, "path").to_pylist()
    inside = [_inside(path, root) if lone and path else None for path, lone in zip(paths, empty, strict=True)]
    outside = np.array(
        [bool(lone and path and not found) for path, lone, found in zip(paths, empty, inside, strict=True)]
    )
    kept = [found if lone else path for path, lone, found in zip(paths, empty, inside, strict=True)]
    bytes_column = _field(pictures, "bytes")
    arrays = [bytes_column.combine_chunks().cast(pa.binary()), pa.array(kept, pa.string())]
    column = pa.StructArray.from_arrays(arrays, ["bytes", "path"])
    features = Features({"image": Image()})
    table = InMemoryTable(pa.table({"image": column}, schema=features.arrow_schema))
    return Dataset(table, fingerprint=Hasher.hash((pictures._fingerprint, str(root)))), outside


def _inside(path: str, root: Path | None) -> str | None:
    """The absolute path of a file below `root`, links followed, or None."""
    if root is None or "\0" in path:
        return None
    base = os.path.realpath(root)
    found = os.path.realpath(os.path.join(base, path))  # noqa: PTH118 (a path that no file can have)
    return found if found.startswith(f"{base}/") and os.path.isfile(found) else None  # noqa: PTH113


def _field(pictures: Dataset, name: str) -> pa.ChunkedArray:
    """A field of the column `image`."""
    return pc.struct_field(pictures.data.column("image"), name)
