"""Pictures of a run, drawn with matplotlib's object interface: no window, no global state, safe in any thread.

Colours are of Okabe and Ito's palette, which people with any colour vision tell apart (https://jfly.uni-koeln.de/color/).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from pipeline.evaluation.per_row import BINS, calibration_gap, confidence, confidence_bin

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
FEW = 30
"""With fewer rows a point of the reliability diagram is hollow: its accuracy is mostly chance."""
DPI = 150


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str], title: str) -> Figure:
    """Rows of each label by predicted class: matrix (K, K) counts; the shade is the share of the label's rows."""
    counts = np.asarray(matrix, dtype=np.int64)
    support = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    side = max(0.95 * len(classes), 2.5)
    figure = Figure(figsize=(side + 1.8, side + 1.3), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        ink = "white" if share > 0.5 else "black" if counts[row, column] else GREY
        axes.text(column, row - 0.02, f"{share:.2f}", ha="center", va="bottom", color=ink, fontsize=11)
        axes.text(column, row + 0.06, f"{counts[row, column]:,}", ha="center", va="top", color=ink, fontsize=8)
    axes.set_xticks(range(len(classes)), list(classes), rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(classes)), [f"{name}\n{n:,} rows" for name, n in zip(classes, support[:, 0], strict=True)]
    )
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title(title, fontsize=12, wrap=True)
    axes.tick_params(length=0)
    _bare(axes, "left", "bottom", "top", "right")
    return figure


def reliability(logits: NDArray, label: NDArray, bins: int = BINS) -> Figure:
    """Accuracy over confidence, and how many rows have it: logits (N, K), label (N,).

    Empty bins are left out, and bins with fewer than `FEW` rows are hollow.
    """
    logits, label = np.asarray(logits), np.asarray(label)
    sure, index = confidence(logits), confidence_bin(logits, bins)
    rows = np.bincount(index, minlength=bins)
    gaps = np.bincount(index, calibration_gap(logits, label), minlength=bins)
    held = rows > 0
    mean_confidence = np.bincount(index, sure, minlength=bins)[held] / rows[held]
    accuracy = mean_confidence + gaps[held] / rows[held]
    figure = Figure(figsize=(5, 5.8), dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle="--")
    upper.text(0.03, 0.95, "underconfident", color=GREY, va="top")
    upper.text(0.97, 0.05, "overconfident", color=GREY, ha="right")
    upper.plot(mean_confidence, accuracy, color=BLUE)
    inside = np.where(rows[held] < FEW, "white", BLUE)
    upper.scatter(mean_confidence, accuracy, s=25, color=inside, edgecolors=BLUE, zorder=3, clip_on=False)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.set_title(f"Accuracy by confidence ({len(label):,} rows; hollow: fewer than {FEW})", fontsize=12)
    lower.bar((np.arange(bins) + 0.5) / bins, rows, width=0.9 / bins, color=BLUE)
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="rows")
    for axes in (upper, lower):
        _bare(axes, "top", "right")
    return figure


def risk_coverage(answered: NDArray, wrong: NDArray) -> Figure:
    """Share of wrong answers over the share of rows that are answered, the surest first: (N,), (N,).

    The first `FEW` rows are left out: a share of fewer answers is mostly chance.
    """
    figure = Figure(figsize=(5, 3.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(answered[FEW - 1 :], wrong[FEW - 1 :], color=BLUE)
    axes.axhline(wrong[-1], color=GREY, linewidth=1, linestyle="--")
    axes.set(xlim=(0, 1), xlabel="share of pictures answered, the surest first", ylabel="share of wrong answers")
    axes.set_ylim(bottom=0)
    axes.set_title(f"Answering only the surest ({len(answered):,} rows)", fontsize=12)
    _bare(axes, "top", "right")
    return figure


def scatter(predicted: NDArray, scores: NDArray, names: Sequence[str], title: str) -> Figure:
    """Predictions over scores, (N, K) each, with the identity line; one panel for each of the K scores."""
    figure = Figure(figsize=(0.6 + 4.4 * len(names), 5), dpi=DPI, layout="constrained")
    strength = float(np.clip(40 / np.sqrt(max(len(scores), 1)), 0.15, 0.8))
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name, own, given in zip(panels, names, predicted.T, scores.T, strict=True):
        ends = (float(min(own.min(), given.min())), float(max(own.max(), given.max())))
        axes.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="prediction = score")
        axes.scatter(given, own, s=12, color=BLUE, alpha=strength, linewidths=0)
        axes.set(xlabel=f"{name}: score", ylabel=f"{name}: prediction")
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(frameon=False, loc="upper left")
        _bare(axes, "top", "right")
    figure.suptitle(f"{title} ({len(scores):,})", fontsize=12, wrap=True)
    return figure


def learning_curves(log_history: Sequence[dict[str, Any]], curves: Mapping[str, str]) -> Figure:
    """Losses, two metrics, and learning rate over epochs, from Trainer's `state.log_history`.

    `curves` names the validation loss and the two metrics there, and gives each a title.
    """
    figure = Figure(figsize=(7, 7.5), dpi=DPI, layout="constrained")
    loss, score, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    _curve(loss, log_history, "loss", "training loss", BLUE)
    of_loss, first, second = curves.items()
    _curve(loss, log_history, *of_loss, ORANGE, marker="o")
    _curve(score, log_history, *first, BLUE, marker="o")
    _curve(score, log_history, *second, ORANGE, marker="s")
    _curve(rate, log_history, "learning_rate", "", BLUE)
    loss.set_ylabel("loss")
    score.set_ylabel("validation")
    rate.set(ylabel="learning rate", xlabel="epoch")
    rate.set_ylim(bottom=0)
    rate.set_xlim(left=0)
    figure.align_ylabels()
    rate.ticklabel_format(axis="y", scilimits=(0, 0))
    for axes in (loss, score):
        if axes.lines:
            axes.legend(frameon=False)
    for axes in (loss, score, rate):
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.7)
        axes.set_axisbelow(True)
        _bare(axes, "top", "right")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG in one step (aside, then moved in), without the name of the program that made it."""
    aside = path.with_name(f".{path.name}.part")
    figure.savefig(aside, format="png", metadata={"Software": None})
    aside.replace(path)


def to_array(figure: Figure) -> NDArray[np.uint8]:
    """The drawn figure as (H, W, 3) uint8 RGB, as TensorBoard's `add_image(..., dataformats="HWC")` takes it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _curve(
    axes: Axes, log_history: Sequence[dict[str, Any]], key: str, name: str, color: str, marker: str | None = None
) -> None:
    points = [(entry["epoch"], entry[key]) for entry in log_history if key in entry and "epoch" in entry]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, color=color, marker=marker, markersize=4, linewidth=1.5)


def _bare(axes: Axes, *sides: str) -> None:
    for side in sides:
        axes.spines[side].set_visible(False)
