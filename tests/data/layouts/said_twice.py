"""Two places say the class: whatever says it beside class folders passes one gate."""

import json

from tests.data.layouts.expectation import Kind, refused, right
from tests.data.layouts.place import EVERY, FER2013, MAY_BE_READ, RAFDB, WORDS, Place

layout = Kind("Two places say the class")
NEXT = dict(zip(EVERY, EVERY[1:] + EVERY[:1], strict=True))
CHOOSE = "--source folder"


def scores(at: Place, name: str, best: float, rest: float) -> None:
    """Class folders, and a table with a column a class that leads to the next class."""
    rows = [(path, *(best if WORDS[w] == WORDS[NEXT[label]] else rest for w in EVERY)) for path, label in faces(at)]
    at.table(name, ",".join(["filename", *WORDS.values()]), rows)


def faces(at: Place, each: int = 4) -> list[tuple[str, str]]:
    """Path and class of faces in class folders."""
    return list(at.faces("{word}/{word}{n}.png", each))


@layout("csv", refused(r"probs\.csv line 2", "folder of anger", CHOOSE), quick=True)
def class_folders_beside_scores_of_a_model(at: Place) -> None:
    """Class folders beside a probs.csv with a column of probabilities for each class."""
    scores(at, "probs.csv", 0.64, 0.06)


@layout("csv", right(), "--source=folder")
def class_folders_that_are_chosen(at: Place) -> None:
    """The same, with the reader named."""
    scores(at, "probs.csv", 0.64, 0.06)


@layout("csv", refused(r"votes\.csv line 2", "folder of anger", CHOOSE))
def class_folders_beside_other_votes(at: Place) -> None:
    """Class folders beside a votes.csv of counts."""
    scores(at, "votes.csv", 6, 0)


@layout("csv", right())
def class_folders_beside_scores_that_agree(at: Place) -> None:
    """Class folders beside votes that lead to the same classes."""
    rows = [(path, *(9 if w == label else 0 for w in EVERY)) for path, label in faces(at)]
    at.table("votes.csv", ",".join(["filename", *WORDS.values()]), rows)


@layout("csv", refused(r"labels\.csv line 2", CHOOSE), "--label_codes=fer2013")
def class_folders_beside_codes_of_another_table(at: Place) -> None:
    """Class folders beside a labels.csv of RAF-DB's codes, read as FER2013's."""
    at.table("labels.csv", "path,label", [(p, RAFDB[w] % 7) for p, w in faces(at)])


@layout("csv", right(), "--label_codes=fer2013")
def class_folders_beside_codes_that_agree(at: Place) -> None:
    """Class folders beside a labels.csv of FER2013's codes."""
    at.table("labels.csv", "path,label", [(p, FER2013[w]) for p, w in faces(at)])


@layout("text", refused(r"quality\.txt", CHOOSE), "--label_codes=fer2013")
def folders_of_codes_beside_a_quality_of_each_picture(at: Place) -> None:
    """Folders 0 to 6 of FER2013's codes, and a quality.txt `path n` with n from 0 to 6."""
    named = [(label, at.face(f"{FER2013[label]}/{n}_{label}.png", label)) for n in range(4) for label in EVERY]
    at.table("quality.txt", "", [(p, 5 * n % 7) for n, (_, p) in enumerate(named)], separator=" ")


@layout("webdataset", refused(r"\.json", "folder of anger", "--source webdataset", CHOOSE))
def class_folders_beside_a_json_of_each_picture(at: Place) -> None:
    """x.png in class folders beside x.json with what a model says."""
    for path, label in faces(at):
        at.write(path.replace(".png", ".json"), json.dumps({"emotion": WORDS[NEXT[label]], "age": 30}))


@layout("webdataset", refused("12 more|more lie in class folders", CHOOSE))
def class_folders_beside_a_json_of_some_pictures(at: Place) -> None:
    """x.json beside the last pictures of each class only."""
    for path, label in faces(at)[14:]:
        at.write(path.replace(".png", ".json"), json.dumps({"label": WORDS[label]}))


@layout("webdataset", refused(r"labels\.csv", "--source webdataset"))
def files_of_classes_beside_a_table(at: Place) -> None:
    """x.cls beside each picture, and a labels.csv of other labels."""
    rows = list(at.faces("faces/{n}.png"))
    for path, label in rows:
        at.write(path.replace(".png", ".cls"), WORDS[label])
    at.table("labels.csv", "path,label", [(p, WORDS[NEXT[w]]) for p, w in rows])


@layout("pattern", refused(r"split\.csv", "--source pattern"), r"--label_pattern=faces/(?P<label>[a-z]+)_")
def names_beside_a_table_of_splits(at: Place) -> None:
    """Classes in file names by label_pattern, and a split.csv path,split that it does not read."""
    rows = [p for p, _ in at.faces("faces/{word}_{n}.png", fate=MAY_BE_READ)]
    at.table("split.csv", "path,split", [(p, "test" if n % 4 == 0 else "train") for n, p in enumerate(rows)])


@layout("csv", refused(r"split\.csv", "--source csv"))
def a_table_of_labels_beside_a_table_of_splits(at: Place) -> None:
    """labels.csv path,label and split.csv path,split of the same pictures."""
    rows = [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")]
    at.table("labels.csv", "path,label", rows)
    at.table("split.csv", "path,split", [(p, "test" if n % 4 == 0 else "train") for n, (p, _) in enumerate(rows)])


@layout("webdataset", right())
def a_json_of_label_split_and_person_of_each_picture(at: Place) -> None:
    """x.png beside x.json {"label", "split", "person"}."""
    for n, label in enumerate(EVERY * 4):
        split, person = ("test", "ann") if n % 4 == 0 else ("train", f"p{n % 3}")
        path = at.face(f"faces/{n}.png", label, split=split, person=person)
        content = {"label": WORDS[label], "split": split, "person": person}
        at.write(path.replace(".png", ".json"), json.dumps(content))
