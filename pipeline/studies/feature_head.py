"""PHQ-8 from rows of features: a ridge regression on what the action units and the pose of each person were like.

    python -m pipeline.feature_head DIR [--output_dir runs/feature_head]

DAIC-WOZ releases features and no video of a face, so no model of pictures can be trained on it. A row is a person: the
mean and the standard deviation of every feature over the frames. With about a hundred persons a linear head is all that
can be fitted. Its penalty is chosen by leaving out one person of train at a time, so validation is never looked at. The
figures are made as those of runs (`pipeline/evaluation/`), beside the constant predictor. The folder is not a run: it
holds the numbers of persons, stays here, and `push_to_hub.py` does not take it.
"""

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from tqdm import tqdm

from pipeline.data.clnf import Features, files_in
from pipeline.data.readers.avec import participants_in
from pipeline.data.readers.inventory import inventory
from pipeline.data.readers.participants import CUT, HIGHEST, SCORE, Participant, Participants
from pipeline.data.table import SPLITS
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluation_of
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.tasks import format_table
from pipeline.run_folder import ROW_SETS, write_json
from pipeline.settings.recipe import SCORES

PENALTIES = tuple(10.0**power for power in range(-1, 6))
RESAMPLES, SEED = 2_000, 0
FEWEST = 5
"""With fewer persons in train, a feature that fits them by chance is certain to be found."""
HEAD, FIGURES, PREDICTED = "head.json", "feature_evaluation.json", "predictions.csv"
NOTICE = "a tool for research, not a diagnosis: do not decide anything about a person with it"


@dataclass(frozen=True)
class Persons:
    """N persons with a score: their rows in the lists and their features (N, F)."""

    rows: list[Participant]
    names: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,)."""
        return np.array([row.score for row in self.rows], dtype=np.float64)

    def where(self, split: str) -> NDArray[np.bool_]:
        """Which of them are in a split, (N,)."""
        return np.array([row.split == split for row in self.rows], dtype=bool)


@dataclass(frozen=True)
class Head:
    """A linear model of standardised features, F of them."""

    names: list[str]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float
    penalty: float

    def answers(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (N,) of features (N, F), within the range of the score."""
        scores = (values - self.mean) / self.sd @ self.weights + self.intercept
        return np.clip(scores, 0, HIGHEST)

    def as_json(self) -> dict[str, Any]:
        """Every number of it, so that it can be used without this project."""
        columns = zip(self.names, self.mean.tolist(), self.sd.tolist(), self.weights.tolist(), strict=True)
        features = {name: {"mean": mean, "sd": sd, "weight": weight} for name, mean, sd, weight in columns}
        return {"score": SCORE, "notice": NOTICE, "penalty": self.penalty, "intercept": self.intercept,
                "lowest": 0, "highest": HIGHEST, "features": features}  # fmt: skip


def main(argv: list[str]) -> None:
    """Read, fit, measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.feature_head",
        description="Estimate PHQ-8 from the action units and the pose in feature files of DAIC-WOZ.",
        allow_abbrev=False,
    )
    parser.add_argument("data_path", type=Path, help="folder with train_split*.csv, dev_split*.csv and NNN_P/")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/feature_head"), help="a new folder "
                        "(default: runs/feature_head)")  # fmt: skip
    words = parser.parse_args(argv)
    refuse_used(words.output_dir)
    if not words.data_path.is_dir():
        raise InputError(f"data_path {words.data_path} is not a folder: give the one with the lists and NNN_P/")
    persons = read_persons(words.data_path)
    head = fit(persons)
    predictions = predictions_of(head, persons)
    evaluation = evaluation_of(predictions)
    for name in ROW_SETS.keys() & evaluation.keys():
        evaluation[name]["rows"] = f"persons of the {evaluation[name]['split']} list"
    print(f"{format_table(evaluation)}\n\n{NOTICE}")
    write(words.output_dir, head, evaluation, persons, predictions)
    print(f"wrote {words.output_dir}, which lists scores of persons: keep it on this machine")


def refuse_used(folder: Path) -> None:
    """Stop if there is anything at the place of the results.

    Raises:
        InputError: names it.
    """
    if folder.exists():
        raise InputError(f"output_dir {folder} exists: give another --output_dir, or move it away")


def read_persons(root: Path) -> Persons:
    """Everybody with a score in the lists of `root`, with features; prints what was read and what was left out.

    Raises:
        InputError: as the readers; no list of train, or nobody to measure on; or two persons have equal features.
    """
    whole = inventory(root)
    people = participants_in(root, whole)
    rows = [row for split in SPLITS for row in people.of(split)]
    counts = {split: len(people.of(split)) for split in SPLITS}
    if counts["train"] < FEWEST or not counts["validation"] + counts["test"]:
        raise InputError(
            f"data_path {root}: the lists have scores of {counts['train']} persons to train on and of "
            f"{counts['validation'] + counts['test']} to measure on; at least {FEWEST} and 1 are needed: add the lists"
        )
    found = files_in(whole)
    if unlisted := found.files.keys() - people.rows.keys():
        print(f"data: left out: {len(unlisted)} participants in no list, such as {min(unlisted)}")
    each = [found.features(row.number, row.place) for row in tqdm(rows, desc="features", leave=False, disable=None)]
    _say(people, each, counts)
    for row, features in zip(rows, each, strict=True):
        if features.names != each[0].names:
            other = sorted({*features.names} ^ {*each[0].names})[0].split()[0]
            raise InputError(f"{row.place}: participant {row.number} and {rows[0].number} differ in the feature "
                             f"{other}: all files need the same columns")  # fmt: skip
    persons = Persons(rows, each[0].names, np.stack([one.values for one in each]))
    _refuse_copies(persons)
    return persons


def _say(people: Participants, each: Sequence[Features], counts: Mapping[str, int]) -> None:
    names = ", ".join(path.name for path in people.lists)
    print(f"data: {names}: persons with a score: {', '.join(f'{s} {n}' for s, n in counts.items())}")
    for note in people.notes:
        print(f"data: {note.row}: {note.said}; the score decides")
    if people.without_score:
        print(f"data: left out: {len(people.without_score)} participants whose list has no scores")
    for reason in each[0].dropped:
        print(f"data: dropped: {sum(one.dropped[reason] for one in each):,} {reason}")
    print(f"data: {sum(one.frames for one in each):,} rows kept; {len(each[0].names)} features a person")
    if people.columns_not_read:
        print(f"data: columns not read: {', '.join(people.columns_not_read)}")


def _refuse_copies(persons: Persons) -> None:
    """One person under two numbers may be in two splits."""
    seen: dict[bytes, Participant] = {}
    for row, values in zip(persons.rows, persons.values, strict=True):
        other = seen.setdefault(values.tobytes(), row)
        if other is not row:
            raise InputError(f"{row.place}: the features of participant {row.number} equal those of {other.number}, so "
                             "one is a copy of the other: take one of the two out of the lists")  # fmt: skip


def fit(persons: Persons) -> Head:
    """The ridge regression of train. Its penalty has the lowest error when each person is left out once.

    Raises:
        InputError: the score is the same for all persons of train.
    """
    train = persons.where("train")
    values, scores = persons.values[train], persons.scores[train]
    if np.ptp(scores) == 0:
        raise InputError(
            f"{SCORE} is {scores[0]:g} for all {len(scores)} persons of train, so nothing can be learned: add others"
        )
    mean, sd = values.mean(0), values.std(0)
    differs = sd > 1e-9 * np.maximum(np.abs(mean), 1)
    if not differs.all():
        print(f"data: {(~differs).sum()} features are equal for all persons of train, and are left out")
    sd = np.where(differs, sd, 1.0)
    model = RidgeCV(alphas=PENALTIES).fit(np.where(differs, (values - mean) / sd, 0), scores)
    weights = np.where(differs, np.ravel(model.coef_), 0.0)
    return Head(list(persons.names), mean, sd, weights, float(model.intercept_), float(model.alpha_))


def predictions_of(head: Head, persons: Persons) -> Predictions:
    """The answers on everybody outside of train, as evaluation takes them."""
    held, train = ~persons.where("train"), persons.scores[persons.where("train")]
    rows = [row for row, is_held in zip(persons.rows, held, strict=True) if is_held]
    n, unknown = len(rows), np.zeros(len(rows), dtype=bool)
    facts = {"low": train.min(), "mean": train.mean(), "high": train.max(), "sd": train.std()}
    numbers = np.array([row.number for row in rows])
    return Predictions(
        split=np.array([row.split for row in rows]),
        source=np.array(["avec"] * n),
        key=numbers,
        label=np.full(n, -1, np.int32),
        target=persons.scores[held][:, None].astype(np.float32),
        logits=head.answers(persons.values[held])[:, None].astype(np.float32),
        checked=unknown,
        clean=unknown,
        clean_near=unknown,
        classes=[],
        label_rule=None,
        seed=SEED,
        resamples=RESAMPLES,
        recipe="feature_head",
        person=numbers,
        task=SCORES,
        scores={SCORE: {name: float(value) for name, value in facts.items()}},
        score_of="person",
        screening_cut=float(CUT),
    )


def write(folder: Path, head: Head, evaluation: Mapping[str, Any], persons: Persons, predictions: Predictions) -> None:
    """The head, its figures and its predictions, moved in at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        made = Path(place) / "made"
        made.mkdir()
        write_json(made / HEAD, head.as_json())
        write_json(made / FIGURES, dict(evaluation))
        with (made / PREDICTED).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["split", "participant", SCORE, "predicted"])
            for split, number, score, answer in zip(
                predictions.split, predictions.key, predictions.target[:, 0], predictions.logits[:, 0], strict=True
            ):
                table.writerow([split, number, f"{score:g}", f"{answer:.4f}"])
        made.rename(folder)
