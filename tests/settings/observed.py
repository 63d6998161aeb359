"""One run of train_hf.py, watched: for the settings whose effect only a whole run shows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from transformers.models.vit.modeling_vit import ViTLayer

from pipeline.training.transforms import from_bytes
from tests.conftest import CACHES, STILL


@dataclass
class Seen:
    """What hooks on every module saw of the run, and where it left its files."""

    folder: Path = Path()
    batches: list[torch.Tensor] = field(default_factory=list)  # pixel_values of the train batches
    train_dtypes: set[torch.dtype] = field(default_factory=set)
    threads: set[int] = field(default_factory=set)  # of torch, in training
    last_dtype: torch.dtype | None = None  # of the last matrix product outside training
    attention: set[str] = field(default_factory=set)
    skipped: list[float] = field(default_factory=list)  # share of rows that each block left as they were, in training
    stored: set[tuple[int, int]] = field(default_factory=set)  # rows and side of each table of pictures in the cache


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    entered: list[torch.Tensor] = []

    def before(module: torch.nn.Module, args: tuple) -> None:
        if not module.training:
            return
        if isinstance(module, torch.nn.Conv2d):
            seen.threads.add(torch.get_num_threads())
            seen.batches.append(args[0].detach().clone())
        if isinstance(module, torch.nn.LayerNorm) and len(entered) == 2:
            same = (entered.pop() == args[0]).flatten(1).all(1)
            entered.clear()
            seen.skipped.append(same.float().mean().item())

    def after(module: torch.nn.Module, args: tuple, output: Any) -> None:
        if isinstance(module, torch.nn.Linear):
            seen.last_dtype = output.dtype
            if module.training:
                seen.train_dtypes.add(output.dtype)
        if isinstance(module, ViTLayer) and module.training:
            seen.attention.add(module.attention.config._attn_implementation)
            entered.append(args[0].detach())

    handles = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stored_pictures() -> dict[Path, tuple[int, int]]:
    """Rows and side of every cached table that holds `pixels`."""
    found = {}
    for path in Path(CACHES.name).rglob("cache-*.arrow"):
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            features = json.loads(stream.schema.metadata[b"huggingface"])["info"]["features"]
            if features.get("pixels", {}).get("dtype") == "binary":
                table = stream.read_all()
                found[path] = (table.num_rows, from_bytes(table["pixels"][0].as_py()).shape[-1])
    return found


OBSERVED: dict[str, Any] = {
    "drawn_faces": 120,  # 84 for train: 6 steps an epoch
    "num_train_epochs": 12,
    "max_steps": 36,  # half of them
    "store_size": 16,
    "attention": "sdpa",
    "drop_path": 0.5,
    "precision": "bf16",
    "threads": 1,
    "learning_rate": 1e-12,
    "logging_steps": 1,
    "warmup_epochs": 0.34,
    "early_stopping": 3,
    "cutmix": 1.0,
    "mix_off_epoch": 4,
    "near_copies": True,
    "leaks": "report",
    "evaluate_test": True,
    "flip_average": True,
    "bootstrap_resamples": 77,
    **STILL,
}
