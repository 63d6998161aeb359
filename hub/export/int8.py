"""Weights of matrix products in int8, one scale per column; activations in uint8, scaled at run time.

Weights use 7 bits. Then no sum of two products exceeds int16, in which CPUs without VNNI add them up, and every machine
answers as the one that measured (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
Convolutions stay float32: onnxruntime has no kernel for int8 weights that are scaled at run time.
"""

from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from hub.export.classifier import Classifier
from hub.export.formats import Format
from hub.export.onnx_files import copy_of, open_file, save


def write(classifier: Classifier, path: Path) -> None:
    """The traced graph, quantised."""
    source = copy_of(classifier.graph)
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
    save(onnx.load(path), path, classifier.classes)


# Convolutions stay float32, so the file of a convolutional network is as large as before, and is left out.
FORMAT = Format(name="int8", file="model_quantized.onnx", write=write, answers=open_file, loss=0.005, share=0.9)
