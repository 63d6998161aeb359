"""The command line of an evaluation: our options, and settings of the data as `train_hf.py` has them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.run_folder import PREDICTIONS, RECIPE, SEAL
from pipeline.settings.command_line import pairs, value_of
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.studies.any_model.classes import Kind

CHOICES = ("test", "validation", "train", "all")
OF_TRAINING = {
    *("caps", "row_weights", "leaks", "targets", "undecided", "validation_share", "test_share"),
    *("max_train_samples", "max_eval_samples"),
}
SETTINGS = {each.name for each in OUR_FIELDS if each.group == "data"} - OF_TRAINING | {"bootstrap_resamples", "seed"}
"""Settings of a recipe that say something about an evaluation."""
OF_BENCHMARK = {"data_path", "csv_encoding", "classes", "bootstrap_resamples", "seed"}
"""Those that say something where labels are ready and pictures are missing."""
EPILOG = """Settings of data are those of train_hf.py: --data_path, --source, --class_map, --label_rule, --crop and so
on, and --bootstrap_resamples and --seed. With a run folder RUN its metrics are computed again from its own
predictions."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for. `split` None: the rows that a run evaluated itself; the test split for any other model."""

    model: str | None
    scores: Path | None
    output_dir: Path
    split: Any
    against: Sequence[Path]
    model_classes: Sequence[str] | None
    scores_are: Kind | None
    maps: int
    settings: dict[str, Any]  # of the data, as they were typed

    @property
    def run(self) -> Path | None:
        """The run folder that the model is, or None."""
        path = Path(self.model or "")
        return path if self.model and all((path / name).is_file() for name in (SEAL, RECIPE, PREDICTIONS)) else None

    @property
    def onnx(self) -> bool:
        """Whether the model is an ONNX file."""
        return str(self.model).lower().endswith(".onnx")

    def recipe(self) -> Recipe:
        """How the data is read: by the settings of the run, if the model is one, and the command line's.

        Raises:
            InputError: a setting is unknown, or has a value that it cannot have.
        """
        base: dict[str, Any] = {"seed": 42} if self.run is None else load_yaml(self.run / RECIPE)
        if "data_path" in self.settings:  # other data than the run's need not have the layout that its recipe names
            base.pop("source", None)
        settings = base | self.settings | {"output_dir": str(self.output_dir)}
        name = str(self.model or self.scores) if self.run is None else self.run.name
        return recipe_from(settings, "command line", name)


def parse(argv: list[str]) -> Options:
    """Read the command line.

    Raises:
        InputError: options that exclude each other, or a setting that is not one of an evaluation.
    """
    words, rest = _parser().parse_known_args(argv)
    settings = {name: value_of(name, text) for name, text in pairs(rest).items()}
    for name in settings:
        _refuse_setting(name)
    if (words.model is None) == (words.scores is None):
        raise InputError("command line: name one of --model and --scores")
    if words.model is not None and not words.model.strip():
        raise InputError("command line: --model is empty; give a folder, a Hub id or a file")
    if words.model is not None and words.model.lower().endswith((".csv", ".tsv")):
        words.model, words.scores = None, Path(words.model)
    if words.maps < 0:
        raise InputError(f"command line: --maps is {words.maps}; give the number of faces of each class, 0 for none")
    if words.scores is None and words.scores_are is not None:
        raise InputError("command line: --scores_are is for a file of scores; the yaml of an ONNX file says `outputs`")
    names = words.model_classes and [name.strip() for name in words.model_classes.strip("[] ").split(",")]
    if names and (words.scores is not None or words.model.lower().endswith(".onnx")):
        raise InputError("command line: --model_classes is for a folder or a Hub id; name columns or `classes` instead")
    options = Options(**vars(words) | {"model_classes": names, "settings": settings})
    if names and options.run is not None:
        raise InputError("command line: --model_classes has no effect, because a run names its classes; leave it out")
    return options


def _refuse_setting(name: str) -> None:
    if name in SETTINGS:
        return
    ours = {each.name for each in OUR_FIELDS}
    what = "has no effect on an evaluation" if name in ours else "is not an option here"
    raise InputError(f"command line: --{name} {what}; python -m pipeline.evaluation --help lists the options")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation",
        usage="%(prog)s RUN\n       %(prog)s --model MODEL | --scores CSV  --data_path DATA --output_dir DIR [options]",
        description="Evaluate any expression classifier on data with labels, under the protocol of the runs.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--model", metavar="MODEL", help="a run folder, a folder or Hub id of transformers or timm, or an ONNX file "
           "with a yaml file beside it")  # fmt: skip
    option("--scores", type=Path, metavar="CSV", help="scores of a model that is not here: key, a column for each "
           "class, and optionally split and source")  # fmt: skip
    option("--output_dir", type=Path, required=True, metavar="DIR", help="a new folder for the report")
    option("--split", choices=CHOICES, help="rows to evaluate: test (the default), validation, train or all; a run "
           "without --split gets the rows that it evaluated itself")  # fmt: skip
    option("--against", type=Path, nargs="+", default=[], metavar="DIR", help="earlier reports or run folders: the "
           "paired difference to each, on the rows that both have")  # fmt: skip
    option("--model_classes", metavar="NAMES", help="names of the model's classes in the order of its scores, with "
           "commas between, where it does not name them itself")  # fmt: skip
    option("--maps", type=int, default=0, metavar="N", help="draw where the model looks, from N faces of each class; "
           "needs captum (default: 0, none)")  # fmt: skip
    option("--scores_are", choices=("probabilities", "logits"), help="what a csv file holds (default: probabilities)")
    return parser
