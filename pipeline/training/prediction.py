"""Logits of the saved folder, in float32, for every evaluated picture: the only input of every figure."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm
from transformers import AutoImageProcessor, AutoModelForImageClassification

from pipeline.training.collator import EvalCollator
from pipeline.training.sampler import PictureRows
from pipeline.training.transforms import map_pictures


def predict(folder: Path, tables: dict[str, datasets.Dataset], batch_size: int, device: str) -> dict[str, np.ndarray]:
    """`(N, K) float32` logits of the model in `folder` for the mapped table of each split, as any client has them."""
    model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    collate, logits = EvalCollator(processor.image_mean, processor.image_std), {}
    for split, table in tables.items():
        loader = tqdm(
            torch.utils.data.DataLoader(PictureRows(table), batch_size, collate_fn=collate), f"predict {split}"
        )
        with torch.inference_mode(), _whole_floats():
            batches = [model(batch["pixel_values"].to(device)).logits.cpu() for batch in loader]
        logits[split] = torch.cat(batches).numpy()
    return logits


@contextmanager
def _whole_floats() -> Iterator[None]:
    """Some GPUs convolve in 19 bits (TF32) by default, and multiply so if they are told to: no client would agree."""
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def probabilities_of_files(folder: Path, files: dict[str, list[Path]], size: int) -> dict[str, np.ndarray]:
    """`(N, K)` probabilities of pictures on disk, by kind, by the very path that predictions.parquet was made on."""
    features = datasets.Features(
        {"image": datasets.Image(), "key": datasets.Value("string"), "target": datasets.List(datasets.Value("float32"))}
    )
    paths = [path for kind in files.values() for path in kind]
    rows = {"image": [str(p) for p in paths], "key": [p.name for p in paths], "target": [[1.0]] * len(paths)}
    table = map_pictures(datasets.Dataset.from_dict(rows, features=features), size, "map files")
    logits = torch.from_numpy(predict(folder, {"files": table}, 16, "cpu")["files"])
    parts = logits.softmax(-1).split([len(kind) for kind in files.values()])
    return {name: part.numpy() for name, part in zip(files, parts, strict=True)}


def write_predictions(
    path: Path, tables: dict[str, datasets.Dataset], logits: dict[str, np.ndarray], about: dict[str, Any]
) -> None:
    """`predictions.parquet`: a row a picture with split, source, key, label, target, logits, clean, clean_near.

    `about` (classes, label rule, seed, resamples, recipe) is kept in the file's own metadata under `fer`.
    """
    parts = [_rows(split, table, logits[split]) for split, table in tables.items()]
    table = pa.concat_tables(parts).replace_schema_metadata({"fer": json.dumps(about)})
    pq.write_table(table, path)


def _rows(split: str, table: datasets.Dataset, logits: np.ndarray) -> pa.Table:
    rows = len(table)
    return pa.table(
        {
            "split": pa.array([split] * rows),
            "source": pa.array(table["source"][:], pa.string()),
            "key": pa.array(table["key"][:], pa.string()),
            "label": pa.array(table["label"][:], pa.int32()),
            "target": pa.array(table["target"][:], pa.list_(pa.float32())),
            "logits": pa.array(list(logits), pa.list_(pa.float32())),
            "clean": pa.array(table["clean"][:], pa.bool_()),
            "clean_near": pa.array(table["clean_near"][:], pa.bool_()),
        }
    )
