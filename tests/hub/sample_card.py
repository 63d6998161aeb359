"""The sample card in docs/: a card of a made-up run, from fixed values. Write it again after a change of the card with

python -m tests.hub.sample_card
"""

import tempfile
from pathlib import Path
from typing import Any

from hub import face_detector
from hub.card.card import make_card
from hub.card.metadata import Publication
from pipeline.expressions import CLASSES
from pipeline.run_folder import Run
from pipeline.source import Source
from tests.conftest import ROOT

FILE = ROOT / "docs" / "sample_card.md"
BEFORE = """<!-- Written by `python -m tests.hub.sample_card`; change the template, not this file. -->

# A sample of the model card

This is the card that `push_to_hub.py` writes for a run, here for a **made-up** run: no figure in it was measured. The
Hub reads the front matter, which is shown first; the rest is what a reader sees. A real card also shows the diagrams of
the run.

````yaml
{front}````

{body}"""
HITS = {
    "test": (60, 90, 62, 80, 91, 51, 73),
    "validation": (64, 92, 60, 82, 93, 55, 75),
}  # right answers of 100 a class


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def threshold(below: float, answered: float, accuracy: float, share: int) -> dict[str, Any]:
    rows = round(answered * share * len(CLASSES))
    return {"not_sure_below": below, "answered": answered, "rows": rows, "accuracy": interval(accuracy)}


def row_set(split: str, rows: str, share: int) -> dict[str, Any]:
    """Figures of `share` rows of each class per 100; wrong answers go to the next class."""
    right = [hits * share // 100 for hits in HITS[split]]
    matrix = [[0] * len(CLASSES) for _ in CLASSES]
    for number, hits in enumerate(right):
        matrix[number][number], matrix[number][(number + 1) % len(CLASSES)] = hits, share - hits
    recalls = [hits / share for hits in right]
    accuracy = sum(right) / (share * len(CLASSES))
    per_class = {
        name: {"support": share} | dict.fromkeys(("precision", "recall", "f1"), interval(recall))
        for name, recall in zip(CLASSES, recalls, strict=True)
    }
    return {
        "split": split, "rows": rows, "n": share * len(CLASSES), "accuracy": interval(accuracy),
        "macro_f1": interval(accuracy - 0.01), "balanced_accuracy": interval(accuracy), "nll": interval(0.88),
        "kl": interval(0.41), "ece": interval(0.05), "human_agreement": interval(0.74),
        "per_class": per_class, "confusion_matrix": matrix,
        "abstention": [threshold(0.0, 1.0, accuracy, share), threshold(0.52, 0.9, accuracy + 0.05, share)],
    }  # fmt: skip


def sample_run(folder: Path) -> Run:
    """A run on FER2013 with the votes of FER+, as its files would say; `folder` has only weights, of a fixed size."""
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(22_000_000)
    return Run(folder, CONFIG, RECIPE, evaluation(), curation(), ENVIRONMENT)


CONFIG = {"model_type": "vit", "num_hidden_layers": 12, "hidden_size": 192, "patch_size": 16, "image_size": 112}
RECIPE = {
    "source": "ferplus", "data_path": "ferplus", "label_rule": "majority", "targets": "votes", "image_size": 112,
    "checkpoint": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "num_train_epochs": 20, "total_batch_size": 128,
    "learning_rate": 0.0003, "lr_scheduler_type": "cosine", "warmup_epochs": 2.0, "layer_decay": 0.75,
    "weight_decay": 0.05, "flip": 0.5, "cutmix": 0.5, "seed": 0,
}  # fmt: skip
ENVIRONMENT = {
    "wall_seconds": 5000.0, "train_seconds": 4800.0, "pictures_per_second": 100.0, "device": "cpu", "processes": 1,
    "processor": "a processor", "cores": 2, "system": "Linux", "precision": "fp32",
    "peak_memory_gib": {"resident": 3.5, "device": None}, "python": "3.11", "packages": {"torch": "(its version)"},
    "git_revision": "0" * 40, "resumed_from": [], "sha256": {},
}  # fmt: skip


def evaluation() -> dict[str, Any]:
    return {
        "calibration": {
            "rows": 700, "targets": "votes", "temperature": 1.25,
            "before": {"nll": interval(0.9), "ece": interval(0.07)},
            "after": {"nll": interval(0.88), "ece": interval(0.05)},
        },
        "recipe": "a_recipe_of_yours", "classes": list(CLASSES), "interval": 0.95, "resamples": 2000,
        "official": row_set("test", "all test rows", 100),
        "clean": row_set("test", "test rows without a pixel copy in train or validation", 95),
        "clean_near": row_set("test", "test rows without a near copy in train or validation", 90),
        "validation": row_set("validation", "rows without a pixel copy in train", 100),
    }  # fmt: skip


def curation() -> dict[str, Any]:
    source = Source(
        id="ferplus",
        title="FER2013 with the votes of FER+",
        layout="FER+ csv pair",
        origin="local",
        datasets=("FER2013", "FER+"),
        terms="FER2013 pictures: no open licence is known; FER+ votes: MIT",
        label_rule="majority",
        left_out={"train": {"no majority": 40, "not a face": 5}},
    )
    measured = {
        "unreadable": {"count": 0, "keys": []},
        "splits": {"official": ["train", "validation", "test"], "made": []},
    }
    rows = {"train": dict.fromkeys(CLASSES, 1000) | {"disgust": 200}, "test": dict.fromkeys(CLASSES, 100)}
    pairs = ("validation_in_train", "test_in_train", "test_in_validation")
    found = {"exact copy": (0, 30, 5), "near copy": (10, 60, 10)}
    return {
        "sources": {source.id: source.to_json() | measured},
        "rows": rows,
        "rows_used": rows,
        "copies": {"exact": {}, "near": {}},
        "leaks": {
            "rule": "report",
            "found": {kind: dict(zip(pairs, counts, strict=True)) for kind, counts in found.items()},
            "two_labels": {"train": 0},
        },
        "persons_shared": None,
    }


def publication() -> Publication:
    accuracy = interval(0.74)
    measured = {"bytes": 22_000_000, "max_difference": 5e-6, "agreement": 1.0, "n": 700, "accuracy": accuracy}
    names = {"model.onnx": "fp32", "model_with_preprocessing.onnx": "fp32 with preprocessing"}
    kinds = {"48 px gray": {"n": 7, "largest_difference": 1e-6, "same_top_class": 7}}
    export = {
        "measured_on": "validation", "rows": 700, "clean_rows": 700, "interval": "95 % Wilson",
        "run_accuracy": accuracy,
        "files": [measured | {"file": file, "precision": name} for file, name in names.items()],
        "left_out": {"int8": "it loses 0.91 points of validation accuracy (0.7309 against 0.7400), more than the 0.5 "
                             "that are allowed"},
    }  # fmt: skip
    asked = {"versions": {}, "tolerance": 1e-4, "kinds": kinds}
    parity = {"clients": {"pipeline()": asked, "onnxruntime": asked, "transformers.js": {"skipped": "no node_modules"}}}
    return Publication("user/fer-vit-tiny", "v1.0", export, parity, detector=face_detector.FILE)


def sample_text() -> str:
    """The content of docs/sample_card.md."""
    with tempfile.TemporaryDirectory() as folder:
        card = make_card(sample_run(Path(folder)), publication())
    _, front, body = card.split("---\n", 2)
    return BEFORE.format(front=front, body=body.strip().replace("\n# ", "\n## ")) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(sample_text(), encoding="utf-8")
