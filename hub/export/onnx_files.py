"""A classifier as ONNX: a file in float32, one in float16, one in int8, without a trace of the machine in them.

transformers.js finds them by name: `dtype: "fp32"` is `onnx/model.onnx`, `"fp16"` is `model_fp16.onnx`, `"int8"` is
`model_int8.onnx` (https://huggingface.co/docs/transformers.js/guides/dtypes).
"""

from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

FILES = {"fp32": "model.onnx", "fp16": "model_fp16.onnx", "int8": "model_int8.onnx"}
INPUT, OUTPUT = "pixel_values", "logits"
OPSET = 18  # what torch's exporter writes without converting; onnxruntime-web reads it on every backend


class Logits(torch.nn.Module):
    """A classifier that gives its logits (B, K) alone."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixel_values).logits


def write_files(model: torch.nn.Module, shape: tuple[int, ...], folder: Path) -> None:
    """fp32, fp16 and int8 into `folder`, each checked; `shape` (B, 3, H, W) is that of the run's pictures."""
    program = torch.onnx.export(
        Logits(model).eval(),
        (torch.zeros(2, *shape[1:]),),  # a batch of one would be taken for a constant
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    _strip(proto)  # before what is made of it
    half = OnnxModel(convert_float_to_float16(proto, keep_io_types=True))
    half.topological_sort()  # the converter puts the casts of inputs last, which the standard forbids
    _save(proto, folder / FILES["fp32"])
    _save(half.model, folder / FILES["fp16"])
    _save(_quantized(proto, folder / FILES["int8"]), folder / FILES["int8"])


def _quantized(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Matrix products with weights in int8, one scale a column, and activations in uint8, scaled at run time.

    Weights have 7 bits: then no sum of two products exceeds int16, which CPUs without VNNI sum in, and every machine
    answers as the one that measured (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
    Convolutions stay float32: onnxruntime has no kernel for int8 weights scaled at run time.
    """
    source = onnx.ModelProto()
    source.CopyFrom(proto)
    # torch's exporter has folded constants and inferred shapes already; without the mark a warning asks for it.
    source.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    quantize_dynamic(
        source,
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(path)


def _save(proto: onnx.ModelProto, path: Path) -> None:
    """One file without traces of the machine, as the standard wants it."""
    _strip(proto)
    proto.producer_name, proto.producer_version = "torch.onnx", torch.__version__.partition("+")[0]
    onnx.save(proto, path)
    onnx.checker.check_model(path, full_check=True)


def _strip(message: Any) -> None:
    """Take metadata and doc strings out of a protobuf message and all within it: they hold source paths and traces."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                _strip(part)
