"""Write rows as csv and as JSON lines: aside first, and under their own name once they are complete."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import InputError

from .row import COLUMNS, Row, header


class Table:
    """The open files that each row goes to."""

    def __init__(
        self, classes: Sequence[str], as_csv: IO[str] | None, as_lines: IO[str] | None, not_sure_below: float
    ) -> None:
        self._classes, self._lines, self._not_sure_below = classes, as_lines, not_sure_below
        self._csv: Any = csv.writer(as_csv, lineterminator="\n") if as_csv else None
        if self._csv:
            self._csv.writerow(header(classes))

    def add(self, row: Row) -> None:
        """Write a row; an empty cell or `null` where there is no value."""
        values = row.values(self._classes, self._not_sure_below)
        if self._csv:
            self._csv.writerow(["" if value is None else value for value in values.values()])
        if self._lines:
            self._lines.write(json.dumps(values, ensure_ascii=False) + "\n")


@contextmanager
def opened(
    classes: Sequence[str], as_csv: Path | None, as_lines: Path | None, not_sure_below: float = 0.0
) -> Iterator[Table]:
    """A table in the given files. An error or Ctrl-C leaves older files of these names as they were.

    Raises:
        InputError: a file cannot be written, or a class has the name of another column.
    """
    if taken := sorted(set(classes) & set(COLUMNS)):
        raise InputError(f"the model has a class {taken[0]!r}, and that is a column of the table too: use --json")
    with ExitStack() as stack:
        rows, lines = (stack.enter_context(_aside(path)) if path else None for path in (as_csv, as_lines))
        yield Table(classes, rows, lines, not_sure_below)


@contextmanager
def _aside(path: Path) -> Iterator[IO[str]]:
    path = path.resolve()  # a link stays a link
    aside = path.with_name(path.name + ".unfinished")
    try:
        # Exclusively: an older file of this name may be somebody's own, or that of another run.
        with aside.open("x", encoding="utf-8", newline="") as file:
            yield file
        aside.replace(path)
    except FileExistsError:
        raise InputError(
            f"{aside} is there: another run writes it, or one was killed; delete it, or take another name"
        ) from None
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
