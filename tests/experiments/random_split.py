"""Effect of a split that puts copies on both sides: the same rows, split at random and split by group.

    python -m tests.experiments.random_split RECIPE [--field value ...] --output_dir OUT

This curates as training does under `--leaks report`, joins train and validation, and writes OUT/random and OUT/grouped.
A tenth of the rows is validation, stratified by source and class; the test split is not opened. Train on each with
`--source curated --data_path OUT/random --leaks report --test_share 0 --evaluate_test false`, and compare by
`tests.benchmarks.leak_worth`.
"""

import sys

import numpy as np

from pipeline.data.curated_folder import write_tables
from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.data.rows import Rows
from pipeline.data.splits import grouped_split, groups_of
from pipeline.errors import InputError, end_in_one_line
from pipeline.settings.command_line import parse_command_line

SHARES = {"train": 0.9, "validation": 0.1}


def main(argv: list[str]) -> None:
    """Write both splits."""
    recipe = parse_command_line([*argv, "--leaks", "report"]).recipe
    if recipe.output_dir.exists():
        raise InputError(f"output_dir {recipe.output_dir} is there already; choose another --output_dir")
    curated = curate(read_sources(recipe), recipe)
    rows = Rows.joined([curated.rows[split] for split in ("train", "validation")])
    together = groups_of(rows.picture, rows.person)
    sources = np.unique(rows.source.astype(str), return_inverse=True)[1]
    strata = sources * len(recipe.classes) + rows.label  # else persons of one source push out rows of the other
    for name, group in {"random": np.arange(len(rows)), "grouped": together}.items():
        part = grouped_split(strata, group, list(SHARES.values()), recipe.split_seed)
        tables = {split: rows.table.select(np.flatnonzero(part == i)) for i, split in enumerate(SHARES)}
        write_tables(recipe.output_dir / name, tables, curated.report)
        print(f"{recipe.output_dir / name}: {', '.join(f'{len(t):,} rows of {split}' for split, t in tables.items())}")
        crossing = np.isin(together[part == 1], together[part == 0]).sum()
        print(f"{name}: {crossing:,} rows of validation have a copy or the same person in train")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
