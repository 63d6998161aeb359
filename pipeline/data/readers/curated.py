"""A folder that `python -m pipeline.curation` wrote: the one table itself, votes, persons and keys as they were."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetDict

from pipeline.data.readers.files import local_path
from pipeline.data.table import SPLITS, Reading
from pipeline.errors import InputError
from pipeline.run_folder import CURATION, read_json
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source, source_from_json

NAME = "curated"
LAYOUT = "a folder that pipeline.curation wrote"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("parquet",)  # its tables are parquet files

CURATED = "from a curated folder: "
FILES = ("curation.json", "train.parquet")
MADE_BY_CURATION = ("clean", "clean_near", "near_copy_group", "weight")  # columns that a next curation works out itself
MADE_BY_PUBLISHING = ("pixels", "copy_group")  # of a curated folder that comes from the Hub


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a curated folder, or None."""
    return " and ".join(FILES) if all((path / name).is_file() for name in FILES) else None


def read(recipe: Recipe) -> Reading:
    """The table in the folder `recipe.data_path`, with the record of every source that it was made of.

    Raises:
        InputError: it is not such a folder, was made for other classes, or holds paths instead of pictures.
    """
    root = local_path(recipe)
    if lacking := [name for name in FILES if not (root / name).is_file()]:
        raise InputError(f"data_path {root} lacks {' and '.join(lacking)}: give a folder that pipeline.curation wrote")
    report = read_json(root / CURATION)
    files = {split: root / f"{split}.parquet" for split in SPLITS}
    # One by one, because train has other columns than validation and test.
    tables = {split: Dataset.from_parquet(str(file)) for split, file in files.items() if file.is_file()}
    if "image" not in tables["train"].features:
        raise InputError(
            f"data_path {recipe.data_path} has labels without pictures: download it, run its rebuild.py on your "
            "pictures, and give the folder that it writes"
        )
    for split, table in tables.items():
        if pc.struct_field(table.data.column("image"), "bytes").null_count:
            raise InputError(
                f"data_path {root}: {split}.parquet names pictures by a path, which may be any file of this machine; "
                "curation stores the pictures themselves: curate the data again"
            )
    label = tables["train"].features["label"]
    names = label.names if isinstance(label, ClassLabel) else []
    if (held := list(report.get("scores", {}).get("train", {}))) != recipe.scores:
        with_scores = f"the scores {', '.join(held)}" if held else "classes"
        raise InputError(f"data_path {root} was curated for {with_scores}: set task and scores as they were there")
    if names != recipe.labels:
        raise InputError(f"data_path {root} was curated for the classes {', '.join(names)}: set --classes '{names}'")
    made = MADE_BY_CURATION + MADE_BY_PUBLISHING
    kept = {s: t.remove_columns([c for c in t.column_names if c in made]) for s, t in tables.items()}
    records = [source_from_json(id, entry) for id, entry in report["sources"].items()]
    sources = tuple(_said(record) for record in _of_each(records, kept))
    copies = report.get("copies")  # earlier versions had none
    searched = None if copies is None else copies["near"] is not None
    return Reading(sources, DatasetDict(kept), near_copies=searched)


def _said(record: Source) -> Source:
    """The record with a layout that says, once, that it comes from a curated folder."""
    return record if record.layout.startswith(CURATED) else replace(record, layout=f"{CURATED}{record.layout}")


def _of_each(records: list[Source], tables: Mapping[str, Dataset]) -> list[Source]:
    """A record for each value of the column `source`.

    Earlier versions wrote one record for all sources of a curated folder that was itself made of one; each of those
    sources gets a copy of it.
    """
    found = sorted({id for table in tables.values() for id in table.unique("source")})
    ids = [record.id for record in records]
    unknown = [id for id in found if id not in ids]
    each: list[Source] = []
    for record in records:
        named = [id for id in unknown if id in record.id.split(" and ")]
        each += [replace(record, id=id, title=id) for id in named] or [record]
    return each
