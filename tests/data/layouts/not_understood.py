"""A table that is not understood is passed over: beside class folders it stops the run, or names no picture of them."""

import gzip
import json
from collections.abc import Callable
from pathlib import PurePosixPath

from tests.data.layouts.expectation import Kind, refused, right
from tests.data.layouts.place import EVERY, WORDS, Place

layout = Kind("A table that is not understood is passed over")
OUT = "--source folder"


def faces(at: Place, each: int = 4) -> list[tuple[str, str]]:
    """Path and name of the class of faces in class folders."""
    return [(path, WORDS[label]) for path, label in at.faces("{word}/{word}_{n}.png", each)]


def split_of(number: int) -> str:
    """Every fourth row is of test."""
    return "test" if number % 4 == 0 else "train"


def splits(at: Place, name: str, spelled: Callable[[str], str] = str) -> None:
    """Class folders beside a table of splits whose paths are `spelled` in a way of their own."""
    at.table(name, "path,split", [(spelled(p), split_of(n)) for n, (p, _) in enumerate(faces(at))])


@layout("csv", refused(r"split\.csv line 9", "4 fields", OUT), quick=True)
def splits_with_one_comma_too_many(at: Place) -> None:
    """A split.csv with one line whose note has a comma and no quotes."""
    rows = [(p, split_of(n), "a,b" if n == 7 else "x") for n, (p, _) in enumerate(faces(at))]
    at.table("split.csv", "path,split,note", rows)


@layout("csv", right(prints=(r"not read: split\.csv line 9",)), "--source=folder")
def splits_with_one_comma_too_many_that_are_left_out(at: Place) -> None:
    """The same with --source folder: the table is counted with the reason."""
    splits_with_one_comma_too_many(at)


@layout("csv", refused(r"labels\.csv line", OUT))
def labels_with_one_comma_too_many(at: Place) -> None:
    """A labels.csv of corrected labels with `Doe, Jane` in one line."""
    rows = [(p, "happy", "Doe, Jane" if n == 3 else "x") for n, (p, _) in enumerate(faces(at))]
    at.table("labels.csv", "path,label,annotator", rows)


@layout("csv", refused(r"persons\.csv line 22", "opens here and is not closed", OUT))
def persons_with_a_lone_quote(at: Place) -> None:
    """A persons.csv with a cell that opens a quote and never closes it."""
    rows = [(p, n % 5, '"x' if n == 20 else "y") for n, (p, _) in enumerate(faces(at))]
    at.table("persons.csv", "path,person,note", rows)


@layout("csv", refused(r"labels\.csv line 12", "quote"))
def labels_with_a_quote_that_swallows_rows(at: Place) -> None:
    """A labels.csv with `"5 inch` in a cell, and a quote four rows later."""
    note = {10: '"5 inch', 14: 'x"'}
    rows = [(p, WORDS[w], note.get(n, "x")) for n, (p, w) in enumerate(at.faces("faces/{n}.png"))]
    at.table("labels.csv", "path,label,notes", rows)


@layout("csv", right())
def labels_with_line_breaks_in_quotes(at: Place) -> None:
    """A labels.csv whose notes have line breaks and commas, in quotes."""
    rows = [('"one,\ntwo, three\nfour"', p, WORDS[w]) for p, w in at.faces("faces/{n}.png")]
    at.table("labels.csv", "notes,path,label", rows)


@layout("csv", right())
def labels_with_a_very_long_cell(at: Place) -> None:
    """A labels.csv with a note of 300 KB."""
    rows = [(p, WORDS[w], "x" * 300_000 if n == 3 else "") for n, (p, w) in enumerate(at.faces("faces/{n}.png"))]
    at.table("labels.csv", "path,label,notes", rows)


@layout("csv", right())
def splits_in_utf_32(at: Place) -> None:
    """A split.csv in UTF-32."""
    rows = [
        (at.face(f"{WORDS[w]}/{n}.png", w, split=split_of(n // 7)), split_of(n // 7)) for n, w in enumerate(EVERY * 4)
    ]
    at.table("split.csv", "path,split", rows, encoding="utf-32")


@layout("csv", refused(r"split\.csv line 2", "another machine", OUT))
def splits_of_another_machine(at: Place) -> None:
    """A split.csv of absolute paths."""
    splits(at, "split.csv", lambda path: f"/kaggle/input/fer/{path}")


@layout("csv", refused(r"split\.tsv line 2|split\.csv line 2", "another machine", OUT))
def splits_of_windows(at: Place) -> None:
    r"""A split.csv of paths such as D:\faces\happy\1.png."""
    splits(at, "split.csv", lambda path: "D:\\faces\\" + path.replace("/", "\\"))


@layout("csv", refused(r"split\.csv line 2", "another machine", OUT))
def splits_of_addresses(at: Place) -> None:
    """A split.csv of addresses file:///home/..."""
    splits(at, "split.csv", lambda path: f"file:///faces/ann/{path}")


@layout("csv", right(prints=(r"not read: split\.csv.*another machine",)), "--source=folder")
def splits_of_another_machine_that_are_left_out(at: Place) -> None:
    """The same absolute paths with --source folder."""
    splits(at, "split.csv", lambda path: f"/kaggle/input/fer/{path}")


@layout("csv", refused(r"labels\.csv line 2", "gone0", OUT))
def labels_whose_first_pictures_are_missing(at: Place) -> None:
    """A labels.csv whose first 60 pictures were not downloaded."""
    at.table("labels.csv", "path,label", [(f"happy/gone{n}.png", "happy") for n in range(60)] + faces(at))


@layout("text", refused(r"test\.txt", "names pictures", OUT))
def lists_of_names_without_suffix(at: Place) -> None:
    """train.txt and test.txt of names without suffix."""
    names = [PurePosixPath(path).stem for path, _ in faces(at)]
    for split in ("train", "test"):
        at.write(f"{split}.txt", "\n".join(name for n, name in enumerate(names) if split_of(n) == split))


@layout("text", refused(r"train\.txt|test\.txt", "names pictures", OUT))
def lists_of_numbers(at: Place) -> None:
    """train.txt and test.txt of the numbers that the pictures are called."""
    names = [PurePosixPath(path).stem for path, _ in at.faces("{word}/{n}.png")]
    for split in ("train", "test"):
        at.write(f"{split}.txt", "\n".join(name for n, name in enumerate(names) if split_of(n) == split))


@layout("text", refused("testlist", "names pictures", OUT))
def a_list_without_a_suffix(at: Place) -> None:
    """A file testlist of the pictures of the test split."""
    at.write("testlist", "\n".join(path for n, (path, _) in enumerate(faces(at)) if split_of(n) == "test"))


@layout("text", refused(r"splits\.yaml", "names pictures", OUT))
def a_list_in_yaml(at: Place) -> None:
    """splits.yaml with the pictures of the test split."""
    at.write("splits.yaml", "test:\n" + "".join(f"- {path}\n" for path, _ in faces(at)[:9]))


@layout("csv", refused(r"meta/a/b/c/split\.csv", "names pictures", OUT))
def a_table_deep_below(at: Place) -> None:
    """meta/a/b/c/split.csv beside class folders."""
    splits(at, "meta/a/b/c/split.csv")


@layout("folder", right(prints=("README.txt", "history.csv", "files.txt")))
def files_that_say_nothing_of_the_pictures(at: Place) -> None:
    """A README.txt with two examples, a history.csv of epochs, and a files.txt of all pictures."""
    paths = [path for path, _ in faces(at)]
    at.write("README.txt", f"For example {paths[0]}, or {paths[1]}, and so on.\n")
    at.table("history.csv", "epoch,loss", [(n, 1 / (n + 1)) for n in range(9)])
    at.write("files.txt", "\n".join(paths))


@layout("json", refused(r"splits\.json", OUT))
def a_json_of_the_pictures_of_each_split(at: Place) -> None:
    """splits.json {"train": [...], "test": [...]}."""
    names = [path for path, _ in faces(at)]
    each = {s: [name for n, name in enumerate(names) if split_of(n) == s] for s in ("train", "test")}
    at.write("splits.json", json.dumps(each))


@layout("csv", refused(r"relabelled\.csv", "fname, annotation", "--label_column", OUT))
def columns_of_other_names(at: Place) -> None:
    """A relabelled.csv fname,annotation."""
    at.table("relabelled.csv", "fname,annotation", faces(at))


@layout("text", refused(r"\.txt", "beside a picture", OUT))
def a_text_beside_each_picture(at: Place) -> None:
    """happy/1.png beside happy/1.txt with another label."""
    for path, _ in faces(at):
        at.write(path.replace(".png", ".txt"), "sad")


@layout("xml", refused(r"\.xml", "beside a picture", OUT))
def an_xml_beside_each_picture(at: Place) -> None:
    """happy/1.png beside happy/1.xml of Pascal VOC."""
    for path, _ in faces(at):
        at.write(path.replace(".png", ".xml"), "<annotation><object><name>sad</name></object></annotation>")


@layout("spreadsheet", refused(r"labels\.xlsx", "save it as csv", OUT))
def a_spreadsheet_beside_class_folders(at: Place) -> None:
    """Class folders beside a labels.xlsx."""
    faces(at)
    at.write("labels.xlsx", b"PK\x03\x04" + bytes(64))


@layout("csv", refused(r"labels\.csv\.gz", "save it as csv", OUT))
def a_compressed_table(at: Place) -> None:
    """Class folders beside a labels.csv.gz."""
    at.write("labels.csv.gz", gzip.compress("".join(f"{p},sad\n" for p, _ in faces(at)).encode()))


@layout("csv", right(prints=(r"landmarks\.csv",)))
def measures_of_the_pictures(at: Place) -> None:
    """Class folders beside a landmarks.csv of decimal numbers for each picture."""
    at.table("landmarks.csv", "file,left,top", [(p, n + 0.5, n + 0.25) for n, (p, _) in enumerate(faces(at))])


@layout("folder", right(prints=(r"report\.docx", r"notes\.txt", "training.log")))
def files_that_name_no_picture(at: Place) -> None:
    """Class folders beside a report.docx, prose in notes.txt and a log: each is named."""
    faces(at)
    at.write("report.docx", b"PK\x03\x04" + bytes(64))
    at.write("notes.txt", "Faces of students, collected in May,\nwith consent, and, later, sorted.\nhappy: 4, sad: 4\n")
    at.write("training.log", "epoch 1, loss 0.5\n")
