"""The rows of docs/log.csv: one study on one row set each.

A metric's cell reads `mean (least to greatest over seeds) [95 % interval over rows]`; with one seed the parentheses are
left out. docs/findings.md explains every column.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pipeline.errors import InputError
from pipeline.run_folder import ENVIRONMENT, PREDICTIONS, SEAL, read_json
from pipeline.studies.comparison import Difference
from pipeline.studies.study import SHOWN, OverSeeds, Study, over_seeds
from pipeline.studies.table import Compared, title, watched_in

ABOUT = ("study", "date", "commit", "command", "recipe", "rows", "n", "seeds")
REST = ("recall", "against", "other", "machine")
COLUMNS = (*ABOUT, *SHOWN, *REST)

Row = dict[str, str]  # by column


def log_row(study: Study, compared: Mapping[str, Compared], runs: Sequence[Path], command: str) -> Row:
    """The row of a study on one row set. `runs` are its finished run folders.

    Raises:
        InputError: the environment.json of a run cannot be read.
    """
    values = over_seeds(study, watched_in(study))
    recalls = [f"{title(study, name)} {_cell(value)}" for name, value in values.items() if name not in SHOWN]
    against = [
        f"{other}: " + ", ".join(f"{title(study, name)} {_difference(one)}" for name, one in differences.items())
        for other, differences in compared.items()
    ]
    row = {
        "study": runs[0].name.removesuffix(f"-seed-{study.seeds[0]}"),
        "command": command,
        "recipe": str(read_json(runs[0] / SEAL).get("recipe", "")),
        "rows": study.row_set,
        "n": str(len(study.label)),
        "seeds": " ".join(map(str, study.seeds)),
        "recall": ", ".join(recalls),
        "against": "; ".join(against),
    }
    return row | {name: _cell(values[name]) for name in SHOWN if name in values} | _made(runs)


def append_rows(log: Path, rows: Sequence[Row]) -> None:
    """Add rows to the end of the log. A metric that the log does not have yet becomes a column of it.

    Raises:
        InputError: the log is missing or is not such a table.
    """
    try:
        with log.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            before, columns = list(reader), list(reader.fieldnames or ())
    except OSError as error:
        raise InputError(f"{log} cannot be read ({error.strerror}): restore it, then run the command again") from None
    if missing := [name for name in (*ABOUT, *REST) if name not in columns]:
        raise InputError(f"{log} has no column {', '.join(missing)}: restore its first line")
    place = columns.index(REST[0])
    columns[place:place] = [name for name in SHOWN if name not in columns]
    aside = log.with_name(f".{log.name}.part")
    aside.write_text(as_csv([*before, *rows], columns), encoding="utf-8", newline="")
    aside.replace(log)


def as_csv(rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> str:
    """Rows with their header, as the log holds them."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: OverSeeds) -> str:
    one_seed = value.least == value.greatest
    seeds = "" if one_seed else f" ({_short(value.least)} to {_short(value.greatest)})"
    return f"{_short(value.mean)}{seeds} [{_short(value.low)}, {_short(value.high)}]"


def _difference(one: Difference) -> str:
    low, high = (_short(end, "+") for end in (one.low, one.high))
    return f"{_short(one.value, '+')} [{low}, {high}], p {_short(one.p)}"


def _short(value: float, sign: str = "") -> str:
    """Three digits, without the 0 before the point."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:{sign}.3f}"


def _made(runs: Sequence[Path]) -> Row:
    """Day and commit of the runs, and on what and how long each of them ran."""
    days = [datetime.fromtimestamp((run / PREDICTIONS).stat().st_mtime).date().isoformat() for run in runs]
    commits, machines = [], []
    for run in runs:
        about = read_json(run / ENVIRONMENT)
        try:
            cores = f"{about['cores']} core{'s' * (about['cores'] != 1)}"
            on = cores if about["device"] == "cpu" else about["device"]
            again = " (interrupted)" if about["resumed_from"] else ""
            commit = str(about["git_revision"] or "unknown")
            commits.append(commit[:7] + ("-dirty" if commit.endswith("-dirty") else ""))
            machines.append((f"{on}, {about['precision']}", f"{about['wall_seconds'] / 60:.1f}{again}"))
        except (KeyError, TypeError):
            raise InputError(f"{run / ENVIRONMENT} lacks what a run writes there: restore it, or train again") from None
    machine = ", ".join(dict.fromkeys(on for on, _ in machines))
    minutes = ", ".join(minutes for _, minutes in machines)
    return {
        "date": max(days),
        "commit": ", ".join(dict.fromkeys(commits)),
        "machine": f"{machine}; minutes: {minutes}",
    }
