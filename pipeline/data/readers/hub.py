"""A data set of the Hub: with a picture column and a label column (or FER+ votes), or a published curated folder."""

import re
from dataclasses import replace
from pathlib import Path

from huggingface_hub import file_exists

from pipeline.data.readers import columns, curated
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.hub_client import AnswerError, limit_requests, snapshot
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
    """The data set `recipe.data_path`; see `columns.read`, and `curated.read` for a published curated folder."""
    folder = _published_curation(str(recipe.data_path))
    return curated.read(replace(recipe, data_path=str(folder))) if folder else columns.read(recipe)


def _published_curation(name: str) -> Path | None:
    """The downloaded files of a curated folder on the Hub, or None if `name` is another data set, or a folder here.

    Raises:
        InputError: a file is not the one that the Hub announced.
    """
    if Path(name).exists():
        return None
    limit_requests()
    try:
        if not file_exists(name, curated.FILES[0], repo_type="dataset"):
            return None
        patterns = [curated.FILES[0], "*.parquet"]
        return snapshot(name, repo_type="dataset", allow_patterns=patterns)
    except AnswerError as error:
        raise InputError(f"data_path {name} cannot be loaded from the Hub: {error}") from None
    except Exception:  # no such data set, no network: `datasets` reports it, and reads what is in its cache
        return None
