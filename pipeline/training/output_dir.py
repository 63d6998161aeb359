"""From settings to a sealed run folder: made aside, moved in at the end; nothing is overwritten.

`output_dir` has `recipe.yaml`, `logs/` and `checkpoint-*/` from the first step. Everything else is written into
`.unfinished/` and moved in at the end, `evaluation.json` last: it is the seal (see `pipeline/run_folder.py`).
"""

import json
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, ViTImageProcessor

from pipeline import run_folder
from pipeline.data.rows import Rows
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.evaluation.tasks import format_table
from pipeline.expressions import CLASSES
from pipeline.model_folder import ADAPTER_WEIGHTS
from pipeline.run_folder import LOGS, RECIPE, RESULTS, SEAL, SEALED, WEIGHTS, read_json, sha256, write_json
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.settings.recipe import Recipe
from pipeline.task import is_scored
from pipeline.training.ema import EMA_WEIGHTS
from pipeline.training.lock import LOCK, Lock, refuse_if_in_use
from pipeline.training.made_of import (
    FILES,
    MADE_OF,
    ROWS,
    checkpoint_hashes,
    note_rows,
    noted_digests,
    refuse_other_checkpoint,
    refuse_other_rows,
    weights_digest,
)
from pipeline.training.output_place import nearest_folder, refuse_inside_data, refuse_unwritable
from pipeline.training.saving import save_classifier

UNFINISHED = ".unfinished"
PROGRESS = "progress.json"


@dataclass(frozen=True)
class RunFolder:
    """Where a run is made. `checkpoint` is the one to resume from, or None; `damaged` are newer ones, skipped."""

    path: Path
    finished: bool
    checkpoint: Path | None = None
    damaged: tuple[str, ...] = ()

    @property
    def aside(self) -> Path:
        """Where files wait until the run is complete."""
        return self.path / UNFINISHED

    @property
    def logs(self) -> Path:
        """TensorBoard event files."""
        return self.path / "logs"

    @property
    def results(self) -> Path:
        """A row for each evaluation of training."""
        return self.path / RESULTS


def find_run(recipe: Recipe, resume: bool, processes: int = 1) -> RunFolder:
    """Look at `output_dir` without changing it.

    Raises:
        InputError: another process trains there, or it holds a run with other settings, an interrupted run without
            `--resume`, of another number of processes or of a checkpoint with other files, or something else.
    """
    nearest_folder(recipe.output_dir)  # the lock cannot be asked where no folder can be
    refuse_if_in_use(recipe.output_dir)
    return _look(recipe, resume, processes)


def _look(recipe: Recipe, resume: bool, processes: int) -> RunFolder:
    path = recipe.output_dir
    nearest = nearest_folder(path)
    refuse_inside_data(recipe)
    if (path / SEAL).is_file():
        _refuse_other_settings(recipe, path / RECIPE, "a finished run", weights=path)
        return RunFolder(path, finished=True)
    refuse_unwritable(path, nearest)
    if (path / UNFINISHED / RECIPE).is_file():
        newest_first = sorted(path.glob("checkpoint-*"), key=_step, reverse=True)
        averaged = recipe.ema_decay > 0
        weights = ADAPTER_WEIGHTS if recipe.lora_rank else WEIGHTS
        damaged = list(takewhile(lambda folder: not _is_whole(folder, weights, processes, averaged), newest_first))
        whole = next(iter(newest_first[len(damaged) :]), None)
        model = None if recipe.lora_rank else whole  # an adapter is no model to start from
        _refuse_other_settings(recipe, path / UNFINISHED / RECIPE, "an interrupted run", weights=model)
        if not resume:
            raise InputError(f"{path} holds an interrupted run: add --resume to go on, or choose another --output_dir")
        _refuse_other_processes(path, processes)
        if (files := _progress(path)["checkpoint"]) is not None:
            refuse_other_checkpoint(path, recipe.checkpoint, files)
        return RunFolder(path, False, whole, tuple(folder.name for folder in damaged))
    there = {item.name for item in path.iterdir()} - {LOCK} if path.is_dir() else set()
    if RECIPE in there and any(name.startswith("checkpoint-") for name in there):
        raise InputError(
            f"output_dir {path} holds an interrupted run without its folder {UNFINISHED}, which `cp -r RUN/*` leaves "
            "out: copy RUN itself, or choose another --output_dir"
        )
    if there:
        raise InputError(f"output_dir {path} is not empty and not a run; choose another --output_dir")
    return RunFolder(path, finished=False)


def _is_whole(checkpoint: Path, weights: str, processes: int, averaged: bool) -> bool:
    """Whether a checkpoint was written to its end: every file is there, of its own step, and none is cut short."""
    random_states = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        if state["global_step"] != _step(checkpoint):
            return False
        _ = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
        needed = {checkpoint / weights, *([checkpoint / EMA_WEIGHTS] if averaged else [])}
        for file in needed | set(checkpoint.glob("*.safetensors")):
            with safe_open(file, "pt"):
                pass
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return False
    return all(zipfile.is_zipfile(checkpoint / name) for name in ["optimizer.pt", "scheduler.pt", *random_states])


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1


def _refuse_other_settings(recipe: Recipe, saved: Path, what: str, weights: Path | None) -> None:
    if not saved.is_file():
        raise InputError(f"{saved.parent} holds {what} without its {RECIPE}; choose another --output_dir")
    now, then = recipe.settings(), recipe_from(load_yaml(saved), str(saved)).settings()
    differing = sorted(k for k in (now.keys() | then.keys()) - {"output_dir"} if now.get(k) != then.get(k))
    if differing:
        shown = ", ".join(f"{k} {then.get(k)!r} there, {now.get(k)!r} here" for k in differing[:5])
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        start = f", and start from its weights with --checkpoint {weights}" if weights else ""
        raise InputError(
            f"{recipe.output_dir} holds {what} with other settings ({shown}{more}): choose another --output_dir{start}"
        )


def _refuse_other_processes(path: Path, processes: int) -> None:
    then = _progress(path)["processes"]
    if then != processes:
        raise InputError(
            f"{path} holds a run of {then} process(es) and this launch has {processes}: go on with {then}, or choose "
            "another --output_dir"
        )


def _progress(path: Path) -> dict[str, Any]:
    file = path / UNFINISHED / PROGRESS
    empty = {"processes": 1, "resumed_from": [], "checkpoint": None, "checkpoint_is_local": False}
    if not file.exists():
        return empty
    noted = read_json(file)
    if missing := empty.keys() - noted.keys():
        raise InputError(
            f"{file} is damaged (it lacks {min(missing)}) or of an older version: choose another --output_dir"
        )
    return noted


def begin(run: RunFolder, recipe: Recipe, processes: int, resume: bool, splits: Mapping[str, Rows]) -> Lock:
    """Make the folder and lock it; write the settings, processes, what the run is made of, and where it was resumed.

    Returns:
        The lock. This process owns the folder until the lock is released or the process ends.

    Raises:
        InputError: the folder cannot be made, another process began, continued or finished a run there meanwhile, or
            `splits` has other rows than the run began with.
    """
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        lock = Lock(run.path)
        if warning := lock.take():
            print(f"warning: {warning}")
    except OSError as error:
        raise InputError(f"output_dir {run.path} cannot be made: {error.strerror}; choose another") from None
    try:
        _begin(run, recipe, processes, resume, splits)
    except BaseException:
        lock.release()
        raise
    return lock


def _begin(run: RunFolder, recipe: Recipe, processes: int, resume: bool, splits: Mapping[str, Rows]) -> None:
    if _look(recipe, resume, processes) != run:
        raise InputError(f"output_dir {run.path} was changed by another run meanwhile: choose another --output_dir")
    if (run.aside / ROWS).is_file():
        refuse_other_rows(run.path, run.aside / ROWS, splits)
    run.aside.mkdir(exist_ok=True)
    note_rows(run.aside / ROWS, splits)
    steps = [*resumed_from(run), _step(run.checkpoint) if run.checkpoint else 0] if resume else []
    files = checkpoint_hashes(recipe.checkpoint)
    notes = {
        "processes": processes,
        "resumed_from": steps,
        "checkpoint": files,
        # A folder may be gone later, and its name may look like a Hub id.
        "checkpoint_is_local": recipe.checkpoint is not None and Path(recipe.checkpoint).is_dir(),
    }
    write_json(run.aside / PROGRESS, notes)
    recipe.save(run.aside / RECIPE)
    recipe.save(run.path / RECIPE)  # to read while the run trains


def write_model(run: RunFolder, model: PreTrainedModel, processor: ViTImageProcessor) -> None:
    """The three files that every client loads, and a few drawn faces to try them on."""
    save_classifier(model, processor, run.aside)
    examples = run.aside / "examples"
    examples.mkdir(exist_ok=True)
    names = list((model.config.id2label or {}).values())
    for index, name in enumerate(CLASSES if is_scored(model.config.to_dict()) else names):
        if name in CLASSES:
            draw_face(name, seed=2026, index=index, size=224).save(examples / f"{name}.png")


def resumed_from(run: RunFolder) -> list[int]:
    """Global steps that the run was resumed from, first to last."""
    return list(_progress(run.path)["resumed_from"])


def closing_words(path: Path) -> str:
    """What a finished run prints: its table, its path, and the next line to type."""
    evaluation = read_json(path / SEAL)
    example = next(iter(sorted((path / "examples").glob("*.png"))), "FACE.png")
    outputs = len(evaluation.get("classes") or evaluation["scores"])
    loaded = f"pipeline('image-classification', model={path.as_posix()!r}, top_k={outputs})"
    code = f"from transformers import pipeline; print({loaded}({Path(example).as_posix()!r}))"
    # Double quotes work in every shell, unless the path holds what a shell reads inside them.
    quoted = shlex.quote(code) if set(code) & set('"$`\\!') else f'"{code}"'
    return f"{format_table(evaluation)}\n\n{path}\nnext: python -c {quoted}"


def seal(run: RunFolder, environment: dict[str, Any]) -> None:
    """Hash every publishable file, then move all into place; from the seal on, the folder is a run.

    The settings are copied and stay aside until then, so a run stopped in here is still recognised as interrupted.
    """
    hashes: dict[str, str] = {}
    for pattern in SEALED:
        base = run.path if pattern in (LOGS, RESULTS) else run.aside
        hashes |= {p.relative_to(base).as_posix(): sha256(p) for p in sorted(base.glob(pattern))}
    noted = _progress(run.path)
    history = {
        "resumed_from": noted["resumed_from"],
        "checkpoint_is_local": noted["checkpoint_is_local"],
        "checkpoint_sha256": weights_digest(noted["checkpoint"]),
        FILES: noted["checkpoint"],
        "git_revision": git_revision(),
        MADE_OF: noted_digests(run.aside / ROWS),
    }
    evaluation = read_json(run.aside / SEAL)
    run_folder.seal(run.aside, environment | history | {"sha256": hashes}, evaluation)
    for weights in run.aside.rglob("*.safetensors"):  # safetensors lets only the owner read them, whatever the umask
        weights.chmod((run.aside / SEAL).stat().st_mode)
    shutil.copyfile(run.aside / RECIPE, run.path / RECIPE)
    moved = (p for p in run.aside.iterdir() if p.name not in (RECIPE, PROGRESS, ROWS))
    for item in sorted(moved, key=lambda p: p.name == SEAL):
        target = run.path / item.name
        if target.is_dir():
            shutil.rmtree(target)
        item.replace(target)
    shutil.rmtree(run.aside)


def git_revision() -> str | None:
    """The commit of this code, with `-dirty` if files differ from it; None outside a checkout."""
    here = Path(__file__).parent.parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            encoding="utf-8",
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None
