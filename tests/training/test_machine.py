"""What follows from a machine: batch, steps, precision, threads."""

import os
import subprocess
import sys

import pytest
import torch

from pipeline.errors import InputError
from pipeline.training import arguments, machine
from pipeline.training.arguments import training_arguments
from pipeline.training.machine import LARGEST_CPU_BATCH, resolve_batch, resolve_precision, resolve_schedule
from tests.conftest import ROOT


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")


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
    assert resolve_batch(tiny(**settings)) == expected
    per_device, accumulation, total = expected
    assert per_device * accumulation * processes == total


@pytest.mark.parametrize(
    ("settings", "processes", "told"),
    [
        ({"total_batch_size": 65}, 2, "total_batch_size 65 cannot be shared by 2 processes"),
        ({"total_batch_size": 64, "gradient_accumulation_steps": 3}, 1, "3 does not divide 64 rows per process"),
        ({"total_batch_size": 64, "gradient_accumulation_steps": 0}, 1, "accumulation_steps is 0; it must be a whole"),
        ({"per_device_train_batch_size": 0}, 1, "at least 1"),
        ({"per_device_train_batch_size": 8, "gradient_accumulation_steps": 0}, 1, "at least 1"),
    ],
)
def test_a_batch_that_cannot_be_shared_out_is_refused(tiny, on_cpu, monkeypatch, settings, processes, told) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    with pytest.raises(InputError, match=told):
        resolve_batch(tiny(**settings))


# Steps


def test_the_schedule_counts_short_batches_and_short_accumulation(tiny, on_cpu) -> None:
    schedule = resolve_schedule(tiny(total_batch_size=16, num_train_epochs=3), 70)
    assert (schedule.steps_per_epoch, schedule.total_steps) == (5, 15)
    accumulated = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4}
    assert resolve_schedule(tiny(**accumulated), 70).steps_per_epoch == 3


@pytest.mark.parametrize("epochs", [0.3, 0.5, 1, 1.5, 2.7])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_steps_are_those_that_trainer_makes(trainer_of, tiny, on_cpu, epochs: float, accumulation: int) -> None:
    batch = {"per_device_train_batch_size": 16, "gradient_accumulation_steps": accumulation}
    recipe = tiny(num_train_epochs=epochs, **batch)
    trainer = trainer_of(recipe)
    theirs = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    ours = resolve_schedule(recipe, len(trainer.train_dataset))
    assert (ours.steps_per_epoch, ours.total_steps) == (theirs[1], theirs[-1])


@pytest.mark.parametrize("warmup_epochs", [0, 0.3, 5])
@pytest.mark.parametrize("epochs", [1, 10, 50])
@pytest.mark.parametrize("max_steps", [-1, 1, 9, 64])
def test_warm_up_is_never_more_than_a_tenth_of_the_run(tiny, on_cpu, warmup_epochs, epochs, max_steps) -> None:
    recipe = tiny(warmup_epochs=warmup_epochs, num_train_epochs=epochs, max_steps=max_steps)
    schedule = resolve_schedule(recipe, 320)  # 20 steps an epoch
    assert schedule.warmup_steps <= schedule.total_steps / 10
    assert schedule.warmup_steps <= warmup_epochs * 20
    if max_steps == -1:
        assert schedule.warmup_steps == min(int(warmup_epochs * 20), epochs * 2)


def test_a_run_cut_short_keeps_the_shares_of_warm_up_and_mixing(tiny, on_cpu) -> None:
    settings = {"num_train_epochs": 50, "warmup_epochs": 2, "mix_off_epoch": 40}
    whole, half = (resolve_schedule(tiny(**settings, max_steps=steps), 320) for steps in (-1, 500))
    assert (whole.total_steps, whole.warmup_steps, whole.mix_off_epoch) == (1000, 40, 40.0)
    assert (half.total_steps, half.warmup_steps, half.mix_off_epoch) == (500, 20, 20.0)
    longer = resolve_schedule(tiny(**settings, max_steps=2000), 320)
    assert (longer.total_steps, longer.warmup_steps, longer.mix_off_epoch) == (2000, 40, 40.0)
    assert resolve_schedule(tiny(max_steps=5), 320).mix_off_epoch is None


def test_more_processes_make_fewer_steps_of_the_same_total(tiny, on_cpu, monkeypatch) -> None:
    alone = resolve_schedule(tiny(total_batch_size=16), 320)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert resolve_schedule(tiny(total_batch_size=16), 320) == alone
    assert resolve_schedule(tiny(per_device_train_batch_size=16), 320).steps_per_epoch == 5


# Precision


def test_fp16_on_a_cpu_is_refused_for_it_would_train_in_float32(on_cpu) -> None:
    with pytest.raises(InputError, match="precision fp16 needs CUDA, and this run is on cpu; use --precision"):
        resolve_precision("fp16")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_wish_that_can_be_met_is_met(on_cpu, precision: str) -> None:
    assert resolve_precision(precision) == (precision, "asked for")


def test_auto_on_a_cpu_follows_its_units_and_says_why(on_cpu) -> None:
    precision, reason = resolve_precision("auto")
    assert (precision, "bf16 units" in reason) in {("bf16", True), ("fp32", True)}
    assert (precision == "fp32") == reason.endswith("without bf16 units")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_auto_on_cuda_is_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert resolve_precision("auto") == ("fp16", "CUDA")


@pytest.mark.parametrize(("launched", "asked"), [("bf16", "fp32"), ("fp16", "fp32"), ("no", "bf16"), ("fp16", "bf16")])
def test_the_recipes_precision_wins_over_the_launchers(trainer_of, tiny, on_cpu, monkeypatch, launched, asked) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    accelerator = trainer_of(tiny(precision=asked)).accelerator
    assert accelerator.mixed_precision == {"bf16": "bf16", "fp32": "no"}[asked]


def test_accelerate_use_cpu_keeps_a_run_off_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("1", "true", "YES"):
        monkeypatch.setenv("ACCELERATE_USE_CPU", word)
        assert machine.device_type() == "cpu"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    assert (machine.device_type() == "cpu") == (not torch.accelerator.is_available())


# Threads


def threads_of_a_process(**environment: str) -> tuple[int, int]:
    """Threads of torch in a new process: at first, and after it took its share."""
    code = "import torch; from pipeline.training.machine import use_all_cores; before = torch.get_num_threads()\n"
    code += "told = use_all_cores(); assert told == torch.get_num_threads(); print(before, told)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    before, after = ended.stdout.split()
    return int(before), int(after)


def test_one_thread_set_by_accelerate_launch_is_undone() -> None:
    assert threads_of_a_process(OMP_NUM_THREADS="1") == (1, machine.cores())


def test_processes_on_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for local, threads in ((1, machine.cores()), (2, max(1, machine.cores() // 2)), (10_000, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
        assert machine.use_all_cores() == torch.get_num_threads() == threads


# Where batches are made


@pytest.mark.parametrize(
    ("device", "workers", "on_gpu"), [("cuda", 0, True), ("cuda", 2, False), ("cpu", 0, False), ("mps", 0, False)]
)
def test_batches_are_made_on_a_gpu_unless_workers_make_them(tiny, monkeypatch, device, workers, on_gpu) -> None:
    for room in (machine, arguments):
        monkeypatch.setattr(room, "device_type", lambda: device)
    assert machine.makes_batches_on_gpu(workers) is on_gpu
    made = training_arguments(tiny(dataloader_num_workers=workers, per_device_train_batch_size=4))
    assert made.dataloader_pin_memory is (device != "cpu" and not on_gpu)  # only main memory can be pinned


# What Trainer would do by itself


def test_evaluation_falls_on_every_checkpoint_whatever_was_typed(tiny) -> None:
    for typed in ({"save_strategy": "steps"}, {"save_steps": 7}, {"save_strategy": "steps", "logging_steps": 3}):
        made = training_arguments(tiny(**typed))
        assert made.eval_strategy == made.save_strategy == "steps"
        assert made.eval_steps == made.save_steps == typed.get("save_steps", 500)


def test_one_process_that_sees_several_gpus_is_refused(tiny, monkeypatch) -> None:
    monkeypatch.setattr(arguments.TrainingArguments, "n_gpu", property(lambda self: 4))
    with pytest.raises(InputError, match="this process sees 4 GPUs: start it with .*CUDA_VISIBLE_DEVICES=0"):
        training_arguments(tiny())


@pytest.mark.parametrize("kind", ["constant", "reduce_lr_on_plateau"])
def test_a_schedule_without_warm_up_says_so(tiny, kind: str) -> None:
    with pytest.raises(InputError, match=f"lr_scheduler_type {kind} has no warm-up: set --warmup_epochs 0"):
        training_arguments(tiny(lr_scheduler_type=kind, warmup_epochs=1.0))
    assert training_arguments(tiny(lr_scheduler_type=kind, warmup_epochs=0.0)).lr_scheduler_type == kind


def test_a_plateau_is_one_of_what_chooses_the_checkpoint(tiny) -> None:
    for metric, mode in {"accuracy": "max", "nll": "min"}.items():
        typed = {"metric_for_best_model": metric, "lr_scheduler_kwargs": {"factor": "1e-1"}, "warmup_epochs": 0.0}
        made = training_arguments(tiny(lr_scheduler_type="reduce_lr_on_plateau", **typed))
        assert made.lr_scheduler_kwargs == {"mode": mode, "factor": 0.1}


# What is written down


def test_the_description_names_versions_and_hardware_but_no_person_and_no_host() -> None:
    import getpass
    import socket

    said = machine.describe()
    assert said["packages"].keys() == set(machine.PACKAGES)
    assert said["cores"] >= 1 and said["device"] and said["processor"]
    words = str(said).replace("'", " ").split()
    assert not {getpass.getuser(), socket.gethostname()} & set(words)
    assert machine.peak_memory_gib()["resident"] > 0.1
