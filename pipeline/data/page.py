"""The curation page: one HTML file that loads nothing else, to look at what curation found.

The page shows pictures of the data. It is for the person who holds them and is never published.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.data.contact_sheet import contact_sheets, data_url
from pipeline.data.leaks import PAIRS, Pair
from pipeline.data.report import few_rows, lines_of
from pipeline.data.rows import Rows

SHOWN = 24  # pictures of a kind on the page
MEASURES = {  # column of Rows -> heading
    "width": "width, px",
    "height": "height, px",
    "brightness": "brightness, 0 to 255",
    "contrast": "contrast, 0 to 255",
}


def write_page(report: Mapping[str, Any], splits: Mapping[str, Rows], path: Path) -> None:
    """Write the page of a curation: its `report` and its rows by split, before row limits."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    voted = "scores" not in report  # scores are not votes, and their strata not classes
    page = environment.get_template("page.html.jinja").render(
        report=report,
        lines=lines_of(report),
        few=few_rows(report) if voted else "",
        sheets=contact_sheets(report, splits),
        totals={split: sum(counts.values()) for split, counts in report["rows"].items()},
        entropy={s: entropy_by_class(rows, list(report["rows"][s])) if voted else {} for s, rows in splits.items()},
        measured=[row for split, rows in splits.items() for row in percentiles(split, rows)],
        measures=MEASURES.values(),
        copies=copies_across(splits),
        disputed=most_disputed(splits) if voted else [],
    )
    path.write_text(page, encoding="utf-8")


def vote_entropy(targets: np.ndarray) -> np.ndarray:
    """Entropy of vote shares (N, K) in bits, (N,): 0 if all voters agree, log2 K if votes are spread evenly."""
    shares = np.clip(targets, 1e-12, 1)
    return -(targets * np.log2(shares)).sum(axis=1)


def entropy_by_class(rows: Rows, classes: list[str]) -> dict[str, float]:
    """Class -> mean entropy of its rows' votes in bits; empty if every target is one-hot."""
    bits = vote_entropy(np.asarray(rows.table["target"][:]))
    if not bits.any():
        return {}
    return {name: float(bits[rows.label == i].mean()) for i, name in enumerate(classes) if (rows.label == i).any()}


def copies_across(splits: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """Rows of two splits that show the same picture: at most `SHOWN` exact copies, then at most `SHOWN` near copies."""
    exact: list[dict[str, Any]] = []
    near: list[dict[str, Any]] = []
    for pair in (pair for pair in PAIRS if {*pair} <= splits.keys()):
        shown, held = splits[pair.shown], splits[pair.held]
        same_pixels, same_picture = _first_places(held.pixels), _first_places(held.picture)
        for position, (pixels, picture) in enumerate(zip(shown.pixels, shown.picture, strict=True)):
            is_exact = pixels in same_pixels
            other = same_pixels[pixels] if is_exact else same_picture.get(picture)
            sheet = exact if is_exact else near
            if other is not None and len(sheet) < SHOWN:
                sheet.append(_copy(pair, shown.table[position], held.table[other], shown, is_exact))
    return exact + near


def _first_places(column: np.ndarray) -> dict[Any, int]:
    """Value -> position of the first row that has it."""
    return {value: position for position, value in reversed(list(enumerate(column)))}


def _copy(pair: Pair, row: Mapping[str, Any], other: Mapping[str, Any], rows: Rows, exact: bool) -> dict[str, Any]:
    names = rows.table.features["label"].names
    labels = " / ".join(dict.fromkeys((names[row["label"]], names[other["label"]])))
    caption = f"{pair.shown} {row['key']} {'=' if exact else '~'} {pair.held} {other['key']}: {labels}"
    return {"pictures": [data_url(one["image"]) for one in ([row] if exact else [row, other])], "caption": caption}


def most_disputed(splits: Mapping[str, Rows]) -> list[dict[str, str]]:
    """The `SHOWN` rows whose votes have the highest entropy, with the votes; empty if every target is one-hot."""
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
        sheet.append({"picture": data_url(row["image"]), "caption": caption})
    return sheet


def percentiles(split: str, rows: Rows) -> list[dict[str, Any]]:
    """For each source its rows and the 5th, 50th and 95th percentile of each of MEASURES, in their order."""
    return [
        {
            "split": split,
            "source": source,
            "rows": int((rows.source == source).sum()),
            "values": [
                np.percentile(getattr(rows, name)[rows.source == source], [5, 50, 95]).round().astype(int).tolist()
                for name in MEASURES
            ],
        }
        for source in dict.fromkeys(rows.source)
    ]
