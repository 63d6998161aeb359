"""A model that answers: from a run folder, a published folder or the Hub, by onnxruntime where it has ONNX, else torch.

Both engines see the very pixels that training and `pipeline()` see, and differ by less than 1e-4 of a probability.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from huggingface_hub import snapshot_download
from numpy.typing import NDArray
from preprocessing import PROCESSOR, Pixels, Prepare, load_preprocessing, read_json
from refusal import CannotStart, first_line

ONNX = Path("onnx", "model.onnx")
DESCRIBED = ["config.json", PROCESSOR, "recipe.yaml", "examples/*.png"]
WEIGHTS = ["*.safetensors", "*.safetensors.index.json"]  # never a pickle


@dataclass(frozen=True)
class Model:
    """A loaded and warmed model; `prepare` and `run` may be called from any thread.

    `name` tells no path. `size` is (height, width) of its input, in px; `function` is what turns its logits into
    scores; `align` says whether it was trained on crops with level eyes; `examples` are PNGs of drawn faces by what
    they show. `prepare` takes a picture `(H, W, 3) uint8` RGB and gives `(3, *size)`; `run` takes `(B, 3, *size)` and
    gives logits `(B, K)`; both in float32.
    """

    name: str
    engine: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    function: str
    align: bool
    examples: dict[str, bytes]
    prepare: Prepare
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
    config = read_json(folder / "config.json")
    try:
        classes = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
    except (KeyError, TypeError):
        raise CannotStart(f"{name}: config.json names no classes, so it is no image classifier") from None
    prepare, size = load_preprocessing(folder, name)
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
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        pass
    return max(1, count)


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
        raise CannotStart(
            f"{name}{at} is no folder here and could not be had from the Hub ({first_line(error)})"
        ) from None
    return folder


def _onnxruntime(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A lone picture has all threads; of several, each thread takes its share, as no thread then waits for another."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # from 1.29 on it tells Microsoft of every model, by default
    try:
        import onnxruntime

        def session(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores decode meanwhile
            return onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])

        wide, narrow = session(threads), session(1)
        given, told = wide.get_inputs()[0].name, wide.get_outputs()[0].name
    except Exception as error:
        raise CannotStart(f"{name}: {ONNX} cannot be loaded: {first_line(error)}") from None

    def share(pixels: Pixels) -> Pixels:
        logits: Pixels = narrow.run([told], {given: pixels})[0]
        return logits

    shared = _shared_out(share, ThreadPoolExecutor(threads, "engine"), threads)

    def run(pixels: Pixels) -> Pixels:
        if len(pixels) > 1:
            return shared(pixels)
        logits: Pixels = wide.run([told], {given: pixels})[0]
        return logits

    return run


def _torch(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A picture has one thread, with more it takes longer; those of a batch are shared out to all."""
    try:
        import torch
        from transformers import AutoModelForImageClassification

        model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        model.eval()
    except ImportError as error:
        raise CannotStart(
            f"{name} has no {ONNX}, so it needs torch, torchvision and transformers ({first_line(error)}): install "
            "them, or give a folder that push_to_hub.py made"
        ) from None
    except Exception as error:
        raise CannotStart(f"{name}: the weights cannot be loaded: {first_line(error)}") from None

    def share(pixels: Pixels) -> Pixels:
        with torch.inference_mode():
            logits: Pixels = model(pixel_values=torch.from_numpy(pixels)).logits.numpy()
        return logits

    pool = ThreadPoolExecutor(threads, "engine", initializer=torch.set_num_threads, initargs=(1,))
    return _shared_out(share, pool, threads)


def _shared_out(
    share: Callable[[Pixels], Pixels], pool: ThreadPoolExecutor, threads: int
) -> Callable[[Pixels], Pixels]:
    """The rows of a batch in as many shares as there are threads, at the same time."""

    def run(pixels: Pixels) -> Pixels:
        return np.concatenate(list(pool.map(share, np.array_split(pixels, min(threads, len(pixels))))))

    return run


def _warm(run: Callable[[Pixels], Pixels], size: tuple[int, int], classes: int, name: str) -> None:
    """Two batches, as the first takes longer; what they give is looked at."""
    for count in (1, 2):
        try:
            logits = run(np.zeros((count, 3, *size), np.float32))
        except Exception as error:
            raise CannotStart(f"{name}: the model does not run: {first_line(error)}") from None
        if logits.shape != (count, classes) or not np.isfinite(logits).all():
            raise CannotStart(f"{name}: the model gives {logits.shape}, or no numbers, for {count} x {classes} classes")


def _function(config: dict[str, Any]) -> str:
    """What `pipeline()` applies where it is not told."""
    kind, count = config.get("problem_type"), len(config["id2label"])
    if kind == "regression":
        return "none"
    return "sigmoid" if kind == "multi_label_classification" or count == 1 else "softmax"


def _align(folder: Path) -> bool:
    """Whether all crops of the run had level eyes, where it tells: then the app's have them too."""
    try:
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        entries = [recipe | entry for entry in recipe.get("sources") or [{}]]
    except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError):
        return False  # a model of somebody else, whose recipe.yaml is none or another kind of file
    cropped = [entry for entry in entries if entry.get("crop") == "detect"]
    return bool(cropped) and all(entry.get("face_align") for entry in cropped)
