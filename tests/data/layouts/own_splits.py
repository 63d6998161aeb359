"""The data's own split is ignored: whatever says train and test is followed, or the message names it."""

from collections.abc import Iterator
from typing import Any

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, WORDS, Place

layout = Kind("The data's own split is ignored")


def split_rows(
    at: Place, names: dict[str, str], pattern: str = "faces/{n}.png", **truth: Any
) -> Iterator[tuple[str, str, str]]:
    """Path, name and split of faces, three of a class and split; `names` says what the data calls our splits."""
    for split, called in names.items():
        for path, label in at.faces(pattern.replace("{split}", called), 3, split=split, **truth):
            yield path, WORDS[label], called


def split_csv(at: Place, column: str, names: dict[str, str]) -> None:
    """A csv file with a column that says the split."""
    at.table("labels.csv", f"path,label,{column}", split_rows(at, names))


USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
PLAIN = {"train": "train", "validation": "val", "test": "test"}
TWO = {"train": "train", "test": "test"}


@layout("csv", right(), quick=True)
def csv_with_usage(at: Place) -> None:
    """A csv file with FER2013's column Usage."""
    split_csv(at, "Usage", USAGE)


@layout("csv", right())
def csv_with_set(at: Place) -> None:
    """A csv file with a column set."""
    split_csv(at, "set", PLAIN)


@layout("csv", right())
def csv_with_subset(at: Place) -> None:
    """A csv file with a column Subset of capital letters."""
    split_csv(at, "Subset", {"train": "TRAIN", "validation": "DEV", "test": "TEST"})


@layout("csv", right())
def csv_with_partition(at: Place) -> None:
    """A csv file with a column partition, without validation."""
    split_csv(at, "partition", TWO)


@layout("csv", right(), "--split_column=phase")
def csv_with_a_split_column_that_is_named(at: Place) -> None:
    """A csv file with a column phase."""
    split_csv(at, "phase", PLAIN)


@layout("csv", right_or_refused("phase|split_column"))
def csv_with_a_split_column_of_an_unusual_name(at: Place) -> None:
    """A csv file with a column phase whose values are train, val and test."""
    split_csv(at, "phase", PLAIN)


@layout("csv", refused("split", r"'A'|\bA\b", "--split_column|train"))
def csv_with_splits_of_unknown_names(at: Place) -> None:
    """A column split that holds A and B."""
    split_csv(at, "split", {"train": "A", "test": "B"})


@layout("csv", right_or_refused("split", "line|row|blank|empty"))
def csv_with_blank_splits(at: Place) -> None:
    """A column split that is empty in some rows."""
    rows = [(path, word, split) for path, word, split in split_rows(at, TWO)]
    rows += [(path, WORDS[label], "") for path, label in at.faces("faces/{n}.png", 1, fate="may be read")]
    at.table("labels.csv", "path,label,split", rows)


@layout("csv", right_or_refused("split", "usage", prints=("usage",)))
def csv_with_two_splits_that_disagree(at: Place) -> None:
    """Columns split and Usage that contradict each other."""
    rows = [(*row, "Training" if row[2] == "test" else "PrivateTest") for row in split_rows(at, TWO)]
    at.table("labels.csv", "path,label,split,Usage", rows)


@layout("csv", right_or_refused("is_test|split_column"))
def csv_with_is_test(at: Place) -> None:
    """A column is_test of True and False."""
    split_csv(at, "is_test", {"train": "False", "test": "True"})


@layout("csv", right())
def train_csv_and_test_csv(at: Place) -> None:
    """train.csv and test.csv, their pictures in one folder."""
    for split in ("train", "test"):
        at.table(f"{split}.csv", "path,label", [row[:2] for row in split_rows(at, {split: split})])


@layout("csv", right_or_refused(r"train\.csv|test\.csv"))
def train_csv_and_test_csv_beside_class_folders(at: Place) -> None:
    """Class folders, and train.csv and test.csv that say which of their pictures are which."""
    for split in ("train", "test"):
        rows = [row[:2] for row in split_rows(at, {split: split}, "{word}/{n}.png")]
        at.table(f"{split}.csv", "path,label", rows)


@layout("csv", right_or_refused(r"notes\.csv|split\.csv"))
def split_csv_beside_notes(at: Place) -> None:
    """Class folders and a split.csv path,label,split, with a second csv file beside it."""
    at.table("split.csv", "path,label,split", split_rows(at, TWO, "{word}/{n}.png"))
    at.table("notes.csv", "day,who", [("monday", "ann")])


@layout("csv", right_or_refused(r"split\.csv"))
def split_csv_without_labels(at: Place) -> None:
    """Class folders and a split.csv path,split."""
    rows = [(path, split) for path, _, split in split_rows(at, TWO, "{word}/{n}.png")]
    at.table("split.csv", "path,split", rows)


@layout("csv", right())
def a_csv_in_each_split_folder(at: Place) -> None:
    """train/labels.csv and test/labels.csv, paths relative to each."""
    for split in ("train", "test"):
        rows = [
            (path.split("/", 1)[1], word) for path, word, _ in split_rows(at, {split: split}, "{split}/images/{n}.png")
        ]
        at.table(f"{split}/labels.csv", "path,label", rows)


@layout("folder", right())
def class_folders_that_hold_split_folders(at: Place) -> None:
    """happy/train/1.png: the split below the class."""
    list(split_rows(at, PLAIN, "{word}/{split}/{n}.png"))


@layout("folder", right())
def split_folders_in_capitals(at: Place) -> None:
    """TRAIN/Happy, Validation/Happy and Test/Happy."""
    names = {"train": "TRAIN", "validation": "Validation", "test": "Test"}
    list(split_rows(at, names, "{split}/{word}/{n}.png"))


@layout("folder", right_or_refused("training_set|test_set"))
def split_folders_of_longer_names(at: Place) -> None:
    """training_set/happy and test_set/happy."""
    list(split_rows(at, {"train": "training_set", "test": "test_set"}, "{split}/{word}/{n}.png"))


@layout("folder", right_or_refused("test"))
def class_folders_beside_a_test_folder(at: Place) -> None:
    """happy/, sad/ and so on, and test/happy beside them."""
    at.class_folders(split="train")
    at.class_folders("test/", 2, split="test")


@layout("folder", right_or_refused("test_list|test.txt|train.txt"))
def class_folders_beside_lists_of_splits(at: Place) -> None:
    """Class folders, with train.txt and test.txt that list the paths."""
    for split in ("train", "test"):
        at.write(f"{split}.txt", "".join(f"{row[0]}\n" for row in split_rows(at, {split: split}, "{word}/{n}.png")))


def split_cells(at: Place, names: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of a parquet file with a column that says the split."""
    pairs = [(split, label) for split in names for _ in range(3) for label in EVERY]
    return [{"image": at.cell(label, split=s), "label": WORDS[label], "split": names[s]} for s, label in pairs]


@layout("parquet", right())
def parquet_with_split(at: Place) -> None:
    """A parquet file with a column split."""
    at.parquet("faces.parquet", split_cells(at, PLAIN))


@layout("parquet", right())
def parquet_with_usage(at: Place) -> None:
    """A parquet file with a column Usage."""
    rows = [{"image": r["image"], "emotion": r["label"], "Usage": r["split"]} for r in split_cells(at, USAGE)]
    at.parquet("data/train-00000-of-00001.parquet", rows)


@layout("jsonl", right())
def jsonl_with_split(at: Place) -> None:
    """A labels.jsonl whose objects name the split."""
    at.json_lines("labels.jsonl", [{"path": p, "label": w, "split": s} for p, w, s in split_rows(at, TWO)])
