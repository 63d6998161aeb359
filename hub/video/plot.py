"""Draw the scores of a table over time: a panel for each of the longest tracks, a line for each class."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.errors import InputError

PANELS = 8
POINTS = 1000  # a track with more samples is drawn by the means of so many stretches


@dataclass
class _Track:
    name: str
    times: list[float] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)


def draw(table: Path, classes: Sequence[str], target: Path) -> str:
    """Draw the csv file `table` into the picture `target`; return a line that says what is drawn.

    Raises:
        InputError: `target` cannot be written.
    """
    tracks = _tracks(table, classes)
    if not tracks:
        return f"{target} is not drawn: no video has a face"
    shown = sorted(tracks, key=lambda track: -len(track.times))[:PANELS]
    figure = Figure(figsize=(9, 0.7 + 1.9 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, track in enumerate(shown, 1):
        axes = figure.add_subplot(len(shown), 1, number)
        times, scores = _shortened(np.array(track.times), np.array(track.scores))
        for index, name in enumerate(classes):
            axes.plot(
                times,
                scores[:, index],
                label=name,
                color=f"C{index % 10}",
                linewidth=1.2,
                marker="." if len(times) < 40 else "",
            )
        axes.set(ylim=(min(0, scores.min()), max(1, scores.max())), ylabel="score")
        axes.set_title(track.name, loc="left", fontsize=9)
        axes.grid(alpha=0.3)
        if number == 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1.12), ncols=4, fontsize=8, frameon=False)
    axes.set_xlabel("seconds")
    _save(figure, target.resolve())
    left = len(tracks) - len(shown)
    return f"{target}: {len(shown)} tracks" + (f"; {left} shorter ones are not drawn" if left else "")


def _save(figure: Figure, target: Path) -> None:
    aside = target.with_name(f"{target.name}.unfinished")
    try:
        figure.savefig(aside, dpi=110, format=target.suffix[1:].lower())
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(f"{target} cannot be written: {error.strerror}") from None


def _tracks(table: Path, classes: Sequence[str]) -> list[_Track]:
    """The tracks of the videos, read line by line."""
    tracks: dict[tuple[str, str], _Track] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["time"] and row["track"]:
                key = row["file"], row["track"]
                track = tracks.setdefault(key, _Track(f"{Path(row['file']).name}, face {row['track']}"))
                track.times.append(float(row["time"]))
                track.scores.append([float(row[name]) for name in classes])
    return list(tracks.values())


def _shortened(
    times: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(times) <= POINTS:
        return times, scores
    starts = np.linspace(0, len(times), POINTS, endpoint=False).astype(int)
    counts = np.diff([*starts, len(times)])
    return np.add.reduceat(times, starts) / counts, np.add.reduceat(scores, starts) / counts[:, None]
