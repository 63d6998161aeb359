"""Write the folder of `python -m pipeline.curation`: a parquet file for each split, `curation.json` and a page."""

import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq
from datasets import Dataset
from datasets.table import embed_table_storage

from pipeline.data.curation import Curated
from pipeline.data.page import write_page
from pipeline.errors import InputError, Stopped
from pipeline.run_folder import CURATION, write_json

ROWS_AT_ONCE = 256  # in memory, with their pictures
NEAR_COPY_GROUP = "near_copy_group"
"""Column of a curated folder: rows with the same number show one picture; not there without the search."""


def refuse_existing(out: Path) -> None:
    """Stop unless `out` does not exist or is an empty folder.

    Raises:
        InputError: there is something at `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output_dir {out} exists already; choose another --output_dir")


def write_curated(out: Path, curated: Curated) -> None:
    """Write the curated tables, `curation.json` and the page `index.html` to the new folder `out`.

    Raises:
        Stopped: on SIGTERM; nothing is left behind, as after any error.
    """
    groups = curated.near_copy_groups
    tables = {split: table if groups is None else table.add_column(NEAR_COPY_GROUP, groups[split])
              for split, table in curated.splits.items()}  # fmt: skip
    with new_folder(out) as folder:
        write_tables(folder, tables, curated.report)
        write_page(curated.report, curated.rows, folder / "index.html")


def write_tables(folder: Path, tables: Mapping[str, Dataset], report: Mapping[str, Any]) -> None:
    """Write what `--source curated` reads into `folder`: a parquet file for each split, and curation.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, table in tables.items():
        with pq.ParquetWriter(folder / f"{split}.parquet", table.features.arrow_schema) as writer:
            for batch in table.with_format("arrow").iter(ROWS_AT_ONCE):
                writer.write_table(embed_table_storage(batch))  # `to_parquet` would keep paths instead of pictures
    write_json(folder / CURATION, report)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A new folder to write into: it becomes `out` at the end, or is removed on an error, Ctrl-C or SIGTERM."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with _stopped_by_sigterm(out), tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        folder = Path(aside) / out.name
        folder.mkdir()  # `aside` is private to its owner; this folder has the usual permissions
        yield folder
        if out.is_dir():
            out.rmdir()  # it is empty; Windows does not replace folders
        folder.replace(out)


@contextmanager
def _stopped_by_sigterm(out: Path) -> Iterator[None]:
    """Turn SIGTERM into `Stopped`, so that clean-up runs; only the main thread may set a signal handler."""

    def stop(*_: Any) -> NoReturn:
        raise Stopped(f"stopped by SIGTERM; nothing was written to {out}", 143)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
