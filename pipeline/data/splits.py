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

    A group of copies or of one person goes to the split that it is in already, over all readings. If that split is
    official and not made here, the rows stay in train: a made split has nothing in common with any other split. What
    train then has in common with official splits is up to the setting `leaks`.

    Returns:
        The rows, every `split` one of SPLITS; and how each reading was split.

    Raises:
        InputError: a reading has no rows to train on, the shares leave none for train, or every row for a missing
            split has a copy or a person in an official one.
    """
    group = np.unique(groups_of(rows.picture, rows.person), return_inverse=True)[1]
    made = [_missing(reading, recipe) for reading in readings]
    bases = [np.flatnonzero((rows.reading == n) & (rows.split == _base(r))) for n, r in enumerate(readings)]
    place = _places(rows, group, readings, made, bases)
    split = rows.split.copy()
    for number, (reading, missing, base) in enumerate(zip(readings, made, bases, strict=True)):
        if missing and len(base):
            _refuse_no_free_row(reading, missing, place[group[base]])
            shares = _shares_of_base(missing, int((rows.reading == number).sum()), len(base))
            split[base] = _assigned(rows.label[base], group[base], place, shares, recipe.split_seed)
            place[group[base]] = split[base]
        else:
            split[base] = "train"
    records = [_record(reading, missing, recipe) for reading, missing in zip(readings, made, strict=True)]
    return replace(rows, split=split), records


def _base(reading: Reading) -> str:
    """The split whose rows are for training, and of which missing splits are made."""
    base = ALL if ALL in reading.tables else "train"
    if base not in reading.tables:
        found = ", ".join(reading.tables)
        raise InputError(
            f"{reading.name}: its splits, by the names of its files or folders, are {found}, and none to train on: "
            "name one of them train; if a name only looks like that of a split, rename it"
        )
    return base


def _missing(reading: Reading, recipe: Recipe) -> dict[str, float]:
    """Splits to be made, and their share of all rows."""
    shares = {"validation": recipe.validation_share, "test": recipe.test_share}
    return {split: share for split, share in shares.items() if split not in reading.tables and share > 0}


def _places(
    rows: Rows,
    group: np.ndarray,
    readings: Sequence[Reading],
    made: Sequence[dict[str, float]],
    bases: Sequence[np.ndarray],
) -> np.ndarray:
    """Group -> the split that it must be in, (G,) object; None where it is free.

    Official splits decide. A train split that others are made of decides nothing. Groups go to train if official splits
    disagree, or if readings that make different splits share them.
    """
    place = np.full(group.max(initial=-1) + 1, None, object)
    for number, (reading, missing) in enumerate(zip(readings, made, strict=True)):
        for split in SPLITS:
            if split in reading.tables and (split != "train" or not missing):
                _put(place, group[(rows.reading == number) & (rows.split == split)], split)
    made_of = np.full(len(place), None, object)  # group -> the splits that are made of the reading it is in
    for missing, base in zip(made, bases, strict=True):
        inside = np.unique(group[base])
        name = " and ".join(missing)
        unlike = (made_of[inside] != None) & (made_of[inside] != name)  # noqa: E711 (elementwise)
        _put(place, inside[unlike], "train")
        made_of[inside] = name
    return place


def _put(place: np.ndarray, groups: np.ndarray, split: str) -> None:
    """Place `groups` in `split`, or in train if another split holds them."""
    inside = np.unique(groups)
    other = (place[inside] != None) & (place[inside] != split)  # noqa: E711 (elementwise)
    place[inside] = np.where(other, "train", split)


def _refuse_no_free_row(reading: Reading, missing: dict[str, float], places: np.ndarray) -> None:
    """Stop if all rows, by the `places` (N,) of their groups, are bound to splits that are not made here."""
    if not any(place is None or place in missing for place in places):
        named = " and ".join(missing)
        raise InputError(
            f"{reading.name}: {named} cannot be made, because every train row shows a picture or a person of another "
            f"split, so these splits leak: give a {named} split of other pictures and people"
        )


def _shares_of_base(made: dict[str, float], total: int, base: int) -> dict[str, float]:
    """Split -> share of the `base` rows, for shares of all `total` rows in `made`."""
    shares = {split: share * total / base for split, share in made.items()}
    if sum(shares.values()) >= 1:
        named = " and ".join(f"{split}_share" for split in made)
        raise InputError(f"{named}: of {total} rows they leave nothing of the {base} rows for train; lower them")
    return {"train": 1 - sum(shares.values())} | shares


def _assigned(
    labels: np.ndarray, groups: np.ndarray, place: np.ndarray, shares: dict[str, float], seed: int
) -> np.ndarray:
    """The split of every row, (N,) str: where `place` puts its group, train if that is not made here; free rows by
    `grouped_split`.
    """
    names = np.array(list(shares), object)
    split = place[groups]
    free = np.flatnonzero(split == None)  # noqa: E711 (elementwise)
    split[~np.isin(split, names)] = "train"
    split[free] = names[grouped_split(labels[free], groups[free], list(shares.values()), seed)]
    return split


def _record(reading: Reading, made: dict[str, float], recipe: Recipe) -> SplitRecord:
    return SplitRecord(
        official=[split for split in SPLITS if split in reading.tables],
        made=list(made) if "train" in reading.tables else ["train", *made],
        seed=recipe.split_seed if made else None,
        shares=made,
    )
