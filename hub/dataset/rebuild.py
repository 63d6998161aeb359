"""Make this data set whole: find its pictures among yours, check each by its hash, and write parquet files.

    pip install pillow pyarrow
    python rebuild.py PICTURES OUT [--allow_missing]

PICTURES is a folder with picture files, parquet files with pictures, or FER2013's csv file (column `pixels`), however
deep. Unpack archives first. Nothing leaves your computer.

A picture matches by its decoded pixels, so names and places of files do not matter. OUT is a new folder. It is written
when all rows have their picture; with --allow_missing rows without one are left out, and some of their keys are named.
Files of PICTURES that cannot be read are counted.
"""

import argparse
import csv
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

HASH = "pixels"  # the column with the hash
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF", "JPEG2000", "PPM")
ROWS_AT_ONCE = 256
SHOWN = 5
LARGEST = 2**29  # bytes of a picture file


def pixel_hash(content: bytes) -> str | None:
    """SHA-256 of the size and the RGB values of a picture, turned upright; None if it is not one with 8 bits."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            if opened.mode.startswith(("I", "F")):
                return None
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception:  # on damaged files Pillow raises almost anything
        return None
    size = f"{picture.width}x{picture.height}\n".encode()
    return hashlib.sha256(size + picture.tobytes()).hexdigest()


def main() -> None:
    """Rebuild, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, metavar="PICTURES")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--allow_missing", action="store_true")
    asked = parser.parse_args()
    here = Path(__file__).resolve().parent
    if not asked.pictures.exists():
        sys.exit(f"{asked.pictures} does not exist")
    if asked.out.exists():
        sys.exit(f"{asked.out} exists already; name a new folder")
    tables = sorted(here.glob("*.parquet"))
    if not tables or not (here / "curation.json").is_file():
        sys.exit(f"{here} lacks the tables or curation.json of the data set; download all of its files")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{asked.out.name}.", dir=asked.out.parent) as aside:
        found = collect(asked.pictures, wanted(tables), Path(aside, "found"))
        missing = [key for table in tables for key in keys_without(table, found)]
        rows = sum(pq.read_metadata(table).num_rows for table in tables)
        print(f"{rows - len(missing):,} of {rows:,} rows have their picture")
        if missing:
            print(f"without a picture, for example: {', '.join(missing[:SHOWN])}")
            if not asked.allow_missing or len(missing) == rows:
                sys.exit("nothing was written; add the missing pictures, or --allow_missing to leave their rows out")
        whole = Path(aside, "whole")
        write(tables, found, whole, missing)
        shutil.move(whole, asked.out)
    print(f"wrote {asked.out}; train on it with --data_path {asked.out}")


def wanted(tables: Iterable[Path]) -> set[str]:
    """The hashes of all rows."""
    return {value for table in tables for value in pq.read_table(table, columns=[HASH])[HASH].to_pylist()}


def collect(pictures: Path, hashes: set[str], place: Path) -> dict[str, Path]:
    """Hash -> a copy of the picture in `place`, for each of `hashes` that is found."""
    place.mkdir(parents=True)
    found: dict[str, Path] = {}
    unread: list[str] = []
    for content in contents(pictures, unread):
        value = pixel_hash(content)
        if value in hashes and value not in found:
            found[value] = place / value
            found[value].write_bytes(content)
            if len(found) == len(hashes):
                break
    if unread:
        print(f"{len(unread):,} files could not be read, for example: {', '.join(unread[:SHOWN])}")
    return found


def contents(pictures: Path, unread: list[str]) -> Iterator[bytes]:
    """The content of every file that may be a picture, and of every picture in parquet files and FER2013's csv.

    Files that cannot be read are added to `unread`, with the reason.
    """
    readers = {".parquet": in_parquet, ".csv": in_csv}
    for path in sorted(pictures.rglob("*")) if pictures.is_dir() else [pictures]:
        if path.is_file():  # not a pipe, which would never end
            try:
                yield from readers.get(path.suffix.lower(), in_file)(path)
            except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
                unread.append(f"{path.name} ({(str(error) or type(error).__name__).splitlines()[0][:80]})")


def in_file(path: Path) -> Iterator[bytes]:
    """The file itself, if it is not too large for a picture."""
    if path.stat().st_size <= LARGEST:
        yield path.read_bytes()


def in_parquet(path: Path) -> Iterator[bytes]:
    """The pictures in the columns of a parquet file, as `datasets` stores them."""
    file = pq.ParquetFile(path)
    columns = [
        field.name for field in file.schema_arrow if pa.types.is_struct(field.type) or pa.types.is_binary(field.type)
    ]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
        for column in batch.columns:
            for cell in column.to_pylist():
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                if isinstance(content, bytes):
                    yield content


def in_csv(path: Path) -> Iterator[bytes]:
    """The pictures in the column `pixels` of FER2013's csv file, as PNG."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            levels = [int(word) for word in (row.get("pixels") or "").split() if word.isdecimal()]
            side = round(len(levels) ** 0.5)
            if levels and side * side == len(levels) and max(levels) < 256:
                target = io.BytesIO()
                Image.frombytes("L", (side, side), bytes(levels)).save(target, "PNG")
                yield target.getvalue()


def keys_without(table: Path, found: dict[str, Path]) -> list[str]:
    """The keys of the rows whose picture was not found."""
    columns = pq.read_table(table, columns=["key", HASH])
    return [key for key, value in zip(*(columns[name].to_pylist() for name in ("key", HASH))) if value not in found]  # noqa: B905


def write(tables: Iterable[Path], found: dict[str, Path], whole: Path, missing: list[str]) -> None:
    """The tables with their pictures, and `curation.json`, which says how many rows are missing."""
    whole.mkdir()
    for table in tables:
        file = pq.ParquetFile(table)
        schema = with_image(file.schema_arrow)
        with pq.ParquetWriter(whole / table.name, schema) as writer:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                rows = [row for row in batch.to_pylist() if row[HASH] in found]
                for row in rows:
                    row["image"] = {"bytes": found[row[HASH]].read_bytes(), "path": None}
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        check(whole / table.name)
    report = json.loads((Path(__file__).resolve().parent / "curation.json").read_text(encoding="utf-8"))
    report["missing_when_rebuilt"] = len(missing)
    (whole / "curation.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")


def with_image(schema: pa.Schema) -> pa.Schema:
    """The schema with a first column `image`, and with the features that `datasets` reads."""
    features = json.loads(schema.metadata[b"huggingface"])
    own = features["info"]["features"]
    features["info"]["features"] = {"image": {"_type": "Image"}} | own
    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    return pa.schema([image, *schema]).with_metadata({b"huggingface": json.dumps(features).encode()})


def check(table: Path) -> None:
    """Read a written table back: each picture must have the hash of its row."""
    for batch in pq.ParquetFile(table).iter_batches(ROWS_AT_ONCE, columns=["image", "key", HASH]):
        for row in batch.to_pylist():
            if pixel_hash(row["image"]["bytes"]) != row[HASH]:
                sys.exit(f"{table.name}: the picture of {row['key']} differs from its hash after writing; try again")


if __name__ == "__main__":
    main()
