"""Entries on the same rows in the order of their accuracy, and which differences are more than chance.

The rank of an entry is 1 + the number of entries that are better than it beyond chance. "Beyond chance" is the exact
paired randomisation test of `comparison`, at 5 % over all pairs of a table together (Holm 1979, Scandinavian Journal of
Statistics 6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.values import estimate, metric_values, resampled_values
from pipeline.run_folder import ROW_SETS
from pipeline.studies.comparison import Difference, compare
from pipeline.studies.origin import Origin, origin_of
from pipeline.studies.study import OverSeeds, Study, finished_runs, over_seeds, read_study, row_sets_of

FAMILY_LEVEL = 0.05
"""Chance that a table ranks any pair apart although all entries are equal."""


@dataclass(frozen=True)
class Line:
    """An entry of a table: its rank, its metrics by name, and where it comes from. A baseline has only metrics."""

    name: str
    values: dict[str, OverSeeds]
    rank: int | None = None
    seeds: tuple[int, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True)
class Table:
    """The lines of a row set, best accuracy first, the differences of neighbours, and the entries that lack the set."""

    row_set: str
    n: int
    lines: list[Line]
    baselines: list[Line]
    to_next: list[Difference]  # of each line but the last, less the line below it
    without: list[str]


def tables_of(entries: Mapping[str, Sequence[Path]]) -> list[Table]:
    """The tables of finished runs by the name of their entry.

    Raises:
        InputError: fewer than two entries, or none that share a row set; as `read_study` and `compare`.
    """
    if len(entries) < 2:
        raise InputError("a leaderboard needs two entries or more: name another run folder")
    held = {name: row_sets_of(runs) for name, runs in entries.items()}
    shared = [name for name in ROW_SETS if sum(name in sets for sets in held.values()) >= 2]
    if not shared:
        each = "; ".join(f"{name}: {', '.join(sets)}" for name, sets in held.items())
        raise InputError(f"no two entries have the same row set ({each}): evaluate them on the same split")
    return [_table(row_set, entries, held) for row_set in shared]


def _table(row_set: str, entries: Mapping[str, Sequence[Path]], held: Mapping[str, Sequence[str]]) -> Table:
    studies = {name: read_study(runs, row_set) for name, runs in entries.items() if row_set in held[name]}
    first = next(iter(studies))
    differences = {}
    for one, other in combinations(studies, 2):
        try:
            differences[one, other] = compare(studies[one], studies[other])
        except InputError as error:
            raise InputError(f"{one} and {other}: {error}") from None
    ranks = _ranks(list(studies), differences)
    lines = [
        Line(name, over_seeds(study, ()), ranks[name], tuple(study.seeds), origin_of(entries[name]))
        for name, study in studies.items()
    ]
    lines.sort(key=lambda line: (-line.values["accuracy"].mean, line.name))
    below = [compare(studies[one.name], studies[other.name]) for one, other in zip(lines, lines[1:], strict=False)]
    without = [name for name in entries if name not in studies]
    return Table(row_set, len(studies[first].label), lines, baselines(studies[first]), below, without)


def _ranks(names: Sequence[str], differences: Mapping[tuple[str, str], Difference]) -> dict[str, int]:
    """1 + how many entries are better beyond chance, by Holm's step-down over all pairs."""
    ranks = dict.fromkeys(names, 1)
    in_order = sorted(differences.items(), key=lambda pair: pair[1].p)
    for step, ((one, other), difference) in enumerate(in_order):
        if difference.p > FAMILY_LEVEL / (len(in_order) - step):
            break
        ranks[other if difference.value > 0 else one] += 1
    return ranks


def baselines(study: Study) -> list[Line]:
    """What every entry is to be seen beside: the most frequent class for every picture, and one human voter."""
    counts = np.bincount(study.label, minlength=len(study.classes))
    constant = np.zeros_like(study.logits[0])
    constant[:, counts.argmax()] = 1  # far from certain, but only the answer counts
    found = [Line(f"always {study.classes[counts.argmax()]}", _only(study, constant, "accuracy", "macro_f1"))]
    if (study.target.max(1) < 1 - 1e-6).any():
        voter = _only(study, constant, "human_agreement")
        found.append(Line("one human voter", {"accuracy": voter["human_agreement"]}))
    return found


def _only(study: Study, logits: NDArray[np.float32], *names: str) -> dict[str, OverSeeds]:
    values = metric_values(logits, study.label, study.target)
    samples = resampled_values(logits, study.label, study.target, study.resamples, study.seeds[0])
    found = {}
    for name in names:
        ends = estimate(name, float(values[name]), samples[name])
        if ends is not None:
            found[name] = OverSeeds(ends[0], *ends[:1], *ends)
    return found


def entries_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Each path's finished runs, by the path's last name.

    Raises:
        InputError: two paths have the same last name, or as `finished_runs`.
    """
    names = [path.resolve().name for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two entries are called {twice[0]}: rename a folder, so that people can tell them apart")
    return {name: finished_runs(path) for name, path in zip(names, paths, strict=True)}
