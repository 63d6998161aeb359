"""Logits of a saved model, in float32: the forward pass behind every metric."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from pipeline.training.transforms import map_pictures


def predict(
    folder: Path, tables: dict[str, datasets.Dataset], batch_size: int, device: str, mirrored: bool = False
) -> dict[str, np.ndarray]:
    """Logits `(N, K) float32` of the model in `folder` for each mapped table, as any client computes them.

    `mirrored` mirrors every picture, left to right.
    """
    with plain_folder(folder) as place:
        model = AutoModelForImageClassification.from_pretrained(place, dtype=torch.float32, trust_remote_code=False)
        processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
    model = model.to(device).eval()
    collate, logits = EvalCollator(processor.image_mean, processor.image_std), {}
    for split, table in tables.items():
        batches_of = torch.utils.data.DataLoader(PictureRows(table), batch_size, collate_fn=collate)
        loader = tqdm(batches_of, f"predict {split}{', mirrored' if mirrored else ''}", disable=None)
        pictures = (batch["pixel_values"].flip(-1) if mirrored else batch["pixel_values"] for batch in loader)
        with torch.inference_mode(), _whole_floats():
            batches = [model(pixels.to(device)).logits.cpu() for pixels in pictures]
        logits[split] = torch.cat(batches).numpy()
    return logits


@contextmanager
def _whole_floats() -> Iterator[None]:
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
