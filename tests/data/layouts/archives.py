"""First tries in one file: archives of class folders, and what other libraries save."""

import io
import json
import shutil
import tarfile
import zipfile

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from tests.data.layouts.expectation import refused, right, right_or_refused
from tests.data.layouts.first_tries import layout
from tests.data.layouts.place import EVERY, LEFT_OUT, WORDS, Place


def packed(at: Place, name: str, kind: str) -> str:
    """Everything below the folder as one archive there, and nothing else."""
    made = shutil.make_archive(str(at.base / "packed"), kind, at.root)
    shutil.rmtree(at.root)
    at.root.mkdir()
    shutil.move(made, at.root / name)
    return name


@layout("archive", right())
def zip_of_class_folders(at: Place) -> str:
    """data_path names faces.zip, which holds class folders."""
    at.class_folders()
    return packed(at, "faces.zip", "zip")


@layout("archive", right())
def tar_gz_of_splits_in_a_wrapping_folder(at: Place) -> str:
    """data_path names faces.tar.gz, which holds fer/train/happy."""
    at.class_folders("fer/train/", split="train")
    at.class_folders("fer/test/", split="test")
    return packed(at, "faces.tar.gz", "gztar")


@layout("archive", right_or_refused(r"faces\.zip"))
def a_folder_that_holds_a_zip(at: Place) -> None:
    """data_path names the folder that holds only faces.zip."""
    at.class_folders()
    packed(at, "faces.zip", "zip")


@layout("archive", right_or_refused(r"faces\.zip"))
def zip_of_a_csv_and_pictures(at: Place) -> str:
    """A zip file of data.csv and images/."""
    at.table("data.csv", "image,emotion", [(p, WORDS[w]) for p, w in at.faces("images/{n}.png")])
    return packed(at, "faces.zip", "zip")


@layout("archive", right_or_refused(r"\.\.|leads out|outside"))
def zip_that_leads_out(at: Place) -> str:
    """A zip file with a member ../../outside/evil.png: it is not written there."""
    at.class_folders()
    packed(at, "faces.zip", "zip")
    with zipfile.ZipFile(at.root / "faces.zip", "a") as archive:
        archive.writestr("../../outside/evil.png", at.cell("happiness", "evil", fate=LEFT_OUT, counted=False))
    at.others += 1
    return "faces.zip"


@layout("archive", refused(r"faces\.zip"))
def a_broken_zip(at: Place) -> str:
    """A zip file that was not downloaded to its end."""
    at.class_folders()
    packed(at, "faces.zip", "zip")
    whole = (at.root / "faces.zip").read_bytes()
    (at.root / "faces.zip").write_bytes(whole[: len(whole) // 2])
    return "faces.zip"


@layout("archive", right_or_refused("my_faces|archive|zip", prints=("zip",)))
def class_folders_beside_their_zip(at: Place) -> None:
    """Class folders beside the zip file they came in: no picture goes in twice."""
    at.class_folders()
    shutil.move(shutil.make_archive(str(at.base / "packed"), "zip", at.root), at.root / "faces.zip")
    at.others += 1


@layout("archive", right(prints=("zip",)))
def an_archive_in_a_class_folder(at: Place) -> None:
    """A zip file of pictures in happy/: it is counted."""
    at.class_folders()
    with zipfile.ZipFile(at.write("happy/more.zip", b""), "w") as archive:
        archive.writestr("a.txt", "x")


def saved(at: Place, split: str | None, label: object) -> Dataset:
    """Faces as `datasets` holds them."""
    words = [w for _ in range(4) for w in EVERY]
    cells = [{"bytes": at.cell(w, split=split), "path": None} for w in words]
    features = Features({"image": Image(), "label": label})
    codes = [list(WORDS).index(w) if isinstance(label, ClassLabel) else WORDS[w] for w in words]
    return Dataset.from_dict({"image": cells, "label": codes}, features=features)


@layout("saved", right())
def save_to_disk_of_splits(at: Place) -> None:
    """A DatasetDict of save_to_disk, with ClassLabel."""
    label = ClassLabel(names=[WORDS[w] for w in WORDS])
    DatasetDict({split: saved(at, split, label) for split in ("train", "test")}).save_to_disk(at.root)


@layout("saved", right())
def save_to_disk_of_one_table(at: Place) -> None:
    """One Dataset of save_to_disk, with names as text."""
    saved(at, None, Value("string")).save_to_disk(at.root)


def web_dataset(at: Place, name: str, suffix: str, split: str | None = None) -> None:
    """A tar file of key.png beside its label in key.cls or key.json."""
    with tarfile.open(at.write(name, b""), "w") as archive:
        for n, label in enumerate(w for _ in range(4) for w in EVERY):
            text = json.dumps({"label": WORDS[label]}) if suffix == "json" else WORDS[label]
            for end, content in (("png", at.cell(label, split=split)), (suffix, text.encode())):
                member = tarfile.TarInfo(f"{n:06d}.{end}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@layout("webdataset", right())
def web_dataset_of_names(at: Place) -> None:
    """WebDataset: faces-0.tar and faces-1.tar of key.png and key.cls, which holds a name."""
    web_dataset(at, "faces-0.tar", "cls")
    web_dataset(at, "faces-1.tar", "cls")


@layout("webdataset", right())
def web_dataset_of_json_in_splits(at: Place) -> None:
    """WebDataset: train-0.tar and test-0.tar of key.png and key.json."""
    web_dataset(at, "train-0.tar", "json", "train")
    web_dataset(at, "test-0.tar", "json", "test")


@layout("webdataset", refused("label_codes|class_map|number"))
def web_dataset_of_numbers(at: Place) -> None:
    """WebDataset whose key.cls holds a number, as is usual."""
    with tarfile.open(at.write("faces.tar", b""), "w") as archive:
        for n, label in enumerate(w for _ in range(4) for w in EVERY):
            for end, content in (("png", at.cell(label)), ("cls", str(n % 7).encode())):
                member = tarfile.TarInfo(f"{n:06d}.{end}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
