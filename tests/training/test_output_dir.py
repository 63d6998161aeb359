"""What `output_dir` may hold, and in which order a run becomes one."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import save_file

from pipeline.errors import InputError
from pipeline.evaluation import evaluate as evaluation
from pipeline.evaluation import predictions
from pipeline.run_folder import PUBLISHABLE, SEAL, read_json, sha256, verify, write_json
from pipeline.settings.recipe import Recipe
from pipeline.training import output_dir
from pipeline.training.model import build_model
from pipeline.training.output_dir import (
    RunFolder,
    closing_words,
    find_run,
    git_revision,
    resumed_from,
    seal,
    write_model,
)


def begin(run: RunFolder, recipe: Recipe, processes: int, resume: bool) -> None:
    """Begin a run, and let its process end."""
    output_dir.begin(run, recipe, processes, resume, {}).release()


def filled(recipe: Recipe, table: Dataset) -> RunFolder:
    """A run up to its seal: every publishable file lies aside, of a model with random weights."""
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    write_model(run, *build_model(recipe))
    rows = table.remove_columns("image")
    for name in ("clean", "clean_near"):
        rows = rows.add_column(name, [True] * len(table))
    logits = np.random.default_rng(0).normal(size=(len(table), len(recipe.classes))).astype(np.float32)
    about = {"classes": recipe.classes, "label_rule": None, "seed": 0, "resamples": 20, "recipe": "test"}
    predictions.write_predictions(
        run.aside / "predictions.parquet", {"validation": rows}, {"validation": logits}, about
    )
    evaluation.write_figures(run.aside / "predictions.parquet", run.aside / "figures")
    write_json(run.aside / "curation.json", {})
    evaluation.write_evaluation(run.aside, evaluation.evaluate_predictions(run.aside / "predictions.parquet"))
    run.logs.mkdir()
    (run.logs / "events.out.tfevents.1").write_bytes(b"events")
    return run


def state_of(step: int) -> dict:
    """What resuming reads of a trainer_state.json."""
    control = {"TrainerControl": {"args": {"should_training_stop": False}}}
    return {"global_step": step, "stateful_callbacks": control}


def checkpoint(run: RunFolder, step: int, random_states: Sequence[str] = ("rng_state.pth",)) -> Path:
    """A whole checkpoint of nearly nothing."""
    folder = run.path / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    write_json(folder / "trainer_state.json", state_of(step))
    for name in ("model.safetensors", "ema.safetensors"):
        save_file({"x": torch.arange(9.0)}, folder / name)
    for name in ("optimizer.pt", "scheduler.pt", *random_states):
        torch.save({"x": torch.arange(9.0)}, folder / name)
    return folder


# What may be there


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_is_new_or_empty_starts_a_run_and_looking_makes_nothing(tiny, resume: bool) -> None:
    recipe = tiny()
    new = RunFolder(recipe.output_dir, finished=False)
    assert find_run(recipe, resume) == new
    assert not recipe.output_dir.exists()
    recipe.output_dir.mkdir()
    assert find_run(recipe, resume) == new
    assert not list(recipe.output_dir.iterdir())


def test_an_interrupted_run_needs_the_word_resume_and_goes_on_from_its_last_whole_checkpoint(tiny) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    with pytest.raises(InputError, match="interrupted run: add --resume"):
        find_run(recipe, resume=False)
    assert find_run(recipe, resume=True).checkpoint is None
    checkpoint(run, 9)
    newest = checkpoint(run, 10)
    checkpoint(run, 8).rename(run.path / "checkpoint-best")
    (run.path / "checkpoint-12").mkdir()
    assert find_run(recipe, resume=True) == RunFolder(run.path, False, newest, damaged=("checkpoint-12",))


@pytest.mark.parametrize("left", [0, 0.5, 0.99, None], ids=["empty", "half", "nearly whole", "missing"])
@pytest.mark.parametrize(
    "name",
    ["trainer_state.json", "model.safetensors", "ema.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"],
)
def test_a_checkpoint_with_a_file_cut_short_is_passed_over(tiny, name: str, left: float | None) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    whole, damaged = checkpoint(run, 1), checkpoint(run, 2)
    content = (damaged / name).read_bytes()
    (damaged / name).unlink() if left is None else (damaged / name).write_bytes(content[: int(left * len(content))])
    assert find_run(recipe, resume=True) == RunFolder(run.path, False, whole, damaged=("checkpoint-2",))


def test_a_checkpoint_of_a_run_without_averages_has_none(tiny) -> None:
    recipe = tiny(ema_decay=0)
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    whole = checkpoint(run, 2)
    (whole / "ema.safetensors").unlink()
    assert find_run(recipe, resume=True) == RunFolder(run.path, False, whole)


@pytest.mark.parametrize(
    "state",
    [{"global_step": 2}, state_of(1), [], {"global_step": 2, "stateful_callbacks": {"TrainerControl": []}}],
    ids=["without what had ended", "of another step", "no mapping", "another control"],
)
def test_a_checkpoint_with_another_state_than_its_own_is_passed_over(tiny, state: object) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    whole, damaged = checkpoint(run, 1), checkpoint(run, 2)
    (damaged / "trainer_state.json").write_text(json.dumps(state))
    assert find_run(recipe, resume=True) == RunFolder(run.path, False, whole, damaged=("checkpoint-2",))


def test_a_copy_of_a_checkpoint_under_a_later_step_is_passed_over(tiny) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    whole = checkpoint(run, 4)
    shutil.copytree(whole, run.path / "checkpoint-400")
    assert find_run(recipe, resume=True) == RunFolder(run.path, False, whole, damaged=("checkpoint-400",))


def test_a_run_goes_on_with_as_many_processes_as_it_had(tiny) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False, processes=2)
    begin(run, recipe, 2, resume=False)
    checkpoint(run, 3, ["rng_state_0.pth"])  # the second process had not written yet
    whole = checkpoint(run, 2, ["rng_state_0.pth", "rng_state_1.pth"])
    assert find_run(recipe, resume=True, processes=2) == RunFolder(run.path, False, whole, damaged=("checkpoint-3",))
    with pytest.raises(InputError, match=r"a run of 2 process\(es\) and this launch has 1: go on with 2"):
        find_run(recipe, resume=True, processes=1)


def test_a_finished_run_is_found_with_and_without_resume(tiny, table: Dataset) -> None:
    recipe = tiny()
    run = filled(recipe, table)
    seal(run, {})
    for resume in (False, True):
        assert find_run(recipe, resume) == RunFolder(run.path, finished=True)


@pytest.mark.parametrize("finished", [False, True])
def test_other_settings_are_named_with_both_values_and_a_way_out(tiny, table: Dataset, finished: bool) -> None:
    run = filled(tiny(), table)
    if finished:
        seal(run, {})
    for changed, shown in (
        ({"flip": 0.25}, "flip 0.5 there, 0.25 here"),
        ({"weight_decay": 0.1}, "weight_decay None there, 0.1 here"),
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"classes": ["anger", "fear"]}, "classes .* there, .'anger', 'fear'. here"),
    ):
        start = f", and start from its weights with --checkpoint {run.path}" if finished else ""
        with pytest.raises(InputError, match=rf"{shown}\): choose another --output_dir{re.escape(start)}$"):
            find_run(tiny(**changed), resume=True)
    many = dict.fromkeys(("flip", "rotation", "brightness", "contrast", "erasing", "cutmix", "mixup"), 0.125)
    with pytest.raises(InputError, match="and 2 more"):
        find_run(tiny(**many), resume=True)


def test_a_run_folder_that_was_moved_is_the_same_run(tiny, table: Dataset, tmp_path: Path) -> None:
    run = filled(tiny(), table)
    seal(run, {})
    run.path.rename(tmp_path / "moved")
    assert find_run(tiny(output_dir=str(tmp_path / "moved")), resume=False).finished


def test_a_folder_that_is_not_a_run_is_not_touched(tiny, tmp_path: Path) -> None:
    recipe = tiny()
    recipe.output_dir.mkdir()
    (recipe.output_dir / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not empty and not a run; choose another --output_dir"):
        find_run(recipe, resume=True)
    assert (recipe.output_dir / "thesis.tex").read_text() == "years of work"
    for place in ("file", "file/run", "file/a/b"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match="file is a file; choose another --output_dir"):
            find_run(tiny(output_dir=str(tmp_path / place)), resume=False)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_the_right_to_write_is_refused_before_any_work(tiny, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="locked; choose another --output_dir"):
        find_run(tiny(output_dir=str(tmp_path / "locked" / "run")), resume=False)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a place where nobody can make a folder")
def test_a_folder_that_cannot_be_made_is_refused(tiny) -> None:
    recipe = tiny(output_dir="/proc/run")
    with pytest.raises(InputError, match="output_dir /proc/run cannot be made: .*; choose another"):
        find_run(recipe, resume=False)


def dangling(place: Path) -> Path:
    (place / "link").symlink_to(place / "nothing")
    return place / "link" / "run"


PLACES = [
    (lambda place: place / ("a" * 300), "File name too long"),
    (lambda place: place / "not yet" / ("a" * 300), "cannot be made: File name too long"),
    (lambda place: dangling(place).parent, "is a link that leads nowhere"),
    (dangling, "is a link that leads nowhere"),
]


@pytest.mark.parametrize(("where", "why"), PLACES, ids=["long", "long below new", "dangling", "below dangling"])
def test_a_place_where_no_folder_can_be_is_refused_before_data_is_read(tiny, tmp_path: Path, where, why: str) -> None:
    path = where(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"output_dir .*{why}"):
        find_run(tiny(output_dir=str(path)), resume=False)
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_inside_its_own_data_is_refused(tiny, tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "faces")
    for data in ({"data_path": str(tmp_path / "faces")}, {"sources": [{"data_path": str(tmp_path / "faces")}]}):
        for place in ("faces", "faces/runs/a", "link/run"):
            with pytest.raises(InputError, match="is inside the data .*choose an --output_dir outside"):
                find_run(tiny(source="folder", output_dir=str(tmp_path / place), **data), resume=False)
        assert find_run(tiny(source="folder", output_dir=str(tmp_path / "faces2"), **data), resume=False)


def test_a_copy_of_an_interrupted_run_without_its_hidden_files_says_what_is_missing(tiny, tmp_path: Path) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    checkpoint(run, 2)
    shutil.copytree(run.path, tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    with pytest.raises(InputError, match=r"without its folder \.unfinished, which `cp -r RUN/\*` leaves out"):
        find_run(tiny(output_dir=str(tmp_path / "copy")), resume=True)


def test_a_seal_without_settings_is_refused(tiny) -> None:
    recipe = tiny()
    recipe.output_dir.mkdir()
    (recipe.output_dir / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match=r"without its recipe\.yaml"):
        find_run(recipe, resume=False)


# Resuming


def test_every_resumption_is_remembered_with_its_step(tiny) -> None:
    recipe = tiny()
    run = find_run(recipe, resume=False)
    begin(run, recipe, 1, resume=False)
    assert resumed_from(run) == []
    begin(run, recipe, 1, resume=True)
    for step in (7, 12):
        begin(replace(run, checkpoint=checkpoint(run, step)), recipe, 1, resume=True)
    assert resumed_from(run) == [0, 7, 12]


# The seal


@pytest.fixture(scope="module")
def renames() -> Iterator[list]:
    """Python's audit hooks cannot be removed: this one does what the list's last entry, a function, does."""
    hooks: list = []

    def hook(event: str, args: tuple) -> None:
        if hooks and event == "os.rename":
            hooks[-1](Path(args[0]), Path(args[1]))

    sys.addaudithook(hook)
    yield hooks
    hooks.clear()


@contextmanager
def at_each(renames: list, act) -> Iterator[None]:
    renames.append(act)
    try:
        yield
    finally:
        renames.pop()


def test_the_seal_is_the_last_file_that_comes_into_place(tiny, table: Dataset, renames: list) -> None:
    run = filled(tiny(), table)
    moved: list[str] = []
    with at_each(renames, lambda source, target: moved.append(target.name) if target.parent == run.path else None):
        seal(run, {})
    assert moved[-1] == "evaluation.json" and len(moved) == len(set(moved)) > 7


def test_a_run_stopped_anywhere_in_its_sealing_is_whole_or_can_be_resumed(
    tiny, table: Dataset, tmp_path: Path, renames: list
) -> None:
    def stop_after(count: int):
        left = [count]

        def act(source: Path, target: Path) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        return act

    recipe, stopped = tiny(), 0
    begin(filled(recipe, table), recipe, 1, resume=True)
    for count in range(99):
        run = RunFolder(tmp_path / f"run{count}", finished=False, checkpoint=None)
        shutil.copytree(recipe.output_dir, run.path)
        here = tiny(output_dir=str(run.path))
        try:
            with at_each(renames, stop_after(count)):
                seal(run, {})
            break
        except KeyboardInterrupt:
            stopped += 1
        again = find_run(here, resume=True)
        assert not again.finished, "sealed, though something was still to come"
        assert resumed_from(again) == [0]
        for file in ("model.safetensors", "predictions.parquet", "figures"):
            assert (run.aside / file).exists() or (run.path / file).exists(), f"{file} got lost"
    assert stopped > 8
    assert find_run(here, resume=False).finished and not run.aside.exists()


def test_sealing_replaces_what_an_earlier_sealing_left(tiny, table: Dataset) -> None:
    run = filled(tiny(), table)
    (run.path / "figures").mkdir()
    (run.path / "figures" / "old.png").write_bytes(b"old")
    (run.path / "config.json").write_text("old")
    seal(run, {})
    assert not (run.path / "figures" / "old.png").exists()
    assert read_json(run.path / "config.json")["model_type"] == "vit"


def test_every_publishable_file_is_hashed_and_nothing_else(tiny, table: Dataset) -> None:
    run = filled(tiny(), table)
    checkpoint(run, 5)
    seal(run, {"processes": 1})
    environment = read_json(run.path / "environment.json")
    assert environment["processes"] == 1
    expected = {p.relative_to(run.path).as_posix() for pattern in PUBLISHABLE for p in run.path.glob(pattern)}
    assert environment["sha256"].keys() == expected
    assert {"logs/events.out.tfevents.1", "recipe.yaml", "examples/fear.png"} <= expected
    assert not [name for name in expected if "checkpoint" in name or name in ("environment.json", "evaluation.json")]
    for name, digest in environment["sha256"].items():
        assert sha256(run.path / name) == digest
    verify(run.path)


def test_a_run_sealed_again_after_a_stop_in_its_sealing_is_valid(tiny, table: Dataset) -> None:
    run = filled(tiny(), table)
    write_json(run.aside / SEAL, read_json(run.aside / SEAL) | {"sha256": {"environment.json": "of the first try"}})
    seal(run, {})
    verify(run.path)


def test_the_closing_words_ask_for_as_many_scores_as_there_are_classes(tiny, table: Dataset) -> None:
    run = filled(tiny(), table)
    seal(run, {})
    words = closing_words(run.path)
    assert words.splitlines()[-2] == str(run.path) and "top_k=7" in words
    two = read_json(run.path / SEAL)
    rows = two["validation"]
    rows["per_class"] = {name: rows["per_class"][name] for name in ("anger", "fear")}
    write_json(run.path / SEAL, two | {"classes": ["anger", "fear"]})
    assert "top_k=2" in closing_words(run.path)


def test_the_git_revision_is_a_commit_or_none() -> None:
    revision = git_revision()
    assert revision is None or len(revision.removesuffix("-dirty")) == 40
