"""What leaks are worth: accuracy on validation pictures that have a copy in train, on the others, and on all.

python -m tests.benchmarks.leak_worth RUN [RUN ...]

reads the predictions of finished runs and opens no test split. A run that trained on FER+ as published stands beside
one with `--leaks drop_from_train`: what the copies were worth is what the one is better by on the leaked rows, less
what it is better by on the others. Two runs of other seeds on the same rows tell how much is chance.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import binomtest


def shown(right: np.ndarray) -> str:
    """Share of `right` (N,) bool with its 95 % Wilson interval."""
    told = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return f"{right.mean():.3f} ({told.low:.3f} to {told.high:.3f})"


def main(runs: list[Path]) -> None:
    """Print a line a run and row set."""
    print(f"{'run':32} {'validation rows':28} {'n':>6}  accuracy (95 %, Wilson)")
    for run in runs:
        table = pq.read_table(run / "predictions.parquet", filters=[("split", "=", "validation")])
        clean, near = (table[name].to_pylist() for name in ("clean", "clean_near"))
        right = np.array(table["logits"].to_pylist()).argmax(1) == table["label"].to_numpy()
        sets = {
            "with a pixel copy in train": [row is False for row in clean],
            "without": [row is True for row in clean],
            "with a near copy in train": [row is False for row in near],
            "without either": [row is True for row in near],
            "all": [True] * len(right),
        }
        for name, held in sets.items():
            if any(held):
                print(f"{run.name:32} {name:28} {sum(held):6,}  {shown(right[np.array(held)])}")


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
