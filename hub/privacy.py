"""Nothing private is sent: event files are cleaned, and every staged file is searched.

TensorBoard's writer puts the host name into the name of an event file, and Trainer puts settings with their paths into
its texts; exporters put source paths into ONNX; image writers keep the notes of a camera. Staging makes copies without
them. The search proves it: it reads every staged file, not only those that are known to hold such things.
"""

import json
import re
import struct
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import onnx
import pyarrow.parquet as pq
from huggingface_hub import get_token
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.metadata import PLUGIN_NAME as HPARAMS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from hub.private_names import name_patterns
from hub.static_space import libraries
from pipeline.errors import InputError
from pipeline.run_folder import sha256

TEXT = (".md", ".json", ".yaml", ".txt", ".ipynb")
CODE = (".py", ".html", ".css", ".js", "Dockerfile", "LICENSE")
"""Ends of names of files that belong to the project and are the same for everybody who publishes."""
SECRETS = (
    r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}",  # Hugging Face
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS
    r"\bsk-[A-Za-z0-9_-]{20,}|\bAIza[\w-]{30,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\bBearer +[\w.~+/-]{16,}",
)
ROOTS = "home|Users|Volumes|root|tmp|var|opt|srv|mnt|media|private|data|usr|etc|content|kaggle|workspace|scratch|nfs"
SECRET = "a secret"
NAMES = "the user or host name"
AROUND = 24
"""Characters that are shown on both sides of a name, so that a reader can see whose it is."""


def clean_events(source: Path, target: Path) -> None:
    """Copy only the numbers, pictures and hparams of a TensorBoard event file; of texts among these only `recipe`.

    Raises:
        InputError: it is not an event file.
    """
    with target.open("wb") as file:
        writer = RecordWriter(file)
        for index, event in enumerate(_events(source)):
            values = [clean for value in event.summary.value if (clean := _clean_value(value)) is not None]
            if index == 0:
                writer.write(Event(wall_time=event.wall_time, file_version="brain.Event:2").SerializeToString())
            if values:
                kept = Event(wall_time=event.wall_time, step=event.step, summary=Summary(value=values))
                writer.write(kept.SerializeToString())


def _clean_value(value: Summary.Value) -> Summary.Value | None:
    if value.WhichOneof("value") == "image":
        return Summary.Value(tag=value.tag, image=value.image)
    if value.WhichOneof("value") == "simple_value":
        return Summary.Value(tag=value.tag, simple_value=value.simple_value)
    plugin = value.metadata.plugin_data
    if plugin.plugin_name != HPARAMS:
        return None
    kept = SummaryMetadata.PluginData(plugin_name=HPARAMS, content=_clean_hparams(plugin.content))
    return Summary.Value(tag=value.tag, metadata=SummaryMetadata(plugin_data=kept))


def _clean_hparams(content: bytes) -> bytes:
    """The names and values of hparams and metrics, without the texts, times and addresses that may stand beside."""
    data = HParamsPluginData.FromString(content)
    if data.HasField("experiment"):
        for name in ("name", "description", "user", "time_created_secs"):
            data.experiment.ClearField(name)
    if data.HasField("session_start_info"):
        start = data.session_start_info
        for name in ("model_uri", "monitor_url", "group_name", "start_time_secs"):
            start.ClearField(name)
        for name in [name for name, value in start.hparams.items() if value.WhichOneof("kind") == "string_value"]:
            if name != "recipe":
                del start.hparams[name]
    return bytes(data.SerializeToString(deterministic=True))


def _events(path: Path) -> Iterator[Event]:
    count = 0
    try:
        for record in RawEventFileLoader(str(path)).Load():  # ends at a record that a kill cut short
            yield Event.FromString(record)
            count += 1
    except Exception:  # protobuf's own, from a package that nothing else here needs
        count = 0
    if not count:
        raise InputError(f"{path} cannot be read as a TensorBoard event file; train again, or take it out of logs/")


def refuse_private(folder: Path, *public: str) -> None:
    """Read every file under `folder` and its name, and refuse what identifies a person, a machine or a secret.

    It searches for tokens and keys (by their patterns, and the token that is in use here), the names of user and host
    (see `hub.private_names`) except `public` ones such as owners of repositories, the home folder, and absolute paths.
    Code is not searched for names.

    Raises:
        InputError: something was found, or a file is of a kind that cannot be searched. A secret is not printed.
    """
    searches = _searches(folder, public)
    found: list[str] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        for place, text in ((name, name), *((f"{name}: {where}", t) for where, t in _texts(path))):
            hits = {what: hit for what, pattern in searches.items() if (hit := pattern.search(text))}
            if path.name.endswith(CODE):
                hits.pop(NAMES, None)
            found += [f"{what}{_shown(what, hit, SECRET in hits)} in {place}" for what, hit in hits.items()]
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        public_too = "; if that name may be published, add --public_name NAME" if NAMES in " ".join(found) else ""
        raise InputError(
            f"nothing was sent, because the staged folder contains {'; '.join(dict.fromkeys(found[:3]))}{more}"
            f"{public_too}"
        )


def _shown(what: str, hit: re.Match[str], beside_secret: bool) -> str:
    """What was found, but not a secret; a name with the text around it, if there is no secret in that text."""
    if what == SECRET:
        return ""
    if what != NAMES or beside_secret:
        return f" {hit.group()!r}"
    around = hit.string[max(hit.start() - AROUND, 0) : hit.end() + AROUND]
    return f" {hit.group()!r} ({' '.join(around.split())!r})"


def _searches(folder: Path, public: Collection[str]) -> dict[str, re.Pattern[str]]:
    secrets = [*SECRETS, *([re.escape(token)] if (token := get_token()) else [])]
    searches = {
        SECRET: re.compile("|".join(secrets)),
        "an absolute path": re.compile(
            rf"(?<![\w.:/~-])/(?:{ROOTS})/[\w.@-]|(?<!\w)[A-Za-z]:\\\\?\w|\bfile:/|(?<!\w)~/\w|(?<!\w)\\\\\\\\\w"
        ),
    }
    if len(home := str(Path.home())) > 2 and home != "/root":
        searches["the home folder"] = re.compile(rf"(?<![\w.]){re.escape(home)}(?![\w.-])")
    if names := name_patterns(folder, public):
        searches[NAMES] = re.compile("|".join(names), re.I)
    return searches


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of everything in a file that can contain words.

    Raises:
        InputError: a kind of file that publishing does not know.
    """
    if path.name.endswith((*TEXT, *CODE, ".gitattributes")):
        yield "text", path.read_text(encoding="utf-8", errors="replace")
    elif path.suffix == ".safetensors":
        yield "header", _safetensors_header(path)
    elif path.suffix == ".png":
        yield from _picture_texts(path)
    elif path.suffix == ".onnx":
        yield "graph", _onnx_text(path)
    elif path.suffix == ".parquet":
        yield from _parquet_texts(path)
    elif ".tfevents." in path.name:
        for event in _events(path):
            yield "events", str(_without_pictures(event))
            yield from (("hparams", _hparams_text(value)) for value in event.summary.value)
    elif sha256(path) in libraries.FILES.values():
        return  # a library, the same for everybody
    else:
        raise InputError(f"{PurePosixPath(path.name)}: a file of this kind cannot be searched and is not published")


def _safetensors_header(path: Path) -> str:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.dumps(json.loads(file.read(length)), ensure_ascii=False)


def _picture_texts(path: Path) -> Iterator[tuple[str, str]]:
    with Image.open(path, formats=("PNG",)) as picture:
        picture.load()  # notes may stand behind the pixels
        for key, value in picture.info.items():
            yield f"note {key!r}", value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _without_pictures(event: Event) -> Event:
    for value in event.summary.value:
        if value.WhichOneof("value") == "image":
            value.image.encoded_image_string = b""
    return event


def _hparams_text(value: Summary.Value) -> str:
    """The texts among the hparams of a value, which `str` of the event shows as escaped bytes."""
    plugin = value.metadata.plugin_data
    if plugin.plugin_name != HPARAMS:
        return ""
    start = HParamsPluginData.FromString(plugin.content).session_start_info
    return "\n".join(f"{name}: {each.string_value}" for name, each in start.hparams.items())


def _onnx_text(path: Path) -> str:
    """The model as text without the numbers of its tensors."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.ClearField("int32_data")
        tensor.ClearField("int64_data")
    return str(model)


def _parquet_texts(path: Path) -> Iterator[tuple[str, str]]:
    table = pq.ParquetFile(path).read()
    yield "schema", str(table.schema.metadata)
    for name in table.column_names:
        if table.schema.field(name).type in ("string", "large_string"):
            yield f"column {name}", "\n".join({v for v in table[name].to_pylist() if v})
