"""Clients that send nothing, half a head or two lengths, or that do not read: nobody else is kept out."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from hub.server.guard import Guard, Message, Receive, Scope, Send
from hub.server.settings import Settings
from tests.hostile import files

ROOT = Path(__file__).parents[2]
FEW = 128  # descriptors
PICTURE = files.png(8, 8, data=b"\0\0" * 8)
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, subprocess.Popen]]:
    """The server as a person starts it, in a process that may open few files and waits a second for a head."""
    model = files.model_folder(tmp_path_factory.mktemp("hostile") / "model")
    code = (
        f"import sys, resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW}, {FEW}))\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from hub.server import connection; connection.HEAD_SECONDS = 3.0\n"
        "import uvicorn.main; uvicorn.main.main()\n"
    )
    words = [
        "app:app",
        "--app-dir",
        str(ROOT / "hub" / "server"),
        "--http",
        "app:Connection",
        "--backlog",
        "16",
        "--port",
        "0",
    ]
    environment = os.environ | {"FER_MODEL": str(model), "FER_THREADS": "1", "FER_SECONDS": "20"}
    log = model.parent / "log"
    with log.open("w") as said:
        command = [sys.executable, "-c", code, *words]
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=said, stderr=said)
    try:
        while not (started := re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield int(started[1]), process
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in log.read_text() and "warning" not in log.read_text()


@pytest.fixture
def port(server: tuple[int, subprocess.Popen]) -> int:
    return server[0]


def answer(port: int) -> int:
    return httpx2.post(f"http://127.0.0.1:{port}", content=PICTURE, timeout=60, trust_env=False).status_code


def test_two_hundred_idle_connections_at_128_descriptors_keep_nobody_out(port: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 400:
        pytest.skip("this process may open too few files itself")
    with ExitStack() as opened:
        for number in range(200):
            idle = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            idle.sendall((b"", HEAD, HEAD + b"Content-Length: 9000\r\n\r\nab")[number % 3])
        assert answer(port) == 200
    assert answer(port) == 200


def test_of_too_many_connections_the_one_that_waits_longest_goes_first(port: int) -> None:
    with ExitStack() as opened:

        def idle() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2))

        first = idle()
        time.sleep(0.1)
        others = []
        for _ in range(FEW // 4):
            others.append(idle())
            time.sleep(0.01)  # more at once than --backlog would wait a second
        began = time.monotonic()
        with suppress(ConnectionResetError):
            assert first.recv(1) == b""
        assert time.monotonic() - began < 1, "long before its own time is over"
        others[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert others[-1].recv(4096).startswith(b"HTTP/1.1 200")


def test_half_a_head_is_closed_also_when_it_comes_slowly(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
        slow.sendall(HEAD)
        slow.settimeout(0.2)
        for _ in range(300):
            try:
                if slow.recv(1) == b"":
                    return
            except TimeoutError:
                slow.sendall(b"A")
            except OSError:
                return
            time.sleep(0.1)
    raise AssertionError("the connection was never closed")


def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as both:
        both.sendall(
            HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
        )
        said = b""
        while part := both.recv(4096):
            said += part
    assert said.startswith(b"HTTP/1.1 400") and said.count(b"HTTP/1.1") == 1
    assert b"both Content-Length and Transfer-Encoding" in said


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 3\r\nContent-Length: 4\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: x, chunked\r\n"],
)
def test_other_doubtful_lengths_are_refused(port: int, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as doubtful:
        doubtful.sendall(HEAD + head + b"\r\nabcd")
        assert doubtful.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 501")


def test_a_server_that_was_stopped_and_goes_on_answers_what_came_meanwhile(
    server: tuple[int, subprocess.Popen],
) -> None:
    port, process = server
    process.send_signal(signal.SIGSTOP)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as waiting:
            waiting.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(PICTURE), PICTURE))
            waiting.settimeout(0.3)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            process.send_signal(signal.SIGCONT)
            waiting.settimeout(60)
            assert waiting.recv(12) == b"HTTP/1.1 200"
    finally:
        process.send_signal(signal.SIGCONT)
    assert answer(port) == 200


CLIENT = """
import socket, sys
head, picture = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as server:
    server.sendall(head + picture[:9])
    print("half", flush=True)
    sys.stdin.readline()
    server.sendall(picture[9:])
    print(server.recv(12).decode())
"""


def test_a_client_that_is_stopped_in_its_picture_keeps_nobody_out(port: int) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURE)
    command = [sys.executable, "-c", CLIENT, str(port), head.hex(), PICTURE.hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "half\n"
        client.send_signal(signal.SIGSTOP)
        assert answer(port) == 200
        client.send_signal(signal.SIGCONT)
        assert client.communicate("go on\n", timeout=60)[0] == "HTTP/1.1 200\n"


def test_a_server_without_these_limits_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message["status"] == 200

    guard = Guard(app, Settings())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    for _ in range(2):
        asyncio.run(guard(scope, receive, send))
    assert capsys.readouterr().err.count("--http app:Connection --backlog 16") == 1
