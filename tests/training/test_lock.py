"""One process at a time owns an output_dir, whatever the other one wants there."""

import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.errors import InputError
from pipeline.run_folder import verify
from pipeline.training.lock import LOCK, Lock, refuse_if_in_use
from pipeline.training.output_dir import begin, find_run
from tests.conftest import process_of, run_train_hf, wait_for_checkpoint, write_recipe

SLOW = pytest.mark.slow
LONG = {"max_steps": 5000, "save_strategy": "steps", "save_steps": 5}


SECOND = [["--resume"], pytest.param(["--seed", "0"], marks=SLOW), pytest.param(["--seed", "1"], marks=SLOW)]


@pytest.mark.parametrize("more", SECOND, ids=" ".join)
def test_a_second_process_is_refused_in_one_line_and_a_killed_owner_leaves_no_lock(
    tmp_path: Path, more: list[str]
) -> None:
    """With --resume, with equal settings and with others; and workers do not hold the lock for their parent."""
    run = tmp_path / "run"
    words = [str(write_recipe(tmp_path / "long.yaml", output_dir=str(run), **LONG)), "--dataloader_num_workers", "1"]
    first = process_of(*words)
    try:
        wait_for_checkpoint(first, run, 5)
        second = run_train_hf(*words, *more)
        assert second.returncode == 2
        assert second.stderr.splitlines()[-1] == (
            f"error: output_dir {run} is in use by another run (process {first.pid}): wait until it ends, or choose "
            "another --output_dir"
        )
        assert "Traceback" not in second.stderr
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    refuse_if_in_use(run)


@pytest.mark.slow
def test_of_two_processes_that_start_together_one_is_sealed_with_its_own_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = str(write_recipe(tmp_path / "both.yaml", output_dir=str(run), max_steps=3))
    both = [process_of(recipe, "--seed", seed) for seed in ("1", "2")]
    errors = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], errors
    winner, loser = codes.index(0), codes.index(2)
    assert errors[loser].splitlines()[-1].startswith("error: ") and str(run) in errors[loser].splitlines()[-1]
    assert yaml.safe_load((run / "recipe.yaml").read_text())["seed"] == winner + 1
    about = pq.read_schema(run / "predictions.parquet").metadata[b"fer"]
    assert json.loads(about)["seed"] == winner + 1
    verify(run)
    assert not (run / LOCK).exists(), "a finished run has no lock"


@pytest.mark.slow
def test_of_two_processes_that_resume_together_one_goes_on_and_the_other_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = str(write_recipe(tmp_path / "both.yaml", output_dir=str(run), max_steps=12, save_steps=2))
    first = process_of(recipe)
    wait_for_checkpoint(first, run, 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    both = [process_of(recipe, "--resume") for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) in ([0, 2], [0, 0]), errors  # a process that is slow to start finds a finished run
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or error.splitlines()[-1].startswith(f"error: output_dir {run} ")
    verify(run)
    assert len(json.loads((run / "environment.json").read_text())["resumed_from"]) == 1, "one process trained"


def test_a_lock_is_free_again_once_it_is_released(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take()
    with pytest.raises(InputError, match="in use by another run"):
        second.take()
    with pytest.raises(InputError, match="in use by another run"):
        refuse_if_in_use(tmp_path)
    first.release()
    refuse_if_in_use(tmp_path)
    second.take()
    assert not (second.release() or (tmp_path / LOCK).exists())


def test_a_folder_that_another_run_finished_or_began_meanwhile_is_not_touched(tiny) -> None:
    recipe = tiny()
    looked = find_run(recipe, resume=False)
    begin(find_run(recipe, resume=False), recipe, 1, resume=False, splits={}).release()
    with pytest.raises(InputError, match="holds an interrupted run: add --resume"):
        begin(looked, recipe, 1, resume=False, splits={})
    (recipe.output_dir / ".unfinished" / "recipe.yaml").rename(recipe.output_dir / "recipe.yaml")
    (recipe.output_dir / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match="was changed by another run meanwhile: choose another --output_dir"):
        begin(looked, recipe, 1, resume=False, splits={})
    refuse_if_in_use(recipe.output_dir)


def test_a_folder_that_is_moved_while_its_run_trains_is_said_and_the_lock_of_another_run_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lock = Lock(tmp_path / "run")
    lock.take()
    with pytest.raises(InputError, match="run was moved or removed while its run was training") as said, lock:
        (tmp_path / "run").rename(tmp_path / "moved")
        (tmp_path / "run").mkdir()
        other = Lock(tmp_path / "run")
        other.take()
        raise FileNotFoundError("checkpoint-20")
    assert "\n" not in str(said.value) and (tmp_path / "run" / ".lock").is_file()
    other.release()
    with pytest.raises(FileNotFoundError), Lock(tmp_path / "moved") as still:
        still.take()
        raise FileNotFoundError("something else")
