"""What a person reads of training, and what environment.json says of its end."""

import csv
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.training import machine
from pipeline.training.output_dir import closing_words
from pipeline.training.progress import Progress, ending_in_words
from tests.conftest import run_train_hf, write_recipe

STOPPING = {"max_steps": 40, "save_strategy": "steps", "save_steps": 5, "early_stopping": 2, "learning_rate": 1e-9}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run that early stopping ends at step 3, without better figures since step 1. Its batch exceeds its 70 rows."""
    folder = tmp_path_factory.mktemp("stopped")
    more = {"total_batch_size": 500, "save_steps": 1, "num_train_epochs": 40}
    recipe = write_recipe(folder / "tiny.yaml", output_dir=str(folder / "run"), **STOPPING | more)
    return folder / "run", run_train_hf(str(recipe), "--seed", "3")


def test_early_stopping_says_so_and_which_step_is_published(stopped) -> None:
    run, ended = stopped
    assert "stopped early at epoch 3: no better since 1; publishing step 1\n" in ended.stdout, ended.stderr
    environment = json.loads((run / "environment.json").read_text())
    assert {k: environment[k] for k in ("training_ended", "last_step", "published_step")} == {
        "training_ended": "early stopping",
        "last_step": 3,
        "published_step": 1,
    }


def test_the_speed_is_that_of_rows_really_trained(stopped) -> None:
    environment = json.loads((stopped[0] / "environment.json").read_text())
    assert environment["rows_trained"] == 3 * 70, "three epochs, not three batches of 500 rows"
    seconds = environment["rows_trained"] / environment["pictures_per_second"]
    assert environment["train_seconds"] == pytest.approx(seconds, abs=0.06), "train_seconds is rounded to 0.1"


def test_the_console_names_what_differs_from_the_recipe_then_one_line_an_evaluation(stopped) -> None:
    run, ended = stopped
    lines = ended.stdout.splitlines()
    assert lines[:3] == ["recipe tiny, with", "  seed 3 (recipe: 0)", f"all settings: {run / 'recipe.yaml'}"]
    heading = next(i for i, line in enumerate(lines) if line.lstrip().startswith("epoch"))
    assert [len(line) for line in lines[heading : heading + 4]] == [len(lines[heading])] * 4, "columns"
    assert [line.split()[0] for line in lines[heading + 1 : heading + 4]] == ["1", "2", "3"]
    assert "reading data" in lines[:heading]


def test_a_file_gets_no_control_characters_and_no_bar(stopped) -> None:
    for text in (stopped[1].stdout, stopped[1].stderr):
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", text), text
        assert "it/s" not in text and "%|" not in text


def test_results_csv_has_a_row_an_evaluation_and_is_sealed(stopped) -> None:
    run, _ = stopped
    rows = list(csv.DictReader((run / "results.csv").open(encoding="utf-8")))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1.0", "1"), ("2.0", "2"), ("3.0", "3")]
    assert {"train_loss", "validation_loss", "validation_accuracy", "validation_macro_f1", "best_so_far"} <= set(
        rows[0]
    )
    assert "results.csv" in json.loads((run / "environment.json").read_text())["sha256"]


def test_a_resumed_run_has_every_evaluation_once(trainer_of, tiny, tmp_path: Path) -> None:
    recipe = tiny(max_steps=4, save_strategy="steps", save_steps=1, save_total_limit=9)
    whole = trainer_of(recipe, "whole", [Progress(tmp_path / "whole.csv")])
    whole.train()
    resumed = trainer_of(recipe, "resumed", [Progress(tmp_path / "resumed.csv")])
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-2"))
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert [row["step"] for row in csv.DictReader((tmp_path / "resumed.csv").open())] == ["1", "2", "3", "4"]
    assert ending_in_words(resumed.state) == f"trained all 4 steps; publishing step {whole.state.best_global_step}"


@pytest.mark.parametrize("name", ["it's", 'a "run"', "$HOME", "plain"])
def test_the_next_line_is_one_that_a_shell_reads_whatever_the_path(stopped, tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(stopped[0])
    command = (
        closing_words(tmp_path / name).splitlines()[-1].removeprefix("next: ").replace("python -c", "printf %s", 1)
    )
    code = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    compile(code, "next", "exec")
    assert repr((tmp_path / name).as_posix()) in code


@pytest.mark.parametrize(("variable", "words"), [("HF_DATASETS_CACHE", "set HF_HOME"), ("TMPDIR", "set TMPDIR")])
def test_a_place_that_cannot_be_written_is_named_before_data_is_read(monkeypatch, variable: str, words: str) -> None:
    import tempfile

    import datasets

    if variable == "TMPDIR":
        monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    else:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", Path("/proc/nowhere"))
    with pytest.raises(InputError, match=f"/proc/nowhere cannot be written .*: .*{words}"):
        machine.refuse_unwritable_places()


def test_no_recipe_field_is_lost_when_nothing_changes(tiny) -> None:
    from pipeline.settings.command_line import describe_changes

    recipe = replace(tiny(), name="tiny")
    assert describe_changes(recipe, {}).splitlines()[0] == "recipe tiny as it is"
