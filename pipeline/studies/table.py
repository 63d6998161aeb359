"""A study as people read it: a table for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.studies.comparison import Difference, compare
from pipeline.studies.study import SHOWN, Study, over_seeds, read_study, row_sets_of

WATCHED = ("fear", "disgust")
"""Classes whose recall is reported: the rarest of FER+."""

Compared = dict[str, Difference]  # accuracy and recall_<class> to the difference


def studies_of(runs: Sequence[Path]) -> list[Study]:
    """The runs on each row set that all of them have.

    Raises:
        InputError: as `read_study`.
    """
    return [read_study(runs, name) for name in row_sets_of(runs)]


def watched_in(study: Study) -> list[str]:
    """The watched classes that have rows."""
    return [name for name in WATCHED if name in study.classes and (study.label == study.classes.index(name)).any()]


def comparisons(study: Study, others: Mapping[str, Sequence[Path]]) -> dict[str, Compared]:
    """The study less each of the others, by name; one that did not open the row set is left out.

    Raises:
        InputError: two studies do not have the same rows.
    """
    found = {}
    for name, runs in others.items():
        if study.row_set in row_sets_of(runs):
            other = read_study(runs, study.row_set)
            found[name] = {"accuracy": compare(study, other)} | {
                f"recall_{watched}": compare(study, other, watched) for watched in watched_in(study)
            }
    return found


def text_of(study: Study, compared: Mapping[str, Compared]) -> str:
    """Mean, range over seeds and interval of each metric, and the differences to other studies, a line each."""
    seeds = " ".join(map(str, study.seeds))
    lines = [f"{study.row_set}, {len(study.label):,} rows, seeds {seeds}"]
    lines.append(f"{'':20}  mean  over seeds    95 % over rows")
    for name, value in over_seeds(study, watched_in(study)).items():
        lines.append(
            f"{title(study, name):20}  {value.mean:.3f}  {value.least:.3f} to {value.greatest:.3f}"
            f"  [{value.low:.3f}, {value.high:.3f}]"
        )
    for other, differences in compared.items():
        lines.append(f"less {other}: difference, 95 % over rows, p of the paired randomisation test")
        for name, one in differences.items():
            lines.append(f"{title(study, name):20} {one.value:+.3f}  [{one.low:+.3f}, {one.high:+.3f}]  p {one.p:.3f}")
    return "\n".join(lines)


def title(study: Study, name: str) -> str:
    """A metric in words, or a watched class with its number of rows."""
    if name in SHOWN:
        return SHOWN[name]
    watched = name.removeprefix("recall_")
    return f"{watched} (n {int((study.label == study.classes.index(watched)).sum())})"
