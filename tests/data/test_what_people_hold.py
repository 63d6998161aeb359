"""What people hold in other layouts than ours goes in with every class, split and person right, or says why not."""

import io
import json
import os
import shlex
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from pipeline.data.readers import read_sources
from pipeline.data.readers.inventory import AGAIN, DEAD, JUNK_REASON, SPECIAL, inventory
from pipeline.errors import InputError
from pipeline.pictures import FORMATS
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.recipe import Recipe
from tests.data.test_sources import names, picture, save, save_parquet
from tests.test_pictures import HEIF

TEXT = Value("string")


def read(path, **settings):
    (reading,) = read_sources(Recipe(data_path=str(path), **settings))
    return reading


def rows(reading):
    """Split -> class -> rows."""
    return {split: dict(Counter(names(table))) for split, table in reading.tables.items()}


def left_out(reading):
    return {split: reasons for split, reasons in reading.sources[0].left_out.items() if reasons}


def refused(path, message, **settings):
    with pytest.raises(InputError, match=message) as error:
        read(path, **settings)
    assert "\n" not in str(error.value)


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def class_folders(root, count=2, classes=("angry", "happy", "sad")):
    for number, name in enumerate(classes):
        for index in range(count):
            save(root / name / f"{index}.png", 10 * number + index)
    return root


def listed(root, text, name="labels.csv", encoding="utf-8", folder="images"):
    """Three pictures in a folder and a table that means them."""
    for index in range(3):
        save(root / folder / f"{index}.png", index)
    return write(root / name, text, encoding)


def save_columns(folder, columns):
    """A parquet file with two pictures; save_parquet has a parameter `split` of its own."""
    features = Features({"image": Image()} | {name: kind for name, (_, kind) in columns.items()})
    data = {"image": [picture(0), picture(1)]} | {name: values for name, (values, _) in columns.items()}
    Dataset.from_dict(data, features=features).to_parquet(folder / "faces.parquet")


THREE = {"anger": 2, "happiness": 2, "sadness": 2}

# A number is not a name


def test_numbers_are_refused_with_the_code_tables_side_by_side(tmp_path):
    listed(tmp_path, "image,emotion\n0.png,0\n1.png,4\n2.png,6\n")
    message = (
        r"numbers 0, 4, 6, .*fer2013: 0 anger, .*rafdb: 1 surprise, .*affectnet: 0 neutral, .*ckplus: .*--label_codes"
    )
    refused(tmp_path, message)
    refused(tmp_path, message, class_map={"7": None})
    refused(tmp_path, "numbers 4, 6, ", class_map={"0": "fear"})
    assert rows(read(tmp_path, label_codes="fer2013")) == {"all": {"anger": 1, "sadness": 1, "neutral": 1}}
    assert read(tmp_path, label_codes="fer2013").sources[0].names["4 = sadness"] == {"sadness": 1}


@pytest.mark.parametrize("label", ["3", "03", "3.0", "+3", "9" * 5000, "-1", "٣"])
def test_a_number_in_any_spelling_is_a_number(tmp_path, label):
    listed(tmp_path, f"image,emotion\n0.png,{label}\n")
    refused(tmp_path, "labels of 1 picture are the numbers")


@pytest.mark.parametrize("kind", [Value("int64"), Value("float32"), ClassLabel(names=["0", "1", "2"])])
def test_numbers_in_parquet_are_numbers_too(tmp_path, kind):
    save_parquet(tmp_path, label=([0, 1, 2], kind))
    refused(tmp_path, "labels of 3 pictures are the numbers 0, 1, 2")


def test_a_column_of_names_is_read_instead_of_the_numbers_beside_it(tmp_path):
    listed(tmp_path, "image,emotion,emotion_name\n0.png,0,angry\n1.png,4,sad\n2.png,6,neutral\n")
    reading = read(tmp_path)
    assert rows(reading) == {"all": {"anger": 1, "sadness": 1, "neutral": 1}}
    assert "labels are the names in emotion_name, not the numbers in emotion" in reading.sources[0].layout
    save_parquet(tmp_path / "parquet", label=([0, 1], Value("int64")), emotion=(["happy", "sad"], TEXT))
    assert rows(read(tmp_path / "parquet")) == {"train": {"happiness": 1, "sadness": 1}}


def test_numbers_and_names_that_disagree_are_refused(tmp_path):
    listed(tmp_path, "image,emotion,label\n0.png,0,angry\n1.png,0,sad\n2.png,6,neutral\n")
    refused(tmp_path, "emotion 0 stands beside 'angry' and 'sad' in label.*--label_column")
    refused(listed(tmp_path / "b", "image,emotion,label\n0.png,happy,sad\n"), "emotion and label may both be the label")


# Parquet files are named, never guessed


def test_a_parquet_file_without_pictures_takes_nothing_away(tmp_path):
    class_folders(tmp_path)
    pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / "embeddings.parquet")
    assert rows(read(tmp_path)) == {"all": THREE}
    assert left_out(read(tmp_path)) == {"all": {"not read: embeddings.parquet": 1}}


def test_files_that_may_hold_data_are_named_where_they_are_not_read(tmp_path):
    class_folders(tmp_path)
    write(tmp_path / "happy" / "a.csv", "epoch,loss\n1,2\n")
    write(tmp_path / "b.jsonl", '{"role": "user"}\n')
    write(tmp_path / "c.xyz", "x")
    zipfile.ZipFile(tmp_path / "sad" / "more.zip", "w").writestr("x", "y")
    zipfile.ZipFile(tmp_path / "more.zip", "w").writestr("x", "y")
    pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / "z.parquet")
    expected = {"not read: z.parquet, more.zip, sad/more.zip, b.jsonl, happy/a.csv": 5, "not a picture file: c.xyz": 1}
    assert left_out(read(tmp_path)) == {"all": expected}


def test_a_parquet_file_without_rows_is_named_and_makes_no_split(tmp_path):
    save_parquet(tmp_path, "train", label=(["happy", "sad"], TEXT))
    (path,) = tmp_path.glob("*.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), tmp_path / "validation.parquet")
    reading = read(tmp_path)
    assert list(reading.tables) == ["train"]
    assert left_out(reading)["all"] == {"not read: validation.parquet": 1}
    refused(tmp_path / "validation.parquet", "holds no rows in any parquet file")


def test_all_parquet_files_of_a_folder_are_read_or_refused(tmp_path):
    for number, name in enumerate(("one", "two")):
        save_parquet(tmp_path / "both", name, label=(["sad", "happy"][number:], TEXT))
    assert rows(read(tmp_path / "both")) == {"all": {"sadness": 1, "happiness": 2}}
    save_parquet(tmp_path / "both", "three", emotion=(["sad"], TEXT))
    refused(
        tmp_path / "both", r"has the columns image, label?.*move one away|has the columns emotion, image.*move one away"
    )


def test_a_path_in_a_parquet_cell_is_opened_only_inside_the_data(tmp_path):
    private = save(tmp_path / "private.png")
    save(tmp_path / "data" / "in.png", 1)
    cells = [
        {"bytes": None, "path": str(private)},
        {"bytes": None, "path": "../private.png"},
        {"bytes": None, "path": "in.png"},
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind), "label": ["sad", "fear", "happy"]})
    pq.write_table(table, tmp_path / "data" / "a.parquet")
    reading = read(tmp_path / "data")
    assert rows(reading) == {"all": {"happiness": 1}}
    assert left_out(reading)["all"]["picture that is only a path, outside of the data"] == 2
    assert str(private) not in str(reading.tables["all"].data.column("image").to_pylist()), "nothing can open it later"


# The data's own splits


@pytest.mark.parametrize("column", ["Usage", "set", "subset", "partition", "split", "fold"])
def test_a_column_of_splits_is_used_under_any_usual_name(tmp_path, column):
    listed(tmp_path, f"image,emotion,{column}\n0.png,sad,Training\n1.png,happy,val\n2.png,fear,test\n")
    assert rows(read(tmp_path)) == {"train": {"sadness": 1}, "validation": {"happiness": 1}, "test": {"fear": 1}}


def test_cells_that_are_no_splits_are_refused_and_numbered_folds_are_named(tmp_path):
    refused(
        listed(tmp_path, "image,label,set\n0.png,sad,A\n"),
        "line 2: unknown split 'A' in the column set.*--split_column none",
    )
    listed(tmp_path, "image,label,fold\n0.png,sad,1\n1.png,happy,2\n")
    assert read(tmp_path).sources[0].columns_not_read == ("fold",)


def test_a_row_without_a_split_is_counted_once(tmp_path):
    listed(tmp_path, "path,label,split\n0.png,happy,train\n1.png,sad,test\n2.png,sad,\n")
    reading = read(tmp_path)
    assert rows(reading) == {"train": {"happiness": 1}, "test": {"sadness": 1}}
    assert left_out(reading) == {"all": {"no split": 1}}


def test_a_row_without_a_split_is_listed_although_its_picture_lies_in_a_class_folder(tmp_path):
    class_folders(tmp_path, 1)
    write(
        tmp_path / "labels.csv", "path,label,split\nangry/0.png,angry,train\nhappy/0.png,happy,test\nsad/0.png,sad,\n"
    )
    assert left_out(read(tmp_path)) == {"all": {"no split": 1}}


def test_a_column_of_splits_in_parquet_is_used(tmp_path):
    columns = {
        "label": (["sad", "happy"], TEXT),
        "split": (["train", "test"], TEXT),
        "subject_id": ([1, 2], Value("int64")),
    }
    save_columns(tmp_path, columns)
    reading = read(tmp_path)
    assert rows(reading) == {"train": {"sadness": 1}, "test": {"happiness": 1}}
    assert reading.tables["test"]["person"][:] == ["2"]


def test_splits_and_persons_beside_votes_are_used(tmp_path):
    votes = [[1, 9, *[0] * 8], [9, 1, *[0] * 8]]
    columns = {
        "votes": (votes, List(Value("int8"))),
        "split": (["train", "test"], TEXT),
        "person": (["ann", "ben"], TEXT),
    }
    save_columns(tmp_path, columns)
    reading = read(tmp_path)
    assert rows(reading) == {"train": {"happiness": 1}, "test": {"neutral": 1}}
    assert reading.tables["test"]["person"][:] == ["ben"]


def test_votes_of_a_picture_that_is_only_a_path_outside_are_left_out_and_counted(tmp_path):
    save(tmp_path / "private.png")
    outside = {"bytes": None, "path": "../private.png"}
    cells = [{"bytes": (tmp_path / "private.png").read_bytes(), "path": None}, outside]
    votes = [[1, 9, *[0] * 8], [9, 1, *[0] * 8]]
    for name, splits in (("one", ["train", "train"]), ("two", ["train", "test"])):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"image": cells, "votes": votes, "split": splits}), tmp_path / name / "faces.parquet")
        reading = read(tmp_path / name)
        assert {split: counts for split, counts in rows(reading).items() if counts} == {"train": {"happiness": 1}}
        assert left_out(reading) == {splits[1]: {"picture that is only a path, outside of the data": 1}}


def test_split_folders_inside_class_folders_are_splits(tmp_path):
    for split in ("train", "test"):
        for name in ("happy", "sad"):
            save(tmp_path / name / split / "a.png")
    assert rows(read(tmp_path)) == {split: {"happiness": 1, "sadness": 1} for split in ("train", "test")}
    save(tmp_path / "happy" / "b.png")
    refused(tmp_path, "happy/b.png lies in no folder of a split")


@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_files_named_after_splits_are_the_splits(tmp_path, suffix):
    class_folders(tmp_path)
    for index, split in enumerate(("train", "test")):
        lines = [f"{folder}/{index}.png" for folder in ("angry", "happy", "sad")]
        text = "\n".join(
            ["file,label", *(f"{line},{line.split('/')[0]}" for line in lines)] if suffix == "csv" else lines
        )
        write(tmp_path / f"{split}.{suffix}", text)
    assert rows(read(tmp_path)) == {split: dict.fromkeys(THREE, 1) for split in ("train", "test")}


def test_tables_of_splits_and_persons_beside_class_folders_are_used_together(tmp_path):
    class_folders(tmp_path)
    files = [f"{folder}/{index}.png" for folder in ("angry", "happy", "sad") for index in (0, 1)]
    write(tmp_path / "split.csv", "\n".join(["file,split", *(f"{f},{'train' if '0' in f else 'test'}" for f in files)]))
    write(tmp_path / "persons.csv", "\n".join(["file,person_id", *(f"{f},p{i}" for i, f in enumerate(files))]))
    write(tmp_path / "notes.csv", "a,b\n1,2\n")
    reading = read(tmp_path)
    assert rows(reading) == {split: dict.fromkeys(THREE, 1) for split in ("train", "test")}
    assert reading.tables["test"]["person"][:] == ["p1", "p3", "p5"]
    assert left_out(reading) == {"all": {"not read: notes.csv": 1}}


# Persons


@pytest.mark.parametrize("column", ["person_id", "subject", "identity", "Subject ID", "actor", "participant"])
def test_persons_are_read_under_any_usual_name(tmp_path, column):
    listed(tmp_path, f"image,label,{column}\n0.png,sad,ann\n1.png,happy,\n")
    assert read(tmp_path).tables["all"]["person"][:] == ["ann", None]
    save_parquet(tmp_path / "p", label=(["sad"], TEXT), **{column: (["ann"], TEXT)})
    assert read(tmp_path / "p").tables["train"]["person"][:] == ["ann"]


def test_two_columns_of_persons_are_named(tmp_path):
    path = listed(tmp_path, "image,label,identity,subject\n0.png,sad,a,b\n")
    refused(path, "identity and subject may both be the person; name one with --person_column")


# Tables beside folders


def test_a_table_that_disagrees_with_class_folders_is_refused(tmp_path):
    class_folders(tmp_path)
    entries = [{"file_name": f"{name}/{i}.png", "label": "fear"} for name in ("angry", "happy", "sad") for i in (0, 1)]
    write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, entries)))
    refused(tmp_path, "angry/0.png is fear here, and lies in a folder of anger: choose with --source csv or")
    assert rows(read(tmp_path, source="csv")) == {"all": {"fear": 6}}
    assert rows(read(tmp_path, source="folder")) == {"all": THREE}


def test_a_stray_table_of_a_few_pictures_does_not_become_the_data(tmp_path):
    class_folders(tmp_path)
    write(tmp_path / "some.csv", "path,label\nangry/0.png,angry\n")
    refused(
        tmp_path, "1 pictures have a label here, and 5 more lie in class folders, the first angry/1.png: choose with"
    )


def test_metadata_files_in_split_folders_are_read_together(tmp_path):
    for split in ("train", "test"):
        for index in range(2):
            save(tmp_path / split / f"{index}.png", index)
        write(tmp_path / split / "metadata.csv", "file_name,label\n0.png,sad\n1.png,happy\n")
    reading = read(tmp_path)
    assert rows(reading) == {split: {"sadness": 1, "happiness": 1} for split in ("train", "test")}
    assert reading.tables["train"]["key"][:] == ["train/0.png", "train/1.png"]


# Every file is counted


def test_pictures_are_known_by_content_and_everything_else_is_counted(tmp_path):
    formats = {
        "a.avif": "AVIF",
        "b.jp2": "JPEG2000",
        "c.jfif": "JPEG",
        "d.jpe": "JPEG",
        "e": "PNG",
        "f.dat": "PPM",
        "g.webp": "WEBP",
    }
    (tmp_path / "happy").mkdir()
    for index, (name, kind) in enumerate(formats.items()):
        picture(index).save(tmp_path / "happy" / name, kind)
    write(tmp_path / "happy" / "x.svg", "<svg/>")
    picture().save(tmp_path / "happy" / "x.pdf")
    reading = read(tmp_path)
    assert rows(reading) == {"all": {"happiness": len(formats)}}
    assert left_out(reading) == {"all": {"not a picture file: happy/x.pdf, happy/x.svg": 2}}
    assert all(row["image"].size == (48, 48) for row in reading.tables["all"])


@pytest.mark.skipif("HEIF" in FORMATS, reason="pillow-heif is installed")
def test_heif_without_its_decoder_is_counted_with_what_to_install(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "sad" / "phone.heic").write_bytes(HEIF)
    assert left_out(read(tmp_path)) == {"all": {"HEIF, which needs another package: pip install pillow-heif": 1}}


@pytest.mark.skipif("HEIF" not in FORMATS, reason="needs pillow-heif")
def test_heif_with_its_decoder_is_read_by_content(tmp_path):
    class_folders(tmp_path)
    for name in ("phone.heic", "phone.jpg", "phone"):
        PILImage.new("RGB", (8, 8), "red").save(tmp_path / "sad" / name, "HEIF")
    reading = read(tmp_path)
    assert rows(reading) == {"all": {"anger": 2, "happiness": 2, "sadness": 5}}
    assert left_out(reading) == {}


def test_avif_that_starts_as_heif_is_avif(tmp_path):
    class_folders(tmp_path)
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), "red").save(file, "AVIF")
    (tmp_path / "sad" / "a.avif").write_bytes(file.getvalue().replace(b"ftypavif", b"ftypmif1", 1))
    assert rows(read(tmp_path))["all"]["sadness"] == 3


def test_links_are_followed_once_and_dead_ones_counted(tmp_path):
    class_folders(tmp_path / "faces")
    save(tmp_path / "else" / "z.png", 99)
    (tmp_path / "faces" / "happy" / "link").symlink_to(tmp_path / "faces" / "sad")
    (tmp_path / "faces" / "angry" / "more").symlink_to(tmp_path / "else")
    (tmp_path / "faces" / "angry" / "dead.png").symlink_to(tmp_path / "nowhere")
    reading = read(tmp_path / "faces")
    assert rows(reading) == {"all": THREE | {"anger": 3}}
    assert left_out(reading) == {"all": {f"{DEAD}: angry/dead.png": 1, f"{AGAIN}: happy/link": 1}}
    assert "1 links lead out of the folder" in reading.sources[0].layout


def test_junk_is_never_read_and_counted(tmp_path):
    class_folders(tmp_path)
    for place in (".ipynb_checkpoints", "@eaDir", "happy/.thumbnails", "happy/@eaDir", "sad/__MACOSX"):
        save(tmp_path / place / "0.png")
    write(tmp_path / "happy" / "Thumbs.db", "x")
    write(tmp_path / "happy" / "._0.png", "x")
    assert rows(read(tmp_path)) == {"all": THREE}
    first = ".ipynb_checkpoints, @eaDir, happy/._0.png, happy/.thumbnails, happy/@eaDir and more"
    assert left_out(read(tmp_path)) == {"all": {f"{JUNK_REASON}: {first}": 7}}


def test_a_pipe_is_never_opened(tmp_path):
    class_folders(tmp_path)
    os.mkfifo(tmp_path / "list.csv")
    os.mkfifo(tmp_path / "happy" / "a.png")
    assert left_out(read(tmp_path)) == {"all": {f"{SPECIAL}: happy/a.png, list.csv": 2}}


def test_names_that_are_not_utf_8_are_read_and_printable(tmp_path):
    class_folders(tmp_path)
    for number, name in enumerate((b"happy/caf\xe9.png", b"happy/d\xe9/x.png")):
        save(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), 50 + number)
    table = read(tmp_path).tables["all"]
    assert {r"happy/caf\xe9.png", r"happy/d\xe9/x.png"} < set(table["key"])
    assert all(row["image"].size == (48, 48) for row in table)


def test_two_hundred_files_are_looked_at_once(tmp_path):
    class_folders(tmp_path)
    inventory.cache_clear()
    read(tmp_path)
    assert inventory.cache_info().misses <= 2, "recognition and reading share one walk"


# Other layouts


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("a.csv", "image,emotion\n0.png,sad\n1.png,happy\n2.png,fear\n", "utf-8-sig"),
        ("a.csv", "file;label\n0.png;sad\n1.png;happy\n2.png;fear\n", "utf-8"),
        ("a.csv", "filename\texpression\n0.png\tsad\n1.png\thappy\n2.png\tfear\n", "utf-16"),
        ("a.csv", "0.png,sad\n1.png,happy\n2.png,fear\n", "utf-8"),
        ("a.txt", "0.png sad\n1.png happy\n2.png fear\n", "utf-8"),
        ("a.csv", "id,class\n0,sad\n1,happy\n2,fear\n", "utf-8"),
        ("a.tsv", "Image Name\tlabel\nimages\\0.png\tsad\nimages\\1.png\thappy\nimages\\2.png\tfear\n", "utf-16-le"),
        (
            "a.jsonl",
            '{"image": "0.png", "y": "sad"}\n{"image": "1.png", "y": "happy"}\n{"image": "2.png", "y": "fear"}',
            "utf-8",
        ),
        (
            "a.json",
            '[{"img": "0.png", "class": "sad"}, {"img": "1.png", "class": "happy"}, {"img": "2.png", "class": "fear"}]',
            "utf-8",
        ),
        ("a.json", '{"0.png": "sad", "1.png": "happy", "2.png": "fear"}', "utf-8"),
    ],
)
def test_a_table_in_any_plain_form_is_read(tmp_path, name, text, encoding):
    listed(tmp_path, text, name, encoding)
    assert rows(read(tmp_path)) == {"all": {"sadness": 1, "happiness": 1, "fear": 1}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,emotion,person\n0.png,happy,Jos\xe9\n1.png,sad,Jos\xe9\n"),
        ("labels.tsv", "path\temotion\tperson\n0.png\thappy\tJos\xe9\n1.png\tsad\tJos\xe9\n"),
        ("metadata.csv", "file_name,label,person\nimages/0.png,happy,Jos\xe9\nimages/1.png,sad,Jos\xe9\n"),
        (
            "labels.jsonl",
            '{"file": "0.png", "label": "happy", "person": "Jos\xe9"}\n{"file": "1.png", "label": "sad"}\n',
        ),
        (
            "labels.json",
            '[{"file": "0.png", "label": "happy", "person": "Jos\xe9"}, {"file": "1.png", "label": "sad"}]',
        ),
    ],
)
def test_a_table_in_another_encoding_is_refused_by_line_and_read_with_csv_encoding(tmp_path, name, text):
    listed(tmp_path, text, name, "cp1252")
    line = 1 + text[: text.index("\xe9")].count("\n")
    refused(tmp_path, rf"{name} line {line}: the byte 0xe9 is not UTF-8; save it as UTF-8, or set --csv_encoding")
    reading = read(tmp_path, csv_encoding="cp1252")
    assert rows(reading) == {"all": {"happiness": 1, "sadness": 1}}
    assert reading.tables["all"]["person"][0] == "José"


def test_a_byte_order_mark_is_believed_before_csv_encoding(tmp_path):
    listed(tmp_path, "path,emotion\n0.png,happy\n1.png,sad\n", encoding="utf-8-sig")
    assert rows(read(tmp_path, csv_encoding="cp1252")) == {"all": {"happiness": 1, "sadness": 1}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("persons.csv", "path,person\nhappy/0.png,Jos\xe9\nsad/0.png,ann\n", "persons.csv line 2: the byte 0xe9"),
        ("split.csv", "path,split\nhappy/0.png,train\nsad/0.png,test,x\n", "split.csv line 3: 3 fields where"),
        (
            "persons.jsonl",
            '{"file": "happy/0.png", "person": "a"}\n{"file": "sad/0.png"',
            "persons.jsonl line 2 is not",
        ),
    ],
)
def test_a_damaged_table_beside_class_folders_is_refused_and_prose_is_not(tmp_path, name, content, message):
    write(class_folders(tmp_path) / name, content, "cp1252")
    refused(tmp_path, message)
    (tmp_path / name).unlink()
    write(
        tmp_path / "notes.txt",
        "Made by hand.\nLook at happy/0.png first,\nthen at the others, in any order.\nJos\xe9",
        "cp1252",
    )
    assert left_out(read(tmp_path)) == {"all": {"not read: notes.txt": 1}}


@pytest.mark.parametrize("wrap", ["archive", "DATASET", "archive/fer"])
@pytest.mark.parametrize("split", ["", "train"])
def test_folders_that_only_wrap_the_data_are_passed(tmp_path, wrap, split):
    class_folders(tmp_path / wrap / split)
    write(tmp_path / "README.md", "x")
    reading = read(tmp_path)
    assert list(rows(reading).values()) == [THREE]
    assert left_out(reading) == {"all": {"file beside the data: README.md": 1}}


def zipped(root):
    class_folders(root / "in" / "faces")
    with zipfile.ZipFile(root / "faces.zip", "w") as file:
        for path in (root / "in").rglob("*.png"):
            file.write(path, path.relative_to(root / "in"))
    return root / "faces.zip"


def test_zip_and_tar_of_class_folders_are_read(tmp_path):
    path = zipped(tmp_path)
    assert rows(read(path)) == {"all": THREE}
    with tarfile.open(tmp_path / "faces.tar.gz", "w:gz") as file:
        file.add(tmp_path / "in", ".")
    assert rows(read(tmp_path / "faces.tar.gz")) == {"all": THREE}


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png"])
def test_an_archive_whose_paths_lead_out_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(name, "x")
    refused(tmp_path / "x.zip", "holds the path .*, which leads out of it")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        link = tarfile.TarInfo("happy/a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    refused(tmp_path / "x.tar", "holds the link or device 'happy/a.png'")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("happy/a.png", b"\0" * 30_000_000)
    refused(tmp_path / "x.zip", "unpacks to too many files or bytes")


def test_webdataset_shards_are_read_with_their_splits(tmp_path):
    for split in ("train", "test"):
        with tarfile.open(tmp_path / f"{split}-0000.tar", "w") as file:
            for index, label in enumerate(("sad", "happy")):
                jpeg = io.BytesIO()
                picture(index).save(jpeg, "JPEG")
                for suffix, content in ((".jpg", jpeg.getvalue()), (".cls", label.encode())):
                    member = tarfile.TarInfo(f"{index:06d}{suffix}")
                    member.size = len(content)
                    file.addfile(member, io.BytesIO(content))
    assert rows(read(tmp_path)) == {split: {"sadness": 1, "happiness": 1} for split in ("train", "test")}


def test_a_folder_of_save_to_disk_is_read(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=["sad", "happy"])})
    table = Dataset.from_dict({"image": [picture(0), picture(1)], "label": [0, 1]}, features=features)
    DatasetDict({"train": table, "test": table}).save_to_disk(str(tmp_path / "saved"))
    assert rows(read(tmp_path / "saved")) == {split: {"sadness": 1, "happiness": 1} for split in ("train", "test")}


def test_columns_of_shares_are_targets(tmp_path):
    header = "image,angry,disgust,fear,happy,neutral,sad,surprise"
    listed(tmp_path, f"{header}\n0.png,.1,0,0,.9,0,0,0\n1.png,0,0,0,0,4,6,0\n2.png,5,0,0,5,0,0,0\n")
    reading = read(tmp_path)
    assert rows(reading) == {"all": {"happiness": 1, "sadness": 1}}
    assert left_out(reading) == {"all": {"tie": 1}}
    assert reading.tables["all"]["target"][1] == pytest.approx([0, 0, 0, 0, 0.4, 0.6, 0])


@pytest.mark.parametrize(
    ("pattern", "files", "person"),
    [
        ("jaffe", {"KA.AN1.39.tiff": "anger", "KM.FE2.5.tiff": "fear"}, ["KA", "KM"]),
        ("kdef", {"AF01/AF01AFS.JPG": "fear", "AM02/AM02HAHL.JPG": "happiness"}, ["F01", "M02"]),
        (
            "rafd",
            {
                "Rafd090_01_Caucasian_female_angry_frontal.jpg": "anger",
                "Rafd45_02_Moroccan_male_sad_left.jpg": "sadness",
            },
            ["01", "02"],
        ),
        (
            "ckplus",
            {"anger/S010_004_00000017.png": "anger", "happy/S011_006_00000011.png": "happiness"},
            ["S010", "S011"],
        ),
    ],
)
def test_known_patterns_read_label_and_person_from_names(tmp_path, pattern, files, person):
    for index, name in enumerate(files):
        save(tmp_path / name, index)
    reading = read(tmp_path, label_pattern=pattern)
    table = reading.tables["all"]
    assert dict(zip(table["key"], names(table), strict=True)) == files
    assert sorted(table["person"]) == person


def test_a_pattern_without_its_group_or_without_a_picture_is_refused(tmp_path):
    save(tmp_path / "a.png")
    refused(tmp_path, "label_pattern .* has no group label: give jaffe, kdef", label_pattern="[a-z]+")
    refused(tmp_path, "label_pattern .* is not a regular expression", label_pattern="(?P<label>")
    refused(tmp_path, "fits none of 1 pictures, the first a.png", label_pattern="kdef")


# What is not read is named, with the option that reads it


def test_folders_of_persons_are_told_the_pattern_that_reads_them(tmp_path):
    for person in ("S001", "S002"):
        class_folders(tmp_path / person, 1)
    pattern = "^(?P<person>[^/]+)/(?P<label>[^/]+)/"
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert f"set --label_pattern '{pattern}'" in str(error.value)
    assert set(read(tmp_path, label_pattern=pattern).tables["all"]["person"]) == {"S001", "S002"}


def test_names_of_known_data_sets_are_told_their_pattern(tmp_path):
    for code in ("AN", "HA", "SA"):
        save(tmp_path / "AF01" / f"AF01{code}S.JPG")
        save(tmp_path / "AM02" / f"AM02{code}S.JPG")
    refused(tmp_path, "'AF01' 3, 'AM02' 3.*set --label_pattern kdef")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "labels.csv",
            "song,mood\nx,sad\n",
            r"labels.csv \(columns: song, mood\): name the columns with --image_column",
        ),
        (
            "labels.csv",
            "image,label\n0.png,s\xe9d\n".encode("latin-1"),
            "labels.csv line 2: the byte 0xe9 is not UTF-8",
        ),
        (
            "coco.json",
            '{"images": [], "annotations": []}',
            "coco.json holds a mapping with the keys images, annotations",
        ),
        ("labels.xlsx", b"PK\3\4", "labels.xlsx is a table in a form that is not read: save it as csv"),
    ],
)
def test_a_folder_of_images_names_the_table_beside_it(tmp_path, name, content, message):
    save(tmp_path / "images" / "0.png")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(tmp_path, message)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert "neutral" not in str(error.value), "no class is proposed for `images`"


def test_pictures_that_are_addresses_are_named_with_their_line(tmp_path):
    write(tmp_path / "data.csv", "image,label\nhttp://127.0.0.1:9/0.png,happy\n")
    refused(tmp_path, "addresses of the network, the first 'http://127.0.0.1:9/0.png' on line 2, which are not fetched")


def test_votes_without_fer2013_are_named_with_what_is_missing(tmp_path):
    save(tmp_path / "images" / "fer0000000.png")
    votes = write(tmp_path / "fer2013new.csv", "Usage,Image name,neutral,happiness\nTraining,fer0000000.png,9,1\n")
    for path in (tmp_path, votes):
        refused(path, "fer2013new.csv holds the votes for the rows of fer2013.csv, which is not beside it: put")


@pytest.mark.parametrize("wrap", ["", "CK+/"])
def test_ckplus_reads_the_frames_that_its_owners_label(tmp_path, wrap):
    for sequence, code in (("001", "5"), ("002", "2"), ("003", None), ("004", "6")):
        for frame in (1, 2, 11):
            stem = f"S005/{sequence}/S005_{sequence}_{frame:08d}"
            save(tmp_path / f"{wrap}cohn-kanade-images/{stem}.png", frame + 20 * int(sequence))
        if code:
            write(tmp_path / f"{wrap}Emotion/{stem}_emotion.txt", f"   {float(code):.7e}\n")
    reading = read(tmp_path)
    assert reading.sources[0].id == "ckplus"
    assert rows(reading) == {"all": {"happiness": 1, "sadness": 1}}
    assert reading.tables["all"]["person"][:] == ["S005", "S005"]
    first = "first frame of a sequence (--class_map '{first frame: neutral}' reads these)"
    assert left_out(reading) == {"all": {"contempt": 1, first: 4, "frame without a label in Emotion/": 5}}
    assert list(reading.sources[0].names) == ["5 = happiness", "2 = contempt", "6 = sadness"]
    neutral = read(tmp_path, class_map={"first frame": "neutral"})
    assert rows(neutral) == {"all": {"happiness": 1, "sadness": 1, "neutral": 4}}
    assert left_out(neutral) == {"all": {"contempt": 1, "frame without a label in Emotion/": 5}}


def test_a_wrong_label_of_ckplus_is_refused_by_its_file(tmp_path):
    save(tmp_path / "images" / "S005" / "001" / "S005_001_00000011.png")
    label = tmp_path / "Emotion" / "S005" / "001" / "S005_001_00000011_emotion.txt"
    for text in ("", "8.0", "nan", "happy", "1.5"):
        write(label, text)
        refused(tmp_path, rf"S005_001_00000011_emotion.txt holds '{text}'; expected a code from 0 to 7")
    write(label.with_name("S005_001_00000012_emotion.txt"), "3")
    refused(tmp_path, "S005_001_00000012_emotion.txt has no picture S005/001/S005_001_00000012.png: put")


def test_frames_of_ckplus_without_their_labels_are_named(tmp_path):
    for index, person in enumerate(("S005", "S010")):
        save(tmp_path / person / "001" / f"{person}_001_{index:08d}.png", index)
    refused(tmp_path, "these seem to be frames of CK.*, whose labels are missing: give the folder that holds Emotion/")


def test_yolo_is_recognised_and_refused(tmp_path):
    for index in range(3):
        save(tmp_path / "images" / "train" / f"{index}.png", index)
        write(tmp_path / "labels" / "train" / f"{index}.txt", "3 0.5 0.5 0.2 0.2\n")
    refused(tmp_path, "as YOLO writes boxes, which are not read: give a csv file")


def test_two_tables_of_no_split_are_named(tmp_path):
    listed(tmp_path, "file,label\n0.png,sad\n", "a.csv")
    listed(tmp_path, "file,label\n1.png,sad\n", "b.csv")
    refused(tmp_path, r"2 tables of labels, .*a.csv \(columns: file, label\); b.csv .*name one with --data_path")


# Own classes


def test_own_classes_are_proposed_with_the_line_that_trains_them(tmp_path):
    class_folders(tmp_path, 3, ("smiling", "not_smiling"))
    refused(tmp_path, r"'not_smiling' 3, 'smiling' 3\): .*train them with --classes '\[not_smiling, smiling\]'")
    assert rows(read(tmp_path, classes=["not_smiling", "smiling"])) == {"all": {"not_smiling": 3, "smiling": 3}}


@pytest.mark.parametrize(
    "classes",
    [
        ("yes", "no"),
        ("on", "off", "true", "~x"),
        ("open, wide", "tired: eyes", "bored #2"),
        ("it's", 'say "hi"', "back\\slash", "[a]", "{b}", "&c", "- d", "0x1F"),
        ("高兴", "悲伤"),
        ("open", "shut", "Shut"),
        ("calm, open", "tired", "bored"),
    ],
)
def test_the_line_that_proposes_own_classes_reads_back_as_they_are(tmp_path, classes):
    table = "".join(json.dumps({"file_name": f"{i}.png", "label": name}) + "\n" for i, name in enumerate(classes))
    for index in range(len(classes)):
        save(tmp_path / f"{index}.png", index)
    write(tmp_path / "labels.jsonl", table)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    typed = shlex.split(str(error.value).partition("train them with ")[2])
    recipe = parse_command_line(["own_faces", *typed]).recipe
    assert sorted(name.casefold() for name in recipe.classes) == sorted({name.casefold() for name in classes})
    assert sum(rows(read(tmp_path, classes=recipe.classes))["all"].values()) == len(classes)


@pytest.mark.parametrize(
    "folders",
    [
        ("smiling", "happy"),
        ("images", "data"),
        ("1", "2"),
        ("smiling", "contempt"),
        ("1_happy", "2_bored"),
        ("smiling", "Smiling"),
    ],
)
def test_own_classes_are_never_proposed_beside_expressions_or_numbers(tmp_path, folders):
    class_folders(tmp_path, 2, folders)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert "--classes" not in str(error.value)


def test_synonyms_among_own_classes_never_merge_or_swap(tmp_path):
    class_folders(tmp_path, 2, ("happy", "joy", "sad"))
    assert rows(read(tmp_path, classes=["happy", "joy", "sad"])) == {"all": {"happy": 2, "joy": 2, "sad": 2}}
    (tmp_path / "joy").rename(tmp_path / "happiness")
    refused(tmp_path, "'happiness' means happy and joy, which are two of classes", classes=["happy", "joy", "sad"])


def test_two_names_of_one_class_are_in_the_table_of_names(tmp_path):
    class_folders(tmp_path, 2, ("happy", "joy", "contempt"))
    found = read(tmp_path).sources[0].names
    assert found == {"happy": {"happiness": 2}, "joy": {"happiness": 2}, "contempt": {"left out": 2}}


def test_names_in_two_unicode_forms_are_one(tmp_path):
    class_folders(tmp_path, 1, ("fre\u0301ude", "traurig"))
    assert rows(read(tmp_path, classes=["fr\u00e9ude", "traurig"])) == {"all": {"fr\u00e9ude": 1, "traurig": 1}}


def test_a_key_of_class_map_that_is_not_in_the_data_is_refused(tmp_path):
    class_folders(tmp_path)
    refused(
        tmp_path,
        r"class_map names hapy, which is not in the data \(there are: angry, happy, sad\)",
        class_map={"hapy": None},
    )
    assert rows(read(tmp_path, class_map={"HAPPY": None})) == {"all": {"anger": 2, "sadness": 2}}


@pytest.mark.parametrize("column", ["is_test", "isTrain"])
def test_flags_of_a_split_are_refused_and_never_become_train(tmp_path, column):
    rows = [[f"{index}.png", "happy" if index % 2 else "sad", str(index > 3)] for index in range(6)]
    for index in range(6):
        save(tmp_path / f"{index}.png", index)
    lines = [["path", "label", column], *rows]
    path = write(tmp_path / "faces.csv", "\n".join(map(",".join, lines)) + "\n")
    refused(path, f"{column} seem to say which split a row belongs to: write one column with the names train")
    assert sum(len(table) for table in read(path, split_column="none").tables.values()) == 6


def test_numbered_folders_are_never_proposed_as_classes(tmp_path):
    class_folders(tmp_path, classes=("S001", "S002", "S003"))
    with pytest.raises(InputError, match="they look like numbered folders or persons") as error:
        read(tmp_path)
    assert "--classes" not in str(error.value) and "--label_pattern" in str(error.value)
