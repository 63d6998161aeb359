"""Settings of the server: each field of `Settings` is an environment variable, `FER_` and its name in capitals."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from pipeline.errors import InputError

PREFIX = "FER_"
HUB = "https://huggingface.co"


def _setting(default: Any, help: str, least: float = 1) -> Any:
    return field(default=default, metadata={"help": help, "least": least})


@dataclass(frozen=True)
class Settings:
    """The defaults suit 2 cores, 2 GB of memory, and a server that only this machine can reach."""

    model: str = _setting("", "run folder, published folder or Hub id; without it nothing starts")
    revision: str = _setting("", "branch, tag or commit of a Hub id")
    face_detector: str = _setting("", "weights of YuNet: a file or a folder; default: the file beside app.py")
    threads: int = _setting(0, "threads of the engine, and the same number for decoding; 0: one per core", 0)
    batch: int = _setting(32, "largest number of pictures that go through the model together")
    batch_milliseconds: float = _setting(4.0, "milliseconds that a picture waits for others that are being decoded", 0)
    max_bytes: int = _setting(32 * 2**20, "largest body of a request, in bytes")
    max_held_bytes: int = _setting(256 * 2**20, "largest sum of all bodies in memory; above it requests get 503")
    max_pixels: int = _setting(40_000_000, "largest picture, in pixels; checked before it is decoded")
    max_files: int = _setting(16, "largest number of files in a request")
    max_faces: int = _setting(32, "faces per picture that are answered, the largest first")
    max_maps: int = _setting(4, "faces per picture that get a map with `explain`, the largest first", 0)
    seconds: float = _setting(30.0, "seconds until the whole body must be here, and again until its answer", 0.01)
    queue: int = _setting(64, "largest number of running and waiting requests; above it they get 503")
    hosts: str = _setting(
        "localhost,127.0.0.1,[::1]", "host names that the server answers to, separated by commas; * for any"
    )
    connections: int = _setting(
        256, "largest number of open connections; above it the one that has waited longest for its request is closed", 8
    )
    class_shares: str = _setting(
        "", "class shares that scores are for: uniform, or JSON with a share for each class; default: as trained"
    )
    class_shares_tau: float = _setting(1.0, "how far scores go to FER_CLASS_SHARES, above 0 and at most 1", 0)
    not_sure_below: float = _setting(
        0.0, 'a face whose highest score is below this gets the answer "not sure"; 0 always answers, 1 is the most', 0
    )
    frames: str = _setting("", "origins whose pages may show this one in a frame, separated by commas")
    origins: str = _setting("", "origins whose pages may call the API (CORS), separated by commas; * for any")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environment`. The host name of a Space, which the Hub puts into SPACE_HOST, is added to `hosts`.

    Raises:
        InputError: a value is not a number or too small, or a name is nearly that of a setting.
    """
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    for name in sorted(environment.keys() - known.keys()):
        if name.startswith(PREFIX) and (meant := get_close_matches(name, known, 1, 0.8)):
            raise InputError(f"{name} is not a setting; did you mean {meant[0]}?")
    values: dict[str, Any] = {}
    for name, f in known.items():
        text = environment.get(name)
        if text is None:
            continue
        kind: Any = type(f.default)
        try:
            value = kind(text)
        except ValueError:
            raise InputError(
                f"{name} is {text!r}, which is not a number such as {f.default} ({f.metadata['help']})"
            ) from None
        if kind is not str and not value >= f.metadata["least"]:
            raise InputError(f"{name} is {text}, but must be at least {f.metadata['least']} ({f.metadata['help']})")
        values[f.name] = value
    if "SPACE_HOST" in environment:
        values["hosts"] = f"{values.get('hosts', Settings.hosts)},{environment['SPACE_HOST']}"
        values.setdefault("frames", HUB)  # it shows every Space in a frame
    return Settings(**values)


def listed(text: str) -> tuple[str, ...]:
    """The names in a comma-separated setting."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
