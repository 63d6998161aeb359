"""The weights of a run as ONNX files, for onnxruntime and transformers.js, each measured before it may be published."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax
from scipy.stats import binomtest
from tqdm.auto import tqdm
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from hub.export.onnx_files import FILES, INPUT, OPSET, OUTPUT, Logits, write_files
from pipeline.errors import InputError
from pipeline.run_folder import Run, sha256, write_json

# The largest difference of a probability that a right file can show. A ViT-Tiny at 112 px showed 5e-6 and 3e-3 over
# 3,186 pictures; a wrong weight or another preprocessing shows tenths.
BOUNDS = {"fp32": 1e-4, "fp16": 0.02}
INT8_LOSS = 0.005  # accuracy that int8 may lose on validation
INT8_SHARE = 0.5  # of the bytes of fp32 that int8 may have
BATCH = 64


@dataclass(frozen=True)
class Reference:
    """Pictures (column `image`) and what a file must answer to them: logits (N, K); labels and clean (N,), or None."""

    name: str
    table: datasets.Dataset
    logits: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    clean: NDArray[np.bool_] | None = None

    def accuracy(self, logits: NDArray[np.float32]) -> dict[str, float] | None:
        """Share of right answers on the clean rows, as the run's own figures, with a 95 % Wilson interval."""
        if self.labels is None:
            return None
        right = (logits.argmax(1) == self.labels)[self.clean]
        interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, "wilson")
        return {"value": float(right.mean()), "low": float(interval.low), "high": float(interval.high)}


def export_onnx(run: Run, folder: Path, validation: datasets.Dataset | None) -> dict[str, Any]:
    """Write `folder/onnx`: a file a precision and `export.json`, whole or not at all.

    Every file takes `pixel_values` (batch, 3, H, W) and gives `logits` (batch, K), both float32, with any batch.

    Args:
        run: A finished run.
        folder: Where the folder `onnx` is made.
        validation: Rows with the columns image, source and key, which hold those that the run was evaluated on. With
            None the files are compared with torch on the run's drawn examples, no accuracy is measured, and int8,
            which may lose some, is left out.

    Returns:
        The content of export.json: what each file is, how it agrees with the run, and what was left out and why.

    Raises:
        InputError: the folder is there already, rows are missing, or fp32 or fp16 do not answer as the run did.
    """
    target = folder / "onnx"
    if target.exists():
        raise InputError(f"{target} is there already; delete it, or export into another folder")
    model, processor = _load(run.path)
    reference = _examples(run, model, processor) if validation is None else _validation(run, validation)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=folder) as aside:
        made = Path(aside) / "onnx"
        made.mkdir()
        write_files(model, _pixels(processor, reference.table[:1]["image"]).shape, made)
        left_out = _drop_unmeasured(reference, made)
        logits = _answers({p: made / FILES[p] for p in FILES if p not in left_out}, processor, reference.table)
        measured = {precision: _compare(answers, reference) for precision, answers in logits.items()}
        _refuse_wrong(measured, reference)
        left_out |= _drop_inaccurate(measured, reference, made)
        report = _report(measured, reference, made, left_out)
        write_json(made / "export.json", report)
        made.rename(target)
    return report


def _load(path: Path) -> tuple[torch.nn.Module, Any]:
    """The model in float32, and its image processor. ViT's eager attention makes a smaller graph than sdpa's."""
    attention = {"attn_implementation": "eager"} if AutoConfig.from_pretrained(path).model_type == "vit" else {}
    model = AutoModelForImageClassification.from_pretrained(path, dtype=torch.float32, **attention).eval()
    return model, AutoImageProcessor.from_pretrained(path)


def _pixels(processor: Any, images: Iterable[Image.Image]) -> NDArray[np.float32]:
    """`(B, 3, H, W)` as any client of the run has them."""
    pixels: NDArray[np.float32] = processor([i.convert("RGB") for i in images], return_tensors="np")[INPUT]
    return pixels


def _validation(run: Run, validation: datasets.Dataset) -> Reference:
    """The validation rows of the predictions, with their pictures, found by source and key."""
    rows = pq.read_table(run.path / "predictions.parquet", filters=[("split", "=", "validation")]).to_pydict()
    names = list(zip(rows["source"], rows["key"], strict=True))
    place = {name: n for n, name in enumerate(zip(validation["source"][:], validation["key"][:], strict=True))}
    missing = [name for name in names if name not in place]
    if missing or not names:
        first = f", the first {missing[0][1]!r} of {missing[0][0]}" if missing else ""
        raise InputError(
            f"{len(missing)} of the {len(names)} validation rows in {run.path / 'predictions.parquet'} are not among "
            f"the {len(validation)} validation pictures given{first}: give the data that the run was trained on, with "
            "the settings of its recipe.yaml; or none, and accuracy is not measured"
        )
    return Reference(
        "validation",
        validation.select([place[name] for name in names]),
        np.array(rows["logits"], dtype=np.float32),
        np.array(rows["label"], dtype=np.int64),
        np.array(rows["clean"], dtype=bool),
    )


def _examples(run: Run, model: torch.nn.Module, processor: Any) -> Reference:
    """The drawn faces of the run, and what torch answers."""
    files = sorted(str(file) for file in (run.path / "examples").glob("*.png"))
    if not files:
        raise InputError(f"{run.path / 'examples'} has no picture to try a file on: give validation pictures")
    table = datasets.Dataset.from_dict({"image": files}).cast_column("image", datasets.Image())
    with torch.inference_mode():
        logits = Logits(model)(torch.from_numpy(_pixels(processor, table[:]["image"])))
    return Reference("examples", table, logits.numpy())


def _drop_unmeasured(reference: Reference, folder: Path) -> dict[str, str]:
    """Delete an int8 file that is not worth measuring, or that cannot be; the reason, where it is one."""
    small, full = ((folder / FILES[precision]).stat().st_size for precision in ("int8", "fp32"))
    if reference.labels is None:
        reason = "accuracy was not measured, as no validation pictures were given"
    elif small > INT8_SHARE * full:
        reason = f"it has {small / full:.0%} of the bytes of fp32, as most weights are not in matrix products"
    else:
        return {}
    (folder / FILES["int8"]).unlink()
    return {"int8": reason}


def _answers(files: dict[str, Path], processor: Any, table: datasets.Dataset) -> dict[str, NDArray[np.float32]]:
    """Logits (N, K) of each file for the pictures of `table`, on the CPU, with as many threads as torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    sessions = {
        precision: onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        for precision, file in files.items()
    }
    answers: dict[str, list[NDArray[np.float32]]] = {precision: [] for precision in files}
    for start in tqdm(range(0, len(table), BATCH), f"onnx {', '.join(files)}"):
        pixels = _pixels(processor, table[start : start + BATCH]["image"])
        for precision, session in sessions.items():
            answers[precision] += session.run([OUTPUT], {INPUT: pixels})
    return {precision: np.concatenate(batches) for precision, batches in answers.items()}


def _compare(logits: NDArray[np.float32], reference: Reference) -> dict[str, Any]:
    apart = np.abs(softmax(logits, axis=1) - softmax(reference.logits, axis=1))
    return {
        "n": len(logits),
        "max_difference": float(apart.max()),
        "mean_difference": float(apart.mean()),
        "agreement": float((logits.argmax(1) == reference.logits.argmax(1)).mean()),
        "accuracy": reference.accuracy(logits),
    }


def _refuse_wrong(measured: dict[str, dict[str, Any]], reference: Reference) -> None:
    for precision, bound in BOUNDS.items():
        apart = measured[precision]["max_difference"]
        if apart <= bound:  # false for nan too
            continue
        against, remedy = {
            "validation": ("predictions.parquet", "give the pictures that the run was evaluated on, unchanged"),
            "examples": ("torch's on the drawn examples", "these weights cannot be exported by this version of torch"),
        }[reference.name]
        raise InputError(
            f"{FILES[precision]} does not answer as the run: a probability is {apart:.2g} from {against}, and at most "
            f"{bound:g} may it be: {remedy}"
        )


def _drop_inaccurate(measured: dict[str, dict[str, Any]], reference: Reference, folder: Path) -> dict[str, str]:
    """Delete an int8 file that loses too much, from the disk and from `measured`; the reason, where it does."""
    own = reference.accuracy(reference.logits)
    if "int8" not in measured or own is None:
        return {}
    accuracy = measured["int8"]["accuracy"]["value"]
    lost = round(own["value"] - accuracy, 9)  # 1.0 - 0.995 is a little more than 0.005
    if lost <= INT8_LOSS:
        return {}
    del measured["int8"]
    (folder / FILES["int8"]).unlink()
    return {
        "int8": f"it loses {100 * lost:.2f} points of validation accuracy ({accuracy:.4f} against {own['value']:.4f}), "
        f"more than the {100 * INT8_LOSS:g} that are allowed"
    }


def _report(
    measured: dict[str, dict[str, Any]], reference: Reference, folder: Path, left_out: dict[str, str]
) -> dict[str, Any]:
    graph = onnx.load(folder / FILES["fp32"]).graph
    return {
        "opset": OPSET,
        "versions": {
            "torch": torch.__version__.partition("+")[0],
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "input": _described(graph.input[0]),
        "output": _described(graph.output[0]),
        "measured_on": reference.name,
        "rows": None if reference.labels is None else len(reference.labels),
        "clean_rows": None if reference.clean is None else int(reference.clean.sum()),
        "interval": None if reference.labels is None else "95 % Wilson",
        "run_accuracy": reference.accuracy(reference.logits),
        "files": [
            {
                "file": FILES[precision],
                "precision": precision,
                "bytes": (folder / FILES[precision]).stat().st_size,
                "sha256": sha256(folder / FILES[precision]),
                **figures,
            }
            for precision, figures in measured.items()
        ],
        "left_out": left_out,
    }


def _described(value: onnx.ValueInfoProto) -> dict[str, Any]:
    shape = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
    return {"name": value.name, "shape": shape, "dtype": "float32"}
