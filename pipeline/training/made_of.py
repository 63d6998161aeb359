"""What a run is made of: the files of its checkpoint and the rows of its data, noted at its start.

A run that goes on from other weights, pictures or labels than it began with would be neither of two runs. So `--resume`
compares them and refuses what was exchanged under the same name. A finished run keeps one hash for each split.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data.rows import Rows
from pipeline.errors import InputError
from pipeline.model_folder import CONFIG, weight_files
from pipeline.run_folder import sha256
from pipeline.training.checkpoint_files import PROCESSORS, find_checkpoint

ROWS = "rows.parquet"
MADE_OF = "made_of"
"""Field of environment.json: number of rows and SHA-256 of what they are, by split."""
Digests = dict[str, dict[str, Any]]
ORDER = "its rows stand in another order"


def checkpoint_hashes(checkpoint: str | None) -> dict[str, str]:
    """SHA-256 of each file of a checkpoint that is read, by its name; empty without a checkpoint.

    Raises:
        InputError: as `find_checkpoint` and `weight_files`.
    """
    if checkpoint is None:
        return {}
    folder = find_checkpoint(checkpoint)
    names = [CONFIG, *PROCESSORS, *weight_files(folder)]
    return {name: sha256(folder / name) for name in names if (folder / name).is_file()}


def refuse_other_checkpoint(run: Path, checkpoint: str | None, then: Mapping[str, str]) -> None:
    """Compare the files of `checkpoint` with their hashes when the run began.

    Raises:
        InputError: a file changed, came or went.
    """
    now = checkpoint_hashes(checkpoint)
    if changed := [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]:
        raise InputError(
            f"{run} began with other files of checkpoint {checkpoint}: {', '.join(changed)} changed since; put the old "
            "ones back, or choose another --output_dir"
        )


class _Row(NamedTuple):
    """What a row is; source and key name it."""

    split: str
    source: str
    key: str
    picture: str  # hash of the decoded pixels
    label: int
    votes: bytes  # target, (K,) float32


_TYPES = {"label": pa.int64(), "votes": pa.binary()}
SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in _Row._fields])


def note_rows(file: Path, splits: Mapping[str, Rows]) -> None:
    """Write what each row of the splits is, without its pixels."""
    written = file.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in _listed(splits)], SCHEMA), written)
    written.replace(file)


def refuse_other_rows(run: Path, file: Path, splits: Mapping[str, Rows]) -> None:
    """Compare the rows of the splits with those that `note_rows` wrote.

    Raises:
        InputError: rows changed, came, went, or stand in another order.
    """
    then, now = _read(file), _listed(splits)
    if then == now:
        return
    before, after = ({(row.source, row.key): row for row in rows} for rows in (then, now))
    changes = {name: _change(before.get(name), after.get(name)) for name in before | after}
    own = {name: how for name, how in changes.items() if how not in ("", "split")}  # splits may follow from other rows
    named = own or {name: how for name, how in changes.items() if how}
    words = ORDER
    if named:
        (_, key), how = next(iter(named.items()))
        words = f"{len(named):,} rows changed since, first {key} ({how})"
    raise InputError(f"{run} began with other data: {words}; put the old data back, or choose another --output_dir")


def digests_of(splits: Mapping[str, Rows]) -> Digests:
    """Number of rows and SHA-256 of what they are (names, pixels, labels, votes, order), by split."""
    return _digests(_listed(splits))


def noted_digests(file: Path) -> Digests:
    """`digests_of` the rows that `note_rows` wrote."""
    return _digests(_read(file))


def _digests(rows: Iterable[_Row]) -> Digests:
    hashes: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for row in rows:
        hashes.setdefault(row.split, hashlib.sha256()).update(repr(tuple(row)).encode())
        counts[row.split] = counts.get(row.split, 0) + 1
    return {split: {"rows": counts[split], "sha256": hash.hexdigest()} for split, hash in hashes.items()}


def _read(file: Path) -> list[_Row]:
    return [_Row(**row) for row in pq.read_table(file).to_pylist()]


def _listed(splits: Mapping[str, Rows]) -> list[_Row]:
    listed = []
    for split, rows in splits.items():
        pixels, votes = rows.pixels.tolist(), np.asarray(rows.table["target"][:], np.float32)
        columns = zip(rows.source, rows.key, pixels, rows.label.tolist(), votes, strict=True)
        listed += [
            _Row(split, source, key, hash.decode(), label, of.tobytes()) for source, key, hash, label, of in columns
        ]
    return listed


def _change(then: _Row | None, now: _Row | None) -> str:
    """What is different about a row; empty if nothing."""
    if then is None or now is None:
        return "is new" if then is None else "is gone"
    return " and ".join(name for name, old, new in zip(_Row._fields, then, now, strict=True) if old != new)
