"""Which rows of the splits are used, and how often: caps and weights by source and class, limits for a quick try."""

import numpy as np

from pipeline.data.splits import Rows
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


def capped(train: Rows, recipe: Recipe) -> np.ndarray:
    """Increasing positions of the train rows within `caps`: a seeded subset of what is above one.

    Raises:
        InputError: `caps` names no source and no class.
    """
    keep = np.ones(len(train), dtype=bool)
    order = np.random.default_rng(recipe.split_seed).permutation(len(train))
    for key, limit in recipe.caps.items():
        inside = order[(_named(key, "caps", train, recipe) & keep)[order]]
        keep[inside[limit:]] = False
    return np.flatnonzero(keep)


def row_weights(train: Rows, recipe: Recipe) -> np.ndarray:
    """How often each train row is drawn beside the others, (N,) float32.

    Raises:
        InputError: `row_weights` names no source and no class, or leaves no row to draw.
    """
    weights = np.ones(len(train), dtype=np.float32)
    for key, factor in recipe.row_weights.items():
        weights[_named(key, "row_weights", train, recipe)] *= factor
    if not weights.any():
        raise InputError("row_weights leave no train row to draw; give one of them more than 0")
    return weights


def _named(key: str, setting: str, train: Rows, recipe: Recipe) -> np.ndarray:
    """The train rows (N,) bool that `key` names: a source, a class, or source/class."""
    sources, labels = np.array(train.table["source"][:]), np.array(recipe.classes)[train.labels]
    names = [*dict.fromkeys(sources.tolist())]
    known = {name: sources == name for name in names} | {name: labels == name for name in recipe.classes}
    known |= {f"{a}/{b}": known[a] & known[b] for a in names for b in recipe.classes}
    if key not in known:
        raise InputError(
            f"{setting}: {key} is no source ({', '.join(names)}), no class ({', '.join(recipe.classes)}), and no "
            "source/class"
        )
    return known[key]


def limited(split: Rows, name: str, recipe: Recipe) -> np.ndarray:
    """Increasing positions of a seeded subset, within the row limit of the split; train keeps a row of each class.

    Raises:
        InputError: the limit is below what the split needs.
    """
    setting = "max_train_samples" if name == "train" else "max_eval_samples"
    limit = getattr(recipe, setting)
    if limit is None or limit >= len(split):
        return np.arange(len(split))
    least = len(recipe.classes) if name == "train" else 1
    if limit < least:
        raise InputError(f"{setting} is {limit}; {name} needs {least} rows at least")
    order = np.random.default_rng(recipe.split_seed).permutation(len(split))
    if name == "train":
        first = np.sort(np.unique(split.labels[order], return_index=True)[1])
        order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[:limit])
