"""A folder over HTTP, as `python -m http.server` serves it, that also is the proxy for all other hosts and keeps a log.

A browser that is told to use it as its proxy can reach nothing else, so the log has every request that it makes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""What the `custom_headers` of the Space make the Hub send; with them a page may use threads."""


@dataclass(frozen=True)
class Asked:
    """A request: method, address (a path, or a whole address of another host), bytes of its body and of its answer."""

    method: str
    address: str
    body: int
    answered: int


@dataclass
class Recorder:
    """A served folder: its address, and the requests so far."""

    port: int
    log: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def proxy(self) -> list[str]:
        """Options of Chromium: every request goes through this server, those to localhost too."""
        return [f"--proxy-server=http://127.0.0.1:{self.port}", "--proxy-bypass-list=<-loopback>"]

    def foreign(self) -> list[str]:
        """Addresses of other hosts that were asked for."""
        return [asked.address for asked in self.log if not asked.address.startswith("/")]


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, recorder: Recorder, headers: dict[str, str], *words: object, directory: str) -> None:
        self.recorder, self.more = recorder, headers
        super().__init__(*words, directory=directory)

    def do_GET(self) -> None:  # noqa: N802 (named by http.server)
        where = urlsplit(self.path)
        if where.netloc == f"localhost:{self.recorder.port}":
            self.path = where.path + (f"?{where.query}" if where.query else "")
        if not self.path.startswith("/"):
            self.send_error(502)
            return
        super().do_GET()

    def refuse(self) -> None:
        """Read the body, so that it is counted, and refuse."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_error(502)

    do_POST = do_PUT = do_CONNECT = do_OPTIONS = refuse  # noqa: N815

    def end_headers(self) -> None:
        for name, value in self.more.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        file = Path(self.translate_path(self.path))
        answered = file.stat().st_size if int(code) == 200 and file.is_file() else 0
        body = int(self.headers.get("Content-Length") or 0)
        self.recorder.log.append(Asked(self.command, self.path, body, answered))

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A browser that closes leaves answers half sent."""


@contextmanager
def recording(folder: Path, headers: dict[str, str] | None = None) -> Iterator[Recorder]:
    """Serve `folder` until the block ends, with these headers."""
    recorder = Recorder(0)
    handler = partial(_Handler, recorder, headers or {}, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        recorder.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield recorder
        finally:
            server.shutdown()
