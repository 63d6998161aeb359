"""The steps of a run are the same for train_hf.py, the tests and the benchmarks."""

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.training.arguments import training_arguments
from pipeline.training.plan import make_plan
from pipeline.training.sampler import Draw
from pipeline.training.steps import load_data
from tests.conftest import ROOT, STILL


def test_only_one_place_builds_the_trainer() -> None:
    sources = [p for folder in ("pipeline", "hub", "tests") for p in (ROOT / folder).rglob("*.py")]
    built = [p for p in (*sources, *ROOT.glob("*.py")) if re.search(r"\bExpressionTrainer\(\n", p.read_text("utf-8"))]
    assert built == [ROOT / "pipeline" / "training" / "steps.py"]


def test_the_trainer_mixes_up_to_the_epoch_of_its_schedule(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(cutmix=1.0, mix_off_epoch=2.0, num_train_epochs=4, max_steps=10, **STILL))
    mixed = []
    for epoch in (0.0, 0.9, 1.0, 2.0):  # max_steps halves the run, and so the epochs with mixing
        rows = trainer.train_dataset.__getitems__([Draw(index, 0, epoch) for index in range(16)])
        labels = trainer.train_collator(rows)["labels"].cpu()
        mixed.append(not torch.equal(labels, torch.from_numpy(trainer.train_dataset.targets[:16])))
    assert mixed == [True, True, False, False]


def test_the_trainer_drops_paths_in_training(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(drop_path=0.5))
    block, skipped = trainer.model.vit.layers[-1], []
    block.register_forward_hook(lambda block, args, output: skipped.append((output == args[0]).all((1, 2))))
    trainer.model.train()(torch.randn(64, 3, 32, 32, device=trainer.args.device))
    assert 0.2 < skipped[0].float().mean() < 0.8


def test_pixel_copies_of_train_rows_are_predicted_but_choose_no_checkpoint(tiny, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    for split, numbers in (("train", range(30)), ("validation", range(25, 40))):  # 25 to 29 are in both
        for number in numbers:
            folder = tmp_path / "faces" / split / ("happy" if number % 2 else "sad")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise[number]).save(folder / f"{number}.png")
    settings = {
        "source": "folder",
        "test_share": 0.0,
        "data_path": str(tmp_path / "faces"),
        "classes": ["happiness", "sadness"],
    }
    plan = make_plan(tiny(leaks="report", **settings))
    data = load_data(plan, training_arguments(plan))
    assert (len(data.train), len(data.evaluated["validation"]), len(data.validation)) == (30, 15, 10)
