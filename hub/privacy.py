"""Nothing private is sent: event files are cleaned, and every staged file is searched.

TensorBoard's writer puts the host name into the name of an event file, and Trainer puts settings with their paths into
its texts; exporters put source paths into ONNX; image writers keep the notes of a camera. Staging makes copies without
them. The search proves it: it reads every staged file, not only those that are known to hold such things.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from huggingface_hub import get_token
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.metadata import PLUGIN_NAME as HPARAMS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from hub.file_texts import CODE, Kind, Text, read_events, texts_of
from hub.private_names import name_patterns
from hub.readings import readings
from hub.secret_rules import secrets_in, without_secrets
from pipeline.errors import InputError, printable
from pipeline.run_folder import sha256

ROOTS = (
    r"home|homes|Users|Volumes|root|tmp|var|opt|srv|mnt|media|private|usr|etc|content|kaggle|workspace|workspaces|nfs|net"
    r"|data\w*|scratch\w*|lscratch|gpfs\w*|lustre\w*|beegfs\w*|ceph\w*|afs|efs|fsx|pfs|dbfs|glade|cluster\w*|shared?|storage\d*"
    r"|projects?|work\d*|export\d*|nas\w*|volume\d*|vol\d+|disks?\d*|ssd\d*|nvme\w*|raid\d*|teamspace|notebooks|Network"
    r"|run/user|dev/shm|local"
)
"""Folders at the root of personal machines, of clusters and of notebooks on rented ones."""
SCHEMES = (
    r"s3[an]?|gs|gcs|abfss?|wasbs?|adl|az|(?:web)?hdfs|dbfs|smb|cifs|nfs|afp|sftp|scp|ssh|rsync|r2|oss|cosn?|b2|dvc"
    """Schemes of addresses that only some people can open."""
)
PATH = re.compile(
    rf"(?<![\w./~-])/(?:{ROOTS})/[\w.@-]|(?<!\w)[A-Za-z]:\\\\?\w|(?<!\w)[A-Z]:/\w|\bfile:/|(?<!\w)~/\w"
    r"|(?<![\w\\])\\\\(?:\\\\)?[\w.$-]{2,}\\{1,2}[\w$.-]"
)
STORE = re.compile(rf"\b(?:{SCHEMES}):/+\w")
WHOLE_PATH = re.compile(r"(?m)^/[^\s/]+(?:/[^/\n]+)+/?$")
"""A value that is a path from the root, whatever its first folder."""
SURE_PATH = re.compile(rf"(?<![\w./~-])/(?:{ROOTS})/[\w.@-]{{3,}}/|\bfile:///\w")
"""What no row of numbers looks like by chance."""
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
        for index, event in enumerate(read_events(source)):
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


def refuse_private(folder: Path, *public: str, known: Collection[str] = ()) -> None:
    """Read every file under `folder` and its name, and refuse what identifies a person, a machine or a secret.

    It searches for tokens and keys (`hub.secret_rules`), the token that is in use here, the names of user and host
    (`hub.private_names`) except `public` ones such as owners of repositories, the home folder, and absolute paths; in
    every reading of every text (`hub.file_texts`, `hub.readings`). Code is not searched for names. A file whose
    sha256 is in `known` is public already: its name is searched, and not its content.

    Raises:
        InputError: something was found, or a file is of a kind that cannot be searched. A secret is not printed.
    """
    search = _Search(folder, public)
    found: list[str] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        found += search.found_in([Text("", name)], name)
        if not known or sha256(path) not in known:
            found += search.found_in(texts_of(path), name)
    if found:
        unique = list(dict.fromkeys(found))
        more = f", and {len(unique) - 3} more" if len(unique) > 3 else ""
        public_too = "; if that name may be published, add --public_name NAME" if NAMES in " ".join(found) else ""
        raise InputError(
            f"nothing was sent, because the staged folder contains {'; '.join(unique[:3])}{more}{public_too}"
        )


class _Search:
    """What is searched for in a folder: by name, which texts it is searched for in."""

    def __init__(self, folder: Path, public: Collection[str]) -> None:
        self.token = get_token()
        names = name_patterns(folder, public)
        home = str(Path.home())
        self.patterns: list[tuple[str, re.Pattern[str], Collection[Kind]]] = [
            ("an absolute path", PATH, (Kind.PROSE, Kind.VALUES)),
            ("an address that only some people can open", STORE, (Kind.PROSE, Kind.VALUES)),
            ("an absolute path", WHOLE_PATH, (Kind.VALUES,)),
            ("an absolute path", SURE_PATH, (Kind.BYTES,)),
        ]
        if len(home) > 2 and home != "/root":
            pattern = re.compile(rf"(?<![\w.]){re.escape(home)}(?![\w.-])")
            self.patterns.append(("the home folder", pattern, tuple(Kind)))
        if names:
            self.patterns.append((NAMES, re.compile("|".join(names), re.I), (Kind.PROSE, Kind.VALUES)))

    def found_in(self, texts: Iterable[Text], file: str) -> Iterator[str]:
        """What was found in the texts of a file, in words that do not hold a secret."""
        for place, text, kind in texts:
            for reading in readings(text):
                secret = self._secret(reading)
                where = f"{self._shown(file)}: {self._shown(place)}" if place else self._shown(file)
                if secret:
                    yield f"{SECRET} in {where} ({secret})"
                for what, pattern, kinds in self.patterns:
                    code = what == NAMES and file.endswith(CODE)
                    if kind in kinds and not code and (hit := pattern.search(reading)):
                        yield f"{what} {_around(what, hit, secret is not None)} in {where}"

    def _secret(self, text: str) -> str | None:
        if self.token and self.token in text:
            return "the token that is in use here"
        return next((name for name, _ in secrets_in(text)), None)

    def _shown(self, place: str) -> str:
        """A file or a place in it, without secrets and on one line."""
        shown = without_secrets(place.replace(self.token, "***") if self.token else place)
        is_hidden = any(self._secret(reading) for reading in readings(shown))
        return printable("***" if is_hidden else shown)


def _around(what: str, hit: re.Match[str], beside_secret: bool) -> str:
    """What was found; a name with the text around it, unless that text holds a secret."""
    if what != NAMES or beside_secret:
        return repr(hit.group()[:AROUND])
    around = hit.string[max(hit.start() - AROUND, 0) : hit.end() + AROUND]
    return f"{hit.group()!r} ({' '.join(around.split())!r})"
