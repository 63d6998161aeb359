"""A trial step before the data is read: whatever Trainer refuses in a run, it refuses there.

Many fields of TrainingArguments are only looked at when they are used: in the optimizer, the schedule, the loader, the
first forward or backward pass. A trial step on noise uses them all, so that a mistake does not cost an epoch.
"""

import copy
import tempfile
from collections.abc import Collection
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainingArguments

from pipeline.errors import InputError, first_line
from pipeline.settings.trainer import TrainerRanges
from pipeline.training.arguments import training_arguments
from pipeline.training.log import TrainingLog
from pipeline.training.model import Built
from pipeline.training.plan import Plan
from pipeline.training.schedule import refuse_bad_schedule
from pipeline.training.steps import build_trainer

# Their values are checked, but not whether they work here.
UNCHECKED = {"lr_scheduler_type", "optim", "torch_compile_mode", "ddp_backend"}
COMPILING = ("torch_compile", "torch_compile_backend", "torch_compile_mode")
SURE = {"disable_tqdm"} | TrainerRanges.__annotations__.keys() - UNCHECKED
SOME_LENGTH = (100, 1000)  # steps of warm-up and of the run, where its length follows from the data


def rehearse(plan: Plan, args: TrainingArguments, built: Built) -> None:
    """Walk the learning rate, then train a copy of the model for one step on noise, as all processes of the run will.

    Raises:
        InputError: it fails. The message names the settings of Trainer without which it would not.
    """
    error = _failure(plan, args, built)
    if error:
        culprits = _culprits(plan, built)
        hint = f"; without {' or '.join(culprits)} it works" if culprits else ""
        raise InputError(f"a trial step, before any data is read, fails: {first_line(error)}{hint}") from error


def _failure(plan: Plan, args: TrainingArguments, built: Built) -> Exception | None:
    """What the trial raised, other than an InputError."""
    try:
        if args.max_steps > 0:
            schedule = plan.schedule(1)  # the warm-up may be longer, as the data is not read
            refuse_bad_schedule(args, schedule.warmup_steps, schedule.total_steps)
        else:
            refuse_bad_schedule(args, *SOME_LENGTH, exact=False)
        _trial(plan, args, built)
    except InputError:
        raise
    except Exception as error:
        return error
    return None


def _trial(plan: Plan, args: TrainingArguments, built: Built) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.copy(args)
        trial.output_dir = folder
        trial.per_device_train_batch_size, trial.gradient_accumulation_steps = min(2, plan.rows_per_device), 1
        trial.max_steps, trial.save_strategy, trial.eval_strategy = 1, "no", "no"
        trial.load_best_model_at_end = False
        plan = replace(plan, recipe=replace(plan.recipe, early_stopping=0))  # nothing is evaluated
        model, processor = built
        rows = _noise(plan, trial.per_device_train_batch_size * plan.processes)
        log = TrainingLog(None, plan.recipe.outputs, plan.recipe.task)
        trainer = build_trainer(plan, trial, rows, rows, log, (), (copy.deepcopy(model), processor))
        trainer.train()
        for name, weight in trainer.model.named_parameters():
            if not torch.isfinite(weight).all():
                raise ValueError(f"{name} is not finite after it")


def _culprits(plan: Plan, built: Built) -> list[str]:
    """The settings of Trainer without which the trial does not fail: each one is left out in turn.

    Compiling takes a minute, so all of its settings are left out first, and stay out if they are not the cause.
    """
    trainer = plan.recipe.trainer
    compiling = [name for name in COMPILING if name in trainer]
    if compiling:
        if _works(plan, built, without=compiling):
            return [f"{name} {trainer[name]!r}" for name in compiling]
        plan = _leaving_out(plan, compiling)
    doubtful = [name for name in plan.recipe.trainer if name not in SURE]
    return [f"{name} {trainer[name]!r}" for name in doubtful if _works(plan, built, without=[name])]


def _works(plan: Plan, built: Built, without: Collection[str]) -> bool:
    """Whether the trial succeeds without these settings; another one may not work without them."""
    others = _leaving_out(plan, without)
    try:
        return _failure(others, training_arguments(others), built) is None
    except InputError:
        return False


def _leaving_out(plan: Plan, names: Collection[str]) -> Plan:
    others = MappingProxyType({name: value for name, value in plan.recipe.trainer.items() if name not in names})
    return replace(plan, recipe=replace(plan.recipe, trainer=others))


def _noise(plan: Plan, rows: int) -> Dataset:
    """A mapped table of noise."""
    recipe, random = plan.recipe, np.random.default_rng(0)
    side, outputs = recipe.store_size or recipe.image_size, len(recipe.outputs)
    pixels = random.integers(0, 256, (rows, 3, side, side), dtype=np.uint8)
    return Dataset.from_dict(
        {
            "pixels": [picture.tobytes() for picture in pixels],
            "label": [row % len(recipe.labels) for row in range(rows)],
            "target": [[1 / outputs] * outputs] * rows,
            "key": [f"noise-{row}" for row in range(rows)],
        }
    )
