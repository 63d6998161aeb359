"""Files that are none of the data set's: no table and no archive leads a reader there."""

import shutil
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.layouts.crashes import layout
from tests.data.layouts.expectation import right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, WORDS, Place


def parquet_with_a_cell(at: Place, cell: object, fate: str = LEFT_OUT) -> None:
    """A parquet file of faces whose last picture is `cell`."""
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    labels = [w for _ in range(8) for w in EVERY]
    cells = [{"bytes": at.cell(w), "path": None} for w in labels]
    table = pa.table({"image": pa.array([*cells, cell], struct), "label": [*(WORDS[w] for w in labels), "happy"]})
    pq.write_table(table, at.write("faces.parquet", b""))


@layout("parquet", right_or_refused("path|outside|private"), "--max_bad_share=0.5")
def a_cell_that_names_a_private_file(at: Place) -> None:
    """A parquet cell {"bytes": null, "path": "/any/private.png"}: never read."""
    private = at.outside / "private.png"
    private.write_bytes(at.cell("happiness", "private", fate=LEFT_OUT))
    parquet_with_a_cell(at, {"bytes": None, "path": str(private)})


@layout("parquet", right_or_refused("path|outside|private"), "--max_bad_share=0.5")
def a_cell_that_leads_out_by_dots(at: Place) -> None:
    """A parquet cell whose path is ../outside/private.png."""
    (at.outside / "private.png").write_bytes(at.cell("happiness", "private", fate=LEFT_OUT))
    parquet_with_a_cell(at, {"bytes": None, "path": "../outside/private.png"})


@layout("parquet", right_or_refused("path|outside|private|http"), "--max_bad_share=0.5")
def a_cell_that_names_an_address(at: Place) -> None:
    """A parquet cell whose path is an address of the network."""
    at.others += 1
    parquet_with_a_cell(at, {"bytes": None, "path": "http://127.0.0.1:9/private.png"})


@layout("parquet", right_or_refused("empty|null|picture"), "--max_bad_share=0.5")
def a_cell_that_is_null(at: Place) -> None:
    """A parquet cell without a picture."""
    at.others += 1
    parquet_with_a_cell(at, None)


@layout("csv", right_or_refused("line 30|leads out|outside"))
def a_csv_that_leads_out(at: Place) -> None:
    """A csv row of the path ../outside/private.png."""
    (at.outside / "private.png").write_bytes(at.cell("happiness", "private", fate=LEFT_OUT))
    rows = [(p, WORDS[w]) for p, w in at.faces("{n}.png")]
    at.table("labels.csv", "path,label", [*rows, ("../outside/private.png", "happy")])


@layout("archive", right_or_refused("link|outside|leads out", prints=("link|outside|1",)))
def a_tar_with_a_link_to_a_private_file(at: Place) -> str:
    """A tar file of class folders, with a link to a file outside."""
    private = at.outside / "private.png"
    private.write_bytes(at.cell("happiness", "private", fate=LEFT_OUT))
    at.class_folders()
    (at.root / "happy" / "link.png").symlink_to(private)
    path = at.base / "packed.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(at.root, ".")
    shutil.rmtree(at.root)
    at.root.mkdir()
    shutil.move(path, at.root / "faces.tar")
    at.others += 1
    return "faces.tar"
