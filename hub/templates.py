"""How the texts of a repository are rendered: the card with its snippets, and those of the Space."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2


def templates(filters: Mapping[str, Callable[..., Any]] | None = None) -> jinja2.Environment:
    """The templates of this folder, with `filters` by name; an undefined name in a template is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown and code: the card's filter `cell` escapes text from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment
