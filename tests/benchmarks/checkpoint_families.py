"""Every family of checkpoints from its folder to a staged release: what works, as a table.

    python -m tests.benchmarks.checkpoint_families [--stage] [NAME ...]

For each: train 3 steps and seal (`train_hf.py`), score pictures (`hub.predict`, with torch), export ONNX, and ask
`pipeline()` and the server with onnxruntime. `spread` is the largest difference of a probability between two pictures:
a model that answers the same to all of them proves nothing, and its row ends there. A cell of a client is its largest
difference of a probability from the run's own. With --stage also `push_to_hub.py --dry_run`, which asks every client in
a fresh process: a minute each.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from transformers import pipeline

import push_to_hub
import train_hf
from hub import predict
from hub.clients.picture_kinds import picture_kinds
from hub.export import fp32
from hub.export.export import export_onnx
from hub.run import load_run
from hub.run_data import drawn_faces
from hub.server.engine import load_model, to_scores
from pipeline.pictures import decode
from pipeline.training.prediction import answers_of_files
from tests.conftest import write_recipe
from tests.families import FAMILIES

LEAST_SPREAD = 0.001
CLIENTS = ("spread", "pipeline()", "server, torch", "server, ONNX")
QUICK = {"max_steps": 3, "drawn_faces": 60, "learning_rate": 0.001, "vit_config": {}, "evaluate_test": True}


def main(words: list[str]) -> None:
    """Print the table, row by row."""
    stage = "--stage" in words
    names = [word for word in words if word != "--stage"] or list(FAMILIES)
    heads = ["checkpoint", "kind", "trained and sealed", "hub.predict", *CLIENTS, *(["staged"] if stage else [])]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            kind = "convolutional" if FAMILIES[name].is_convolutional else "transformer"
            print(f"| {name} | {kind} | {' | '.join(outcome(name, Path(folder), stage))} |", flush=True)


def outcome(name: str, folder: Path, stage: bool) -> list[str]:
    """The cells of a family; the first step that fails ends its row with its message."""
    family, run = FAMILIES[name], folder / "run"
    family.save(folder / "checkpoint")
    about = {"checkpoint": str(folder / "checkpoint"), "image_size": family.size, "output_dir": str(run)}
    recipe = write_recipe(folder / "family.yaml", **QUICK, **about)
    steps: list[Callable[[], list[str]]] = [
        lambda: _quietly(train_hf.main, str(recipe)),
        lambda: _quietly(predict.main, str(run), str(run / "examples")),
        lambda: _differences(run, folder, family.size),
    ]
    if stage:
        steps.append(lambda: _quietly(push_to_hub.main, str(run), "--repo_id", "user/family", "--dry_run"))
    cells: list[str] = []
    for step in steps:
        try:
            cells += step()
        except Exception as error:  # this is what the table is for
            return [*cells, f"{type(error).__name__}: {error}"]
    return cells


def _quietly(command: Callable[[list[str]], None], *words: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()):
        command(list(words))
    return ["yes"]


def _differences(run: Path, folder: Path, size: int) -> list[str]:
    """The spread, then the largest difference of each client from the run's own, over pictures of many kinds."""
    kinds = picture_kinds(folder / "pictures", sorted((run / "examples").glob("*.png"))[:2], (size, size))
    files = [file for kind in kinds.values() for file in kind]
    own = answers_of_files(run, {"all": files}, size)["all"]
    spread = float(np.ptp(own, axis=0).max())
    if spread < LEAST_SPREAD:
        raise ValueError(f"its probabilities differ by {spread:.1g} between pictures")
    released = folder / "released"
    shutil.copytree(run, released)
    export_onnx(load_run(run), released, None, [fp32.FORMAT], drawn_faces())
    scores = [_of_pipeline(run, files), _of_server(run, files), _of_server(released, files)]
    return [f"{spread:.1g}", *(f"{np.abs(each - own).max():.1g}" for each in scores)]


def _of_pipeline(folder: Path, files: list[Path]) -> np.ndarray:
    classify = pipeline("image-classification", model=str(folder), trust_remote_code=False)
    names = classify.model.config.id2label
    answers = [{each["label"]: each["score"] for each in classify(str(f), top_k=len(names))} for f in files]
    return np.array([[answer[names[index]] for index in range(len(names))] for answer in answers])


def _of_server(folder: Path, files: list[Path]) -> np.ndarray:
    model = load_model(str(folder))
    return to_scores(model.run(np.stack([model.prepare(np.asarray(decode(file))) for file in files])), "softmax")


if __name__ == "__main__":
    main(sys.argv[1:])
