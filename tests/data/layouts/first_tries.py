"""The commonest first tries: what is plain is read; for the rest the message names the file and the option."""

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import WORDS, Place

layout = Kind("The commonest first try gets the worst message")


def listed(at: Place, pattern: str = "images/{n}.png", **truth: object) -> list[tuple[str, str]]:
    """Path and name of faces for a table."""
    return [(path, WORDS[label]) for path, label in at.faces(pattern, **truth)]


@layout("csv", right(), quick=True)
def csv_image_emotion(at: Place) -> None:
    """images/ and a csv file image,emotion."""
    at.table("data.csv", "image,emotion", listed(at))


@layout("csv", right())
def csv_file_label(at: Place) -> None:
    """images/ and a csv file file,label."""
    at.table("data.csv", "file,label", listed(at))


@layout("csv", right())
def csv_of_capital_and_padded_names(at: Place) -> None:
    """A csv file ` Image_Path , Expression ` with blanks around cells."""
    at.table("data.csv", " Image_Path , Expression ", [(f" {p} ", f" {w.upper()} ") for p, w in listed(at)])


@layout("csv", right_or_refused(r"data\.csv", "header|first (line|row)|column"))
def csv_without_a_header(at: Place) -> None:
    """images/ and a csv file without a header."""
    at.table("data.csv", "", listed(at))


@layout("csv", right())
def csv_in_utf16(at: Place) -> None:
    """A csv file in UTF-16, as Excel writes it."""
    at.table("data.csv", "path,label", listed(at), encoding="utf-16")


@layout("csv", right())
def table_with_tabs(at: Place) -> None:
    """A data.tsv."""
    at.table("data.tsv", "path,label", listed(at), separator="\t")


@layout("csv", right())
def csv_with_semicolons_and_bom(at: Place) -> None:
    """A csv file with semicolons and a byte order mark."""
    at.table("data.csv", "image,emotion", listed(at), separator=";", encoding="utf-8-sig")


@layout("csv", right())
def csv_as_pandas_writes_it(at: Place) -> None:
    """A csv file whose first column is pandas's index, without a name."""
    at.table("data.csv", ",path,label", [(n, *row) for n, row in enumerate(listed(at))])


@layout("csv", right_or_refused(r"a\.csv", r"b\.csv"))
def two_csv_files(at: Place) -> None:
    """a.csv and b.csv of equal columns."""
    at.table("a.csv", "path,label", listed(at))
    at.table("b.csv", "path,label", listed(at))


@layout("csv", refused(r"data\.csv", "what|kind", "--image_column|--label_column"))
def csv_of_unusual_columns(at: Place) -> None:
    """images/ and a csv file what,kind."""
    at.table("data.csv", "what,kind", listed(at))


@layout("csv", right(), "--image_column=what", "--label_column=kind")
def csv_of_unusual_columns_that_are_named(at: Place) -> None:
    """images/ and a csv file what,kind, both named."""
    at.table("data.csv", "what,kind", listed(at))


@layout("csv", right_or_refused("label", "emotion|expression", "--label_column"))
def csv_with_two_label_columns(at: Place) -> None:
    """A csv file with emotion and an unlike column class: which of the two has to be said."""
    rows = [(p, w, w) for p, w in listed(at)]
    at.table("data.csv", "path,emotion,label", rows)


@layout("csv", refused("emotion", "label", "--label_column"))
def csv_with_two_label_columns_that_disagree(at: Place) -> None:
    """A csv file with two columns of names that contradict each other."""
    at.table("data.csv", "path,emotion,label", [(p, w, "happy") for p, w in listed(at)])


@layout("jsonl", right())
def jsonl_of_images_and_labels(at: Place) -> None:
    """images/ and a data.jsonl."""
    at.json_lines("data.jsonl", [{"image": p, "label": w} for p, w in listed(at)])


@layout("csv", right())
def a_csv_in_a_wrapping_folder(at: Place) -> None:
    """archive/data.csv and archive/images."""
    rows = [(path.split("/", 1)[1], word) for path, word in listed(at, "archive/images/{n}.png")]
    at.table("archive/data.csv", "image,emotion", rows)


@layout("csv", refused("line 2", "http"))
def csv_of_addresses(at: Place) -> None:
    """A csv file whose pictures are addresses of the network."""
    at.table(
        "data.csv", "image,label", [(f"http://127.0.0.1:9/{n}.png", word) for n, word in enumerate(WORDS.values())]
    )
