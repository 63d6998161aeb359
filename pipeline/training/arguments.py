"""A recipe as `TrainingArguments`: what Trainer does by itself, and what it may not do."""

import os
from typing import Any

from transformers import TrainingArguments

from pipeline.errors import InputError
from pipeline.evaluation.metrics import CHECKPOINT_METRICS
from pipeline.settings.recipe import Recipe
from pipeline.training.machine import ON_A_CPU, device_type, makes_batches_on_gpu, resolve_batch, world_size

# Schedules that transformers starts at the full rate, and what to say beside that.
WITHOUT_WARMUP = {"constant": ", or lr_scheduler_type constant_with_warmup", "reduce_lr_on_plateau": ""}

# Trainer's fields that differ from its own defaults; a recipe may set each of them.
DEFAULTS: dict[str, Any] = {
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "logging_steps": 50,
    "logging_first_step": True,
    "metric_for_best_model": "accuracy",
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 1.0,
    "ddp_find_unused_parameters": False,
    "weight_decay": 0.05,
    "per_device_eval_batch_size": 128,
    "restore_callback_states_from_checkpoint": True,  # early stopping counts on in a resumed run
}


def training_arguments(recipe: Recipe) -> TrainingArguments:
    """The arguments of a resolved recipe; `warmup_steps` is set when the number of rows is known.

    This starts the process group: nothing before it may ask how many processes there are.

    Raises:
        InputError: Trainer refuses a value, one process sees several GPUs, or the processes did not find each other.
    """
    if recipe.precision == "fp32":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"
    per_device, accumulation, _ = resolve_batch(recipe)
    settings = DEFAULTS | recipe.trainer
    if "save_steps" in recipe.trainer and "save_strategy" not in recipe.trainer:
        settings["save_strategy"] = "steps"
    if settings["save_strategy"] == "steps":
        settings.setdefault("save_steps", 500)  # Trainer's own; evaluation must not fall between two checkpoints
    metric = str(settings["metric_for_best_model"]).removeprefix("eval_")
    if metric not in CHECKPOINT_METRICS:
        raise InputError(f"metric_for_best_model is {metric!r}; it must be one of {', '.join(CHECKPOINT_METRICS)}")
    settings |= {
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation,
        "fp16": recipe.precision == "fp16",
        "bf16": recipe.precision == "bf16",
        "use_cpu": device_type() == "cpu",
        "eval_strategy": settings["save_strategy"],
        "eval_steps": settings.get("save_steps"),
        "load_best_model_at_end": True,
        "greater_is_better": CHECKPOINT_METRICS[metric],
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "logging_nan_inf_filter": False,
        "report_to": "none",
    }
    kind = str(settings["lr_scheduler_type"])
    if kind in WITHOUT_WARMUP and recipe.warmup_epochs:
        raise InputError(f"lr_scheduler_type {kind} has no warm-up: set --warmup_epochs 0{WITHOUT_WARMUP[kind]}")
    if kind == "reduce_lr_on_plateau":
        mode = {"mode": "max" if CHECKPOINT_METRICS[metric] else "min"}
        settings["lr_scheduler_kwargs"] = mode | (settings.get("lr_scheduler_kwargs") or {})
    if makes_batches_on_gpu(settings.get("dataloader_num_workers", 0)):
        settings["dataloader_pin_memory"] = False  # only what lies in main memory can be pinned
    if settings["save_strategy"] not in ("epoch", "steps"):
        raise InputError(f"save_strategy is {settings['save_strategy']!r}; it must be epoch or steps")
    try:
        arguments = TrainingArguments(**settings)
    except (ValueError, TypeError) as error:
        raise InputError(f"TrainingArguments: {str(error).splitlines()[0]}") from None
    if arguments.n_gpu > 1:  # Trainer would share each batch out by DataParallel, and see n_gpu times its rows
        raise InputError(
            f"this process sees {arguments.n_gpu} GPUs: start it with `accelerate launch --multi_gpu`, or show it one "
            "with CUDA_VISIBLE_DEVICES=0"
        )
    if arguments.world_size != world_size():
        raise InputError(
            f"the launcher started {world_size()} processes and they do not find each other (each is rank 0 of "
            f"{arguments.world_size}); {ON_A_CPU}"
        )
    return arguments
