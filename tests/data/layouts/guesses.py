"""Another library's guess is taken for truth: which files are read is decided here, and what is left over is named."""

from typing import Any

from tests.data.layouts.expectation import Kind, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, MAY_BE_READ, WORDS, Place

layout = Kind("Another library's guess is taken for truth")


def shard(at: Place, name: str, each: int = 4, image: str = "image", label: str = "label", **truth: Any) -> None:
    """A parquet file of faces with their names."""
    labels = [name for _ in range(each) for name in EVERY]
    at.parquet(name, [{image: at.cell(word, name, **truth), label: WORDS[word]} for word in labels])


def embeddings(at: Place, name: str) -> None:
    """A parquet file without pictures."""
    at.parquet(name, [{"path": f"{n}.png", "embedding": [0.1 * n, 0.2]} for n in range(28)])


@layout("folder", right_or_refused(r"embeddings\.parquet", prints=("parquet",)))
def folders_beside_embeddings(at: Place) -> None:
    """Class folders, and an embeddings.parquet without pictures."""
    at.class_folders()
    embeddings(at, "embeddings.parquet")


@layout("folder", right_or_refused(r"embeddings\.parquet", prints=("parquet",)))
def folders_with_embeddings_deep_inside(at: Place) -> None:
    """Split folders, and an embeddings.parquet in a class folder."""
    at.class_folders("train/", split="train")
    at.class_folders("test/", split="test")
    embeddings(at, "train/happy/embeddings.parquet")


@layout("folder", right())
def folders_beside_a_hidden_parquet(at: Place) -> None:
    """Class folders, and a parquet file of other pictures in a hidden folder."""
    at.class_folders()
    shard(at, ".cache/faces.parquet", fate=LEFT_OUT, counted=False)


@layout("csv", right_or_refused(r"features\.parquet", prints=("parquet",)))
def csv_beside_features(at: Place) -> None:
    """A csv file with its pictures, and a features.parquet."""
    at.table("labels.csv", "path,label", at.faces("faces/{n}.png"))
    embeddings(at, "features.parquet")


@layout("csv", right_or_refused(r"sample\.parquet", prints=("parquet",)))
def csv_beside_a_sample_in_parquet(at: Place) -> None:
    """A csv file of 56 pictures, and a sample.parquet that holds 7 others."""
    at.table("labels.csv", "path,label", at.faces("faces/{n}.png", 8))
    shard(at, "sample.parquet", 1, fate=MAY_BE_READ, counted=False)


@layout("parquet", right_or_refused(r"faces-b\.parquet"))
def two_parquet_files(at: Place) -> None:
    """Two parquet files of names that say no split."""
    shard(at, "faces-a.parquet")
    shard(at, "faces-b.parquet")


@layout("parquet", right_or_refused(r"extra\.parquet"), quick=True)
def train_parquet_and_another(at: Place) -> None:
    """train.parquet, and an extra.parquet that no pattern knows."""
    shard(at, "train.parquet", split=None)
    shard(at, "extra.parquet")


@layout("parquet", right())
def parquet_shards_of_the_hub(at: Place) -> None:
    """Shards of train, and test, as the Hub names them."""
    for part in range(3):
        shard(at, f"data/train-{part:05d}-of-00003.parquet", split="train")
    shard(at, "data/test-00000-of-00001.parquet", split="test")


@layout("parquet", right())
def parquet_in_split_folders(at: Place) -> None:
    """A parquet file in train/ and one in test/, of one name."""
    shard(at, "train/0.parquet", split="train")
    shard(at, "test/0.parquet", split="test")


@layout("parquet", right_or_refused(r"other\.parquet|more\.parquet|face, emotion|emotion"))
def parquet_files_of_other_columns(at: Place) -> None:
    """Two parquet files whose columns have different names."""
    shard(at, "other.parquet")
    shard(at, "more.parquet", image="face", label="emotion")


@layout("parquet", right(prints=(r"not read: more\.parquet",)))
def parquet_beside_a_readme_that_names_one_file(at: Place) -> None:
    """Two parquet files, and a README.md whose configuration names one of them."""
    shard(at, "one.parquet")
    at.parquet("more.parquet", [{"image": at.cell(c, fate=LEFT_OUT, counted=False), "label": c} for c in EVERY])
    at.write("README.md", "---\nconfigs:\n- config_name: default\n  data_files: one.parquet\n---\n# Faces\n")


@layout("parquet", right_or_refused(r"small|full"))
def parquet_of_two_configurations(at: Place) -> None:
    """train.parquet in small/ and another in full/."""
    shard(at, "small/train.parquet")
    shard(at, "full/train.parquet", 8)


@layout("parquet", right_or_refused("parquet", "folder|happy", prints=("parquet",)))
def parquet_and_class_folders_of_pictures(at: Place) -> None:
    """A parquet file of pictures beside class folders of others: one of the two, and it says which."""
    shard(at, "faces.parquet", fate=MAY_BE_READ, counted=False)
    at.class_folders(fate=MAY_BE_READ)


@layout("parquet", right_or_refused(r"FACES\.PARQUET|b\.pq"))
def parquet_of_unusual_suffixes(at: Place) -> None:
    """FACES.PARQUET and b.pq."""
    shard(at, "FACES.PARQUET")
    shard(at, "b.pq")


@layout("folder", right_or_refused(r"metadata\.parquet"))
def pictures_with_a_metadata_parquet(at: Place) -> None:
    """Pictures, and a metadata.parquet with file_name and label."""
    at.parquet("metadata.parquet", [{"file_name": p, "label": WORDS[w]} for p, w in at.faces("images/{n}.png")])


@layout("folder", right_or_refused(r"script|faces\.py"))
def folders_beside_a_loading_script(at: Place) -> None:
    """Class folders beside a python file of the folder's name, and dataset_infos.json."""
    at.class_folders()
    at.write("my_faces.py", "raise SystemExit('never run')\n")
    at.write("dataset_infos.json", '{"default": {"splits": {"train": {"num_examples": 3}}}}')


@layout("parquet", right_or_refused("label"))
def parquet_parts_in_folders_of_labels(at: Place) -> None:
    """Hive partitions: faces.parquet/label=happy/part-0.parquet, whose label is in the folder's name only."""
    for label in EVERY:
        cells = [{"image": at.cell(label)} for _ in range(4)]
        at.parquet(f"faces.parquet/label={WORDS[label]}/part-0.parquet", cells)


@layout("parquet", right_or_refused("label", "list|class names|column"))
def parquet_of_lists_of_labels(at: Place) -> None:
    """A parquet file whose label is a list of one name."""
    labels = [label for _ in range(4) for label in EVERY]
    at.parquet("faces.parquet", [{"image": at.cell(label), "label": [WORDS[label]]} for label in labels])


@layout("folder", right_or_refused(r"embeddings\.parquet", prints=("parquet",)))
def splits_of_fer2013_beside_embeddings(at: Place) -> None:
    """Training/happy, PublicTest/happy and PrivateTest/happy beside an embeddings.parquet."""
    for name, split in (("Training", "train"), ("PublicTest", "validation"), ("PrivateTest", "test")):
        at.class_folders(f"{name}/", split=split)
    embeddings(at, "embeddings.parquet")
