"""Settings of Trainer reach its arguments, its optimizer and its loader."""

from pathlib import Path

import pytest
from transformers import EarlyStoppingCallback

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.trainer import DEFAULTS
from pipeline.training.arguments import training_arguments
from pipeline.training.plan import make_plan


@pytest.mark.parametrize(
    ("typed", "reached"),
    [
        ({}, {name: value for name, value in DEFAULTS.items() if name != "lr_scheduler_type"}),
        ({"save_steps": 7}, {"save_steps": 7, "eval_steps": 7, "save_strategy": "steps", "eval_strategy": "steps"}),
        ({"save_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"logging_steps": 3}, {"logging_steps": 3}),
        ({"max_grad_norm": 0.5}, {"max_grad_norm": 0.5}),
        ({"lr_scheduler_type": "linear"}, {"lr_scheduler_type": "linear"}),
        ({"adam_beta2": 0.95}, {"adam_beta2": 0.95}),
        ({"dataloader_num_workers": 2}, {"dataloader_num_workers": 2}),
        ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
        ({"per_device_eval_batch_size": 5}, {"per_device_eval_batch_size": 5}),
        ({"per_device_train_batch_size": 5}, {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 1}),
        ({"metric_for_best_model": "nll"}, {"metric_for_best_model": "nll", "greater_is_better": False}),
        ({"metric_for_best_model": "macro_f1"}, {"metric_for_best_model": "macro_f1", "greater_is_better": True}),
    ],
    ids=str,
)
def test_a_field_of_trainer_reaches_its_arguments(tiny, typed: dict, reached: dict) -> None:
    args = training_arguments(make_plan(tiny(**typed)))
    assert {name: getattr(args, name) for name in reached} == reached


def test_fields_of_trainer_reach_the_optimizer_and_the_loader(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(weight_decay=0.3, adam_beta2=0.95, dataloader_num_workers=1, learning_rate=0.5))
    groups = trainer.create_optimizer().param_groups
    assert {g["weight_decay"] for g in groups} == {0.0, 0.3}
    assert {g["betas"][1] for g in groups} == {0.95} and {g["lr"] for g in groups} == {0.5}
    assert trainer.get_train_dataloader().num_workers == 1


def test_the_patience_of_a_resumed_run_goes_on_where_it_was(trainer_of, tiny) -> None:
    settings = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9, "learning_rate": 1e-12}
    recipe = tiny(max_steps=9, **settings)
    whole = trainer_of(recipe, "whole", [EarlyStoppingCallback(3)])
    whole.train()
    assert whole.state.global_step == 4, "the best and three more"
    resumed = trainer_of(recipe, "resumed", [EarlyStoppingCallback(3)])
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-3"))
    assert resumed.state.global_step == 4


@pytest.mark.parametrize(
    ("save_steps", "steps"),
    [
        (0.5, [3, 6]),
        (4, [4, 6]),
        pytest.param(0.34, [3, 6], marks=pytest.mark.slow),
        pytest.param(0.2, [2, 4, 6], marks=pytest.mark.slow),
    ],
)
def test_save_steps_below_1_is_a_share_of_the_run(trainer_of, tiny, save_steps: float, steps: list[int]) -> None:
    trainer = trainer_of(tiny(max_steps=6, save_steps=save_steps, save_total_limit=9))
    trainer.train()
    saved = sorted(int(path.name.split("-")[1]) for path in Path(trainer.args.output_dir).glob("checkpoint-*"))
    evaluated = [entry["step"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    assert saved == evaluated == steps


@pytest.mark.parametrize("delay", [0, 5, -1])
def test_eval_delay_is_refused_with_the_reason(delay: int) -> None:
    with pytest.raises(InputError, match="eval_delay.*every checkpoint is evaluated, so that the best one"):
        parse_command_line(["quickstart", "--eval_delay", str(delay)])
