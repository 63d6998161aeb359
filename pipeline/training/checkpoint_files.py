"""The files of a checkpoint: its folder, its config.json and its tensors. Only safetensors weights are read."""

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.errors import InputError, first_line
from pipeline.run_folder import sha256

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".ckpt")
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
    if not (path / CONFIG).is_file():
        if (path / "adapter_config.json").is_file():
            raise InputError(
                f"checkpoint {checkpoint} is only a PEFT adapter, without its base model: merge it with peft's "
                "merge_and_unload(), save the result with save_pretrained, and give that folder"
            )
        raise InputError(f"checkpoint {checkpoint} has no {CONFIG}")
    if not (path / WEIGHTS).is_file() and not (path / INDEX).is_file():
        pickles = sorted(p.name for p in path.iterdir() if p.suffix in PICKLES)
        found = f"; {pickles[0]} is a pickle, which is never loaded: convert it to safetensors" if pickles else ""
        raise InputError(f"checkpoint {checkpoint} has no {WEIGHTS}{found}")
    return path


def _download(checkpoint: str) -> Path:
    wanted = [CONFIG, PROCESSOR, "adapter_config.json", WEIGHTS, INDEX, "model-*.safetensors"]
    try:
        return Path(snapshot_download(checkpoint, allow_patterns=wanted))
    except Exception as error:  # the client raises many kinds: no network, no such repo, no right to read
        raise InputError(
            f"checkpoint {checkpoint} is not a folder here and could not be downloaded from the Hub "
            f"({first_line(error)}); check the name and the network, or give a local folder"
        ) from None


def weights_sha256(checkpoint: str) -> str | None:
    """SHA-256 of the weights of a checkpoint that was loaded, or of the index of its shards; None if it is gone."""
    path = Path(checkpoint)
    try:
        folder = path if path.is_dir() else Path(snapshot_download(checkpoint, local_files_only=True))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError):
        return None
    return next((sha256(folder / name) for name in (WEIGHTS, INDEX) if (folder / name).is_file()), None)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file of a checkpoint that holds an object.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a JSON object: it is not a model's config")
    return content


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`, of a kind that can be trained.

    Raises:
        InputError: it is not a JSON object, names no model, or its weights are quantised.
    """
    config = read_object(folder / CONFIG)
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


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by name, from one file or from shards.

    Raises:
        InputError: a file is missing, no safetensors file or a Git LFS pointer, or a number is not finite.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in _weight_files(folder):
        tensors |= _read_weights(file)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"its weights hold nan or infinite numbers, first in {name}: take an earlier save")
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    listed = read_object(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{folder / INDEX} has no weight_map: copy the folder again")
    files = [folder / name for name in sorted(set(listed.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(f"{len(missing)} of its {len(files)} weight files are missing, first {missing[0]}")
    return files


def _read_weights(file: Path) -> dict[str, torch.Tensor]:
    try:
        with file.open("rb") as opened:
            if opened.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder")
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is not a safetensors file: {error}") from None
