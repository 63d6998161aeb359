"""Does a student do better if its targets are votes mixed with the predictions of larger teacher models?

    python -m tests.experiments.distilled_votes RECIPE [--field value ...] --output_dir OUT
        --teachers RUN [RUN ...] [--shares 0.5 1]

This curates as training does under `--leaks report`, runs the teachers (finished runs) once on every train picture, and
writes a folder OUT/teachers_SHARE for each share: the `target` of a train row is (1 - SHARE) x its votes + SHARE x the
mean of the teachers' probabilities (Hinton et al. 2015, arXiv:1503.02531, at temperature 1); validation and test rows
stay as they are. Train on it with `--source curated --data_path OUT/teachers_SHARE` and the `--leaks` of the run that
you compare with. Teachers that were trained on copies of a student's evaluation rows can leak them to the student.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoImageProcessor

from pipeline.data.curated_folder import write_tables
from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.errors import InputError, end_in_one_line
from pipeline.settings.command_line import parse_command_line
from pipeline.studies.study import read_study
from pipeline.training import machine
from pipeline.training.plan import make_plan
from pipeline.training.prediction import predict
from pipeline.training.transforms import map_pictures


def probabilities(teacher: Path, rows: Dataset) -> torch.Tensor:
    """What `teacher` says of pictures as they are, without augmentation: (N, K) float32."""
    size = AutoImageProcessor.from_pretrained(teacher).size["height"]
    pictures = map_pictures(rows, size, f"map for {teacher.name}")
    logits = predict(teacher, {"train": pictures}, 32, machine.device_type())["train"]
    return torch.from_numpy(logits).softmax(-1)


def mixed(rows: Dataset, said: np.ndarray, share: float) -> Dataset:
    """`rows` with `share` of each target from `said` (N, K)."""
    votes = np.array(rows["target"][:], dtype=np.float32)
    target = ((1 - share) * votes + share * said).astype(np.float32)
    feature, columns = rows.features["target"], rows.column_names
    return rows.remove_columns("target").add_column("target", target.tolist(), feature=feature).select_columns(columns)


def main(argv: list[str]) -> None:
    """Print the accuracy of the teachers together, predict with them, and write the folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--teachers", nargs="+", type=Path, required=True, metavar="RUN", help="finished runs")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.5, 1.0], help="how much of a target is theirs")
    words, rest = parser.parse_known_args(argv)
    if not all(0 <= share <= 1 for share in words.shares) or len(set(words.shares)) < len(words.shares):
        raise InputError(f"--shares {words.shares}: give shares from 0 to 1, each once")
    recipe = parse_command_line([*rest, "--leaks", "report"]).recipe
    if recipe.output_dir.exists():
        raise InputError(f"output_dir {recipe.output_dir} is there already; choose another --output_dir")
    together = read_study(words.teachers, "validation")
    if together.classes != recipe.classes:
        raise InputError(f"the teachers' classes are {', '.join(together.classes)}: set --classes to them")
    machine.use_threads(make_plan(recipe).threads)
    mean = torch.from_numpy(together.logits).softmax(-1).mean(0).numpy()
    print(f"validation ({len(mean):,}): {', '.join(f'{r.mean():.3f}' for r in together.right)}; "
          f"together {(mean.argmax(1) == together.label).mean():.3f}")  # fmt: skip
    curated = curate(read_sources(recipe), recipe)
    train = curated.splits["train"]
    said = torch.stack([probabilities(teacher, train) for teacher in words.teachers]).mean(0).numpy()
    agree = (said.argmax(1) == np.array(train["label"][:])).mean()
    print(f"train ({len(train):,}): the teachers together name the label of {agree:.3f}")
    for share in words.shares:
        folder = recipe.output_dir / f"teachers_{share:g}"
        write_tables(folder, {**curated.splits, "train": mixed(train, said, share)}, curated.report)
        print(folder)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
