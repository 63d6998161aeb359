"""`train_hf.py` as people run it: a process, its output, its exit code and the run folder."""

import getpass
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from transformers import pipeline

from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.run_folder import PUBLISHABLE
from tests.conftest import ROOT, Finished, process_of, run_train_hf, wait_for_checkpoint
from train_hf import main


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of every file."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()
    }


# A run that is not interrupted


def test_a_run_prints_its_settings_its_table_its_folder_and_the_next_command(finished_run: Finished) -> None:
    printed = finished_run.process.stdout
    assert finished_run.process.returncode == 0, finished_run.process.stderr
    for part in (
        "all settings: ",
        "machine: 1 process(es)",
        "precision fp32 (asked for)",
        "batch: 16 rows = 1 x 16 x 1",
        "data: drawn, 100 faces drawn from seed 0",
        "rows: train 70, validation 15",
        "steps: 12 (5 an epoch, warm-up 1)",
    ):
        assert part in printed
    table = printed[re.search(r"^ +rows +accuracy", printed, re.MULTILINE).start() :]
    assert all(f"\n{name} " in table for name in ("validation", *CLASSES))
    folder, following = printed.splitlines()[-2:]
    assert folder == str(finished_run.path)
    assert following.startswith('next: python -c "')


def test_the_next_command_works(finished_run: Finished) -> None:
    line = finished_run.process.stdout.splitlines()[-1].removeprefix('next: python -c "').removesuffix('"')
    code = compile(line, "next", "exec")
    said: list[list[dict]] = []
    exec(code, {"print": said.append})
    (scores,) = said
    assert {score["label"] for score in scores} == set(CLASSES)


def test_the_run_folder_holds_every_promised_file_and_nothing_unfinished(finished_run: Finished) -> None:
    run = finished_run.path
    for pattern in (*PUBLISHABLE, "environment.json", "checkpoint-12/trainer_state.json", "logs/events*"):
        assert list(run.glob(pattern)), pattern
    assert {p.name for p in (run / "figures").iterdir()} == {
        "confusion_matrix.png",
        "reliability.png",
        "risk_coverage.png",
        "learning_curves.png",
    }
    assert {p.stem for p in (run / "examples").iterdir()} == set(CLASSES)
    assert not [p for p in run.rglob("*") if p.name.startswith(".") or p.suffix in (".tmp", ".part")]


def test_config_says_the_class_shares_of_the_train_rows(finished_run: Finished) -> None:
    shares = json.loads((finished_run.path / "config.json").read_text())["class_shares"]
    rows = json.loads((finished_run.path / "curation.json").read_text())["rows_used"]["train"]
    assert shares == pytest.approx({name: rows[name] / sum(rows.values()) for name in CLASSES})


def test_environment_records_the_machine_and_the_hash_of_every_other_publishable_file(finished_run: Finished) -> None:
    run = finished_run.path
    environment = json.loads((run / "environment.json").read_text())
    assert {"python", "packages", "system", "processor", "cores", "device", "git_revision"} <= environment.keys()
    assert (environment["processes"], environment["precision"], environment["resumed_from"]) == (1, "fp32", [])
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["wall_seconds"] > environment["train_seconds"] > 0
    assert environment["pictures_per_second"] > 0 and 0 <= environment["data_wait_share"] <= 1
    assert environment["peak_memory_gib"]["resident"] > 0.1
    publishable = {
        p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() and "checkpoint" not in str(p)
    } - {"environment.json", "evaluation.json"}
    assert environment["sha256"].keys() == publishable
    for name, digest in environment["sha256"].items():
        assert sha256((run / name).read_bytes()).hexdigest() == digest, name


def test_a_pipeline_gives_seven_named_scores_that_sum_to_one(finished_run: Finished) -> None:
    classify = pipeline("image-classification", model=str(finished_run.path), top_k=7)
    scores = classify(str(finished_run.path / "examples" / "happiness.png"))
    assert {score["label"] for score in scores} == set(CLASSES)
    assert sum(score["score"] for score in scores) == pytest.approx(1, abs=1e-5)


def test_with_evaluate_test_off_no_test_row_is_used(finished_run: Finished) -> None:
    evaluation = json.loads((finished_run.path / "evaluation.json").read_text())
    assert evaluation["validation"]["n"] == 15
    assert not {"official", "clean"} & evaluation.keys()
    predictions = pq.read_table(finished_run.path / "predictions.parquet")
    assert set(predictions["split"].to_pylist()) == {"validation"}
    assert "rows: train 70, validation 15\n" in finished_run.process.stdout


def texts(path: Path) -> Iterator[str]:
    """The text of a file: its name, and what its PNG chunks or its events say."""
    yield path.name
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
            yield from (f"{name} {value}" for name, value in picture.info.items())
    else:
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("tensor"):
                    value.tensor.ClearField("string_val")  # the bytes of a picture
            yield str(event)


def test_logs_and_figures_name_neither_a_path_nor_a_person_nor_a_host(finished_run: Finished) -> None:
    files = [p for name in ("logs", "figures", "examples") for p in (finished_run.path / name).iterdir()]
    said = {path: "\n".join(texts(path)) for path in files}
    logs = [words for path, words in said.items() if path.parent.name == "logs"]
    assert any("train/learning_rate" in words for words in logs), "the words of an event file are not found"
    for path, words in said.items():
        for secret in (getpass.getuser(), socket.gethostname(), socket.gethostname().split(".")[0]):
            assert not re.search(rf"\b{re.escape(secret)}\b", words), f"{secret} in {path.name}"
        for place in {str(finished_run.path.parent), str(ROOT), str(Path.home())} - {"/"}:
            assert f"{place}/".encode() not in path.read_bytes(), f"{place} in {path.name}"


# The same command again


def test_a_finished_run_is_reported_again_and_not_repeated(finished_run: Finished) -> None:
    before = snapshot(finished_run.path)
    started = time.time()
    again = run_train_hf(str(finished_run.path / "recipe.yaml"))
    assert again.returncode == 0, again.stderr
    assert again.stdout and finished_run.process.stdout.endswith(again.stdout), "the table, the folder, the next line"
    assert snapshot(finished_run.path) == before
    assert time.time() - started < 60


def test_another_spelling_of_the_folder_is_the_same_run(finished_run: Finished, capsys, monkeypatch) -> None:
    monkeypatch.chdir(finished_run.path.parent)
    main([str(finished_run.recipe), "--output_dir", f"./{finished_run.path.name}/"])
    assert "next: python" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning_rate", "2e-3"], r"learning_rate 0\.001 there, 0\.002 here"),
        (["--cutmix", "0", "--drawn_faces", "200"], r"cutmix 0\.5 there, 0\.0 here, drawn_faces 100 there, 200 here"),
        (["--weight_decay", "0.1"], r"weight_decay None there, 0\.1 here"),
    ],
)
def test_other_settings_for_a_finished_run_are_refused_by_name(finished_run: Finished, words, message: str) -> None:
    before = snapshot(finished_run.path)
    with pytest.raises(InputError, match=rf"holds a finished run with other settings \({message}\).*--output_dir"):
        main([str(finished_run.recipe), *words])
    assert snapshot(finished_run.path) == before


# A run that is stopped


def stop_at(step: int, how: signal.Signals, recipe: Path, run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A run that gets a signal once the checkpoint of a step is whole."""
    process = process_of(str(recipe), "--output_dir", str(run), *words)
    try:
        wait_for_checkpoint(process, run, step)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert not (run / "checkpoint-12").exists(), "the run had finished before the signal"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.slow
def test_a_run_stopped_twice_and_resumed_twice_is_the_uninterrupted_run(finished_run: Finished, tmp_path: Path) -> None:
    run, words = tmp_path / "run", [str(finished_run.recipe), "--output_dir", str(tmp_path / "run")]
    interrupted = stop_at(2, signal.SIGINT, finished_run.recipe, run)
    assert interrupted.returncode == 130
    assert re.fullmatch(r"stopped by SIGINT after step (\d+): checkpoint-\1 .*", interrupted.stderr.splitlines()[-1])
    with pytest.raises(InputError, match="holds an interrupted run: add --resume to go on"):
        main(words)
    with pytest.raises(InputError, match=r"an interrupted run with other settings \(learning_rate"):
        main([*words, "--learning_rate", "1e-4", "--resume"])

    last = max(int(p.name.split("-")[1]) for p in run.glob("checkpoint-*"))
    killed = stop_at(last // 2 * 2 + 2, signal.SIGKILL, finished_run.recipe, run, "--resume")
    assert killed.returncode == -signal.SIGKILL
    assert f"resume: from checkpoint-{last}\n" in killed.stdout
    assert not (run / "evaluation.json").exists()

    resumed = run_train_hf(*words, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    steps = json.loads((run / "environment.json").read_text())["resumed_from"]
    assert steps[0] == last and len(steps) == 2 and last < steps[1] < 12
    for name in ("model.safetensors", "checkpoint-12/model.safetensors", "checkpoint-12/ema.safetensors"):
        ours, theirs = load_file(run / name), load_file(finished_run.path / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[tensor], theirs[tensor]) for tensor in theirs), name
    for name in ("evaluation.json", "curation.json", "config.json"):
        assert (run / name).read_text().replace(str(run), "") == (finished_run.path / name).read_text(), name
    assert not (run / ".unfinished").exists()


def test_resume_without_a_run_starts_one(finished_run: Finished, tmp_path: Path, capsys) -> None:
    main([str(finished_run.recipe), "--output_dir", str(tmp_path / "run"), "--max_steps", "2", "--resume"])
    assert "resume: no checkpoint yet, from the start" in capsys.readouterr().out
    assert (tmp_path / "run" / "evaluation.json").is_file()


# Several processes


def test_processes_that_do_not_find_each_other_are_an_error(train_hf) -> None:
    ended = train_hf(WORLD_SIZE="2")
    assert ended.returncode == 2
    assert re.match("error: .*(processes|rank|RANK)", ended.stderr.splitlines()[-1])
    assert "Traceback" not in ended.stderr
