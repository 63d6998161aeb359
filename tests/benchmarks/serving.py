"""Requests per second and latency of the app, compared with a plain server; each row changes one thing.

    python -m tests.benchmarks.serving MODEL [--pictures PATH] [--clients 1 8 32] [--seconds 8] [--rounds 3]

MODEL is a run folder or a published folder. The plain server (`plain_server.py`) runs with one thread and with all
cores; for each number of clients, the app is compared with the faster of the two. Pictures come from a folder or from
the column `image` of a parquet file; the default is drawn faces. The clients run in their own process on the same
machine and keep their connections. The servers take turns; medians over the rounds are printed with their range. Every
answer is compared with `pipeline()`, and a difference of 1e-4 ends the run.
"""

import argparse
import io
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from transformers import pipeline

from hub.export import fp32
from hub.export.classifier import load_classifier
from pipeline.cores import cores
from pipeline.drawn.face import draw_face
from pipeline.expressions import CLASSES
from tests.benchmarks.closed_loop import Answer, load
from tests.conftest import ROOT

WARM = 1.5  # first seconds of each measurement, not counted
TOLERANCE = 1e-4
PLAIN = ["tests.benchmarks.plain_server:app"]
OURS = ["app:app", "--app-dir", "hub/server"]


@dataclass
class Row:
    """A server, and its rates and latencies by number of clients, one per round."""

    name: str
    words: list[str]
    environment: dict[str, str]
    port: int = 0
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)

    def take(self, clients: int, answers: list[Answer], seconds: float) -> None:
        counted = [1000 * one.seconds for one in answers if WARM < one.ended <= WARM + seconds]
        self.rates.setdefault(clients, []).append(len(counted) / seconds)
        for share, kept in ((50, self.p50), (99, self.p99)):
            kept.setdefault(clients, []).append(float(np.percentile(counted, share)))


def read_pictures(path: Path | None, most: int = 64) -> list[bytes]:
    """Contents of picture files: from a folder, from a parquet file, or drawn."""
    if path is None:
        files = [io.BytesIO() for _ in range(most)]
        for number, file in enumerate(files):
            draw_face(CLASSES[number % 7], 0, number, 48).save(file, "PNG")
        return [file.getvalue() for file in files]
    if path.is_dir():
        return [file.read_bytes() for file in sorted(path.rglob("*.[jp][pn]g"))[:most]]
    return [image["bytes"] for image in pq.read_table(path, columns=["image"])["image"][:most].to_pylist()]


def model_folders(model: Path, folder: Path) -> dict[str, str]:
    """Folders of the model without ONNX (`torch`) and with it (`onnx`), exported as for publishing if missing."""
    for name in ("torch", "onnx"):
        (folder / name).mkdir()
        for file in ("config.json", "preprocessor_config.json", "model.safetensors"):
            shutil.copy(model / file, folder / name / file)
    (folder / "onnx" / "onnx").mkdir()
    ready = model / "onnx" / fp32.FORMAT.file
    if ready.exists():
        shutil.copy(ready, folder / "onnx" / "onnx")
    else:
        fp32.write(load_classifier(model), folder / "onnx" / "onnx" / fp32.FORMAT.file)
    return {name: str(folder / name) for name in ("torch", "onnx")}


def scores_of_pipeline(model: str, pictures: list[bytes]) -> list[dict[str, float]]:
    """The best five classes of each picture."""
    classify = pipeline("image-classification", model=model)
    answers = (classify(Image.open(io.BytesIO(picture)).convert("RGB")) for picture in pictures)
    return [{one["label"]: one["score"] for one in answer} for answer in answers]


def check(answers: list[Answer], expected: list[dict[str, float]]) -> float:
    """The largest difference from `expected`; ends the program if it is too large or a request failed."""
    largest = 0.0
    for answer in answers:
        answered = json.loads(answer.body)
        if answer.status != 200:
            raise SystemExit(f"picture {answer.picture}: status {answer.status}: {answered}")
        scores = {one["label"]: one["score"] for one in answered}
        # If two scores are equal, either may be the fifth.
        shared = scores.keys() & expected[answer.picture].keys()
        differences = [abs(scores[label] - expected[answer.picture][label]) for label in shared]
        largest = max(largest, *differences) if len(shared) >= 4 else 1.0
        if largest > TOLERANCE:
            raise SystemExit(f"picture {answer.picture}: {scores} where pipeline() has {expected[answer.picture]}")
    return largest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(row: Row, picture: bytes) -> Iterator[None]:
    """Run the server of a row as a process; it is ready when it has answered a picture."""
    row.port = free_port()
    command = [sys.executable, "-m", "uvicorn", *row.words, "--port", str(row.port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | row.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while process.poll() is None:
            try:
                urlopen(Request(f"http://127.0.0.1:{row.port}/", picture)).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            assert process.stderr
            raise SystemExit(process.stderr.read().decode())
        yield
    finally:
        process.terminate()
        process.wait()


def report(rows: list[Row], clients: list[int]) -> None:
    """The table; `of plain` compares with the fastest of the plain servers."""
    print("| server | clients | requests a second | p50, ms | p99, ms | of plain |\n|---|---|---|---|---|---|")
    for count in clients:
        plain = max(statistics.median(row.rates[count]) for row in rows if row.words is PLAIN)
        for row in rows:
            cells = [
                f"{statistics.median(values[count]):.1f} [{min(values[count]):.1f}, {max(values[count]):.1f}]"
                for values in (row.rates, row.p50, row.p99)
            ]
            share = statistics.median(row.rates[count]) / plain
            print(f"| {row.name} | {count} | {' | '.join(cells)} | {share:.2f} |")


def parse(description: str | None, seconds: float) -> argparse.ArgumentParser:
    """The arguments of a benchmark of the app."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=seconds)
    return parser


def main() -> None:
    """Measure and print."""
    parser = parse(__doc__, 8)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    pictures = read_pictures(words.pictures)
    with ExitStack() as stack:
        folders = model_folders(words.model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        expected = scores_of_pipeline(folders["torch"], pictures)
        rows = [
            Row(f"plain, torch threads: {threads}", PLAIN, {"FER_MODEL": folders["torch"], "THREADS": str(threads)})
            for threads in sorted({1, cores()})
        ]
        rows.append(Row("ours, the same engine (torch)", OURS, {"FER_MODEL": folders["torch"]}))
        rows.append(Row("ours as shipped (onnxruntime)", OURS, {"FER_MODEL": folders["onnx"]}))
        for row in rows:
            stack.enter_context(running(row, pictures[0]))
        context = multiprocessing.get_context("spawn")
        processes = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
        largest, count = 0.0, 0
        for _ in range(words.rounds):
            for clients in words.clients:
                for row in rows:
                    seconds = WARM + words.seconds
                    answers = processes.submit(load, row.port, pictures, clients, seconds).result()
                    largest, count = max(largest, check(answers, expected)), count + len(answers)
                    row.take(clients, answers, words.seconds)
    with Image.open(io.BytesIO(pictures[0])) as first:
        print(f"{len(pictures)} pictures, the first a {first.format} of {first.width} x {first.height}, {first.mode}")
    print(f"{cores()} cores; {words.seconds:g} s x {words.rounds} rounds; median [least, most]")
    print(f"{count:,} answers, all within {largest:.1e} of pipeline()\n")
    report(rows, words.clients)


if __name__ == "__main__":
    main()
