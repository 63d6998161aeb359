"""Logits of a saved model, in float32: the forward pass behind every metric."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import datasets
import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoImageProcessor, AutoModelForImageClassification

from pipeline.model_folder import plain_folder
from pipeline.run_folder import CONFIG, read_json
from pipeline.task import answers
from pipeline.training.collator import EvalCollator
from pipeline.training.sampler import PictureRows
from pipeline.training.transforms import map_pictures, normalize


@dataclass(frozen=True)
class Classifier:
    """A saved model in float32, with the mean and standard deviation of its image processor."""

    model: Any
    mean: list[float]
    std: list[float]
    device: str

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """The model in `folder`; its JSON is cleaned and its weights are checked first."""
        with plain_folder(folder) as place:
            model = AutoModelForImageClassification.from_pretrained(place, dtype=torch.float32, trust_remote_code=False)
            processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
        return cls(model.to(device).eval(), processor.image_mean, processor.image_std, device)

    def logits(self, pixels: torch.Tensor) -> np.ndarray:
        """Logits `(B, K) float32` of resized pictures `(B, 3, S, S) uint8`."""
        return self.logits_of_values(normalize(pixels.float() / 255, self.mean, self.std))

    def logits_of_values(self, pixel_values: torch.Tensor) -> np.ndarray:
        """Logits `(B, K) float32` of the model's input `(B, 3, S, S) float32`."""
        with torch.inference_mode(), whole_floats():
            return np.asarray(self.model(pixel_values.to(self.device)).logits.cpu().numpy())


def predict(
    folder: Path, tables: dict[str, datasets.Dataset], batch_size: int, device: str, mirrored: bool = False
) -> dict[str, np.ndarray]:
    """Logits `(N, K) float32` of the model in `folder` for each mapped table, as any client computes them.

    `mirrored` mirrors every picture, left to right.
    """
    model = Classifier.load(folder, device)
    collate, logits = EvalCollator(model.mean, model.std), {}
    for split, table in tables.items():
        batches_of = torch.utils.data.DataLoader(PictureRows(table), batch_size, collate_fn=collate)
        loader = tqdm(batches_of, f"predict {split}{', mirrored' if mirrored else ''}", disable=None)
        pictures = (batch["pixel_values"].flip(-1) if mirrored else batch["pixel_values"] for batch in loader)
        logits[split] = np.concatenate([model.logits_of_values(values) for values in pictures])
    return logits


@contextmanager
def whole_floats() -> Iterator[None]:
    """Turn TF32 (19 bits) off. Some GPUs convolve in it by default, and other clients would disagree."""
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def answers_of_files(folder: Path, files: dict[str, list[Path]], size: int) -> dict[str, np.ndarray]:
    """Probabilities or scores `(N, K)` of pictures on disk, by kind, computed as those in predictions.parquet are."""
    features = datasets.Features(
        {"image": datasets.Image(), "key": datasets.Value("string"), "target": datasets.List(datasets.Value("float32"))}
    )
    paths = [path for kind in files.values() for path in kind]
    rows = {"image": [str(p) for p in paths], "key": [p.name for p in paths], "target": [[1.0]] * len(paths)}
    table = map_pictures(datasets.Dataset.from_dict(rows, features=features), size, "map files")
    config = read_json(folder / CONFIG)
    given = answers(predict(folder, {"files": table}, 16, "cpu")["files"], config)
    parts = np.split(given, np.cumsum([len(kind) for kind in files.values()])[:-1])
    return dict(zip(files, parts, strict=True))
