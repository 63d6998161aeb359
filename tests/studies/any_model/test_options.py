"""How the data of an evaluation is read where the model is a run."""

from pathlib import Path

import pytest
import torch

from pipeline.studies.any_model.options import parse
from pipeline.studies.any_model.published import in_fast_order


@pytest.mark.parametrize(
    ("words", "source"),
    [([], "ferplus"), (["--data_path", "o"], "auto"), (["--data_path", "o", "--source", "csv"], "csv")],
)
def test_other_data_than_the_runs_need_not_have_its_layout(words: list[str], source: str, tmp_path: Path) -> None:
    for name in ("evaluation.json", "predictions.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "recipe.yaml").write_text("source: ferplus\ndata_path: own\n")
    options = parse(["--model", str(tmp_path), "--output_dir", "out", *words])
    assert options.recipe().source == source


@pytest.mark.parametrize(("groups", "fast"), [(1, False), (4, True)])
def test_only_depthwise_models_run_in_channels_last_order(groups: int, fast: bool) -> None:
    model = in_fast_order(torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=groups), torch.nn.Conv2d(4, 8, 3)))
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last) == fast
