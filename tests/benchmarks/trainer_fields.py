"""`python -m tests.benchmarks.trainer_fields`: every field of TrainingArguments with bad values, and what comes of it.

Each value is tried as train_hf.py would use it, up to the line `reading data`. A value is refused in one line (by the
settings, by TrainingArguments or by the trial step), or its field is in `HARMLESS`, which says why nothing is wrong.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.errors import InputError
from pipeline.settings.files import recipe_from
from pipeline.settings.schema import flat
from pipeline.settings.trainer import instead_of, trainer_settings
from pipeline.training.arguments import training_arguments
from pipeline.training.model import build_for_training
from pipeline.training.plan import make_plan
from pipeline.training.rehearsal import rehearse
from tests.conftest import TINY

Stage = Literal["settings", "arguments", "trial step", "trains"]

# Fields of which a bad value cannot be told from a good one, or changes nothing here.
HARMLESS = {
    "output_dir": "any text is the name of a folder; one that cannot be made is refused before data is read",
    "optim_target_modules": "only GaLore, APOLLO and LOMO read it, and they check it",
}


# Values that the settings allow, but not this machine, the other settings or the model.
IMPOSSIBLE: list[tuple[str, Any]] = [
    ("optim", "adamw_bnb_8bit"),
    ("optim", "galore_adamw"),
    ("lr_scheduler_type", "warmup_stable_decay"),
    ("lr_scheduler_kwargs", {"num_cycles": "many"}),
    ("tf32", True),
    ("use_liger_kernel", True),
    ("gradient_checkpointing_kwargs", {"use_reentrant": True}),
    ("liger_kernel_config", {"rope": True}),
    ("dataloader_prefetch_factor", 2),
    ("dataloader_persistent_workers", True),
]


class Outcome(NamedTuple):
    """What a value of a field comes to."""

    field: str
    value: Any
    stage: Stage
    words: str


def bad_values(field: str) -> list[Any]:
    """Values of a wrong type, out of every range, or words that no library knows."""
    kinds = set(flat(trainer_settings()[field].kind))
    if bool in kinds:
        return ["maybe", 7]
    if int in kinds or float in kinds:
        return ["many", -7, True]
    if any(getattr(kind, "__origin__", kind) is dict for kind in kinds):
        return [5, "nonsense", {"nonsense": "nonsense"}]
    return ["nonsense", ["nonsense"]]


def tried(field: str, value: Any) -> Outcome:
    """Try a value: the first stage that refuses it, and its line."""
    stage: Stage = "settings"
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            needed = {} if (field, value) in IMPOSSIBLE else NEEDED.get(field, {})
            recipe = recipe_from(TINY | {"output_dir": f"{folder}/run"} | needed | {field: value}, "command line")
            stage = "arguments"
            plan = make_plan(recipe)
            args = training_arguments(plan)
            stage = "trial step"
            rehearse(plan, args, build_for_training(plan.recipe, plan.device))
    except InputError as error:
        return Outcome(field, value, stage, str(error))
    return Outcome(field, value, "trains", HARMLESS.get(field, ""))


# What a field needs beside it to be read at all.
NEEDED: dict[str, dict[str, Any]] = {
    "dataloader_prefetch_factor": {"dataloader_num_workers": 1},
    "gradient_checkpointing_kwargs": {"gradient_checkpointing": True},
    "activation_checkpointing_kwargs": {"activation_checkpointing": True},
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what libraries print."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def main() -> None:
    """Print the table."""
    print("| field | value | refused by | the line, or why it is harmless |\n|---|---|---|---|")
    for field in trainer_settings():
        if words := instead_of(field):
            print(f"| `{field}` | any | settings | {words} |")
            continue
        for value in bad_values(field) + [value for name, value in IMPOSSIBLE if name == field]:
            each = tried(field, value)
            words = each.words.replace(str(Path(tempfile.gettempdir())), "TMP").replace("|", "or")
            print(f"| `{field}` | `{value!r}` | {each.stage} | {words} |", flush=True)


if __name__ == "__main__":
    main()
