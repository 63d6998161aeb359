"""A table of labels loses to folder names: where a table says what the pictures show, no folder name does."""

import json
from collections.abc import Iterator

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, MAY_BE_READ, WORDS, Place

layout = Kind("A table of labels loses to folder names")


def labelled(at: Place, pattern: str = "images/{n}.png", each: int = 4, **truth: object) -> Iterator[tuple[str, str]]:
    """Path and name of faces for a table."""
    for path, label in at.faces(pattern, each, **truth):
        yield path, WORDS[label]


def disagreeing(at: Place) -> Iterator[tuple[str, str]]:
    """Path and true name of faces that lie in the folder of the next class."""
    for label, folder in zip(EVERY, EVERY[1:] + EVERY[:1], strict=True):
        for path, _ in at.faces(f"{WORDS[folder]}/{{n}}.png", 4, [label]):
            yield path, WORDS[label]


@layout("csv", right_or_refused(r"labels\.csv", "disagree|contradict|folder"), quick=True)
def labels_csv_that_contradicts_folders(at: Place) -> None:
    """Kaggle's AffectNet: class folders beside a labels.csv of corrected labels."""
    at.table("labels.csv", "pth,label", disagreeing(at))


@layout("csv", right_or_refused(r"metadata\.csv", "disagree|contradict|folder"))
def metadata_csv_that_contradicts_folders(at: Place) -> None:
    """Class folders beside a metadata.csv of other labels."""
    at.table("metadata.csv", "file_name,label", disagreeing(at))


@layout("jsonl", right_or_refused(r"metadata\.jsonl", "disagree|contradict|folder"))
def metadata_jsonl_that_contradicts_folders(at: Place) -> None:
    """Class folders beside a metadata.jsonl of other labels."""
    at.json_lines("metadata.jsonl", [{"file_name": path, "label": word} for path, word in disagreeing(at)])


@layout("csv", right())
def metadata_csv_that_agrees_with_folders(at: Place) -> None:
    """Class folders beside a metadata.csv of the same labels."""
    at.table("metadata.csv", "file_name,label", labelled(at, "{word}/{n}.png"))


@layout("csv", right())
def metadata_csv_in_split_folders(at: Place) -> None:
    """Hugging Face's ImageFolder: train/metadata.csv and test/metadata.csv beside their pictures."""
    for split in ("train", "test"):
        rows = [(path.split("/", 1)[1], word) for path, word in labelled(at, f"{split}/{{n}}.png", split=split)]
        at.table(f"{split}/metadata.csv", "file_name,label", rows)


@layout("jsonl", right())
def metadata_jsonl_in_split_folders(at: Place) -> None:
    """Hugging Face's ImageFolder: train/metadata.jsonl and test/metadata.jsonl."""
    for split in ("train", "test"):
        rows = labelled(at, f"{split}/{{n}}.png", split=split)
        at.json_lines(f"{split}/metadata.jsonl", [{"file_name": p.split("/", 1)[1], "label": w} for p, w in rows])


@layout("csv", right())
def a_table_of_pictures_in_numbered_batches(at: Place) -> None:
    """Folders batch1 to batch4, and a labels.csv image,emotion."""
    at.table("labels.csv", "image,emotion", labelled(at, "batch{i}/{n}.png"))


@layout("csv", right_or_refused(r"labels\.csv"))
def a_table_of_names_without_folders(at: Place) -> None:
    """A labels.csv that gives file names only, and pictures in images/."""
    at.table("labels.csv", "image,emotion", [(path.split("/")[1], word) for path, word in labelled(at)])


@layout("csv", right_or_refused(r"labels\.csv"))
def a_table_of_stems(at: Place) -> None:
    """A labels.csv that gives names without suffix."""
    at.table("labels.csv", "image,emotion", [(path.removesuffix(".png"), word) for path, word in labelled(at)])


@layout("csv", right_or_refused(r"labels\.csv"))
def a_table_of_windows_paths(at: Place) -> None:
    """A labels.csv with backslashes."""
    at.table("labels.csv", "path,label", [(path.replace("/", "\\"), word) for path, word in labelled(at)])


@layout("csv", right_or_refused(r"labels\.csv", "/content/drive|leads out|data_path|not below|outside"))
def a_table_of_absolute_paths(at: Place) -> None:
    """A labels.csv with the paths of another machine."""
    at.table("labels.csv", "path,label", [(f"/content/drive/{path}", word) for path, word in labelled(at)])


@layout("csv", right_or_refused(r"labels\.csv"))
def a_table_of_a_part_of_the_class_folders(at: Place) -> None:
    """A labels.csv lists half of the pictures in class folders; the rest is read or counted, never lost."""
    at.table("labels.csv", "path,label", labelled(at, "{word}/{n}.png"))
    list(labelled(at, "{word}/{n}.png", fate=MAY_BE_READ))


@layout("csv", right_or_refused(r"labels\.csv"))
def a_table_in_a_folder_of_its_own(at: Place) -> None:
    """annotations/labels.csv, and images/ beside it."""
    at.table("annotations/labels.csv", "image,label", [(p.split("/")[1], w) for p, w in labelled(at)])


@layout("text", right_or_refused(r"labels\.txt"))
def a_text_list_with_blanks(at: Place) -> None:
    """A labels.txt with `images/1.png happy` in each line."""
    at.table("labels.txt", "", labelled(at), separator=" ")


@layout("json", right_or_refused(r"labels\.json"))
def a_json_object_of_names_and_labels(at: Place) -> None:
    """A labels.json {"1.png": "happy"}."""
    at.write("labels.json", json.dumps(dict(labelled(at))))


@layout("json", right_or_refused(r"annotations\.json"))
def a_json_list_that_contradicts_folders(at: Place) -> None:
    """Class folders beside an annotations.json of other labels."""
    at.write("annotations.json", json.dumps([{"image": p, "label": w} for p, w in disagreeing(at)]))


@layout("csv", refused("labels.csv", "line|row"))
def a_table_that_labels_a_picture_twice(at: Place) -> None:
    """A labels.csv with two labels of one picture."""
    rows = list(labelled(at))
    at.table("labels.csv", "path,label", [*rows, (rows[0][0], "happy")])


@layout("spreadsheet", refused(r"labels\.xlsx"))
def a_spreadsheet(at: Place) -> None:
    """images/ beside a labels.xlsx: named as the table that is not read."""
    list(labelled(at))
    at.write("labels.xlsx", b"PK\x03\x04" + bytes(64))


@layout("csv", right_or_refused(r"metadata\.csv"))
def a_table_that_lists_missing_files(at: Place) -> None:
    """A metadata.csv with two names of files that are not there."""
    rows = [*labelled(at), ("images/gone1.png", "happy"), ("images/gone2.png", "sad")]
    at.table("metadata.csv", "file_name,label", rows)
    at.others += 2


@layout("csv", right_or_refused(r"labels\.csv", r"labels_old\.csv", prints=("labels_old",)))
def two_tables_that_disagree(at: Place) -> None:
    """labels.csv beside a labels_old.csv of other labels."""
    rows = list(labelled(at))
    at.table("labels.csv", "path,label", rows)
    at.table("labels_old.csv", "path,label", [(path, "happy") for path, _ in rows])
