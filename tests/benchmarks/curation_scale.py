"""What curation of many pictures costs: seconds and memory of each step, and how many planted copies it finds.

    python -m tests.benchmarks.curation_scale [--rows 10000 100000] [--folder DIR]

The pictures are half a drawn face and half noise of several scales, which differs in every picture. Every 50th row is a
copy of the row before: mirrored, darker, and stored as JPEG. They are written to a parquet file and curated by the code
that the commands use. Each number of rows runs in a process of its own, with an empty cache.

`own GiB` is the peak of memory that only this process holds. `peak GiB` also counts pages of files that are mapped into
memory; the system takes those back when it needs them.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as PILImage
from PIL import ImageOps

from pipeline.data.leaks import find_copies, judge
from pipeline.data.readers import read_source
from pipeline.data.rows import Rows, measured_rows
from pipeline.data.splits import complete_splits
from pipeline.drawn.face import draw_face
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe

SIDE = 48  # px, as FER2013
FACES = 350  # drawn once
EVERY = 50  # one row in so many is a planted copy of the row before
GROUP = 5000  # rows written to the parquet file at once


def pictures(rows: int, seed: int = 0) -> Iterator[tuple[bytes, str]]:
    """`rows` encoded pictures and their class names."""
    rng = np.random.default_rng(seed)
    faces = [np.asarray(draw_face(CLASSES[i % len(CLASSES)], 0, i, SIDE).convert("L"), float) for i in range(FACES)]
    for start in range(0, rows, EVERY):
        for _ in range(min(EVERY - 1, rows - start)):
            which = int(rng.integers(FACES))
            picture, name = PILImage.fromarray(np.uint8((faces[which] + noise(rng)) / 2)), CLASSES[which % len(CLASSES)]
            yield encoded(picture, "PNG"), name
        yield encoded(ImageOps.mirror(picture).point(lambda v: int(v * 0.85)), "JPEG", quality=75), name


def noise(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (SIDE, SIDE) from 0 to 255: the mean of a coarse and a fine field."""
    fields = [PILImage.fromarray(rng.integers(0, 256, (n, n), dtype=np.uint8)) for n in (4, 16)]
    return np.mean([np.asarray(field.resize((SIDE, SIDE), PILImage.Resampling.BICUBIC)) for field in fields], axis=0)


def encoded(picture: PILImage.Image, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


def write(path: Path, rows: int) -> None:
    """Write a parquet file of `rows` pictures, a part of it in memory at a time."""
    kind = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.string()})
    made = pictures(rows)
    with pq.ParquetWriter(path, kind) as writer:
        for start in range(0, rows, GROUP):
            part = [next(made) for _ in range(min(GROUP, rows - start))]
            cells = [{"bytes": content, "path": None} for content, _ in part]
            writer.write_table(pa.table({"image": cells, "label": [name for _, name in part]}, schema=kind))


class Memory(threading.Thread):
    """Reads the memory of this process while it works; the peaks since the last `restart`, in GiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.restart()

    def restart(self) -> None:
        self.own = self.peak = 0.0

    def run(self) -> None:
        while True:
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
            own, all = (int(lines[name].split()[0]) / 2**20 for name in ("RssAnon", "VmRSS"))
            self.own, self.peak = max(self.own, own), max(self.peak, all)
            time.sleep(0.02)


def curated(folder: Path, rows: int) -> None:
    """Write and curate `rows` pictures; print a line for each step."""
    write(folder / "faces.parquet", rows)
    memory = Memory()
    memory.start()

    def step(name: str, work: Callable[[], Any]) -> Any:
        memory.restart()
        began, busy = time.perf_counter(), time.process_time()
        done = work()
        seconds, cpu = time.perf_counter() - began, time.process_time() - busy
        print(f"{rows:9,} {name:12} {seconds:9.1f} {cpu:9.1f} {memory.own:8.2f} {memory.peak:8.2f}", flush=True)
        return done

    recipe = Recipe(data_path=str(folder / "faces.parquet"), leaks="report")
    without = Recipe(data_path=recipe.data_path, leaks="report", near_copies=False)
    readings = [step("read", lambda: read_source(recipe))]
    step("measure", lambda: measured_rows(readings, without))
    step("measured", lambda: measured_rows(readings, without))
    measured, _ = step("near copies", lambda: measured_rows(readings, recipe))
    split, _ = step("splits", lambda: complete_splits(measured, readings, recipe))
    step("leaks", lambda: judge(split, find_copies(split, near_copies=True), recipe.leaks))
    print(f"{rows:9,} {found(measured)}", flush=True)


def found(rows: Rows) -> str:
    """How many planted copies share a cluster with their original, and how many other rows share one with anything."""
    planted = np.arange(EVERY - 1, len(rows), EVERY)
    right = rows.picture[planted] == rows.picture[planted - 1]
    others = len(rows) - len(planted) - len(np.unique(rows.picture)) + int((~right).sum())
    return f"planted copies found: {right.sum():,} of {len(planted):,}; other rows taken for copies: {others:,}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where pictures and caches are written, and removed at the end")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.here:
        curated(words.here, words.rows[0])
        return
    print(f"{'rows':>9} {'step':12} {'seconds':>9} {'CPU s':>9} {'own GiB':>8} {'peak GiB':>8}", flush=True)
    for rows in words.rows:
        with tempfile.TemporaryDirectory(dir=words.folder) as folder:
            command = [sys.executable, "-m", "tests.benchmarks.curation_scale", "--here", folder, "--rows", str(rows)]
            subprocess.run(command, check=True, env=os.environ | {"HF_DATASETS_CACHE": f"{folder}/cache"})


if __name__ == "__main__":
    main()
