"""`push_to_hub.py CURATED --dataset`: a round trip with and without pictures, and what is refused before it is sent."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

import push_to_hub
from hub.dataset.card import cell
from hub.dataset.rebuild import pixel_hash
from pipeline import curation
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.conftest import ROOT
from tests.hub_server import HubServer

TOKEN = "hf_anna"
NAME = "anna/faces"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_user("anna", TOKEN)
        yield server


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one's own: class folders, one picture twice, and two people who are known by name."""
    place = tmp_path_factory.mktemp("own") / "faces"
    for number in range(42):
        name = CLASSES[number % 7]
        (place / name).mkdir(parents=True, exist_ok=True)
        draw_face(name, 0, number, 40).save(place / name / f"{number:02d}.png")
    table = "".join(
        f"{path.relative_to(place)},{path.parent.name},person {int(path.stem) % 12}\n"
        for path in sorted(place.rglob("*.png"))
    )
    (place / "faces.csv").write_text(f"path,label,person\n{table}")
    return place


@pytest.fixture(scope="module")
def own(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("own_curated") / "curated"
    curation.main(["own_faces", "--data_path", str(pictures), "--near_copies", "false", "--output_dir", str(out)])
    return out


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn_curated") / "curated"
    curation.main(["quickstart", "--drawn_faces", "70", "--output_dir", str(out)])
    return out


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Command:
    """A Python script of the project in a fresh process, logged in to the loopback Hub."""

    def go(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=cwd,
            env=hub.client_environment(tmp_path / "hf", TOKEN) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return go


LOAD = """
import json, sys
from datasets import load_dataset
faces = load_dataset(sys.argv[1])
names = faces["train"].features["label"].names
rows_of = {split: [[row["key"], names[row["label"]], row["pixels"]] for row in rows] for split, rows in faces.items()}
print(json.dumps(rows_of))
"""


def test_a_data_set_with_pictures_comes_back_whole(
    hub: HubServer, command: Command, drawn: Path, tmp_path: Path
) -> None:
    done = command("push_to_hub.py", str(drawn), "--dataset", NAME, "--tag", "v1")
    assert done.returncode == 0, done.stderr
    assert "with pictures, under Apache-2.0" in done.stdout
    files = hub.repo(NAME, "dataset").files()
    assert {"README.md", "curation.json", "train.parquet"} <= set(files) and "rebuild.py" not in files
    loaded = command("-c", LOAD, NAME)
    assert loaded.returncode == 0, loaded.stderr
    rows = json.loads(loaded.stdout.splitlines()[-1])
    for split, of_split in rows.items():
        table = pq.read_table(drawn / f"{split}.parquet").to_pylist()
        assert [row[0] for row in of_split] == [row["key"] for row in table]
        assert [row[1] for row in of_split] == [CLASSES[row["label"]] for row in table]
        assert [row[2] for row in of_split] == [pixel_hash(row["image"]["bytes"]) for row in table]
    again = command("push_to_hub.py", str(drawn), "--dataset", NAME, "--tag", "v1")
    assert again.returncode == 0 and "sent: 0 files" in again.stdout


@pytest.mark.slow
def test_training_reads_a_published_data_set(hub: HubServer, command: Command, drawn: Path, tmp_path: Path) -> None:
    assert command("push_to_hub.py", str(drawn), "--dataset", NAME).returncode == 0
    done = command("-m", "pipeline.curation", "own_faces", "--data_path", NAME, "--output_dir", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    for split in ("train", "validation", "test"):
        one, other = (
            pq.read_table(place / f"{split}.parquet", columns=["image", "label", "target", "source", "key"])
            for place in (drawn, tmp_path / "again")
        )
        assert one.equals(other), split
    short = ["--max_steps", "1", "--bootstrap_resamples", "100", "--output_dir", str(tmp_path / "run")]
    trained = command("train_hf.py", "quickstart", "--source", "auto", "--data_path", NAME, *short)
    assert trained.returncode == 0, trained.stderr


def test_without_pictures_the_data_set_is_rebuilt_hash_by_hash(
    hub: HubServer, command: Command, own: Path, pictures: Path, tmp_path: Path
) -> None:
    done = command("push_to_hub.py", str(own), "--dataset", NAME)
    assert done.returncode == 0, done.stderr
    assert "without pictures: those of faces may not travel" in done.stdout
    files = hub.repo(NAME, "dataset").files()
    for name, content in files.items():
        assert b"\x89PNG" not in content and b"person 3" not in content, name
        assert hashlib.blake2b(b"person 3", digest_size=6).hexdigest().encode() not in content, "a hash can be guessed"
    refused = command("-m", "pipeline.curation", "own_faces", "--data_path", NAME, "--output_dir", str(tmp_path / "no"))
    assert refused.returncode == 2 and "run its rebuild.py" in refused.stderr

    place = tmp_path / "downloaded"
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        shutil.copyfile(path, renamed / f"x{number}")
    lacking = command(str(place / "rebuild.py"), str(tmp_path / "no such"), "out", cwd=tmp_path)
    assert lacking.returncode == 1 and "does not exist" in lacking.stderr
    rebuilt = command(str(place / "rebuild.py"), str(renamed), "out", cwd=tmp_path)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "42 of 42 rows have their picture" in rebuilt.stdout
    words = ["own_faces", "--data_path", str(tmp_path / "out"), "--near_copies", "false"]
    curation.main([*words, "--output_dir", str(tmp_path / "again")])
    for split in ("train", "validation", "test"):
        one, other = (pq.read_table(folder / f"{split}.parquet") for folder in (own, tmp_path / "again"))
        for column in ("label", "target", "source", "key"):
            assert one[column].equals(other[column]), (split, column)
        assert [pixel_hash(c["bytes"]) for c in one["image"].to_pylist()] == [
            pixel_hash(c["bytes"]) for c in other["image"].to_pylist()
        ]


def test_a_missing_picture_is_named_and_nothing_is_written(
    command: Command, own: Path, pictures: Path, tmp_path: Path
) -> None:
    staged = command("push_to_hub.py", str(shutil.copytree(own, tmp_path / "own")), "--dataset", NAME, "--dry_run")
    assert staged.returncode == 0, staged.stderr
    place = tmp_path / "own-staged-dataset"
    fewer = shutil.copytree(pictures, tmp_path / "fewer")
    gone = sorted(fewer.rglob("*.png"))[0]
    gone.unlink()
    done = command(str(place / "rebuild.py"), str(fewer), "out", cwd=tmp_path)
    assert done.returncode == 1 and "41 of 42 rows" in done.stdout and gone.name in done.stdout
    assert not (tmp_path / "out").exists()
    allowed = command(str(place / "rebuild.py"), str(fewer), "out", "--allow_missing", cwd=tmp_path)
    assert allowed.returncode == 0
    assert json.loads((tmp_path / "out" / "curation.json").read_text())["missing_when_rebuilt"] == 1
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "out").glob("*.parquet")) == 41


def test_fer2013s_csv_holds_the_pictures_too(tmp_path: Path) -> None:
    from hub.dataset.rebuild import contents

    picture = draw_face("fear", 0, 1, 48).convert("L")
    levels = " ".join(map(str, picture.tobytes()))
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n2,{levels},Training\n")
    picture.save(tmp_path / "same.png")
    csv, png = contents(tmp_path, [])
    assert pixel_hash(csv) == pixel_hash(png) is not None


def test_files_that_cannot_be_read_do_not_stop_the_search_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hub.dataset.rebuild import collect

    mine = tmp_path / "mine"
    mine.mkdir()
    picture = draw_face("fear", 0, 1, 48).convert("L")
    (mine / "a.csv").write_text('pixels,x\n"1 2 999 4",1\n"nan nan",2\n,3\n' + f'"{"9" * 200_000}",4\n')
    (mine / "b.parquet").write_bytes(b"PAR1")
    (mine / "c.csv").write_bytes(b"\xff\x00" * 10)
    os.mkfifo(mine / "d.png")
    (mine / "e.png").symlink_to("gone.png")
    picture.save(mine / "f.png")
    value = pixel_hash((mine / "f.png").read_bytes())
    assert value is not None
    assert list(collect(mine, {value, "of another"}, tmp_path / "found")) == [value]
    assert "2 files could not be read, for example: a.csv (" in capsys.readouterr().out


def test_the_card_is_one_the_hub_reads(command: Command, own: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(own, tmp_path / "own")
    assert command("push_to_hub.py", str(copy), "--dataset", NAME, "--dry_run").returncode == 0
    card = DatasetCard((tmp_path / "own-staged-dataset" / "README.md").read_text(encoding="utf-8"))
    assert card.data.license == "other" and card.data.task_categories == ["image-classification"]
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "train.parquet"}
    assert "{{" not in card.text and "{%" not in card.text
    for wanted in ("| anger | ", "Exact copies: test in train 0", "not an emotion", "art. 5(1)(f)", "rebuild.py"):
        assert wanted in card.text, wanted


def test_a_licence_lets_pictures_of_ones_own_travel(command: Command, own: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(own, tmp_path / "own")
    done = command("push_to_hub.py", str(copy), "--dataset", NAME, "--licence", "CC-BY-4.0", "--dry_run")
    assert done.returncode == 0 and "with pictures, under CC-BY-4.0" in done.stdout, done.stderr
    card = DatasetCard((tmp_path / "own-staged-dataset" / "README.md").read_text(encoding="utf-8"))
    assert card.data.license == "cc-by-4.0"
    assert "image" in pq.read_schema(tmp_path / "own-staged-dataset" / "train.parquet").names


def edited(folder: Path, **changes: Any) -> None:
    """Change fields of every source record."""
    report = json.loads((folder / "curation.json").read_text())
    for entry in report["sources"].values():
        entry |= changes
    (folder / "curation.json").write_text(json.dumps(report))


def without_keys(folder: Path) -> None:
    table = pq.read_table(folder / "test.parquet")
    empty = pa.array([None] * len(table), pa.string())
    pq.write_table(table.set_column(table.column_names.index("key"), "key", empty), folder / "test.parquet")


def with_column(folder: Path, name: str, value: Any) -> None:
    table = pq.read_table(folder / "test.parquet")
    place, field = table.column_names.index(name), table.schema.field(name)
    column = pa.array([value] * len(table), field.type)
    pq.write_table(table.set_column(place, field.with_nullable(True), column), folder / "test.parquet")


def with_other_classes(folder: Path) -> None:
    table = pq.read_table(folder / "test.parquet")
    metadata = {name: value.replace(b"anger", b"rage") for name, value in table.schema.metadata.items()}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "test.parquet")


def without_field(folder: Path, name: str) -> None:
    report = json.loads((folder / "curation.json").read_text())
    del report[name]
    (folder / "curation.json").write_text(json.dumps(report))


def doubled(folder: Path) -> None:
    """Every row of test twice, also in the report."""
    table = pq.read_table(folder / "test.parquet")
    pq.write_table(pa.concat_tables([table, table]), folder / "test.parquet")
    report = json.loads((folder / "curation.json").read_text())
    report["rows_used"]["test"] = {name: 2 * count for name, count in report["rows_used"]["test"].items()}
    (folder / "curation.json").write_text(json.dumps(report))


@pytest.mark.parametrize(
    ("change", "words", "reason"),
    [
        (lambda f: (f / "curation.json").unlink(), [], "has no curation.json"),
        (lambda f: (f / "train.parquet").write_bytes(b"PAR1"), [], "train.parquet is damaged"),
        (lambda f: (f / "evaluation.json").write_text("{}"), [], "is a run folder: publish it with --repo_id"),
        (lambda f: edited(f, may_publish_labels=False), [], "do not allow to publish labels"),
        (lambda f: edited(f, datasets=["RAF-DB"]), ["--licence", "CC-BY-4.0"], "is not your own"),
        (lambda f: edited(f, may_publish_pixels=True), ["--licence", "CC-BY-4.0"], "states its own licence"),
        (without_keys, [], "without a key"),
        (lambda f: (f / "train.parquet").unlink(), [], "has no train.parquet"),
        (lambda f: without_field(f, "copies"), [], "is not as curation wrote it"),
        (lambda f: without_field(f, "persons_shared"), [], "is not as curation wrote it"),
        (lambda f: with_column(f, "source", "theirs"), [], "has rows of theirs, and curation.json has no record of it"),
        (lambda f: with_column(f, "label", None), [], "has other rows by class than curation.json counts"),
        (lambda f: with_column(f, "label", 99), [], "has other rows by class than curation.json counts"),
        (lambda f: with_column(f, "target", None), [], "has targets that are not 7 shares"),
        (lambda f: with_other_classes(f), [], "is not as curation wrote it"),
        (lambda f: None, ["--licence", "nonsense"], "--licence 'nonsense': give one licence by its SPDX name"),
        (lambda f: None, ["--licence", ""], "--licence '': give one licence"),
        (lambda f: None, ["--licence", "MIT OR Apache-2.0"], "give one licence"),
        (lambda f: None, ["--new_version", "anna/x"], "--new_version is for a run"),
        (doubled, [], "two rows of"),
        (lambda f: None, ["--space", "anna/demo"], "--space is for a run"),
        (lambda f: None, ["--tag", "v 1"], "--tag 'v 1': it has a space"),
        (lambda f: None, ["--tag", "main"], "--tag main: there is a branch of this name"),
        (lambda f: None, ["--revision", "v..1"], "--revision 'v..1': it has .."),
        (lambda f: None, ["--repo_id", "anna/x"], "name where to publish"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    own: Path, tmp_path: Path, change: Callable[[Path], Any], words: list[str], reason: str
) -> None:
    copy = shutil.copytree(own, tmp_path / "own")
    change(copy)
    with pytest.raises(InputError, match=reason) as caught:
        push_to_hub.main([str(copy), "--dataset", NAME, "--dry_run", *words])
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]  # nothing is left, hidden or not


def test_a_repository_with_other_data_is_left_alone(hub: HubServer, command: Command, own: Path) -> None:
    hub.add_repo(NAME, {"data.csv": b"a,b\n"}, repo_type="dataset")
    done = command("push_to_hub.py", str(own), "--dataset", NAME)
    assert done.returncode == 2 and "holds another data set (data.csv)" in done.stderr
    assert set(hub.repo(NAME, "dataset").files()) == {".gitattributes", "data.csv"}


@pytest.mark.slow
def test_a_data_set_of_other_sources_is_not_replaced(hub: HubServer, command: Command, own: Path, drawn: Path) -> None:
    assert command("push_to_hub.py", str(own), "--dataset", NAME).returncode == 0
    before = hub.repo(NAME, "dataset").files()
    done = command("push_to_hub.py", str(drawn), "--dataset", NAME)
    assert done.returncode == 2 and f"--dataset {NAME} holds a data set of faces, and " in done.stderr
    assert hub.repo(NAME, "dataset").files() == before


def test_groups_of_near_copies_go_across_splits_and_come_back(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    for number in range(42):
        split, name = ("train", "validation", "test")[number // 14], CLASSES[number % 7]
        (faces / split / name).mkdir(parents=True, exist_ok=True)
        draw_face(name, 0, number, 48).save(faces / split / name / f"{number:02d}.png")
    draw_face("anger", 0, 0, 48).resize((80, 80)).save(faces / "test" / "anger" / "again.png")
    words = ["own_faces", "--data_path", str(faces), "--leaks", "report"]
    curation.main([*words, "--output_dir", str(tmp_path / "own")])
    push_to_hub.main([str(tmp_path / "own"), "--dataset", NAME, "--dry_run"])
    staged = tmp_path / "own-staged-dataset"
    groups = {
        Path(row["key"]).stem: (row["near_copy_group"], row["copy_group"])
        for split in ("train", "validation", "test")
        for row in pq.read_table(staged / f"{split}.parquet").to_pylist()
    }
    assert groups["again"][0] == groups["00"][0] and groups["again"][1] != groups["00"][1]
    assert len({near for near, _ in groups.values()}) == 42
    subprocess.run([sys.executable, str(staged / "rebuild.py"), str(faces), str(tmp_path / "whole")], check=True)
    curation.main(["own_faces", "--data_path", str(tmp_path / "whole"), "--leaks", "report",
                   "--output_dir", str(tmp_path / "again")])  # fmt: skip
    assert pq.read_table(tmp_path / "again" / "test.parquet").column_names.count("near_copy_group") == 1


def test_the_hash_is_that_of_size_and_pixels() -> None:
    picture = draw_face("anger", 0, 0, 40)
    import io

    file = io.BytesIO()
    picture.save(file, "PNG")
    assert pixel_hash(file.getvalue()) == hashlib.sha256(b"40x40\n" + picture.convert("RGB").tobytes()).hexdigest()
    assert pixel_hash(b"%!PS-Adobe") is None


@pytest.mark.parametrize("text", ["a|b", "x\ny", "<script>", "[a](javascript:1)", "`code`", "{{ 7 }}"])
def test_text_from_outside_stays_in_its_cell(text: str) -> None:
    escaped = cell(text)
    assert "\n" not in escaped
    for sign in "|<[`{":
        assert escaped.count(sign) == escaped.count(f"\\{sign}")
