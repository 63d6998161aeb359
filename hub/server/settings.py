"""What can be set, all of it by environment variables: `FER_` and the name of a field of `Settings` in capitals."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from refusal import CannotStart

PREFIX = "FER_"


def _setting(default: Any, help: str, least: float = 1) -> Any:
    return field(default=default, metadata={"help": help, "least": least})


@dataclass(frozen=True)
class Settings:
    """The defaults suit two cores and 2 GB of memory, and a server that only this machine can reach."""

    model: str = _setting("", "run folder, published folder or Hub id; without it nothing starts")
    revision: str = _setting("", "branch, tag or commit of a Hub id")
    face_detector: str = _setting("", "weights of YuNet: file or folder; else the file beside app.py")
    threads: int = _setting(0, "of the engine, and as many that decode; 0: as many as there are cores", 0)
    batch: int = _setting(32, "pictures that go through the model together, at most")
    batch_milliseconds: float = _setting(4.0, "that a picture waits for others that are being decoded", 0)
    max_bytes: int = _setting(32 * 2**20, "of the body of a request")
    max_held_bytes: int = _setting(256 * 2**20, "of all bodies together; beyond it requests get 503")
    max_pixels: int = _setting(40_000_000, "of a picture, looked at before it is decoded")
    max_files: int = _setting(16, "of a request")
    max_faces: int = _setting(32, "of a picture, the largest")
    max_maps: int = _setting(4, "faces of a picture that `explain` draws a map for, the largest", 0)
    seconds: float = _setting(30.0, "until a body must have arrived, and from then until its answer", 0.01)
    queue: int = _setting(64, "requests that are being answered, waiting ones among them; beyond it they get 503")
    hosts: str = _setting("localhost,127.0.0.1,[::1]", "names that the server answers to, by commas; * for any")
    origins: str = _setting("", "origins whose pages may call the API (CORS), by commas; * for any")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment. A Space's own name, which the Hub gives in SPACE_HOST, is one of `hosts`.

    Raises:
        CannotStart: a value is no number, or too small; or a name that is nearly one of these, and none of them.
    """
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    for name in sorted(environment.keys() - known.keys()):
        if name.startswith(PREFIX) and (meant := get_close_matches(name, known, 1, 0.8)):
            raise CannotStart(f"{name} is no setting; {meant[0]} is")
    values: dict[str, Any] = {}
    for name, f in known.items():
        text = environment.get(name)
        if text is None:
            continue
        kind: Any = type(f.default)
        try:
            value = kind(text)
        except ValueError:
            raise CannotStart(f"{name} is {text!r}: {f.metadata['help']}; a number, as {f.default}") from None
        if kind is not str and not value >= f.metadata["least"]:
            raise CannotStart(f"{name} is {text}: {f.metadata['help']}; at least {f.metadata['least']}")
        values[f.name] = value
    if "SPACE_HOST" in environment:
        values["hosts"] = f"{values.get('hosts', Settings.hosts)},{environment['SPACE_HOST']}"
    return Settings(**values)


def listed(text: str) -> tuple[str, ...]:
    """The names of a setting that holds several."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
