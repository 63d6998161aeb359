"""Where a layout is made: its pictures, the files around them, and what is true of every picture."""

import functools
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.data.layouts.checkout import draw_face

EVERY = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
WORDS = dict(zip(EVERY, ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), strict=True))
SIDE = 40  # px

# Codes of public data sets, by class.
FER2013 = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5, "neutral": 6}
RAFDB = {"surprise": 1, "fear": 2, "disgust": 3, "happiness": 4, "sadness": 5, "anger": 6, "neutral": 7}
AFFECTNET = {"neutral": 0, "happiness": 1, "sadness": 2, "surprise": 3, "fear": 4, "disgust": 5, "anger": 6}

READ, MAY_BE_READ, LEFT_OUT = "read", "may be read", "left out"


@functools.cache
def _drawn(shown: str, index: int, side: int) -> Image.Image:
    return draw_face(shown, 0, index, side)


def digest_of(picture: Image.Image) -> str:
    """Equal for pictures of equal pixels, however they are stored."""
    rgb = picture.convert("RGB")
    return blake2b(rgb.tobytes() + repr(rgb.size).encode(), digest_size=12).hexdigest()


@dataclass
class Row:
    """What is true of one picture; None is what the layout does not say."""

    name: str
    label: str
    split: str | None = None
    person: str | None = None
    person_may_be_unknown: bool = False
    fate: str = READ
    counted: bool = True  # if left out, it is counted; False inside a file that is left out as a whole
    shows: int | str | None = None  # pictures of one value show the same face or person: none may be in two splits
    target: Sequence[float] | None = None  # class shares in the order of EVERY


@dataclass
class Place:
    """The folder `root` that a layout fills; `outside` lies beside it, where no reader may look."""

    base: Path
    rows: dict[str, list[Row]] = field(default_factory=dict)  # digest -> its pictures
    others: int = 0  # files that are not pictures, and rows of tables without a picture
    drawn: int = 0

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.outside.mkdir()

    @property
    def root(self) -> Path:
        """The folder that is given as data_path."""
        return self.base / "my_faces"

    @property
    def outside(self) -> Path:
        """A folder beside it."""
        return self.base / "outside"

    def cell(self, label: str, name: str = "cell", kind: str = "PNG", shown: str | None = None, **truth: Any) -> bytes:
        """A new drawn face as bytes of the format `kind`; `truth` is what Row holds of it.

        `shown` is the expression that is drawn where `label` is not one of the seven.
        """
        self.drawn += 1
        expression = shown or (label if label in EVERY else EVERY[self.drawn % 7])
        return self.keep(_drawn(expression, self.drawn, SIDE), label, name, kind, **truth)

    def keep(self, picture: Image.Image, label: str, name: str = "cell", kind: str = "PNG", **truth: Any) -> bytes:
        """`picture` as bytes of the format `kind`, recorded as a picture of the class `label`."""
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        digest = digest_of(Image.open(io.BytesIO(buffer.getvalue())))
        self.rows.setdefault(digest, []).append(Row(name, label, **truth))
        return buffer.getvalue()

    def face(self, name: str | bytes, label: str, kind: str = "", **truth: Any) -> str:
        """A new drawn face in the file `name`, and that name; `kind` is the format, otherwise the suffix says it."""
        path = self.root / os.fsdecode(name)
        assert not path.exists(), path
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = kind or Image.registered_extensions().get(path.suffix.lower(), "PNG")
        path.write_bytes(self.cell(label, os.fsdecode(name), kind, **truth))
        return os.fsdecode(name)

    def faces(
        self, pattern: str, each: int = 4, labels: Iterable[str] = EVERY, **truth: Any
    ) -> Iterator[tuple[str, str]]:
        """`each` new faces of all `labels`: name and label of each.

        `pattern` has the fields {label}, {word} (what people call it), {i} (counts within the class) and {n} (another
        number for each picture).
        """
        for i, label in ((i, label) for i in range(each) for label in labels):
            name = pattern.format(label=label, word=WORDS.get(label, label), i=i, n=self.drawn)
            yield self.face(name, label, **truth), label

    def class_folders(self, folder: str = "", each: int = 4, **truth: Any) -> None:
        """Class folders below `folder`, the plainest of layouts."""
        for _ in self.faces(f"{folder}{{word}}/{{n}}.png", each, **truth):
            pass

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        """Another file below the folder."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        self.others += 1
        return path

    def table(
        self, name: str, header: str, rows: Iterable[Sequence[Any]], separator: str = ",", encoding: str = "utf-8"
    ) -> Path:
        """A text table; `header` is written with commas, "" writes none."""
        lines = [separator.join(header.split(","))] * bool(header)
        lines += [separator.join(map(str, row)) for row in rows]
        return self.write(name, "\n".join(lines) + "\n", encoding)

    def json_lines(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        """A file of one JSON object a line."""
        return self.write(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def parquet(
        self, name: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None
    ) -> Path:
        """A parquet file of plain columns; bytes become the struct that `datasets` writes for a picture."""
        struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        columns: dict[str, Any] = {}
        for column in rows[0] if rows else ():
            values = [row[column] for row in rows]
            pictures = any(isinstance(value, bytes) for value in values)
            cells = [{"bytes": v, "path": None} if isinstance(v, bytes) else v for v in values]
            columns[column] = pa.array(cells, struct if pictures else (types or {}).get(column))
        path = self.write(name, b"")
        pq.write_table(pa.table(columns), path)
        return path
