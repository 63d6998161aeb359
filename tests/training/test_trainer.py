import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForImageClassification, TrainerCallback

from pipeline.errors import InputError
from pipeline.training.collator import EvalCollator
from pipeline.training.ema import EMA
from pipeline.training.trainer import ExpressionTrainer
from tests.conftest import HALF, ROOT, STILL


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_training_lowers_the_loss_and_keeps_the_problem_type(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(num_train_epochs=10, learning_rate=3e-3, logging_steps=1, ema_decay=0.0, **STILL))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    assert trainer.model.config.problem_type == "single_label_classification"


def test_the_best_checkpoint_is_reloaded_to_the_last_tensor(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(num_train_epochs=4, learning_rate=5e-3, ema_decay=0.0, save_total_limit=9))
    trainer.train()
    best = AutoModelForImageClassification.from_pretrained(trainer.state.best_model_checkpoint)
    last = AutoModelForImageClassification.from_pretrained(
        sorted(Path(trainer.args.output_dir).glob("checkpoint-20"))[0]
    )
    assert torch.equal(weights(trainer.model), weights(best))
    if trainer.state.best_global_step != 20:
        assert not torch.equal(weights(best), weights(last))


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_run_resumed_in_mid_epoch_ends_with_the_same_weights(trainer_of, tiny, ema_decay: float) -> None:
    recipe = tiny(max_steps=8, save_strategy="steps", save_steps=3, save_total_limit=9, ema_decay=ema_decay, cutmix=0.5)
    whole = trainer_of(recipe, "whole")
    whole.train()
    resumed = trainer_of(recipe, "resumed")
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-3"))
    assert torch.equal(weights(resumed.model), weights(whole.model))


def test_the_averaged_weights_are_evaluated_saved_and_chosen(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(num_train_epochs=3, learning_rate=5e-3, ema_decay=0.5))
    trainer.train()
    best = Path(trainer.state.best_model_checkpoint)
    expected = EMA(trainer.model, 0.5)
    expected.load(best)
    own = AutoModelForImageClassification.from_pretrained(best)
    assert not torch.equal(weights(trainer.model), weights(own))
    assert all(torch.equal(t, expected.average[n]) for n, t in trainer.model.state_dict().items())
    figure = trainer.evaluate()["eval_nll"]
    logged = [
        e["eval_nll"]
        for e in trainer.state.log_history
        if e.get("step") == trainer.state.best_global_step and "eval_nll" in e
    ]
    assert figure == pytest.approx(logged[0], abs=1e-5)


def gradients(trainer: ExpressionTrainer, rows: list[dict], sizes: list[int]) -> torch.Tensor:
    """Gradients of one optimizer step over `rows` in micro-batches of these sizes, through Trainer's own step."""
    trainer.model.zero_grad()
    collate, batches, start = EvalCollator(HALF, HALF), [], 0
    for size in sizes:
        batches.append(collate(rows[start : start + size]) | {"index": torch.arange(size)})
        start += size
    batches, count = trainer.get_batch_samples(iter(batches), len(batches), trainer.args.device)
    for batch in batches:
        trainer.training_step(trainer.model, batch, count)
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize("balance", ["none", "weights", "logit_adjustment"])
def test_accumulated_gradients_are_those_of_the_full_batch_also_with_a_short_last_one(
    trainer_of, tiny, balance
) -> None:
    trainer = trainer_of(tiny(class_balance=balance, label_smoothing=0.1))
    rows = trainer.train_dataset.__getitems__(list(range(30)))
    whole, parts = gradients(trainer, rows, [30]), gradients(trainer, rows, [8, 8, 8, 6])
    assert (whole - parts).abs().max() < 1e-6


def test_the_blank_picture_of_an_empty_batch_moves_nothing(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(label_smoothing=0.3))
    batches, count = trainer.get_batch_samples(iter([trainer.train_collator([])]), 1, trainer.args.device)
    assert count == 0
    trainer.training_step(trainer.model, batches[0], torch.tensor(8))
    assert not any(p.grad.any() for p in trainer.model.parameters())


def test_the_loss_is_soft_cross_entropy_and_smoothing_acts_in_training_only(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(label_smoothing=0.2))
    batch = EvalCollator(HALF, HALF)(trainer.train_dataset.__getitems__(list(range(16))))
    logits = trainer.model.eval()(batch["pixel_values"]).logits
    plain = -(batch["labels"] * logits.log_softmax(-1)).sum(1).mean()
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(plain.item(), abs=1e-6)
    trainer.model.train()
    smoothed = F.cross_entropy(trainer.model(batch["pixel_values"]).logits, batch["labels"], label_smoothing=0.2)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(smoothed.item(), abs=1e-6)
    assert abs(smoothed.item() - plain.item()) > 1e-4


def test_evaluation_counts_every_row_and_never_sees_mixing(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(cutmix=1.0, per_device_eval_batch_size=16))
    first, second = trainer.predict(trainer.eval_dataset), trainer.predict(trainer.eval_dataset)
    assert first.predictions.shape == (70, 7)
    assert np.array_equal(first.predictions, second.predictions)
    assert np.allclose(first.label_ids, trainer.eval_dataset.targets)


def test_a_balanced_sampler_draws_the_classes_alike(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(class_balance="sampler"))
    labels = trainer.train_dataset.targets.argmax(1)
    drawn = []
    for epoch in range(40):
        trainer.train_sampler.set_epoch(epoch)
        drawn += [labels[d.index] for d in trainer.train_sampler]
    share = np.bincount(drawn, minlength=7) / len(drawn)
    assert np.abs(share - 1 / 7).max() < 0.03


def test_a_loss_that_is_not_finite_stops_the_run_with_step_and_learning_rate(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(optim="sgd", learning_rate=1000.0, max_grad_norm=0.0, max_steps=50, warmup_epochs=0.0))
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+, learning rate"):
        trainer.train()


def test_bf16_on_a_cpu_really_casts(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(precision="bf16"))
    seen: list[torch.dtype] = []
    trainer.model.vit.layers[0].mlp.fc1.register_forward_hook(lambda m, i, output: seen.append(output.dtype))
    trainer.train()
    assert seen[0] == torch.bfloat16


@pytest.mark.parametrize(
    "words",
    [
        "torch.backends.fp32_precision = 'tf32'",
        pytest.param("torch.backends.cuda.matmul.allow_tf32 = True", marks=pytest.mark.slow),
    ],
)
def test_final_predictions_are_in_whole_floats_whatever_training_had(words: str) -> None:
    """In a process of its own, because these settings hold for the whole process."""
    code = f"import torch; {words}\nfrom pipeline.training.prediction import whole_floats\n"
    code += "now = lambda: (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision)\n"
    code += "before = now()\nwith whole_floats(): print(*now())\nassert now() == before"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "ieee ieee\n", ended.stderr


def test_no_pickle_of_the_arguments_is_written(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(num_train_epochs=1))
    trainer.train()
    assert not list(Path(trainer.args.output_dir).rglob("training_args.bin"))


def test_event_files_hold_the_curves_and_nothing_of_the_machine(trainer_of, tiny) -> None:
    import getpass
    import socket

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = trainer_of(tiny(logging_steps=1))
    trainer.train()
    logs = Path(trainer.args.output_dir) / "logs"
    events = EventAccumulator(str(logs)).Reload()
    tags = events.Tags()
    assert {"train/loss", "train/learning_rate", "train/pictures_per_second", "validation/accuracy"} <= set(
        tags["scalars"]
    )
    assert {f"validation/recall/{c}" for c in trainer.recipe.classes} <= set(tags["scalars"])
    assert tags["images"] == ["validation/confusion_matrix"]
    for file in logs.iterdir():
        assert not {socket.gethostname(), getpass.getuser()} & set(file.name.split("."))
        for place in (Path.home(), Path(trainer.args.output_dir).parent, Path.cwd()):
            assert f"{place}/".encode() not in file.read_bytes()


# BatchNorm

BATCH_NORM = {"architecture": "test_efficientnet", "ema_decay": 0.5, "layer_decay": 1.0, "learning_rate": 1e-2}


def test_a_last_batch_of_one_row_trains_a_net_with_batch_norm(trainer_of, tiny) -> None:
    """23 rows a batch leave one of the 70; at 32 px it has 1 x 1 px in the last layers, so no variance."""
    trainer = trainer_of(tiny(total_batch_size=23, num_train_epochs=1, **BATCH_NORM))
    trainer.train()
    assert trainer.state.global_step == 4
    counts = [int(t) for name, t in trainer.model.named_buffers() if "num_batches" in name]
    assert counts and set(counts) == {3}, "the statistics are those of whole batches"


def test_the_blank_picture_of_an_empty_batch_leaves_batch_norm_as_it_was(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(**BATCH_NORM))
    before = {name: t.clone() for name, t in trainer.model.named_buffers()}
    batches, _ = trainer.get_batch_samples(iter([trainer.train_collator([])]), 1, trainer.args.device)
    trainer.training_step(trainer.model, batches[0], torch.tensor(8))
    assert before and all(torch.equal(t, before[name]) for name, t in trainer.model.named_buffers())


def test_the_average_holds_the_running_statistics_of_batch_norm_and_whole_numbers_are_the_models(
    trainer_of, tiny
) -> None:
    trainer = trainer_of(tiny(num_train_epochs=2, **BATCH_NORM))
    expected: dict[str, torch.Tensor] = {n: t.clone() for n, t in trainer.model.state_dict().items()}

    class Follow(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
            decay = min(0.5, (1 + state.global_step) / (10 + state.global_step))
            for name, now in model.state_dict().items():
                expected[name] = decay * expected[name] + (1 - decay) * now if now.is_floating_point() else now.clone()

    trainer.add_callback(Follow())
    trainer.train()
    statistics = [name for name in trainer.ema.average if "running_" in name]
    assert statistics and not [name for name in trainer.ema.average if "num_batches" in name]
    trainer.ema.load(Path(trainer.args.output_dir) / "checkpoint-10")
    for name, average in trainer.ema.average.items():
        assert torch.allclose(average, expected[name], atol=1e-5), name
    with trainer.ema.applied_to(trainer.model):
        state = trainer.model.state_dict()
        assert all(torch.equal(state[name], trainer.ema.average[name]) for name in statistics)


def test_the_class_shares_that_scores_assume_follow_the_balance(tiny, trainer_of) -> None:
    shares = {}
    for how in ("none", "sampler", "weights", "logit_adjustment"):
        trainer = trainer_of(tiny(class_balance=how))
        shares[how] = trainer.task_objective.trained_shares
        targets, labels = trainer.train_dataset.targets, trainer.train_dataset.labels
    assert shares["none"] == pytest.approx(targets.mean(0), abs=1e-6)
    balanced = np.mean([targets[labels == label].mean(0) for label in np.unique(labels)], axis=0)
    for how in ("sampler", "weights", "logit_adjustment"):
        assert shares[how] == pytest.approx(balanced, abs=1e-6)
    assert np.abs(balanced - targets.mean(0)).max() > 0.005
    smoothed = trainer_of(tiny(label_smoothing=0.3)).task_objective.trained_shares
    assert smoothed == pytest.approx(0.7 * shares["none"] + 0.3 / 7, abs=1e-6)
    one_hot = trainer_of(tiny(class_balance="weights", targets="onehot")).task_objective.trained_shares
    assert one_hot == pytest.approx(np.full(7, 1 / 7), abs=1e-6)
