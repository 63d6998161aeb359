"""The figures of a run as a table for the terminal."""

from typing import Any

from pipeline.evaluation.row_sets import ROW_SETS, most_important


def format_table(evaluation: dict[str, Any]) -> str:
    """What a run prints at its end, at most 100 columns wide for class names of up to 18 letters."""
    best = most_important(evaluation)
    names = [name for name in ROW_SETS if name in evaluation]
    sets = {name: evaluation[name] for name in names} | {
        f"{name}, {source}": rows
        for source, own in evaluation.get("per_source", {}).items()
        for name, rows in own.items()
    }
    width = max(map(len, (*sets, *evaluation["classes"])))
    lines = [f"{'':{width}}  {'rows':>6}  {'accuracy':20}  {'macro F1':20}  {'NLL':5}  {'ECE':5}"]
    for name, rows in sets.items():
        figures_shown = f"{_shown(rows['accuracy'])}  {_shown(rows['macro_f1'])}"
        calibration = f"{rows['nll']['value']:.3f}  {rows['ece']['value']:.3f}"
        lines.append(f"{name:{width}}  {rows['n']:>6,}  {figures_shown}  {calibration}")
    lines += ["", f"{best:{width}}  {'rows':>6}  {'recall':20}  {'precision':20}  {'F1':20}"]
    for name, figure in evaluation[best]["per_class"].items():
        shown = "  ".join(_shown(figure[key]) for key in ("recall", "precision", "f1"))
        lines.append(f"{name:{width}}  {figure['support']:>6,}  {shown}")
    lines += ["", *(f"{name}: {evaluation[name]['rows']}" for name in names)]
    if "human_agreement" in evaluation[best]:
        voter = _shown(evaluation[best]["human_agreement"])
        lines.append(f"people: one voter drawn at random agrees with the label on {voter} of the {best} rows")
    absent = [name for name, figure in evaluation[best]["per_class"].items() if not figure["support"]]
    if absent:
        lines.append(f"no {best} rows of {', '.join(absent)}: counted as 0 in macro F1 and balanced accuracy")
    share, resamples = evaluation["interval"], evaluation["resamples"]
    lines.append(f"[low, high]: {share:.0%} interval, percentile bootstrap over rows, {resamples:,} resamples")
    return "\n".join(line.rstrip() for line in lines)


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
