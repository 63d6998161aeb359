"""Load the model from a run folder, a published folder or the Hub; run it by onnxruntime if it has ONNX, else by torch.

Both engines get the same pixels as training and `pipeline()`. Their probabilities differ by less than 1e-4.
"""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cores import cores
from pipeline.errors import InputError, first_line
from pipeline.hub_client import limit_requests, snapshot
from pipeline.model_folder import (
    ADAPTER_CONFIG,
    CONFIG,
    ONNX,
    PROCESSOR,
    PROCESSOR_5,
    read_object,
    refuse_adapter,
)
from pipeline.own_file import why_not_own

from .folder import class_names, example_files, read_align, read_sources, score_ranges
from .preprocessing import Pixels, Prepare, load_preprocessing
from .settings import HUB
from .weights import load_weights

DESCRIBED = [CONFIG, ADAPTER_CONFIG, PROCESSOR, PROCESSOR_5, "recipe.yaml", "curation.json", "examples/*.png"]
SAME = 1e-3  # within which two answers to the same batch agree: threads may add in another order
RUN_SECONDS = 60.0  # after which a batch is given up
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
        config: its config.json.
        ranges: for each score its lowest and highest value in train; None for a model of classes.
        align: whether it was trained on crops with level eyes.
        examples: PNG files of drawn faces, by expression.
        card: address of its card on the Hub; None for a folder of this machine.
        trained_on: titles of the sources of its pictures; empty if it does not say.
        drawn_only: whether this project drew all of them.
        prepare: picture `(H, W, 3) uint8` RGB to `(3, *size) float32`.
        run: `(B, 3, *size) float32` to logits `(B, K) float32`.
    """

    name: str
    engine: Literal["onnxruntime", "torch"]
    classes: tuple[str, ...]
    size: tuple[int, int]
    function: str
    config: dict[str, Any]
    ranges: dict[str, list[float]] | None
    align: bool
    examples: dict[str, bytes]
    card: str | None
    trained_on: tuple[str, ...]
    drawn_only: bool
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
    refuse_adapter(folder, name)
    config = read_object(folder, CONFIG)
    classes = class_names(config, name)
    prepare, size = load_preprocessing(folder, name)
    is_onnx = why_not_own(folder, ONNX) != "is missing"
    run = (_onnxruntime if is_onnx else _torch)(folder, threads or cores(), name)
    function = _function(config)
    _check(prepare, run, size, len(classes), function, name)
    is_local = Path(name).is_dir()
    shown, card = (Path(name).resolve().name, None) if is_local else (name, f"{HUB}/{name}")
    sources = read_sources(folder)
    engine: Literal["onnxruntime", "torch"] = "onnxruntime" if is_onnx else "torch"
    return Model(
        name=shown,
        engine=engine,
        classes=classes,
        size=size,
        function=function,
        config=config,
        ranges=score_ranges(config, classes) if function == "none" else None,
        align=read_align(folder),
        examples=example_files(folder),
        card=card,
        trained_on=tuple(sources),
        drawn_only=bool(sources) and all(origin == "drawn" for origin in sources.values()),
        prepare=prepare,
        run=run,
    )


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
    limit_requests()
    try:
        folder = snapshot(name, revision=revision or None, allow_patterns=[*DESCRIBED, "onnx/model.onnx*"])
        if why_not_own(folder, ONNX) == "is missing":
            folder = snapshot(name, revision=revision or None, allow_patterns=[*DESCRIBED, *WEIGHTS])
    except Exception as error:  # the client raises many kinds: no network, no such repository, no right to read
        at = f" at {revision}" if revision else ""
        raise InputError(
            f"{name}{at} is not a folder here and could not be loaded from the Hub ({first_line(error)})"
        ) from None
    return folder


def _onnxruntime(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A single picture runs on all threads; a batch is divided among them, because then no thread waits for another."""
    if why := why_not_own(folder, ONNX):
        raise InputError(f"{name}: {ONNX} {why}")
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

    def ask(session: Any, pixels: Pixels) -> Pixels:
        options = onnxruntime.RunOptions()
        end = threading.Timer(RUN_SECONDS, setattr, (options, "terminate", True))  # a graph may hold an endless loop
        end.start()
        try:
            logits: Pixels = session.run([output], {given: pixels}, options)[0]
        finally:
            end.cancel()
        return logits

    shared = _shared_out(lambda pixels: ask(narrow, pixels), ThreadPoolExecutor(threads, "engine"), threads)
    return lambda pixels: shared(pixels) if len(pixels) > 1 else ask(wide, pixels)


def _torch(folder: Path, threads: int, name: str) -> Callable[[Pixels], Pixels]:
    """A picture runs on one thread (more threads make it slower); a batch is divided among all threads."""
    model = load_weights(folder, name)
    import torch  # only now: `load_weights` says in one line if it is not installed

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


def _check(
    prepare: Prepare, run: Callable[[Pixels], Pixels], size: tuple[int, int], classes: int, function: str, name: str
) -> None:
    """Send a batch of one picture and a batch of two through the whole chain: the first batches take longer.

    Raises:
        InputError: a step fails, gives other than finite scores of the right shape, other scores for the same picture,
            or the same scores for every picture.
    """
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    answers = []
    for pictures in ([noise], [np.zeros_like(noise), np.full_like(noise, 255)]):
        try:
            pixels = np.stack([prepare(picture) for picture in pictures])
            logits, again = run(pixels), run(pixels)
        except Exception as error:
            raise InputError(f"{name}: the model does not run: {first_line(error)}") from None
        if logits.shape != (len(pictures), classes):
            raise InputError(f"{name}: for {len(pictures)} x {classes} classes the model returns {logits.shape}")
        answers += list(logits)
        finite = all(np.isfinite(values).all() for values in (pixels, logits))
        if not finite or not np.isfinite(to_scores(logits, function)).all():
            raise InputError(f"{name}: a picture gets scores that are not finite numbers: its weights are damaged")
        if not np.allclose(logits, again, rtol=SAME, atol=SAME):
            raise InputError(f"{name}: the model answers the same picture in two ways: it is random, export it again")
    if np.array_equal(pixels[0], pixels[1]):
        raise InputError(f"{name}: black and white pictures look the same to this model: mend {PROCESSOR}")
    if all(np.array_equal(answers[0], answer) for answer in answers):
        raise InputError(
            f"{name}: the model answers noise, black and white with the same scores: it does not look at pictures"
        )


def _function(config: dict[str, Any]) -> str:
    """What `pipeline()` applies by default."""
    kind, count = config.get("problem_type"), len(config["id2label"])
    if kind == "regression":
        return "none"
    return "sigmoid" if kind == "multi_label_classification" or count == 1 else "softmax"
