"""A folder that `python -m pipeline.curation` wrote: the one table itself, votes, persons and keys as they were."""

import json
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict

from pipeline.data.table import SPLITS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import source_from_json


def read(recipe: Recipe) -> Reading:
    """The sources that the folder `recipe.data_path` was made of, in one table.

    Raises:
        InputError: it is no such folder, or was made for other classes.
    """
    root = Path(str(recipe.data_path)).expanduser()
    if lacking := [name for name in ("curation.json", "train.parquet") if not (root / name).is_file()]:
        raise InputError(f"data_path {root} lacks {' and '.join(lacking)}: give what pipeline.data.curation wrote")
    report = json.loads((root / "curation.json").read_text(encoding="utf-8"))
    files = {split: root / f"{split}.parquet" for split in SPLITS}
    # One by one, for train does not have all the columns.
    tables = {split: Dataset.from_parquet(str(file)) for split, file in files.items() if file.is_file()}
    label = tables["train"].features["label"]
    names = label.names if isinstance(label, ClassLabel) else []
    if names != recipe.classes:
        raise InputError(f"data_path {root} was curated for the classes {', '.join(names)}: set --classes '{names}'")
    made = ("clean", "clean_near", "weight")  # they are made anew
    tables = DatasetDict({s: t.remove_columns([c for c in t.column_names if c in made]) for s, t in tables.items()})
    sources = tuple(source_from_json(id, entry) for id, entry in report["sources"].items())
    return Reading(sources, tables)
