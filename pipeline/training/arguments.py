"""A plan as `TrainingArguments`."""

import os
from typing import Any

from accelerate.utils import DynamoBackend
from transformers import TrainingArguments

from pipeline.errors import InputError, first_line
from pipeline.evaluation.tasks import EVALUATIONS
from pipeline.settings.trainer import DEFAULTS
from pipeline.task import TASKS
from pipeline.training.machine import ON_A_CPU
from pipeline.training.plan import Plan

# Schedules that transformers starts at the full rate, and what else the error suggests.
WITHOUT_WARMUP = {"constant": ", or lr_scheduler_type constant_with_warmup", "reduce_lr_on_plateau": ""}

# Mappings that are read only beside a switch. Libraries ask their values for truth, so a text in quotes is true.
MAPPINGS = {
    "gradient_checkpointing_kwargs": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "activation_checkpointing",
    "liger_kernel_config": "use_liger_kernel",
}
QUOTED = ("true", "false", "yes", "no", "on", "off")


def training_arguments(plan: Plan) -> TrainingArguments:
    """The arguments of a plan, without warm-up: its steps are known when the data is read.

    This starts the process group. Nothing before it may ask torch how many processes there are.

    Raises:
        InputError: Trainer refuses a value, nothing reads one, a switch is a text in quotes, no compiler of torch has
            the name, one process sees several GPUs, or the processes did not find each other.
    """
    settings = _settings(plan)
    _refuse_unknown_compiler(settings)
    _check_mappings(settings)
    if plan.recipe.precision == "fp32":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # the recipe wins over the launcher
    try:
        arguments = TrainingArguments(**settings)
    except Exception as error:  # many kinds: a missing package, a wrong device, values that exclude each other
        raise InputError(f"TrainingArguments: {first_line(error)}") from None
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


def _check_mappings(settings: dict[str, Any]) -> None:
    """Refuse a mapping whose switch is off, and `'no'` and the like in it."""
    for field, switch in MAPPINGS.items():
        values = settings.get(field) or {}
        if values and not settings.get(switch):
            raise InputError(f"{field} is read only with --{switch} true: add it, or leave {field} out")
        for name, value in values.items():
            if isinstance(value, str) and value.lower() in QUOTED:
                raise InputError(f"{field}: {name} is the text {value!r}; write true or false, without quotes")


def _refuse_unknown_compiler(settings: dict[str, Any]) -> None:
    """Refuse a `torch_compile_backend` that accelerate or torch does not know, before anything is compiled."""
    name = settings.get("torch_compile_backend")
    if name is None:
        return
    import torch._dynamo  # only here: it takes seconds

    known = {backend.value.lower() for backend in DynamoBackend} & set(torch._dynamo.list_backends())
    if name.lower() not in known:
        raise InputError(f"torch_compile_backend is {name!r}; it must be one of {', '.join(sorted(known))}")


def _settings(plan: Plan) -> dict[str, Any]:
    recipe = plan.recipe
    settings = DEFAULTS | {"metric_for_best_model": TASKS[recipe.task].chooses} | recipe.trainer
    if "save_steps" in recipe.trainer and "save_strategy" not in recipe.trainer:
        settings["save_strategy"] = "steps"
    if settings["save_strategy"] == "steps":
        settings.setdefault("save_steps", 500)  # Trainer's own; evaluation must not fall between two checkpoints
    metric = str(settings["metric_for_best_model"]).removeprefix("eval_")
    choices = EVALUATIONS[recipe.task].CHECKPOINT_METRICS
    if metric not in choices:
        raise InputError(f"metric_for_best_model is {metric!r}; it must be one of {', '.join(choices)}")
    settings |= {
        "per_device_train_batch_size": plan.rows_per_device,
        "gradient_accumulation_steps": plan.accumulation,
        "fp16": recipe.precision == "fp16",
        "bf16": recipe.precision == "bf16",
        "use_cpu": plan.device == "cpu",
        "eval_strategy": settings["save_strategy"],
        "eval_steps": settings.get("save_steps"),
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,  # early stopping counts on in a resumed run
        "greater_is_better": choices[metric],
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "logging_nan_inf_filter": False,
        "report_to": "none",
    }
    kind = str(settings["lr_scheduler_type"])
    if kind in WITHOUT_WARMUP and recipe.warmup_epochs:
        raise InputError(f"lr_scheduler_type {kind} has no warm-up: set --warmup_epochs 0{WITHOUT_WARMUP[kind]}")
    if kind == "reduce_lr_on_plateau":
        mode = {"mode": "max" if choices[metric] else "min"}
        settings["lr_scheduler_kwargs"] = mode | (settings.get("lr_scheduler_kwargs") or {})
    if plan.batches_on_gpu:
        settings["dataloader_pin_memory"] = False  # only main memory can be pinned
    return settings
