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
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pipeline.data.rows import Rows
from pipeline.errors import InputError, first_line
from pipeline.model_folder import CONFIG, weight_files
from pipeline.run_folder import sha256
from pipeline.training.checkpoint_files import PROCESSORS, find_checkpoint

ROWS = "rows.parquet"
MADE_OF = "made_of"
"""Field of environment.json: number of rows and SHA-256 of what they are, by split."""
FILES = "checkpoint_files"
"""Field of environment.json: SHA-256 of each file of the checkpoint, at the start, by its name."""
Digests = dict[str, dict[str, Any]]
ORDER = "its rows stand in another order"


def checkpoint_hashes(checkpoint: str | None) -> dict[str, str]:
    """SHA-256 of each file of a checkpoint that is read, by its name; empty without a checkpoint.

    Raises:
        InputError: as `find_checkpoint` and `weight_files`.
    """
    return {} if checkpoint is None else _hashes(find_checkpoint(checkpoint))


def hashes_here(checkpoint: str) -> dict[str, str] | None:
    """`checkpoint_hashes` without asking the Hub; None if the checkpoint is not here any more.

    Raises:
        InputError: as `weight_files`.
    """
    path = Path(checkpoint)
    try:
        return _hashes(path if path.is_dir() else Path(snapshot_download(checkpoint, local_files_only=True)))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError):
        return None


def _hashes(folder: Path) -> dict[str, str]:
    names = [CONFIG, *PROCESSORS, *weight_files(folder)]
    return {name: sha256(folder / name) for name in names if (folder / name).is_file()}


def weights_digest(files: Mapping[str, str]) -> str | None:
    """One SHA-256 for the weights among `checkpoint_hashes`; None without a checkpoint.

    That of the file, or with shards that of the lines that `sha256sum model-*.safetensors` prints.
    """
    weights = {name: digest for name, digest in sorted(files.items()) if name.endswith(".safetensors")}
    if len(weights) < 2:
        return next(iter(weights.values()), None)
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in weights.items()).encode()).hexdigest()


def refuse_other_checkpoint(run: Path, checkpoint: str | None, then: Mapping[str, str]) -> None:
    """Compare the files of `checkpoint` with their hashes when the run began.

    Raises:
        InputError: a file changed, came or went.
    """
    if changed := changed_files(then, checkpoint_hashes(checkpoint)):
        raise InputError(
            f"{run} began with other files of checkpoint {checkpoint}: {changed} changed since; put the old ones back, "
            "or choose another --output_dir"
        )


def changed_files(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Names of files whose hashes differ, in words; empty if none."""
    return ", ".join(name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name))


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
    try:
        return [_Row(**row) for row in pq.read_table(file).to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as error:
        raise InputError(f"{file} is damaged ({first_line(error)}): choose another --output_dir") from None


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
