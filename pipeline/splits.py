"""Splits that leak nothing: rows that show the same picture or the same person stay together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, concatenate_datasets
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


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

    Greedy: the largest groups first, each to the part that still lacks most rows of the group's rarest class, ties to
    the first part (iterative stratification, Sechidis et al., 2011). The last groups go to parts that are still empty.
    `seed` orders groups of one size.
    """
    members, index = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(members), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (index, labels), 1)
    rows_of_class = counts.sum(0)
    rarest = np.where(counts > 0, rows_of_class, np.inf).argmin(1)
    lacking = np.outer(shares, rows_of_class)
    shuffled = np.random.default_rng(seed).permutation(len(members))
    order = shuffled[np.argsort(-counts.sum(1)[shuffled], kind="stable")]
    part = np.zeros(len(members), dtype=np.int64)
    empty = np.ones(len(shares), dtype=bool)
    for position, group in enumerate(order):
        open_parts = empty if len(order) - position <= empty.sum() else np.ones_like(empty)
        part[group] = np.where(open_parts, lacking[:, rarest[group]], -np.inf).argmax()
        lacking[part[group]] -= counts[group]
        empty[part[group]] = False
    return part[index]
