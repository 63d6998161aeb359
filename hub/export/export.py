"""The weights of a run as files for onnxruntime and transformers.js, each compared with the run before it is kept."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import onnx
import onnxruntime
import torch
from PIL import Image

from hub.export import fp16, fp32, int8, preprocessed
from hub.export.classifier import Classifier, load_classifier
from hub.export.compare import (
    Reference,
    answers,
    compare,
    on_faces,
    on_validation,
    refuse_wrong,
    why_inaccurate,
)
from hub.export.formats import Format
from hub.export.onnx_files import OPSET, described
from pipeline.errors import InputError
from pipeline.run_folder import Run, sha256, write_json

FORMATS = (fp32.FORMAT, fp16.FORMAT, int8.FORMAT, preprocessed.FORMAT)
"""The files of a release, in the order of the card. The first is what the others are compared with in size."""


def export_onnx(
    run: Run,
    folder: Path,
    validation: datasets.Dataset | None,
    formats: Sequence[Format] = FORMATS,
    faces: Sequence[Image.Image] = (),
) -> dict[str, Any]:
    """Write `folder/onnx`: a file for each format and `export.json`, whole or not at all.

    A file takes `pixel_values` (batch, 3, H, W) and gives `logits` (batch, K), both float32, for any batch size. The
    one with preprocessing takes `image` (height, width, 3) uint8 of any size and gives `probabilities` (K) float32.
    Of a model of scores it gives `answers` (K). The metadata of every file holds the names (`onnx_files.CLASSES`).

    Args:
        run: a finished run.
        folder: where the folder `onnx` is created.
        validation: pictures with the columns image, source and key, among them those that the run was evaluated on.
            With None the files are compared with torch on `faces` and accuracy is not measured.
        formats: what to write.
        faces: drawn faces; needed only without `validation`.

    Returns:
        The content of export.json: each file, how it agrees with the run, and what was left out and why.

    Raises:
        InputError: the folder exists, rows are missing, or a file does not answer as the run did.
    """
    target = folder / "onnx"
    if target.exists():
        raise InputError(f"{target} is there already; delete it, or export into another folder")
    classifier = load_classifier(run.path)
    reference = on_faces(faces, classifier) if validation is None else on_validation(run, validation)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=folder) as aside:
        made = Path(aside) / "onnx"
        made.mkdir()
        left_out = _write(classifier, made, formats)
        kept = [format for format in formats if format.name not in left_out]
        measured, inaccurate = _measure(classifier, reference, made, kept)
        report = _report(measured, reference, made, left_out | inaccurate)
        write_json(made / "export.json", report)
        made.rename(target)
    return report


def _write(classifier: Classifier, folder: Path, formats: Sequence[Format]) -> dict[str, str]:
    """Write the files that are worth measuring; the reasons for those that are not, by format."""
    left_out = {}
    for format in formats:
        file, first = folder / format.file, folder / formats[0].file
        format.write(classifier, file)
        if (share := file.stat().st_size / first.stat().st_size) > format.share:
            why = "as most of its weights are stored in float32"
            left_out[format.name] = f"it has {share:.0%} of the bytes of {formats[0].name}, {why}"
            file.unlink()
    return left_out


def _measure(
    classifier: Classifier, reference: Reference, folder: Path, formats: Sequence[Format]
) -> tuple[dict[Format, dict[str, Any]], dict[str, str]]:
    """What was measured of each file that stays, and why others go; their files are deleted."""
    opened = {format.name: format.answers(folder / format.file) for format in formats}
    logits = answers(opened, classifier, reference.table)
    measured = {format: compare(logits[format.name], reference) for format in formats}
    left_out = {}
    for format in formats:
        refuse_wrong(format, measured[format], reference)
        if reason := why_inaccurate(format, measured[format], reference):
            left_out[format.name] = reason
            del measured[format]
            (folder / format.file).unlink()
    return measured, left_out


def _report(
    measured: Mapping[Format, Mapping[str, Any]], reference: Reference, folder: Path, left_out: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "opset": OPSET,
        "versions": {
            "torch": torch.__version__.partition("+")[0],
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "measured_on": reference.name,
        "rows": None if reference.labels is None else len(reference.labels),
        "clean_rows": None if reference.clean is None else int(reference.clean.sum()),
        "interval": None if reference.labels is None else "95 % Wilson",
        "run_accuracy": reference.accuracy(reference.logits),
        "files": [
            {
                "file": format.file,
                "precision": format.name,
                "bytes": (folder / format.file).stat().st_size,
                "sha256": sha256(folder / format.file),
                **_ends(folder / format.file),
                **figures,
            }
            for format, figures in measured.items()
        ],
        "left_out": dict(left_out),
    }


def _ends(file: Path) -> dict[str, Any]:
    """What a file takes and gives."""
    graph = onnx.load(file).graph
    return {"input": described(graph.input[0]), "output": described(graph.output[0])}
