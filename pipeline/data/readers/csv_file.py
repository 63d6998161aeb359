"""A csv file with the columns path, label and optionally split and person; paths are relative to the file."""

from pathlib import Path

from datasets import Dataset, DatasetDict

from pipeline.data.readers.files import (
    column_names,
    header,
    is_picture,
    listed_pictures,
    local_path,
    read_csv,
    visible_below,
)
from pipeline.data.readers.rows import refuse_empty, table_of_files
from pipeline.data.table import ALL, SPLIT_SYNONYMS, SPLITS, SPLITS_IN_WORDS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "csv"
LAYOUT = "a csv file path,label[,split,person]"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = (
    "folder",
)  # its pictures may lie in folders of any name; those that it does not list are counted

COLUMNS = ("path", "label", "split", "person")


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is such a file, or a folder with one csv file, or None."""
    if path.is_file():
        return f"the csv file {path.name}" if path.suffix.lower() in (".csv", ".txt") else None
    found = list(path.glob("*.csv"))
    if len(found) == 1 and {"path", "label"} <= header(found[0]):
        return f"{found[0].name} with the columns path and label"
    return None


def read(recipe: Recipe) -> Reading:
    """The source in the csv file `recipe.data_path`, or in the one such file of that folder.

    The key of a picture is its path as written. A label is a class name, or a whole number: an index of `classes`,
    unless `class_map` names it.

    Raises:
        InputError: a column, field or picture file is missing, a path is repeated or leads out of the csv file's
            folder, or a label or split is unknown.
    """
    given = local_path(recipe)
    path = csv_path(given, {"path", "label"})
    lines, rows = _checked(path, recipe)
    files = listed_pictures(path, lines, [row["path"] for row in rows], [path.parent])
    tables: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    found = {row["split"] for row in rows}
    for split in [s for s in (ALL, *SPLITS) if s in found]:
        chosen = [i for i, row in enumerate(rows) if row["split"] == split]
        tables[split], left_out[split] = table_of_files(
            [files[i] for i in chosen],
            [rows[i]["label"] for i in chosen],
            [rows[i]["path"] for i in chosen],
            [rows[i].get("person") or None for i in chosen],
            path.stem,
            recipe,
            str(path),
        )
    refuse_empty(tables, str(path), left_out)
    if given.is_dir() and (unlisted := _unlisted(given, files)):
        left_out.setdefault(ALL, {})[f"picture that {path.name} does not list"] = unlisted
    source = Source(
        id=path.stem,
        title=path.stem,
        layout="csv file path,label[,split,person]",
        origin="local",
        columns_not_read=tuple(name for name in column_names(path) if name.lower() not in COLUMNS),
        left_out=left_out,
    )
    return Reading((source,), DatasetDict(tables))


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


def _unlisted(folder: Path, files: list[Path]) -> int:
    """How many pictures below `folder` are none of `files`."""
    listed = {file.absolute() for file in files}
    return sum(is_picture(p) and p.absolute() not in listed for p in visible_below(folder))


def _checked(path: Path, recipe: Recipe) -> tuple[list[int], list[dict[str, str]]]:
    """Lines and rows, with `split` by its canonical name ("all" without the column) and `label` as a name."""
    lines, rows = [], []
    known = {name.strip().lower() for name in [*recipe.class_map, *recipe.classes]}
    for line, row in read_csv(path, ("path", "label")):
        place = f"{path} line {line}"
        split = row.get("split", ALL).lower()
        if "split" in row and split not in SPLIT_SYNONYMS:
            raise InputError(f"{place}: unknown split {row['split']!r}; splits are {SPLITS_IN_WORDS}")
        row["split"] = SPLIT_SYNONYMS.get(split, ALL)
        if row["label"].isdecimal() and row["label"] not in known:
            if int(row["label"]) >= len(recipe.classes):
                raise InputError(
                    f"{place}: label {row['label']} is not an index of the {len(recipe.classes)} classes "
                    f"{', '.join(recipe.classes)}; name it with --class_map"
                )
            row["label"] = recipe.classes[int(row["label"])]
        lines.append(line)
        rows.append(row)
    return lines, rows
