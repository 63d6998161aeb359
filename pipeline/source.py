"""Where pictures came from: one record a source, from its reader to `curation.json`, the model card and the licence.

Later steps decide on its fields, never on a part of a sentence. A leaf module without torch: `pipeline/` writes records
and `hub/` reads them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Origin = Literal["drawn", "local", "hub"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of pictures.

    Attributes:
        id: name in the column `source` of tables and predictions; unique within a run.
        title: the same for people, such as `FER2013 with the votes of FER+`.
        layout: one line: what the reader recognised.
        origin: `drawn` by this project, `local` files, or `hub`: then `id` is the id of the data set there.
        datasets: known public data sets that it consists of, such as `("FER2013", "FER+")`; the card cites them.
        licence: SPDX identifier of the pictures' licence, or `other`.
        terms: the terms in one sentence, for people only.
        citation: how to cite it, or None.
        may_publish_pixels: whether its terms allow to publish pictures.
        may_publish_labels: whether they allow to publish keys and labels, row by row.
        label_rule: how raw votes became labels; None where labels came ready.
        faces: what the face crop found, dropped and chose; None without a crop.
        columns_not_read: columns of its table that were not read.
        left_out: split -> reason -> rows that were not used.
        names: name in the source -> class, or "left out" -> rows: how its labels were read.
    """

    id: str
    title: str
    layout: str
    origin: Origin
    datasets: tuple[str, ...] = ()
    licence: str = "other"
    terms: str = "the source does not state the terms of its pictures"
    citation: str | None = None
    may_publish_pixels: bool = False
    may_publish_labels: bool = True
    label_rule: str | None = None
    faces: Mapping[str, Any] | None = None
    columns_not_read: tuple[str, ...] = ()
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def with_left_out(self, left_out: Mapping[str, Mapping[str, int]]) -> "Source":
        """The record with other counts of what was left out."""
        return replace(self, left_out=left_out)

    def to_json(self) -> dict[str, Any]:
        """The record as plain values, as `curation.json` holds it under its id."""
        return asdict(self) | {"datasets": list(self.datasets), "columns_not_read": list(self.columns_not_read)}


def source_from_json(id: str, entry: Mapping[str, Any]) -> Source:
    """The record in an entry of `curation.json`, of this version or of one before records had an `origin`."""
    if "origin" not in entry:
        entry = _from_before_origin(id, entry)
    known = {f.name for f in fields(Source)}
    lists = {name: tuple(entry.get(name, ())) for name in ("datasets", "columns_not_read")}
    return Source(**{name: value for name, value in entry.items() if name in known} | lists)


def _from_before_origin(id: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Entries used to say in sentences what is a field now; a curated folder was one entry for all of its sources."""
    terms, layout = entry["terms"], entry["layout"]
    merged = layout == "curated table"
    drawn = terms == "drawn by this project, Apache-2.0"
    known = ("FER2013", "FER+", "RAF-DB", "AffectNet")
    return {
        "id": id,
        "title": id,
        "layout": layout,
        "origin": "drawn" if drawn else "hub" if layout.startswith("Hub data set") else "local",
        "datasets": [name for name in known if name in terms],
        "licence": "Apache-2.0" if drawn and not merged else "other",
        "terms": terms,
        "may_publish_pixels": entry["pixels_may_travel"],
        "may_publish_labels": entry.get("labels_may_travel", False),
        "label_rule": entry["label_rule"],
        "faces": entry.get("faces"),
        "left_out": entry["dropped"],
    }
