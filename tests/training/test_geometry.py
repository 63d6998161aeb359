"""A checkpoint whose processor cuts or resizes otherwise is refused, or replaced where the recipe says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import transformers
from PIL import Image
from timm.models import save_for_hf
from transformers import ViTImageProcessor

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.training.model import build_model
from pipeline.training.transforms import normalize, to_pixels
from tests.families import WITH_MLP

SQUARE = {"height": 64, "width": 64}
OURS: dict[str, Any] = {"size": SQUARE, "resample": 3}
SAME: dict[str, dict[str, Any]] = {
    "ours": OURS,
    "another side": OURS | {"size": {"height": 96, "width": 96}},
    "a crop of the whole": OURS | {"do_center_crop": True, "crop_size": SQUARE},
    "a pad of nothing": OURS | {"do_pad": True, "pad_size": SQUARE},
    "other values": OURS | {"do_rescale": False, "do_normalize": False},
    "a rescale factor": OURS | {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
}
OTHER: dict[str, dict[str, Any]] = {
    "resample bilinear": OURS | {"resample": 2},
    "resample nearest": OURS | {"resample": 0},
    "size shortest_edge 64": OURS | {"size": {"shortest_edge": 64}},
    "crop_size height 64 width 64": OURS | {"size": {"shortest_edge": 72}, "do_center_crop": True, "crop_size": SQUARE},
    "crop_size height 48 width 48": OURS | {"do_center_crop": True, "crop_size": {"height": 48, "width": 48}},
    "crop_size height 96 width 96": OURS | {"do_center_crop": True, "crop_size": {"height": 96, "width": 96}},
    "size height 64 width 32": OURS | {"size": {"height": 64, "width": 32}},
    "do_resize False": {"do_resize": False},
    "do_rescale False": {"do_rescale": False, "size": SQUARE, "resample": 2},
    "pad_size height 80 width 80": OURS | {"do_pad": True, "pad_size": {"height": 80, "width": 80}},
}


@pytest.fixture
def of(tmp_path: Path, tiny) -> Callable[..., Recipe]:
    """The recipe of a ViT at `tmp_path/checkpoint`, whose processor has these settings."""
    config = transformers.ViTConfig(**WITH_MLP, num_labels=5)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "checkpoint")

    def make(geometry: str, **processor: Any) -> Recipe:
        ViTImageProcessor(**processor).save_pretrained(tmp_path / "checkpoint")
        of_checkpoint = {"checkpoint": str(tmp_path / "checkpoint"), "image_size": 64, "vit_config": {}}
        return tiny(**of_checkpoint, geometry=geometry)

    return make


@pytest.mark.parametrize("name", SAME)
def test_a_processor_that_makes_the_same_picture_is_taken_whatever_it_is_called(name: str, of, capsys) -> None:
    build_model(of("checkpoint", **SAME[name]))
    assert "processor" not in capsys.readouterr().out


@pytest.mark.parametrize("name", OTHER)
def test_a_processor_that_makes_another_picture_is_refused_with_its_fields_and_the_setting(name: str, of) -> None:
    words = "" if name == "do_rescale False" else name
    with pytest.raises(InputError, match=rf"ViTImageProcessor: .*{words}.*set --geometry whole_picture") as error:
        build_model(of("checkpoint", **OTHER[name]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", OTHER)
def test_a_processor_that_is_replaced_gives_clients_the_pixels_of_training(name: str, of, capsys) -> None:
    _, saved = build_model(of("whole_picture", **OTHER[name]))
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (97, 131, 3), dtype=np.uint8))
    ours = normalize(to_pixels(picture, 64)[None].float() / 255, saved.image_mean, saved.image_std)
    theirs = saved(picture, return_tensors="pt")["pixel_values"]
    assert theirs.shape == ours.shape and (theirs - ours).abs().max() < 1e-4 / min(saved.image_std)
    assert "is replaced by a bicubic resize of the whole picture" in capsys.readouterr().out


def test_the_crop_of_a_timm_checkpoint_is_refused(tmp_path: Path, tiny) -> None:
    model = timm.create_model("test_resnet", num_classes=5)
    save_for_hf(model, tmp_path / "checkpoint", safe_serialization=True)
    recipe = tiny(checkpoint=str(tmp_path / "checkpoint"), image_size=160, vit_config={}, geometry="checkpoint")
    with pytest.raises(InputError, match=r"TimmWrapperImageProcessor: .*crop_pct 0\.95.*--geometry whole_picture"):
        build_model(recipe)


def test_a_checkpoint_of_our_own_is_taken(tmp_path: Path, tiny) -> None:
    model, processor = build_model(tiny())
    model.save_pretrained(tmp_path / "run"), processor.save_pretrained(tmp_path / "run")
    build_model(tiny(checkpoint=str(tmp_path / "run"), geometry="checkpoint"))
