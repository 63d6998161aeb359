"""A finished run as publishing reads it: unchanged since it was sealed, with test figures and their intervals."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.run_folder import SEAL, TEST_ROWS, Run, read_run


def load_run(path: Path) -> Run:
    """Read a run folder and refuse what must not be published.

    Raises:
        InputError: as `pipeline.run_folder.read_run`; or the run has no test figures, or a metric has no interval.
    """
    run = read_run(path)
    if not any(name in run.evaluation for name in TEST_ROWS):
        raise InputError(f"{path / SEAL} has no test figures: train with --evaluate_test true, then publish")
    for row_set, rows in run.row_sets.items():
        for name in run.metrics.keys() - set(rows.get("undefined", ())):
            value = rows.get(name)
            if not isinstance(value, dict) or not {"value", "low", "high"} <= value.keys():
                raise InputError(
                    f"{path / SEAL}: {name} of {row_set} has no interval; make the figures again with "
                    f"python -m pipeline.evaluation {path}"
                )
    return run
