"""What data says without a column of its own: one person in two spellings, README.md, names of files, inner folders."""

import io

from PIL import Image

from tests.data.layouts import own_splits, persons, stray
from tests.data.layouts.expectation import refused, right
from tests.data.layouts.place import EVERY, WORDS, Place

SPLIT_OF = ("train", "train", "train", "train", "train", "train", "validation", "test")


def two_spellings(at: Place, first: str, second: str) -> None:
    """train.csv and test.csv that spell the same eight persons in two ways."""
    for name, who in (("train.csv", first), ("test.csv", second)):
        rows = persons.person_rows(at, who=who, pattern=name[:-4] + "_faces/{n}.png")
        at.table(name, "path,label,person", rows)


@persons.layout("csv", refused("person|validation cannot be made", "leak"), quick=True)
def persons_with_zeros_before(at: Place) -> None:
    """Persons 001 in train.csv and 1 in test.csv."""
    two_spellings(at, "00{}", "{}")


@persons.layout("csv", refused("leak"))
def persons_as_floats(at: Place) -> None:
    """Persons 1 in train.csv and 1.0 in test.csv."""
    two_spellings(at, "{}", "{}.0")


@persons.layout("csv", refused("leak"))
def persons_in_other_case_and_signs(at: Place) -> None:
    """Persons `Anna_B 1` in train.csv and `anna b-1` in test.csv."""
    two_spellings(at, "Anna_B {}", "anna b-{}")


@persons.layout("csv", right(prints=("persons: unknown",)))
def persons_that_are_words_for_nobody(at: Place) -> None:
    """A column person of unknown, -, N/A and -1."""
    words = ("unknown", "-", "N/A", "-1")
    rows = [(p, WORDS[label], words[n % 4]) for n, (p, label) in enumerate(at.faces("faces/{n}.png", 6))]
    at.table("labels.csv", "path,label,person", rows)


@persons.layout("csv", right(prints=("person meta.subject",)))
def persons_in_nested_json(at: Place) -> None:
    """A jsonl file with the person in meta.subject."""
    rows = [{"image": p, "label": word, "meta": {"subject": who}} for p, word, who in persons.person_rows(at)]
    at.json_lines("faces.jsonl", rows)


@persons.layout("folder", refused("inside class folders", "person", follow="--label_pattern"), quick=True)
def persons_inside_class_folders(at: Place) -> None:
    """`<class>/<person>/*.png`."""
    for number in range(8):
        for _ in at.faces(f"{{word}}/subject{number}/{{n}}.png", 1, person=f"s{number}"):
            pass


def card(at: Place, train: str, test: str) -> None:
    """README.md that says which files are which split."""
    files = f"  - split: train\n    path: {train}\n  - split: test\n    path: {test}\n"
    at.write("README.md", f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n# Faces\n")


@own_splits.layout("parquet", right(), quick=True)
def readme_says_the_splits_of_parquet_files(at: Place) -> None:
    """README.md names the splits of a.parquet and b.parquet."""
    for name, split, each in (("a.parquet", "train", 4), ("b.parquet", "test", 1)):
        at.parquet(name, [{"image": at.cell(c, split=split), "label": c} for c in EVERY for _ in range(each)])
    card(at, "a.parquet", "b*.parquet")


@own_splits.layout("folder", refused("README.md", "split"))
def readme_says_the_splits_of_folders(at: Place) -> None:
    """README.md names the splits of `a/<class>/` and `b/<class>/`."""
    at.class_folders("a/", split="train")
    at.class_folders("b/", 1, split="test")
    card(at, "a/**", "b/**")


@own_splits.layout("csv", right())
def csv_with_splits_in_a_column_of_any_name(at: Place) -> None:
    """A column data_type of Training, Testing and Validation."""
    rows = []
    for split in SPLIT_OF:
        rows += [(p, WORDS[label], split.title()) for p, label in at.faces("faces/{n}.png", 1, split=split)]
    at.table("labels.csv", "path,label,data_type", rows)


@own_splits.layout("csv", refused("fold", "--split_column none"))
def csv_with_numbered_folds(at: Place) -> None:
    """A column fold of the numbers 0 to 3."""
    rows = [(p, WORDS[label], n % 4) for n, (p, label) in enumerate(at.faces("faces/{n}.png"))]
    at.table("labels.csv", "path,label,fold", rows)


@own_splits.layout("folder", right(prints=("splits by names of files",)), quick=True)
def splits_in_names_inside_class_folders(at: Place) -> None:
    """`angry/PrivateTest_1.png`."""
    words = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
    for split in SPLIT_OF:
        for _ in at.faces(f"{{word}}/{words[split]}_{{n}}.png", 1, split=split):
            pass


@own_splits.layout("folder", refused("say a split", "--source folder"))
def splits_in_some_names_only(at: Place) -> None:
    """`angry/test_1.png` beside `angry/img_2.png`."""
    at.class_folders()
    for _ in at.faces("{word}/test_{n}.png", 1):
        pass


@own_splits.layout("pattern", right(), r"--label_pattern=^[a-z]+_\d+_(?P<label>[a-z]+)")
def splits_in_names_beside_the_label(at: Place) -> None:
    """`test_1_happy.png` by a pattern."""
    for split in SPLIT_OF:
        for _ in at.faces(f"{split}_{{n}}_{{word}}.png", 1, split=split):
            pass


@stray.layout("folder", refused("fear/happy", "inside class folders", never=("--label_pattern",)), quick=True)
def another_class_inside_a_class_folder(at: Place) -> None:
    """`fear/happy/*.png`."""
    at.class_folders()
    for _ in at.faces("fear/happy/{n}.png", 3, ("happiness",)):
        pass


@stray.layout("folder", refused("_rejected", "inside class folders", never=("--label_pattern",)))
def rejected_pictures_inside_class_folders(at: Place) -> None:
    """`<class>/_rejected/*.png`."""
    at.class_folders()
    for _ in at.faces("{word}/_rejected/{n}.png", 1):
        pass


@stray.layout("pattern", refused("unhappy", "longer word"), "--label_pattern=(?P<label>happy|sad|angry)")
def a_label_inside_a_longer_word(at: Place) -> None:
    """`unhappy_1.png` beside `happy_2.png`."""
    for _ in at.faces("{word}_{n}.png", 4, ("happiness", "sadness", "anger")):
        pass
    at.face("unhappy_99.png", "sadness")


@stray.layout("folder", right(prints=("near copies under another label: ",)), "--near_copies=true")
def near_copies_under_two_labels(at: Place) -> None:
    """A picture of angry/, saved as JPEG in fear/."""
    at.class_folders(each=6)
    face = Image.open(io.BytesIO(at.cell("anger", "angry/first.png")))
    at.write("angry/first.png", (buffer := io.BytesIO(), face.save(buffer, "PNG"))[0].getvalue())
    at.write("fear/again.jpg", at.keep(face, "fear", "fear/again.jpg", "JPEG"))
    at.others -= 2
