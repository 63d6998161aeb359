"""The card of a data set: what is in it, where it came from, what its splits share, and how to load it."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import DatasetCardData

from hub.dataset.curated import Curated
from hub.templates import templates

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def make_card(curated: Curated, pixels: bool, licence: str, rows: Mapping[str, int], repo_id: str) -> str:
    """The card as Markdown with front matter."""
    environment = templates({"cell": cell})
    text = environment.get_template("dataset/card.md.jinja").render(
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        pixels=pixels,
        rows=rows,
        classes=curated.classes,
        counts=curated.report["rows_used"],
        sources=curated.sources,
        copies=curated.report["copies"],
        persons=curated.report["persons_shared"],
    )
    return f"---\n{front_matter(curated, pixels, licence, rows, repo_id).to_yaml()}\n---\n\n{text}"


def front_matter(
    curated: Curated, pixels: bool, licence: str, rows: Mapping[str, int], repo_id: str
) -> DatasetCardData:
    """What the Hub reads."""
    known = licence.lower() if pixels and licence != "other" else "other"
    total = sum(rows.values())
    return DatasetCardData(
        license=known,
        task_categories=["image-classification"],
        pretty_name=repo_id.rpartition("/")[2],
        size_categories=[next((name for limit, name in SIZES if total < limit), "10M<n<100M")],
        tags=["facial-expression-recognition", *([] if pixels else ["labels-only"])],
        configs=[{"config_name": "default", "data_files": [_file(split) for split in rows]}],
    )


def _file(split: str) -> dict[str, str]:
    return {"split": split, "path": f"{split}.parquet"}


def cell(text: Any) -> str:
    """Text from outside on one line of Markdown: nothing in it ends a table cell, a link or a code span."""
    escaped = "".join(f"\\{c}" if c in r"\`*_{}[]()<>#|!" else c for c in str(text))
    return " ".join("".join(c if c.isprintable() else " " for c in escaped).split())
