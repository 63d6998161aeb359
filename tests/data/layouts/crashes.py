"""What used to crash, hang, or read a private file."""

import os
import socket

import pyarrow.parquet as pq

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, MAY_BE_READ, WORDS, Place

layout = Kind("Crashes, hangs and private files")


@layout("folder", right_or_refused(r"\btest\b", prints=(r"\btest\b",)), quick=True)
def unlabelled_test(at: Place) -> None:
    """Kaggle's test/1.png: a test split without class folders."""
    at.class_folders("train/", split="train")
    list(at.faces("test/{n}.png", 6, ["happiness"], fate=LEFT_OUT))


@layout("folder", right_or_refused("val"))
def an_empty_validation_folder(at: Place) -> None:
    """train/, test/ and an empty val/."""
    at.class_folders("train/", split="train")
    at.class_folders("test/", split="test")
    (at.root / "val").mkdir()


@layout("folder", right_or_refused("test"))
def empty_class_folders_in_a_split(at: Place) -> None:
    """train/ with pictures, test/ with empty class folders."""
    at.class_folders("train/", split="train")
    for word in WORDS.values():
        (at.root / "test" / word).mkdir(parents=True)


@layout("folder", right_or_refused(r"\btest\b", "contempt", prints=("contempt",)))
def a_test_split_of_dropped_rows(at: Place) -> None:
    """A test split of contempt only, so that no row of it is left."""
    at.class_folders("train/", split="train")
    list(at.faces("test/contempt/{n}.png", 6, ["contempt"], fate=LEFT_OUT))


@layout("csv", right_or_refused(r"\btest\b", prints=(r"\btest\b",)))
def a_csv_test_split_without_labels(at: Place) -> None:
    """A csv file whose test rows have no label."""
    rows = [(p, WORDS[w], "train") for p, w in at.faces("faces/{n}.png", split="train")]
    rows += [(p, "", "test") for p, _ in at.faces("faces/{n}.png", 6, ["happiness"], fate=LEFT_OUT)]
    at.table("labels.csv", "path,label,split", rows)


@layout("parquet", right_or_refused(r"\btest\b|validation"))
def a_parquet_split_of_no_rows(at: Place) -> None:
    """train.parquet, and a validation.parquet of no rows."""
    rows = [{"image": at.cell(w, split="train"), "label": WORDS[w]} for _ in range(4) for w in EVERY]
    path = at.parquet("train.parquet", rows)
    pq.write_table(pq.read_table(path).slice(0, 0), at.write("validation.parquet", b""))


@layout("folder", right())
def a_name_that_is_not_utf8(at: Place) -> None:
    """happy/caf\\xe9.png."""
    at.class_folders()
    at.face(b"happy/caf\xe9.png", "happiness")


@layout("csv", right())
def a_name_that_is_not_utf8_beside_a_csv(at: Place) -> None:
    """A csv file, and a picture caf\\xe9.png that it does not list."""
    at.table("labels.csv", "path,label", [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")])
    at.face(b"faces/caf\xe9.png", "happiness", fate=LEFT_OUT)


@layout("folder", right())
def names_of_strange_characters(at: Place) -> None:
    """Names with a line break, an emoji, blanks and quotes."""
    at.class_folders()
    for name in ("a\nb", "\N{GRINNING FACE}", "  c ", 'd"e', "f,g", "#h", "i%20j", "-k"):
        at.face(f"happy/{name}.png", "happiness")


@layout("csv", refused("line 2|label"))
def a_label_of_5000_digits(at: Place) -> None:
    """A csv label of 5,000 digits."""
    rows = [(p, "1" * 5000 if n == 0 else WORDS[w]) for n, (p, w) in enumerate(at.faces("{n}.png"))]
    at.table("labels.csv", "path,label", rows)


@layout("csv", refused("line 2|label|field|longer"))
def a_label_of_200000_letters(at: Place) -> None:
    """A csv field that is longer than the csv module takes."""
    rows = [(p, "x" * 200_000 if n == 0 else WORDS[w]) for n, (p, w) in enumerate(at.faces("{n}.png"))]
    at.table("labels.csv", "path,label", rows)


def pipe(at: Place, name: str) -> None:
    """A FIFO: opening it never returns."""
    os.mkfifo(at.root / name)
    at.others += 1


@layout("folder", right_or_refused(r"list\.csv"))
def a_pipe_named_list_csv(at: Place) -> None:
    """Class folders beside a FIFO list.csv."""
    at.class_folders()
    pipe(at, "list.csv")


@layout("folder", right_or_refused(r"faces\.parquet|metadata\.csv|fer2013\.csv"))
def pipes_of_every_name(at: Place) -> None:
    """Class folders beside FIFOs named as files that readers know, and one among the pictures."""
    at.class_folders()
    for name in ("faces.parquet", "metadata.csv", "fer2013.csv", "labels.jsonl", "faces.tar", "happy/1.png"):
        (at.root / name).unlink(missing_ok=True)
        pipe(at, name)


@layout("folder", right())
def a_socket_among_the_pictures(at: Place) -> None:
    """A socket named s.png."""
    at.class_folders()
    with socket.socket(socket.AF_UNIX) as opened:
        here = os.open(at.root / "happy", os.O_RDONLY)
        opened.bind(f"/proc/self/fd/{here}/s.png")
        os.close(here)
    at.others += 1


@layout("folder", right_or_refused(r"labels\.csv|faces\.parquet|metadata\.jsonl"))
def folders_named_like_files(at: Place) -> None:
    """Class folders beside empty folders named labels.csv and faces.parquet."""
    at.class_folders()
    for name in ("labels.csv", "faces.parquet", "metadata.jsonl"):
        (at.root / name).mkdir()


@layout("parquet", right_or_refused(r"broken\.parquet"))
def a_broken_parquet_beside_class_folders(at: Place) -> None:
    """Class folders beside a file that is called .parquet only."""
    at.class_folders()
    at.write("broken.parquet", b"PAR1 not really")


@layout("csv", right_or_refused(r"labels\.csv"))
def a_csv_of_nul_bytes(at: Place) -> None:
    """Class folders beside a labels.csv of NUL bytes."""
    at.class_folders()
    at.write("labels.csv", bytes(4096))


@layout("csv", refused("label"))
def a_csv_with_one_column_twice(at: Place) -> None:
    """A csv file with two columns label that say different things."""
    at.table("labels.csv", "path,label,label", [(p, WORDS[w], "happy") for p, w in at.faces("{n}.png")])


@layout("csv", right_or_refused(r"labels\.csv", "UTF-8|encoding"))
def a_csv_in_latin1(at: Place) -> None:
    """A csv file in Latin-1 that names a picture caf\\xe9.png in UTF-8."""
    rows = [(p, WORDS[w]) for p, w in at.faces("caf\xe9{n}.png")]
    at.table("labels.csv", "path,label", rows, encoding="latin-1")


@layout("folder", refused("empty|no picture|holds no"))
def a_folder_of_empty_folders(at: Place) -> None:
    """Class folders without a picture."""
    for word in WORDS.values():
        (at.root / word).mkdir()


@layout("picture", refused("1.png"))
def one_picture_as_data_path(at: Place) -> str:
    """data_path names a picture."""
    return at.face("1.png", "happiness", fate=MAY_BE_READ)


@layout("csv", right_or_refused(r"labels\.csv"))
def a_csv_of_a_header_only(at: Place) -> None:
    """Class folders beside a labels.csv of a header without rows."""
    at.class_folders()
    at.table("labels.csv", "path,label", [])


@layout("csv", right_or_refused(r"labels\.csv"))
def a_csv_with_old_line_ends(at: Place) -> None:
    """A csv file whose lines end with a carriage return only."""
    rows = [("path", "label"), *((p, WORDS[w]) for p, w in at.faces("faces/{n}.png"))]
    at.write("labels.csv", "\r".join(map(",".join, rows)))


@layout("jsonl", refused(r"labels\.jsonl", "line 3"))
def a_jsonl_with_a_broken_line(at: Place) -> None:
    """A labels.jsonl whose third line is cut."""
    lines = [f'{{"path": "{p}", "label": "{WORDS[w]}"}}' for p, w in at.faces("faces/{n}.png")]
    lines[2] = lines[2][:20]
    at.write("labels.jsonl", "\n".join(lines))


@layout("json", right_or_refused(r"deep\.json"))
def a_json_of_a_million_brackets(at: Place) -> None:
    """Class folders beside a deep.json that is nested deeper than Python reads."""
    at.class_folders()
    at.write("deep.json", "[" * 1_000_000)
    at.write("deep.jsonl", "[" * 1_000_000)
