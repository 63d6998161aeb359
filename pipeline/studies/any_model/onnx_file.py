"""A classifier in an ONNX file, and the yaml file beside it that says what goes in and what comes out.

    input_size: [48, 48]        # height, width in px
    layout: NCHW                # or NHWC
    channels: RGB               # or BGR, or gray
    scale: 0.00392156862745098  # a pixel of 0 to 255 times scale, less mean, by std
    mean: [0.5, 0.5, 0.5]       # of each channel, or one number for all
    std: [0.5, 0.5, 0.5]
    interpolation: bilinear     # or bicubic, nearest
    classes: [neutral, happiness, surprise, sadness, anger, disgust, fear, contempt]
    outputs: logits             # or probabilities

The whole picture is resized. A file that needs other files, or operators that onnxruntime does not have, is refused.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import onnx
import onnxruntime
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.cores import cores
from pipeline.errors import InputError, first_line
from pipeline.run_folder import sha256
from pipeline.settings.kinds import Number, Text, Whole
from pipeline.settings.schema import one_line
from pipeline.settings.yaml_text import Ambiguous, read_strictly
from pipeline.studies.any_model.classifier import Answer, Classifier

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # of operators that come with onnxruntime
CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
BATCH_SECONDS, SECONDS = 30.0, 10.0  # for a batch and for each of its pictures; a graph may hold a loop without end
Side = Annotated[Whole, Field(ge=1, le=4096)]


class Described(BaseModel):
    """The yaml file: every field that decides what the model sees is written out, and none is guessed."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    input_size: list[Side]
    layout: Literal["NCHW", "NHWC"]
    channels: Literal["RGB", "BGR", "gray"]
    scale: Number
    mean: list[Number] | Number
    std: list[Number] | Number
    interpolation: Literal["bilinear", "bicubic", "nearest"]
    classes: list[Text]
    outputs: Literal["logits", "probabilities"]

    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture in the model's layout."""
        height, width = self.input_size
        count = CHANNELS[self.channels]
        return (count, height, width) if self.layout == "NCHW" else (height, width, count)

    def line(self) -> str:
        """What it does to a picture."""
        height, width = self.input_size
        return (
            f"whole picture to {height} x {width} px ({self.interpolation}), {self.channels}, {self.layout}, "
            f"(pixel * {self.scale:g} - {self.mean}) / {self.std}"
        )


def open_onnx(path: Path) -> Classifier:
    """The classifier in `path`, described by the file of the same name that ends in .yaml.

    Raises:
        InputError: a file is missing or damaged, the yaml lacks a field or does not fit the graph, or the graph has
            other than one input and one output, keeps weights in other files, or needs operators of its own.
    """
    if not path.is_file():
        raise InputError(f"model {path}: no such file")
    described = read_description(path.with_suffix(".yaml"), path)
    session = _session(path)
    name = _check_ends(session, path, described)
    return Classifier(
        name=str(path),
        kind="onnx",
        outputs=described.classes,
        scores_are=described.outputs,
        preprocessing=described.line(),
        answer=_answer(session, name, described, path),
        record={"weights_sha256": sha256(path)},
    )


def read_description(file: Path, model: Path) -> Described:
    """Read and check the yaml file.

    Raises:
        InputError: it is missing, no mapping, lacks a field, or has one of another kind.
    """
    if not file.is_file():
        fields = ", ".join(Described.model_fields)
        raise InputError(f"model {model} needs {file.name} beside it, with {fields} (docs/evaluation.md shows one)")
    try:
        content = read_strictly(file.read_text(encoding="utf-8"))
    except Ambiguous as error:
        raise InputError(f"{file}, {error}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} is not a mapping: write one `name: value` a line")
    kinds: dict[str, Any] = {name: field.annotation for name, field in Described.model_fields.items()}
    if lacking := [name for name in kinds if name not in content]:
        raise InputError(f"{file} lacks {', '.join(lacking)}: write them; none is guessed")
    try:
        described = Described(**content)
    except ValidationError as error:
        raise InputError(f"{file}: {one_line(error, kinds)}") from None
    _check_numbers(described, file)
    return described


def _check_numbers(described: Described, file: Path) -> None:
    if len(described.input_size) != 2:
        raise InputError(f"{file}: input_size is {described.input_size}; it must be [HEIGHT, WIDTH] in px")
    count = CHANNELS[described.channels]
    for name in ("mean", "std"):
        value = getattr(described, name)
        if isinstance(value, list) and len(value) != count:
            raise InputError(f"{file}: {name} has {len(value)} numbers for {count} channels ({described.channels})")
    if not described.scale or not np.all(np.asarray(described.std) > 0):
        raise InputError(f"{file}: scale must not be 0, and std must be above 0")
    if len(set(described.classes)) < len(described.classes):
        raise InputError(f"{file}: classes names one twice")


def _session(path: Path) -> onnxruntime.InferenceSession:
    """The file in onnxruntime on the CPU, after a look at what it would need."""
    try:
        graph = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own kinds
        raise InputError(f"model {path} cannot be read as ONNX: {first_line(error)}") from None
    if outside := next((t.name for t in _messages(graph, "TensorProto") if t.data_location == t.EXTERNAL), None):
        raise InputError(f"model {path} keeps weights in other files (first {outside}): save it as one file")
    own = {node.domain for node in _messages(graph, "NodeProto")} - set(DOMAINS)
    if own - {function.domain for function in graph.functions}:
        raise InputError(f"model {path} needs operators of its own ({', '.join(sorted(own))}), which are never loaded")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"model {path} does not load in onnxruntime: {first_line(error)}") from None


def _messages(message: Any, kind: str) -> Iterator[Any]:
    """Every protobuf message of a kind in `message`, subgraphs included."""
    if message.DESCRIPTOR.name == kind:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _messages(part, kind)


def _check_ends(session: onnxruntime.InferenceSession, path: Path, described: Described) -> str:
    """The name of the one input; its shape, and that of the one output, must be those of the yaml file."""
    for what, ends in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        if len(ends) != 1:
            names = ", ".join(end.name for end in ends)
            raise InputError(f"model {path} has {len(ends)} {what} ({names}): it must have one of each")
    taken, given = session.get_inputs()[0], session.get_outputs()[0]
    if taken.type != "tensor(float)":
        raise InputError(f"model {path} takes {taken.type}; only pictures in float32 are given to it")
    expected = described.shape()
    sides = taken.shape[1:]
    if len(sides) != 3 or any(isinstance(a, int) and a != b for a, b in zip(sides, expected, strict=True)):
        raise InputError(
            f"model {path} takes {taken.shape}, and its yaml says {['batch', *expected]}: correct input_size, layout "
            "or channels"
        )
    known = [side for side in given.shape[1:] if isinstance(side, int)]
    if len(known) == len(given.shape) - 1 and int(np.prod(known)) != len(described.classes):
        raise InputError(f"model {path} gives {given.shape}, and its yaml names {len(described.classes)} classes")
    return str(taken.name)


def _answer(session: onnxruntime.InferenceSession, name: str, described: Described, path: Path) -> Answer:
    batch = session.get_inputs()[0].shape[0]
    step = batch if isinstance(batch, int) and batch > 0 else None

    def answer(pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        pixels = np.stack([prepared(picture, described) for picture in pictures])
        parts = [pixels] if step is None else [pixels[at : at + step] for at in range(0, len(pixels), step)]
        try:
            found = [_run(session, name, part, step) for part in parts]
        except Exception as error:  # onnxruntime's own kinds
            raise InputError(f"model {path} does not take pictures as its yaml says: {first_line(error)}") from None
        return np.concatenate(found)

    return answer


def _run(
    session: onnxruntime.InferenceSession, name: str, pixels: NDArray[np.float32], step: int | None
) -> NDArray[np.float32]:
    """Scores (B, C); a graph for exactly `step` pictures gets a last batch that is filled up."""
    rows = len(pixels)
    if step is not None and rows < step:
        pixels = np.concatenate([pixels, np.zeros((step - rows, *pixels.shape[1:]), np.float32)])
    options = onnxruntime.RunOptions()
    end = threading.Timer(BATCH_SECONDS + SECONDS * len(pixels), setattr, (options, "terminate", True))
    end.daemon = True
    end.start()
    try:
        scores: NDArray[np.float32] = session.run(None, {name: pixels}, options)[0]
    finally:
        end.cancel()
    return scores.reshape(len(pixels), -1)[:rows]


def prepared(picture: Image.Image, described: Described) -> NDArray[np.float32]:
    """An upright RGB picture as the model takes it, float32 in its layout."""
    height, width = described.input_size
    resample = Image.Resampling[described.interpolation.upper()]
    shown = picture.convert("L") if described.channels == "gray" else picture
    values = np.asarray(shown.resize((width, height), resample), dtype=np.float32).reshape(height, width, -1)
    if described.channels == "BGR":
        values = values[..., ::-1]
    mean, std = (np.asarray(value, dtype=np.float32) for value in (described.mean, described.std))
    scaled = (values * np.float32(described.scale) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1) if described.layout == "NCHW" else scaled, dtype=np.float32)
