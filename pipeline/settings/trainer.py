"""Trainer's own settings: what we add to their types, which of them we refuse, and where our defaults differ."""

from functools import cache
from typing import Annotated, Any, Literal, TypedDict, get_origin, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model

from pipeline.errors import InputError
from pipeline.settings.kinds import STRICT, Number, PathText, Text, Whole, YamlNo
from pipeline.settings.schema import Setting, about, one_line
from pipeline.settings.trainer_source import trainer_fields
from pipeline.task import TASKS

# Defaults that differ from Trainer's own; a recipe may set each of them.
DEFAULTS: dict[str, Any] = {
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "logging_steps": 50,
    "logging_first_step": True,
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 1.0,
    "ddp_find_unused_parameters": False,
    "weight_decay": 0.05,
    "per_device_eval_batch_size": 128,
}

SHARDED = "each process holds the whole model; accelerate launch --num_processes N splits the rows of a step"

# Fields that would break a promise of ours, and what to use instead.
REFUSED = {
    "push_to_hub": "publish a finished run with push_to_hub.py, or --publish USER/NAME",
    "fp16": "use --precision fp16",
    "bf16": "use --precision bf16",
    "fp16_full_eval": "final predictions are always made in float32",
    "bf16_full_eval": "final predictions are always made in float32",
    "use_cpu": "use --precision, and ACCELERATE_USE_CPU=1 to train on the CPU of a machine with a GPU",
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
    "include_for_metrics": "metrics are computed from predictions.parquet",
    "prediction_loss_only": "metrics are computed from predictions.parquet",
    "batch_eval_metrics": "metrics are computed from predictions.parquet",
    "eval_do_concat_batches": "metrics are computed from predictions.parquet",
    "train_sampling_strategy": "use --class_balance",
    "auto_find_batch_size": "use --per_device_train_batch_size",
    "save_only_model": "every checkpoint can be resumed",
    "ignore_data_skip": "a resumed run sees the same batches as one that was not interrupted",
    "resume_from_checkpoint": "use --resume, which goes on from the last checkpoint of output_dir",
    "label_names": "the collators name their columns",
    "eval_on_start": "it would count as an evaluation for early stopping, and once more after --resume",
    "eval_delay": "every checkpoint is evaluated, so that the best one is published",
    "restore_callback_states_from_checkpoint": "a resumed run always continues the count of early stopping",
    "enable_jit_checkpoint": "SIGTERM always saves a checkpoint",
    "run_name": "nothing is reported to a service; TensorBoard files are always written to output_dir/logs",
    "project": "nothing is reported to a service; TensorBoard files are always written to output_dir/logs",
    "length_column_name": "pictures have no length",
    "use_cache": "image classifiers have no such cache",
    "include_num_input_tokens_seen": "pictures have no tokens to count; environment.json has pictures_per_second",
    "average_tokens_across_devices": "pictures have no tokens; the loss is always averaged over all rows of a step",
    "local_rank": "the launcher sets it: accelerate launch --num_processes N",
    "fsdp": SHARDED,
    "fsdp_config": SHARDED,
    "deepspeed": SHARDED,
    "parallelism_config": SHARDED,
    "debug": "it is for TPUs and for models of several devices",
    "accelerator_config": "--total_batch_size and the sampler decide which rows a process gets in a step",
    "greater_is_better": "it follows from --metric_for_best_model",
}

# What the docs show as the default where the source of Trainer has none, or ours follows from another setting.
FOLLOWS = {
    "output_dir": "runs/RECIPE",
    "optim": "adamw_torch_fused",
    "metric_for_best_model": ", or for scores ".join(task.chooses for task in TASKS.values()),
    "per_device_train_batch_size": "from total_batch_size",
    "gradient_accumulation_steps": "from total_batch_size",
}

Steps = Annotated[Whole, Field(ge=1)] | Annotated[Number, Field(gt=0, lt=1)]


class TrainerRanges(TypedDict, total=False):
    """The fields that have a range, or fewer choices here than in Trainer."""

    # fmt: off
    output_dir: Annotated[PathText, about("Trainer", "the run folder; by default runs/ and the name of the recipe")]
    seed: Annotated[Whole, about("Trainer", "initial weights, order of rows, augmentation and mixing", ge=0, le=2**32 - 1)]
    num_train_epochs: Annotated[Number, about("Trainer", "length of the run", "epochs", gt=0)]
    max_steps: Annotated[Literal[-1] | Annotated[Whole, Field(ge=1)], about("Trainer", "length of the run in optimizer steps, instead of num_train_epochs; -1 is off", "steps")]
    learning_rate: Annotated[Number, about("Trainer", "peak learning rate, for the total batch", gt=0, le=1000)]
    lr_scheduler_type: Annotated[Any, about("Trainer", "schedule of the learning rate")]
    optim: Annotated[Any, about("Trainer", "optimizer")]
    weight_decay: Annotated[Number, about("Trainer", "decoupled weight decay, not of biases and norms", ge=0, le=1000)]
    adam_beta1: Annotated[Number, about("Trainer", "AdamW: decay of the mean of gradients", ge=0, lt=1)]
    adam_beta2: Annotated[Number, about("Trainer", "AdamW: decay of the mean of squared gradients", ge=0, lt=1)]
    adam_epsilon: Annotated[Number, about("Trainer", "AdamW: added to the denominator", gt=0, le=1)]
    max_grad_norm: Annotated[Number, about("Trainer", "clip the norm of the gradient; 0 is off", ge=0)]
    neftune_noise_alpha: Annotated[Number | None, about("Trainer", "NEFTune noise on embeddings; null is off", ge=0, le=1000)]
    per_device_train_batch_size: Annotated[Whole, about("Trainer", "train rows on each device; by default it follows from total_batch_size", "rows", ge=1, le=1_000_000)]
    gradient_accumulation_steps: Annotated[Whole, about("Trainer", "batches of one optimizer step; by default it follows from total_batch_size", "batches", ge=1)]
    per_device_eval_batch_size: Annotated[Whole, about("Trainer", "evaluation rows on each device", "rows", ge=1, le=1_000_000)]
    eval_accumulation_steps: Annotated[Whole | None, about("Trainer", "move predictions to the CPU after this many batches; null waits for all", "batches", ge=1)]
    metric_for_best_model: Annotated[Text, about("Trainer", "metric that chooses the published checkpoint")]
    save_strategy: Annotated[Literal["epoch", "steps"], YamlNo, about("Trainer", "when checkpoints are saved and evaluated; steps if save_steps is set")]
    save_steps: Annotated[Steps, about("Trainer", "steps between checkpoints; below 1 a share of the run", "steps")]
    save_total_limit: Annotated[Whole | None, about("Trainer", "checkpoints to keep; null keeps all", "checkpoints", ge=1)]
    logging_strategy: Annotated[Literal["no", "steps", "epoch"], YamlNo, about("Trainer", "when the loss is logged")]
    logging_steps: Annotated[Steps, about("Trainer", "steps between log entries; below 1 a share of the run", "steps")]
    dataloader_num_workers: Annotated[Whole, about("Trainer", "processes that prepare batches; 0 is the main process", "processes", ge=0, le=1024)]
    dataloader_prefetch_factor: Annotated[Whole | None, about("Trainer", "batches that each of these processes prepares ahead", "batches", ge=1, le=1024)]
    torch_empty_cache_steps: Annotated[Whole | None, about("Trainer", "empty the GPU's cache after this many steps; null never", "steps", ge=1)]
    dataloader_multiprocessing_context: Annotated[Literal["fork", "spawn", "forkserver"] | None, about("Trainer", "how these processes start; null is the system's own way")]
    torch_compile_mode: Annotated[Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None, about("Trainer", "compile the model in this mode; null with torch_compile is default")]
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical", "passive"], about("Trainer", "what transformers prints")]
    log_level_replica: Annotated[Literal["debug", "info", "warning", "error", "critical", "passive"], about("Trainer", "what transformers prints in processes after the first")]
    ddp_backend: Annotated[Literal["nccl", "gloo", "mpi", "xccl", "hccl", "cncl", "mccl"] | None, about("Trainer", "how processes exchange gradients; null follows from the device")]
    ddp_bucket_cap_mb: Annotated[Whole | None, about("Trainer", "size of a bucket of gradients between processes", "MB", ge=1)]
    ddp_timeout: Annotated[Whole, about("Trainer", "wait this long for another process", "s", ge=1)]
    # fmt: on


@cache
def _model() -> type[BaseModel]:
    """A field for each of TrainingArguments: our ranges, and the types of the others by their annotations."""
    ours = get_type_hints(TrainerRanges, include_extras=True)
    fields: dict[str, Any] = {}
    for name, (kind, default) in trainer_fields().items():
        own = ours.get(name, kind)
        if get_origin(own) is Annotated and own.__origin__ is Any:
            own = Annotated[(kind, *own.__metadata__)]  # `Any` above: all the choices that Trainer has
        fields[name] = (own, DEFAULTS.get(name, default))
    return create_model("TrainerSettings", __config__=STRICT, **fields)


@cache
def trainer_settings() -> dict[str, Setting]:
    """Name to setting for every field of TrainingArguments; `help` is empty for those that are only passed on."""
    found = {name: Setting.of(name, field) for name, field in _model().model_fields.items()}
    return found | {name: found[name]._replace(default=words) for name, words in FOLLOWS.items()}


def instead_of(name: str) -> str | None:
    """What to use instead of a field of Trainer that is refused; None for any other name."""
    if name.startswith("trackio_"):
        return REFUSED["run_name"]
    return REFUSED["push_to_hub"] if name.startswith("hub_") else REFUSED.get(name)


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """Trainer's settings with numbers for YAML's texts (`1e-4`) and floats where Trainer wants floats.

    Raises:
        InputError: an unknown name, a value of the wrong type, or one out of range.
    """
    try:
        model = _model()(**values)
    except ValidationError as error:
        raise InputError(one_line(error, {each.name: each.kind for each in trainer_settings().values()})) from None
    return {name: getattr(model, name) for name in values}
