"""What an exported format is. Each format is a module with one `FORMAT`; `hub.export.export.FORMATS` lists them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hub.export.classifier import Classifier
from hub.export.onnx_files import Answer


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file of the run's weights: how it is written, how it answers, and what makes it fit to publish.

    Attributes:
        name: precision, as the card and `export.json` name it.
        file: name in the folder `onnx`; transformers.js finds `dtype: "fp32"` as `model.onnx`, `"fp16"` as
            `model_fp16.onnx`, `"q8"` as `model_quantized.onnx`
            (https://huggingface.co/docs/transformers.js/guides/dtypes).
        write: writes the file, checked.
        answers: gives the function that answers from the file.
        bound: largest difference of a probability that a correct file shows. A larger one is an error.
        loss: accuracy that it may lose on validation, in shares. If it loses more, it is left out.
        share: bytes that it may have, as a share of those of the first format. A larger file is left out.
    """

    name: str
    file: str
    write: Callable[[Classifier, Path], None]
    answers: Callable[[Path], Answer]
    bound: float = math.inf
    loss: float | None = None
    share: float = math.inf
