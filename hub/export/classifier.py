"""What every exported format starts from: the run's model, and its graph as ONNX."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel

from hub.export.onnx_files import INPUT, Logits, graph_of
from pipeline.model_folder import plain_folder


@dataclass
class Classifier:
    """A model in float32, which gives `.logits` (B, K) for `pixel_values` (B, 3, H, W), and its image processor."""

    model: PreTrainedModel
    processor: Any

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The model as ONNX in float32, traced once; formats work on copies."""
        return graph_of(self.model, self.pixels([Image.new("RGB", (8, 8))]).shape[1:])

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or of the scores, in the order of the logits."""
        names: Any = self.model.config.id2label
        return [names[index] for index in sorted(names)]

    @property
    def config(self) -> dict[str, Any]:
        """What config.json says that decides about answers: names, task, and ranges of scores."""
        of_model = self.model.config
        names = {str(index): name for index, name in (of_model.id2label or {}).items()}
        ranges = getattr(of_model, "score_ranges", None)
        return {"id2label": names, "problem_type": of_model.problem_type, "score_ranges": ranges}

    def pixels(self, images: Iterable[Image.Image]) -> NDArray[np.float32]:
        """`pixel_values` (B, 3, H, W), as any client of the run computes them."""
        pixels: NDArray[np.float32] = self.processor([i.convert("RGB") for i in images], return_tensors="np")[INPUT]
        return pixels

    def logits(self, images: Iterable[Image.Image]) -> NDArray[np.float32]:
        """Logits (B, K) in torch."""
        with torch.inference_mode():
            found: NDArray[np.float32] = Logits(self.model)(torch.from_numpy(self.pixels(images))).numpy()
        return found


def load_classifier(path: Path) -> Classifier:
    """The classifier in a run folder. Eager attention makes a smaller graph than sdpa's, and Swin's sdpa makes none."""
    with plain_folder(path) as place:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        attention = {} if config.model_type == "timm_wrapper" else {"attn_implementation": "eager"}
        model = AutoModelForImageClassification.from_pretrained(
            place, dtype=torch.float32, trust_remote_code=False, **attention
        ).eval()
        return Classifier(model, AutoImageProcessor.from_pretrained(place, trust_remote_code=False))
