"""`python -m pipeline.evaluation --model MODEL --data_path DATA --output_dir judged`: a report on any model."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.curated_folder import new_folder, refuse_existing
from pipeline.errors import printable_lines
from pipeline.evaluation.baselines import read_beside
from pipeline.evaluation.evaluate import evaluate_predictions, write_figures
from pipeline.evaluation.predictions import numbered_persons, read_predictions, write_predictions
from pipeline.evaluation.tasks import format_table
from pipeline.run_folder import PREDICTIONS, SEAL, write_json
from pipeline.settings.recipe import Recipe
from pipeline.studies.any_model import paired, report
from pipeline.studies.any_model.judged import Judged, judge
from pipeline.studies.any_model.options import parse
from pipeline.studies.any_model.seconds import Seconds
from pipeline.studies.any_model.text import beside_lines
from pipeline.training.output_place import nearest_folder, refuse_inside_data, refuse_unwritable


def main(argv: list[str]) -> None:
    """Evaluate the model that the command line names, write its report, and print its table.

    Raises:
        InputError: as `parse` and `judge`; or the output_dir exists or cannot be made, or a folder of `--against` does
            not fit.
    """
    options = parse(argv)
    recipe = options.recipe()
    _check_place(options.output_dir, recipe)
    others = [paired.read_other(folder) for folder in options.against]
    seconds = Seconds()
    judged = judge(options, recipe, lambda line: print(printable_lines(line)), seconds)
    with new_folder(options.output_dir) as folder:
        evaluation = write(folder, judged, recipe, others, options.maps, seconds)
    print(f"\n{printable_lines(format_table(evaluation))}")
    print(printable_lines("\n".join(beside_lines(evaluation))))
    for name, compared in evaluation["against"].items():
        print(*paired.lines_of(name, compared), sep="\n")
    print(seconds.line())
    print(f"\nwrote {options.output_dir}: {SEAL}, {PREDICTIONS}, figures and {report.PAGE}")
    if "image" in next(iter(judged.labelled.tables.values())).column_names:
        print(f"{options.output_dir / report.PICTURES} shows pictures of the data, so keep it on this machine")


def _check_place(out: Path, recipe: Recipe) -> None:
    refuse_existing(out)
    refuse_unwritable(out, nearest_folder(out))
    refuse_inside_data(recipe)


def write(
    folder: Path, judged: Judged, recipe: Recipe, others: list[paired.Other], faces_on_maps: int, seconds: Seconds
) -> dict[str, Any]:
    """Write predictions, figures, the pages and evaluation.json, which is returned, into `folder`.

    Raises:
        InputError: as `paired.compare`.
    """
    labelled, file = judged.labelled, folder / PREDICTIONS
    about = {
        "classes": labelled.classes,
        "label_rule": labelled.label_rule,
        "seed": recipe.seed,
        "resamples": recipe.bootstrap_resamples,
        "recipe": judged.recipe,
        **judged.folded,
    }
    write_predictions(
        file, dict(labelled.tables), judged.logits, about, judged.mirrored, numbered_persons(labelled.tables)
    )
    predictions = read_predictions(file)
    seconds.end("write predictions")
    write_figures(file, folder / "figures")
    seconds.end("draw figures")
    evaluation = evaluate_predictions(file)
    seconds.end("metrics with intervals")
    against = {other.name: paired.compare(predictions, other) for other in others}
    evaluation |= read_beside(predictions)
    seconds.end("baselines and pairs")
    evaluation |= {"model": judged.model, "data": labelled.record, "against": against}
    if faces_on_maps:
        evaluation["maps"] = _maps(judged, folder / "figures", faces_on_maps, recipe.seed)
        seconds.end("maps")
    report.write_pages(folder, evaluation, predictions, labelled)
    seconds.end("pages")
    write_json(folder / SEAL, evaluation)
    return evaluation


def _maps(judged: Judged, folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Maps of `count` faces of each class, chosen by the seed among the rows of the last split."""
    from pipeline.studies.any_model.classifier import pictures_of  # here: they load torch
    from pipeline.studies.any_model.maps import write_maps

    table = list(judged.labelled.tables.values())[-1]
    label, random = np.asarray(table["label"][:]), np.random.default_rng(seed)
    chosen = {
        name: random.permutation(np.flatnonzero(label == k))[:count] for k, name in enumerate(judged.labelled.classes)
    }
    faces = {name: pictures_of(table, rows.tolist()) for name, rows in chosen.items() if len(rows)}
    return write_maps(judged.network, faces, judged.outputs, folder)
