"""Search for near copies: which made copies it finds, which pictures it wrongly takes for copies, and what it costs.

    python -m tests.benchmarks.near_copies kinds --data_path DIR [--rows 4800] [--sheet PATH]
    python -m tests.benchmarks.near_copies phash --data_path DIR [--rows 4800]
    python -m tests.benchmarks.near_copies pairs --data_path DIR [DIR ...] [--sheet PATH]
    python -m tests.benchmarks.near_copies cost --data_path DIR [--sizes 1000 3000 10000]

DIR is what `train_hf.py --data_path` reads, or the word drawn for drawn faces. `phash` compares with the perceptual
hash of imagehash, which it needs. `pairs` of two sources without a common picture counts wrong ones. A sheet shows
sampled near pairs (`kinds`: the wrong ones) side by side; its pictures are under the terms of the data.
"""

import argparse
import importlib
import io
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, DatasetDict, Features, Image, concatenate_datasets
from PIL import Image as PILImage
from PIL import ImageDraw, ImageEnhance, ImageOps

from pipeline.data.measure import measure_pictures
from pipeline.data.near_copies import SIMILARITY, NearCopies, clusters_of, near_copies
from pipeline.data.readers import read_source
from pipeline.settings.recipe import Recipe

Picture = PILImage.Image
PICTURE = Features({"image": Image()})
PHASH_BITS = (4, 8, 12)  # distances at or below which two hashes count as copies
SHOWN, TILE, COLUMNS = 60, 96, 6  # pairs on a sheet, px of a picture, pairs in a line


def jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return PILImage.open(file).convert("RGB")


def coloured(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """From one random colour in the dark to another in the bright; black to white at strength 0."""
    dark, bright = (tuple(int(abs(end - d)) for d in rng.uniform(0, 120 * strength, 3)) for end in (0, 255))
    return ImageOps.colorize(picture.convert("L"), dark, bright)


def cropped(picture: Picture, share: float, rng: np.random.Generator) -> Picture:
    """Without `share` of width and height, taken from both ends at random, at the old size."""
    (width, height), (x, y) = picture.size, rng.uniform(0, share, 2)
    return picture.resize(picture.size, box=(x * width, y * height, (1 + x - share) * width, (1 + y - share) * height))


def shifted(picture: Picture, share: float, rng: np.random.Generator) -> Picture:
    """Moved along both axes by `share` of the side, a pixel at least; pixels of the edge are repeated."""
    reach, (x, y) = max(1, round(share * picture.width)), rng.choice([0, 2], 2)
    padded = np.pad(np.asarray(picture), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return PILImage.fromarray(padded[reach * y :, reach * x :][: picture.height, : picture.width])


def lit(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Brightness and contrast each up or down by `strength`; what leaves 0 to 255 is lost."""
    brightness, contrast = 1 + strength * rng.choice([-1, 1], 2)
    return ImageEnhance.Contrast(ImageEnhance.Brightness(picture).enhance(brightness)).enhance(contrast)


def everything(picture: Picture, crop: float, quality: int, light: float, rng: np.random.Generator) -> Picture:
    mirrored = cropped(ImageOps.mirror(picture), crop, rng).resize((112, 112))
    return lit(jpeg(mirrored, quality), light, rng)


KINDS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "resized to 224 px": lambda p, rng: p.resize((224, 224)),
    "resized to 32 px": lambda p, rng: p.resize((32, 32)),
    "JPEG quality 70": lambda p, rng: jpeg(p, 70),
    "JPEG quality 30": lambda p, rng: jpeg(p, 30),
    "coloured weakly": lambda p, rng: coloured(p, 0.3, rng),
    "coloured strongly": lambda p, rng: coloured(p, 1.0, rng),
    "mirrored": lambda p, rng: ImageOps.mirror(p),
    "mirrored, JPEG 50": lambda p, rng: jpeg(ImageOps.mirror(p), 50),
    "cropped by 5 %": lambda p, rng: cropped(p, 0.05, rng),
    "cropped by 12 %": lambda p, rng: cropped(p, 0.12, rng),
    "shifted by 2 %": lambda p, rng: shifted(p, 0.02, rng),
    "shifted by 6 %": lambda p, rng: shifted(p, 0.06, rng),
    "light by 15 %": lambda p, rng: lit(p, 0.15, rng),
    "light by 40 %": lambda p, rng: lit(p, 0.4, rng),
    "all weakly": lambda p, rng: everything(p, 0.04, 75, 0.1, rng),
    "all strongly": lambda p, rng: everything(p, 0.1, 50, 0.25, rng),
}


def read(path: str) -> DatasetDict:
    if path == "drawn":
        return read_source(Recipe(source="drawn")).tables
    return read_source(Recipe(data_path=path)).tables


def merged(paths: list[str]) -> Dataset:
    """All rows of all sources, only the column image."""
    tables = [table.select_columns("image").cast(PICTURE) for path in paths for table in read(path).values()]
    return concatenate_datasets(tables)


def copies_among(tables: dict[str, Dataset]) -> NearCopies:
    """Of the pictures of all `tables`, rows counted over them in their order."""
    return near_copies(thumbnails_of(tables))


def thumbnails_of(tables: dict[str, Dataset]) -> pa.ChunkedArray:
    parts = [measure_pictures(table, name).thumbnail for name, table in tables.items()]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.binary())


def with_copies(paths: list[str], rows: int, rng: np.random.Generator) -> tuple[Dataset, Dataset, int]:
    """Pictures without a copy among `rows` of a source, a changed copy of each, and how many pictures were looked at.

    The copies are in the order of the pictures, those of one kind together: as `np.array_split` parts them.
    """
    table = merged(paths)
    table = table.select(np.sort(rng.permutation(len(table))[:rows]))
    single = np.setdiff1d(np.arange(len(table)), copies_among({"as they are": table}).pairs)
    chosen = rng.permutation(single)
    parts = np.array_split(chosen, len(KINDS))
    made = [
        KINDS[kind](table[int(i)]["image"].convert("RGB"), rng)
        for kind, part in zip(KINDS, parts, strict=True)
        for i in part
    ]
    return table.select(chosen), Dataset.from_dict({"image": made}, features=PICTURE), len(table)


def kinds(paths: list[str], rows: int, sheet: Path | None, seed: int) -> None:
    """Print the share found of the copies of every kind; count, and draw, pairs that are neither made nor theirs."""
    originals, copies, total = with_copies(paths, rows, np.random.default_rng(seed))
    both = copies_among({"as they are": originals, "made": copies})
    found = both.pairs
    right = found[:, 1] - found[:, 0] == len(originals)
    hit = np.isin(np.arange(len(originals)), found[right, 0])
    astray = np.bincount(found[~right].ravel() % len(originals), minlength=len(originals))  # both ends of a wrong pair
    print(f"{len(originals)} of {total} rows have no copy among these; seed {seed}, similarity {SIMILARITY}")
    print(f"{'kind':20} {'made':>5} {'found':>6}  in wrong pairs")
    for kind, part in zip(KINDS, np.array_split(np.arange(len(originals)), len(KINDS)), strict=True):
        print(f"{kind:20} {len(part):5} {hit[part].mean():6.3f}  {astray[part].sum()}")
    print(f"wrong pairs {int((~right).sum())}, right ones {int(right.sum())}: precision {right.mean():.4f}")
    if sheet is not None:
        draw_sheet(concatenate_datasets([originals, copies]), found[~right], both.similarity[~right]).save(sheet)


def against_phash(paths: list[str], rows: int, seed: int) -> None:
    """Print recall by kind, precision and seconds of the search, and of `imagehash.phash` at several distances."""
    originals, copies, _ = with_copies(paths, rows, np.random.default_rng(seed))
    count, searched, seconds = len(originals), {}, {}
    began = time.perf_counter()
    searched["search"] = copies_among({"as they are": originals, "made": copies}).pairs
    seconds["search"] = time.perf_counter() - began
    began = time.perf_counter()
    distances = phash_distances(concatenate_datasets([originals, copies]))
    for bits in PHASH_BITS:
        searched[f"pHash {bits}"] = np.argwhere(np.triu(distances <= bits, 1))
        seconds[f"pHash {bits}"] = time.perf_counter() - began
    right = {name: found[found[:, 1] - found[:, 0] == count, 0] for name, found in searched.items()}
    lines = {
        kind: [f"{np.isin(part, right[name]).mean():.3f}" for name in searched]
        for kind, part in zip(KINDS, np.array_split(np.arange(count), len(KINDS)), strict=True)
    }
    lines["all kinds"] = [f"{len(right[name]) / count:.3f}" for name in searched]
    lines["precision"] = [f"{len(right[name]) / max(1, len(found)):.3f}" for name, found in searched.items()]
    lines["wrong pairs"] = [str(len(found) - len(right[name])) for name, found in searched.items()]
    lines["seconds"] = [f"{seconds[name]:.1f}" for name in searched]
    print(
        f"{count} pictures, each with one copy; seed {seed}; pHash N: hashes of 64 bits that differ in N bits at most"
    )
    print(f"{'recall of':20}" + "".join(f"{name:>10}" for name in searched))
    for name, cells in lines.items():
        print(f"{name:20}" + "".join(f"{cell:>10}" for cell in cells))


def phash_distances(table: Dataset) -> np.ndarray:
    """The bits in which the hashes of each two pictures differ, (N, N) float32; of one and the other mirrored if fewer.

    It needs `pip install imagehash`, which the project does not use.
    """
    imagehash = importlib.import_module("imagehash")  # by name: nothing else needs it, so requirements.txt lacks it
    both: list[list[np.ndarray]] = [[], []]
    for row in table:
        picture = row["image"].convert("RGB")
        for signs, seen in zip(both, (picture, ImageOps.mirror(picture)), strict=True):
            signs.append(imagehash.phash(seen).hash.ravel() * 2.0 - 1)
    upright, mirrored = (np.array(signs, np.float32) for signs in both)
    return np.minimum(*((upright.shape[1] - upright @ of.T) / 2 for of in (upright, mirrored)))


def pairs(paths: list[str], sheet: Path | None, seed: int) -> None:
    """Print how many rows of a table have a copy in another, exact in its thumbnail or near; draw some near ones."""
    tables = {f"{Path(path).name} {split}": table for path in paths for split, table in read(path).items()}
    began = time.perf_counter()
    found = copies_among(tables)
    print(f"{sum(map(len, tables.values()))} rows in {time.perf_counter() - began:.0f} s")
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables.values()])
    near = found.similarity < 1
    print(f"{'rows of':24} {'with a copy in':24} {'all':>6} {'exact':>6}    near pairs")
    for a, name in enumerate(tables):
        for b, other in enumerate(tables):
            every, exact = (rows_with_copies(links, owner, a, b) for links in (found.pairs, found.pairs[~near]))
            direct = int((np.sort(owner[found.pairs[near]], axis=1) == sorted((a, b))).all(1).sum())
            print(f"{name:24} {other:24} {every:6} {exact:6}    {direct}")
    if sheet is not None:
        rows = np.flatnonzero(near)
        chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:SHOWN])
        draw_sheet(merged(paths), found.pairs[chosen], found.similarity[chosen]).save(sheet)


def rows_with_copies(pairs: np.ndarray, owner: np.ndarray, a: int, b: int) -> int:
    """Rows of table `a` that share a cluster with a row of `b`; if they are one table, with another row of it."""
    clusters = clusters_of(pairs, len(owner))
    members = np.bincount(clusters[owner == b], minlength=clusters.max() + 1)
    return int((members[clusters[owner == a]] > (a == b)).sum())


def draw_sheet(table: Dataset, pairs: np.ndarray, similarity: np.ndarray) -> Picture:
    """Every pair side by side, numbered, with its similarity above it."""
    width, height = 2 * TILE + 12, TILE + 16
    sheet = PILImage.new("RGB", (COLUMNS * width, -(-len(pairs) // COLUMNS) * height), "white")
    for n, (pair, value) in enumerate(zip(pairs.tolist(), similarity.tolist(), strict=True)):
        left, top = n % COLUMNS * width, n // COLUMNS * height
        ImageDraw.Draw(sheet).text((left + 2, top + 2), f"{n}: {value:.3f}", fill="black")
        for i, row in enumerate(pair):
            sheet.paste(table[row]["image"].convert("RGB").resize((TILE, TILE)), (left + i * TILE, top + 14))
    return sheet


def blends(paths: list[str], count: int, seed: int) -> Iterator[dict[str, Picture]]:
    """`count` new faces, each the mean of two, every tenth followed by a copy of all kinds at once."""
    rng, table = np.random.default_rng(seed), merged(paths)
    for _ in range(count // 10):
        for a, b in rng.integers(len(table), size=(9, 2)).tolist():
            face = table[a]["image"].convert("RGB")
            face = PILImage.blend(face, table[b]["image"].convert("RGB").resize(face.size), 0.5)
            yield {"image": face}
        yield {"image": everything(face, 0.04, 75, 0.1, rng)}


def cost(paths: list[str], sizes: list[int], seed: int) -> None:
    """Print seconds, processor seconds and peak memory at each size, every one in a process of its own."""
    print(f"blends of pairs of faces, seed {seed}, {torch.get_num_threads()} threads")
    print(f"{'rows':>8} {'seconds':>8} {'CPU s':>8} {'peak MiB':>9} {'made':>7} {'found':>7}")
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(partial(cost_of, paths, size, seed)), flush=True)


def cost_of(paths: list[str], size: int, seed: int) -> str:
    with tempfile.TemporaryDirectory() as cache:
        made = {"paths": tuple(paths), "count": size, "seed": seed}  # a list would mean shards
        table = Dataset.from_generator(blends, features=PICTURE, gen_kwargs=made, cache_dir=cache)
        began, busy = time.perf_counter(), time.process_time()
        found = copies_among({"blends": table})
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        right = (found.pairs[:, 1] % 10 == 9) & (found.pairs[:, 1] - found.pairs[:, 0] == 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return f"{size:8} {seconds:8.1f} {busy:8.1f} {peak:9.0f} {size // 10:7} {int(right.sum()):7}"


def main() -> None:
    """Measure what the first word names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("kinds", "phash", "pairs", "cost"))
    parser.add_argument("--data_path", nargs="+", required=True)
    parser.add_argument("--rows", type=int, default=4800)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10000, 30000, 100000])
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    if words.what == "kinds":
        kinds(words.data_path, words.rows, words.sheet, words.seed)
    elif words.what == "phash":
        against_phash(words.data_path, words.rows, words.seed)
    elif words.what == "pairs":
        pairs(words.data_path, words.sheet, words.seed)
    else:
        cost(words.data_path, words.sizes, words.seed)


if __name__ == "__main__":
    main()
