"""Choose which rows of a split are used and how often: caps and weights by source and class, limits for a quick try."""

import numpy as np

from pipeline.data.rows import Rows
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe


def capped(train: Rows, recipe: Recipe) -> tuple[np.ndarray, dict[str, int]]:
    """The positions of the train rows that `caps` keep, increasing, and how many rows each cap drops.

    Above a cap a seeded subset is kept.

    Raises:
        InputError: a key of `caps` is neither a source nor a class, or no row of a class is left.
    """
    keep = np.ones(len(train), dtype=bool)
    dropped = {}
    order = np.random.default_rng(recipe.split_seed).permutation(len(train))
    for key, limit in recipe.caps.items():
        inside = order[(_named(key, "caps", train, recipe) & keep)[order]]
        keep[inside[limit:]] = False
        dropped[key] = len(inside[limit:])
    _refuse_classes_without_rows(train.label, keep, "caps", recipe)
    return np.flatnonzero(keep), {key: count for key, count in dropped.items() if count}


def row_weights(train: Rows, recipe: Recipe) -> np.ndarray:
    """How often each train row is drawn in relation to the others, (N,) float32.

    Raises:
        InputError: a key of `row_weights` is neither a source nor a class, or all rows of a class have weight 0.
    """
    weights = np.ones(len(train), dtype=np.float32)
    for key, factor in recipe.row_weights.items():
        weights[_named(key, "row_weights", train, recipe)] *= factor
    _refuse_classes_without_rows(train.label, weights > 0, "row_weights", recipe)
    return weights


def _refuse_classes_without_rows(label: np.ndarray, used: np.ndarray, setting: str, recipe: Recipe) -> None:
    """The model would have an output for a class that it never sees."""
    gone = np.setdiff1d(label, label[used])
    if len(gone):
        raise InputError(
            f"{setting} leaves no train row of {', '.join(recipe.labels[index] for index in gone)}: set it above 0 for "
            "them"
        )


def _named(key: str, setting: str, train: Rows, recipe: Recipe) -> np.ndarray:
    """The train rows (N,) bool that `key` names: a source, a class, or source/class."""
    names = [*dict.fromkeys(train.source)]
    known = {name: train.source == name for name in names}
    known |= {name: train.label == index for index, name in enumerate(recipe.labels)}
    known |= {f"{a}/{b}": known[a] & known[b] for a in names for b in recipe.labels}
    if key not in known:
        raise InputError(
            f"{setting}: {key} is neither a source ({', '.join(names)}) nor a class ({', '.join(recipe.labels)}) nor "
            "source/class"
        )
    return known[key]


def limited(split: Rows, name: str, recipe: Recipe) -> np.ndarray:
    """The positions of a seeded subset within the row limit of split `name`, increasing.

    train keeps at least one row of each class.
    """
    limit = recipe.max_train_samples if name == "train" else recipe.max_eval_samples
    if limit is None or limit >= len(split):
        return np.arange(len(split))
    order = np.random.default_rng(recipe.split_seed).permutation(len(split))
    if name == "train":
        first = np.sort(np.unique(split.label[order], return_index=True)[1])
        order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[:limit])
