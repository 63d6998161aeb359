"""A data set of the Hub with a picture column and a label column (or FER+ votes)."""

import re
from pathlib import Path

from pipeline.data.readers import columns
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin

NAME = "hub"
LAYOUT = "a Hub data set id"
ORIGINS: tuple[Origin, ...] = ("local", "hub")  # `datasets` loads a folder as it loads an id
BEFORE: tuple[str, ...] = ()

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
FILE_SUFFIXES = (".csv", ".parquet", ".txt", ".zip", ".tar", ".gz", ".json", ".lst")  # an id never ends so


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `recipe.data_path` is an id on the Hub, or None: it is spelled like one, and no such file exists here."""
    spelled = HUB_ID.fullmatch(str(recipe.data_path)) and path.suffix.lower() not in FILE_SUFFIXES
    return "the spelling of a Hub id" if spelled and not path.exists() else None


def read(recipe: Recipe) -> Reading:
    """The data set `recipe.data_path`; see `columns.read`."""
    return columns.read(recipe)
