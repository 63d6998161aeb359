"""A data set of somebody else: its tables name no picture of this machine, and curation is killed without harm."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import curation
from pipeline.data.readers import read_sources
from pipeline.data.readers.configs import named_files
from pipeline.data.readers.tables import read_table
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.conftest import ROOT
from tests.hostile import files


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Class folders with twelve pictures of each class."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for index in range(12):
            colour = (number * 30, index * 20, 99)
            Image.new("RGB", (20, 20), colour).save(tmp_path / "faces" / name / f"{index}.png")
    return tmp_path / "faces"


def curate(faces: Path, out: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m pipeline.curation` after `code`."""
    words = [
        "own_faces",
        "--data_path",
        str(faces),
        "--output_dir",
        str(out),
        "--near_copies",
        "false",
        "--max_bad_share",
        "0.1",
    ]
    run = f"import sys; sys.argv[1:] = {words!r}\n{code}\nfrom pipeline.curation import main; main(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_curated_folder_that_names_pictures_by_path_is_refused(faces: Path, tmp_path: Path, tiny) -> None:
    assert curate(faces, tmp_path / "out").returncode == 0
    table = pq.read_table(file := tmp_path / "out" / "train.parquet")
    Image.new("RGB", (20, 20)).save(tmp_path / "private.png")
    paths = [{"bytes": None, "path": str(tmp_path / "private.png")}] * len(table)
    image = pa.array(paths, table.schema.field("image").type)
    pq.write_table(table.set_column(table.schema.get_field_index("image"), table.schema.field("image"), image), file)
    with pytest.raises(InputError, match="train.parquet names pictures by a path"):
        read_sources(tiny(source="curated", data_path=str(tmp_path / "out")))


def test_hostile_pictures_are_counted_and_curation_goes_on(faces: Path, tmp_path: Path) -> None:
    (faces / "anger" / "program.png").write_bytes(files.GHOSTSCRIPT % os.fsencode(tmp_path / "made"))
    (faces / "fear" / "slow.jpg").write_bytes(files.jpeg_of_scans(600, 400, 6_000))
    (faces / "fear" / "line.png").write_bytes(files.png(80_000_000, 1))
    os.mkfifo(faces / "fear" / "pipe.png")
    done = curate(faces, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "curation.json").read_text())
    (source,) = report["sources"].values()
    assert source["unreadable"]["count"] == 3
    assert not (tmp_path / "made").exists()


def test_names_of_columns_do_not_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label,\x1b[2J\x1b]0;owned\x07"]
    for number in range(4 * len(CLASSES)):
        Image.new("RGB", (20, 20), (number * 8, number, 99)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{CLASSES[number % len(CLASSES)]},1")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    out = str(tmp_path.parent / f"{tmp_path.name}-out")
    curation.main(["own_faces", "--data_path", str(tmp_path), "--output_dir", out, "--near_copies", "false"])
    said = "".join(capsys.readouterr())
    assert r"\x1b[2J\x1b]0;owned\x07" in said and not set("\x1b\x07") & set(said.replace("\x1b[A", ""))


@pytest.mark.parametrize("size", [2**40, None], ids=["a terabyte", "of the system"])
def test_tables_and_cards_that_do_not_end_are_not_read(size: int | None, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("labels.csv", "labels.json", "README.md"):
        if size is None:
            (tmp_path / name).symlink_to("/proc/self/maps")
            continue
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    for name in ("labels.csv", "labels.json"):
        with pytest.raises(InputError, match="more than 4,294,967,296 bytes" if size else "does not say how large"):
            read_table(tmp_path / name)
    assert named_files(tmp_path) is None


def test_a_table_of_many_columns_takes_no_minutes(tmp_path: Path) -> None:
    names = ",".join(f"c{number}" for number in range(20_000))
    (tmp_path / "labels.csv").write_text(f"{names}\n{names}\n")
    start = time.process_time()
    assert len(read_table(tmp_path / "labels.csv").columns) == 20_000
    assert time.process_time() - start < 5
    (tmp_path / "twice.csv").write_text(f"{names},C7\n")
    with pytest.raises(InputError, match="two columns are called c7"):
        read_table(tmp_path / "twice.csv")


@pytest.mark.slow
def test_two_hundred_thousand_small_pictures_are_curated_in_a_gigabyte(tmp_path: Path) -> None:
    schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.string()})
    noise = np.random.default_rng(0)
    with pq.ParquetWriter(data := tmp_path / "rows.parquet", schema) as writer:
        for start in range(0, 200_000, 10_000):
            pixels = noise.integers(0, 256, (10_000, 12, 12), dtype=np.uint8)
            rows = [
                {
                    "image": {"bytes": files.encoded(Image.fromarray(picture), "PNG"), "path": f"{start + n}.png"},
                    "label": CLASSES[n % len(CLASSES)],
                }
                for n, picture in enumerate(pixels)
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema))
    peak = "import atexit, resource; atexit.register(lambda: print(resource.getrusage(0).ru_maxrss))"
    done = curate(data, tmp_path / "out", peak)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 2**20  # KiB
    report = json.loads((tmp_path / "out" / "curation.json").read_text())
    assert sum(count for split in report["rows"].values() for count in split.values()) == 200_000


@pytest.mark.slow
def test_curation_that_was_killed_gives_the_same_tables_when_it_is_started_again(faces: Path, tmp_path: Path) -> None:
    assert curate(faces, tmp_path / "whole").returncode == 0
    places = {
        "curation": ("measured_rows", "complete_splits", "find_copies", "judge"),
        "curated_folder": ("write_page",),
    }
    for module, name in ((module, name) for module, names in places.items() for name in names):
        kill = f"import os, pipeline.data.{module} as m; m.{name} = lambda *a: os.kill(os.getpid(), 9)"
        assert curate(faces, tmp_path / "out", kill).returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
    assert curate(faces, tmp_path / "out").returncode == 0
    for split in ("train", "validation"):
        name = f"{split}.parquet"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
