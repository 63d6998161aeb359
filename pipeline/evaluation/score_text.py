"""The metrics of a run with scores as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.row_sets import most_important
from pipeline.evaluation.text import metric_lines, sets_of
from pipeline.run_folder import ROW_SETS

MEAN = "mean of the scores"


def scores_table(evaluation: Mapping[str, Any]) -> str:
    """What a run of scores prints at its end: row sets, the single scores, and the two baselines."""
    best = most_important(evaluation)
    names, rows = [name for name in ROW_SETS if name in evaluation], evaluation[best]
    sets, single, baselines = sets_of(evaluation), rows["per_score"], rows["baselines"]
    width = max(map(len, (*sets, *single, *baselines)))

    def lines_of(parts: Mapping[str, Any]) -> list[str]:
        return metric_lines(evaluation, {name: {"n": rows["n"]} | of for name, of in parts.items()}, width)[1:]

    lines = metric_lines(evaluation, sets, width)
    if len(single) > 1:
        lines += ["", f"{best}, score by score; the rows above are their mean", *lines_of(single)]
    lines += ["", f"{best}, for comparison", *lines_of(baselines), ""]
    lines += [f"{name}: {evaluation[name]['rows']}" for name in names]
    if evaluation["score_of"] == "person":
        lines.append("rows are persons: the mean over the pictures of each")
    constant = [name for name, of in single.items() if of["constant_predictions"]]
    if constant:
        lines.append(f"warning: the predictions of {', '.join(constant)} are nearly constant: they say nothing")
    share, resamples = evaluation["interval"], evaluation["resamples"]
    over = rows["resampled"]
    lines.append(f"[low, high]: {share:.0%} interval, percentile bootstrap over {over}, {resamples:,} resamples")
    return "\n".join(line.rstrip() for line in lines)
