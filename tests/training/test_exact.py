"""A run that was killed, stopped, accumulated or spread over processes gives the same result, to the last bit."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from pipeline.errors import InputError, Stopped
from pipeline.run_folder import read_json
from pipeline.training.interruption import Interruption
from pipeline.training.memory import advice
from pipeline.training.trainer import ExpressionTrainer
from tests.conftest import ROOT, STILL, process_of, run_train_hf, wait_for_checkpoint, write_recipe
from tests.killed import POINTS
from train_hf import main

# Everything that has a state of its own is on. Six steps an epoch: checkpoints lie in mid-epoch, and so does the end;
# the last step has 4 rows, none of them for a second process.
EXACT = {
    "max_steps": 16,
    "save_strategy": "steps",
    "save_steps": 4,
    "logging_steps": 3,
    "save_total_limit": 2,
    "cutmix": 0.4,
    "mixup": 0.4,
    "ema_decay": 0.9,
    "drop_path": 0.2,
    "class_balance": "sampler",
    "early_stopping": 3,
    "drawn_faces": 110,
    "max_train_samples": 84,
}


def trained(folder: Path, **settings: Any) -> Path:
    """The recipe of a run that was made in `folder / "run"` without interruption."""
    recipe = write_recipe(folder / "exact.yaml", output_dir=str(folder / "run"), **EXACT | settings)
    main([str(recipe)])
    return recipe


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of an undisturbed run, to compare every disturbed one with."""
    return trained(tmp_path_factory.mktemp("undisturbed"))


def assert_same_run(ours: Path, theirs: Path, curves: bool = True) -> None:
    """Weights, predictions, metrics and figures are equal, to the last bit."""
    last = max(theirs.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    for name in (p.relative_to(theirs) for folder in (theirs, last) for p in folder.glob("*.safetensors")):
        one, two = load_file(ours / name), load_file(theirs / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[tensor], two[tensor]) for tensor in one), name
    assert pq.read_table(ours / "predictions.parquet").equals(pq.read_table(theirs / "predictions.parquet"))
    for name in ("results.csv", "curation.json", "config.json"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    one, two = (read_json(run / "evaluation.json") for run in (ours, theirs))
    assert one | {"sha256": None} == two | {"sha256": None}, "the seal holds the hash of environment.json, and so times"
    figures = [p.name for p in (theirs / "figures").iterdir() if curves or p.name != "learning_curves.png"]
    for name in figures:
        assert (ours / "figures" / name).read_bytes() == (theirs / "figures" / name).read_bytes(), name
    assert not (ours / ".unfinished").exists()


def resumed_from(run: Path) -> list[int]:
    return json.loads((run / "environment.json").read_text())["resumed_from"]


# Killed


def killed(point: str, *words: str) -> None:
    """`train_hf.py WORDS`, killed at `point`."""
    command = [sys.executable, "-m", "tests.killed", point, *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, start_new_session=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


CHECKPOINT_AFTER = {
    "in a step": 4,
    "in an evaluation": 12,
    "in the averages of a checkpoint": 8,
    "in the optimizer of a checkpoint": 8,
    "in the state of a checkpoint": 8,
    "in the removal of a checkpoint": 16,
    "after the last step": 16,
    "in the predictions": 16,
    "in the seal": 16,
}
OTHER_SETTINGS = [
    {"dataloader_num_workers": 2},
    {"class_balance": "none", "ema_decay": 0.0},
    {"class_balance": "weights", "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    {"precision": "bf16"},
    {"save_strategy": "epoch", "max_steps": 18},
]
QUICK = {"in the optimizer of a checkpoint"}


@pytest.mark.parametrize("point", [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in POINTS])
def test_a_run_killed_anywhere_and_resumed_gives_the_same_run(undisturbed: Path, tmp_path: Path, point: str) -> None:
    words = [str(undisturbed), "--output_dir", str(tmp_path / "run")]
    killed(point, *words)
    assert not (tmp_path / "run" / "evaluation.json").exists()
    resumed = run_train_hf(*words, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed_from(tmp_path / "run") == [CHECKPOINT_AFTER[point]]
    half_written = "of a checkpoint" in point and "removal" not in point
    assert ("checkpoint-12 was not written to its end and is passed over" in resumed.stdout) == half_written
    assert_same_run(tmp_path / "run", undisturbed.parent / "run")


@pytest.mark.slow
@pytest.mark.parametrize("settings", OTHER_SETTINGS, ids=str)
@pytest.mark.parametrize("point", ["in a step", "in the optimizer of a checkpoint"])
def test_workers_and_other_settings_resume_exactly_too(tmp_path: Path, point: str, settings: dict) -> None:
    words = [str(trained(tmp_path, **settings)), "--output_dir", str(tmp_path / "killed")]
    killed(point, *words)
    assert run_train_hf(*words, "--resume").returncode == 0
    assert_same_run(tmp_path / "killed", tmp_path / "run")


# Stopped


@pytest.mark.slow
def test_an_interrupted_runs_weights_start_another_run(undisturbed: Path, tmp_path: Path) -> None:
    """The way out that the refusal of other settings names."""
    words = [str(undisturbed), "--output_dir", str(tmp_path / "run")]
    killed("in a step", *words)
    with pytest.raises(InputError, match="learning_rate .*--checkpoint") as message:
        main([*words, "--resume", "--learning_rate", "1e-4"])
    start = str(message.value).split()[-1]
    assert start == str(tmp_path / "run" / "checkpoint-4")
    main([str(undisturbed), "--learning_rate", "1e-4", "--checkpoint", start, "--output_dir", str(tmp_path / "other")])
    assert (tmp_path / "other" / "evaluation.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stopped_run_saves_a_checkpoint_and_says_how_to_continue(undisturbed: Path, tmp_path: Path, number) -> None:
    run = tmp_path / "run"
    words = [str(undisturbed), "--output_dir", str(run)]
    process = process_of(*words)
    try:
        wait_for_checkpoint(process, run, 4)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    message = err.splitlines()[-1]
    step = int(message.split("checkpoint-")[1].split()[0])
    assert message == (
        f"stopped by {number.name} after step {step}: checkpoint-{step} is saved, and the same command with --resume "
        "goes on from it"
    )
    assert 4 < step < 16, "the run was over before the signal"
    assert run_train_hf(*words, "--resume").returncode == 0
    assert resumed_from(run) == [step]
    assert_same_run(run, undisturbed.parent / "run", curves=False)  # the stop is one more point of the loss curve


class _Signal(TrainerCallback):
    """Sends this process a signal after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self.step:
            signal.raise_signal(signal.SIGTERM)


QUICK_STEPS = {1, 5, 8, 13}  # the first, the last of an epoch, one that is saved anyway, the last of all


@pytest.mark.parametrize("settings", [{"save_strategy": "epoch"}, {"save_strategy": "steps", "save_steps": 4}], ids=str)
@pytest.mark.parametrize(
    "step", [n if n in QUICK_STEPS else pytest.param(n, marks=pytest.mark.slow) for n in range(1, 14)]
)
def test_stopped_after_any_step_a_run_goes_on_as_if_nothing_was(trainer_of, tiny, settings: dict, step: int) -> None:
    recipe = tiny(max_steps=13, ema_decay=0.9, save_total_limit=99, **settings)  # 70 rows: five steps an epoch
    whole = trainer_of(recipe, "whole")
    whole.train()
    stop = Interruption()
    stopped = trainer_of(recipe, "stopped", [_Signal(step), stop])
    with pytest.raises(Stopped) as message, stop:
        stopped.train()
    assert message.value.code == 143 and f"after step {step}:" in str(message.value)
    resumed = trainer_of(recipe, "stopped")
    resumed.train(resume_from_checkpoint=str(Path(stopped.args.output_dir) / f"checkpoint-{step}"))
    evaluations = [[e for e in t.state.log_history if "eval_nll" in e] for t in (whole, resumed)]
    assert [(e["step"], e["eval_nll"]) for e in evaluations[0]] == [(e["step"], e["eval_nll"]) for e in evaluations[1]]
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


def test_a_second_signal_ends_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        _signal_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _signal_twice() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_a_run_that_early_stopping_ended_is_not_trained_further(trainer_of, tiny) -> None:
    every_step = {"max_steps": 9, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 9}
    recipe = tiny(early_stopping=3, learning_rate=1e-12, **every_step)
    whole = trainer_of(recipe, "whole")
    whole.train()
    last = Path(whole.args.output_dir) / f"checkpoint-{whole.state.global_step}"
    resumed = trainer_of(recipe, "whole")
    resumed.train(resume_from_checkpoint=str(last))
    assert resumed.state.global_step == whole.state.global_step == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


def test_a_run_folder_moved_between_two_resumptions_keeps_its_best_checkpoint(trainer_of, tiny, tmp_path: Path) -> None:
    recipe = tiny(max_steps=6, save_strategy="steps", save_steps=1, save_total_limit=9, learning_rate=1e-12)
    whole = trainer_of(recipe, "whole")
    whole.train()
    assert whole.state.best_global_step == 1
    (tmp_path / "whole").rename(tmp_path / "moved")
    for step in (4, 6):
        resumed = trainer_of(recipe, "moved")
        resumed.train(resume_from_checkpoint=str(tmp_path / "moved" / f"checkpoint-{step}"))
        assert resumed.state.best_model_checkpoint == str(tmp_path / "moved" / "checkpoint-1")
        assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


# Several processes


def launch(*words: str, processes: int = 2, **environment: str) -> subprocess.CompletedProcess[str]:
    """`accelerate launch train_hf.py WORDS` with processes that find each other through gloo."""
    accelerate = shutil.which("accelerate", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = [str(accelerate), "launch", "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "train_hf.py", *words]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1"} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def weights(run: Path) -> torch.Tensor:
    return torch.cat([t.flatten() for _, t in sorted(load_file(run / "model.safetensors").items())])


SGD = {"optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant", "weight_decay": 0.0, "max_grad_norm": 0.0}
SGD |= {"warmup_epochs": 0.0, "ema_decay": 0.0, "save_strategy": "epoch", "num_train_epochs": 1, **STILL}


@pytest.mark.parametrize(
    "balance", ["weights", *(pytest.param(b, marks=pytest.mark.slow) for b in ("none", "logit_adjustment", "sampler"))]
)
def test_70_rows_make_the_same_gradients_in_any_number_of_batches_and_processes(tmp_path: Path, balance: str) -> None:
    """An epoch of plain SGD at learning rate 1: the weights move by the gradients of 64 rows, and of the last 6."""
    made = SGD | {"drawn_faces": 110, "max_train_samples": 70, "class_balance": balance}
    recipe = str(write_recipe(tmp_path / "sgd.yaml", **made))
    batches = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps"]
    main([recipe, "--per_device_train_batch_size", "64", "--output_dir", str(tmp_path / "whole")])
    main([recipe, *batches, "8", "--output_dir", str(tmp_path / "accumulated")])
    ended = launch(recipe, *batches, "4", "--output_dir", str(tmp_path / "two"))
    assert ended.returncode == 0, ended.stderr
    whole, accumulated, two = (weights(tmp_path / name) for name in ("whole", "accumulated", "two"))
    assert (whole - accumulated).abs().max() < 1e-6
    assert (whole - two).abs().max() < 1e-6
    assert "rows: train 70" in ended.stdout and "steps: 2 (" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["none", "sampler", "weights", "logit_adjustment"])
def test_two_processes_are_one_with_twice_the_accumulation(tmp_path: Path, balance: str) -> None:
    """50 steps of AdamW with augmentation, CutMix, mixup and averages on; the epochs end in mid-batch."""
    made = EXACT | {"max_steps": 50, "save_steps": 10, "class_balance": balance, "early_stopping": 0, "drop_path": 0.0}
    recipe = str(write_recipe(tmp_path / "two.yaml", **made))
    batches = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps"]
    main([recipe, *batches, "2", "--output_dir", str(tmp_path / "one")])
    ended = launch(recipe, *batches, "1", "--output_dir", str(tmp_path / "two"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("next: python") == 1, "only rank 0 prints"
    for name in ("model.safetensors", "checkpoint-50/model.safetensors", "checkpoint-50/ema.safetensors"):
        one, two = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
        assert max((one[tensor] - two[tensor]).abs().max().item() for tensor in one) < 1e-4, name
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2
    tables = [pq.read_table(tmp_path / name / "predictions.parquet") for name in ("one", "two")]
    assert tables[0]["key"].equals(tables[1]["key"]), "every row is evaluated once"
    assert np.allclose(*(np.stack(t["logits"].to_numpy()) for t in tables), atol=1e-3)
    states = [json.loads((tmp_path / n / "checkpoint-50" / "trainer_state.json").read_text()) for n in ("one", "two")]
    curves = [[e["eval_nll"] for e in state["log_history"] if "eval_nll" in e] for state in states]
    assert np.allclose(*curves, atol=1e-4) and len(curves[0]) == 5, "the evaluations of the run count every row once"


@pytest.mark.slow
def test_two_processes_killed_and_resumed_are_the_run_left_alone_and_stay_two(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path / "two.yaml", **EXACT))
    assert launch(recipe, "--output_dir", str(tmp_path / "undisturbed")).returncode == 0
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.killed", "in the optimizer of a checkpoint", recipe, "--output_dir", str(run)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, start_new_session=True, timeout=300)
    one = run_train_hf(recipe, "--output_dir", str(run), "--resume")
    assert one.returncode == 2 and "a run of 2 process(es) and this launch has 1: go on with 2" in one.stderr
    ended = launch(recipe, "--output_dir", str(run), "--resume")
    assert ended.returncode == 0, ended.stderr
    assert resumed_from(run) == [8], "in the middle of the second epoch"
    assert_same_run(run, tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_processes_asked_to_stop_save_the_same_step(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path / "two.yaml", **EXACT | {"max_steps": 100, "early_stopping": 0}))
    assert launch(recipe, "--output_dir", str(tmp_path / "undisturbed")).returncode == 0
    run = tmp_path / "stopped"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = subprocess.Popen(
        [*command, "train_hf.py", recipe, "--output_dir", str(run)],
        cwd=ROOT, env=os.environ | {"ACCELERATE_USE_CPU": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_checkpoint(process, run, 4)
    process.send_signal(signal.SIGTERM)  # to the launcher, which passes it on
    _, err = process.communicate(timeout=100)
    steps = set(re.findall(r"stopped by SIGTERM after step (\d+)", err))
    assert len(steps) == 1 and err.count("stopped by SIGTERM") == 2, err
    ended = launch(recipe, "--output_dir", str(run), "--resume")
    assert ended.returncode == 0 and resumed_from(run) == [int(steps.pop())]
    one, two = (load_file(p / "model.safetensors") for p in (run, tmp_path / "undisturbed"))
    assert all(torch.equal(one[tensor], two[tensor]) for tensor in one)


@pytest.mark.slow
def test_a_rank_that_fails_ends_the_other_within_seconds(tmp_path: Path) -> None:
    made = EXACT | {"output_dir": str(tmp_path / "run"), "max_steps": 100000, "early_stopping": 0}
    recipe = str(write_recipe(tmp_path / "two.yaml", **made))
    code = "import os, sys, train_hf; from pipeline.training.trainer import ExpressionTrainer as T\n"
    code += "step = T.training_step\n"
    code += "def failing(self, *words):\n"
    code += "    if os.environ['RANK'] == '1' and self.state.global_step == 20: sys.exit('rank 1 failed')\n"
    code += "    return step(self, *words)\n"
    code += "T.training_step = failing; train_hf.main(sys.argv[1:])"
    (tmp_path / "failing.py").write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1", "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    ended = subprocess.run(
        [*command, str(tmp_path / "failing.py"), recipe],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode != 0 and "rank 1 failed" in ended.stderr
    assert time.monotonic() - started < 100
    assert not (tmp_path / "run" / "evaluation.json").exists()


@pytest.mark.slow
def test_a_launcher_that_was_asked_for_two_and_starts_one_is_refused(tmp_path: Path) -> None:
    accelerate = shutil.which("accelerate", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    ended = subprocess.run(
        [str(accelerate), "launch", "--cpu", "--num_processes", "2", "train_hf.py", "--output_dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "asked for several processes and started only one; on a CPU launch with" in ended.stderr
    assert not list(tmp_path.iterdir())


# Half precision without a GPU: autocast to fp16 and the scaler run on a CPU too, slowly


def scaled(trainer: ExpressionTrainer, scale: float) -> torch.amp.GradScaler:
    """Give a trainer what accelerate gives it on CUDA for fp16."""
    accelerator = trainer.accelerator
    accelerator.state._mixed_precision, accelerator.native_amp = "fp16", True
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)
    return accelerator.scaler


def test_a_step_that_the_scaler_skips_moves_neither_weights_nor_averages_nor_schedule(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(max_steps=1, ema_decay=0.5, warmup_epochs=0.0, save_strategy="epoch"))
    before = [p.clone() for p in trainer.model.parameters()]
    for tensor in trainer.ema.average.values():
        tensor += 1  # away from the weights: a move towards them would be seen
    average = {name: t.clone() for name, t in trainer.ema.average.items()}
    scaler = scaled(trainer, 2.0**127)
    seen = _Seen(trainer)
    trainer.add_callback(seen)
    trainer.train()
    assert scaler.get_scale() == 2.0**126, "the step overflowed and was skipped"
    assert trainer.lr_scheduler.last_epoch == 0 and seen.rates == [trainer.args.learning_rate]
    assert all(torch.equal(a, b) for a, b in zip(before, seen.weights, strict=True))
    assert all(torch.equal(average[name], t) for name, t in trainer.ema.average.items())


class _Seen(TrainerCallback):
    """The learning rate of every step, and the weights after the last, before the averages take their place."""

    def __init__(self, trainer: ExpressionTrainer) -> None:
        self.trainer = trainer
        self.rates: list[float] = []
        self.weights: list[torch.Tensor] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.rates.append(max(g["lr"] for g in self.trainer.optimizer.param_groups))
        self.weights = [p.detach().clone() for p in self.trainer.model.parameters()]


def test_clipping_sees_unscaled_gradients_and_the_scale_is_logged(trainer_of, tiny) -> None:
    recipe = tiny(max_steps=6, max_grad_norm=0.01, logging_steps=1, optim="sgd", learning_rate=1.0, ema_decay=0.0)
    plain, half = trainer_of(recipe, "plain"), trainer_of(recipe, "half")
    scaled(half, 2.0**10)
    start = torch.cat([p.detach().clone().flatten() for p in plain.model.parameters()])
    plain.train()
    half.train()
    norms = [[e["grad_norm"] for e in t.state.log_history if "grad_norm" in e] for t in (plain, half)]
    assert np.allclose(*norms, rtol=0.02) and norms[0][0] > 0.01
    moved, also = (torch.cat([p.flatten() for p in t.model.parameters()]) - start for t in (plain, half))
    assert torch.nn.functional.cosine_similarity(moved, also, dim=0) > 0.99
    assert moved.norm().item() == pytest.approx(also.norm().item(), rel=0.02)
    assert {e["loss_scale"] for e in half.state.log_history if "loss" in e} == {1024.0}


def test_resume_restores_the_scaler(trainer_of, tiny) -> None:
    recipe = tiny(max_steps=6, save_strategy="steps", save_steps=3, save_total_limit=9)
    whole = trainer_of(recipe, "whole")
    scaled(whole, 2.0**126)
    whole.train()
    resumed = trainer_of(recipe, "resumed")
    scaled(resumed, 1.0)
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-3"))
    assert resumed.accelerator.scaler.get_scale() == whole.accelerator.scaler.get_scale() < 2.0**126
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


# What is not finite


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_rows(trainer_of, tiny, value: float) -> None:
    trainer = trainer_of(tiny(max_steps=9, save_strategy="steps", save_steps=2, total_batch_size=8))
    seen: list[list[str]] = []

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        seen.append([trainer.train_keys[i] for i in trainer.rows_of_step.tolist()])
        return gradient * (value if len(seen) == 4 else 1.0)

    trainer.model.classifier.bias.register_hook(poison)
    with pytest.raises(InputError, match=r"gradient's norm is (nan|inf) at step 4, learning rate .*") as message:
        trainer.train()
    assert str(message.value).endswith("the rows of the step were " + ", ".join(seen[3]))
    assert len(seen[3]) == 8
    good = load_file(Path(trainer.args.output_dir) / "checkpoint-2" / "model.safetensors")
    assert all(torch.isfinite(t).all() for t in good.values())


def test_a_loss_scale_that_only_falls_is_not_halved_for_ever(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(max_steps=50))
    scaled(trainer, 8.0)
    trainer.model.classifier.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(InputError, match="the gradient overflows at loss scale 0.5 at step 5"):
        trainer.train()


# Unusual machines


def test_checkpoints_are_kept_by_step_when_the_clock_jumps_back(trainer_of, tiny) -> None:
    """Each checkpoint is given an older file time than the one before."""

    class Backwards(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            past = time.time() - 1000 * state.global_step
            os.utime(Path(args.output_dir) / f"checkpoint-{state.global_step}", (past, past))

    trainer = trainer_of(
        tiny(max_steps=6, save_strategy="steps", save_steps=1, save_total_limit=2), callbacks=[Backwards()]
    )
    trainer.train()
    kept = {int(p.name.split("-")[1]) for p in Path(trainer.args.output_dir).glob("checkpoint-*")}
    assert 6 in kept and kept <= {5, 6, trainer.state.best_global_step}


@pytest.mark.slow
def test_spawned_workers_give_the_batches_of_this_process(trainer_of, tiny) -> None:
    recipe = tiny(cutmix=0.5, dataloader_num_workers=2)
    trainer = trainer_of(recipe)
    collate, rows, sampler = trainer.train_collator, trainer.train_dataset, trainer.train_sampler
    loader = functools.partial(torch.utils.data.DataLoader, rows, 16, sampler=sampler, collate_fn=collate)
    for here, there in zip(loader(), loader(num_workers=2, multiprocessing_context="spawn"), strict=True):
        assert here.keys() == there.keys() and all(torch.equal(here[name], there[name]) for name in here)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are counted by affinity")
def test_one_core_is_enough(train_hf) -> None:
    ended = train_hf(settings={"max_steps": 2}, before=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    assert ended.returncode == 0 and "1 threads each" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_cache_removed_in_mid_run_does_no_harm(undisturbed: Path, tmp_path: Path, workers: str) -> None:
    cache, run = tmp_path / "cache", tmp_path / "run"
    words = [str(undisturbed), "--output_dir", str(run), "--dataloader_num_workers", workers]
    process = process_of(*words, env=os.environ | {"HF_DATASETS_CACHE": str(cache)})
    try:
        wait_for_checkpoint(process, run, 4)
        assert any(cache.rglob("*.arrow"))
        shutil.rmtree(cache, ignore_errors=True)
        _, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 0, err
    one, two = (load_file(p / "model.safetensors") for p in (run, undisturbed.parent / "run"))
    assert all(torch.equal(one[tensor], two[tensor]) for tensor in one)


@pytest.mark.slow
def test_out_of_memory_names_the_largest_batch_that_fits(train_hf, tmp_path: Path) -> None:
    """A real limit of the address space, set once the libraries are loaded."""
    code = "import resource, sys, train_hf; from pipeline.errors import end_in_one_line\n"
    code += "from pipeline.training import trainer\n"
    code += "train = trainer.ExpressionTrainer.train\n"
    code += "def limited(self, **words):\n"
    code += "    now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    code += "    resource.setrlimit(resource.RLIMIT_AS, (now + 2**29, -1))\n"
    code += "    return train(self, **words)\n"
    code += "trainer.ExpressionTrainer.train = limited; sys.exit(end_in_one_line(train_hf.main))"
    big = {"image_size": 224, "per_device_train_batch_size": 96, "drawn_faces": 130}
    recipe = write_recipe(tmp_path / "big.yaml", **big, output_dir=str(tmp_path / "run"))
    ended = subprocess.run([sys.executable, "-c", code, str(recipe)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    message = re.fullmatch(
        r"error: out of memory with 96 rows per device; (\d+) fit: add --per_device_train_batch_size (\d+) "
        r"--gradient_accumulation_steps (\d+) .*",
        ended.stderr.splitlines()[-1],
    )
    assert message, ended.stderr
    fits, rows, accumulation = map(int, message.groups())
    assert 1 <= rows <= fits < 96 and rows * accumulation == 96


@pytest.mark.parametrize(
    ("fits", "message"),
    [
        (40, "64 rows per device; 40 fit: add --per_device_train_batch_size 32 --gradient_accumulation_steps 4 "),
        (64, "though a training step of 64 rows fits: lower --per_device_eval_batch_size 128"),
        (0, "not even one row fits: lower --image_size"),
    ],
)
def test_the_advice_keeps_the_rows_of_a_step(fits: int, message: str) -> None:
    assert message in advice(fits, rows=64, accumulation=2, eval_rows=128)


@pytest.mark.slow
def test_two_processes_train_the_same_adapters_as_one(tmp_path: Path) -> None:
    made = EXACT | {"max_steps": 20, "early_stopping": 0, "drop_path": 0.0, "lora_rank": 4}
    recipe = str(write_recipe(tmp_path / "two.yaml", **made))
    batches = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps"]
    main([recipe, *batches, "2", "--output_dir", str(tmp_path / "one")])
    ended = launch(recipe, *batches, "1", "--output_dir", str(tmp_path / "two"))
    assert ended.returncode == 0, ended.stderr
    for name in ("model.safetensors", "adapter/adapter_model.safetensors", "checkpoint-20/ema.safetensors"):
        one, two = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
        assert max((one[tensor] - two[tensor]).abs().max().item() for tensor in one) < 1e-4, name


@pytest.mark.slow
def test_a_killed_run_with_adapters_is_resumed_to_the_last_bit(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path / "lora.yaml", **EXACT | {"lora_rank": 4, "lora_dropout": 0.2}))
    main([recipe, "--output_dir", str(tmp_path / "undisturbed")])
    run = tmp_path / "killed"
    process = process_of(recipe, "--output_dir", str(run))
    wait_for_checkpoint(process, run, 8)
    process.kill()
    process.communicate()
    main([recipe, "--output_dir", str(run), "--resume"])
    assert_same_run(run, tmp_path / "undisturbed")
    one, two = (load_file(p / "adapter" / "adapter_model.safetensors") for p in (run, tmp_path / "undisturbed"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
