"""Keep official splits and make the missing ones, so that a picture or a person is in one split only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipeline.data.rows import Rows
from pipeline.data.table import ALL, SPLITS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


@dataclass(frozen=True)
class SplitRecord:
    """How the splits of one reading came about."""

    official: list[str]  # the splits that the data came with
    made: list[str]  # the splits that were made here
    seed: int | None  # of the splits made here
    shares: dict[str, float]  # split made here -> share of all rows

    def to_json(self) -> dict[str, Any]:
        """Plain values for `curation.json`."""
        return asdict(self)


def groups_of(picture: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Group of every row, (N,) int: rows with the same `picture`, or the same `person` (not None), share a group."""
    rows = np.arange(len(picture))
    known = np.array([who is not None for who in person], dtype=bool)
    picture_ids = np.unique(picture.astype(str), return_inverse=True)[1]
    person_ids = np.unique(person[known].astype(str), return_inverse=True)[1] + len(rows)
    ends = np.concatenate([picture_ids, person_ids]) + len(rows)
    starts = np.concatenate([rows, rows[known]])
    nodes = 3 * len(rows)
    links = coo_matrix((np.ones(len(starts), dtype=bool), (starts, ends)), shape=(nodes, nodes))
    return connected_components(links, directed=False)[1][: len(rows)]


def grouped_split(labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Assign whole groups to parts, stratified by label: the part of every row, (N,) int in 0..P-1.

    Greedy: the largest groups come first. Each goes to the part that has the smallest fraction of its share of the
    group's rarest class, with half of the group counted in (stratified as in Sechidis et al., 2011, "On the
    stratification of multi-label data"; rounded as Webster and Sainte-Lague allot seats). So every part gets groups of
    every size: pictures with copies and people with many pictures do not all end in train. The last groups go to parts
    that are still empty.

    Args:
        labels: (N,) int.
        groups: (N,) int, as from `groups_of`.
        shares: (P,) share of the rows for each part; their sum is 1.
        seed: orders groups of equal size.
    """
    members, index = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(members), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (index, labels), 1)
    rows_of_class = counts.sum(0)
    rarest = np.where(counts > 0, rows_of_class, np.inf).argmin(1)
    taken = np.zeros((len(shares), counts.shape[1]))
    shuffled = np.random.default_rng(seed).permutation(len(members))
    order = shuffled[np.argsort(-counts.sum(1)[shuffled], kind="stable")]
    part = np.zeros(len(members), dtype=np.int64)
    empty = np.ones(len(shares), dtype=bool)
    for position, group in enumerate(order):
        open_parts = empty if len(order) - position <= empty.sum() else np.ones_like(empty)
        filled = (taken[:, rarest[group]] + counts[group, rarest[group]] / 2) / shares
        part[group] = np.where(open_parts, filled, np.inf).argmin()
        taken[part[group]] += counts[group]
        empty[part[group]] = False
    return part[index]


def complete_splits(rows: Rows, readings: Sequence[Reading], recipe: Recipe) -> tuple[Rows, list[SplitRecord]]:
    """Fill in the column `split`: official splits are kept, missing ones are made of a reading's train rows.

    A group of copies or of one person goes to the split that it is in already, over all readings.

    Returns:
        The rows, every `split` one of SPLITS; and how each reading was split.

    Raises:
        InputError: a reading has no rows to train on, or the shares leave none for train.
    """
    group = groups_of(rows.picture, rows.person)
    place = _official_places(rows, group, readings, recipe)
    split = rows.split.copy()
    records = []
    for number, reading in enumerate(readings):
        base = np.flatnonzero((rows.reading == number) & (rows.split == _base(reading)))
        made = _missing(reading, recipe)
        if made and len(base):
            shares = _shares_of_base(made, int((rows.reading == number).sum()), len(base))
            split[base] = _assigned(rows.label[base], group[base], place, shares, recipe.split_seed)
            place.update(zip(group[base].tolist(), split[base].tolist(), strict=True))
        else:
            split[base] = "train"
        records.append(_record(reading, made, recipe))
    return replace(rows, split=split), records


def _base(reading: Reading) -> str:
    """The split whose rows are for training, and of which missing splits are made."""
    base = ALL if ALL in reading.tables else "train"
    if base not in reading.tables:
        found = ", ".join(reading.tables)
        raise InputError(f"{reading.name}: its splits are {found}, and none to train on; name one of them train")
    return base


def _missing(reading: Reading, recipe: Recipe) -> dict[str, float]:
    """Splits to be made, and their share of all rows."""
    shares = {"validation": recipe.validation_share, "test": recipe.test_share}
    return {split: share for split, share in shares.items() if split not in reading.tables and share > 0}


def _official_places(rows: Rows, group: np.ndarray, readings: Sequence[Reading], recipe: Recipe) -> dict[int, str]:
    """Group -> the split that an official split puts it in. A train split that others are made of decides nothing."""
    place: dict[int, str] = {}
    for number, reading in enumerate(readings):
        for split in SPLITS:
            if split in reading.tables and (split != "train" or not _missing(reading, recipe)):
                inside = (rows.reading == number) & (rows.split == split)
                place.update(dict.fromkeys(group[inside].tolist(), split))
    return place


def _shares_of_base(made: dict[str, float], total: int, base: int) -> dict[str, float]:
    """Split -> share of the `base` rows, for shares of all `total` rows in `made`."""
    shares = {split: share * total / base for split, share in made.items()}
    if sum(shares.values()) >= 1:
        named = " and ".join(f"{split}_share" for split in made)
        raise InputError(f"{named}: of {total} rows they leave nothing of the {base} rows for train; lower them")
    return {"train": 1 - sum(shares.values())} | shares


def _assigned(
    labels: np.ndarray, groups: np.ndarray, place: dict[int, str], shares: dict[str, float], seed: int
) -> np.ndarray:
    """The split of every row, (N,) str: where `place` puts its group, else by `grouped_split`."""
    names = np.array(list(shares), object)
    split = np.array([place[g] if place.get(g) in shares else None for g in groups.tolist()], object)
    free = np.flatnonzero(split == None)  # noqa: E711 (elementwise)
    split[free] = names[grouped_split(labels[free], groups[free], list(shares.values()), seed)]
    return split


def _record(reading: Reading, made: dict[str, float], recipe: Recipe) -> SplitRecord:
    return SplitRecord(
        official=[split for split in SPLITS if split in reading.tables],
        made=list(made) if "train" in reading.tables else ["train", *made],
        seed=recipe.split_seed if made else None,
        shares=made,
    )
