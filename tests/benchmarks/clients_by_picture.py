"""Prints how far each client is from training, for one picture in every mode, transparency and depth.

    python -m tests.benchmarks.clients_by_picture FOLDER

FOLDER is a published folder, such as what `push_to_hub.py --dry_run` leaves. A cell is the largest difference of a
probability, `refused`, or `ANSWERED` if training refuses the picture.
transformers.js is asked if FER_NODE_MODULES names it.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hub.clients.clients import CLIENTS, Answer, ask, lay, why_missing
from pipeline.drawn.face import draw_face
from pipeline.pictures import UnusablePicture, decode
from pipeline.training.prediction import answers_of_files
from tests.picture_modes import picture_modes

ROOT = Path(__file__).parents[2]
TRAINING, PREDICT = "training", "hub.predict"
MODEL = "somebody/faces"


def answers(folder: Path, paths: dict[str, Path], clients: Sequence[str]) -> dict[str, dict[str, Answer]]:
    """What training, hub.predict and these clients say of the pictures: by client, then by kind of picture."""
    table = {TRAINING: training(folder, paths), PREDICT: predict(folder, paths)}
    with tempfile.TemporaryDirectory() as home:
        environment = lay(folder, Path(home), MODEL, None)
        for name in clients:
            given = ask(name, MODEL, list(paths.values()), environment, top_k=len(_classes(folder)))
            table[name] = dict(zip(paths, given, strict=True))
    return table


def training(folder: Path, paths: dict[str, Path]) -> dict[str, Answer]:
    """What the run's own code says, and why it refuses a picture, by kind."""
    size = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))["size"]["height"]
    found: dict[str, Answer] = {}
    for kind, path in paths.items():
        try:
            decode(path)
        except UnusablePicture as error:
            found[kind] = str(error)
    rows = answers_of_files(folder, {kind: [path] for kind, path in paths.items() if kind not in found}, size)
    return found | {kind: dict(zip(_classes(folder), map(float, row[0]), strict=True)) for kind, row in rows.items()}


def difference(one: Answer, other: Answer) -> float | None:
    """The largest difference of a probability; 0 for two refusals, and None if only one of the two refuses."""
    if isinstance(one, str) or isinstance(other, str):
        return 0.0 if isinstance(one, str) and isinstance(other, str) else None
    return max(abs(one[name] - other[name]) for name in one)


def _classes(folder: Path) -> list[str]:
    named = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
    return [named[str(index)] for index in range(len(named))]


def predict(folder: Path, paths: dict[str, Path]) -> dict[str, Answer]:
    """What `python -m hub.predict` says, by kind."""
    words = [sys.executable, "-m", "hub.predict", str(folder), *map(str, paths.values()), "--json"]
    return read_answers(subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout, paths)


def read_answers(lines: str, paths: dict[str, Path]) -> dict[str, Answer]:
    """JSON lines of hub.predict by kind of picture."""
    given = [json.loads(line) for line in lines.splitlines()]
    assert [line["file"] for line in given] == [str(path) for path in paths.values()]
    return {
        kind: line.get("error") or {one["label"]: one["score"] for one in line["faces"][0]["scores"]}
        for kind, line in zip(paths, given, strict=True)
    }


def _cell(answer: Answer, own: Answer) -> str:
    if isinstance(answer, str):
        return "refused"
    apart = difference(answer, own)
    return "ANSWERED" if apart is None else f"{apart:.1e}"


def main(folder: Path) -> None:
    clients = [n for n, c in CLIENTS.items() if not why_missing(c, folder) and c.tolerance is not None]
    face = draw_face("happiness", seed=2026, index=0, size=224).convert("RGB")
    with tempfile.TemporaryDirectory() as place:
        table = answers(folder, picture_modes(Path(place), face), clients)
    columns = [PREDICT, *clients]
    print(f"{'picture':<28}{'training':<10}" + "".join(f"{name:<17}" for name in columns))
    for kind, own in table[TRAINING].items():
        cells = "".join(f"{_cell(table[name][kind], own):<17}" for name in columns)
        print(f"{kind:<28}{'refused' if isinstance(own, str) else 'answered':<10}{cells}")
    spread = np.array([list(row.values()) for row in table[TRAINING].values() if not isinstance(row, str)])
    print(f"\nprobabilities of one class range over {np.ptp(spread, axis=0).max():.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
