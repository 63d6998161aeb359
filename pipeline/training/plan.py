"""What a recipe comes to on this machine: precision, threads, batch, steps. It is worked out once and never changed.

There are two stages. `make_plan` needs no data, so whatever it refuses is refused before data is read. `Plan.schedule`
needs the number of train rows.
"""

import math
from dataclasses import dataclass, replace

import torch

from pipeline.cores import cores
from pipeline.errors import InputError
from pipeline.settings.recipe import Precision, Recipe
from pipeline.training import machine

LARGEST_CPU_BATCH = 64  # rows at 112 px; a 2-core machine is slower with more rows, or with as many larger ones
GIB_PER_PICTURE = 0.05  # of GPU memory, ViT-Tiny at 224 px in fp16 with its activations, rounded up


@dataclass(frozen=True)
class Schedule:
    """Steps of a run. Warm-up and mixing keep their share of a run that `max_steps` shortens."""

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    mix_off_epoch: float | None  # CutMix and mixup end here, in epochs; None keeps them on

    def describe(self) -> str:
        """The schedule as a line of the console."""
        return f"steps: {self.total_steps:,} ({self.steps_per_epoch:,} an epoch, warm-up {self.warmup_steps:,})"


@dataclass(frozen=True)
class Plan:
    """Everything that follows from a recipe on this machine."""

    recipe: Recipe  # its precision is the one that runs here, never auto
    precision_reason: str
    device: str  # cuda, mps, xpu or cpu
    processes: int
    threads: int  # of this process
    threads_not_read: str | None  # OMP_NUM_THREADS, where a person set it to something else
    rows_per_device: int  # rows that go through the model at once
    accumulation: int  # how many of these make an optimizer step
    batches_on_gpu: bool  # whether the collators work on the GPU

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step, over all processes."""
        return self.processes * self.rows_per_device * self.accumulation

    def schedule(self, train_rows: int) -> Schedule:
        """The steps for `train_rows` rows: warm-up lasts `warmup_epochs`, but at most a tenth of the run."""
        trainer = self.recipe.trainer
        batches = -(-train_rows // (self.rows_per_device * self.processes))
        steps_per_epoch = -(-batches // self.accumulation)
        planned = max(1, math.ceil(steps_per_epoch * float(trainer.get("num_train_epochs", 3))))  # as Trainer does
        max_steps = int(trainer.get("max_steps", -1))
        total = max_steps if max_steps > 0 else planned
        share = min(1.0, total / planned)
        off = self.recipe.mix_off_epoch
        return Schedule(
            steps_per_epoch=steps_per_epoch,
            total_steps=total,
            warmup_steps=int(min(self.recipe.warmup_epochs * steps_per_epoch * share, total / 10)),
            mix_off_epoch=None if off is None else off * share,
        )

    def describe(self) -> str:
        """What the settings come to here, as the console shows it at the start of a run."""
        unread = self.threads_not_read
        ignored = f" (OMP_NUM_THREADS={unread} is not read: use --threads)" if unread else ""
        return (
            f"machine: {self.processes} process(es), {self.threads} threads each{ignored}, "
            f"precision {self.recipe.precision} ({self.precision_reason})\n"
            f"batch: {self.rows_per_step} rows = {self.processes} x {self.rows_per_device} x {self.accumulation} "
            "(processes x per device x accumulation)"
        )


def make_plan(recipe: Recipe) -> Plan:
    """Work out what `recipe` comes to on this machine.

    Raises:
        InputError: the precision is not supported here, the rows of a step cannot be split evenly, there are fewer
            cores than threads, or the launcher started fewer processes than it was asked for.
    """
    machine.refuse_lone_process()
    precision, reason = resolve_precision(recipe.precision)
    device, processes = machine.device_type(), machine.world_size()
    rows_per_device, accumulation = _split_batch(recipe, processes, device)
    threads, of_environment = _threads(recipe.threads), machine.threads_of_environment()
    return Plan(
        recipe=replace(recipe, precision=precision),
        precision_reason=reason,
        device=device,
        processes=processes,
        threads=threads,
        threads_not_read=None if recipe.threads or of_environment == str(threads) else of_environment,
        rows_per_device=rows_per_device,
        accumulation=accumulation,
        batches_on_gpu=device == "cuda"
        and recipe.trainer.get("dataloader_num_workers", 0) == 0,  # worker processes have no GPU
    )


def _threads(asked: int | None) -> int:
    """The threads of this process. More of them than cores would wait for each other in every operation."""
    here = max(1, cores() // machine.local_world_size())
    if asked is not None and asked > here:
        raise InputError(f"threads is {asked}, and each process has {here} core(s) here; lower it or leave it out")
    return asked or here


def resolve_precision(precision: Precision) -> tuple[Precision, str]:
    """The precision that runs here for `auto` or an explicit one, and why in a few words.

    Raises:
        InputError: this machine does not support an explicit precision.
    """
    device = machine.device_type()
    if precision == "auto":
        if device == "cuda":
            return "fp16", "CUDA"
        if device == "cpu" and machine.cpu_has_bf16_units():
            return "bf16", "this CPU has bf16 units"
        return "fp32", f"{device} without bf16 units"
    if precision == "fp16" and device != "cuda":
        raise InputError(f"precision fp16 needs CUDA, and this run is on {device}; use --precision auto, bf16 or fp32")
    if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("precision bf16 is not supported by this GPU; use --precision fp16 or fp32")
    return precision, "asked for"


def _split_batch(recipe: Recipe, processes: int, device: str) -> tuple[int, int]:
    """Rows per device and accumulation.

    Values typed by hand win, and the total follows from them. A per-device size without an accumulation means 1.
    """
    typed, total = recipe.trainer, recipe.total_batch_size
    if "per_device_train_batch_size" in typed:
        per_device = int(typed["per_device_train_batch_size"])
        accumulation = int(typed.get("gradient_accumulation_steps", 1))
        if per_device < 1 or accumulation < 1:
            raise InputError("per_device_train_batch_size and gradient_accumulation_steps must be at least 1")
        return per_device, accumulation
    if total % processes:
        raise InputError(
            f"total_batch_size {total} cannot be split evenly over {processes} processes; make it a multiple"
        )
    share = total // processes
    if "gradient_accumulation_steps" in typed:
        accumulation = int(typed["gradient_accumulation_steps"])
        if accumulation < 1 or share % accumulation:
            raise InputError(f"gradient_accumulation_steps {accumulation} does not divide {share} rows per process")
        return share // accumulation, accumulation
    limit = _largest_batch(recipe.image_size, device)
    per_device = next(size for size in range(min(share, limit), 0, -1) if share % size == 0)
    return per_device, share // per_device


def _largest_batch(image_size: int, device: str) -> int:
    if device != "cuda":
        return max(1, int(LARGEST_CPU_BATCH * min(1.0, 112 / image_size)))
    return max(1, int(machine.gpu_memory_gib() / GIB_PER_PICTURE * (224 / image_size) ** 2))
