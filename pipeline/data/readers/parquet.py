"""A parquet file, or a folder of parquet files, with a picture column and a label column (or FER+ votes)."""

from pathlib import Path

from pipeline.data.readers import columns
from pipeline.data.readers.files import visible_below
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin

NAME = "parquet"
LAYOUT = "parquet files with a picture and a label column (or FER+ votes)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ()


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a parquet file or holds some, or None."""
    if path.is_file():
        return f"the parquet file {path.name}" if path.suffix.lower() == ".parquet" else None
    found = next((p for p in visible_below(path) if p.suffix == ".parquet"), None) if path.is_dir() else None
    return f"parquet files ({found.relative_to(path)})" if found else None


def read(recipe: Recipe) -> Reading:
    """The tables in `recipe.data_path`; see `columns.read`."""
    return columns.read(recipe)
