"""Recipes on disk: find them by name, read them, and check every name in them."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.settings.trainer import instead_of, trainer_settings
from pipeline.settings.yaml_text import Ambiguous, read_strictly

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
    "lora_r": "lora_rank",
    "target_modules": "lora_targets",
    "lora_target_modules": "lora_targets",
}


def recipe_from(settings: dict[str, Any], origin: str, name: str = "recipe") -> Recipe:
    """A `Recipe` from flat settings; `origin` says in an error where they are from, `name` is kept for the record.

    Raises:
        InputError: an unknown or refused name, a value of the wrong type or out of range, or settings that exclude
            each other.
    """
    ours = {each.name for each in OUR_FIELDS}
    theirs = {key: value for key, value in settings.items() if key not in ours}
    for key in theirs:
        _refuse_unknown(key, origin)
    try:
        return Recipe(**{key: value for key, value in settings.items() if key in ours}, trainer=theirs, name=name)  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _refuse_unknown(name: str, origin: str) -> None:
    if instead := instead_of(name):
        raise InputError(f"{origin}: {name} is not a setting here: {instead}")
    known = trainer_settings()
    if name in known:
        return
    if name in NAMES_FROM_ELSEWHERE:
        raise InputError(f"{origin}: unknown setting {name}: here it is --{NAMES_FROM_ELSEWHERE[name]}")
    choices = [*(each.name for each in OUR_FIELDS), *known, "resume", "publish"]
    begun = [choice for choice in choices if choice.startswith(name.lower())] if len(name) > 2 else []
    near = begun or get_close_matches(name.lower(), choices, n=1, cutoff=0.4)
    raise InputError(f"{origin}: unknown setting {name}" + (f"; the nearest is {near[0]}" if near else ""))


def load_yaml(path: Path) -> dict[str, Any]:
    """The flat settings of a recipe file."""
    try:
        settings = read_strictly(path.read_text(encoding="utf-8"))
    except Ambiguous as error:
        raise InputError(f"recipe {path}, {error}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"recipe {path} cannot be read: {str(error).splitlines()[0]}{_place(error)}") from None
    if not isinstance(settings, dict):
        raise InputError(f"recipe {path} is not a mapping: write one `name: value` a line")
    for name in settings:
        if not isinstance(name, str):
            raise InputError(f"recipe {path}: {name!r} is not the name of a setting; write one `name: value` a line")
    return settings


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""


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
