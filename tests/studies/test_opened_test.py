"""Commands that open test rows say so, and studies of a run's own answers need answers to test rows."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import InputError
from pipeline.run_folder import Run, read_run
from pipeline.studies import shift, subgroups
from pipeline.studies.opened_test import refuse_closed, say_opened


@pytest.mark.parametrize("split", ["test", "all"])
def test_a_run_that_kept_test_rows_closed_is_named(split: str, finished_run: SimpleNamespace) -> None:
    said: list[str] = []
    run = read_run(finished_run.path)
    say_opened(split, as_recipe(run, False), said.append)
    say_opened(split, as_recipe(run, True), said.append)
    say_opened("validation", as_recipe(run, False), said.append)
    assert len(said) == 2 and f"{finished_run.path.name} itself kept them closed" in said[0]
    assert "kept" not in said[1] and "test rows are opened" in said[1]


def as_recipe(run: Run, evaluate_test: bool) -> Run:
    return type(run)(**{**vars(run), "recipe": run.recipe | {"evaluate_test": evaluate_test}})


@pytest.mark.parametrize("study", [shift.main, subgroups.main])
def test_studies_of_test_rows_that_the_run_did_not_evaluate_are_refused_before_data_is_read(
    study: Callable[[list[str]], None], finished_run: SimpleNamespace, tmp_path: Path
) -> None:
    words = [str(finished_run.path), "--data_path", str(tmp_path / "nowhere"), "--split", "test"]
    with pytest.raises(InputError, match="did not evaluate test rows .*use --split validation"):
        study([*words, "--output_dir", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_test_rows_of_a_run_that_evaluated_them_are_not_refused(publishable_run: Path) -> None:
    refuse_closed(read_run(publishable_run), "test")
