import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import ViTImageProcessor

from pipeline.training import transforms
from pipeline.training.collator import EvalCollator
from pipeline.training.transforms import UNIFORMS, augment, from_bytes, map_pictures, to_pixels
from tests.conftest import STILL

RNG = np.random.default_rng(0)


def picture(mode: str, width: int = 40, height: int = 56) -> Image.Image:
    noise = Image.fromarray(RNG.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    return noise if mode == "RGBA" else noise.convert("RGB").convert(mode)


def processor(size: int) -> ViTImageProcessor:
    side = {"height": size, "width": size}
    return ViTImageProcessor(size=side, resample=3, do_convert_rgb=True, image_mean=[0.5] * 3, image_std=[0.5] * 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize("size", [32, 96])
def test_the_deterministic_transform_is_the_saved_processor(mode: str, size: int) -> None:
    image = picture(mode)
    expected = processor(size)(image.convert("RGB"), return_tensors="pt")["pixel_values"]
    row = {"pixels": to_pixels(image, size).numpy(), "target": np.zeros(7, np.float32)}
    ours = EvalCollator([0.5] * 3, [0.5] * 3)([row])["pixel_values"]
    assert (ours - expected).abs().max() < 1e-5


def test_a_picture_is_turned_by_its_exif_tag(tmp_path) -> None:
    upright = picture("RGB")
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upright.rotate(180).save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(to_pixels(Image.open(tmp_path / "turned.png"), 32), to_pixels(upright, 32))


def test_map_gives_uint8_and_a_second_run_does_not_redo_it(table: Dataset, tmp_path) -> None:
    table.save_to_disk(tmp_path / "table")
    first = map_pictures(Dataset.load_from_disk(tmp_path / "table"), 32, "first")
    expected = to_pixels(table[3]["image"], 32).numpy()
    assert np.array_equal(from_bytes(first[3]["pixels"]), expected) and expected.dtype == np.uint8
    assert "image" not in first.column_names
    modified = {f["filename"]: __import__("os").stat(f["filename"]).st_mtime_ns for f in first.cache_files}
    second = map_pictures(Dataset.load_from_disk(tmp_path / "table"), 32, "second")
    assert {f["filename"]: __import__("os").stat(f["filename"]).st_mtime_ns for f in second.cache_files} == modified
    assert map_pictures(table, 16, "size")._fingerprint != first._fingerprint


def test_the_cache_follows_the_source_of_the_transform(table: Dataset, tmp_path, monkeypatch) -> None:
    first = map_pictures(table, 32, "first")._fingerprint
    edited = tmp_path / "transforms.py"
    edited.write_text(transforms.Path(transforms.__file__).read_text() + "\n# edited\n")
    monkeypatch.setattr(transforms, "__file__", str(edited))
    assert map_pictures(table, 32, "edited")._fingerprint != first


def test_with_all_augmentation_off_train_pictures_are_evaluation_pictures(tiny) -> None:
    pixels = to_pixels(picture("RGB"), 32)[None]
    assert torch.equal(augment(pixels, torch.rand(1, UNIFORMS), tiny(**STILL)), pixels.float() / 255)


def test_pictures_stored_small_are_resized_as_the_processor_does(tiny) -> None:
    image = picture("RGB", 24, 24)
    small = to_pixels(image, 24)[None]
    resized = augment(small, torch.rand(1, UNIFORMS), tiny(**STILL, store_size=24))
    assert torch.equal(resized[0], to_pixels(image, 32).float() / 255)


def test_a_flip_mirrors(tiny) -> None:
    pixels = to_pixels(picture("RGB"), 32)[None]
    mirrored = augment(pixels, torch.zeros(1, UNIFORMS) + 0.5, tiny(**STILL | {"flip": 1.0, "crop_area": 1.0}))
    assert (mirrored - pixels.flip(-1).float() / 255).abs().max() < 1e-4


@pytest.mark.parametrize(
    "setting",
    [
        {"rotation": 20.0},
        {"crop_area": 0.5},
        {"crop_ratio": 1.5},
        {"zoom_out": 0.5},
        {"shift": 0.2},
        {"low_resolution": 0.2},
        {"blur": 0.1},
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"saturation": 0.9},
        {"erasing": 1.0},
    ],
    ids=lambda s: next(iter(s)),
)
def test_each_augmentation_changes_the_picture_and_stays_in_range(setting, tiny) -> None:
    pixels = torch.stack([to_pixels(picture("RGB"), 32) for _ in range(4)])
    uniforms = 0.6 + 0.3 * torch.from_numpy(np.random.default_rng(1).random((4, UNIFORMS), dtype=np.float32))
    changed = augment(pixels, uniforms, tiny(**STILL | setting))
    assert changed.shape == (4, 3, 32, 32) and changed.min() >= 0 and changed.max() <= 1
    assert all((a - b.float() / 255).abs().max() > 0.02 for a, b in zip(changed, pixels, strict=True))


def test_a_crop_can_be_larger_than_the_picture_and_lie_beyond_its_edge(tiny) -> None:
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[..., 12:20, 12:20] = 255  # a white square, 8 px wide, in the middle

    def seen(place: float = 0.5, **settings: float) -> torch.Tensor:
        uniforms = torch.full((1, UNIFORMS), 0.5)
        uniforms[:, 2], uniforms[:, 4:6] = 1 - 1e-6, place  # the largest area; in the middle, or at the lower right
        return augment(pixels, uniforms, tiny(**STILL | settings))[0, 0] > 0.5

    assert seen().any(0).sum() == 8
    assert seen(zoom_out=1.0).any(0).sum() == 6, "twice the area: 8 px become 5.7"
    assert seen(1 - 1e-6, shift=0.25).any(0).nonzero().flatten().tolist() == list(range(4, 12)), (
        "a quarter of 32 px to the left"
    )


def test_low_resolution_is_a_picture_that_was_small(tiny) -> None:
    pixels = to_pixels(picture("RGB"), 32)[None]
    uniforms = torch.full((1, UNIFORMS), 0.5)
    reduced = augment(pixels, uniforms, tiny(**STILL, low_resolution=0.5))  # 0.5 to 1 of 32 px, in the middle: 24 px
    small = to_pixels(Image.fromarray(pixels[0].permute(1, 2, 0).numpy()), 24)
    expected = to_pixels(Image.fromarray(small.permute(1, 2, 0).numpy()), 32).float() / 255
    assert (reduced[0] - expected).abs().max() < 3 / 255, "apart from the rounding to whole gray values"
    uniforms[:, 14] = 1 - 1e-6
    assert (augment(pixels, uniforms, tiny(**STILL, low_resolution=0.5)) - pixels / 255).abs().max() < 1e-6


def test_blur_spreads_a_point_by_its_standard_deviation_and_keeps_its_light(tiny) -> None:
    pixels = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    pixels[..., 32, 32] = 255
    uniforms = torch.full((3, UNIFORMS), 0.5)
    uniforms[:, 15] = torch.tensor([0.0, 0.5, 1.0])
    blurred = augment(pixels, uniforms, tiny(**STILL, blur=0.05, image_size=64))[:, 0]
    assert torch.allclose(blurred.sum((1, 2)), torch.ones(3), atol=1e-4)
    assert torch.equal(blurred[0], pixels[0, 0] / 255)
    away = (torch.arange(64) - 32).square()
    for one, sigma in ((blurred[1], 1.6), (blurred[2], 3.2)):
        assert abs(float((one.sum(0) * away).sum()) ** 0.5 - sigma) < 0.05 * sigma
        assert torch.allclose(one, one.T, atol=1e-6)


def test_the_pictures_of_a_batch_are_reduced_and_blurred_each_by_itself(tiny) -> None:
    pixels = torch.stack([to_pixels(picture("RGB"), 32) for _ in range(5)])
    uniforms = torch.from_numpy(np.random.default_rng(3).random((5, UNIFORMS), dtype=np.float32))
    recipe = tiny(**STILL, low_resolution=0.3, blur=0.05)
    together = augment(pixels, uniforms, recipe)
    single = [augment(pixels[i : i + 1], uniforms[i : i + 1], recipe)[0] for i in range(5)]
    assert torch.allclose(together, torch.stack(single), atol=1e-5)


def test_a_gray_picture_is_augmented_as_three_equal_channels(tiny) -> None:
    gray = to_pixels(picture("L"), 32)[None]
    colour = torch.cat([gray, to_pixels(picture("RGB"), 32)[None]])
    uniforms = torch.rand(2, UNIFORMS)
    one, among = augment(gray, uniforms[:1], tiny()), augment(colour, uniforms, tiny())
    assert torch.allclose(one[0], among[0], atol=1e-6)


def test_erasing_covers_between_2_and_25_percent(tiny) -> None:
    white = torch.full((200, 3, 32, 32), 255, dtype=torch.uint8)
    uniforms = torch.from_numpy(np.random.default_rng(2).random((200, UNIFORMS), dtype=np.float32))
    erased = augment(white, uniforms, tiny(**STILL | {"erasing": 0.5}))
    share = (erased[:, 0] == 0.5).float().mean((1, 2))
    assert 0.4 < (share > 0).float().mean() < 0.6
    assert share[share > 0].min() > 0.005 and share.max() < 0.3
