"""How much of a model's accuracy is left when its pictures change: ten corruptions in five strengths.

    python -m pipeline.shift RUN [--data_path FACES] [--split validation] [--most 1000] --output_dir FOLDER

RUN is a finished run. Its pictures come from where its recipe says, or from `--data_path`. Every corruption changes the
pictures that the model sees (after resizing), so one pass over the data is enough. `shift.json` has the accuracy of
each strength with its interval, and the difference to the unchanged pictures, row by row; `shift.png` shows the curves,
and `pictures.png`, which is for the person who holds the data only, what each corruption looks like.

One number sums up: the mean accuracy over all corruptions and strengths as a share of the unchanged accuracy.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from pipeline.errors import InputError
from pipeline.evaluation.figures import save
from pipeline.run_folder import PREDICTIONS, read_run, write_json
from pipeline.studies.comparison import paired_difference
from pipeline.studies.corruptions import CORRUPTIONS, corrupt
from pipeline.studies.opened_test import refuse_closed, say_opened
from pipeline.studies.run_pictures import add_options, answers_of, pictures_of, some_of
from pipeline.studies.shift_figures import curves, sheet
from pipeline.training.prediction import Classifier
from pipeline.training.transforms import from_bytes, map_pictures

RESAMPLES = 2000
BATCH = 64
SHIFT = "shift.json"


@dataclass(frozen=True)
class Share:
    """The share of rows that are right, and what it is less than on the unchanged pictures; intervals of 95 %."""

    strength: float
    accuracy: float
    difference: float
    low: float
    high: float
    p: float


def refuse_other_pictures(run: Path, table: datasets.Dataset, right: NDArray[np.bool_]) -> None:
    """The answers on unchanged pictures `right` (N,) must be those of the run's own predictions.

    Raises:
        InputError: more than 1 in 100 rows have another answer there, or as `answers_of`.
    """
    before, _ = answers_of(run, table)
    differ = int((before != right).sum())
    if 100 * differ > len(right):
        raise InputError(
            f"{differ} of {len(right)} unchanged pictures have another answer than in {run / PREDICTIONS}: the "
            "pictures are not those that the run was evaluated on"
        )


def answers(model: Classifier, table: datasets.Dataset, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Whether the first class is the label, (1 + 5 * corruptions) rows of (N,): `""` is without a change.

    `table` has the columns `pixels` and `label`. Names are `corruption strength`.
    """
    right: dict[str, list[NDArray[np.bool_]]] = {}
    bar = tqdm(range(0, len(table), BATCH), "corrupt and predict", disable=None)
    for start in bar:
        rows = table[start : start + BATCH]
        label = np.array(rows["label"])
        pixels = torch.from_numpy(np.stack([from_bytes(each) for each in rows["pixels"]]))
        for name, changed in _changed(pixels, seed + start):
            right.setdefault(name, []).append(model.logits(changed).argmax(1) == label)
    return {name: np.concatenate(parts) for name, parts in right.items()}


def _changed(pixels: torch.Tensor, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    yield "", pixels
    for name, corruption in CORRUPTIONS.items():
        for strength in corruption.strengths:
            yield f"{name} {strength:g}", corrupt(pixels, name, strength, seed)


def summarise(right: dict[str, NDArray[np.bool_]], seed: int) -> dict[str, Any]:
    """The content of `shift.json` from the output of `answers`."""
    plain = right[""][None]
    found: dict[str, list[dict[str, float]]] = {}
    for name, corruption in CORRUPTIONS.items():
        shares = []
        for strength in corruption.strengths:
            one = right[f"{name} {strength:g}"][None]
            by = paired_difference(one, plain, RESAMPLES, seed)
            shares.append(asdict(Share(strength, float(one.mean()), by.value, by.low, by.high, by.p)))
        found[name] = shares
    mean = float(np.mean([share["accuracy"] for shares in found.values() for share in shares]))
    return {
        "n": plain.shape[1],
        "unchanged": float(plain.mean()),
        "mean_of_corruptions": mean,
        "kept": mean / float(plain.mean()) if plain.any() else None,
        "corruptions": found,
        "strengths": {name: corruption.meaning for name, corruption in CORRUPTIONS.items()},
    }


def text_of(shift: dict[str, Any]) -> str:
    """The table for the terminal, from the content of `shift.json`: accuracy by corruption and strength."""
    rows = f"{shift['n']:,} of {shift['rows_in_split']:,} {shift['split']} rows"
    lines = [f"{rows}, accuracy {shift['unchanged']:.3f} unchanged; weak to strong:"]
    for name, shares in shift["corruptions"].items():
        lines.append(f"{name:15}" + "".join(f"  {share['accuracy']:.3f}" for share in shares))
    kept = "undefined" if shift["kept"] is None else f"{shift['kept']:.3f} of the unchanged accuracy"
    return "\n".join([*lines, f"mean of all {shift['mean_of_corruptions']:.3f}: {kept}"])


def main(argv: list[str]) -> None:
    """Corrupt, predict, and write what is left."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.shift",
        description="Accuracy of a finished run on its own pictures after ten corruptions in five strengths.",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--most", type=int, default=1000, help="rows at most (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.most < 1:
        raise InputError(f"--most {options.most}: at least one row is needed")
    run = read_run(options.run)
    refuse_closed(run, options.split)
    say_opened(options.split, run, print)
    pictures = pictures_of(run, options.data_path, options.split)
    table = some_of(pictures, options.most)
    mapped = map_pictures(table, int(run.recipe["image_size"]), "map pictures")
    right = answers(Classifier.load(options.run, "cpu"), mapped, options.seed)
    refuse_other_pictures(options.run, mapped, right[""])
    shift = summarise(right, options.seed)
    shift |= {"rows_in_split": len(pictures), "run": options.run.name, "split": options.split, "seed": options.seed}
    options.output_dir.mkdir(parents=True, exist_ok=True)
    write_json(options.output_dir / SHIFT, shift)
    save(curves(shift), options.output_dir / "shift.png")
    save(sheet(mapped, options.seed), options.output_dir / "pictures.png")
    print(text_of(shift))
    print(f"written: {options.output_dir / SHIFT}, shift.png and pictures.png (it shows faces: do not publish it)")
