"""Parse request bodies in memory: nothing is written to disk, and no URL is fetched."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from .contract import FIELD, FUNCTIONS, MULTIPART, TOP_K, Refused


@dataclass(frozen=True)
class Question:
    """A picture's bytes and how to answer; with `function_to_apply` None, the model's config decides."""

    picture: bytes
    top_k: int = TOP_K
    function_to_apply: str | None = None


@dataclass(frozen=True)
class Upload:
    """A file of a form."""

    name: str
    content: bytes


def read_question(body: bytes, content_type: str) -> Question:
    """A body in either form of the Hub's API: the picture's bytes under any type, or JSON with base64 and parameters.

    Raises:
        Refused: 415 for a form, 400 for invalid JSON, 422 for JSON that does not follow the contract.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Refused(415, f"{kind} belongs to POST /predict; here the body is the picture itself, or JSON")
    if kind != "application/json":
        return Question(body)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON, but its Content-Type says so") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("inputs"), str):
        raise Refused(422, 'JSON must be {"inputs": "<base64 of a picture>", "parameters": {...}}')
    _only(asked, ("inputs", "parameters"), "field")
    parameters = asked.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Refused(422, "parameters must be an object")
    _only(parameters, ("top_k", "function_to_apply"), "parameter")
    return Question(_from_base64(asked["inputs"]), _top_k(parameters), _function(parameters))


def read_files(body: bytes, content_type: str, max_files: int) -> list[Upload]:
    """The files of a form, in its order.

    Raises:
        Refused: 415 for another type, 400 for a damaged form, 413 for too many files, 422 for no file or other fields.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind.decode("latin-1").lower() != MULTIPART:
        raise Refused(415, f"send the pictures as {MULTIPART}, in the field {FIELD!r}")
    if not boundary:
        raise Refused(400, f"{MULTIPART} without a boundary")
    form = _Form(max_files)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise Refused(400, "the form is damaged") from None
    if not form.whole:
        raise Refused(400, "the form ends before its last boundary")
    if not form.uploads:
        raise Refused(422, f"no file: send one or more in the field {FIELD!r}")
    return form.uploads


class _Form:
    """Collects the parser's events into files."""

    def __init__(self, max_files: int) -> None:
        self.max_files = max_files
        self.uploads: list[Upload] = []
        self.whole = False
        self._header = [b"", b""]
        self._disposition = b""
        self._content = bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.uploads) == self.max_files:
            raise Refused(413, f"too many files: at most {self.max_files} in a request")
        self._disposition, self._content = b"", bytearray()

    def _add(self, place: int, more: bytes) -> None:
        self._header[place] += more

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        field = options.get(b"name", b"").decode(errors="replace")
        if field != FIELD:
            raise Refused(422, f"the form may only have the field {FIELD!r}, not {field[:40]!r}")
        if b"filename" not in options:
            raise Refused(422, f"the field {FIELD!r} has no file name: send files, not text")
        self.uploads.append(Upload(options[b"filename"].decode(errors="replace"), bytes(self._content)))

    def _finish(self) -> None:
        self.whole = True


def _from_base64(text: str) -> bytes:
    if text[:8].lower().startswith(("http:", "https:")):
        raise Refused(422, "URLs are not fetched: send the picture itself as base64")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "inputs is not base64") from None


def _top_k(parameters: dict[str, Any]) -> int:
    top_k = parameters.get("top_k")
    if top_k is None:
        return TOP_K
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise Refused(422, "top_k must be a whole number, at least 1")
    return top_k


def _function(parameters: dict[str, Any]) -> str | None:
    function = parameters.get("function_to_apply")
    if function is not None and function not in FUNCTIONS:
        raise Refused(422, f"function_to_apply must be one of {', '.join(FUNCTIONS)}")
    return function


def _only(given: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Refused(422, f"unknown {what} {unknown[0][:40]!r}; known: {', '.join(known)}")
