"""One stray csv becomes the data set, and junk folders become rows."""

from collections.abc import Iterable

from tests.data.layouts.expectation import Kind, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, WORDS, Place

layout = Kind("One stray csv becomes the data set, junk becomes rows")
JUNK = (".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", ".git", ".Trash-1000", "lost+found", "$RECYCLE.BIN")


def junk(at: Place, folders: Iterable[str], below: str = "") -> None:
    """Pictures of junk: in each of `folders`, two."""
    for folder in folders:
        list(at.faces(f"{below}{folder}/{{n}}-checkpoint.png", 2, ["happiness"], fate=LEFT_OUT))


@layout("csv", right_or_refused(r"best\.csv", prints=(r"best\.csv|csv",)), quick=True)
def class_folders_beside_a_csv_of_a_part(at: Place) -> None:
    """Class folders, and a best.csv path,label that lists a few of the pictures: all are read, or it is refused."""
    rows = [(p, WORDS[w]) for p, w in at.faces("{word}/{n}.png", 6)]
    at.table("best.csv", "path,label", rows[:14])


@layout("csv", right_or_refused(r"predictions\.csv", prints=("csv",)))
def class_folders_beside_predictions(at: Place) -> None:
    """Class folders, and somebody's predictions.csv path,label,score, most of them wrong."""
    paths = [p for p, _ in at.faces("{word}/{n}.png")]
    at.table("predictions.csv", "path,label,score", [(p, "happy", 0.5) for p in paths])


@layout("folder", right(prints=("csv",)))
def class_folders_beside_a_csv_of_something_else(at: Place) -> None:
    """Class folders beside a history.csv epoch,loss."""
    at.class_folders()
    at.table("history.csv", "epoch,loss", [(1, 0.5), (2, 0.4)])


@layout("folder", right())
def junk_in_a_class_folder(at: Place) -> None:
    """Junk folders in happy/."""
    at.class_folders()
    junk(at, JUNK, "happy/")


@layout("folder", right())
def junk_beside_class_folders(at: Place) -> None:
    """Junk folders beside the class folders."""
    at.class_folders()
    junk(at, JUNK)


@layout("folder", right())
def junk_beside_split_folders(at: Place) -> None:
    """Junk folders beside train/ and test/, and in train/."""
    at.class_folders("train/", split="train")
    at.class_folders("test/", split="test")
    junk(at, JUNK)
    junk(at, JUNK, "train/")


@layout("folder", right())
def synology_thumbnails(at: Place) -> None:
    """happy/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg."""
    at.class_folders()
    for n in range(4):
        at.face(f"happy/@eaDir/{n}.png/SYNOPHOTO_THUMB_M.jpg", "happiness", fate=LEFT_OUT)


@layout("folder", right())
def junk_files_among_pictures(at: Place) -> None:
    """._1.png of macOS, Thumbs.db, .DS_Store and desktop.ini among the pictures."""
    at.class_folders()
    for word in WORDS.values():
        for name in ("._1.png", "Thumbs.db", ".DS_Store", "desktop.ini"):
            at.write(f"{word}/{name}", b"\x00\x05\x16\x07")


@layout("csv", right(prints=("left out|not list",)))
def junk_beside_a_csv(at: Place) -> None:
    """A csv file with its pictures; a copy of it and of pictures lies in .ipynb_checkpoints."""
    rows = [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")]
    at.table("labels.csv", "path,label", rows)
    at.table(".ipynb_checkpoints/labels-checkpoint.csv", "path,label", rows[:7])
    junk(at, [".ipynb_checkpoints"], "faces/")


@layout("parquet", right())
def a_checkpoint_of_a_parquet_file(at: Place) -> None:
    """faces.parquet, and an older one of other pictures in .ipynb_checkpoints."""
    labels = [w for _ in range(4) for w in EVERY]
    at.parquet("faces.parquet", [{"image": at.cell(w), "label": WORDS[w]} for w in labels])
    old = [{"image": at.cell(w, fate=LEFT_OUT, counted=False), "label": WORDS[w]} for w in EVERY]
    at.parquet(".ipynb_checkpoints/faces-checkpoint.parquet", old)


@layout("jsonl", right_or_refused(r"notes\.jsonl", prints=("jsonl",)))
def class_folders_beside_a_jsonl(at: Place) -> None:
    """Class folders beside a notes.jsonl of chats."""
    at.class_folders()
    at.json_lines("notes.jsonl", [{"role": "user", "content": "hi"}] * 3)
