"""Everything in a file that can contain words: text, settings, notes of pictures, names and values of tables."""

import io
import json
import struct
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.metadata import PLUGIN_NAME as HPARAMS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from hub.packed import after_deflate
from hub.readings import as_text, inflated, runs
from hub.static_space import libraries
from pipeline.errors import InputError
from pipeline.run_folder import sha256
from pipeline.yaml_text import read_yaml

TEXT = (".md", ".json", ".yaml", ".yml", ".txt", ".ipynb", ".csv")
CODE = (".py", ".html", ".css", ".js", "Dockerfile", "LICENSE")
"""Ends of names of files that belong to the project and are the same for everybody who publishes."""
PNG = b"\x89PNG\r\n\x1a\n"
PIXELS = ("IHDR", "IDAT", "fdAT")
"""Chunks of a PNG file without words."""
COLOURS = ("PLTE", "tRNS")
"""Chunks of a PNG file of numbers, in which there may be words all the same."""
OTHER_PICTURES = ("JPEG", "WEBP", "GIF", "TIFF", "BMP")


class Kind(Enum):
    """What a text is, and so what is searched for in it: numbers show names and short paths by chance."""

    PROSE = auto()
    VALUES = auto()
    BYTES = auto()


class Text(NamedTuple):
    """A text, where in the file it is, and of what kind."""

    place: str
    text: str
    kind: Kind = Kind.PROSE


def texts_of(path: Path) -> Iterator[Text]:
    """The texts of a file that is going to be published.

    Raises:
        InputError: a kind of file that publishing does not know, or one that cannot be read as what its name says.
    """
    data = path.read_bytes()
    try:
        yield from _texts(path, data)
    except InputError:
        raise
    except Exception as error:  # each library has its own
        raise InputError(f"nothing was sent, because {path.name} cannot be searched ({type(error).__name__})") from None
    yield from (Text("bytes", text, Kind.BYTES) for text in runs(data))


def _texts(path: Path, data: bytes) -> Iterator[Text]:
    if path.name.endswith((*TEXT, *CODE, ".gitattributes")):
        yield from _written(path.suffix, as_text(data))
        yield from (Text("compressed", text) for text in inflated(data))
    elif path.suffix == ".safetensors":
        (length,) = struct.unpack("<Q", data[:8])
        yield from _json("header", data[8 : 8 + length].decode())
    elif path.suffix == ".png":
        yield from picture_texts("", data)
    elif path.suffix == ".onnx":
        yield from _message("graph", onnx.load_model_from_string(data))
    elif path.suffix == ".parquet":
        yield from _table(pq.ParquetFile(path))
    elif ".tfevents." in path.name:
        for event in read_events(path):
            yield from _message("events", event)
            yield from _hparams(event)
    elif sha256(path) in libraries.FILES.values():
        return  # a library, the same for everybody
    else:
        raise InputError(f"nothing was sent, because {path.name} is of a kind that cannot be searched: take it out")


def read_events(path: Path) -> Iterator[Event]:
    """The events of a TensorBoard file, up to a record that a kill cut short.

    Raises:
        InputError: it is not an event file.
    """
    count = 0
    try:
        for record in RawEventFileLoader(str(path)).Load():
            yield Event.FromString(record)
            count += 1
    except Exception:  # protobuf's own, from a package that nothing else here needs
        count = 0
    if not count:
        raise InputError(f"{path} cannot be read as a TensorBoard event file; train again, or take it out of logs/")


def _hparams(event: Event) -> Iterator[Text]:
    """The names and values of hparams, which are a message of their own inside an event."""
    for value in event.summary.value:
        plugin = value.metadata.plugin_data
        if plugin.plugin_name == HPARAMS:
            yield from _message("hparams", HParamsPluginData.FromString(plugin.content))


def _written(suffix: str, text: str) -> Iterator[Text]:
    """A text file, and the names and values of JSON and YAML, in which no escape is left."""
    if suffix in (".json", ".ipynb"):
        yield from _json("text", text)
        return
    yield Text("text", text)
    if suffix in (".yaml", ".yml"):
        try:
            yield Text("text", "\n".join(_words(read_yaml(text))), Kind.VALUES)
        except yaml.YAMLError:
            return


def _json(place: str, text: str) -> Iterator[Text]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: [list(pair) for pair in pairs])  # keeps equal names
    except (ValueError, RecursionError):
        yield Text(place, text)
        return
    yield Text(place, text, Kind.BYTES)  # a password beside its name
    yield Text(place, "\n".join(_words(content)), Kind.VALUES)


def _words(content: Any) -> Iterator[str]:
    """Names and values of a tree of lists and mappings."""
    waiting = [content]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, bytes):
            yield from runs(node, 3)
        elif isinstance(node, dict):
            waiting += [*node.keys(), *node.values()]
        elif isinstance(node, (list, tuple, set)):
            waiting += node


def picture_texts(place: str, data: bytes) -> Iterator[Text]:
    """Notes of a picture: of a camera, of a program, before and behind the pixels."""
    if data.startswith(PNG):
        chunks = list(_chunks(data))
        for name, chunk in (*chunks, ("behind the pixels", _behind_pixels(chunks))):
            if name not in PIXELS:
                yield from _note(f"{place}note {name!r}", name, chunk)
        return
    with Image.open(io.BytesIO(data), formats=OTHER_PICTURES) as picture:
        for name, note in (*picture.info.items(), *getattr(picture, "applist", ())):
            yield from _note(f"{place}note {name!r}", "", note if isinstance(note, bytes) else str(note).encode())
    yield from (Text(f"{place}compressed", text, Kind.BYTES) for text in inflated(data))


def _note(place: str, chunk: str, note: bytes) -> Iterator[Text]:
    """A note of a picture; in PNG files that of a chunk."""
    kind = Kind.BYTES if chunk in COLOURS else Kind.PROSE
    plain = note.partition(b"\0")[0] if chunk == "iCCP" else note  # a name, and then a compressed profile
    for text in (plain.decode("utf-8", "replace"), *runs(plain, 3), *inflated(note)):
        yield Text(place, text, kind)


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of every chunk of a PNG file, and the bytes behind the last one."""
    start = len(PNG)
    while start + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[start : start + 8])
        yield name.decode("latin-1"), data[start + 8 : start + 8 + length]
        start += 12 + length
        if name == b"IEND":
            break
    if data[start:]:
        yield "behind the picture", data[start:]


def _behind_pixels(chunks: list[tuple[str, bytes]]) -> bytes:
    """What the chunks of the pixels of a PNG file hold behind the end of the pixels, in every frame of an animation."""
    frames = [bytearray()]
    for name, content in chunks:
        if name == "fcTL":  # a frame begins
            frames.append(bytearray())
        elif name in ("IDAT", "fdAT"):
            frames[-1] += content[4:] if name == "fdAT" else content  # behind the number of the chunk
    return b"\n".join(after_deflate(bytes(frame)) for frame in frames)


def _message(place: str, message: Any) -> Iterator[Text]:
    """Names and values of a protobuf message and of all messages in it, pictures of TensorBoard among them."""
    words: list[str] = []
    waiting: list[Any] = [message]
    while waiting:
        for field, value in waiting.pop().ListFields():
            for one in value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]:
                if hasattr(one, "ListFields"):
                    waiting.append(one)
                elif isinstance(one, str):
                    words.append(one)
                elif isinstance(one, bytes) and field.name == "encoded_image_string":
                    yield from picture_texts(f"{place}, ", one)
                elif isinstance(one, bytes) and field.name != "raw_data":  # numbers of tensors
                    words += [one.decode("utf-8", "replace"), *runs(one, 3)]
    yield Text(place, "\n".join(words))


def _table(file: pq.ParquetFile) -> Iterator[Text]:
    metadata, schema = file.metadata.metadata or {}, file.schema_arrow
    for name, value in (*metadata.items(), *(schema.metadata or {}).items()):
        yield Text("schema", f"{name.decode('utf-8', 'replace')}\n{value.decode('utf-8', 'replace')}")
    yield Text("schema", f"{file.schema}\n{schema.to_string(show_field_metadata=True, truncate_metadata=False)}")
    for batch in file.iter_batches():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            yield from _column(f"column {name}", column)


def _column(place: str, column: pa.Array) -> Iterator[Text]:
    """Words of a column of any type: in lists, records, maps, codes, and pictures."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        yield from _column(place, column.storage)
    elif pa.types.is_dictionary(kind):
        yield from _column(place, column.dictionary)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _column(f"{place}, {kind.field(index).name}", column.field(index))
    elif pa.types.is_map(kind):
        yield from _column(f"{place}, names", column.keys)
        yield from _column(f"{place}, values", column.items)
    elif pa.types.is_nested(kind):
        yield from _column(place, column.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield Text(place, "\n".join({value for value in column.to_pylist() if value}), Kind.VALUES)
    elif not pa.types.is_primitive(kind) and not pa.types.is_null(kind):
        for value in column.to_pylist():
            yield from _binary(place, value) if isinstance(value, bytes) else ()


def _binary(place: str, value: bytes) -> Iterator[Text]:
    try:
        yield from picture_texts(f"{place}, ", value)
    except (OSError, ValueError, SyntaxError):  # not a picture
        yield Text(place, value.decode("utf-8", "replace"))
        yield from (Text(place, text) for text in inflated(value))
    yield from (Text(place, text, Kind.BYTES) for text in runs(value))
