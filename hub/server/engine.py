"""Load the model from a run folder, a published folder or the Hub; run it by onnxruntime if it has ONNX, else by torch.

Both engines get the same pixels as training and `pipeline()`. Their probabilities differ by less than 1e-4.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from huggingface_hub import snapshot_download
from numpy.typing import NDArray

from pipeline.cores import cores
from pipeline.errors import InputError, first_line

from .preprocessing import PROCESSOR, Pixels, Prepare, load_preprocessing, read_json

ONNX = Path("onnx", "model.onnx")
DESCRIBED = ["config.json", PROCESSOR, "recipe.yaml", "examples/*.png"]
WEIGHTS = ["*.safetensors", "*.safetensors.index.json"]  # never a pickle


@dataclass(frozen=True)
class Model:
    """A loaded and warmed-up model; `prepare` and `run` may be called from any thread.

    Attributes:
        name: to show; never a full path of this machine.
        engine: `onnxruntime` or `torch`.
        classes: the K class names, in the order of the logits.
        size: (height, width) of its input, in px.
        function: what turns its logits into scores: `softmax`, `sigmoid` or `none`.
        align: whether it was trained on crops with level eyes.
        examples: PNG files of drawn faces, by expression.
        prepare: picture `(H, W, 3) uint8` RGB to `(3, *size) float32`.
        run: `(B, 3, *size) float32` to logits `(B, K) float32`.
    """

    name: str
    engine: Literal["onnxruntime", "torch"]
    classes: tuple[str, ...]
    size: tuple[int, int]
    function: str
    align: bool
    examples: dict[str, bytes]
    prepare: Prepare
    run: Callable[[Pixels], Pixels]


def load_model(name: str, revision: str = "", threads: int = 0) -> Model:
    """Load a model and warm it up.

    Args:
        name: a folder, or an id on the Hub.
        revision: branch, tag or commit of an id.
        threads: number of threads of the engine; 0 for one per core.

    Raises:
        InputError: there is no such model, or it cannot be used.
    """
    if not name:
        raise InputError("no model: set FER_MODEL to a run folder, a published folder, or an id on the Hub")
    folder = _folder(name, revision)
    config = read_json(folder / "config.json")
    try:
        classes = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
    except (KeyError, TypeError):
        raise InputError(f"{name}: config.json names no classes, so this is not an image classifier") from None
    prepare, size = load_preprocessing(folder, name)
    is_onnx = (folder / ONNX).is_file()
    run = (_onnxruntime if is_onnx else _torch)(folder, threads or cores(), name)
    _warm(run, size, len(classes), name)
    shown = name if not Path(name).is_dir() else Path(name).resolve().name
    engine: Literal["onnxruntime", "torch"] = "onnxruntime" if is_onnx else "torch"
    examples = {file.stem: file.read_bytes() for file in sorted(folder.glob("examples/*.png"))}
    return Model(shown, engine, classes, size, _function(config), _align(folder), examples, prepare, run)


def to_scores(logits: Pixels, function: str) -> NDArray[np.float64]:
    """Scores of logits `(..., K)` by `function`: softmax, sigmoid or none."""
    values = logits.astype(np.float64)
    if function == "softmax":
        values = np.exp(values - values.max(-1, keepdims=True))
        values /= values.sum(-1, keepdims=True)
    elif function == "sigmoid":
        values = 0.5 * (1 + np.tanh(values / 2))
    return values


def ranked(classes: Sequence[str], scores: NDArray[np.float64], top_k: int | None = None) -> list[dict[str, Any]]:
    """`[{"label", "score"}]` of scores `(K,)`, best first, as `pipeline()` returns them."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [{"label": classes[i], "score": float(scores[i])} for i in order]


def _folder(name: str, revision: str) -> Path:
    if Path(name).is_dir():
        if revision:
            raise InputError(f"{name} is a folder, and folders have no revision: leave out {revision}")
        return Path(name)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise InputError(f"{name} is not a folder, and not an id on the Hub")
    try:
        folder = Path(
            snapshot_download(name, revision=revision or None, allow_patterns=[*DESCRIBED, "onnx/model.onnx*"])
        )
        if not (folder / ONNX).is_file():
            folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=[*DESCRIBED, *WEIGHTS]))
    except Exception as error:  # the client raises many kinds: no network, no such repository, no right to read
        at = f" at {revision}" if revision else ""
        raise InputError(
            f"{name}{at} is not a folder here and could not be loaded from the Hub ({first_line(error)})"
        ) from None
    return folder


def _onnxruntime(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A single picture runs on all threads; a batch is divided among them, because then no thread waits for another."""
    try:
        import onnxruntime  # sends no telemetry: hub/__init__.py switches it off

        def session(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores decode meanwhile
            return onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])

        wide, narrow = session(threads), session(1)
        given, output = wide.get_inputs()[0].name, wide.get_outputs()[0].name
    except Exception as error:
        raise InputError(f"{name}: {ONNX} cannot be loaded: {first_line(error)}") from None

    def share(pixels: Pixels) -> Pixels:
        logits: Pixels = narrow.run([output], {given: pixels})[0]
        return logits

    shared = _shared_out(share, ThreadPoolExecutor(threads, "engine"), threads)

    def run(pixels: Pixels) -> Pixels:
        if len(pixels) > 1:
            return shared(pixels)
        logits: Pixels = wide.run([output], {given: pixels})[0]
        return logits

    return run


def _torch(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A picture runs on one thread (more threads make it slower); a batch is divided among all threads."""
    try:
        import torch
        from transformers import AutoModelForImageClassification

        model = AutoModelForImageClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        model.eval()
    except ImportError as error:
        raise InputError(
            f"{name} has no {ONNX}, so it needs torch, torchvision and transformers ({first_line(error)}): install "
            "them, or name a folder that push_to_hub.py made"
        ) from None
    except Exception as error:
        raise InputError(f"{name}: the weights cannot be loaded: {first_line(error)}") from None

    def share(pixels: Pixels) -> Pixels:
        with torch.inference_mode():
            logits: Pixels = model(pixel_values=torch.from_numpy(pixels)).logits.numpy()
        return logits

    pool = ThreadPoolExecutor(threads, "engine", initializer=torch.set_num_threads, initargs=(1,))
    return _shared_out(share, pool, threads)


def _shared_out(
    share: Callable[[Pixels], Pixels], pool: ThreadPoolExecutor, threads: int
) -> Callable[[Pixels], Pixels]:
    """Divide a batch among the threads and run the parts at the same time."""

    def run(pixels: Pixels) -> Pixels:
        return np.concatenate(list(pool.map(share, np.array_split(pixels, min(threads, len(pixels))))))

    return run


def _warm(run: Callable[[Pixels], Pixels], size: tuple[int, int], classes: int, name: str) -> None:
    """Run two batches, because the first takes longer, and check what they return."""
    for count in (1, 2):
        try:
            logits = run(np.zeros((count, 3, *size), np.float32))
        except Exception as error:
            raise InputError(f"{name}: the model does not run: {first_line(error)}") from None
        if logits.shape != (count, classes) or not np.isfinite(logits).all():
            raise InputError(
                f"{name}: for {count} x {classes} classes the model returns {logits.shape}, or not finite numbers"
            )


def _function(config: dict[str, Any]) -> str:
    """What `pipeline()` applies by default."""
    kind, count = config.get("problem_type"), len(config["id2label"])
    if kind == "regression":
        return "none"
    return "sigmoid" if kind == "multi_label_classification" or count == 1 else "softmax"


def _align(folder: Path) -> bool:
    """Whether the run was trained only on crops with level eyes; then the app aligns its crops too."""
    try:
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        entries = [recipe | entry for entry in recipe.get("sources") or [{}]]
    except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError):
        return False  # not a run of this project: no recipe.yaml, or another kind of file
    cropped = [entry for entry in entries if entry.get("crop") == "detect"]
    return bool(cropped) and all(entry.get("face_align") for entry in cropped)
