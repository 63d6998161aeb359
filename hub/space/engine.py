"""A model that answers: from a run folder, a published folder or the Hub, by onnxruntime where it has ONNX, else torch.

Both engines see the very pixels that training and `pipeline()` see, and differ by less than 1e-4 of a probability.
"""

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from numpy.typing import NDArray
from refusal import CannotStart

ONNX = Path("onnx", "model.onnx")
DESCRIBED = ["config.json", "preprocessor_config.json", "recipe.yaml", "examples/*.png"]
WEIGHTS = ["*.safetensors", "*.safetensors.index.json"]  # never a pickle
BICUBIC = 3  # Pillow's number
BLOCK = 16  # rows that are resized together: those that they are made of overlap

Picture = NDArray[np.uint8]
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A loaded and warmed model; `prepare` and `run` may be called from any thread.

    `name` tells no path. `size` is (height, width) of its input, in px; `function` is what turns its logits into
    scores; `align` says whether it was trained on crops with level eyes; `examples` are PNGs of drawn faces by what
    they show. `prepare` takes a picture `(H, W, 3) uint8`
    RGB and gives `(3, *size)`; `run` takes `(B, 3, *size)` and gives logits `(B, K)`; both in float32.
    """

    name: str
    engine: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    function: str
    align: bool
    examples: dict[str, bytes]
    prepare: Callable[[Picture], Pixels]
    run: Callable[[Pixels], Pixels]


def load_model(name: str, revision: str = "", threads: int = 0) -> Model:
    """Load and warm a model.

    Args:
        name: folder, or id on the Hub.
        revision: branch, tag or commit of an id.
        threads: of the engine; 0 for one a core.

    Raises:
        CannotStart: there is no such model, or it cannot be used.
    """
    if not name:
        raise CannotStart("FER_MODEL names no model: a run folder, a published folder, or an id on the Hub")
    folder = _folder(name, revision)
    config, processor = (_json(folder / file) for file in DESCRIBED[:2])
    try:
        classes = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
    except (KeyError, TypeError):
        raise CannotStart(f"{name}: config.json names no classes, so it is no image classifier") from None
    prepare, size = _preprocessing(folder, processor, name)
    is_onnx = (folder / ONNX).is_file()
    run = (_onnxruntime if is_onnx else _torch)(folder, threads or cores(), name)
    _warm(run, size, len(classes), name)
    shown = name if not Path(name).is_dir() else Path(name).resolve().name
    engine = "onnxruntime" if is_onnx else "torch"
    examples = {file.stem: file.read_bytes() for file in sorted(folder.glob("examples/*.png"))}
    return Model(shown, engine, classes, size, _function(config), _align(folder), examples, prepare, run)


def to_scores(logits: Pixels, function: str) -> NDArray[np.float64]:
    """Scores of logits `(..., K)` by softmax, sigmoid or none."""
    values = logits.astype(np.float64)
    if function == "softmax":
        values = np.exp(values - values.max(-1, keepdims=True))
        values /= values.sum(-1, keepdims=True)
    elif function == "sigmoid":
        values = 0.5 * (1 + np.tanh(values / 2))
    return values


def ranked(classes: Sequence[str], scores: NDArray[np.float64], top_k: int | None = None) -> list[dict[str, Any]]:
    """`[{"label", "score"}]` of scores `(K,)`, best first, as `pipeline()` gives them."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [{"label": classes[i], "score": float(scores[i])} for i in order]


def cores() -> int:
    """Cores that this process may use: by its affinity, and by its container's share of time."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        pass
    return max(1, count)


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """`(H, W, 3) uint8` at another (height, width): the image processor's antialiased bicubic, to the bit.

    torchvision resizes uint8 by columns, then by rows, with weights of 16 bits, and rounds to uint8 in between
    (aten/src/ATen/native/cpu/UpSampleKernel.cpp).
    """
    height, width = size
    if picture.shape[1] != width:
        picture = np.ascontiguousarray(_resize_rows(picture.swapaxes(0, 1), width).swapaxes(0, 1))
    return picture if picture.shape[0] == height else _resize_rows(picture, height)


def _resize_rows(rows: Picture, size: int) -> Picture:
    """`(N, M, 3)` to `(size, M, 3)`."""
    weights, unit = _weights(len(rows), size)
    resized = np.empty((size, *rows.shape[1:]), np.uint8)
    for start in range(0, size, BLOCK):
        block = weights[start : start + BLOCK]
        used = np.flatnonzero(block.any(0))
        part = slice(used[0], used[-1] + 1)
        mixed = np.tensordot(block[:, part], rows[part], 1)
        resized[start : start + BLOCK] = np.clip(np.floor(mixed / unit + 0.5), 0, 255)
    return resized


@lru_cache(256)
def _weights(length: int, size: int) -> tuple[NDArray[np.float64], float]:
    """Whole weights `(size, length)` of Keys' cubic convolution (1981, a = -0.5), and what they sum to."""
    step = length / size
    x = np.abs(np.arange(length) + 0.5 - (np.arange(size)[:, None] + 0.5) * step) / max(step, 1)
    weights = np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((2.5 - 0.5 * x) * x - 4) * x + 2, 0))
    weights /= weights.sum(1, keepdims=True)
    unit = 2 ** math.floor(math.log2(32767.5 / weights.max()))
    return np.round(weights * unit), unit


def _folder(name: str, revision: str) -> Path:
    if Path(name).is_dir():
        if revision:
            raise CannotStart(f"{name} is a folder, which has no revision {revision}")
        return Path(name)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise CannotStart(f"{name} is no folder, and no id on the Hub")
    try:
        folder = Path(
            snapshot_download(name, revision=revision or None, allow_patterns=[*DESCRIBED, "onnx/model.onnx*"])
        )
        if not (folder / ONNX).is_file():
            folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=[*DESCRIBED, *WEIGHTS]))
    except Exception as error:  # the client raises many kinds: no network, no such repository, no right to read
        at = f" at {revision}" if revision else ""
        raise CannotStart(f"{name}{at} is no folder here and could not be had from the Hub ({_first(error)})") from None
    return folder


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotStart(f"{file.parent.name}/{file.name}: {error.strerror}: this is no folder of a model") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CannotStart(f"{file.parent.name}/{file.name} is damaged: it holds no JSON object")
    return content


def _preprocessing(
    folder: Path, processor: dict[str, Any], name: str
) -> tuple[Callable[[Picture], Pixels], tuple[int, int]]:
    """How a picture becomes input, and its size: by NumPy for what the pipeline writes, else by transformers."""
    steps = ("do_resize", "do_rescale", "do_normalize")
    ours = all(processor.get(step) for step in steps) and processor.get("resample") == BICUBIC
    side = processor.get("size")
    if not ours or processor.get("do_center_crop") or not isinstance(side, dict) or set(side) != {"height", "width"}:
        return _foreign_preprocessing(folder, name)
    size = side["height"], side["width"]
    mean, std = (np.array(processor[key]) for key in ("image_mean", "image_std"))
    factor = processor["rescale_factor"]

    def prepare(picture: Picture) -> Pixels:
        normal = (resize(picture, size) * factor - mean) / std
        return np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)

    return prepare, size


def _foreign_preprocessing(folder: Path, name: str) -> tuple[Callable[[Picture], Pixels], tuple[int, int]]:
    try:
        from transformers import AutoImageProcessor

        processor = AutoImageProcessor.from_pretrained(folder)
        shape = processor([np.zeros((64, 64, 3), np.uint8)], return_tensors="np")["pixel_values"].shape
    except Exception as error:
        raise CannotStart(f"{name}: preprocessor_config.json is not ours, and transformers: {_first(error)}") from None

    def prepare(picture: Picture) -> Pixels:
        pixels: Pixels = processor([picture], return_tensors="np")["pixel_values"][0]
        return pixels

    return prepare, (shape[2], shape[3])


def _onnxruntime(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # from 1.29 on it tells Microsoft of every model, by default
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores decode meanwhile
        session = onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])
        given, told = session.get_inputs()[0].name, session.get_outputs()[0].name
    except Exception as error:
        raise CannotStart(f"{name}: {ONNX} cannot be loaded: {_first(error)}") from None

    def run(pixels: Pixels) -> Pixels:
        logits: Pixels = session.run([told], {given: pixels})[0]
        return logits

    return run


def _torch(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    try:
        import torch
        from transformers import AutoModelForImageClassification

        torch.set_num_threads(threads)
        model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        model.eval()
    except ImportError as error:
        raise CannotStart(
            f"{name} has no {ONNX}, so it needs torch, torchvision and transformers ({_first(error)}): install them, "
            "or give a folder that push_to_hub.py made"
        ) from None
    except Exception as error:
        raise CannotStart(f"{name}: the weights cannot be loaded: {_first(error)}") from None

    def run(pixels: Pixels) -> Pixels:
        with torch.inference_mode():
            logits: Pixels = model(pixel_values=torch.from_numpy(pixels)).logits.numpy()
        return logits

    return run


def _warm(run: Callable[[Pixels], Pixels], size: tuple[int, int], classes: int, name: str) -> None:
    """Two batches, as the first takes longer; what they give is looked at."""
    for count in (1, 2):
        try:
            logits = run(np.zeros((count, 3, *size), np.float32))
        except Exception as error:
            raise CannotStart(f"{name}: the model does not run: {_first(error)}") from None
        if logits.shape != (count, classes) or not np.isfinite(logits).all():
            raise CannotStart(f"{name}: the model gives {logits.shape}, or no numbers, for {count} x {classes} classes")


def _function(config: dict[str, Any]) -> str:
    """What `pipeline()` applies where it is not told."""
    kind, count = config.get("problem_type"), len(config["id2label"])
    if kind == "regression":
        return "none"
    return "sigmoid" if kind == "multi_label_classification" or count == 1 else "softmax"


def _align(folder: Path) -> bool:
    """Whether the run's crops had level eyes, where it tells: then the app's have them too."""
    recipe = folder / "recipe.yaml"
    return recipe.is_file() and bool(re.search(r"^face_align: true\b", recipe.read_text(encoding="utf-8"), re.M))


def _first(error: BaseException) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
