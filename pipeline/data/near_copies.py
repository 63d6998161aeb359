"""Find near copies: the same picture in another size, compression, colour, framing or light, or mirrored.

Three steps, from cheap to expensive: a small gray thumbnail of every picture; its nearest neighbours in a space where
small shifts and stretches change little; and registration of the pixels of each pair of neighbours. All faces look
alike, so only the last step decides: after registration the fine detail of both pictures must agree.
"""

import inspect
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import scipy
import sklearn
import torch
from datasets import Dataset, Features, List, Value
from scipy.linalg import eigh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from pipeline.data import registration
from pipeline.data.measure import SIDE
from pipeline.data.registration import COARSE, similarities, warped

DIMENSIONS = 32  # of the space of neighbours
NEIGHBOURS = 10  # of each picture and of its mirror image; these are registered
SAMPLE = 2000  # thumbnails that the space is fitted to
NOISE = 1e-4  # variance of a coarse pixel from compression and rounding, for pictures of norm 1
BATCH = 512  # pairs registered at once; with fewer, overhead between operations dominates
PART = 4096  # thumbnails that are copied into memory at once
QUERIES = 65_536  # rows whose neighbours are searched at once
SIMILARITY = 0.85  # of detail in the window where it agrees least; pairs at or above it are copies

FOUND = Features({"pairs": List(List(Value("int64"), length=2)), "similarity": List(Value("float32"))})


@dataclass(frozen=True)
class NearCopies:
    """Pairs that link copies.

    n rows of the same picture are linked by at least n - 1 pairs, so that they are connected; not every two of them are
    a pair.
    """

    pairs: np.ndarray  # (P, 2) int, the lower row first
    similarity: np.ndarray  # (P,) float32 in [SIMILARITY, 1]: the lowest agreement of a window; 1 for equal thumbnails


def near_copies(thumbnails: pa.ChunkedArray) -> NearCopies:
    """Find the near and exact copies among pictures; the result is cached on disk.

    Which rows are connected, directly or through others, does not depend on their order. The thumbnails are sorted and
    read in files, so that they need not fit into memory.

    Args:
        thumbnails: (N,) binary, SIDE * SIDE bytes each, as `Measures.thumbnail`; null has no copies.
    """
    rows = np.flatnonzero(thumbnails.is_valid().to_numpy())
    if len(rows) < 2:
        return NearCopies(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))
    unsorted = _mapped(_pixels(thumbnails))
    # Sorted by content, each once: the order of rows has no effect, and exact copies do not crowd out other neighbours.
    first, which = _distinct(unsorted)
    again = np.flatnonzero(first[which] != np.arange(len(rows)))
    found, similarity = _kept(_mapped(unsorted[part] for part in _parts(first)))
    pairs = np.concatenate([np.column_stack([first[which[again]], again]), first[found]])
    pairs = np.sort(rows[pairs], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return NearCopies(pairs[order], np.concatenate([np.ones(len(again), np.float32), similarity])[order])


def clusters_of(pairs: np.ndarray, count: int) -> np.ndarray:
    """The cluster of each of `count` rows, (count,) int: rows that `pairs` (P, 2) connect share a cluster."""
    links = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1]


# Thumbnails


def _pixels(thumbnails: pa.ChunkedArray) -> Iterator[np.ndarray]:
    """The thumbnails that are not null, in views (M, SIDE, SIDE) uint8."""
    for chunk in thumbnails.chunks:
        if len(chunk) > chunk.null_count:
            present = chunk.drop_null()
            _, offsets, data = present.buffers()
            first = np.frombuffer(offsets, np.int32)[present.offset]
            yield np.frombuffer(data, np.uint8)[first:][: len(present) * SIDE * SIDE].reshape(-1, SIDE, SIDE)


def _mapped(parts: Iterable[np.ndarray]) -> np.ndarray:
    """All `parts` (M, SIDE, SIDE) uint8, in a file without a name that is mapped into memory and goes with the array.

    The system loads its pages when they are read, and drops them when it needs the memory.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            file.write(part.tobytes())  # unlike a write to mapped pages, it raises an error on a full disk
        file.flush()
        return np.asarray(np.memmap(file, np.uint8, mode="r")).reshape(-1, SIDE, SIDE)


def _distinct(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each distinct thumbnail in the order of their bytes (D,) int, and for each row its place there.

    As `np.unique`, which would copy the thumbnails several times.
    """
    keys = thumbs.reshape(len(thumbs), -1).view(f"V{SIDE * SIDE}").ravel()
    order = np.argsort(keys, kind="stable")
    new = np.ones(len(order), dtype=bool)
    for part in _parts(np.arange(1, len(order))):
        new[part] = keys[order[part]] != keys[order[part - 1]]
    which = np.empty(len(order), dtype=np.int64)
    which[order] = np.cumsum(new) - 1
    return order[new], which


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` in parts of PART."""
    for start in range(0, len(rows), PART):
        yield rows[start : start + PART]


# The search, cached


def _kept(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_search`, cached under a hash of the thumbnails, the code and the versions of the libraries."""
    code = [inspect.getsource(module) for module in (sys.modules[__name__], registration)]
    versions = [library.__version__ for library in (np, scipy, sklearn, torch)]
    digest = blake2b(repr((code, versions)).encode(), digest_size=16)
    digest.update(thumbs.data)
    (found,) = Dataset.from_generator(
        _search, features=FOUND, gen_kwargs={"thumbs": thumbs}, fingerprint=digest.hexdigest()
    )
    return np.array(found["pairs"], np.int64).reshape(-1, 2), np.array(found["similarity"], np.float32)


def _search(thumbs: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield one row for the cache: the copies among distinct `thumbs` (N, SIDE, SIDE)."""
    links = _candidates(*_embedded(thumbs))
    pairs, similarity = _confirmed(thumbs, links) if len(links) else ([], [])
    yield {"pairs": pairs, "similarity": similarity}


# Neighbours


def _embedded(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embed thumbnails (N, SIDE, SIDE) and their mirror images: (N, DIMENSIONS) float32 each.

    Linear discriminant analysis with one class for each picture: the directions in which pictures differ most,
    relative to the variance from small shifts and stretches (tangents; Simard et al. 1993, "Efficient pattern
    recognition using a new transformation distance") and noise.
    """
    sample = thumbs[np.linspace(0, len(thumbs) - 1, min(SAMPLE, len(thumbs))).astype(int)]
    still = _coarse(sample)
    moves = [(0.9, 1.0, 0.0, 0.0), (1.0, 0.9, 0.0, 0.0), (1.0, 1.0, 0.07, 0.0), (1.0, 1.0, 0.0, 0.07)]
    pictures = torch.from_numpy(sample).float()
    tangents = [_coarse(warped(pictures, torch.tensor([m] * len(sample)))[0].numpy()) - still for m in moves]
    within = sum(t.T @ t for t in tangents) / len(still) + NOISE * np.eye(COARSE * COARSE)
    _, directions = eigh(np.cov(still.T, bias=True), within)
    axes = directions[:, ::-1][:, :DIMENSIONS]
    upright, mirrored = (np.empty((len(thumbs), axes.shape[1]), np.float32) for _ in range(2))
    for part in np.array_split(np.arange(len(thumbs)), -(-len(thumbs) // PART)):  # as floats they take much memory
        upright[part] = _coarse(thumbs[part]) @ axes
        mirrored[part] = _coarse(thumbs[part][:, :, ::-1]) @ axes
    return upright, mirrored


def _coarse(thumbs: np.ndarray) -> np.ndarray:
    """Block means (N, COARSE * COARSE) float, with mean 0 and norm 1; 0 for a picture of one tone."""
    blocks = thumbs.reshape(len(thumbs), COARSE, SIDE // COARSE, COARSE, SIDE // COARSE).mean((2, 4))
    flat = blocks.reshape(len(thumbs), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)


def _candidates(upright: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Pairs of neighbours as numbers that `_triples` reads, (C,) int64, increasing.

    Exact search by brute force: in 32 dimensions a tree visits most rows anyway. 10^5 rows take a minute or two on one
    core; 10^6 rows take a hundred times as long.
    """
    count = len(upright)
    index = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, count), algorithm="brute").fit(upright)
    found = []
    for mirror, queries in enumerate((upright, mirrored)):
        for start in range(0, count, QUERIES):
            near = index.kneighbors(queries[start : start + QUERIES], return_distance=False)
            rows = np.arange(start, start + len(near))[:, None]
            links = (np.minimum(rows, near) * count + np.maximum(rows, near)) * 2 + mirror
            found.append(np.unique(links[rows != near]))
    return np.unique(np.concatenate(found))


def _triples(links: np.ndarray, count: int) -> np.ndarray:
    """(C, 3) int: the lower of `count` rows, the higher row, and 1 if one is mirrored, for `links` (C,)."""
    lower, higher = np.divmod(links // 2, count)
    return np.column_stack([lower, higher, links % 2])


# Confirmation


def _confirmed(thumbs: np.ndarray, links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (P, 2) among `links` (C,) whose pixels agree, each once, and their similarity (P,) float32."""
    scores = np.empty(len(links), dtype=np.float32)
    for start in tqdm(range(0, len(links), BATCH), desc="Comparing near pictures", unit_scale=BATCH):
        part = slice(start, start + BATCH)
        scores[part] = similarities(thumbs, _triples(links[part], len(thumbs)))
    kept = scores >= SIMILARITY
    pairs, which = np.unique(_triples(links[kept], len(thumbs))[:, :2], axis=0, return_inverse=True)
    best = np.zeros(len(pairs), dtype=np.float32)
    np.maximum.at(best, which, scores[kept])
    return pairs, best
