"""The metrics of a run as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.row_sets import most_important
from pipeline.run_folder import ROW_SETS, MetricFacts, metrics_of

WIDTHS = {"interval": 20, "value": 5}
"""Columns of a cell, by what the metric's `table` says."""


def classes_table(evaluation: Mapping[str, Any]) -> str:
    """What a run of classes prints at its end, at most 100 columns wide for class names of up to 18 letters."""
    best = most_important(evaluation)
    names = [name for name in ROW_SETS if name in evaluation]
    sets = sets_of(evaluation)
    width = max(map(len, (*sets, *evaluation["classes"])))
    lines = [*metric_lines(evaluation, sets, width), "", *_class_lines(evaluation, best, width), ""]
    lines += [f"{name}: {evaluation[name]['rows']}" for name in names]
    if "human_agreement" in evaluation[best]:
        voter = as_text(evaluation[best]["human_agreement"])
        lines.append(f"people: one voter drawn at random agrees with the label on {voter} of the {best} rows")
    absent = [name for name, values in evaluation[best]["per_class"].items() if not values["support"]]
    if absent:
        lines.append(f"no {best} rows of {', '.join(absent)}: counted as 0 in macro F1 and balanced accuracy")
    share, resamples = evaluation["interval"], evaluation["resamples"]
    lines.append(f"[low, high]: {share:.0%} interval, percentile bootstrap over rows, {resamples:,} resamples")
    return "\n".join(line.rstrip() for line in lines)


def sets_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The row sets by name, then those of each source and of the flip average."""
    sets = {name: evaluation[name] for name in ROW_SETS if name in evaluation} | {
        f"{name}, {source}": rows
        for source, own in evaluation.get("per_source", {}).items()
        for name, rows in own.items()
    }
    return sets | {f"{name}, flip average": rows for name, rows in evaluation.get("flip_average", {}).items()}


def metric_lines(evaluation: Mapping[str, Any], sets: Mapping[str, Any], width: int) -> list[str]:
    """A line for each set, with the metrics that tables show."""
    shown = {name: facts for name, facts in metrics_of(evaluation).items() if facts.table}
    titles = "  ".join(f"{facts.title:{WIDTHS[str(facts.table)]}}" for facts in shown.values())
    lines = [f"{'':{width}}  {'rows':>6}  {titles}"]
    for name, rows in sets.items():
        cells = "  ".join(_cell(rows.get(metric), facts) for metric, facts in shown.items())
        lines.append(f"{name:{width}}  {rows['n']:>6,}  {cells}")
    return lines


def _class_lines(evaluation: Mapping[str, Any], best: str, width: int) -> list[str]:
    lines = [f"{best:{width}}  {'rows':>6}  {'recall':20}  {'precision':20}  {'F1':20}"]
    for name, values in evaluation[best]["per_class"].items():
        shown = "  ".join(as_text(values[key]) for key in ("recall", "precision", "f1"))
        lines.append(f"{name:{width}}  {values['support']:>6,}  {shown}")
    return lines


def _cell(value: Mapping[str, float] | None, facts: MetricFacts) -> str:
    if value is None:  # not defined on these rows
        return f"{'-':{WIDTHS[str(facts.table)]}}"
    return as_text(value) if facts.table == "interval" else f"{value['value']:.3f}"


def as_text(value: Mapping[str, float]) -> str:
    """A value with its interval."""
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
