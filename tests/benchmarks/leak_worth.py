"""Effect of leaks: accuracy on validation pictures that have a copy in train, on the others, and on all.

    python -m tests.benchmarks.leak_worth RUN [RUN ...]
    python -m tests.benchmarks.leak_worth LEAKING CLEANED --paired

reads the predictions of finished runs and opens no test split. LEAKING trained on the data as published, CLEANED with
`--leaks drop_from_train` on the rest of it: on leaked rows LEAKING is better by what copies are worth, on the others by
what the dropped rows are worth as training data. The difference of the two differences is printed with its interval.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 10_000


class Reading(NamedTuple):
    """What a run says about validation rows, sorted by source and key."""

    right: NDArray[np.bool_]  # (N,)
    votes: NDArray[np.float64]  # (N,): share of the target that the label has
    keys: list[tuple[str, str]]  # source and key
    sets: dict[str, NDArray[np.bool_]]  # (N,) each


def read(run: Path) -> Reading:
    """The validation rows of `run`."""
    table = pq.read_table(run / "predictions.parquet", filters=[("split", "=", "validation")])
    table = table.sort_by([("source", "ascending"), ("key", "ascending")])
    clean, near, sources, keys = (table[name].to_pylist() for name in ("clean", "clean_near", "source", "key"))
    label, target = table["label"].to_numpy(), np.array(table["target"].to_pylist())
    sets = {
        "with a pixel copy in train": [row is False for row in clean],
        "without": [row is True for row in clean],
        "with a near copy in train": [row is False for row in near],
        "without either": [row is True for row in near],
        "all": [True] * len(label),
    }
    if len(set(sources)) > 1:
        sets |= {f"of {name}": [source == name for source in sources] for name in sorted(set(sources))}
    return Reading(
        np.array(table["logits"].to_pylist()).argmax(1) == label,
        np.take_along_axis(target, label[:, None], 1)[:, 0],
        list(zip(sources, keys, strict=True)),
        {name: np.array(held) for name, held in sets.items() if any(held)},
    )


def shown(right: np.ndarray) -> str:
    """Share of `right` (N,) bool with its 95 % Wilson interval."""
    reading = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return f"{right.mean():.3f} ({reading.low:.3f} to {reading.high:.3f})"


def print_accuracy(runs: dict[str, Reading]) -> None:
    """A line a run and row set; votes are the mean share that the label has of them: how hard the rows are."""
    print(f"{'run':32} {'validation rows':28} {'n':>6}  votes  accuracy (95 %, Wilson)")
    for name, reading in runs.items():
        for rows, held in reading.sets.items():
            print(
                f"{name:32} {rows:28} {held.sum():6,}  {reading.votes[held].mean():.3f}  {shown(reading.right[held])}"
            )


def print_worth(leaking: Reading, cleaned: Reading) -> None:
    """By how much `leaking` is better, by row set, and by how much more on leaked rows than on others."""
    if leaking.keys != cleaned.keys:
        raise SystemExit("error: the two runs have other validation rows; give two runs on the same data")
    rng = np.random.default_rng(0)
    better = leaking.right.astype(float) - cleaned.right
    drawn = {rows: resampled_means(better[held], rng) for rows, held in leaking.sets.items()}
    means = {rows: better[held].mean() for rows, held in leaking.sets.items()}
    print(f"\n{'validation rows':28} better by (95 %, paired bootstrap over rows)")
    for rows, mean in means.items():
        print(f"{rows:28} {interval(mean, drawn[rows])}")
    for kind, others in (("pixel", "without"), ("near", "without either")):
        leaked = f"with a {kind} copy in train"
        if leaked in means and others in means:
            worth = interval(means[leaked] - means[others], drawn[leaked] - drawn[others])
            print(f"{f'a {kind} copy is worth':28} {worth}")


def resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means (RESAMPLES,) of `values` (N,) drawn with replacement; the values are -1, 0 and 1."""
    kinds, counts = np.unique(values, return_counts=True)
    return rng.multinomial(len(values), counts / len(values), RESAMPLES) @ kinds / len(values)


def interval(mean: float, drawn: np.ndarray) -> str:
    """`mean` with the percentile interval of `drawn`."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--paired", action="store_true", help="compare two runs on the same rows")
    args = parser.parse_args()
    runs = {run.name: read(run) for run in args.runs}
    print_accuracy(runs)
    if args.paired:
        if len(runs) != 2:
            parser.error("--paired compares two runs, of other names")
        print_worth(*runs.values())


if __name__ == "__main__":
    main()
