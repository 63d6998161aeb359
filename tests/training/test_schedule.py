"""The learning rate does what its schedule says, over the steps of this run, or the run is refused."""

from typing import Any

import pytest
import torch

from pipeline.errors import InputError
from pipeline.training.arguments import training_arguments
from pipeline.training.model import build_for_training
from pipeline.training.plan import make_plan
from pipeline.training.rehearsal import rehearse
from pipeline.training.schedule import refuse_bad_schedule
from pipeline.training.steps import load_data

WSD = "warmup_stable_decay"
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("cosine_with_min_lr", {"min_lr": 1.0}, "learning rate of step .* it must be from 0 to the peak"),
    ("cosine_with_min_lr", {"min_lr_rate": 3}, "it must be from 0 to the peak"),
    ("polynomial", {"power": -2}, "it must be from 0 to the peak"),
    ("constant", {"num_cycles": 2}, "reads no lr_scheduler_kwargs"),
    ("constant_with_warmup", {"min_lr": 1e-5}, "reads no lr_scheduler_kwargs"),
]
LONGER: list[tuple[str, dict[str, Any], str]] = [
    ("cosine_with_min_lr", {"min_lr": -0.1}, "is 0 in 1[0-9] of the 20 steps"),
    (WSD, {"num_decay_steps": 1000}, "over the 20 steps of this run .* made for a longer run"),
    (WSD, {"num_decay_steps": 2, "num_stable_steps": 2}, "is 0 in 1[0-9] of the 20 steps"),
]
GOOD: list[tuple[str, dict[str, Any] | None]] = [
    ("cosine", None),
    ("linear", None),
    ("polynomial", {"lr_end": 1e-6}),
    ("inverse_sqrt", None),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("cosine_with_min_lr", {"min_lr": 1e-5}),
    (WSD, {"num_decay_steps": 5}),
    ("constant_with_warmup", None),
]


def start(tiny, kind: str, settings: dict[str, Any] | None, **others: Any) -> None:
    """All that a run does before it reads data."""
    warmup = {"warmup_epochs": 0} if kind in ("constant", "reduce_lr_on_plateau") else {}
    recipe = tiny(lr_scheduler_type=kind, lr_scheduler_kwargs=settings, **warmup, **others)
    plan = make_plan(recipe)
    rehearse(plan, training_arguments(plan), build_for_training(plan.recipe, plan.device))


@pytest.mark.parametrize(("kind", "settings", "words"), [*BAD, *LONGER], ids=str)
def test_a_schedule_that_leaves_its_range_or_does_not_fit_the_run_is_refused_before_data_is_read(
    tiny, on_cpu, kind: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        start(tiny, kind, settings, max_steps=20)
    assert kind in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("kind", "settings", "words"), BAD[:2], ids=str)
def test_a_rate_above_its_peak_is_refused_before_data_is_read_whatever_the_length(
    tiny, on_cpu, kind: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        start(tiny, kind, settings)


@pytest.mark.parametrize(("kind", "settings"), GOOD, ids=str)
@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (0, 9), (1, 10), (100, 1000), (2000, 123_457)])
def test_a_schedule_of_any_length_that_fits_passes(tiny, on_cpu, kind: str, settings, warmup: int, total: int) -> None:
    recipe = tiny(lr_scheduler_type=kind, lr_scheduler_kwargs=settings, learning_rate=1e-3)
    args = training_arguments(make_plan(recipe))
    if total > 5 or kind != WSD:
        refuse_bad_schedule(args, warmup, total)


@pytest.mark.parametrize("kind", ["reduce_lr_on_plateau", "greedy"])
def test_a_schedule_that_follows_the_metric_is_not_walked(tiny, on_cpu, kind: str) -> None:
    args = training_arguments(make_plan(tiny(lr_scheduler_type=kind, warmup_epochs=0)))
    refuse_bad_schedule(args, 0, 10)


def test_a_schedule_that_does_not_fit_the_steps_of_the_data_is_refused_before_the_first_step(tiny, on_cpu) -> None:
    recipe = tiny(lr_scheduler_type=WSD, lr_scheduler_kwargs={"num_decay_steps": 1000})
    plan = make_plan(recipe)
    with pytest.raises(InputError, match="made for a longer run"):
        load_data(plan, training_arguments(plan))


def test_the_hint_of_a_failed_trial_names_only_the_setting_that_fails(tiny, on_cpu) -> None:
    with pytest.raises(InputError, match=r"without optim '\w+' it works$") as error:
        start(tiny, "cosine", None, optim="adamw_bnb_8bit", tf32=False)
    assert "lr_scheduler_type" not in str(error.value)


def test_an_optimizer_whose_first_step_is_not_finite_is_refused_before_data_is_read(tiny, on_cpu) -> None:
    with pytest.raises(InputError, match=r"is not finite after it; without optim_args 'alpha=7' it works$"):
        start(tiny, "cosine", None, optim="rmsprop", optim_args="alpha=7")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "culprits"),
    [
        ({"optim": "adamw_bnb_8bit", "torch_compile": True}, "without optim 'adamw_bnb_8bit' it works"),
        ({"torch_compile_backend": "tvm"}, "without torch_compile_backend 'tvm' it works"),
    ],
    ids=str,
)
def test_a_trial_that_compiles_is_not_compiled_again_for_each_setting(
    tiny, on_cpu, monkeypatch, settings: dict, culprits: str
) -> None:
    compiled: list[str] = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: compiled.append("once") or real(*a, **k))
    with pytest.raises(InputError, match=culprits):
        start(tiny, "cosine", None, **settings)
    assert len(compiled) <= 1
