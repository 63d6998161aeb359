"""The pictures of a finished run, read again, and checked against the run's own predictions."""

import argparse
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
from numpy.typing import NDArray

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.errors import InputError
from pipeline.evaluation.predictions import read_predictions
from pipeline.run_folder import PREDICTIONS, Run
from pipeline.settings.files import recipe_from
from pipeline.studies import ONLY_CLASSES


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every report on a run's pictures asks: the run, where its pictures are, which rows, and where to write."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--data_path", help="the run's pictures, if they are not where its recipe says")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--output_dir", type=Path, required=True)


def pictures_of(run: Run, data_path: str | None, split: str) -> datasets.Dataset:
    """A split of the run's data, from `data_path` or from where its recipe says.

    Raises:
        InputError: the run predicts scores, the split is empty, or as the readers.
    """
    if run.scores:
        raise InputError(f"{run.path}: {ONLY_CLASSES}")
    recipe = recipe_from(run.recipe, f"{run.path}/recipe.yaml")
    if data_path is not None:
        recipe = replace(recipe, data_path=data_path)
    table = curate(read_sources(recipe), recipe).splits[split]
    if not len(table):
        raise InputError(f"{run.path.name}: its data have no {split} rows: choose another --split")
    return table


def some_of(table: datasets.Dataset, most: int) -> datasets.Dataset:
    """At most `most` rows, drawn once and for all, in their order."""
    if len(table) <= most:
        return table
    return table.select(np.sort(np.random.default_rng(0).permutation(len(table))[:most]))


def answers_of(run: Path, table: datasets.Dataset) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
    """Whether the run's answer to each row of `table` is right (N,), and the labels (N,), from its predictions.

    Raises:
        InputError: a row is not in predictions.parquet, or has another label there.
    """
    saved = read_predictions(run / PREDICTIONS)
    places = {name: i for i, name in enumerate(zip(saved.source.tolist(), saved.key.tolist(), strict=True))}
    names = list(zip(table["source"][:], table["key"][:], strict=True))
    missing = [name for name in names if name not in places]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} pictures are not in {run / PREDICTIONS}, such as {' '.join(missing[0])}: "
            "name the pictures of this run with --data_path"
        )
    order = np.array([places[name] for name in names])
    label = saved.label[order].astype(int)
    differ = np.flatnonzero(label != np.array(table["label"][:]))
    if len(differ):
        raise InputError(
            f"{len(differ)} of {len(names)} pictures have another label in {run / PREDICTIONS}, such as "
            f"{' '.join(names[differ[0]])}: the data were changed since the run"
        )
    return saved.logits[order].argmax(1) == label, label
