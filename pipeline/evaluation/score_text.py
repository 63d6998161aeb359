"""The metrics of a run with scores as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.row_sets import most_important
from pipeline.evaluation.screening import SCREENING
from pipeline.evaluation.text import as_text, metric_lines, sets_of
from pipeline.run_folder import ROW_SETS

MODEL = "this model"  # beside the baselines, in the screening of evaluation.json


def scores_table(evaluation: Mapping[str, Any]) -> str:
    """What a run of scores prints at its end: row sets, the single scores, and the two baselines."""
    best = most_important(evaluation)
    names, rows = [name for name in ROW_SETS if name in evaluation], evaluation[best]
    sets, single, baselines = sets_of(evaluation), rows["per_score"], rows["baselines"]
    width = max(map(len, (*sets, *single, *baselines, MODEL)))

    def lines_of(parts: Mapping[str, Any]) -> list[str]:
        return metric_lines(evaluation, {name: {"n": rows["n"]} | of for name, of in parts.items()}, width)[1:]

    lines = metric_lines(evaluation, sets, width)
    if len(single) > 1:
        lines += ["", f"{best}, score by score; the rows above are their mean", *lines_of(single)]
    lines += ["", f"{best}, for comparison", *lines_of(baselines), ""]
    if "screening" in rows:
        lines += [*_screening_lines(best, rows["screening"], width), ""]
    lines += [f"{name}: {evaluation[name]['rows']}" for name in names]
    if evaluation["score_of"] == "person" and rows["pictures"] > rows["n"]:
        lines.append("rows are persons: the mean over the pictures of each")
    constant = [name for name, of in single.items() if of["constant_predictions"]]
    if constant:
        lines.append(f"warning: the predictions of {', '.join(constant)} are nearly constant: they say nothing")
    share, resamples = evaluation["interval"], evaluation["resamples"]
    over = rows["resampled"]
    lines.append(f"[low, high]: {share:.0%} interval, percentile bootstrap over {over}, {resamples:,} resamples")
    return "\n".join(line.rstrip() for line in lines)


def _screening_lines(best: str, screening: Mapping[str, Any], width: int) -> list[str]:
    """What the model and the baselines find at the cut."""
    head = f"{best}, screening at {screening['cut']:g}: {screening['at_or_above']:,} persons at or above it, "
    titles = "  ".join(f"{facts.title:20}" for facts in SCREENING.values())
    lines = [f"{head}{screening['below']:,} below", f"{'':{width}}  {titles}"]
    for name, found in screening["found"].items():
        cells = "  ".join(as_text(found[of]) if of in found else f"{'-':20}" for of in SCREENING)
        lines.append(f"{name:{width}}  {cells}")
    return lines
