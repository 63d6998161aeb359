"""One recipe under several seeds: run, interrupted, resumed, reported."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError, Stopped
from pipeline.settings.files import load_yaml
from pipeline.studies import repeat
from pipeline.studies.log import COLUMNS, append_rows, as_csv
from pipeline.studies.repeat import finished_runs
from tests.conftest import ROOT, Finished, wait_for_checkpoint, write_recipe

FEW = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1}


def rows_in(out: str) -> list[dict[str, str]]:
    """The rows of the log at the end of what the command printed."""
    return list(csv.DictReader((",".join(COLUMNS) + out.rpartition(",".join(COLUMNS))[2]).splitlines()))


def process_of(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline.repeat", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interrupted_seed_goes_on_and_a_finished_one_is_left(
    finished_run: Finished, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = tmp_path / "study-seed-0"
    shutil.copytree(finished_run.path, seed)
    (seed / "evaluation.json").unlink()  # as if it had been killed after its last step
    (seed / ".unfinished").mkdir()
    shutil.copy(seed / "recipe.yaml", seed / ".unfinished" / "recipe.yaml")
    words = [str(finished_run.recipe), "--seeds", "0", "--output_dir", str(tmp_path / "study")]
    repeat.main(words)
    out = capfd.readouterr().out
    assert f"resuming in {seed}" in out and "validation, 15 rows, seeds 0" in out
    (row,) = rows_in(out)
    assert row["command"] == "python -m pipeline.repeat shared.yaml --seeds 0 --output_dir study"
    assert [row[name] for name in ("study", "rows", "n", "seeds")] == ["study", "validation", "15", "0"]
    assert row["recipe"] == "shared" and row["machine"].endswith(" (interrupted)") and "fp32" in row["machine"]
    assert re.fullmatch(r"\.\d{3} \[\.\d{3}, \.\d{3}\]", row["accuracy"]), row["accuracy"]
    assert json.loads((seed / "environment.json").read_text())["resumed_from"] == [12]
    written = (seed / "evaluation.json").stat().st_mtime_ns
    repeat.main([*words, "--against", str(tmp_path / "study")])
    printed = capfd.readouterr().out
    assert f"seed 0: {seed} is finished" in printed and "less study: difference" in printed and "p 1.000" in printed
    assert rows_in(printed)[0]["against"].startswith("study: accuracy +.000 [+.000, +.000], p 1.000")
    assert (seed / "evaluation.json").stat().st_mtime_ns == written


def test_a_run_finished_on_another_machine_is_taken_in_the_precision_that_auto_gave_it_there(
    finished_run: Finished, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = tmp_path / "study-seed-0"
    shutil.copytree(finished_run.path, seed)
    settings = load_yaml(seed / "recipe.yaml")
    (seed / "recipe.yaml").write_text(yaml.safe_dump(settings | {"precision": "fp16"}))
    os.utime(seed / "predictions.parquet", (1_000_036_000,) * 2)  # evaluation.json may be made again on any day
    words = [str(finished_run.recipe), "--seeds", "0", "--output_dir", str(tmp_path / "study")]
    repeat.main([*words, "--precision", "auto"])
    printed = capfd.readouterr().out
    assert f"seed 0: {seed} is finished" in printed and rows_in(printed)[0]["date"] == "2001-09-09"
    with pytest.raises(InputError, match="precision 'fp16' there, 'fp32' here"):
        repeat.main([*words, "--precision", "fp32"])


def test_a_study_is_its_seeds_and_nothing_else_that_begins_like_them(tmp_path: Path) -> None:
    for name in ("a[b]-seed-10", "a[b]-seed-2", "a[b]-seed-2.old", "a[b]-seed-x", "a[b]-seed-3-more", "ab-seed-0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "evaluation.json").touch()
    assert {run.name for run in finished_runs(tmp_path / "a[b]")} == {"a[b]-seed-10", "a[b]-seed-2"}


@pytest.mark.slow
def test_a_study_stopped_in_its_first_seed_goes_on_and_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """SIGINT once, as Ctrl-C; then the same command in this process, and once more when all is there."""
    recipe = write_recipe(tmp_path / "study.yaml", output_dir=str(tmp_path / "study"), **FEW)
    words = [str(recipe), "--seeds", "3", "4"]
    first = tmp_path / "study-seed-3"
    with process_of(*words) as process:
        wait_for_checkpoint(process, first, 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "stopped in seed 3: the same command goes on" in err
    assert not (first / "evaluation.json").exists() and not (tmp_path / "study-seed-4").exists()
    repeat.main(words)
    printed = capfd.readouterr().out
    assert f"resuming in {first}" in printed and f"into {tmp_path / 'study-seed-4'}" in printed
    assert "validation, 15 rows, seeds 3 4" in printed
    (row,) = rows_in(printed)
    assert row["command"] == "python -m pipeline.repeat study.yaml --seeds 3 4" and row["seeds"] == "3 4"
    stamps = [(tmp_path / f"study-seed-{seed}" / "evaluation.json").stat().st_mtime_ns for seed in (3, 4)]
    repeat.main([*words, "--against", str(tmp_path / "study")])
    printed = capfd.readouterr().out
    assert printed.count("is finished") == 2 and "less study: difference" in printed and "p 1.000" in printed
    assert stamps == [(tmp_path / f"study-seed-{seed}" / "evaluation.json").stat().st_mtime_ns for seed in (3, 4)]


@pytest.mark.slow
def test_a_seed_that_fails_is_reported_and_the_others_stay(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path / "s.yaml", output_dir=str(tmp_path / "s"), max_steps=1, optim="nonsense")
    with pytest.raises(Stopped, match="seeds 0 1 failed: the same command tries them again") as stopped:
        repeat.main([str(recipe), "--seeds", "0", "1"])
    assert stopped.value.code == 1
    printed = capfd.readouterr()
    assert printed.out.count("train_hf.py ended with 2; the other seeds still run") == 2
    assert printed.err.count("error: TrainingArguments: ") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("quickstart", "--seeds"),
        ("quickstart --seeds", "--seeds"),
        ("quickstart --seeds one", "'one'"),
        ("quickstart --seeds 1 2 1", "1 2 1 names a seed twice"),
        ("quickstart --seeds 0 --seed 1", "--seed is given by --seeds"),
        ("quickstart --seeds 0 --learnin_rate 1", "nearest is learning_rate"),
        ("quickstart --seeds 0 --flip 2", "flip is 2"),
        ("quickstart --seeds 0 --resume", "--resume is for train_hf.py"),
        ("quickstart --seeds 0 --evaluate_test true --publish me/faces", "--publish is for train_hf.py"),
        ("quickstart --seeds 0 --against nowhere", "--against nowhere: no finished run here"),
        ("quickstart --seeds 0 --against here/study there/study", "--against study study names two studies alike"),
    ],
)
def test_a_wrong_word_is_an_error_before_the_first_run(words: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        repeat.parse(words.split())
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_study_in_the_place_of_another_is_refused_before_the_first_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "s.yaml", output_dir=str(tmp_path / "s"))
    (tmp_path / "s-seed-1").mkdir()
    (tmp_path / "s-seed-1" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="s-seed-1 is not empty and not a run"):
        repeat.main([str(recipe), "--seeds", "0", "1"])
    assert not (tmp_path / "s-seed-0").exists()


def test_the_command_of_a_row_names_no_place_of_this_machine() -> None:
    place = str(Path("/") / "home" / "ann" / "data" / "ferplus")
    argv = ["ferplus_vit_tiny_cpu", "--data_path", place, f"--checkpoint={place}", "--seeds", "0", "--write"]
    argv += ["--sources", f"[{{data_path: {place}}}]", "--output_dir", "runs/cutmix"]
    assert repeat.command_of(argv) == (
        "python -m pipeline.repeat ferplus_vit_tiny_cpu --data_path ferplus --checkpoint=ferplus --seeds 0 "
        "--sources '[{data_path: ferplus}]' --output_dir runs/cutmix"
    )


def test_rows_are_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(as_csv([{"study": "a", "accuracy": ".8, at most"}]), encoding="utf-8")
    append_rows(log, [{"study": "b"}, {"study": "c", "machine": "2 cores"}])
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS) and len(lines) == 4
    rows = list(csv.DictReader(lines))
    assert [row["study"] for row in rows] == ["a", "b", "c"]
    assert (rows[0]["accuracy"], rows[1]["accuracy"], rows[2]["machine"]) == (".8, at most", "", "2 cores")


def test_a_metric_that_is_new_to_the_log_becomes_a_column(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    columns = [name for name in COLUMNS if name != "auroc"]
    log.write_text(as_csv([{"study": "a", "ece": ".1"}], columns), encoding="utf-8")
    append_rows(log, [{"study": "b", "auroc": ".9"}])
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    assert [(row["study"], row["auroc"], row["ece"]) for row in rows] == [("a", "", ".1"), ("b", ".9", "")]


@pytest.mark.parametrize(("content", "words"), [("a,b\n1,2\n", "has no column study"), (None, "cannot be read")])
def test_a_file_that_is_not_the_log_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    log = tmp_path / "log.csv"
    if content:
        log.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        append_rows(log, [{"study": "b"}])
    assert not content or log.read_text(encoding="utf-8") == content


def test_the_log_that_write_appends_to_has_the_columns_of_its_rows_and_no_ragged_row() -> None:
    with repeat.LOG.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS) and len(rows) > 100
    assert not [row for row in rows if len(row) != len(header) or not row[0]]
