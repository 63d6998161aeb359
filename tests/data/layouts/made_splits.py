"""Splits made here leak: no made split takes a copy, or the person, of an official one."""

import io

from PIL import Image

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, MAY_BE_READ, WORDS, Place, digest_of

layout = Kind("Splits made here leak")
DROP, REPORT, NEAR = "--leaks=drop_from_train", "--leaks=report", "--near_copies=true"


def official(at: Place, split: str, pattern: str, each: int = 2) -> list[tuple[bytes, str]]:
    """Faces of an official split, each known by what it shows."""
    faces = []
    for i in range(each):
        for label in EVERY:
            shows = at.drawn + 1
            name = at.face(pattern.format(word=WORDS[label], n=f"{split}{i}"), label, split=split, shows=shows)
            faces.append(((at.root / name).read_bytes(), label))
    return faces


def copies(at: Place, faces: list[tuple[bytes, str]], pattern: str, near: bool = False) -> None:
    """Copies of `faces` in train: the same pixels, or near ones (larger, as JPEG). They may be dropped and counted."""
    for n, (content, label) in enumerate(faces):
        picture = Image.open(io.BytesIO(content))
        shows = at.rows[digest_of(picture)][0].shows
        path = at.root / pattern.format(word=WORDS[label], n=f"copy{n}")
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = picture.resize((64, 64)) if near else picture
        truth = {"split": "train", "shows": shows, "fate": MAY_BE_READ}
        path.write_bytes(at.keep(shown, label, path.name, "JPEG" if near else "PNG", **truth))


@layout("folder", right(), DROP, quick=True)
def a_made_validation_and_copies_of_test(at: Place) -> None:
    """train/ of 42 pictures, seven of them copies of test/: none is left in validation or train."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "test", "test/{word}/{n}.png", 1), "train/{word}/{n}.png")


@layout("folder", refused("leak|cop", "--leaks"))
def copies_of_test_are_refused(at: Place) -> None:
    """train/ with copies of test/ and no option: refused, with the option."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "test", "test/{word}/{n}.png", 1), "train/{word}/{n}.png")


@layout("folder", right(), DROP, NEAR)
def a_made_validation_and_near_copies_of_test(at: Place) -> None:
    """train/ of 42 pictures, seven of them larger JPEG copies of test/."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "test", "test/{word}/{n}.png", 1), "train/{word}/{n}.png", near=True)


@layout("folder", right(), DROP)
def a_made_test_and_copies_of_validation(at: Place) -> None:
    """train/ and val/ are given, test is made: it takes no copy of val/."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "validation", "val/{word}/{n}.png", 1), "train/{word}/{n}.png")


@layout("csv", right(), DROP)
def a_csv_with_copies_of_test(at: Place) -> None:
    """A csv file with a split, copies of test among the rows of train."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "test", "test/{word}/{n}.png", 1), "train/{word}/{n}.png")
    paths = sorted(p.relative_to(at.root) for p in at.root.rglob("*.png"))
    at.table("labels.csv", "path,label,split", [(p, p.parts[1], p.parts[0]) for p in paths])


@layout("parquet", right(), DROP)
def parquet_with_copies_of_test(at: Place) -> None:
    """train.parquet holds copies of test.parquet."""
    rows = [{"image": at.cell(w, split="train"), "label": WORDS[w]} for _ in range(5) for w in EVERY]
    cells = [(at.cell(w, split="test", shows=n), w) for n, w in enumerate(EVERY)]
    for n, (cell, word) in enumerate(cells):
        same = at.keep(Image.open(io.BytesIO(cell)), word, split="train", shows=n, fate=MAY_BE_READ)
        rows.append({"image": same, "label": WORDS[word]})
    at.parquet("train.parquet", rows)
    at.parquet("test.parquet", [{"image": cell, "label": WORDS[word]} for cell, word in cells])


@layout("csv", right(), DROP)
def persons_of_an_official_test(at: Place) -> None:
    """A csv file with persons, one of test among those of train: she is in no made validation."""
    rows = []
    for n, person in enumerate(["ann", "bob", "cy", "dan", "eve", "flo", "gus"]):
        truth = {"split": "train" if n else "test", "person": person, "shows": person if n == 0 else None}
        rows += [(p, WORDS[w], truth["split"], person) for p, w in at.faces("f/{n}.png", 1, **truth)]
    truth = {"split": "train", "person": "ann", "fate": MAY_BE_READ, "shows": "ann"}
    rows += [(p, WORDS[w], "train", "ann") for p, w in at.faces("f/{n}.png", 1, **truth)]
    at.table("labels.csv", "path,label,split,person", rows)


@layout("folder", right())
def copies_within_one_source_stay_together(at: Place) -> None:
    """No official split: copies of one picture stay in one split."""
    for n, label in enumerate(w for _ in range(5) for w in EVERY):
        cell = at.cell(label, shows=n)
        at.write(f"{WORDS[label]}/{n}.png", cell)
        again = at.keep(Image.open(io.BytesIO(cell)), label, kind="BMP", shows=n)
        at.write(f"{WORDS[label]}/{n}again.bmp", again)


@layout("folder", right_or_refused("leak|cop", "--leaks"), REPORT)
def copies_of_test_that_are_reported(at: Place) -> None:
    """leaks report lets copies stay in train, on record, yet never puts them into a made validation."""
    at.class_folders("train/", 5, split="train")
    copies(at, official(at, "test", "test/{word}/{n}.png", 1), "train/{word}/{n}.png")
    for rows in at.rows.values():
        for row in rows:
            row.shows = None  # a copy may stay in train; a validation row of these pixels is still a mistake
