"""Time per picture of each weight file on a CPU: torch and the ONNX files, in one run.

    python -m tests.benchmarks.weight_files RUN FOLDER_WITH_ONNX [--rounds 7]

FOLDER_WITH_ONNX is the folder `onnx` that hub.export wrote. Every round measures all files, batches and numbers of
threads, so that a drift of the machine affects all of them. For each file and batch the number of threads with the
lower median is shown. Pictures are noise: only the model is timed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from tqdm.auto import tqdm
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from hub.export.export import FORMATS
from hub.export.onnx_files import INPUT, OUTPUT

BATCHES = (1, 16)
THREADS = (1, 2)
PICTURES = 16  # of a cell in a round

Runner = Callable[[np.ndarray], object]


def torch_runner(run: Path, attention: str | None, threads: int) -> Runner:
    """The run's own weights in float32; `attention` is eager or sdpa where the model can choose."""
    chosen = {} if attention is None else {"attn_implementation": attention}
    model = AutoModelForImageClassification.from_pretrained(run, dtype=torch.float32, **chosen).eval()

    def call(pixels: np.ndarray) -> object:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return model(pixel_values=torch.from_numpy(pixels)).logits

    return call


def onnx_runner(file: Path, threads: int) -> Runner:
    """The file as onnxruntime runs it by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run([OUTPUT], {INPUT: pixels})


def variants(run: Path, folder: Path) -> dict[str, tuple[int, dict[int, Runner]]]:
    """By name the bytes on the disk and the runner of each number of threads."""
    native = AutoConfig.from_pretrained(run).model_type == "vit"
    size = (run / "model.safetensors").stat().st_size
    made = {
        f"torch {attention or ''}".strip(): (size, {n: torch_runner(run, attention, n) for n in THREADS})
        for attention in (("eager", "sdpa") if native else (None,))
    }
    files = {f"onnx {f.name}": folder / f.file for f in FORMATS if (folder / f.file).is_file()}
    return made | {name: (f.stat().st_size, {n: onnx_runner(f, n) for n in THREADS}) for name, f in files.items()}


def milliseconds(call: Runner, pixels: np.ndarray) -> float:
    """Milliseconds per picture; the first call, which still has the caches of another variant, is not timed."""
    call(pixels)
    began = time.perf_counter()
    for _ in range(PICTURES // len(pixels)):
        call(pixels)
    return 1000 * (time.perf_counter() - began) / PICTURES


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    words = parser.parse_args()
    grey = Image.new("RGB", (64, 64))
    shape = AutoImageProcessor.from_pretrained(words.run)(grey, return_tensors="np")[INPUT].shape[1:]
    noise = np.random.default_rng(0).normal(size=(max(BATCHES), *shape)).astype(np.float32)
    made = variants(words.run, words.folder)
    times: dict[tuple[str, int, int], list[float]] = {
        (name, batch, threads): [] for name in made for batch in BATCHES for threads in THREADS
    }
    for _ in tqdm(range(words.rounds), "rounds"):
        for (name, batch, threads), rounds in times.items():
            rounds.append(milliseconds(made[name][1][threads], noise[:batch]))
    print(f"{words.run.name}, {shape[1]} x {shape[2]} px, {words.rounds} rounds of {PICTURES} pictures")
    print(f"{'weights':12} {'MB':>6} {'batch':>6} {'threads':>8} {'ms a picture':>13} {'least':>8} {'most':>8}")
    for name, (size, runners) in made.items():
        for batch in BATCHES:
            best = min(runners, key=lambda n: statistics.median(times[name, batch, n]))
            rounds = times[name, batch, best]
            print(
                f"{name:12} {size / 1e6:6.1f} {batch:6} {best:8} {statistics.median(rounds):13.2f} "
                f"{min(rounds):8.2f} {max(rounds):8.2f}"
            )


if __name__ == "__main__":
    main()
