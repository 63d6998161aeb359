"""Names of the user and the host in a staged folder, apart from words that anybody's release has.

People are called Max, Will or May, and machines `data` or `model`. A name is searched for as a word, unless anybody's
release has that word: in the project's own texts, in what a processor, an operator or a tensor is called, or among the
classes. Such a name is searched for only as a part of a path or of an address.
"""

import getpass
import json
import re
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import onnx

from pipeline.run_folder import CONFIG, ENVIRONMENT, PREPROCESSOR, WEIGHTS

PROJECT = Path(__file__).parents[1]
OWN_TEXTS = ("hub/**/*.py", "hub/**/*.jinja", "pipeline/**/*.py", "requirements.txt", "LICENSE")
"""Texts of the project that a card and the files beside it are made of. Recipes are not: people write their own."""
DESCRIBED = ("system", "processor", "device", "packages")
"""Fields of environment.json that say what a machine is, and never whose."""
NAMES_NOBODY = {"root", "user", "admin", "ubuntu", "docker", "runner", "jovyan", "localhost"}
"""Names that machines have by default: they identify nobody, and any text may contain them."""
PLACES = (
    r"(?<!\w){name}(?!\w)",
    r"(?<=[/\\]){name}(?![\w.])|(?<![\w.-]){name}(?=[/\\])|(?<!\w){name}@\w|\w@{name}(?!\w)",
)
"""Where a name may stand, widest first: as a word; as a part of a path or of an address."""


def name_patterns(folder: Path, public: Collection[str]) -> list[str]:
    """Patterns that find the names of the user and the host in texts of `folder`, except `public` names."""
    host = socket.gethostname()
    names = {_user(), host, host.partition(".")[0]}
    known = NAMES_NOBODY | {name.lower() for name in public}
    searched = sorted(name for name in names if len(name) > 2 and name.lower() not in known)
    if not searched:
        return []
    common = "\n".join(_texts_of_anybody(folder))
    return [pattern for name in searched if (pattern := _pattern(name, common))]


def _pattern(name: str, common: str) -> str | None:
    """The widest pattern that does not match in any release; None if all do."""
    patterns = (place.replace("{name}", re.escape(name)) for place in PLACES)
    return next((pattern for pattern in patterns if not re.search(pattern, common, re.I)), None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return ""


def _texts_of_anybody(folder: Path) -> Iterator[str]:
    """Texts that would be in such a release whoever publishes it."""
    for pattern in OWN_TEXTS:
        yield from (path.read_text(encoding="utf-8") for path in sorted(PROJECT.glob(pattern)))
    yield from (schema.name for schema in onnx.defs.get_all_schemas())
    yield from _tensor_names(folder / WEIGHTS)
    environment, config = _json(folder / ENVIRONMENT), _json(folder / CONFIG)
    yield json.dumps({name: environment.get(name) for name in DESCRIBED})
    yield from (*config, *_json(folder / PREPROCESSOR), *map(str, config.get("id2label", {}).values()))


def _tensor_names(weights: Path) -> list[str]:
    """Words of the names of tensors, apart, because a name with dots would pass for a path."""
    if not weights.is_file():
        return []
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    return [word for name in header if name != "__metadata__" for word in name.split(".")]


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content
