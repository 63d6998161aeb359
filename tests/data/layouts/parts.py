"""Parts of a data set meet or are missing: archives of one name keep their folders, every numbered part is there."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable

from tests.data.layouts.archives import saved
from tests.data.layouts.expectation import Kind, refused, right
from tests.data.layouts.place import EVERY, WORDS, Place

layout = Kind("Parts of a data set meet or are missing")
TWO = ("train", "test")


def tar(at: Place, name: str, members: Iterable[tuple[str, bytes]]) -> None:
    """A tar file of `members`, name and content."""
    with tarfile.open(at.write(name, b""), "w") as archive:
        for member, content in members:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def web(
    at: Place, name: str, split: str | None = None, kind: str = "png", first: int = 0, labels: Iterable[str] = EVERY
) -> None:
    """A tar file of WebDataset, with the keys 000000 and so on."""
    members = []
    for n, label in enumerate((w for _ in range(4) for w in labels), first):
        picture = at.cell(label, name, "JPEG" if kind == "jpg" else "PNG", split=split)
        members += [(f"{n:06d}.{kind}", picture), (f"{n:06d}.cls", WORDS[label].encode())]
    tar(at, name, members)


def class_zip(at: Place, name: str, split: str | None = None) -> None:
    """A zip file of class folders, with the same file names in each."""
    with zipfile.ZipFile(at.write(name, b""), "w") as archive:
        for n in range(4):
            for label in EVERY:
                archive.writestr(f"{WORDS[label]}/{n}.png", at.cell(label, name, split=split))


@layout("webdataset", right(), quick=True)
def web_datasets_of_the_same_keys_in_split_folders(at: Place) -> None:
    """train/00000.tar and test/00000.tar, with the same keys, as img2dataset writes them."""
    for split in TWO:
        web(at, f"{split}/00000.tar", split)


@layout("webdataset", right())
def web_datasets_of_the_same_keys_and_other_classes(at: Place) -> None:
    """camA/00000.tar of png and camB/00000.tar of jpg, with the same keys for other classes."""
    web(at, "camA/00000.tar")
    web(at, "camB/00000.tar", kind="jpg", labels=EVERY[1:] + EVERY[:1])


@layout("archive", right())
def zips_of_class_folders_in_split_folders(at: Place) -> None:
    """train/faces.zip and test/faces.zip."""
    for split in TWO:
        class_zip(at, f"{split}/faces.zip", split)


@layout("archive", right())
def archives_of_a_table_in_split_folders(at: Place) -> None:
    """train/data.tar and test/data.tar, each with a labels.csv and its pictures of the same names."""
    for split in TWO:
        faces = [(f"im/{n}.png", label) for n, label in enumerate(w for _ in range(4) for w in EVERY)]
        table = "image,label\n" + "".join(f"{name},{WORDS[label]}\n" for name, label in faces)
        pictures = [(name, at.cell(label, name, split=split)) for name, label in faces]
        tar(at, f"{split}/data.tar", [*pictures, ("labels.csv", table.encode())])


@layout("archive", refused("rename one", r"faces\.tar", r"faces\.zip"))
def two_archives_of_one_name(at: Place) -> None:
    """faces.zip and faces.tar side by side: one would be unpacked over the other."""
    class_zip(at, "faces.zip")
    tar(at, "faces.tar", [(f"{WORDS[w]}/0.png", at.cell(w)) for w in EVERY])


@layout("archive", refused(r"faces\.tar", "happy/0.png", "twice"))
def an_archive_that_holds_a_name_twice(at: Place) -> str:
    """A tar file to which other pictures of the same names were appended."""
    tar(at, "faces.tar", [(f"{WORDS[w]}/0.png", at.cell(w)) for w in ("happiness", *EVERY)])
    return "faces.tar"


@layout("parquet", refused("missing", r"data/train-00001-of-00003\.parquet", "--data_path"))
def a_parquet_part_that_is_missing(at: Place) -> None:
    """data/train-00000-of-00003.parquet and 00002."""
    for part in (0, 2):
        rows = [{"image": at.cell(w), "label": WORDS[w]} for w in EVERY * 2]
        at.parquet(f"data/train-{part:05d}-of-00003.parquet", rows)


@layout("parquet", right())
def all_parquet_parts_with_a_hash_each(at: Place) -> None:
    """train-00000-of-00002-<hash>.parquet, as older versions of `datasets` wrote them."""
    for part, name in ((0, "0123456789abcdef"), (1, "fedcba9876543210")):
        rows = [{"image": at.cell(w), "label": WORDS[w]} for w in EVERY * 2]
        at.parquet(f"data/train-{part:05d}-of-00002-{name}.parquet", rows)


@layout("parquet", refused("missing", r"data/train-00001-of-00002\.parquet"))
def a_parquet_part_with_a_hash_that_is_missing(at: Place) -> None:
    """train-00000-of-00002-<hash>.parquet only."""
    rows = [{"image": at.cell(w), "label": WORDS[w]} for w in EVERY * 4]
    at.parquet("data/train-00000-of-00002-0123456789abcdef.parquet", rows)


@layout("webdataset", refused("missing", r"train-00001-of-00003\.tar"))
def a_web_dataset_part_that_is_missing(at: Place) -> None:
    """train-00000-of-00003.tar and 00002."""
    for part in (0, 2):
        web(at, f"train-{part:05d}-of-00003.tar", first=part * 100)


@layout("saved", refused("missing", r"data-00001-of-00002\.arrow"))
def a_part_of_save_to_disk_that_is_missing(at: Place) -> None:
    """A folder of save_to_disk without its second arrow file."""
    from datasets import Value

    saved(at, None, Value("string")).save_to_disk(at.root, num_shards=2)
    (at.root / "data-00001-of-00002.arrow").unlink()


@layout("csv", refused("missing", r"labels_2_of_2\.csv"))
def a_csv_part_that_is_missing(at: Place) -> None:
    """labels_1_of_2.csv: parts that count from 1."""
    at.table("labels_1_of_2.csv", "path,label", [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")])


@layout("folder", right())
def pictures_that_are_called_as_parts(at: Place) -> None:
    """happy/frame-1-of-9.png: pictures are not parts."""
    list(at.faces("{word}/frame-{n}-of-900.png"))
    at.write("notes.json", json.dumps({"made": "by hand"}))
