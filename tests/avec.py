"""The layout of DAIC-WOZ with made-up participants: lists as in AVEC 2017, feature files, and drawn faces.

Nothing of the set is here. How far an action unit moves, and how far a drawn face moves, carries the score.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.drawn.face import draw_face

ITEMS = ("NoInterest", "Depressed", "Sleep", "Tired", "Appetite", "Failure", "Concentrating", "Moving")
AUS = ("AU01_r", "AU04_r", "AU12_r", "AU12_c")
POSE = ("X", "Y", "Z", "Rx", "Ry", "Rz")
TRAIN, DEV, TEST = (
    "train_split_Depression_AVEC2017.csv", "dev_split_Depression_AVEC2017.csv", "test_split_Depression_AVEC2017.csv",
)  # fmt: skip


def write_list(folder: Path, name: str, scores: Mapping[Any, object], columns: str = "2017") -> Path:
    """A list of participants: number -> score; of 2017 with eight items, of 2019 without, or without any score."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "2017": f"Participant_ID,PHQ8_Binary,PHQ8_Score,Gender,{','.join(f'PHQ8_{item}' for item in ITEMS)}",
        "2019": "Participant_ID,Gender,PHQ_Binary,PHQ_Score,PCL-C (PTSD),PTSD Severity",
        "no scores": "participant_ID,Gender",
    }[columns]
    lines = [head]
    for number, score in scores.items():
        known = isinstance(score, int) and 0 <= score <= 24
        binary = int(known and int(str(score)) >= 10)
        items = [int(str(score)) // 8 + (i < int(str(score)) % 8) if known else 0 for i in range(8)]
        lines.append({
            "2017": f"{number},{binary},{score},{str(number)[-1]},{','.join(map(str, items))}",
            "2019": f"{number},male,{binary},{score},0,30",
            "no scores": f"{number},{str(number)[-1]}",
        }[columns])  # fmt: skip
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def write_features(
    folder: Path, number: int, score: float, frames: int = 40, lost: Sequence[int] = (), bad: Sequence[int] = ()
) -> None:
    """`NNN_P/NNN_CLNF_AUs.txt` and `NNN_CLNF_pose.txt`: AU12 moves by the score; `lost` frames have no face."""
    random = np.random.default_rng(number)
    place = folder / f"{number}_P"
    place.mkdir(parents=True, exist_ok=True)
    for kind, names in (("AUs", AUS), ("pose", POSE)):
        values = random.normal(1, 0.3, (frames, len(names)))
        if kind == "AUs":
            values[:, 2] += score / 8
        lines = [", ".join(["frame", "timestamp", "confidence", "success", *names])]
        for i, row in enumerate(values):
            found = i not in lost
            cells = [f"{value:.4f}" for value in row] if found else ["-1.#IND"] * len(names)
            cells[0] = "-nan(ind)" if i in bad else cells[0]
            lines.append(", ".join([f"{i + 1}", f"{i / 30:.3f}", "0.95" if found else "0", str(int(found)), *cells]))
        (place / f"{number}_CLNF_{kind}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_pictures(folder: Path, number: int, score: float, count: int = 2, size: int = 32) -> None:
    """`NNN_P/`: drawn faces that smile as far as the score says."""
    place = folder / f"{number}_P" / "faces"
    place.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        face = draw_face("happiness", seed=8, index=number * 100 + i, size=size, intensity=score / 24)
        face.save(place / f"{i:04d}.png")


def participants(train: int = 30, dev: int = 12, seed: int = 0) -> tuple[dict[int, int], dict[int, int]]:
    """Numbers and scores of made-up participants."""
    random = np.random.default_rng(seed)
    numbers, scores = iter(range(300, 300 + train + dev)), random.integers(0, 25, train + dev).tolist()
    of = dict(zip(numbers, scores, strict=True))
    return {n: s for n, s in of.items() if n < 300 + train}, {n: s for n, s in of.items() if n >= 300 + train}


def write_set(folder: Path, train: int = 30, dev: int = 12) -> Path:
    """Lists of train, dev and test, and features of all."""
    of_train, of_dev = participants(train, dev)
    write_list(folder, TRAIN, of_train)
    write_list(folder, DEV, of_dev)
    write_list(folder, TEST, {900: "", 901: ""}, "no scores")
    for number, score in (of_train | of_dev).items():
        write_features(folder, number, score)
    return folder
