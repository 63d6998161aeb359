"""The model with its preprocessing inside: a picture of any size as uint8 in, the probability of each class out.

A program in any language then needs a decoder and onnxruntime, and no resize of its own. The file resizes as the image
processor does, antialiased and in uint8. The two round the weights of the filter differently, so a few of a thousand
values differ by one level of 255.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, numpy_helper, parser

from hub.export.classifier import Classifier
from hub.export.formats import Format
from hub.export.onnx_files import INPUT, OUTPUT, Answer, Batch, copy_of, save, session_of
from pipeline.errors import InputError
from pipeline.task import is_scored

PICTURE, PROBABILITIES = "image", "probabilities"
MODES = {2: "linear", 3: "cubic"}
"""Pillow's number of a filter -> the mode of ONNX's Resize."""
BEFORE = """
before (uint8[height, width, 3] image) => (float[1, 3, {height}, {width}] pixels)
<int64[1] first = {{0}}, int64[4] sizes = {{1, 3, {height}, {width}}}> {{
    channels = Transpose <perm = [2, 0, 1]> (image)
    picture = Unsqueeze (channels, first)
    resized = Resize <
        mode = "{mode}", antialias = 1, cubic_coeff_a = -0.5, exclude_outside = 1,
        coordinate_transformation_mode = "half_pixel"
    > (picture, , , sizes)
    levels = Cast <to = 1> (resized)
    centred = Sub (levels, mean)
    pixels = Mul (centred, scale)
}}"""
AFTER = """
after (float[1, {classes}] scores) => (float[{classes}] probabilities) <int64[1] first = {{0}}> {{
    softened = Softmax <axis = 1> (scores)
    probabilities = Squeeze (softened, first)
}}"""
AFTER_SCORES = """
after (float[1, {classes}] scores) => (float[{classes}] answers) <int64[1] first = {{0}}> {{
    answers = Squeeze (scores, first)
}}"""


def write(classifier: Classifier, path: Path) -> None:
    """Preprocessing, the traced graph and softmax, as one graph; without softmax for scores.

    Raises:
        InputError: the image processor does something that the file does not.
    """
    template = AFTER_SCORES if is_scored(classifier.config) else AFTER
    before, after = _before(classifier.processor), template.format(classes=len(classifier.classes))
    # Prefixes, because torch names values after operations: a CNN's graph has a `mean` of its own.
    model = compose.add_prefix(copy_of(classifier.graph), "model_")
    merged = compose.merge_models(_as_model(before, model), model, [("pixels", f"model_{INPUT}")])
    tail = compose.add_prefix(_as_model(parser.parse_graph(after), model), "after_", rename_outputs=False)
    save(compose.merge_models(merged, tail, [(f"model_{OUTPUT}", "after_scores")]), path, classifier.classes)


def _before(processor: Any) -> onnx.GraphProto:
    """From a picture to `pixel_values`, as the image processor does it."""
    settings = processor.to_dict()
    size, mode = settings["size"], MODES.get(int(settings["resample"]))
    steps = [settings.get(name) for name in ("do_resize", "do_rescale", "do_normalize")]
    if mode is None or not all(steps) or settings.get("do_center_crop") or not {"height", "width"} <= size.keys():
        can = "resize (bilinear or bicubic) to a height and width, rescale and normalise, and nothing else"
        raise InputError(f"preprocessor_config.json: the ONNX file can {can}; train again to write such a processor")
    graph = parser.parse_graph(BEFORE.format(height=size["height"], width=size["width"], mode=mode))
    mean, std = (np.array(settings[name], dtype=np.float64)[:, None, None] for name in ("image_mean", "image_std"))
    values = {"mean": mean / settings["rescale_factor"], "scale": settings["rescale_factor"] / std}
    graph.initializer.extend(numpy_helper.from_array(of.astype(np.float32), name) for name, of in values.items())
    return graph


def _as_model(graph: onnx.GraphProto, like: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)


def open_preprocessed(path: Path) -> Answer:
    """How the file answers; the logarithm of its probabilities stands for the logits. Scores are the logits."""
    session = session_of(path)
    (output,) = [each.name for each in session.get_outputs()]

    def answer(batch: Batch) -> NDArray[np.float32]:
        given = [session.run([output], {PICTURE: np.asarray(picture)})[0] for picture in batch.pictures]
        if output != PROBABILITIES:
            return np.stack(given)
        with np.errstate(divide="ignore"):
            logits: NDArray[np.float32] = np.log(given)
        return logits

    return answer


# A level of 255 in a few of a thousand values: the quickstart differed by 1e-3.
FORMAT = Format(
    name="fp32 with preprocessing", file="model_with_preprocessing.onnx", write=write, answers=open_preprocessed,
    bound=0.02,
)  # fmt: skip
