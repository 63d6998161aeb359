"""A csv file with the columns path, label and optionally split and person; paths are relative to the file."""

from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image

from pipeline.errors import InputError
from pipeline.recipe import Recipe
from pipeline.sources import Source
from pipeline.sources.files import generated, header, picture_rows, read_csv
from pipeline.sources.rows import SPLIT_NAMES, SPLITS, UNKNOWN_TERMS, assemble, class_labels, counted, refuse_empty
from pipeline.votes import one_hot


def read(recipe: Recipe) -> Source:
    """The source in the csv file `recipe.data_path`, or in the one such file of that folder.

    The key of a picture is its path as written. A label is a class name, or a whole number: an index of `classes`,
    unless `class_map` names it.

    Raises:
        InputError: a column, field or picture file is missing, a path is repeated, or a label or split is unknown.
    """
    path = csv_path(Path(str(recipe.data_path)).expanduser(), {"path", "label"})
    rows = _checked(path, recipe)
    tables: dict[str, Dataset] = {}
    dropped: dict[str, dict[str, int]] = {}
    found = {row["split"] for row in rows}
    for split in [s for s in ("all", "train", "validation", "test") if s in found]:
        chosen = [row for row in rows if row["split"] == split]
        labels, reasons = class_labels([row["label"] for row in chosen], recipe, str(path))
        pictures = generated(picture_rows, Features({"image": Image()}), [path.parent / row["path"] for row in chosen])
        keys = [row["path"] for row in chosen]
        persons = [row.get("person") or None for row in chosen]
        targets = one_hot(labels, len(recipe.classes))
        tables[split] = assemble(pictures, labels, targets, keys, persons, path.stem, recipe.classes)
        dropped[split] = counted(np.asarray(reasons))
    refuse_empty(tables, str(path), dropped)
    return Source(
        path.stem, "csv file path,label[,split,person]", DatasetDict(tables), dropped, UNKNOWN_TERMS, False, None
    )


def csv_path(path: Path, columns: set[str]) -> Path:
    """`path` itself, or the one csv file with `columns` in the folder `path`."""
    if path.is_file():
        return path
    found = [p for p in sorted(path.glob("*.csv")) if columns <= header(p)]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"data_path {path}: {len(found) or 'no'} csv files with the columns {', '.join(sorted(columns))}; name one file"
    )


def _checked(path: Path, recipe: Recipe) -> list[dict[str, str]]:
    """The rows with `split` by its canonical name ("all" without the column) and `label` as a name."""
    rows = []
    lines: dict[str, int] = {}
    known = {name.strip().lower() for name in [*recipe.class_map, *recipe.classes]}
    for line, row in read_csv(path, ("path", "label")):
        place = f"{path} line {line}"
        if row["path"] in lines:
            raise InputError(f"{place}: {row['path']} stands on line {lines[row['path']]} already; keep one of the two")
        lines[row["path"]] = line
        if not (path.parent / row["path"]).is_file():
            raise InputError(f"{place}: no picture file {row['path']!r} beside the csv file; paths are relative to it")
        split = row.get("split", "all").lower()
        if "split" in row and split not in SPLITS:
            raise InputError(f"{place}: unknown split {row['split']!r}; splits are {SPLIT_NAMES}")
        row["split"] = SPLITS.get(split, "all")
        if row["label"].isdecimal() and row["label"] not in known:
            if int(row["label"]) >= len(recipe.classes):
                raise InputError(
                    f"{place}: label {row['label']} is no index of the {len(recipe.classes)} classes "
                    f"{', '.join(recipe.classes)}; name it with --class_map"
                )
            row["label"] = recipe.classes[int(row["label"])]
        rows.append(row)
    return rows
