"""What this machine is: its processes, devices and versions."""

import importlib.metadata
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from pipeline.cores import cores
from pipeline.errors import FULL, InputError, printable_lines

ON_A_CPU = "on a CPU launch with ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes N"
PACKAGES = ("torch", "torchvision", "transformers", "datasets", "evaluate", "accelerate", "timm", "huggingface_hub")


def world_size() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is; 0 prints and writes."""
    return int(os.environ.get("RANK", "0"))


def local_world_size() -> int:
    """How many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def say(line: str) -> None:
    """Print a line, once for all processes."""
    if rank() == 0:
        print(printable_lines(line))  # names of columns, classes and files are those of somebody else


def prepare(threads: int) -> None:
    """Make this process ready: its threads, no bars of libraries, and places that it can write.

    Raises:
        InputError, OSError: as `refuse_unwritable_places`.
    """
    use_threads(threads)
    quiet_libraries()
    refuse_unwritable_places()
    if warning := gpu_left_out():
        say(f"warning: {warning}")


def use_threads(count: int) -> None:
    """Let torch use `count` threads in this process: `accelerate launch` sets OMP_NUM_THREADS=1."""
    torch.set_num_threads(count)


def threads_of_environment() -> str | None:
    """OMP_NUM_THREADS where a person set it. A launcher sets it to 1 where it is unset, which looks the same."""
    named = os.environ.get("OMP_NUM_THREADS") or None
    launched = {"ACCELERATE_MIXED_PRECISION", "LOCAL_WORLD_SIZE"} & os.environ.keys()
    return None if launched and named == "1" else named


def quiet_libraries() -> None:
    """Hide the bars of libraries: those of transformers always, the others where no person watches (a file, CI)."""
    import datasets
    import huggingface_hub.utils
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
        huggingface_hub.utils.disable_progress_bars()


def refuse_unwritable_places() -> None:
    """Try to write where libraries write: the cache of data sets and the folder of temporary files.

    Raises:
        InputError: nothing can be written there. It names the place and the variable that sets it.
        OSError: the disk is full.
    """
    import datasets

    places = {
        Path(datasets.config.HF_DATASETS_CACHE): "the cache of data sets; set HF_HOME",
        Path(_temporary()): "temporary files; set TMPDIR",
    }
    for place, words in places.items():
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(bytes(65536))
        except OSError as error:
            if error.errno in FULL:  # as anywhere else in a run
                raise OSError(error.errno, error.strerror, str(place)) from None
            what, variable = words.split("; ")
            raise InputError(
                f"{place} cannot be written ({error.strerror}): it is for {what}; {variable} to another folder"
            ) from None


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise InputError(f"no folder for temporary files was found ({error.strerror}); set TMPDIR to one") from None


def refuse_lone_process() -> None:
    """Refuse the single process that `accelerate launch --cpu --num_processes 2` starts without a word.

    Raises:
        InputError: the launcher was asked for several processes and started one.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ
    if launched and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
        raise InputError(f"the launcher was asked for several processes and started only one; {ON_A_CPU}")


def on_accelerator() -> bool:
    """Whether training runs on a device other than the CPU."""
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return torch.accelerator.is_available() and not forced


def device_type() -> str:
    """`cuda`, `mps`, `xpu` or `cpu`."""
    accelerator = torch.accelerator.current_accelerator()
    return accelerator.type if on_accelerator() and accelerator is not None else "cpu"


def gpu_left_out() -> str | None:
    """A warning where this torch build cannot use the GPU (plain pip on Windows installs the CPU-only build)."""
    smi = "nvidia-smi.exe" if platform.system() == "Windows" else "nvidia-smi"
    present = any(os.access(os.path.join(p, smi), os.X_OK) for p in os.get_exec_path())  # noqa: PTH118
    if present and torch.version.cuda is None and not torch.version.hip:
        return "an NVIDIA driver is here but this torch is CPU-only: install a CUDA build (pytorch.org/get-started)"
    return None


def cpu_has_bf16_units() -> bool:
    """Whether this CPU multiplies bf16 in hardware; others emulate it, slowly."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() or _arm_bf16())


def _arm_bf16() -> bool:
    check = getattr(torch.backends.cpu, "is_arm_bf16_supported", None)
    return bool(check()) if check else platform.machine() in ("aarch64", "arm64") and "bf16" in _cpu_flags()


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next((line for line in file if line.startswith(("Features", "flags"))), "")
    except OSError:
        return ""


def gpu_memory_gib() -> float:
    """Memory of the first CUDA GPU, in GiB."""
    return torch.cuda.get_device_properties(0).total_memory / 2**30


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
