"""Persons are ignored, then 0 shared is certified: the usual columns are read, and nobody known is `unknown`."""

from collections.abc import Iterator

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, WORDS, Place

layout = Kind("Persons are ignored, then 0 shared is certified")


def person_rows(
    at: Place, pattern: str = "faces/{n}.png", persons: int = 8, who: str = "p{}", **truth: object
) -> Iterator[tuple[str, ...]]:
    """Path, name and person of faces: every person shows every expression, in splits that are made here."""
    for number in range(persons):
        person = who.format(number)
        for path, label in at.faces(pattern.replace("{person}", person), 1, person=person, **truth):
            yield path, WORDS[label], person


def person_csv(at: Place, column: str, who: str = "p{}") -> None:
    """A csv file with a column that says who it is."""
    at.table("labels.csv", f"path,label,{column}", person_rows(at, who=who))


@layout("csv", right(), quick=True)
def csv_with_person_id(at: Place) -> None:
    """A csv file with a column person_id."""
    person_csv(at, "person_id")


@layout("csv", right())
def csv_with_subject(at: Place) -> None:
    """A csv file with a column Subject of whole numbers."""
    person_csv(at, "Subject", "{}")


@layout("csv", right())
def csv_with_identity(at: Place) -> None:
    """A csv file with a column identity."""
    person_csv(at, "identity")


@layout("csv", right())
def csv_with_subject_id(at: Place) -> None:
    """A csv file with a column subject_id, codes with leading zeros."""
    person_csv(at, "subject_id", "00{}")


@layout("csv", right(), "--person_column=who")
def csv_with_a_person_column_that_is_named(at: Place) -> None:
    """A csv file with a column who."""
    person_csv(at, "who")


@layout("csv", refused("nobody", "who"), "--person_column=nobody")
def csv_without_the_person_column_that_is_named(at: Place) -> None:
    """A csv file with a column who."""
    person_csv(at, "who")


@layout("csv", right_or_refused("person", "subject", "--person_column", prints=("subject",)))
def csv_with_two_person_columns(at: Place) -> None:
    """Columns person and subject that say different things."""
    rows = [(*row, f"s{n % 3}") for n, row in enumerate(person_rows(at))]
    at.table("labels.csv", "path,label,person,subject", rows)


@layout("csv", right())
def csv_with_some_persons(at: Place) -> None:
    """A column person that is empty in half of the rows."""
    rows = [*person_rows(at), *((path, WORDS[label], "") for path, label in at.faces("faces/{n}.png"))]
    at.table("labels.csv", "path,label,person", rows)


@layout("csv", refused("person", "leak"))
def csv_with_a_person_in_train_and_test(at: Place) -> None:
    """Own splits that share the persons of the column subject."""
    rows = [(*row, "train" if n % 2 else "test") for n, row in enumerate(person_rows(at))]
    at.table("labels.csv", "path,label,subject,split", rows)


def person_cells(at: Place, column: str) -> list[dict[str, object]]:
    """Rows of a parquet file with a column that says who it is."""
    pairs = [(f"p{number}", label) for number in range(8) for label in EVERY]
    return [{"image": at.cell(label, person=who), "label": WORDS[label], column: who} for who, label in pairs]


@layout("parquet", right())
def parquet_with_subject_id(at: Place) -> None:
    """A parquet file with a column subject_id."""
    at.parquet("faces.parquet", person_cells(at, "subject_id"))


@layout("parquet", right(), "--person_column=who")
def parquet_with_a_person_column_that_is_named(at: Place) -> None:
    """A parquet file with a column who."""
    at.parquet("faces.parquet", person_cells(at, "who"))


@layout("jsonl", right())
def metadata_jsonl_with_person(at: Place) -> None:
    """A metadata.jsonl with file_name, label and person."""
    at.json_lines("metadata.jsonl", [{"file_name": p, "label": w, "person": who} for p, w, who in person_rows(at)])


@layout("csv", right())
def metadata_csv_with_subject(at: Place) -> None:
    """A metadata.csv with file_name, label and subject."""
    at.table("metadata.csv", "file_name,label,subject", person_rows(at))


@layout("folder", right(prints=("person.{0,40}unknown|unknown.{0,40}person",)))
def folders_that_know_nobody(at: Place) -> None:
    """Class folders: who is who is unknown, and the command says so."""
    at.class_folders()


@layout("parquet", right(prints=("person.{0,40}unknown|unknown.{0,40}person",)))
def parquet_that_knows_nobody(at: Place) -> None:
    """A parquet file without persons: unknown, not 0."""
    labels = [label for _ in range(4) for label in EVERY]
    at.parquet("faces.parquet", [{"image": at.cell(label), "label": WORDS[label]} for label in labels])


@layout("pattern", right(), r"--label_pattern=(?P<person>s\d+)_(?P<label>[a-z]+)_\d+")
def names_that_say_person_and_label(at: Place) -> None:
    """s3_happy_12.png, read by a regular expression."""
    list(person_rows(at, "{person}_{word}_{n}.png", who="s{}"))


@layout("folder", right_or_refused("person|p0|label_pattern|anna"))
def person_folders_in_class_folders(at: Place) -> None:
    """happy/p0/1.png: the persons are read, or the message names their folders."""
    list(person_rows(at, "{word}/{person}/{n}.png", person_may_be_unknown=True))
