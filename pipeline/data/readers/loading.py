"""Parquet files, folders of `save_to_disk` or a data set of the Hub, loaded by `datasets` under our split names.

Every local file is named to `datasets`, which would otherwise choose among the files of a folder by itself.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, Image, Value, load_dataset, load_from_disk
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from pipeline.data.readers.configs import CARD, Named, named_files, split_of_path
from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, inventory, named
from pipeline.data.table import ALL, SPLITS, SPLITS_IN_WORDS, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

PICTURE_COLUMNS = ("image", "img", "picture", "photo", "face", "jpg", "png")
ONE = "rows"  # the name of the only split; `datasets` forbids our `all`
SAVED = ("dataset_dict.json", "dataset_info.json")  # what `save_to_disk` writes


class Loaded(NamedTuple):
    """The tables as they are, by split, and the files below the path that were read."""

    tables: DatasetDict
    files: frozenset[Path]


def load(recipe: Recipe) -> Loaded:
    """The tables behind `recipe.data_path` as they are, under our split names; without splits the one split `all`.

    Raises:
        InputError: the path or the Hub cannot be read, or the splits have other names.
    """
    name = str(recipe.data_path)
    path = local_path(recipe)
    files: Mapping[str, Sequence[Path]] = {}
    if path.exists() and not is_saved(path):
        files = _with_rows(path, {ONE: [path]} if path.is_file() else _files_by_split(path))
    try:
        if files:
            listed = {split: [str(file.absolute()) for file in of_split] for split, of_split in files.items()}
            raw = load_dataset("parquet", data_files=listed)
        elif path.exists():
            raw = load_from_disk(str(path.absolute()))
        else:
            raw = load_dataset(name)
    except Exception as error:  # a dozen types, from half as many libraries: each is a user's path, id or network
        raise InputError(_unreadable(path, name, error)) from None
    used = frozenset(file for of_split in files.values() for file in of_split)
    if is_saved(path):
        used = frozenset(file.path for file in inventory(path).files)
    return Loaded(_renamed(raw, name), used)


def is_saved(path: Path) -> bool:
    """Whether `path` is a folder that `save_to_disk` of `datasets` wrote."""
    return any((path / file).is_file() for file in SAVED) and (
        (path / SAVED[0]).is_file() or (path / "state.json").is_file()
    )


def _renamed(raw: Dataset | DatasetDict, name: str) -> DatasetDict:
    if isinstance(raw, Dataset):
        return DatasetDict({ALL: raw})
    if len(raw) == 1 and split_of(next(iter(raw))) is None:
        return DatasetDict({ALL: next(iter(raw.values()))})
    renamed = {split_of(split) or split: table for split, table in raw.items()}
    if len(renamed) < len(raw) or not set(renamed) <= set(SPLITS) or "train" not in renamed:
        raise InputError(
            f"data_path {name} has the splits {', '.join(raw)}; expected {SPLITS_IN_WORDS}, train among them"
        )
    return DatasetDict({split: renamed[split] for split in SPLITS if split in renamed})


def picture_files(path: Path) -> list[File]:
    """The parquet files below a folder that have a column of pictures, or that cannot be read."""
    return [file for file in inventory(path).of("parquet") if _has_pictures(file.path)]


def _has_pictures(path: Path) -> bool:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return True  # so that loading says what is wrong with it
    return any(_is_picture(field.type) or field.name == "votes" for field in schema)


def _is_picture(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {field.name for field in kind}
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _files_by_split(path: Path) -> dict[str, list[Path]]:
    """The parquet files with pictures in a folder by the split that their names or folders say.

    Raises:
        InputError: there is none, only some of them name a split, or their columns differ.
    """
    if (card := named_files(path)) is not None:
        return _of_card(path, card)
    files = picture_files(path)
    if not files:
        raise InputError(f"data_path {path}: no parquet file with a column of pictures; name one with --data_path")
    splits = [split_of_path(file) for file in files]
    if any(splits) and not all(splits):
        other = [file for file, split in zip(files, splits, strict=True) if split is None]
        raise InputError(
            f"data_path {path}: {named(other)} names no split, and other parquet files do; expected {SPLITS_IN_WORDS} "
            "in every name: rename it, or name one file with --data_path"
        )
    _refuse_other_columns(path, files)
    found: dict[str, list[Path]] = {}
    for file, split in zip(files, splits, strict=True):
        found.setdefault(split or ONE, []).append(file.path)
    return found


def _of_card(path: Path, card: Named) -> dict[str, list[Path]]:
    """The files of each split as README.md names them.

    Raises:
        InputError: it names files other than parquet, or their columns differ.
    """
    files = [file for of_split in card.splits.values() for file in of_split]
    if other := [file for file in files if file.kind != "parquet"]:
        raise InputError(
            f"{path / CARD}, configs: {named(other)} no parquet file, and the folder holds parquet files of pictures: "
            "move one kind away, or name one file with --data_path"
        )
    _refuse_other_columns(path, files)
    return {split: [file.path for file in of_split] for split, of_split in card.splits.items()}


def _with_rows(path: Path, files: Mapping[str, Sequence[Path]]) -> dict[str, list[Path]]:
    """The files of each split without those of no rows, which `datasets` cannot read.

    Raises:
        InputError: no file has rows.
    """
    found = {split: [file for file in of_split if not _is_empty(file)] for split, of_split in files.items()}
    if not any(found.values()):
        raise InputError(f"data_path {path} holds no rows in any parquet file: give one with pictures and labels")
    return {split: of_split for split, of_split in found.items() if of_split}


def _is_empty(path: Path) -> bool:
    try:
        return int(pq.read_metadata(path).num_rows) == 0
    except (OSError, pa.ArrowException):
        return False  # so that loading says what is wrong with it


def _refuse_other_columns(path: Path, files: Sequence[File]) -> None:
    first: set[str] = set()
    for file in files:
        try:
            columns = set(pq.read_schema(file.path).names)
        except (OSError, pa.ArrowException) as error:
            why = str(error).splitlines()[0]
            raise InputError(f"data_path {path}: {file.key} cannot be read as parquet: {why}") from None
        first = first or columns
        if columns != first:
            raise InputError(
                f"data_path {path}: {files[0].key} has the columns {', '.join(sorted(first))}, and {file.key} "
                f"{', '.join(sorted(columns))}: move one away, or name one file with --data_path"
            )


def _unreadable(path: Path, name: str, error: Exception) -> str:
    why = (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]
    if path.exists():
        return f"data_path {path} cannot be read as parquet: {why}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return (
            f"data_path {name}: no such folder, and not in the local cache of the Hub, which HF_HUB_OFFLINE forbids to "
            "ask: unset it, or give a local folder"
        )
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(e, GatedRepoError) for e in causes):
        return f"data_path {name}: the data set is gated: accept its terms on the Hub and run `hf auth login`"
    if isinstance(error, DatasetNotFoundError) or any(isinstance(e, RepositoryNotFoundError) for e in causes):
        return (
            f"data_path {name}: no such folder, and no data set of that name that can be seen on the Hub: check the "
            "name, `hf auth login` for a private one, or give a local folder"
        )
    if any(getattr(getattr(e, "response", None), "status_code", None) == 401 for e in causes):
        return f"data_path {name}: the Hub does not accept the token: run `hf auth login`, or mend or unset HF_TOKEN"
    if isinstance(error, OSError):
        return (
            f"data_path {name}: no such folder, and cannot reach the Hub ({why}): check the name and the network, or "
            "give a local folder"
        )
    return f"data_path {name} cannot be loaded from the Hub: {why}"


def picture_column(table: Dataset, recipe: Recipe) -> str:
    """The name of the column that holds pictures: `recipe.image_column`, otherwise the one that can be one.

    Raises:
        InputError: there is none, there are several, or the named one holds no pictures.
    """
    able = [name for name in table.column_names if holds_pictures(table, name)]
    declared = [name for name in able if isinstance(table.features[name], Image)]
    usual = sorted((n for n in able if n.lower() in PICTURE_COLUMNS), key=lambda n: PICTURE_COLUMNS.index(n.lower()))
    if recipe.image_column is None and len(declared) > 1 and not usual:
        raise InputError(
            f"data_path {recipe.data_path}: the columns {' and '.join(declared)} hold pictures; name one with "
            "--image_column"
        )
    found = recipe.image_column or (declared if len(declared) == 1 else usual + [""])[0]
    if found in able:
        return found
    wanted = f"{found} is not a picture column" if found else "no picture column is recognised"
    columns = ", ".join(table.column_names)
    raise InputError(f"data_path {recipe.data_path}: {wanted} (columns: {columns}); name it with --image_column")


def holds_pictures(table: Dataset, name: str) -> bool:
    """Whether a column may hold pictures."""
    feature = table.features[name]
    if isinstance(feature, dict):
        return {"bytes", "path"} <= set(feature)
    return isinstance(feature, Image) or (isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"))
