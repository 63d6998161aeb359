"""How the card shows values and text of any origin."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import printable

FEW = 30
"""Below so many rows, a figure of a class whose interval has no width says nothing."""


def cell(text: Any) -> str:
    """Text of any origin as plain words in one line of Markdown, also in a table."""
    words = "".join(c if c.isprintable() else printable(c) for c in " ".join(str(text).split()))
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", words)


def figure(value: Mapping[str, float]) -> str:
    """A figure with its interval; an empty text without a figure."""
    if not value:
        return ""
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def of_class(figures: Mapping[str, Any], name: str) -> str:
    """A figure of one class. Without width an interval claims a certainty that few rows, or none, do not give."""
    value = figures[name]
    if value["low"] < value["high"]:
        return figure(value)
    return f"not measured (n < {FEW})" if figures["support"] < FEW else f"{value['value']:.3f}"


def share_of(per_class: Mapping[str, Any], name: str) -> str:
    """The share of the rows that have the label `name`: the accuracy of always answering it."""
    rows = sum(figures["support"] for figures in per_class.values())
    return f"{per_class[name]['support'] / rows:.3f}"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def size(count: float) -> str:
    """Bytes as megabytes."""
    return f"{count / 1e6:.1f} MB"


def plain(value: Any) -> str:
    """A setting without needless digits."""
    return f"{value:g}" if isinstance(value, float) else cell(value)
