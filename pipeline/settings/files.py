"""Recipes on disk: found by name, read, and every name in them answered for."""

import dataclasses
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.settings.recipe import OUR_FIELDS, Recipe, as_number

RECIPES = Path(__file__).parent.parent / "recipes"

# What people type from habit, and our name for it.
NAMES_FROM_ELSEWHERE = {
    "model_name_or_path": "checkpoint",
    "model": "checkpoint",
    "pretrained": "checkpoint",
    "dataset_name": "data_path",
    "dataset": "data_path",
    "data_dir": "data_path",
    "train_dir": "data_path",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "batch_size": "total_batch_size",
    "train_batch_size": "total_batch_size",
    "eval_batch_size": "per_device_eval_batch_size",
    "img_size": "image_size",
    "input_size": "image_size",
    "smoothing": "label_smoothing",
    "warmup_ratio": "warmup_epochs",
    "workers": "dataloader_num_workers",
    "num_workers": "dataloader_num_workers",
    "output": "output_dir",
    "amp": "precision",
    "mixed_precision": "precision",
    "model_ema_decay": "ema_decay",
    "reprob": "erasing",
    "clip_grad": "max_grad_norm",
    "overwrite_output_dir": "output_dir",
}

# Trainer's fields that would break a promise of ours, and the setting that does what was meant.
REFUSED = {
    "push_to_hub": "publish a finished run with push_to_hub.py, or --publish USER/NAME",
    "fp16": "use --precision fp16",
    "bf16": "use --precision bf16",
    "fp16_full_eval": "final predictions are always made in float32",
    "bf16_full_eval": "final predictions are always made in float32",
    "use_cpu": "use --precision, and ACCELERATE_USE_CPU=1 to stay off an accelerator",
    "label_smoothing_factor": "use --label_smoothing, which smooths in training only",
    "dataloader_drop_last": "it drops evaluation rows too; every row counts here",
    "remove_unused_columns": "the collators choose their columns",
    "warmup_steps": "use --warmup_epochs",
    "eval_strategy": "evaluation follows --save_strategy",
    "eval_steps": "evaluation follows --save_steps",
    "load_best_model_at_end": "the best checkpoint is always the one published",
    "report_to": "TensorBoard files are always written to output_dir/logs",
    "logging_nan_inf_filter": "a loss that is not finite stops the run",
    "do_train": "training is what train_hf.py does",
    "do_eval": "evaluation is always done",
    "do_predict": "use --evaluate_test true",
    "data_seed": "use --split_seed for splits and drawn faces, --seed for training",
    "include_for_metrics": "figures come from predictions.parquet",
    "prediction_loss_only": "figures come from predictions.parquet",
    "batch_eval_metrics": "figures come from predictions.parquet",
    "eval_do_concat_batches": "figures come from predictions.parquet",
    "train_sampling_strategy": "use --class_balance",
    "auto_find_batch_size": "use --per_device_train_batch_size",
    "save_only_model": "a run that cannot be resumed is not saved",
    "ignore_data_skip": "a resumed run is the same run",
    "resume_from_checkpoint": "use --resume, which goes on from the last checkpoint of output_dir",
    "label_names": "the collators name their columns",
    "greater_is_better": "it follows from --metric_for_best_model",
}


def trainer_fields() -> dict[str, Any]:
    """Name to default of every field of transformers.TrainingArguments."""
    from transformers import TrainingArguments  # here: --help and errors should not wait for torch

    return {
        f.name: f.default if f.default is not dataclasses.MISSING else None
        for f in dataclasses.fields(TrainingArguments)
        if f.init
    }


def recipe_from(settings: dict[str, Any], origin: str) -> Recipe:
    """A `Recipe` from flat settings; `origin` says in an error where they stood.

    Raises:
        InputError: an unknown or refused name, or a value of the wrong type.
    """
    ours = {f.name for f in OUR_FIELDS}
    theirs = {name: value for name, value in settings.items() if name not in ours}
    known = trainer_fields() if theirs else {}
    for name in theirs:
        if name in REFUSED or name.startswith("hub_"):
            raise InputError(f"{origin}: {name} is not a setting here: {REFUSED.get(name, REFUSED['push_to_hub'])}")
        if name in NAMES_FROM_ELSEWHERE and name not in known:
            raise InputError(f"{origin}: unknown setting {name}: here it is --{NAMES_FROM_ELSEWHERE[name]}")
        if name not in known:
            near = get_close_matches(name, [*ours, *known, "resume", "publish"], n=1, cutoff=0.4)
            raise InputError(f"{origin}: unknown setting {name}" + (f"; the nearest is {near[0]}" if near else ""))
    trainer = {name: _trainer_value(name, value, known[name]) for name, value in theirs.items()}
    try:
        return Recipe(**{k: v for k, v in settings.items() if k in ours}, trainer=trainer)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _trainer_value(name: str, value: Any, default: Any) -> Any:
    """Numbers that YAML left as text (`1e-4`); everything else is checked by TrainingArguments itself."""
    if name == "output_dir":
        return str(value)
    if isinstance(value, dict):
        return {key: as_number(each) for key, each in value.items()}
    if isinstance(default, bool) and not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it must be true or false")
    if isinstance(default, int | float) and not isinstance(default, bool) and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise InputError(f"{name} is {value!r}; it must be a number") from None
        if isinstance(default, int) and value.is_integer():
            return int(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, int) and not isinstance(default, bool) and not isinstance(value, int):
        raise InputError(f"{name} is {value!r}; it must be a whole number")
    return value


def load_yaml(path: Path) -> dict[str, Any]:
    """The flat settings of a recipe file."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"recipe {path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(settings, dict):
        raise InputError(f"recipe {path} is not a list of `name: value` lines")
    return settings


def recipe_path(name: str) -> Path:
    """A recipe by its path, or by its bare name in `pipeline/recipes/`."""
    for path in (Path(name), RECIPES / f"{name}.yaml"):
        if path.is_file():
            return path
    names = sorted(p.stem for p in RECIPES.glob("*.yaml"))
    near = get_close_matches(name, names, n=1)
    raise InputError(
        f"no recipe {name!r}" + (f"; the nearest is {near[0]}" if near else "") + f" (there are {', '.join(names)})"
    )
