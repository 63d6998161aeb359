"""A parquet file, or a folder of parquet files, with a picture column and a label column (or FER+ votes).

Also a folder that `save_to_disk` of `datasets` wrote.
"""

from pathlib import Path

from pipeline.data.readers import columns
from pipeline.data.readers.inventory import kind_of
from pipeline.data.readers.loading import is_saved, picture_files
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin

NAME = "parquet"
LAYOUT = "parquet files with a picture and a label column (or FER+ votes)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ()


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a parquet file or holds some with pictures, or None."""
    if path.is_file():
        return f"the parquet file {path.name}" if kind_of(path) == "parquet" else None
    if not path.is_dir():
        return None
    if is_saved(path):
        return "a folder of save_to_disk"
    found = picture_files(path)
    return f"parquet files ({found[0].key})" if found else None


def read(recipe: Recipe) -> Reading:
    """The tables in `recipe.data_path`; see `columns.read`."""
    return columns.read(recipe)
