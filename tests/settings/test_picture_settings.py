"""Each setting of pictures, augmentation and mixing is given another value, and its effect on a batch is looked at."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.data.readers import read_source
from pipeline.errors import InputError
from pipeline.training.collator import TrainCollator
from pipeline.training.model import build_model
from pipeline.training.sampler import Draw, PictureRows
from pipeline.training.transforms import map_pictures
from tests.conftest import HALF
from tests.settings.observed import OBSERVED, Seen


def least_change(pixels, **settings: float) -> float:
    """Mean change of a pixel, in the picture that changes least; test_transforms looks at the change itself."""
    return (pixels(**settings) - pixels()).abs().flatten(1).mean(1).min().item()


def assert_mixed(batch, method: str) -> None:
    plain, mixed = batch(), batch(**{method: 1.0})
    assert (mixed["labels"] - plain["labels"]).abs().max() > 0.01
    assert not torch.equal(mixed["pixel_values"], plain["pixel_values"])


def assert_alpha_changes_shares(batch, method: str) -> None:
    some, other = (batch(**{method: 1.0, f"{method}_alpha": alpha}) for alpha in (0.5, 50.0))
    assert not torch.equal(some["labels"], other["labels"])


def test_image_size_is_the_side_of_pictures_and_model(tiny, pixels) -> None:
    assert pixels(image_size=48).shape[-2:] == (48, 48)
    model, processor = build_model(tiny(image_size=48))
    assert model.config.image_size == 48 and dict(processor.size) == {"height": 48, "width": 48}


def test_store_size_is_the_side_of_cached_train_pictures(seen: Seen) -> None:
    assert seen.stored == {(84, 16), (18, 32)}, "train small, validation and test at the size of the input"
    assert {tuple(batch.shape[1:]) for batch in seen.batches} == {(3, 32, 32)}


def test_geometry_keeps_or_replaces_how_a_checkpoint_resizes(tiny, tmp_path: Path) -> None:
    model, processor = build_model(tiny())
    processor.resample = 2  # bilinear
    model.save_pretrained(tmp_path / "model"), processor.save_pretrained(tmp_path / "model")
    recipe = tiny(checkpoint=str(tmp_path / "model"))
    assert build_model(replace(recipe, geometry="whole_picture"))[1].resample == 3
    with pytest.raises(InputError, match="set --geometry whole_picture"):
        build_model(replace(recipe, geometry="checkpoint"))


def test_flip_mirrors_the_picture(pixels) -> None:
    assert torch.allclose(pixels(flip=1.0), pixels().flip(-1), atol=1e-3)


def test_rotation_changes_every_picture(pixels) -> None:
    assert least_change(pixels, rotation=30.0) > 1e-3


def test_crop_area_changes_every_picture(pixels) -> None:
    assert least_change(pixels, crop_area=0.3) > 1e-3


def test_crop_ratio_changes_every_picture(pixels) -> None:
    assert least_change(pixels, crop_ratio=2.0) > 1e-3


def test_zoom_out_changes_every_picture(pixels) -> None:
    assert least_change(pixels, zoom_out=0.5) > 1e-3


def test_shift_changes_every_picture(pixels) -> None:
    assert least_change(pixels, shift=0.2) > 1e-3


def test_low_resolution_changes_every_picture(pixels) -> None:
    assert least_change(pixels, low_resolution=0.2) > 1e-3


def test_blur_changes_pictures_and_some_hardly(pixels) -> None:
    assert (pixels(blur=0.1) - pixels()).abs().mean() > 1e-3


def test_brightness_changes_every_picture(pixels) -> None:
    assert least_change(pixels, brightness=0.9) > 1e-3


def test_contrast_changes_every_picture(pixels) -> None:
    assert least_change(pixels, contrast=0.9) > 1e-3


def test_saturation_changes_every_picture(pixels) -> None:
    assert least_change(pixels, saturation=0.9) > 1e-3


def test_erasing_grays_a_part_of_every_picture(pixels) -> None:
    gray = (pixels(erasing=1.0) == 0).all(1).flatten(1).float().mean(1)
    assert gray.min() > 0.01 and (pixels() == 0).all(1).sum() == 0


def test_cutmix_mixes_pictures_and_labels(batch) -> None:
    assert_mixed(batch, "cutmix")


def test_cutmix_alpha_changes_the_shares(batch) -> None:
    assert_alpha_changes_shares(batch, "cutmix")


def test_mixup_mixes_pictures_and_labels(batch) -> None:
    assert_mixed(batch, "mixup")


def test_mixup_alpha_changes_the_shares(batch) -> None:
    assert_alpha_changes_shares(batch, "mixup")


def test_mix_off_epoch_ends_mixing_at_its_share_of_a_shortened_run(tiny, seen: Seen) -> None:
    recipe = tiny(**OBSERVED | {"cutmix": 0.0})
    table = map_pictures(read_source(recipe).tables["train"], 16, "train")
    rows = PictureRows(table).__getitems__([Draw(i, 0, 99.0) for i in range(len(table))])
    originals = {picture.numpy().tobytes() for picture in TrainCollator(recipe, HALF, HALF)(rows)["pixel_values"]}
    unmixed = [all(picture.numpy().tobytes() in originals for picture in batch) for batch in seen.batches]
    assert sum(unmixed[:12]) < 3, "epochs 0 and 1 are mixed"
    assert all(unmixed[12:]) and len(unmixed) == 24, "epoch 4 of 12 is epoch 2 of a run cut to a half"
