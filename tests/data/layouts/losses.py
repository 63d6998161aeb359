"""Losses are not reported where people look: the command prints them, and which name became which class."""

from tests.data.layouts.expectation import Kind, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, WORDS, Place

layout = Kind("Losses are not reported where people look")
CONTEMPT = r"\b6\b.*contempt|contempt.*\b6\b"


@layout("folder", right(prints=(CONTEMPT,)), quick=True)
def folder_of_contempt(at: Place) -> None:
    """Class folders with six pictures of contempt, which is none of the seven classes."""
    at.class_folders()
    list(at.faces("contempt/{n}.png", 6, ["contempt"], fate=LEFT_OUT))


@layout("csv", right(prints=(CONTEMPT,)))
def csv_of_contempt(at: Place) -> None:
    """A csv file with six rows of contempt."""
    rows = [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")]
    rows += at.faces("faces/{n}.png", 6, ["contempt"], fate=LEFT_OUT)
    at.table("labels.csv", "path,label", rows)


@layout("parquet", right(prints=(CONTEMPT,)))
def parquet_of_contempt(at: Place) -> None:
    """A parquet file with six rows of contempt."""
    rows = [{"image": at.cell(w), "label": WORDS[w]} for _ in range(4) for w in EVERY]
    rows += [{"image": at.cell("contempt", fate=LEFT_OUT), "label": "contempt"} for _ in range(6)]
    at.parquet("faces.parquet", rows)


@layout("csv", right_or_refused("line|row|label", prints=("no label|without a label|unlabelled",)))
def csv_of_blank_labels(at: Place) -> None:
    """A csv file with five rows whose label is empty."""
    rows = [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")]
    rows += [(p, "") for p, _ in at.faces("faces/{n}.png", 5, ["happiness"], fate=LEFT_OUT)]
    at.table("labels.csv", "path,label", rows)


@layout("parquet", right(prints=("no label|without a label|unlabelled",)))
def parquet_of_missing_labels(at: Place) -> None:
    """A parquet file with five rows whose label is null."""
    rows = [{"image": at.cell(w), "label": WORDS[w]} for _ in range(4) for w in EVERY]
    at.parquet("faces.parquet", [*rows, *({"image": at.cell("x", fate=LEFT_OUT), "label": None} for _ in range(5))])


@layout("folder", right(prints=("boredom",)), '--class_map={"boredom": null}')
def folder_that_class_map_drops(at: Place) -> None:
    """Class folders and one more that class_map drops."""
    at.class_folders()
    list(at.faces("boredom/{n}.png", 6, ["boredom"], fate=LEFT_OUT))


@layout("folder", right(prints=(r"\bjoy\b", r"\bhappy\b")))
def two_folders_of_one_class(at: Place) -> None:
    """happy/ and joy/ are one class, and the table of names says so."""
    at.class_folders()
    list(at.faces("joy/{n}.png", 4, ["happiness"]))


@layout("csv", right(prints=("angry", "scared")))
def csv_names_and_their_classes(at: Place) -> None:
    """A csv file whose names are synonyms: the table of names prints each of them."""
    words = WORDS | {"fear": "scared"}
    at.table("labels.csv", "path,label", [(p, words[w]) for p, w in at.faces("faces/{n}.png")])


@layout("folder", right(prints=(r"\b3\b.*(file|picture)|(file|picture).*\b3\b",)))
def files_that_are_no_pictures(at: Place) -> None:
    """Three notes among the pictures."""
    at.class_folders()
    for n in range(3):
        at.write(f"happy/note{n}.md", "# notes\n")


@layout(
    "folder",
    right(prints=(r"\b2\b.*(damaged|unreadable|unusable|cannot)|(damaged|unreadable|unusable|cannot).*\b2\b",)),
    "--max_bad_share=0.5",
)
def damaged_pictures(at: Place) -> None:
    """Two cut pictures among the others: the command prints how many."""
    at.class_folders()
    for n in range(2):
        at.write(f"happy/cut{n}.jpg", at.cell("happiness", "cut", "JPEG", fate=LEFT_OUT)[:500])
    at.others -= 2


@layout("csv", right(prints=("age", "gender")))
def csv_columns_that_are_not_read(at: Place) -> None:
    """A csv file with columns that nobody reads, which are named."""
    at.table("labels.csv", "path,label,age,gender", [(p, WORDS[w], 30, "f") for p, w in at.faces("faces/{n}.png")])
