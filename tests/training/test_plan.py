"""What a recipe comes to on a machine: batch, steps, precision, threads."""

import dataclasses
import os
import subprocess
import sys

import pytest
import torch

from pipeline.cores import cores
from pipeline.errors import InputError
from pipeline.training import machine
from pipeline.training.arguments import training_arguments
from pipeline.training.plan import LARGEST_CPU_BATCH, Plan, make_plan, resolve_precision
from tests.conftest import ROOT


def batch_of(plan: Plan) -> tuple[int, int, int]:
    return plan.rows_per_device, plan.accumulation, plan.rows_per_step


# Rows per device x accumulation x processes


@pytest.mark.parametrize(
    ("settings", "processes", "expected"),
    [
        ({"total_batch_size": 64}, 1, (64, 1, 64)),
        ({"total_batch_size": 64}, 2, (32, 1, 64)),
        ({"total_batch_size": 512}, 1, (LARGEST_CPU_BATCH, 8, 512)),
        ({"total_batch_size": 512}, 8, (64, 1, 512)),
        ({"total_batch_size": 64, "image_size": 224}, 1, (LARGEST_CPU_BATCH // 2, 2, 64)),
        ({"total_batch_size": 64, "image_size": 160}, 1, (32, 2, 64)),
        ({"total_batch_size": 2, "image_size": 11200}, 1, (1, 2, 2)),
        ({"total_batch_size": 129}, 1, (43, 3, 129)),
        ({"total_batch_size": 131}, 1, (1, 131, 131)),
        ({"total_batch_size": 1}, 1, (1, 1, 1)),
        ({"per_device_train_batch_size": 8}, 1, (8, 1, 8)),
        ({"per_device_train_batch_size": 8, "total_batch_size": 64}, 2, (8, 1, 16)),
        ({"per_device_train_batch_size": 8, "gradient_accumulation_steps": 3}, 2, (8, 3, 48)),
        ({"total_batch_size": 64, "gradient_accumulation_steps": 4}, 1, (16, 4, 64)),
        ({"total_batch_size": 64, "gradient_accumulation_steps": 4}, 2, (8, 4, 64)),
    ],
)
def test_typed_values_win_and_the_total_follows(tiny, on_cpu, monkeypatch, settings, processes, expected) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert batch_of(make_plan(tiny(**settings))) == expected
    per_device, accumulation, total = expected
    assert per_device * accumulation * processes == total


@pytest.mark.parametrize(
    ("settings", "processes", "message"),
    [
        ({"total_batch_size": 65}, 2, "total_batch_size 65 cannot be split evenly over 2 processes"),
        ({"total_batch_size": 64, "gradient_accumulation_steps": 3}, 1, "3 does not divide 64 rows per process"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(tiny, on_cpu, monkeypatch, settings, processes, message) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    with pytest.raises(InputError, match=message):
        make_plan(tiny(**settings))


# Steps


def test_the_schedule_counts_short_batches_and_short_accumulation(tiny, on_cpu) -> None:
    schedule = make_plan(tiny(total_batch_size=16, num_train_epochs=3)).schedule(70)
    assert (schedule.steps_per_epoch, schedule.total_steps) == (5, 15)
    accumulated = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4}
    assert make_plan(tiny(**accumulated)).schedule(70).steps_per_epoch == 3


@pytest.mark.parametrize("epochs", [0.3, 0.5, 1, 1.5, 2.7])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_steps_are_those_that_trainer_makes(trainer_of, tiny, on_cpu, epochs: float, accumulation: int) -> None:
    batch = {"per_device_train_batch_size": 16, "gradient_accumulation_steps": accumulation}
    recipe = tiny(num_train_epochs=epochs, **batch)
    trainer = trainer_of(recipe)
    theirs = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    ours = make_plan(recipe).schedule(len(trainer.train_dataset))
    assert (ours.steps_per_epoch, ours.total_steps) == (theirs[1], theirs[-1])


@pytest.mark.parametrize("warmup_epochs", [0, 0.3, 5])
@pytest.mark.parametrize("epochs", [1, 10, 50])
@pytest.mark.parametrize("max_steps", [-1, 1, 9, 64])
def test_warm_up_is_never_more_than_a_tenth_of_the_run(tiny, on_cpu, warmup_epochs, epochs, max_steps) -> None:
    recipe = tiny(warmup_epochs=warmup_epochs, num_train_epochs=epochs, max_steps=max_steps)
    schedule = make_plan(recipe).schedule(320)  # 20 steps an epoch
    assert schedule.warmup_steps <= schedule.total_steps / 10
    assert schedule.warmup_steps <= warmup_epochs * 20
    if max_steps == -1:
        assert schedule.warmup_steps == min(int(warmup_epochs * 20), epochs * 2)


def test_a_run_cut_short_keeps_the_shares_of_warm_up_and_mixing(tiny, on_cpu) -> None:
    settings = {"num_train_epochs": 50, "warmup_epochs": 2, "mix_off_epoch": 40}
    whole, half = (make_plan(tiny(**settings, max_steps=steps)).schedule(320) for steps in (-1, 500))
    assert (whole.total_steps, whole.warmup_steps, whole.mix_off_epoch) == (1000, 40, 40.0)
    assert (half.total_steps, half.warmup_steps, half.mix_off_epoch) == (500, 20, 20.0)
    longer = make_plan(tiny(**settings, max_steps=2000)).schedule(320)
    assert (longer.total_steps, longer.warmup_steps, longer.mix_off_epoch) == (2000, 40, 40.0)
    assert make_plan(tiny(max_steps=5)).schedule(320).mix_off_epoch is None


def test_more_processes_make_fewer_steps_of_the_same_total(tiny, on_cpu, monkeypatch) -> None:
    one = make_plan(tiny(total_batch_size=16)).schedule(320)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert make_plan(tiny(total_batch_size=16)).schedule(320) == one
    assert make_plan(tiny(per_device_train_batch_size=16)).schedule(320).steps_per_epoch == 5


# Precision


def test_fp16_on_a_cpu_is_refused_because_it_would_train_in_float32(on_cpu) -> None:
    with pytest.raises(InputError, match="precision fp16 needs CUDA, and this run is on cpu; use --precision"):
        resolve_precision("fp16")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_an_explicit_precision_that_is_supported_is_used(on_cpu, precision: str) -> None:
    assert resolve_precision(precision) == (precision, "asked for")


def test_auto_on_a_cpu_follows_its_units_and_says_why(on_cpu) -> None:
    precision, reason = resolve_precision("auto")
    assert (precision, "bf16 units" in reason) in {("bf16", True), ("fp32", True)}
    assert (precision == "fp32") == reason.endswith("without bf16 units")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_auto_on_cuda_is_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert resolve_precision("auto") == ("fp16", "CUDA")


# Threads


def test_one_thread_set_by_accelerate_launch_is_undone() -> None:
    code = "import torch; from pipeline.training import machine; before = torch.get_num_threads()\n"
    code += "machine.use_threads(2); print(before, torch.get_num_threads())"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1", "2"]


def test_processes_on_one_machine_share_its_cores(tiny, monkeypatch) -> None:
    for local, threads in ((1, cores()), (2, max(1, cores() // 2)), (10_000, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
        assert make_plan(tiny()).threads == threads


def test_threads_of_the_environment_are_not_read_and_the_plan_says_so(tiny, monkeypatch, on_cpu) -> None:
    for launcher in ("ACCELERATE_MIXED_PRECISION", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(launcher, raising=False)
    words = " (OMP_NUM_THREADS=7 is not read: use --threads)"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert f"{cores()} threads each{words}," in make_plan(tiny()).describe()
    assert "1 threads each," in make_plan(tiny(threads=1)).describe()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert (cores() > 1) == ("=1 is not read" in make_plan(tiny()).describe())
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert "OMP" not in make_plan(tiny()).describe(), "the launcher may have set it"


def test_more_threads_than_cores_are_refused(tiny, monkeypatch) -> None:
    with pytest.raises(InputError, match=rf"threads is {cores() + 1}, and each process has {cores()} core"):
        make_plan(tiny(threads=cores() + 1))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(cores()))
    with pytest.raises(InputError, match=r"threads is 2, and each process has 1 core\(s\) here; lower it"):
        make_plan(tiny(threads=2))


# Where batches are made


@pytest.mark.parametrize(
    ("device", "workers", "on_gpu"), [("cuda", 0, True), ("cuda", 2, False), ("cpu", 0, False), ("mps", 0, False)]
)
def test_batches_are_made_on_a_gpu_unless_workers_make_them(tiny, monkeypatch, device, workers, on_gpu) -> None:
    monkeypatch.setattr(machine, "device_type", lambda: device)
    plan = make_plan(tiny(dataloader_num_workers=workers, per_device_train_batch_size=4))
    assert plan.batches_on_gpu is on_gpu
    made = training_arguments(plan)
    assert made.dataloader_pin_memory is (device != "cpu" and not on_gpu)  # only main memory can be pinned


# Decided once


def test_a_plan_and_its_schedule_cannot_be_changed(tiny) -> None:
    plan = make_plan(tiny())
    for made, name in ((plan, "threads"), (plan.schedule(100), "warmup_steps")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, name, 7)


def test_a_plan_says_what_its_settings_come_to(tiny, on_cpu, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    plan = make_plan(tiny(total_batch_size=128, precision="auto"))
    of_machine, of_batch = plan.describe().splitlines()
    assert plan.recipe.precision in ("fp32", "bf16")
    assert of_machine == (
        f"machine: 1 process(es), {cores()} threads each, precision {plan.recipe.precision} ({plan.precision_reason})"
    )
    assert of_batch == "batch: 128 rows = 1 x 64 x 2 (processes x per device x accumulation)"
    assert plan.schedule(128_000).describe() == "steps: 2,000 (1,000 an epoch, warm-up 200)"
