"""Drawn faces with labels, a benchmark of the same rows without pictures, and the command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Value

from pipeline.data.table import features
from pipeline.drawn.face import draw_face
from pipeline.evaluation.__main__ import main
from pipeline.expressions import CLASSES
from pipeline.source import Source

ROWS = 42
Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv file of 42 drawn faces: 21 for train and 21 for test, with six persons."""
    place = tmp_path_factory.mktemp("judged") / "faces"
    place.mkdir()
    lines = ["path,label,split,person"]
    for number in range(ROWS):
        name = CLASSES[number % 7]
        draw_face(name, 0, number, 40).save(place / f"{number:02d}.png")
        lines.append(f"{number:02d}.png,{name},{'train' if number < ROWS // 2 else 'test'},{number % 6}")
    (place / "faces.csv").write_text("\n".join(lines))
    return place


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 test rows and 14 train rows with votes and without pictures, as a published data set has them."""
    place = tmp_path_factory.mktemp("benchmark") / "clean"
    random = np.random.default_rng(0)
    columns = {name: of for name, of in features(CLASSES).items() if name != "image"}
    marks = {"clean": Value("bool"), "clean_near": Value("bool")}
    tables = {}
    for split, count in (("train", 14), ("test", 70)):
        votes = random.multinomial(10, random.dirichlet(np.full(7, 0.3)), count)
        label = np.arange(count) % 7
        votes[np.arange(count), label] += 10
        rows = {
            "label": label.tolist(),
            "target": (votes / votes.sum(1, keepdims=True)).tolist(),
            "source": ["FER2013+FER+"] * count,
            "person": [None if number % 10 == 0 else f"{number % 8:012x}" for number in range(count)],
            "key": [f"{split}-{number:03d}.png" for number in range(count)],
            "clean": [number % 5 > 0 for number in range(count)],
            "clean_near": [number % 3 > 0 for number in range(count)],
        }
        tables[split] = Dataset.from_dict(rows, features=type(features(CLASSES))(columns | marks))
    source = Source(id="FER2013+FER+", title="FER+", layout="curated", origin="local", label_rule="majority")
    place.mkdir()
    for split, table in tables.items():
        table.to_parquet(place / f"{split}.parquet")
    (place / "curation.json").write_text(json.dumps({"sources": {source.id: source.to_json()}}))
    return place


def shares_of(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Probabilities (rows, columns) that are right about half the time for labels 0, 1, ..., 6, 0, ..."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1, (rows, columns))
    scores[np.arange(rows), np.arange(rows) % 7 % columns] += 1.5
    exp = np.exp(scores)
    return exp / exp.sum(1, keepdims=True)


def write_scores(path: Path, names: list[str], shares: np.ndarray, keys: list[str] | None = None) -> Path:
    """A csv file of scores for the test rows of `benchmark`, or for `keys`."""
    keys = keys or [f"test-{number:03d}.png" for number in range(len(shares))]
    lines = [",".join(("key", *names))]
    lines += [",".join((key, *map(repr, row.tolist()))) for key, row in zip(keys, shares, strict=True)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """`python -m pipeline.evaluation WORDS --output_dir judged`, and what evaluation.json holds then."""

    def go(*words: object, out: str = "judged") -> dict[str, Any]:
        place = tmp_path / out
        main([*map(str, words), "--output_dir", str(place), "--bootstrap_resamples", "100"])
        found: dict[str, Any] = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))
        return found

    return go
