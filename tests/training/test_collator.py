import numpy as np
import pytest
import torch
from datasets import Dataset

from pipeline.training.collator import EvalCollator, TrainCollator, cutmix, mixup
from pipeline.training.sampler import NOTHING, Draw, EpochSampler, PictureRows
from pipeline.training.transforms import map_pictures

HALF = [0.5] * 3


@pytest.fixture
def rows(table: Dataset) -> PictureRows:
    return PictureRows(map_pictures(table, 32, "rows"))


def drawn(rows: PictureRows, epoch: int = 0, first: int = 0, count: int = 16) -> list[dict]:
    return rows.__getitems__([Draw(i, 0, epoch + i / len(rows)) for i in range(first, first + count)])


def test_a_batch_of_no_rows_is_one_blank_picture_without_a_label(rows, tiny) -> None:
    batch = TrainCollator(tiny(cutmix=1.0), HALF, HALF)(rows.__getitems__([NOTHING, NOTHING]))
    assert {name: tensor.shape for name, tensor in batch.items()} == {
        "pixel_values": (1, 3, 32, 32),
        "labels": (1, 7),
        "index": (0,),
    }
    assert not batch["labels"].any()
    assert len(TrainCollator(tiny(), HALF, HALF)([*rows.__getitems__([Draw(4, 0, 0.0), NOTHING])])["index"]) == 1


def test_a_train_batch_is_float32_pixel_values_and_soft_labels(rows, tiny) -> None:
    batch = TrainCollator(tiny(cutmix=1.0), HALF, HALF)(drawn(rows))
    assert set(batch) == {"pixel_values", "labels", "index"}
    assert batch["pixel_values"].shape == (16, 3, 32, 32) and batch["pixel_values"].dtype == torch.float32
    assert batch["labels"].shape == (16, 7) and batch["labels"].dtype == torch.float32
    assert torch.allclose(batch["labels"].sum(1), torch.ones(16), atol=1e-5)


def test_evaluation_sees_the_pictures_as_they_are(rows) -> None:
    batch = EvalCollator(HALF, HALF)(rows.__getitems__(list(range(8))))
    expected = torch.from_numpy(np.stack([rows[i]["pixels"] for i in range(8)])).float() / 127.5 - 1
    assert torch.allclose(batch["pixel_values"], expected, atol=1e-6)
    assert torch.equal(batch["labels"], torch.from_numpy(rows.targets[:8]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("mixing", [{"cutmix": 1.0}, {"mixup": 1.0}, {}])
def test_a_batch_made_on_a_gpu_is_the_batch_made_here(rows, tiny, mixing) -> None:
    settings = tiny(**mixing, erasing=0.5, saturation=0.2)
    here, there = (TrainCollator(settings, HALF, HALF, device)(drawn(rows)) for device in ("cpu", "cuda"))
    assert there["pixel_values"].device.type == there["labels"].device.type == "cuda"
    for name, tensor in here.items():
        torch.testing.assert_close(there[name].cpu(), tensor, atol=2e-5, rtol=0)
    none = TrainCollator(settings, HALF, HALF, "cuda")(rows.__getitems__([NOTHING]))
    assert none["pixel_values"].device.type == "cuda"
    few = rows.__getitems__(list(range(4)))
    assert torch.equal(EvalCollator(HALF, HALF, "cuda")(few)["labels"].cpu(), EvalCollator(HALF, HALF)(few)["labels"])


def test_a_batch_is_a_function_of_seed_epoch_and_row(rows, tiny) -> None:
    make = TrainCollator(tiny(cutmix=0.5, mixup=0.5), HALF, HALF)
    first = make(drawn(rows))
    torch.rand(100), np.random.rand(100)
    assert torch.equal(make(drawn(rows))["pixel_values"], first["pixel_values"])
    assert not torch.equal(make(drawn(rows, epoch=1))["pixel_values"], first["pixel_values"])
    other_seed = TrainCollator(tiny(cutmix=0.5, mixup=0.5, seed=1), HALF, HALF)(drawn(rows))
    assert not torch.equal(other_seed["pixel_values"], first["pixel_values"])


def test_a_row_is_augmented_alike_whatever_stands_beside_it(rows, tiny) -> None:
    make = TrainCollator(tiny(), HALF, HALF)
    one, among = make(drawn(rows, first=5, count=1)), make(drawn(rows, count=16))
    assert torch.allclose(one["pixel_values"][0], among["pixel_values"][5], atol=1e-6)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(rows, tiny, workers: int) -> None:
    def epoch(num_workers: int) -> list[dict]:
        sampler = EpochSampler(len(rows), seed=3)
        sampler.set_epoch(2)
        make = TrainCollator(tiny(cutmix=0.5, mixup=0.5), HALF, HALF)
        return list(torch.utils.data.DataLoader(rows, 16, sampler=sampler, collate_fn=make, num_workers=num_workers))

    for here, there in zip(epoch(0), epoch(workers), strict=True):
        assert torch.equal(here["pixel_values"], there["pixel_values"])
        assert torch.equal(here["labels"], there["labels"])


def test_cutmix_labels_are_the_shares_of_area_really_kept_when_the_box_is_clipped() -> None:
    images = torch.stack([torch.zeros(3, 40, 40), torch.ones(3, 40, 40)])
    labels = torch.eye(2)
    for centre in ((0.5, 0.5), (0.0, 0.0), (0.97, 0.2)):
        mixed, soft = cutmix(images, labels, torch.tensor([1, 0]), lam=0.6, centre=np.array(centre))
        assert soft[0, 1].item() == pytest.approx(mixed[0].mean().item(), abs=1e-6)
        assert 0 < soft[0, 1] < 1
    assert soft[0, 1] < 0.4  # clipped: less than 1 - lam was replaced


def test_cutmix_takes_the_box_from_the_partner() -> None:
    images = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    mixed, _ = cutmix(images, torch.eye(2), torch.tensor([1, 0]), lam=0.75, centre=np.array([0.5, 0.5]))
    assert torch.equal(mixed[0, 0, 2:6, 2:6], torch.ones(4, 4)) and mixed[0].sum() == 3 * 16


def test_mixup_mixes_pictures_and_labels_alike() -> None:
    images = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    mixed, soft = mixup(images, torch.eye(2), torch.tensor([1, 0]), lam=0.7)
    assert mixed[0].mean().item() == pytest.approx(0.3)
    assert soft[0].tolist() == pytest.approx([0.7, 0.3])


def test_mixing_has_the_probability_that_was_set_and_ends_at_its_epoch(rows, tiny) -> None:
    make = TrainCollator(tiny(cutmix=0.3, mixup=0.2), HALF, HALF, mix_off_epoch=100.5)

    def mixed(epoch: int, first: int) -> bool:
        labels = make(drawn(rows, epoch, first, 4))["labels"]
        return not torch.allclose(labels, torch.from_numpy(rows.targets[first : first + 4]))

    before = [mixed(epoch, first) for epoch in range(100) for first in (0, 20, 40)]
    assert 0.42 < np.mean(before) < 0.58
    assert any(mixed(100, first) for first in range(34))
    assert not any(mixed(100, first) for first in range(35, 66)) and not any(mixed(101, f) for f in range(60))


def test_every_row_comes_once_an_epoch_and_in_another_order_the_next() -> None:
    sampler = EpochSampler(50, seed=0)
    first = [draw.index for draw in sampler]
    sampler.set_epoch(1)
    second = [draw.index for draw in sampler]
    assert sorted(first) == sorted(second) == list(range(50)) and first != second


def test_a_weighted_sampler_counts_the_repeats_of_a_row() -> None:
    draws = list(EpochSampler(1000, seed=0, weights=np.r_[np.full(10, 50.0), np.full(990, 0.5)]))
    assert 420 < sum(d.index < 10 for d in draws) < 590
    assert len({(d.index, d.repeat) for d in draws}) == 1000
    assert [d.repeat for d in draws if d.index == 3] == list(range(sum(d.index == 3 for d in draws)))


def test_an_order_is_filled_up_with_nothing_and_no_row_is_drawn_twice() -> None:
    sampler = EpochSampler(70, seed=0, multiple=16)
    draws = list(sampler)
    assert len(draws) == len(sampler) == 80 and draws[70:] == [NOTHING] * 10
    assert sorted(d.index for d in draws[:70]) == list(range(70))
    assert draws[:70] == list(EpochSampler(70, seed=0))
