"""ONNX files of a classifier: the graph that torch traces, clean files, and how a file answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxscript.optimizer import remove_unused_nodes
from PIL import Image

from pipeline.errors import InputError, first_line

INPUT, OUTPUT = "pixel_values", "logits"
OPSET = 18  # what torch's exporter writes without converting; onnxruntime-web reads it on every backend

CLASSES = "classes"
"""Key of a file's metadata: the class names in the order of the outputs, as a JSON list."""


@dataclass(frozen=True)
class Batch:
    """B pictures in RGB, of any sizes, and their `pixel_values` (B, 3, H, W)."""

    pictures: Sequence[Image.Image]
    pixels: NDArray[np.float32]


Answer = Callable[[Batch], NDArray[np.float32]]
"""From a batch to logits (B, K)."""


class Logits(torch.nn.Module):
    """A classifier that returns only its logits (B, K)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixel_values).logits


def graph_of(model: torch.nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The graph of a model that takes pictures of `shape` (3, H, W), for any batch size, in float32.

    Raises:
        InputError: torch cannot export this kind of model.
    """
    try:
        program = torch.onnx.export(
            Logits(model).eval(),
            (torch.zeros(2, *shape),),  # a batch of one would be taken for a constant
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:  # not every model of transformers can be traced
        kind = type(model).__name__
        raise InputError(f"torch {torch.__version__} cannot write a {kind} as ONNX: {first_line(error)}") from None
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    strip(program.model_proto)
    return program.model_proto


def copy_of(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that a format may change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


def save(graph: onnx.ModelProto, path: Path, classes: Sequence[str]) -> None:
    """Write one valid file with the class names, without unused nodes and without traces of the machine."""
    remove_unused_nodes(graph)  # in place
    strip(graph)
    graph.metadata_props.add(key=CLASSES, value=json.dumps(list(classes), ensure_ascii=False))
    graph.producer_name, graph.producer_version = "torch.onnx", torch.__version__.partition("+")[0]
    onnx.save(graph, path)
    onnx.checker.check_model(path, full_check=True)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """The file in onnxruntime on the CPU, with as many threads as torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def open_file(path: Path) -> Answer:
    """How a file answers that takes `pixel_values` and gives `logits`."""
    session = session_of(path)

    def answer(batch: Batch) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run([OUTPUT], {INPUT: batch.pixels})[0]
        return logits

    return answer


def described(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """Name, shape and type of an input or output."""
    shape = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    return {"name": value.name, "shape": shape, "dtype": dtype}


def strip(message: Any) -> None:
    """Remove metadata and doc strings from a protobuf message and all within it: they hold source paths and traces."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                strip(part)
