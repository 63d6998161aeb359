"""Every family of checkpoints from its folder to a staged release: what works, as a table.

    python -m tests.benchmarks.checkpoint_families [NAME ...]

For each: train 3 steps and seal (`train_hf.py`), score pictures (`hub.predict`), stage a release (`push_to_hub.py` with
`--dry_run`, which exports ONNX and asks `pipeline()`, AutoModel, onnxruntime and the app in fresh processes). A cell of
a client is its largest difference of a probability from the run's own.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import push_to_hub
import train_hf
from hub import predict
from tests.conftest import write_recipe
from tests.families import FAMILIES

CLIENTS = ("pipeline()", "AutoModel", "onnxruntime", "the app")
QUICK = {"max_steps": 3, "drawn_faces": 60, "learning_rate": 0.01, "vit_config": {}, "evaluate_test": True}


def main(names: list[str]) -> None:
    """Print the table, row by row."""
    print(f"| checkpoint | kind | trained and sealed | hub.predict | release staged | {' | '.join(CLIENTS)} |")
    print("|---" * (5 + len(CLIENTS)) + "|")
    for name in names or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            kind = "convolutional" if FAMILIES[name].is_convolutional else "transformer"
            print(f"| {name} | {kind} | {' | '.join(outcome(name, Path(folder)))} |", flush=True)


def outcome(name: str, folder: Path) -> list[str]:
    """The cells of a family; the first command that fails ends its row with its last line."""
    family, run = FAMILIES[name], folder / "run"
    family.save(folder / "checkpoint")
    about = {"checkpoint": str(folder / "checkpoint"), "image_size": family.size, "output_dir": str(run)}
    recipe = write_recipe(folder / "family.yaml", **QUICK, **about)
    commands: list[tuple[Callable[[list[str]], None], list[str]]] = [
        (train_hf.main, [str(recipe)]),
        (predict.main, [str(run), str(run / "examples")]),
        (push_to_hub.main, [str(run), "--repo_id", "user/family", "--dry_run"]),
    ]
    cells = []
    for command, words in commands:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                command(words)
        except Exception as error:  # this is what the table is for
            return [*cells, f"{type(error).__name__}: {error}"]
        cells.append("yes")
    clients = json.loads((folder / "run-staged" / "parity.json").read_text(encoding="utf-8"))["clients"]
    return cells + [_largest(clients[client]) for client in CLIENTS]


def _largest(client: dict) -> str:
    return f"{max(kind['largest_difference'] for kind in client['kinds'].values()):.1g}"


if __name__ == "__main__":
    main(sys.argv[1:])
