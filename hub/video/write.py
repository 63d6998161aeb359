"""Write the rows of files as the command asks, and say what was written."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.server.engine import Model
from hub.server.faces import Finder
from pipeline.errors import InputError

from .row import NO_FACE
from .rows import rows
from .table import opened


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Where rows go, and how videos become rows.

    Attributes:
        csv: file of rows, or None.
        jsonl: the same as JSON lines, or None.
        plot: picture of the scores over time, or None.
        every: seconds from one sampled frame of a video to the next; 0 for all frames.
        smooth: seconds over which the scores of a track are averaged; 0 for none.
        not_sure_below: a row whose highest score, after smoothing, is below this has the label "not sure".
    """

    csv: Path | None = None
    jsonl: Path | None = None
    plot: Path | None = None
    every: float = 0.0
    smooth: float = 0.0
    not_sure_below: float = 0.0

    @property
    def files(self) -> list[Path]:
        """Everything that is written."""
        return [path for path in (self.csv, self.jsonl, self.plot) if path is not None]

    @property
    def any(self) -> bool:
        """Whether rows are written at all."""
        return self.csv is not None or self.jsonl is not None


def check(wanted: Wanted) -> None:
    """Refuse options that do not fit, before the model is loaded.

    Raises:
        InputError: the option is named.
    """
    for name, seconds in (("every", wanted.every), ("smooth", wanted.smooth)):
        if not math.isfinite(seconds) or seconds < 0:
            raise InputError(f"--{name} {seconds}: give seconds, 0 or more")
        if seconds and not wanted.any:
            raise InputError(f"--{name} is for the rows of --csv and --jsonl; name a file for them")
    if wanted.plot and not wanted.csv:
        raise InputError("--plot draws what --csv writes: add --csv FILE")
    if wanted.plot and wanted.plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--plot {wanted.plot}: end the name in .png, .svg or .pdf")
    files = wanted.files
    for path in files:
        try:
            usable = path.resolve().parent.is_dir() and (path.is_file() or not path.exists())
        except OSError:  # a name that no file can have
            usable = False
        if not usable:
            raise InputError(f"{path} cannot be written: give a file in a folder that exists")
    if len(files) != len({path.resolve() for path in files}):
        raise InputError(f"{files[0]} is named twice: give each output its own file")


def refuse_inputs(wanted: Wanted, paths: Sequence[str]) -> None:
    """Refuse to write over a picture or video that is read.

    Raises:
        InputError: the file is named.
    """
    read = {os.path.realpath(path) for path in paths}
    for path in wanted.files:
        if os.path.realpath(path) in read:
            raise InputError(f"{path} is one of the files to read: give another name to write to")


def write(model: Model, finder: Finder | None, paths: Sequence[str], wanted: Wanted, say: Callable[[str], None]) -> int:
    """Write the rows and the plot; return how many files could not be read, or not to their end.

    Raises:
        InputError: as `opened` and `draw`.
    """
    count, empty, faults = 0, 0, []
    with opened(model.classes, wanted.csv, wanted.jsonl, wanted.not_sure_below) as table:
        for row in rows(model, finder, paths, wanted.every, wanted.smooth):
            table.add(row)
            count += 1
            if row.error == NO_FACE:
                empty += 1
            elif row.error:
                faults.append(f"{row.file}: {row.error}")
    for line in faults:
        say(line)
    written = " and ".join(str(path) for path in (wanted.csv, wanted.jsonl) if path)
    say(f"{written}: {count:,} rows of {len(paths):,} files; {empty:,} pictures or frames without a face; "
        f"{len(faults):,} files with an error")  # fmt: skip
    if wanted.plot and wanted.csv:
        from .plot import draw  # here: without a plot nothing loads matplotlib

        say(draw(wanted.csv, model.classes, wanted.plot))
    return len(faults)
