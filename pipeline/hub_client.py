"""The client of the Hub within limits: a server that is silent, slow, endless or not the Hub is given up.

`huggingface_hub` waits for an answer for ever, unpacks whatever is compressed, and sends the token as it is. One client
serves all of its requests, those of `datasets` and `transformers` too, so the limits are set in one place.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub import snapshot_download
from huggingface_hub.utils import hf_raise_for_status
from huggingface_hub.utils._http import default_client_factory  # its hooks keep HF_HUB_OFFLINE and request ids

from pipeline.errors import InputError

TIMEOUT = httpx2.Timeout(120.0, connect=20.0)
"""Seconds of silence after which a request counts as lost."""
GRACE, SLOWEST = 30.0, 1000.0
"""An answer that has come for so many seconds must have come with so many bytes a second, on average."""
LONGEST_WAIT = 330.0
"""Seconds that the client waits at most when it is asked to; the Hub counts requests in windows of 300."""
FILE_NAME = re.compile(r'(W/)?"?[\w+=-][\w.:+=-]*"?')
"""What an answer may call a file: the client keeps it in its cache under this name."""
LARGEST = 100_000_000
"""Bytes of an answer that is not a file of known size."""


def limit_requests() -> None:
    """Give the requests of this process limits, and check the token that they will carry.

    Raises:
        InputError: the token has a character that no token has; it is not printed.
    """
    token = huggingface_hub.get_token() or ""
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError(
            "the token of the Hub has a space, a line break or a letter that no token has: copy it again (HF_TOKEN, or "
            "`hf auth login`)"
        )
    huggingface_hub.set_client_factory(_client)


def snapshot(name: str, **options: Any) -> Path:
    """`snapshot_download`, and every file is held against the hash that the Hub announced: its client compares sizes.

    The client keeps a file under that hash: the SHA-256 of a large file, that of git for another one. A file without a
    link to such a name (on Windows, where only some users may make links) is not compared.

    Raises:
        AnswerError: a file has another hash; it is removed from the cache.
        Exception: the client raises many kinds.
    """
    folder = Path(snapshot_download(name, **options))
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() and file.is_file() and (announced := file.readlink().name) not in _hashes(file, announced):
            file.resolve().unlink()
            file.unlink()
            raise AnswerError(
                f"{file.relative_to(folder).as_posix()} is not the file that the Hub announced (its hash differs): "
                "run the same command again"
            )
    return folder


def _hashes(file: Path, announced: str) -> tuple[str, ...]:
    """The hashes that `file` may be announced by; any name that is not a hash is among them."""
    size = file.stat().st_size
    if re.fullmatch("[0-9a-f]{64}", announced):
        digests = [hashlib.sha256()]
    elif re.fullmatch("[0-9a-f]{40}", announced):
        digests = [hashlib.sha1(b"blob %d\0" % size), hashlib.sha1()]  # of git, and of some mirrors of the Hub
    else:
        return (announced,)
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            for digest in digests:
                digest.update(part)
    return tuple(digest.hexdigest() for digest in digests)


def _client() -> httpx2.Client:
    client = default_client_factory()
    client.timeout = TIMEOUT
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks["response"].append(_limit_answer)
    for transport in (client._transport, *client._mounts.values()):  # those of proxies too; httpx2 has no other way
        if isinstance(transport, httpx2.HTTPTransport):
            pool: Any = transport._pool
            pool._network_backend = _Backend(pool._network_backend)
    return client


def _limit_answer(response: httpx2.Response) -> None:
    """Refuse a compressed answer, which nobody asked for, and a long wait; count the bytes of one without a size.

    Raises:
        AnswerError: it is compressed, or one of its hashes would be a path.
        HfHubHTTPError: it asks to wait for longer than `LONGEST_WAIT`; the client would sleep for so long.
    """
    for name in ("ETag", "X-Linked-ETag", "X-Repo-Commit"):  # the client names files of its cache by them
        if not FILE_NAME.fullmatch(response.headers.get(name, "none")):
            raise AnswerError(f"the answer has a {name} that names no file of a cache")
    packed = response.headers.get("Content-Encoding", "identity")
    if packed != "identity":
        raise AnswerError(f"the answer is compressed ({packed[:20]!r}), which was not asked for")
    is_file = "Content-Length" in response.headers and not response.url.path.startswith("/api/")
    if not is_file:
        response.stream = _Counted(response.stream)
    if response.url.path.startswith("/api/"):
        _refuse_path(response)
    asked = f"t={response.headers.get('Retry-After', '')} {response.headers.get('RateLimit', '')}"
    if response.is_error and any(float(seconds) > LONGEST_WAIT for seconds in re.findall(r"t=(\d+)", asked)):
        response.read()
        hf_raise_for_status(response)


def _refuse_path(response: httpx2.Response) -> None:
    """The client keeps a snapshot under the commit `sha` of a description; it must not lead out of the cache."""
    response.read()
    try:
        described = response.json()
    except (ValueError, RecursionError):
        return  # whoever asked says what is wrong with it
    commit = described.get("sha") if isinstance(described, dict) else None
    if commit is not None and not (isinstance(commit, str) and FILE_NAME.fullmatch(commit)):
        raise AnswerError("the answer has a commit that names no file of a cache")


class AnswerError(httpx2.ProtocolError):
    """An answer that no Hub gives, so that no further try would help."""


class _Counted(httpx2.SyncByteStream):
    """The body of an answer, which ends with an error at `LARGEST` bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        for part in self._stream:
            count += len(part)
            if count > LARGEST:
                raise AnswerError(f"the answer is larger than {LARGEST / 1e6:.0f} MB")
            yield part

    def close(self) -> None:
        self._stream.close()


class _Backend:
    """A network backend of httpcore2 whose connections are watched."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def connect_tcp(self, *words: Any, **named: Any) -> "_Connection":
        return _Connection(self._backend.connect_tcp(*words, **named))


class _Connection:
    """A connection that is given up when an answer comes too slowly: head or body, a byte at a time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._began: float | None = None
        self._received = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def start_tls(self, *words: Any, **named: Any) -> "_Connection":
        return _Connection(self._stream.start_tls(*words, **named))

    def write(self, *words: Any, **named: Any) -> None:
        self._began, self._received = None, 0
        self._stream.write(*words, **named)

    def read(self, *words: Any, **named: Any) -> bytes:
        part: bytes = self._stream.read(*words, **named)
        now = time.monotonic()
        self._began = self._began or now
        self._received += len(part)
        if part and now - self._began > GRACE and self._received < SLOWEST * (now - self._began):
            raise AnswerError(f"the answer came with fewer than {SLOWEST:.0f} bytes a second")
        return part
