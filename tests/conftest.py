"""Drawn pictures and a two-layer ViT: what the tests train on and with."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before any library reads them: tests never touch the network or the user's caches.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="fer-tests-"))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from datasets import ClassLabel, Dataset, Features, Image, List, Value  # noqa: E402
from PIL import Image as PILImage  # noqa: E402

from pipeline.emotions import CLASSES  # noqa: E402
from pipeline.recipe import Recipe, recipe_from  # noqa: E402

ROOT = Path(__file__).parent.parent

TINY = {
    "source": "drawn",
    "drawn_faces": 100,
    "image_size": 32,
    "vit_config": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "patch_size": 8,
    },
    "layer_decay": 1.0,
    "total_batch_size": 16,
    "num_train_epochs": 2,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "bootstrap_resamples": 50,
    "seed": 0,
    "disable_tqdm": True,
}


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe that trains in a second; keyword arguments override its settings."""

    def make(**settings: Any) -> Recipe:
        return recipe_from(TINY | {"output_dir": str(tmp_path / "run")} | settings, "test")

    return make


@pytest.fixture(scope="session")
def table() -> Dataset:
    """70 rows of noise pictures (24 x 20 px) in the columns every source yields; targets are soft."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(7), size=70).astype(np.float32)
    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=list(CLASSES)),
            "target": List(Value("float32"), length=7),
            "source": Value("string"),
            "person": Value("string"),
            "key": Value("string"),
        }
    )
    rows = {
        "image": [PILImage.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)) for _ in shares],
        "label": shares.argmax(1).tolist(),
        "target": shares.tolist(),
        "source": ["noise"] * 70,
        "person": [None] * 70,
        "key": [f"noise-{i:03d}" for i in range(70)],
    }
    return Dataset.from_dict(rows, features=features)


@pytest.fixture
def train_hf(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python train_hf.py WORDS` as a process; its settings make a run of a second or two."""

    def run(*words: str, settings: dict[str, Any] | None = None, **environment: str) -> Any:
        recipe = tmp_path / "tiny.yaml"
        import yaml

        recipe.write_text(yaml.safe_dump(TINY | {"output_dir": str(tmp_path / "run")} | (settings or {})))
        named = [] if words and not words[0].startswith("--") else [str(recipe)]
        return subprocess.run(
            [sys.executable, "train_hf.py", *named, *words],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.set_num_threads(2)
