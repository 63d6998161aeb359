"""Logits of a saved model, of pictures as they are and mirrored."""

import numpy as np
from datasets import Dataset

from pipeline.training.model import build_model
from pipeline.training.prediction import predict
from pipeline.training.saving import save_classifier
from pipeline.training.transforms import from_bytes, map_pictures


def test_mirrored_logits_are_those_of_the_mirrored_pictures(tiny, table: Dataset, tmp_path) -> None:
    save_classifier(*build_model(tiny()), tmp_path / "model")
    mapped = map_pictures(table, 32, "map")
    turned = mapped.map(lambda row: {"pixels": from_bytes(row["pixels"])[..., ::-1].tobytes()})
    plain, mirrored, expected = (
        predict(tmp_path / "model", {"rows": rows}, 16, "cpu", mirrored=flip)["rows"]
        for rows, flip in ((mapped, False), (mapped, True), (turned, False))
    )
    assert np.array_equal(mirrored, expected) and np.abs(mirrored - plain).max() > 1e-3
