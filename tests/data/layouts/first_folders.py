"""First tries with folders: folders around the classes, persons, public data sets, names that hold the label."""

import json

from tests.data.layouts.expectation import CODE_TABLES, refused, right, right_or_refused
from tests.data.layouts.first_tries import layout, listed
from tests.data.layouts.place import EVERY, RAFDB, WORDS, Place

MAYBE = {"person_may_be_unknown": True}
not_a_class = ("unknown class 'images'", "unknown class 'archive'", "unknown class 'DATASET'")


@layout("folder", right())
def class_folders_in_one_wrapping_folder(at: Place) -> None:
    """archive/train/happy: one folder around the splits."""
    for split in ("train", "test"):
        at.class_folders(f"archive/{split}/", split=split)


@layout("folder", right_or_refused("DATASET"))
def class_folders_in_two_wrapping_folders(at: Place) -> None:
    """DATASET/fer/happy and a README beside DATASET."""
    at.class_folders("DATASET/fer/")
    at.write("README.txt", "faces\n")


@layout("folder", right_or_refused("images", "labels|label_pattern|class", never=not_a_class))
def yolo(at: Place) -> None:
    """YOLO: images/train/1.png and labels/train/1.txt of a number and a box."""
    for path, label in at.faces("images/train/{n}.png", split="train"):
        text = f"{EVERY.index(label)} 0.5 0.5 1.0 1.0\n"
        at.write(path.replace("images", "labels").replace(".png", ".txt"), text)
    at.write("data.yaml", f"names: [{', '.join(WORDS[w] for w in EVERY)}]\ntrain: images/train\n")


@layout("folder", refused("images", "label_pattern|table|csv", never=not_a_class))
def pictures_without_any_label(at: Place) -> None:
    """images/1.png and nothing that says what they show."""
    listed(at)


@layout("folder", right_or_refused("P001|Strong", "label_pattern|class"))
def oulu(at: Place) -> None:
    """Oulu-CASIA: Strong/P001/Happiness/000.jpeg."""
    for number in range(1, 7):
        for label in EVERY:
            list(
                at.faces(
                    f"Strong/P{number:03d}/{label.capitalize()}/{{n}}.jpeg",
                    1,
                    [label],
                    person=f"P{number:03d}",
                    **MAYBE,
                )
            )


@layout("folder", refused("S001|session", "label_pattern|table|csv"))
def person_folders_without_labels(at: Place) -> None:
    """S001/session0/1.png: nothing says what the pictures show."""
    for n, person in enumerate(("S001", "S002", "S010", "S011")):
        list(at.faces(f"{person}/session{n}/{{n}}.png", 1))


@layout("text", right_or_refused("S001|_emotion|cohn-kanade"))
def ck_plus(at: Place) -> None:
    """CK+: cohn-kanade-images/S001/001/1.png, and Emotion/S001/001/1_emotion.txt of 5.0000000e+00."""
    codes = {"neutral": 0, "anger": 1, "disgust": 3, "fear": 4, "happiness": 5, "sadness": 6, "surprise": 7}
    for number in range(1, 7):
        for label, code in codes.items():
            stem = f"S{number:03d}/{code:03d}/S{number:03d}_{code:03d}_00000011"
            at.face(f"cohn-kanade-images/{stem}.png", label, person=f"S{number:03d}", **MAYBE)
            at.write(f"Emotion/{stem}_emotion.txt", f"   {code:.7e}\n")


@layout("folder", right_or_refused("train"))
def kaggle_train_in_train(at: Place) -> None:
    """Kaggle's train/train/happy and test/test/happy."""
    for split in ("train", "test"):
        at.class_folders(f"{split}/{split}/", split=split)


@layout("csv", refused(*CODE_TABLES))
def kaggle_rafdb(at: Place) -> None:
    """Kaggle's RAF-DB: DATASET/train/5/train_00001_aligned.jpg and train_labels.csv of numbers."""
    kaggle_rafdb_files(at)


@layout("csv", right_or_refused(r"train_labels\.csv|DATASET"), "--label_codes=rafdb")
def kaggle_rafdb_by_name(at: Place) -> None:
    """Kaggle's RAF-DB, whose codes are named."""
    kaggle_rafdb_files(at)


def kaggle_rafdb_files(at: Place) -> None:
    """Folders of codes under DATASET/train and DATASET/test, and the tables beside DATASET."""
    for split in ("train", "test"):
        rows = []
        for label, code in RAFDB.items():
            paths = at.faces(f"DATASET/{split}/{code}/{split}_{{n}}_aligned.jpg", 3, [label], split=split)
            rows += [(path.split("/")[-1], code) for path, _ in paths]
        at.table(f"{split}_labels.csv", "image,label", rows)


@layout("json", right_or_refused(r"annotations\.json"))
def coco(at: Place) -> None:
    """COCO: images/ and an annotations.json of images, annotations and categories."""
    rows = listed(at)
    names = list(WORDS.values())
    content = {
        "images": [{"id": n, "file_name": path} for n, (path, _) in enumerate(rows)],
        "annotations": [{"image_id": n, "category_id": names.index(word)} for n, (_, word) in enumerate(rows)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
    }
    at.write("annotations.json", json.dumps(content))


@layout("numpy", refused("npy", "csv|folder"))
def numpy_arrays(at: Place) -> None:
    """images.npy and labels.npy."""
    for name in ("images", "labels"):
        at.write(f"{name}.npy", b"\x93NUMPY" + bytes(200))


@layout("folder", right_or_refused("P001|person", "label_pattern|class"))
def person_folders_around_class_folders(at: Place) -> None:
    """P001/Happiness/1.png."""
    for person in ("P001", "P002", "P003", "P004", "P005", "P006"):
        for label in EVERY:
            list(at.faces(f"{person}/{label.capitalize()}/{{n}}.png", 1, [label], person=person, **MAYBE))


KDEF = {
    "fear": "AF",
    "anger": "AN",
    "disgust": "DI",
    "happiness": "HA",
    "neutral": "NE",
    "sadness": "SA",
    "surprise": "SU",
}
JAFFE = {
    "fear": "FE",
    "anger": "AN",
    "disgust": "DI",
    "happiness": "HA",
    "neutral": "NE",
    "sadness": "SA",
    "surprise": "SU",
}


def kdef_faces(at: Place) -> None:
    """AF01/AF01HAS.JPG: session A, sex F, person 01, expression, straight."""
    for number in range(1, 7):
        for label in EVERY:
            name = f"AF{number:02d}"
            at.face(f"{name}/{name}{KDEF[label]}S.JPG", label, person=name[1:])


@layout("pattern", refused("AF01", "label_pattern"))
def kdef(at: Place) -> None:
    """KDEF: the label is in the file's name."""
    kdef_faces(at)


@layout("pattern", right(), "--label_pattern=kdef")
def kdef_by_name(at: Place) -> None:
    """KDEF, whose pattern is known by name."""
    kdef_faces(at)


def jaffe_faces(at: Place) -> None:
    """KA.HA1.29.tiff: person, expression and its number, number."""
    for n, person in enumerate(("KA", "KL", "KM", "KR", "MK", "NA")):
        for label in EVERY:
            at.face(f"jaffe/{person}.{JAFFE[label]}1.{n}{EVERY.index(label)}.tiff", label, person=person)


@layout("pattern", right_or_refused("label_pattern", "jaffe"))
def jaffe(at: Place) -> None:
    """JAFFE: the label is in the file's name."""
    jaffe_faces(at)


@layout("pattern", right(), "--label_pattern=jaffe")
def jaffe_by_name(at: Place) -> None:
    """JAFFE, whose pattern is known by name."""
    jaffe_faces(at)


@layout("pattern", right(), "--label_pattern=rafd")
def rafd_by_name(at: Place) -> None:
    """RaFD: Rafd090_01_Caucasian_female_angry_frontal.jpg."""
    words = WORDS | {"disgust": "disgusted", "fear": "fearful", "surprise": "surprised"}
    for person in range(1, 7):
        for label in EVERY:
            name = f"Rafd090_{person:02d}_Caucasian_female_{words[label]}_frontal.jpg"
            at.face(name, label, person=f"{person:02d}")


@layout("pattern", refused("label_pattern", "label"), r"--label_pattern=^\d+_(?P<emotion>[a-z]+)")
def a_pattern_without_the_group_label(at: Place) -> None:
    """12_happy.png, and an expression that has no group `label`."""
    list(at.faces("{n}_{word}.png"))


@layout("pattern", right_or_refused("odd", prints=("odd|1",)), r"--label_pattern=^\d+_(?P<label>[a-z]+)")
def a_pattern_that_one_name_does_not_match(at: Place) -> None:
    """12_happy.png, and one odd.png: it is counted, or named."""
    list(at.faces("{n}_{word}.png"))
    at.face("odd.png", "happiness", fate="left out")
