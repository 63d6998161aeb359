"""What tests of settings start from: small pictures in folders, and one whole run that was watched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage

from pipeline.data.curation import Curated, curate
from pipeline.data.readers import read_source, read_sources
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from pipeline.training.collator import TrainCollator
from pipeline.training.sampler import Draw, PictureRows
from pipeline.training.transforms import map_pictures
from tests.conftest import HALF, STILL, write_recipe
from tests.settings.observed import OBSERVED, Seen, stored_pictures, watched
from train_hf import main


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The run with the settings of `OBSERVED`."""
    folder = tmp_path_factory.mktemp("observed")
    seen, before = Seen(folder / "run"), stored_pictures()
    with watched(seen), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "1")
        main([str(write_recipe(folder / "observed.yaml", output_dir=str(seen.folder), **OBSERVED))])
    del seen.batches[0], seen.skipped[0]  # of the trial step before the data is read
    seen.stored = {made for path, made in stored_pictures().items() if path not in before}
    return seen


@pytest.fixture
def batch(tiny: Callable[..., Recipe], table: Dataset) -> Callable[..., dict[str, torch.Tensor]]:
    """A train batch of the first 16 rows at the start of epoch 1, without augmentation except by these settings."""

    def make(**settings: Any) -> dict[str, torch.Tensor]:
        rows = PictureRows(map_pictures(table, 32, "rows")).__getitems__([Draw(i, 0, 1.0) for i in range(16)])
        return TrainCollator(tiny(**STILL | settings), HALF, HALF)(rows)

    return make


@pytest.fixture
def pixels(batch: Callable[..., dict[str, torch.Tensor]]) -> Callable[..., torch.Tensor]:
    """`pixel_values` of `batch`, (16, 3, H, W)."""
    return lambda **settings: batch(**settings)["pixel_values"]


@pytest.fixture
def faces(tmp_path: Path) -> Callable[..., Path]:
    """Class folders of noise; `name` decides the pictures."""

    def make(name: str = "faces", happy: int = 20, sad: int = 20) -> Path:
        rng = np.random.default_rng(list(name.encode()))
        for label, count in (("happy", happy), ("sad", sad)):
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(count):
                noise = PILImage.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
                noise.save(tmp_path / name / label / f"{i:02d}.png")
        return tmp_path / name

    return make


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """A parquet file of these columns."""

    def make(columns: dict[str, list], **features: Any) -> Path:
        images = {name: Image() for name, values in columns.items() if isinstance(values[0], PILImage.Image)}
        path = tmp_path / "table.parquet"
        Dataset.from_dict(columns, features=Features(images | features)).to_parquet(path)
        return path

    return make


@pytest.fixture
def two_classes(tiny: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """A recipe for happiness and sadness at a path; its layout is recognised."""
    two = {"source": "auto", "classes": ["happiness", "sadness"]}
    return lambda path, **settings: tiny(**two | {"data_path": str(path)} | settings)


@pytest.fixture
def read(two_classes: Callable[..., Recipe]) -> Callable[..., Reading]:
    """What is read at a path under these settings."""
    return lambda path, **settings: read_source(two_classes(path, **settings))


@pytest.fixture
def curated(two_classes: Callable[..., Recipe]) -> Callable[..., Curated]:
    """What curation makes of a path under these settings."""

    def make(path: Path, **settings: Any) -> Curated:
        recipe = two_classes(path, **settings)
        return curate(read_sources(recipe), recipe)

    return make
