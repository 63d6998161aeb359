"""A plan as `TrainingArguments`."""

import os
from typing import Any

from transformers import TrainingArguments

from pipeline.errors import InputError
from pipeline.training.machine import ON_A_CPU
from pipeline.training.plan import Plan

# The metrics that may choose the best checkpoint, and whether greater is better.
METRICS = {"accuracy": True, "macro_f1": True, "balanced_accuracy": True, "nll": False, "loss": False}

# Schedules that transformers starts at the full rate, and what else the error suggests.
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


def training_arguments(plan: Plan) -> TrainingArguments:
    """The arguments of a plan, without warm-up: its steps are known when the data is read.

    This starts the process group. Nothing before it may ask torch how many processes there are.

    Raises:
        InputError: Trainer refuses a value, one process sees several GPUs, or the processes did not find each other.
    """
    settings = _settings(plan)
    if plan.recipe.precision == "fp32":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # the recipe wins over the launcher
    try:
        arguments = TrainingArguments(**settings)
    except (ValueError, TypeError) as error:
        raise InputError(f"TrainingArguments: {str(error).splitlines()[0]}") from None
    if arguments.n_gpu > 1:  # Trainer would split each batch by DataParallel, and see n_gpu times its rows
        raise InputError(
            f"this process sees {arguments.n_gpu} GPUs: start it with `accelerate launch --multi_gpu`, or show it one "
            "with CUDA_VISIBLE_DEVICES=0"
        )
    if arguments.world_size != plan.processes:
        raise InputError(
            f"the launcher started {plan.processes} processes and they do not find each other (each is rank 0 of "
            f"{arguments.world_size}); {ON_A_CPU}"
        )
    return arguments


def _settings(plan: Plan) -> dict[str, Any]:
    recipe = plan.recipe
    settings = DEFAULTS | recipe.trainer
    if "save_steps" in recipe.trainer and "save_strategy" not in recipe.trainer:
        settings["save_strategy"] = "steps"
    if settings["save_strategy"] == "steps":
        settings.setdefault("save_steps", 500)  # Trainer's own; evaluation must not fall between two checkpoints
    metric = str(settings["metric_for_best_model"]).removeprefix("eval_")
    if metric not in METRICS:
        raise InputError(f"metric_for_best_model is {metric!r}; it must be one of {', '.join(METRICS)}")
    settings |= {
        "per_device_train_batch_size": plan.rows_per_device,
        "gradient_accumulation_steps": plan.accumulation,
        "fp16": recipe.precision == "fp16",
        "bf16": recipe.precision == "bf16",
        "use_cpu": plan.device == "cpu",
        "eval_strategy": settings["save_strategy"],
        "eval_steps": settings.get("save_steps"),
        "load_best_model_at_end": True,
        "greater_is_better": METRICS[metric],
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "logging_nan_inf_filter": False,
        "report_to": "none",
    }
    kind = str(settings["lr_scheduler_type"])
    if kind in WITHOUT_WARMUP and recipe.warmup_epochs:
        raise InputError(f"lr_scheduler_type {kind} has no warm-up: set --warmup_epochs 0{WITHOUT_WARMUP[kind]}")
    if kind == "reduce_lr_on_plateau":
        mode = {"mode": "max" if METRICS[metric] else "min"}
        settings["lr_scheduler_kwargs"] = mode | (settings.get("lr_scheduler_kwargs") or {})
    if plan.batches_on_gpu:
        settings["dataloader_pin_memory"] = False  # only main memory can be pinned
    if settings["save_strategy"] not in ("epoch", "steps"):
        raise InputError(f"save_strategy is {settings['save_strategy']!r}; it must be epoch or steps")
    return settings
