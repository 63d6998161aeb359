"""What this machine is, and what follows from it for a run: threads, precision, batch, steps."""

import importlib.metadata
import math
import os
import platform
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

LARGEST_CPU_BATCH = 64  # rows at 112 px; with more, or as many larger ones, a 2-core machine is slower
GIB_PER_PICTURE = 0.05  # of GPU memory, ViT-Tiny at 224 px in fp16 with its activations, rounded up
ON_A_CPU = "on a CPU launch with ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes N"
PACKAGES = ("torch", "torchvision", "transformers", "datasets", "evaluate", "accelerate", "timm", "huggingface_hub")


def world_size() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is; 0 prints and writes."""
    return int(os.environ.get("RANK", "0"))


def refuse_lone_process() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process alone, and says nothing.

    Raises:
        InputError: the launcher was asked for several processes and started one.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ
    if launched and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
        raise InputError(f"the launcher was asked for several processes and started one alone; {ON_A_CPU}")


def on_accelerator() -> bool:
    """Whether training runs on a device other than the CPU."""
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return torch.accelerator.is_available() and not forced


def device_type() -> str:
    """`cuda`, `mps`, `xpu` or `cpu`."""
    accelerator = torch.accelerator.current_accelerator()
    return accelerator.type if on_accelerator() and accelerator is not None else "cpu"


def makes_batches_on_gpu(workers: int) -> bool:
    """Whether the collators work on the GPU: loader workers are forked and have none."""
    return device_type() == "cuda" and workers == 0


def use_all_cores() -> int:
    """Give each local process its share of the cores: `accelerate launch` sets OMP_NUM_THREADS=1. Returns threads."""
    threads = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(threads)
    return threads


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_left_out() -> str | None:
    """A line for people whose GPU this torch build cannot use (plain pip on Windows brings the CPU-only one)."""
    smi = "nvidia-smi.exe" if platform.system() == "Windows" else "nvidia-smi"
    present = any(os.access(os.path.join(p, smi), os.X_OK) for p in os.get_exec_path())  # noqa: PTH118
    if present and torch.version.cuda is None and not torch.version.hip:
        return "an NVIDIA driver is here but this torch is CPU-only: install a CUDA build (pytorch.org/get-started)"
    return None


def resolve_precision(precision: str) -> tuple[str, str]:
    """`auto` or a wish as what will really run, and why in a few words.

    Raises:
        InputError: what was asked for cannot be had here.
    """
    device = device_type()
    bf16_units = device == "cpu" and bool(
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() or _arm_bf16()
    )
    if precision == "auto":
        if device == "cuda":
            return "fp16", "CUDA"
        return ("bf16", "this CPU has bf16 units") if bf16_units else ("fp32", f"{device} without bf16 units")
    if precision == "fp16" and device != "cuda":
        raise InputError(f"precision fp16 needs CUDA, and this run is on {device}; use --precision auto, bf16 or fp32")
    if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("precision bf16 is not supported by this GPU; use --precision fp16 or fp32")
    return precision, "asked for"


def _arm_bf16() -> bool:
    check = getattr(torch.backends.cpu, "is_arm_bf16_supported", None)
    return bool(check()) if check else platform.machine() in ("aarch64", "arm64") and "bf16" in _cpu_flags()


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next((line for line in file if line.startswith(("Features", "flags"))), "")
    except OSError:
        return ""


def resolve_batch(recipe: Recipe) -> tuple[int, int, int]:
    """Rows per device, accumulation and total of one optimizer step.

    Values typed by hand win and the total follows from them; a typed per-device size alone means accumulation 1.

    Raises:
        InputError: the total cannot be shared out evenly.
    """
    processes, typed = world_size(), recipe.trainer
    total = recipe.total_batch_size
    if "per_device_train_batch_size" in typed:
        per_device = int(typed["per_device_train_batch_size"])
        accumulation = int(typed.get("gradient_accumulation_steps", 1))
        if per_device < 1 or accumulation < 1:
            raise InputError("per_device_train_batch_size and gradient_accumulation_steps must be at least 1")
        return per_device, accumulation, per_device * accumulation * processes
    if total % processes:
        raise InputError(f"total_batch_size {total} cannot be shared by {processes} processes; make it a multiple")
    share = total // processes
    if "gradient_accumulation_steps" in typed:
        accumulation = int(typed["gradient_accumulation_steps"])
        if accumulation < 1 or share % accumulation:
            raise InputError(f"gradient_accumulation_steps {accumulation} does not divide {share} rows per process")
        return share // accumulation, accumulation, total
    limit = _largest_batch(recipe)
    per_device = next(size for size in range(min(share, limit), 0, -1) if share % size == 0)
    return per_device, share // per_device, total


def _largest_batch(recipe: Recipe) -> int:
    if device_type() != "cuda":
        return max(1, int(LARGEST_CPU_BATCH * min(1.0, 112 / recipe.image_size)))
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return max(1, int(gib / GIB_PER_PICTURE * (224 / recipe.image_size) ** 2))


@dataclass(frozen=True)
class Schedule:
    """Steps of a run; warm-up and mixing keep their share of a run that `max_steps` shortens."""

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    mix_off_epoch: float | None


def resolve_schedule(recipe: Recipe, train_rows: int) -> Schedule:
    """The schedule for `train_rows` rows: warm-up of `warmup_epochs`, but never more than a tenth of the run."""
    per_device, accumulation, _ = resolve_batch(recipe)
    batches = -(-train_rows // (per_device * world_size()))
    steps_per_epoch = -(-batches // accumulation)
    planned = max(1, math.ceil(steps_per_epoch * float(recipe.trainer.get("num_train_epochs", 3))))  # as Trainer does
    max_steps = int(recipe.trainer.get("max_steps", -1))
    total = max_steps if max_steps > 0 else planned
    share = min(1.0, total / planned)
    off = recipe.mix_off_epoch
    return Schedule(
        steps_per_epoch=steps_per_epoch,
        total_steps=total,
        warmup_steps=int(min(recipe.warmup_epochs * steps_per_epoch * share, total / 10)),
        mix_off_epoch=None if off is None else off * share,
    )


def describe() -> dict[str, Any]:
    """Versions and hardware, without anything that names a person or a host."""
    accelerator = torch.cuda.get_device_name() if device_type() == "cuda" else device_type()
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "system": platform.system(),
        "processor": _processor(),
        "cores": cores(),
        "device": accelerator,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory_gib() -> dict[str, float]:
    """Highest resident memory of this process and highest allocation on its GPU, in GiB (resident: 0 on Windows)."""
    resident = 0.0
    if platform.system() != "Windows":
        import resource

        unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB on Linux
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    device = torch.cuda.max_memory_allocated() / 2**30 if device_type() == "cuda" else 0.0
    return {"resident": round(resident, 2), "device": round(device, 2)}
