"""Each setting of model and loss is given another value, and what it changes is looked at."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.training.collator import TrainCollator
from pipeline.training.model import build_model
from pipeline.training.sampler import Draw
from tests.conftest import HALF
from tests.settings.observed import Seen


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def loss_of(trainer: Any) -> float:
    batch = TrainCollator(trainer.recipe, HALF, HALF)(
        trainer.train_dataset.__getitems__([Draw(i, 0, 0.0) for i in range(16)])
    )
    return trainer.compute_loss(trainer.model.train(), batch).item()


def test_checkpoint_gives_its_weights(tmp_path: Path, tiny) -> None:
    model, processor = build_model(tiny(seed=5))
    model.save_pretrained(tmp_path / "model"), processor.save_pretrained(tmp_path / "model")
    again, _ = build_model(tiny(checkpoint=str(tmp_path / "model")))
    assert torch.equal(weights(again), weights(model))
    assert not torch.equal(weights(build_model(tiny())[0]), weights(model))


def test_architecture_names_a_timm_model(tiny) -> None:
    model, _ = build_model(tiny(architecture="resnet10t"))
    assert model.config.model_type == "timm_wrapper" and any(
        isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()
    )


def test_vit_config_shapes_the_model(tiny) -> None:
    model, _ = build_model(tiny(vit_config=tiny().vit_config | {"num_hidden_layers": 1, "hidden_size": 48}))
    assert len(model.vit.layers) == 1 and model.classifier.in_features == 48


def test_drop_path_skips_the_last_block_for_half_of_the_rows(seen: Seen) -> None:
    assert 0.3 < np.mean(seen.skipped) < 0.7, "the last block is skipped for half of the rows"
    assert len(seen.skipped) == 24


def test_freeze_backbone_trains_the_classifier_only(tiny, trainer_of) -> None:
    trainer = trainer_of(tiny(freeze="backbone", num_train_epochs=1, ema_decay=0))
    first = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, first[name])}
    assert moved == {"classifier.weight", "classifier.bias"}


def test_attention_is_the_one_of_every_block(seen: Seen) -> None:
    assert seen.attention == {"sdpa"}, "auto is eager on a CPU"


def test_label_smoothing_changes_the_loss(tiny, trainer_of) -> None:
    plain, smoothed = (loss_of(trainer_of(tiny(label_smoothing=s))) for s in (0.0, 0.3))
    assert abs(plain - smoothed) > 1e-3


def test_class_balance_changes_loss_or_sampling(tiny, trainer_of) -> None:
    trainers = {how: trainer_of(tiny(class_balance=how)) for how in ("none", "sampler", "weights", "logit_adjustment")}
    loss = {how: loss_of(trainer) for how, trainer in trainers.items()}
    assert loss["sampler"] == loss["none"]
    assert min(abs(loss[how] - loss["none"]) for how in ("weights", "logit_adjustment")) > 1e-4
    drawn = {how: [draw.index for draw in trainer.train_sampler] for how, trainer in trainers.items()}
    assert len(set(drawn["sampler"])) < 70 and all(len(set(drawn[how])) == 70 for how in drawn if how != "sampler")
