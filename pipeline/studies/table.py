"""A study as people read it: a table for the terminal, and rows for the log of recipes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from pipeline.errors import InputError
from pipeline.studies.comparison import Difference, compare
from pipeline.studies.study import OverSeeds, Study, figures_of, read_study, row_sets_of

WATCHED = ("fear", "disgust")
"""Classes whose recall is told: the rarest of FER+."""

TITLES = {"accuracy": "accuracy", "macro_f1": "macro F1", "nll": "NLL", "ece": "ECE"}
COLUMNS = ("date", "commit", "command", "rows", *TITLES.values(), "recall", "against", "machine, time")
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"

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
    """Mean, range over seeds and interval of each figure, and the differences to other studies, a line each."""
    seeds = " ".join(map(str, study.seeds))
    lines = [f"{study.row_set}, {len(study.label):,} rows, seeds {seeds}"]
    lines.append(f"{'':20}  mean  over seeds    95 % over rows")
    for name, figure in figures_of(study, watched_in(study)).items():
        lines.append(
            f"{_title(study, name):20}  {figure.mean:.3f}  {figure.least:.3f} to {figure.greatest:.3f}"
            f"  [{figure.low:.3f}, {figure.high:.3f}]"
        )
    for other, differences in compared.items():
        lines.append(f"less {other}: difference, 95 % over rows, p of the paired randomisation test")
        for name, one in differences.items():
            lines.append(f"{_title(study, name):20} {one.value:+.3f}  [{one.low:+.3f}, {one.high:+.3f}]  p {one.p:.3f}")
    return "\n".join(lines)


def markdown_row(study: Study, compared: Mapping[str, Compared], runs: Sequence[Path], command: str) -> str:
    """The row of the log: `mean (over seeds) [95 % over rows]`.

    Raises:
        InputError: the environment.json of a run cannot be read.
    """
    figures = figures_of(study, watched_in(study))
    recalls = [f"{_title(study, name)} {_cell(figures[name])}" for name in figures if name not in TITLES]
    against = [
        f"{other}: " + ", ".join(f"{_title(study, name)} {_difference(one)}" for name, one in differences.items())
        for other, differences in compared.items()
    ]
    date, commit, machine = _made(runs)
    cells = [date, commit, f"`{command}`", f"{study.row_set} ({len(study.label):,})"]
    cells += [*(_cell(figures[name]) for name in TITLES), ", ".join(recalls), "; ".join(against), machine]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def append_rows(log: Path, rows: Sequence[str]) -> None:
    """Put the rows at the end of the table of studies in the log.

    Raises:
        InputError: the log has no such table.
    """
    page = log.read_text(encoding="utf-8")
    before, header, after = page.partition(HEADER)
    if not header:
        raise InputError(f"{log} has no table that begins with {HEADER.splitlines()[0]}")
    table = "".join(takewhile(lambda line: line.startswith("|"), after.splitlines(keepends=True)))
    log.write_text(before + header + table + "".join(rows) + after[len(table) :], encoding="utf-8")


def _title(study: Study, name: str) -> str:
    if name in TITLES:
        return TITLES[name]
    watched = name.removeprefix("recall_")
    return f"{watched} (n {int((study.label == study.classes.index(watched)).sum())})"


def _cell(figure: OverSeeds) -> str:
    one_seed = figure.least == figure.greatest
    seeds = "" if one_seed else f" ({_short(figure.least)} to {_short(figure.greatest)})"
    return f"{_short(figure.mean)}{seeds} [{_short(figure.low)}, {_short(figure.high)}]"


def _difference(one: Difference) -> str:
    low, high = (_short(end, "+") for end in (one.low, one.high))
    return f"{_short(one.value, '+')} [{low}, {high}], p {_short(one.p)}"


def _short(value: float, sign: str = "") -> str:
    """Three digits, without the 0 before the point."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:{sign}.3f}"


def _made(runs: Sequence[Path]) -> tuple[str, str, str]:
    """Day and code of the runs, and on what and how long each took."""
    days = [datetime.fromtimestamp((run / "predictions.parquet").stat().st_mtime).date().isoformat() for run in runs]
    commits, machines = [], []
    for run in runs:
        try:
            told = json.loads((run / "environment.json").read_text(encoding="utf-8"))
            cores = f"{told['cores']} core{'s' * (told['cores'] != 1)}"
            on = cores if told["device"] == "cpu" else told["device"]
            again = " (interrupted)" if told["resumed_from"] else ""
            commit = str(told["git_revision"] or "unknown")
            commits.append(commit[:7] + ("-dirty" if commit.endswith("-dirty") else ""))
            machines.append((f"{on}, {told['precision']}", f"{told['wall_seconds'] / 60:.1f}{again}"))
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{run / 'environment.json'} cannot be read: the run folder is damaged") from None
    on = ", ".join(dict.fromkeys(machine for machine, _ in machines))
    minutes = ", ".join(minutes for _, minutes in machines)
    return max(days), ", ".join(dict.fromkeys(commits)), f"{on}; minutes: {minutes}"
