"""What the terminal shows below the table of a report: baselines, intervals over persons, and cells with few rows."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.figures import FEW
from pipeline.evaluation.row_sets import most_important


def shown(value: Mapping[str, float]) -> str:
    """`0.812 [0.798, 0.826]`."""
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def beside_lines(evaluation: Mapping[str, Any]) -> list[str]:
    """The baselines of the most important row set, and what to know of its rows."""
    best = most_important(evaluation)
    baselines = evaluation["baselines"][best]
    always = baselines["majority_class"]
    lines = [
        f"beside it, {best} rows:",
        f"  always {always['class']}: accuracy {shown(always['accuracy'])}, macro F1 {shown(always['macro_f1'])}",
    ]
    if "one_voter" in baselines:
        voter = baselines["one_voter"]
        lines += [
            f"  one human voter: accuracy {shown(voter['accuracy'])}, balanced {shown(voter['balanced_accuracy'])}",
            f"  agrees with a random voter: the model {shown(baselines['model_agreement'])}, another voter "
            f"{shown(voter['agreement'])}",
        ]
    else:
        lines.append("  one human voter: not known, because no row has votes")
    return lines + _rows(evaluation, best)


def _rows(evaluation: Mapping[str, Any], best: str) -> list[str]:
    lines = []
    persons = evaluation.get("by_person", {}).get(best)
    if persons:
        lines.append(f"  over {persons['persons']:,} persons: accuracy {shown(persons['accuracy'])}")
    else:
        lines.append("  persons are not known, so intervals are over pictures")
    for kind, words in (("labelled", "with the label"), ("predicted", "predicted")):
        few = ", ".join(f"{name} {n}" for name, n in evaluation["few_rows"][best][kind].items())
        lines += [f"  fewer than {FEW} rows {words}: {few}"] if few else []
    return lines
