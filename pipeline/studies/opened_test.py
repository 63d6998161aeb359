"""What is said where a command opens test rows: they are for final figures, and validation rows are for choosing."""

from collections.abc import Callable

from pipeline.errors import InputError
from pipeline.evaluation.predictions import read_predictions
from pipeline.run_folder import PREDICTIONS, Run

TEST = "test"
WITH_TEST = (TEST, "all")
"""Values of `--split` that open test rows."""


def say_opened(split: str, run: Run | None, say: Callable[[str], None]) -> None:
    """One line if `split` opens test rows; it says so where the recipe of the `run` kept them closed."""
    if split not in WITH_TEST:
        return
    closed = run is not None and not run.recipe.get("evaluate_test")
    said = f"{run.path.name} itself kept them closed (evaluate_test false); " if run and closed else ""
    say(f"test rows are opened: {said}they are for the figures of final models, choose with --split validation")


def refuse_closed(run: Run, split: str) -> None:
    """Studies of a run's own answers need the rows among them.

    Raises:
        InputError: `split` is test, and the run did not evaluate test rows.
    """
    if split == TEST and TEST not in read_predictions(run.path / PREDICTIONS).split:
        raise InputError(
            f"{run.path.name} did not evaluate test rows (evaluate_test false), so it has no answers to test rows that "
            "changed pictures or groups could be compared with: use --split validation"
        )
