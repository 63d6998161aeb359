"""What protocol and mistakes are worth in points of accuracy: one model, judged in the ways of the field.

    python -m tests.benchmarks.protocols --data_path FERPLUS --checkpoint DIR [--image_size 112] [--most N] [--seed 0]

The model is a linear probe on the frozen features of DIR, because it is trained in seconds for each protocol. It is
trained on train rows of FER+ and judged on validation rows; no test row is read. The first table changes one thing at a
time: the label rule, the classes, which rows count, flip averaging, and how the model was chosen. The second injects
three mistakes of published work, one at a time, and prints the figure that the mistake gives less the honest one on the
same rows. Intervals are 95 %. A fine-tuned network remembers copies better than a linear probe does: what copies are
worth to it is measured by `tests.benchmarks.leak_worth`.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.expressions import CLASSES
from pipeline.settings.files import recipe_from
from pipeline.settings.recipe import Recipe
from pipeline.studies.comparison import Difference, paired_difference
from pipeline.training.features import features
from pipeline.training.model import build_model
from pipeline.training.transforms import UNIFORMS, augment, map_pictures

RESAMPLES = 10_000
STRENGTHS = (1e-3, 1e-2, 1e-1)  # C of the logistic regression
CHOSEN = 1e-2
OF_A_SOURCE = 1 / 3  # of the neutral rows: as many as one of three merged sources has
Change = Callable[[torch.Tensor, int], torch.Tensor]


class Rows(NamedTuple):
    """N rows of a split: features by kind of picture, labels, and what is known of copies."""

    plain: NDArray[np.float32]  # (N, D)
    mirrored: NDArray[np.float32]  # (N, D); empty for train rows
    augmented: NDArray[np.float32]  # (N, D); empty for train rows
    label: NDArray[np.int64]  # (N,)
    clean: NDArray[np.bool_]  # (N,): without a near copy in train
    group: NDArray[np.int64]  # (N,): equal for rows that show one picture


class Looks:
    """Features of pictures by key, so that a picture is looked at once, however many protocols use it."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.built = recipe, build_model(recipe)
        self._known: dict[str, dict[str, NDArray[np.float32]]] = {}

    def of(self, table: datasets.Dataset, kind: str, change: Change | None = None) -> NDArray[np.float32]:
        """Features (N, D) of the pictures of `table`, changed by `change`; `kind` names the change."""
        known, keys = self._known.setdefault(kind, {}), table["key"][:]
        new = [i for i, key in enumerate(keys) if key not in known]
        if new:
            mapped = map_pictures(table.select(new), self.recipe.image_size, "map")
            known |= dict(zip((keys[i] for i in new), features(self.built, mapped, kind, change), strict=True))
        return np.stack([known[key] for key in keys])


def rows_of(recipe: Recipe, looks: Looks) -> tuple[Rows, Rows]:
    """Train rows and validation rows of `recipe`."""
    curated = curate(read_sources(recipe), recipe)
    assert curated.near_copy_groups is not None
    found = []
    for split in ("train", "validation"):
        table, judged = curated.splits[split], split == "validation"
        none = np.empty((0, 0), np.float32)
        found.append(
            Rows(
                looks.of(table, f"features {split}"),
                looks.of(table, "mirrored", lambda pictures, _: pictures.flip(-1)) if judged else none,
                looks.of(table, "augmented", _augmentation(recipe)) if judged else none,
                np.array(table["label"][:]),
                np.array(table["clean_near"][:], bool) if judged else np.full(len(table), True),
                curated.near_copy_groups[split],
            )
        )
    return found[0], found[1]


def _augmentation(recipe: Recipe) -> Change:
    def change(pictures: torch.Tensor, start: int) -> torch.Tensor:
        drawn = np.random.default_rng([recipe.seed, start]).random((len(pictures), UNIFORMS), dtype=np.float32)
        return augment((pictures * 255).round().to(torch.uint8), torch.from_numpy(drawn), recipe)

    return change


def probe(train: NDArray[np.float32], label: NDArray[np.int64], *judged: NDArray[np.float32], strength: float = CHOSEN):
    """Logits (N, K) of a logistic regression on standardised features for each of `judged`."""
    scaler = StandardScaler().fit(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=200).fit(scaler.transform(train), label)
    return [model.decision_function(scaler.transform(one)) for one in judged]


def shown(right: NDArray[np.bool_]) -> str:
    """Accuracy with its Wilson interval, and n."""
    ends = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return f"{right.mean():.3f} [{ends.low:.3f}, {ends.high:.3f}]  n {len(right):,}"


def difference(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], paired: bool = True) -> str:
    """`ours` less `theirs`, on the same rows in pairs, on other rows as two samples (normal interval)."""
    if paired:
        by: Difference = paired_difference(ours[None], theirs[None], RESAMPLES, 0)
        return f"{by.value:+.3f} [{by.low:+.3f}, {by.high:+.3f}] in pairs"
    value = ours.mean() - theirs.mean()
    reach = 1.96 * np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    return f"{value:+.3f} [{value - reach:+.3f}, {value + reach:+.3f}] other rows"


def protocols(base: Recipe, looks: Looks) -> None:
    """Print the accuracy under every protocol, and how far it is from the first."""
    train, judged = rows_of(base, looks)
    plain, mirrored = probe(train.plain, train.label, judged.plain, judged.mirrored)
    right = plain.argmax(1) == judged.label
    both = (plain + mirrored).argmax(1) == judged.label
    tried = [probe(train.plain, train.label, judged.plain, strength=c)[0].argmax(1) for c in STRENGTHS]
    chosen_on_them = max(((one == judged.label)[judged.clean] for one in tried), key=lambda one: one.mean())
    lines = {  # the first, and those on its rows
        "majority, 7 classes, rows without near copies": right[judged.clean],
        "flip averaging": both[judged.clean],
        f"best of {len(STRENGTHS)} on these very rows": chosen_on_them,
    }
    same_rows = set(lines)
    lines["published rows, with copies"] = right
    for name, other in {
        "plurality": replace(base, label_rule="plurality"),
        "8 classes, with contempt": replace(base, classes=[*CLASSES, "contempt"]),
    }.items():
        train, judged = rows_of(other, looks)
        (logits,) = probe(train.plain, train.label, judged.plain)
        lines[name] = (logits.argmax(1) == judged.label)[judged.clean]
    first = next(iter(lines.values()))
    print(f"{'protocol':48} accuracy (95 %, Wilson)          less the first")
    for name, one in lines.items():
        by = difference(one, first, paired=name in same_rows) if one is not first else ""
        print(f"{name:48} {shown(one):34} {by}")


def mistakes(base: Recipe, looks: Looks) -> None:
    """Print what each mistake adds to the accuracy on the same rows."""
    train, judged = rows_of(base, looks)
    random = np.random.default_rng(base.seed)
    print(f"\n{'mistake':48} claimed less honest")
    print(f"{'random split with copies':48} {_random_split(train, judged, random)}")
    print(f"{'neutral as anger in one of three sources':48} {_neutral_as_anger(train, judged, random)}")
    plain, augmented = probe(train.plain, train.label, judged.plain, judged.augmented)
    right, changed = ((one.argmax(1) == judged.label)[judged.clean] for one in (plain, augmented))
    print(f"{'augmented validation pictures':48} {difference(changed, right)}")


def _random_split(train: Rows, judged: Rows, random: np.random.Generator) -> str:
    """A tenth of all rows at random: the probe saw copies of some of them, or none, with as many train rows."""
    looked, label = np.concatenate([train.plain, judged.plain]), np.concatenate([train.label, judged.label])
    group = np.concatenate([train.group, judged.group])
    held = random.random(len(label)) < 0.1
    honest = ~held & ~np.isin(group, group[held])
    dropped = random.permutation(np.flatnonzero(~held))[: int(honest.sum())]  # equal numbers: only copies differ
    claimed = probe(looked[dropped], label[dropped], looked[held])[0].argmax(1) == label[held]
    clean = probe(looked[honest], label[honest], looked[held])[0].argmax(1) == label[held]
    return (
        f"{difference(claimed, clean)} (n {held.sum():,}, {np.isin(group[held], group[~held]).mean():.1%} with a copy)"
    )


def _neutral_as_anger(train: Rows, judged: Rows, random: np.random.Generator) -> str:
    """Both splits have the mistake: the claimed accuracy counts it as right, the honest one does not."""
    neutral, anger = CLASSES.index("neutral"), CLASSES.index("anger")
    wrong = [np.where((one.label == neutral) & (random.random(len(one.label)) < OF_A_SOURCE), anger, one.label)
             for one in (train, judged)]  # fmt: skip
    answer = probe(train.plain, wrong[0], judged.plain)[0].argmax(1)
    honest = probe(train.plain, train.label, judged.plain)[0].argmax(1) == judged.label
    claimed, true = ((answer == label)[judged.clean] for label in (wrong[1], judged.label))
    return f"{difference(claimed, true)}; less a probe of right labels {difference(claimed, honest[judged.clean])}"


def main() -> None:
    """Print both tables and the seconds that they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data_path", required=True, help="FER+ with raw votes")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--image_size", type=int, default=112)
    parser.add_argument("--most", type=int, help="train rows at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    words = {name: getattr(options, name) for name in ("data_path", "checkpoint", "image_size", "seed")}
    words |= {"leaks": "report", "geometry": "whole_picture", "max_train_samples": options.most}
    base = recipe_from(words, "command line")
    started = time.perf_counter()
    looks = Looks(base)
    protocols(base, looks)
    mistakes(base, looks)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
