"""Parquet files or a data set of the Hub, loaded by `datasets`: its splits, and which column holds the pictures."""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Image, Value, load_dataset
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from pipeline.data.readers.files import local_path
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS, SPLITS_IN_WORDS
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

PICTURE_COLUMNS = ("image", "img", "picture", "photo", "face", "jpg", "png")


def load(recipe: Recipe) -> DatasetDict:
    """The tables behind `recipe.data_path` as they are, under our split names; a single file is the split "all".

    Raises:
        InputError: the path or the Hub cannot be read, or the splits have other names.
    """
    name = str(recipe.data_path)
    path = local_path(recipe)
    try:
        if path.is_file():
            raw = load_dataset("parquet", data_files=str(path))
        else:
            raw = load_dataset(str(path.absolute()) if path.exists() else name)
    except Exception as error:  # a dozen types, from half as many libraries: each is a user's path, id or network
        raise InputError(_unreadable(path, name, error)) from None
    if len(raw) == 1 and (path.is_file() or next(iter(raw)).lower() not in SPLIT_SYNONYMS):
        return DatasetDict({ALL: next(iter(raw.values()))})
    renamed = {SPLIT_SYNONYMS.get(split.lower(), split): table for split, table in raw.items()}
    if len(renamed) < len(raw) or not set(renamed) <= set(SPLITS) or "train" not in renamed:
        raise InputError(
            f"data_path {name} has the splits {', '.join(raw)}; expected {SPLITS_IN_WORDS}, train among them"
        )
    return DatasetDict(renamed)


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
        InputError: there is none, or the named one holds no pictures.
    """
    able = [name for name in table.column_names if _holds_pictures(table, name)]
    declared = [name for name in able if isinstance(table.features[name], Image)]
    usual = sorted((n for n in able if n.lower() in PICTURE_COLUMNS), key=lambda n: PICTURE_COLUMNS.index(n.lower()))
    found = recipe.image_column or (declared if len(declared) == 1 else usual + declared + [""])[0]
    if found in able:
        return found
    wanted = f"{found} is not a picture column" if found else "no picture column is recognised"
    columns = ", ".join(table.column_names)
    raise InputError(f"data_path {recipe.data_path}: {wanted} (columns: {columns}); name it with --image_column")


def _holds_pictures(table: Dataset, name: str) -> bool:
    feature = table.features[name]
    if isinstance(feature, dict):
        return {"bytes", "path"} <= set(feature)
    return isinstance(feature, Image) or (isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"))


def pictures_of(table: Dataset, column: str) -> Dataset:
    """`table` with nothing but the column `image`, decoded on access."""
    pictures = table.select_columns([column]).cast_column(column, Image())
    return pictures if column == "image" else pictures.rename_column(column, "image")


def picture_keys(pictures: dict[str, Dataset]) -> dict[str, list[str]]:
    """A unique key for every picture: its stored name where all splits have one for each, otherwise split and row."""
    names = {split: _stored_names(table) for split, table in pictures.items()}
    together = [name for split in names.values() for name in split]
    if all(together) and len(set(together)) == len(together):
        return {split: [str(name) for name in split_names] for split, split_names in names.items()}
    return {split: [f"{split}/{row:07d}" for row in range(len(table))] for split, table in pictures.items()}


def _stored_names(pictures: Dataset) -> Sequence[str | None]:
    column = pictures.data.column("image")
    return pc.struct_field(column, "path").to_pylist()
