"""Find near copies: the same picture in another size, compression, colour, framing or light, or mirrored.

Three steps, from cheap to expensive: a small gray thumbnail of every picture; its nearest neighbours in a space where
small shifts and stretches change little; and registration of the pixels of each pair of neighbours. All faces look
alike, so only the last step decides: after registration the fine detail of both pictures must agree.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
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


def near_copies(thumbnails: np.ndarray) -> NearCopies:
    """Find the near and exact copies among pictures; the result is cached on disk.

    Which rows are connected, directly or through others, does not depend on their order.

    Args:
        thumbnails: (N,) object, SIDE * SIDE bytes each; None has no copies.
    """
    rows = np.flatnonzero([thumbnail is not None for thumbnail in thumbnails])
    if len(rows) < 2:
        return NearCopies(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))
    thumbs = np.frombuffer(b"".join(thumbnails[rows]), dtype=np.uint8).reshape(-1, SIDE, SIDE)
    # Sorted by content, each once: the order of rows has no effect, and exact copies do not crowd out other neighbours.
    keys = thumbs.reshape(len(rows), -1).view(f"V{SIDE * SIDE}").ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[which] != np.arange(len(rows)))
    found, similarity = _kept(thumbs[first])
    pairs = np.concatenate([np.column_stack([first[which[again]], again]), first[found]])
    pairs = np.sort(rows[pairs], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return NearCopies(pairs[order], np.concatenate([np.ones(len(again), np.float32), similarity])[order])


def clusters_of(pairs: np.ndarray, count: int) -> np.ndarray:
    """The cluster of each of `count` rows, (count,) int: rows that `pairs` (P, 2) connect share a cluster."""
    links = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _kept(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_search`, cached under a hash of the thumbnails, the code and the versions of the libraries."""
    code = [inspect.getsource(module) for module in (sys.modules[__name__], registration)]
    versions = [library.__version__ for library in (np, scipy, sklearn, torch)]
    digest = blake2b(repr((code, versions)).encode(), digest_size=16)
    digest.update(thumbs.tobytes())
    (found,) = Dataset.from_generator(
        _search, features=FOUND, gen_kwargs={"thumbs": thumbs}, fingerprint=digest.hexdigest()
    )
    return np.array(found["pairs"], np.int64).reshape(-1, 2), np.array(found["similarity"], np.float32)


def _search(thumbs: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield one row for the cache: the copies among distinct `thumbs` (N, SIDE, SIDE)."""
    candidates = _candidates(*_embedded(thumbs))
    pairs, similarity = _confirmed(thumbs, candidates) if len(candidates) else ([], [])
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
    parts = np.array_split(thumbs, -(-len(thumbs) // 4096))  # as floats they take four times the memory
    upright = np.concatenate([_coarse(part) @ axes for part in parts])
    mirrored = np.concatenate([_coarse(part[:, :, ::-1]) @ axes for part in parts])
    return upright.astype(np.float32), mirrored.astype(np.float32)


def _coarse(thumbs: np.ndarray) -> np.ndarray:
    """Block means (N, COARSE * COARSE) float, with mean 0 and norm 1; 0 for a picture of one tone."""
    blocks = thumbs.reshape(len(thumbs), COARSE, SIDE // COARSE, COARSE, SIDE // COARSE).mean((2, 4))
    flat = blocks.reshape(len(thumbs), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)


def _candidates(upright: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Pairs of neighbours, (C, 3) int in increasing order: the lower row, the higher row, and 1 if one is mirrored.

    Exact search by brute force: in 32 dimensions a tree visits most rows anyway. 10^5 rows take a minute or two on one
    core.
    """
    index = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(upright)), algorithm="brute").fit(upright)
    found = []
    for mirror, queries in enumerate((upright, mirrored)):
        near = index.kneighbors(queries, return_distance=False)
        rows = np.repeat(np.arange(len(near)), near.shape[1])
        found.append(np.column_stack([np.sort(np.column_stack([rows, near.ravel()])), np.full(len(rows), mirror)]))
    triples = np.unique(np.concatenate(found), axis=0)
    return triples[triples[:, 0] != triples[:, 1]]


# Confirmation


def _confirmed(thumbs: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (P, 2) among `candidates` (C, 3) whose pixels agree, each once, and their similarity (P,) float32."""
    scores = np.concatenate([similarities(thumbs, part) for part in _batches(candidates)])
    kept = scores >= SIMILARITY
    pairs, which = np.unique(candidates[kept, :2], axis=0, return_inverse=True)
    best = np.zeros(len(pairs), dtype=np.float32)
    np.maximum.at(best, which, scores[kept])
    return pairs, best


def _batches(candidates: np.ndarray) -> Iterator[np.ndarray]:
    for start in tqdm(range(0, len(candidates), BATCH), desc="Comparing near pictures", unit_scale=BATCH):
        yield candidates[start : start + BATCH]
