"""The files of a checkpoint: its folder, its config.json and its tensors. Only safetensors weights are read."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import CONFIG_MAPPING

from pipeline.errors import InputError, first_line
from pipeline.hub_client import limit_requests, snapshot
from pipeline.model_folder import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CONFIG,
    INDEX,
    PROCESSOR,
    PROCESSOR_5,
    WEIGHTS,
    read_object,
    refuse_adapter,
    weight_files,
    without_code,
)

PROCESSORS = (PROCESSOR, PROCESSOR_5)
PICKLES = (".bin", ".pth", ".pt", ".ckpt")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LFS_POINTER = b"version https://git-lfs"


def find_checkpoint(checkpoint: str) -> Path:
    """The local folder of a checkpoint: itself, or the Hub's files in the cache.

    Raises:
        InputError: there is no such folder or Hub id, or it is not the folder of a whole model in safetensors.
    """
    path = Path(checkpoint)
    if path.is_file() or path.suffix in (*PICKLES, ".tar", ".safetensors"):
        raise InputError(f"checkpoint {checkpoint} is a file; give the folder with {CONFIG} and {WEIGHTS}")
    if not path.is_dir():
        if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/")):
            raise InputError(f"checkpoint {checkpoint} does not exist: give a folder, or a Hub id such as user/name")
        path = _download(checkpoint)
    refuse_adapter(path, f"checkpoint {checkpoint}")
    if not (path / CONFIG).is_file():
        raise InputError(f"checkpoint {checkpoint} has no {CONFIG}")
    if not (path / WEIGHTS).is_file() and not (path / INDEX).is_file():
        pickles = sorted(p.name for p in path.iterdir() if p.suffix in PICKLES)
        found = f"; {pickles[0]} is a pickle, which is never loaded: convert it to safetensors" if pickles else ""
        raise InputError(f"checkpoint {checkpoint} has no {WEIGHTS}{found}")
    return path


def _download(checkpoint: str) -> Path:
    wanted = [CONFIG, *PROCESSORS, ADAPTER_CONFIG, ADAPTER_WEIGHTS, WEIGHTS, INDEX, "model-*.safetensors"]
    limit_requests()
    try:
        return snapshot(checkpoint, allow_patterns=wanted)
    except Exception as error:  # the client raises many kinds: no network, no such repo, no right to read
        raise InputError(
            f"checkpoint {checkpoint} is not a folder here and could not be downloaded from the Hub "
            f"({first_line(error)}); check the name and the network, or give a local folder"
        ) from None


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` without the fields that name code, of a kind that can be trained.

    Raises:
        InputError: it is not a JSON object, names no model, or one that needs other code or files, its labels are no
            mapping, or its weights are quantised.
    """
    given = read_object(folder, CONFIG)
    if "auto_map" in given and given.get("model_type") not in CONFIG_MAPPING:
        raise InputError(
            "it needs Python code of its own, which is never run; give a checkpoint of an architecture of transformers"
        )
    config = without_code(given)
    for name in ("id2label", "label2id", "pretrained_cfg"):
        if not isinstance(config.get(name) or {}, dict):
            raise InputError(
                f"{name} in {folder / CONFIG} is a {type(config[name]).__name__}; it must be a mapping: "
                "leave it out if what it says is not known"
            )
    if not config.get("pretrained_cfg"):
        config.pop("pretrained_cfg", None)
    if wrong := [index for index in config.get("id2label") or {} if not str(index).isdecimal()]:
        raise InputError(f"id2label in {folder / CONFIG} has {wrong[0]!r} where the number of a class belongs")
    if "quantization_config" in config:
        kind = config["quantization_config"]
        method = kind.get("quant_method", "unknown") if isinstance(kind, dict) else "unknown"
        raise InputError(
            f"its weights are quantised (quant_method {method} in {CONFIG}), and quantised weights cannot be "
            "fine-tuned: give the checkpoint in full precision"
        )
    if "architecture" not in config and "model_type" not in config:
        raise InputError(f"{folder / CONFIG} names neither a timm architecture nor a transformers model_type")
    return config


def read_provenance(config: dict[str, Any]) -> dict[str, str]:
    """Where the weights came from: the texts under `provenance` of a config.json, which every later save keeps.

    Raises:
        InputError: it is something else than texts by name.
    """
    provenance = config.get("provenance") or {}
    if not isinstance(provenance, dict) or not all(isinstance(words, str) for words in provenance.values()):
        raise InputError(f"provenance in {CONFIG} must be texts by name, such as {{origin: TEXT, licence: TEXT}}")
    return provenance


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by name, from one file or from shards.

    Raises:
        InputError: a file is missing, no safetensors file or a Git LFS pointer, its numbers are quantised, or one of
            them is not finite.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name in weight_files(folder):
        tensors |= _read_weights(folder / name)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype not in FLOATS:
            raise InputError(_quantised(name, tensor))
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"its weights hold nan or infinite numbers, first in {name}: take an earlier save")
    return tensors


def refuse_whole_numbers(tensors: Mapping[str, torch.Tensor], model: nn.Module, unused: Collection[str]) -> None:
    """Refuse weights in whole numbers: loading would turn them into floats, and nothing says with which scale.

    Buffers may hold whole numbers, such as the positions of patches or a count of batches.

    Args:
        tensors: of the checkpoint; transformers may call them otherwise than `model`, but not the last part of a name.
        model: that they were loaded into.
        unused: names of tensors that were not loaded.

    Raises:
        InputError: a tensor that is not a buffer holds something else than floats.
    """
    whole = {name.rpartition(".")[2] for name, buffer in model.named_buffers() if not buffer.is_floating_point()}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() and name not in unused and name.rpartition(".")[2] not in whole:
            raise InputError(_quantised(name, tensor))


def _quantised(name: str, tensor: torch.Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return (
        f"its weights are {kind}, first {name}: such numbers (of quantised weights, for example) cannot be fine-tuned, "
        "give the checkpoint in full precision (float32, bfloat16 or float16)"
    )


def _read_weights(file: Path) -> dict[str, torch.Tensor]:
    try:
        with file.open("rb") as opened:
            if opened.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder")
        return load_file(file)
    except InputError:
        raise
    except Exception as error:  # SafetensorError, OSError, and KeyError for a type of number that torch lacks
        raise InputError(f"{file} cannot be read as safetensors: {first_line(error)}") from None
