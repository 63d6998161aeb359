"""A trial step before the data is read: whatever Trainer refuses in a run, it refuses there.

Many fields of TrainingArguments are only looked at when they are used: in the optimizer, the schedule, the loader, the
first forward or backward pass. A trial step on noise uses them all, so that a mistake does not cost an epoch.
"""

import copy
import tempfile
from dataclasses import replace

import numpy as np
from datasets import Dataset
from transformers import TrainingArguments

from pipeline.errors import InputError, first_line
from pipeline.settings.trainer import TrainerRanges
from pipeline.training.log import TrainingLog
from pipeline.training.model import Built
from pipeline.training.plan import Plan
from pipeline.training.steps import build_trainer

UNCHECKED = (
    "lr_scheduler_type",
    "optim",
    "torch_compile_mode",
    "ddp_backend",
)  # their values are, but not whether they work


def rehearse(plan: Plan, args: TrainingArguments, built: Built) -> None:
    """Train a copy of the model for one step on noise, as all processes of the run will.

    Raises:
        InputError: it fails. The message names the settings of Trainer that may be the cause.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.copy(args)
        trial.output_dir = folder
        trial.per_device_train_batch_size, trial.gradient_accumulation_steps = min(2, plan.rows_per_device), 1
        trial.max_steps, trial.save_strategy, trial.eval_strategy = 1, "no", "no"
        trial.load_best_model_at_end = trial.eval_on_start = False
        plan = replace(plan, recipe=replace(plan.recipe, early_stopping=0))  # nothing is evaluated
        model, processor = built
        rows = _noise(plan, trial.per_device_train_batch_size * plan.processes)
        log = TrainingLog(None, plan.recipe.classes)
        try:
            build_trainer(plan, trial, rows, rows, log, (), (copy.deepcopy(model), processor)).train()
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"a trial step, before any data is read, fails: {first_line(error)}{_hint(plan)}"
            ) from error


def _noise(plan: Plan, rows: int) -> Dataset:
    """A mapped table of noise."""
    recipe, random = plan.recipe, np.random.default_rng(0)
    side, classes = recipe.store_size or recipe.image_size, len(recipe.classes)
    pixels = random.integers(0, 256, (rows, 3, side, side), dtype=np.uint8)
    return Dataset.from_dict(
        {
            "pixels": [picture.tobytes() for picture in pixels],
            "label": [row % classes for row in range(rows)],
            "target": [[1 / classes] * classes] * rows,
            "key": [f"noise-{row}" for row in range(rows)],
        }
    )


def _hint(plan: Plan) -> str:
    ranged = {"disable_tqdm"} | TrainerRanges.__annotations__.keys() - set(UNCHECKED)
    suspects = [f"{name} {value!r}" for name, value in sorted(plan.recipe.trainer.items()) if name not in ranged]
    return f"; check {', '.join(suspects)}" if suspects else ""
