"""Open a model, read the rows, get its scores: everything that a report is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.run_folder import PREDICTIONS, WEIGHTS, read_run, sha256
from pipeline.settings.recipe import Recipe
from pipeline.settings.trainer import DEFAULTS
from pipeline.studies.any_model.benchmark import is_benchmark, read_benchmark
from pipeline.studies.any_model.classes import FLOOR, Matched, match, refuse_probabilities, to_logits
from pipeline.studies.any_model.labelled import Labelled, read_labelled, read_rows_of_run
from pipeline.studies.any_model.options import OF_BENCHMARK, Options
from pipeline.studies.any_model.scores_file import CURE, place, read_header, read_scores
from pipeline.studies.any_model.seconds import Seconds
from pipeline.studies.opened_test import TEST, say_opened

Say = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """Logits (N, K) float32 on each split of the labelled rows, and what evaluation.json says of the model."""

    labelled: Labelled
    logits: dict[str, NDArray[np.float32]]
    model: dict[str, Any]
    recipe: str
    mirrored: dict[str, NDArray[np.float32]] | None = None
    network: Any = None
    outputs: dict[str, int] = field(default_factory=dict)  # class -> the output of the network that it is
    folded: dict[str, Any] = field(default_factory=dict)  # of a run: what is in its last layer


def judge(options: Options, recipe: Recipe, say: Say, seconds: Seconds) -> Judged:
    """Get the scores of the model that the options name, on the rows that they name.

    Raises:
        InputError: the model, the data or the scores cannot be read, or do not fit each other.
    """
    if options.maps:
        _refuse_maps(options)
    if options.run is not None and options.split is None:
        return _own_rows(options.run, recipe, say, seconds)
    say_opened(options.split or TEST, read_run(options.run) if options.run else None, say)
    if options.scores is not None:
        return _from_scores(options, recipe, options.scores, say, seconds)
    if recipe.data_path is None and recipe.source != "drawn" and not recipe.sources:
        raise InputError("command line: --data_path is missing: name the data to evaluate on")
    from pipeline.studies.any_model.classifier import probe, scores_of  # here: what loads torch is not needed above

    classifier = _open(options)
    matched = match(classifier.outputs, recipe.classes, f"model {classifier.name}", _cure(classifier.kind))
    probe(classifier)
    seconds.end("load the model")
    say(f"model: {classifier.name} ({classifier.kind}), {len(classifier.outputs)} classes, {classifier.scores_are}")
    say(f"preprocessing, its own: {classifier.preprocessing}")
    for line in matched.lines():
        say(line)
    labelled = read_labelled(recipe, options.split or "test", say)
    say(labelled.line())
    seconds.end("read the data")
    logits = {}
    for split, table in labelled.tables.items():
        scores = scores_of(classifier, table, split)
        if classifier.kind == "onnx" and classifier.scores_are == "logits":
            refuse_probabilities(scores, f"model {classifier.name}", "write `outputs: probabilities` in its yaml")
        scored = to_logits(scores, classifier.scores_are, matched, table["key"][:], classifier.name)
        for line in scored.lines():
            say(line)
        logits[split] = scored.logits
    seconds.end("predict")
    about = {"name": classifier.name, "kind": classifier.kind, "scores_are": classifier.scores_are}
    about |= {"preprocessing": classifier.preprocessing, **classifier.record, **_of_classes(matched)}
    outputs = {name: column for name, column in zip(matched.classes, matched.column, strict=True) if column >= 0}
    return Judged(labelled, logits, about, classifier.name, network=classifier.network, outputs=outputs)


def _refuse_maps(options: Options) -> None:
    """Maps need the network, and captum."""
    own_rows = options.run is not None and options.split is None
    if options.scores is not None or options.onnx or own_rows:
        raise InputError("command line: --maps needs a model of transformers or timm; with a run folder add --split")
    from pipeline.studies.any_model.maps import require_captum

    require_captum()


def _open(options: Options) -> Any:
    model = str(options.model)
    if options.onnx:
        from pipeline.studies.any_model.onnx_file import open_onnx

        return open_onnx(Path(model))
    from pipeline.studies.any_model.published import open_published
    from pipeline.training.machine import quiet_libraries

    quiet_libraries()
    if options.run is not None:
        read_run(options.run)  # that nothing was changed since it was sealed
    return open_published(model, options.model_classes)


def _cure(kind: str) -> str:
    return "correct `classes` in its yaml" if kind == "onnx" else "name them in order with --model_classes"


def _of_classes(matched: Matched) -> dict[str, Any]:
    return {"classes": matched.names, "missing": matched.missing, "least_probability": FLOOR}


def _own_rows(run: Path, recipe: Recipe, say: Say, seconds: Seconds) -> Judged:
    """A run on the rows that it evaluated itself, computed as at its end.

    Raises:
        InputError: the data gives other rows than those in its predictions.parquet.
    """
    from pipeline.evaluation.predictions import read_predictions
    from pipeline.training import machine, prediction
    from pipeline.training.transforms import map_pictures

    machine.quiet_libraries()
    read = read_run(run)
    say(f"model: {run} (run folder), {len(read.classes)} classes, logits; the rows that it evaluated itself")
    try:
        labelled = read_rows_of_run(recipe, say)
    except InputError as error:
        raise InputError(f"{error} (without --split the data is read as the run read its own)") from None
    own = read_predictions(run / PREDICTIONS)
    before = set(zip(own.split.tolist(), own.source.tolist(), own.key.tolist(), strict=True))
    now = {(split, *row) for split, rows in labelled.names.items() for row in rows}
    if before != now:
        raise InputError(
            f"model {run}: {len(now - before):,} rows of the data are not among those that the run evaluated, and "
            f"{len(before - now):,} of those are not in the data, such as {' '.join(min(before ^ now))}: give the data "
            "of the run, or add --split to evaluate it on other data"
        )
    say(labelled.line())
    seconds.end("read the data")
    size, batch = recipe.image_size, int((DEFAULTS | recipe.trainer)["per_device_eval_batch_size"])
    tables = {split: map_pictures(table, size, f"map {split}") for split, table in labelled.tables.items()}
    asked = (run, tables, batch, machine.device_type())
    logits = prediction.predict(*asked)
    mirrored = prediction.predict(*asked, mirrored=True) if recipe.flip_average else None
    seconds.end("predict")
    about = {"name": str(run), "kind": "run", "scores_are": "logits", "recipe": read.evaluation["recipe"]}
    about |= {"preprocessing": f"that of its training: whole picture to {size} x {size} px, bicubic"}
    about |= {"weights_sha256": sha256(run / WEIGHTS), **_of_classes(match(read.classes, read.classes, str(run), ""))}
    folded = {"calibration": own.calibration.as_json()} if own.calibration else {}
    folded |= {"class_shares": own.class_shares.as_json(own.classes)} if own.class_shares else {}
    return Judged(labelled, logits, about, read.evaluation["recipe"], mirrored, folded=folded)


def _from_scores(options: Options, recipe: Recipe, path: Path, say: Say, seconds: Seconds) -> Judged:
    """The scores of a csv file on the rows of a benchmark, or of any data that the readers take."""
    if recipe.data_path is None:
        raise InputError("command line: --data_path is missing: name a benchmark, or data with labels")
    kind = options.scores_are or "probabilities"
    names, folder = read_header(path, recipe.csv_encoding), Path(recipe.data_path)
    if is_benchmark(folder):
        if unused := sorted(options.settings.keys() - OF_BENCHMARK):
            raise InputError(f"benchmark {folder} has its labels already, so --{unused[0]} has no effect; leave it out")
        labelled = read_benchmark(folder, options.split or "test", say)
        if "classes" in options.settings and recipe.classes != labelled.classes:
            raise InputError(
                f"benchmark {folder} is for the classes {', '.join(labelled.classes)}; leave --classes out"
            )
        matched = match(names, labelled.classes, f"scores {path}", CURE)
    else:
        matched = match(names, recipe.classes, f"scores {path}", CURE)
        labelled = read_labelled(recipe, options.split or "test", say)
    file = read_scores(path, recipe.csv_encoding)
    placed = place(file, labelled.names, labelled.others)
    if placed.elsewhere:
        say(f"scores: {placed.elsewhere:,} rows of {path} are of splits that are not evaluated")
    for line in matched.lines():
        say(line)
    say(labelled.line())
    split, table = next(iter(labelled.tables.items()))
    if kind == "logits":
        refuse_probabilities(placed.scores, f"scores {path}", "leave --scores_are out")
    scored = to_logits(placed.scores, kind, matched, table["key"][:], f"scores {path}")
    for line in scored.lines():
        say(line)
    seconds.end("read the data and the scores")
    about = {"name": str(path), "kind": "scores", "scores_are": kind, "preprocessing": "not known: a file of scores"}
    about |= {"scores_sha256": sha256(path), **_of_classes(matched)}
    return Judged(labelled, {split: scored.logits}, about, path.stem)
