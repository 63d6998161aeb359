"""Any exported format against the run: the same pictures, how far the probabilities differ, and whether it may stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest
from tqdm.auto import tqdm

from hub.export.classifier import Classifier
from hub.export.formats import Format
from hub.export.onnx_files import Answer, Batch
from pipeline import task
from pipeline.errors import InputError
from pipeline.run_folder import Run

BATCH = 64


@dataclass(frozen=True)
class Reference:
    """Pictures (column `image`) and the logits (N, K) that a file must give; labels and clean (N,), or None.

    `config` is that of the model: it says whether the logits are scores, and their ranges.
    """

    name: str
    table: datasets.Dataset
    logits: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    clean: NDArray[np.bool_] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def accuracy(self, logits: NDArray[np.float32]) -> dict[str, float] | None:
        """Share of right answers on the clean rows, as in the run's own figures, with a 95 % Wilson interval."""
        if self.labels is None:
            return None
        right = (logits.argmax(1) == self.labels)[self.clean]
        interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, "wilson")
        return {"value": float(right.mean()), "low": float(interval.low), "high": float(interval.high)}


def on_validation(run: Run, validation: datasets.Dataset) -> Reference:
    """The validation rows of predictions.parquet with their pictures, which are found by source and key.

    Raises:
        InputError: a row has no picture in `validation`.
    """
    rows = pq.read_table(run.path / "predictions.parquet", filters=[("split", "=", "validation")]).to_pydict()
    names = list(zip(rows["source"], rows["key"], strict=True))
    place = {name: n for n, name in enumerate(zip(validation["source"][:], validation["key"][:], strict=True))}
    missing = [name for name in names if name not in place]
    if missing or not names:
        first = f", the first {missing[0][1]!r} of {missing[0][0]}" if missing else ""
        raise InputError(
            f"{len(missing)} of the {len(names)} validation rows in {run.path / 'predictions.parquet'} are not among "
            f"the {len(validation)} validation pictures given{first}: give the data that the run was trained on, with "
            "the settings of its recipe.yaml; or leave --data_path out, and accuracy is not measured"
        )
    return Reference(
        "validation",
        validation.select([place[name] for name in names]),
        np.array(rows["logits"], dtype=np.float32),
        np.array(rows["label"], dtype=np.int64) if run.classes else None,
        np.array(rows["clean"], dtype=bool),
        run.config,
    )


def on_faces(faces: Sequence[Image.Image], classifier: Classifier) -> Reference:
    """Drawn faces, and the logits that torch gives them. Any run can be tried on them, whatever its classes."""
    table = datasets.Dataset.from_dict({"image": list(faces)}, features=datasets.Features({"image": datasets.Image()}))
    return Reference("faces", table, classifier.logits(faces), config=classifier.config)


def answers(
    files: Mapping[str, Answer], classifier: Classifier, table: datasets.Dataset
) -> dict[str, NDArray[np.float32]]:
    """Logits (N, K) of each file for the pictures of `table`."""
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in files}
    for start in tqdm(range(0, len(table), BATCH), f"compare {', '.join(files)}"):
        pictures = [image.convert("RGB") for image in table[start : start + BATCH]["image"]]
        batch = Batch(pictures, classifier.pixels(pictures))
        for name, answer in files.items():
            found[name].append(answer(batch))
    return {name: np.concatenate(batches) for name, batches in found.items()}


def compare(logits: NDArray[np.float32], reference: Reference) -> dict[str, Any]:
    """How far the answers of `logits` (N, K) are from those of the run, and how accurate they are.

    A difference of scores is a share of the score's range in train.
    """
    own, theirs = (task.answers(each, reference.config) for each in (logits, reference.logits))
    apart = np.abs(own - theirs) / task.spans(reference.config)
    return {
        "n": len(logits),
        "max_difference": float(apart.max()),
        "mean_difference": float(apart.mean()),
        "agreement": float((logits.argmax(1) == reference.logits.argmax(1)).mean()),
        "accuracy": reference.accuracy(logits),
    }


def refuse_wrong(format: Format, measured: Mapping[str, Any], reference: Reference) -> None:
    """Refuse a file that does not answer as the run did.

    Raises:
        InputError: an answer differs by more than `format.bound`.
    """
    apart = measured["max_difference"]
    if apart <= format.bound:  # false for nan too
        return
    against, remedy = {
        "validation": ("predictions.parquet", "give the pictures that the run was evaluated on, unchanged"),
        "faces": ("torch on drawn faces", "this version of torch cannot export these weights"),
    }[reference.name]
    what = task.kind_of_answer(reference.config)
    raise InputError(
        f"{format.file} disagrees with {against}: a {what} differs by {apart:.2g} (allowed: {format.bound:g}); {remedy}"
    )


def why_inaccurate(format: Format, measured: Mapping[str, Any], reference: Reference) -> str | None:
    """Why a file is left out that loses too much accuracy; None if it may stay.

    A file of scores stays if they differ by at most `format.loss` of their range on average. Without labels, a file
    stays if its first answer is the run's for every picture.
    """
    if format.loss is None:
        return None
    own = reference.accuracy(reference.logits)
    if task.is_scored(reference.config):
        apart = measured["mean_difference"]
        shares = f"its scores differ by {apart:.2g} of their range on average"
        return None if apart <= format.loss else f"{shares}, more than the {format.loss:g} that are allowed"
    if own is None:
        agreed = round(measured["agreement"] * measured["n"])
        same = f"its first answer is the run's for only {agreed} of {measured['n']} pictures"
        return None if agreed == measured["n"] else f"{same}, and accuracy was not measured"
    accuracy = measured["accuracy"]["value"]
    lost = round(own["value"] - accuracy, 9)  # 1.0 - 0.995 is a little more than 0.005
    if lost <= format.loss:
        return None
    return (
        f"it loses {100 * lost:.2f} points of validation accuracy ({accuracy:.4f} against {own['value']:.4f}), more "
        f"than the {100 * format.loss:g} that are allowed"
    )
