"""A folder that `python -m pipeline.curation` wrote: the one table itself, votes, persons and keys as they were."""

import json
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict

from pipeline.data.readers import Source
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


def read(recipe: Recipe) -> Source:
    """The source in the folder `recipe.data_path`.

    Raises:
        InputError: it is no such folder, or was made for other classes.
    """
    root = Path(str(recipe.data_path)).expanduser()
    if lacking := [name for name in ("curation.json", "train.parquet") if not (root / name).is_file()]:
        raise InputError(f"data_path {root} lacks {' and '.join(lacking)}: give what pipeline.data.curation wrote")
    report = json.loads((root / "curation.json").read_text(encoding="utf-8"))
    files = {split: root / f"{split}.parquet" for split in ("train", "validation", "test")}
    # One by one, for train does not have all the columns.
    tables = {split: Dataset.from_parquet(str(file)) for split, file in files.items() if file.is_file()}
    label = tables["train"].features["label"]
    names = label.names if isinstance(label, ClassLabel) else []
    if names != recipe.classes:
        raise InputError(f"data_path {root} was curated for the classes {', '.join(names)}: set --classes '{names}'")
    made = ("clean", "clean_near", "weight")  # they are made anew
    tables = DatasetDict({s: t.remove_columns([c for c in t.column_names if c in made]) for s, t in tables.items()})
    told = report["sources"]
    dropped: dict[str, dict[str, int]] = {}
    for name, source in told.items():
        for split, reasons in source["dropped"].items():
            dropped.setdefault(split, {}).update({f"{reason} ({name})": n for reason, n in reasons.items()})
    return Source(
        " and ".join(told),
        "curated table",
        tables,
        dropped,
        "; ".join(dict.fromkeys(f"{name}: {source['terms']}" for name, source in told.items())),
        all(source["pixels_may_travel"] for source in told.values()),
        next((source["label_rule"] for source in told.values() if source["label_rule"]), None),
        labels_may_travel=all(source.get("labels_may_travel", False) for source in told.values()),
    )
