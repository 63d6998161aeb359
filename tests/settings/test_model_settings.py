"""Each setting of model and loss is given another value, and what it changes is looked at."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.training.collator import TrainCollator
from pipeline.training.model import build_for_training, build_model
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


def adapted(model: torch.nn.Module) -> dict[str, torch.Size]:
    """The shape of the first matrix beside each adapted layer."""
    return {name.split("base_model.model.")[1].split(".lora_A")[0]: p.shape for name, p in model.named_parameters()
            if "lora_A" in name}  # fmt: skip


def test_lora_rank_trains_matrices_of_that_rank_and_the_classifier(tiny, trainer_of) -> None:
    trainer = trainer_of(tiny(lora_rank=3, num_train_epochs=1, ema_decay=0))
    first = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, first[name])}
    assert moved and all(".lora_" in name or "classifier.modules_to_save" in name for name in moved)
    assert {shape[0] for shape in adapted(trainer.model).values()} == {3} and len(adapted(trainer.model)) == 4
    assert not adapted(trainer_of(tiny(lora_rank=0)).model)


def test_lora_alpha_scales_the_adapters(tiny) -> None:
    def change(**settings: Any) -> torch.Tensor:
        """Of the first query weight, by equal adapters."""
        model, _ = build_for_training(tiny(lora_rank=4, **settings), "cpu")
        layer = model.get_base_model().vit.layers[0].attention.q_proj
        with torch.no_grad():
            layer.lora_B["default"].weight.fill_(1.0)
        return layer.get_delta_weight("default")

    assert torch.allclose(change(lora_alpha=12) * 2 / 3, change()) and change().abs().max() > 0, (
        "null is twice the rank"
    )


def test_lora_targets_names_the_adapted_layers(tiny) -> None:
    model, _ = build_for_training(tiny(lora_rank=2, lora_targets="fc1,layers.1.attention.o_proj"), "cpu")
    assert adapted(model).keys() == {"vit.layers.0.mlp.fc1", "vit.layers.1.mlp.fc1", "vit.layers.1.attention.o_proj"}


def test_lora_dropout_acts_before_the_adapters_in_training(tiny) -> None:
    model, _ = build_for_training(tiny(lora_rank=2, lora_dropout=0.5), "cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(1.0)
    pictures = torch.ones(2, 3, 32, 32)
    one, two = (model.train()(pixel_values=pictures).logits for _ in range(2))
    assert not torch.equal(one, two)
    model.eval()
    assert torch.equal(model(pixel_values=pictures).logits, model(pixel_values=pictures).logits)


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
