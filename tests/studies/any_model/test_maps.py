"""`--maps`: where a model looks. The maps themselves need captum (`pip install captum`)."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import InputError
from pipeline.studies.any_model import maps
from tests.studies.any_model.conftest import Judge
from tests.studies.any_model.test_models import EIGHT, network, vit

has_captum = importlib.util.find_spec("captum") is not None
with_captum = pytest.mark.skipif(not has_captum, reason="captum is not installed")


class Corner(torch.nn.Module):
    """A classifier whose class 1 is the light in the upper left quarter, and class 0 that in the lower right."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.zeros(2, 3, 16, 16)
        weights[1, :, :8, :8] = 1
        weights[0, :, 8:, 8:] = 1
        self.weights = torch.nn.Parameter(weights)

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.einsum("bchw,kchw->bk", pixel_values, self.weights))


def corner() -> maps.Network:
    def pixels(pictures: list[Image.Image]) -> torch.Tensor:
        return torch.stack([torch.tensor(np.asarray(p)).permute(2, 0, 1).float() / 255 for p in pictures])

    return maps.Network(Corner(), pixels)


@with_captum
@pytest.mark.parametrize("kind", [maps.gradient_map, maps.occlusion_map])
def test_a_map_is_where_the_class_depends_on_the_picture(kind) -> None:
    face = Image.new("RGB", (16, 16), (200, 180, 160))
    upper, lower = (kind(corner(), face, output) for output in (1, 0))
    assert upper.shape == (16, 16) and upper.sum() == pytest.approx(1)
    assert upper[:8, :8].sum() > 0.75 and lower[8:, 8:].sum() > 0.75


@with_captum
def test_the_gradient_map_changes_when_weights_are_shuffled() -> None:
    face = Image.new("RGB", (16, 16), (200, 180, 160))
    own = maps.gradient_map(corner(), face, 1)
    shuffled = maps.gradient_map(corner().shuffled(), face, 1)
    assert abs(maps._correlation(own, shuffled)) < 0.3
    assert maps._correlation(own, maps.gradient_map(corner(), face, 1)) == pytest.approx(1)
    torch.testing.assert_close(corner().shuffled().module.weights.sum(), corner().module.weights.sum())


@with_captum
def test_the_report_shows_the_maps_of_each_class(judge: Judge, faces: Path, tmp_path: Path) -> None:
    words = ("--data_path", faces, "--near_copies", "false", "--maps", 2)
    evaluation = judge("--model", vit(tmp_path / "eight", EIGHT), *words)
    assert evaluation["maps"]["anger"]["faces"] == 2 and len(evaluation["maps"]) == 7
    assert all(-1 <= of["shuffled_correlation"] <= 1 for of in evaluation["maps"].values())
    assert (tmp_path / "judged" / "figures" / "maps.png").stat().st_size > 1000
    assert "figures/maps.png" in (tmp_path / "judged" / "index.html").read_text()


@pytest.mark.skipif(has_captum, reason="captum is installed")
def test_without_captum_one_line_says_what_to_install(judge: Judge, faces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip install captum"):
        judge("--model", tmp_path / "any", "--data_path", faces, "--maps", 2)


def test_maps_of_a_file_without_a_network_are_refused(judge: Judge, faces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--maps needs a model of transformers or timm"):
        judge("--model", network(tmp_path / "m.onnx"), "--data_path", faces, "--maps", 2)
    with pytest.raises(InputError, match="--maps is -1"):
        judge("--model", tmp_path / "m", "--data_path", faces, "--maps", -1)
