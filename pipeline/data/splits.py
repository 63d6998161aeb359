"""Splits that leak nothing, made where a source lacks them: rows of one picture or one person stay together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipeline.data.table import SPLITS
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


@dataclass(frozen=True)
class Rows:
    """A split: its table, and beside it as arrays (N,) what the checks below read."""

    table: Dataset
    labels: np.ndarray  # int
    pixels: np.ndarray  # str, hash of the decoded picture
    pictures: np.ndarray  # what near copies share: rows of one value show one picture
    persons: np.ndarray  # str or None
    measures: np.ndarray  # (N, 4) float: width, height, brightness, contrast

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: np.ndarray) -> "Rows":
        """The rows at the increasing positions `chosen`."""
        if len(chosen) == len(self):
            return self
        return Rows(self.table.select(chosen), *(array[chosen] for array in self._beside()))

    @staticmethod
    def joined(parts: Sequence["Rows"]) -> "Rows":
        """The rows of all `parts`, in their order."""
        if len(parts) == 1:
            return parts[0]
        beside = zip(*(part._beside() for part in parts), strict=True)
        return Rows(concatenate_datasets([part.table for part in parts]), *map(np.concatenate, beside))

    def _beside(self) -> tuple[np.ndarray, ...]:
        return self.labels, self.pixels, self.pictures, self.persons, self.measures


def groups_of(pictures: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Group of every row, (N,) int: rows with one `pictures` value, or one `persons` value but None, share a group."""
    rows = np.arange(len(pictures))
    known = np.array([person is not None for person in persons], dtype=bool)
    picture_ids = np.unique(pictures.astype(str), return_inverse=True)[1]
    person_ids = np.unique(persons[known].astype(str), return_inverse=True)[1] + len(rows)
    ends = np.concatenate([picture_ids, person_ids]) + len(rows)
    starts = np.concatenate([rows, rows[known]])
    nodes = 3 * len(rows)
    links = coo_matrix((np.ones(len(starts), dtype=bool), (starts, ends)), shape=(nodes, nodes))
    return connected_components(links, directed=False)[1][: len(rows)]


def grouped_split(labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Part of every row, (N,) int in 0..P-1: whole groups, each class shared out by `shares` (P, sum 1).

    Greedy: the largest groups first, each to the part that has least of the group's rarest class for its share, half of
    the group counted in (stratified as by Sechidis et al., 2011; shared out as seats are by Webster and Sainte-Lague).
    So groups of every size fall into all parts: pictures with copies, and people with many pictures, are no kind of
    their own. The last groups go to parts that are still empty. `seed` orders groups of one size.
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


def complete_splits(
    sources: Sequence[dict[str, Rows]], names: Sequence[str], recipe: Recipe
) -> tuple[list[dict[str, Rows]], list[dict[str, Any]]]:
    """Every source (split -> rows) with its missing splits made, and how.

    A picture or person stays in one split over all sources.

    Raises:
        InputError: a source has no rows to train on, or the shares leave none for train.
    """
    parts = [rows for source in sources for rows in source.values()]
    groups = groups_of(np.concatenate([p.pictures for p in parts]), np.concatenate([p.persons for p in parts]))
    ends = iter(np.split(groups, np.cumsum([len(p) for p in parts])[:-1]))
    of = [{split: next(ends) for split in source} for source in sources]
    place: dict[int, str] = {}  # group -> the split that it is in already
    for rows, group in zip(sources, of, strict=True):
        for split in SPLITS:
            if split in rows and (split != "train" or not _missing(rows, recipe)):
                place.update(dict.fromkeys(group[split].tolist(), split))
    completed, how = [], []
    for rows, group, name in zip(sources, of, names, strict=True):
        splits, made = _completed(rows, group, place, name, recipe)
        completed.append(splits)
        how.append(made)
    return completed, how


def _completed(
    rows: dict[str, Rows], groups: dict[str, np.ndarray], place: dict[int, str], name: str, recipe: Recipe
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """`rows` with validation and test made where they are missing (and asked for), and how that was done.

    A group that `place` knows goes where it is; the others are noted there.
    """
    base_name = "all" if "all" in rows else "train"
    if base_name not in rows:
        raise InputError(f"{name} has the splits {', '.join(rows)} and none to train on; name one of them train")
    base, group = rows[base_name], groups[base_name]
    total = sum(len(split) for split in rows.values())
    made = _missing(rows, recipe)
    splits = {"train": base} | {split: rows[split] for split in ("validation", "test") if split in rows}
    if made and len(base):
        shares = [share * total / len(base) for share in made.values()]
        if sum(shares) >= 1:
            named = " and ".join(f"{split}_share" for split in made)
            raise InputError(f"{named} of {total} rows leave nothing of the {len(base)} rows for train; lower them")
        parts = ["train", *made]
        part = np.array([parts.index(place[g]) if place.get(g) in parts else -1 for g in group.tolist()])
        free = np.flatnonzero(part < 0)
        part[free] = grouped_split(base.labels[free], group[free], [1 - sum(shares), *shares], recipe.split_seed)
        place.update({g: parts[p] for g, p in zip(group.tolist(), part.tolist(), strict=True)})
        splits |= {split: base.take(np.flatnonzero(part == i)) for i, split in enumerate(parts)}
    how = {
        "official": [split for split in SPLITS if split in rows],
        "made": list(made) if "train" in rows else ["train", *made],
        "seed": recipe.split_seed if made else None,
        "shares": made,
    }
    return {split: splits[split] for split in SPLITS if len(splits.get(split, ())) or split == "train"}, how


def _missing(rows: Mapping[str, Rows], recipe: Recipe) -> dict[str, float]:
    """Splits to be made, and their share of all rows."""
    shares = {"validation": recipe.validation_share, "test": recipe.test_share}
    return {split: share for split, share in shares.items() if split not in rows and share > 0}
