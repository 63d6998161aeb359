"""What curation found, to look at: a table in the terminal, and one HTML page that needs no other file and no network.

The page holds pictures of the source. It is for the person who holds them, and is never published.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from pipeline.data.leaks import PAIRS
from pipeline.data.splits import Rows

SHOWN = 24  # pictures in a contact sheet
SIDE = 96  # px of a picture on the page
MEASURES = ("width, px", "height, px", "brightness, 0 to 255", "contrast, 0 to 255")  # the columns of Rows.measures


def counts_table(report: Mapping[str, Any]) -> str:
    """Rows by class and split, as text."""
    rows = report["rows"]
    classes = next(iter(rows.values()))
    lines = [["class", *rows], *([name, *(f"{rows[s][name]:,}" for s in rows)] for name in classes)]
    lines.append(["all", *(f"{sum(rows[s].values()):,}" for s in rows)])
    return "\n".join(f"{first:12}" + "".join(f"{cell:>12}" for cell in cells) for first, *cells in lines)


def write_page(report: Mapping[str, Any], splits: Mapping[str, Rows], path: Path) -> None:
    """The page of a curation report and of its rows by split (before row limits)."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.jinja").render(
        report=report,
        totals={split: sum(counts.values()) for split, counts in report["rows"].items()},
        entropy={split: entropy_by_class(rows, list(report["rows"][split])) for split, rows in splits.items()},
        measured=[row for split, rows in splits.items() for row in _percentiles(split, rows)],
        measures=MEASURES,
        copies=copies_across(splits),
        disputed=most_disputed(splits),
    )
    path.write_text(page, encoding="utf-8")


def vote_entropy(targets: np.ndarray) -> np.ndarray:
    """Entropy of vote shares (N, K) in bits, (N,): 0 where all agree, log2 K where votes are spread evenly."""
    shares = np.clip(targets, 1e-12, 1)
    return -(targets * np.log2(shares)).sum(axis=1)


def entropy_by_class(rows: Rows, classes: list[str]) -> dict[str, float]:
    """Mean entropy of the votes in bits, by label; nothing where every target is one-hot."""
    bits = vote_entropy(np.asarray(rows.table["target"][:]))
    if not bits.any():
        return {}
    return {name: float(bits[rows.labels == i].mean()) for i, name in enumerate(classes) if (rows.labels == i).any()}


def copies_across(splits: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """Pairs of rows of two splits that show one picture, `SHOWN` exact and `SHOWN` near copies at most."""
    found: dict[str, list[dict[str, Any]]] = {"=": [], "~": []}
    for a, b in ((a, b) for a, b in PAIRS if a in splits and b in splits):
        first = {value: position for position, value in reversed(list(enumerate(splits[b].pictures)))}
        exact = {value: position for position, value in reversed(list(enumerate(splits[b].pixels)))}
        for position, (picture, pixels) in enumerate(zip(splits[a].pictures, splits[a].pixels, strict=True)):
            sign, other = ("=", exact[pixels]) if pixels in exact else ("~", first.get(picture))
            if other is not None and len(found[sign]) < SHOWN:
                left, right = splits[a].table[position], splits[b].table[other]
                names = splits[a].table.features["label"].names
                labels = " / ".join(dict.fromkeys((names[left["label"]], names[right["label"]])))
                caption = f"{a} {left['key']} {sign} {b} {right['key']}: {labels}"
                shown = [left, right] if sign == "~" else [left]
                found[sign].append({"pictures": [_data_url(row["image"]) for row in shown], "caption": caption})
    return found["="] + found["~"]


def most_disputed(splits: Mapping[str, Rows]) -> list[dict[str, str]]:
    """The `SHOWN` rows whose votes have the highest entropy, with the votes; none where every target is one-hot."""
    ranked = [
        (bits, split, position)
        for split, rows in splits.items()
        for position, bits in enumerate(vote_entropy(np.asarray(rows.table["target"][:])))
        if bits > 0
    ]
    sheet = []
    for _, split, position in sorted(ranked, key=lambda entry: (-entry[0], entry[1], entry[2]))[:SHOWN]:
        row, names = splits[split].table[position], splits[split].table.features["label"].names
        votes = sorted(zip(row["target"], names, strict=True), reverse=True)
        caption = f"{split} {row['key']}: " + ", ".join(f"{name} {share:.0%}" for share, name in votes if share > 0)
        sheet.append({"picture": _data_url(row["image"]), "caption": caption})
    return sheet


def _percentiles(split: str, rows: Rows) -> list[dict[str, Any]]:
    sources = np.array(rows.table["source"][:])
    return [
        {"split": split, "source": source, "rows": int(chosen.sum()), "values": values}
        for source in dict.fromkeys(sources.tolist())
        for chosen in [sources == source]
        for values in [np.percentile(rows.measures[chosen], [5, 50, 95], axis=0).T.round().astype(int).tolist()]
    ]


def _data_url(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    encoded = io.BytesIO()
    small.save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
