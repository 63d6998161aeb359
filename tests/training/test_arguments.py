"""What reaches Trainer: the arguments of a plan."""

import pytest

from pipeline.errors import InputError
from pipeline.training import arguments
from pipeline.training.arguments import training_arguments
from pipeline.training.plan import make_plan


@pytest.mark.parametrize(("launched", "asked"), [("bf16", "fp32"), ("fp16", "fp32"), ("no", "bf16"), ("fp16", "bf16")])
def test_the_recipes_precision_wins_over_the_launchers(trainer_of, tiny, on_cpu, monkeypatch, launched, asked) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    accelerator = trainer_of(tiny(precision=asked)).accelerator
    assert accelerator.mixed_precision == {"bf16": "bf16", "fp32": "no"}[asked]


def test_every_checkpoint_is_evaluated_whatever_was_typed(tiny) -> None:
    for typed in ({"save_strategy": "steps"}, {"save_steps": 7}, {"save_strategy": "steps", "logging_steps": 3}):
        made = training_arguments(make_plan(tiny(**typed)))
        assert made.eval_strategy == made.save_strategy == "steps"
        assert made.eval_steps == made.save_steps == typed.get("save_steps", 500)


def test_one_process_that_sees_several_gpus_is_refused(tiny, monkeypatch) -> None:
    monkeypatch.setattr(arguments.TrainingArguments, "n_gpu", property(lambda self: 4))
    with pytest.raises(InputError, match="this process sees 4 GPUs: start it with .*CUDA_VISIBLE_DEVICES=0"):
        training_arguments(make_plan(tiny()))


def test_the_schedule_of_the_learning_rate_has_the_warm_up_of_the_plan(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(max_steps=20, warmup_epochs=1.0, lr_scheduler_type="constant_with_warmup"))
    trainer.create_scheduler(20)
    assert trainer.warmup_steps == 2, "a tenth of the run"
    rates = []
    for _ in range(4):
        rates.append(trainer.lr_scheduler.get_last_lr()[0] / trainer.args.learning_rate)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("kind", ["constant", "reduce_lr_on_plateau"])
def test_a_schedule_without_warm_up_says_so(tiny, kind: str) -> None:
    with pytest.raises(InputError, match=f"lr_scheduler_type {kind} has no warm-up: set --warmup_epochs 0"):
        training_arguments(make_plan(tiny(lr_scheduler_type=kind, warmup_epochs=1.0)))
    assert training_arguments(make_plan(tiny(lr_scheduler_type=kind, warmup_epochs=0.0))).lr_scheduler_type == kind


def test_a_plateau_is_one_of_the_metric_that_chooses_the_checkpoint(tiny) -> None:
    for metric, mode in {"accuracy": "max", "nll": "min"}.items():
        typed = {"metric_for_best_model": metric, "lr_scheduler_kwargs": {"factor": "1e-1"}, "warmup_epochs": 0.0}
        made = training_arguments(make_plan(tiny(lr_scheduler_type="reduce_lr_on_plateau", **typed)))
        assert made.lr_scheduler_kwargs == {"mode": mode, "factor": 0.1}


@pytest.mark.parametrize("name", ["inducter", pytest.param("NO", marks=pytest.mark.slow)])
def test_an_unknown_compiler_is_refused_with_those_that_are_known(tiny, on_cpu, name: str) -> None:
    with pytest.raises(InputError, match=rf"torch_compile_backend is '{name}'; it must be one of .*inductor"):
        training_arguments(make_plan(tiny(torch_compile_backend=name)))


@pytest.mark.parametrize("text", ["no", "False", "OFF"])
def test_a_switch_that_is_a_text_in_a_mapping_is_refused(tiny, on_cpu, text: str) -> None:
    settings = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": text}}
    with pytest.raises(InputError, match=f"use_reentrant is the text '{text}'; write true or false, without quotes"):
        training_arguments(make_plan(tiny(**settings)))


@pytest.mark.parametrize("name", ["gradient_checkpointing", "activation_checkpointing"])
def test_a_mapping_that_nothing_reads_is_refused(tiny, on_cpu, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}_kwargs is read only with --{name} true: add it, or leave"):
        training_arguments(make_plan(tiny(**{f"{name}_kwargs": {"use_reentrant": False}})))
