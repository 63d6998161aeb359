"""Fresh processes for clients: a script that must end well, and the app while a client asks it."""

import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.errors import InputError

APP = Path(__file__).resolve().parents[1] / "server"
SECONDS = 900
"""After this time a client that does not answer is given up."""


def run(command: list[str], name: str, work: Path, environment: Mapping[str, str]) -> None:
    """Run a client's script in the folder `work`.

    Raises:
        InputError: it ends in an error, or does not end in time.
    """
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=dict(environment),
            stdin=subprocess.DEVNULL,  # a library that asks on the console gets no answer
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{name} gave no answer in {SECONDS} s; ask about fewer pictures") from None
    if done.returncode:
        raise InputError(f"{name} does not work with this folder: {_reason(done.stderr, 'Error', done.returncode)}")


@contextmanager
def serve(model: str, revision: str | None, environment: Mapping[str, str], python: str) -> Iterator[str]:
    """The address of the app, which shows `model` in its own process until the block ends.

    Raises:
        InputError: it does not start; the message has its own reason.
    """
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        port = unused.getsockname()[1]
    words = [python, "-m", "uvicorn", "app:app", "--app-dir", str(APP), "--http", "app:Connection", "--backlog", "16"]
    words += ["--host", "localhost", "--port", str(port)]
    others = {name: value for name, value in environment.items() if not name.startswith("FER_")}
    shown = {"FER_MODEL": model} | ({"FER_REVISION": revision} if revision else {})
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        server = subprocess.Popen(words, env=others | shown, stdout=log, stderr=log)
        try:
            address = f"http://localhost:{port}"
            _wait_for(f"{address}/health", server, log)
            yield address
        finally:
            server.terminate()
            server.wait(SECONDS)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: IO[str]) -> None:
    """Return when `address` answers.

    Raises:
        InputError: the server ended, or it takes longer than SECONDS.
    """
    for _ in range(10 * SECONDS):
        if server.poll() is not None:
            log.seek(0)
            raise InputError(
                f"the app does not work with this folder: {_reason(log.read(), 'cannot start', server.returncode)}"
            )
        try:
            urllib.request.urlopen(address, timeout=SECONDS).close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise InputError(f"the app did not start in {SECONDS} s")


def _reason(output: str, mark: str, code: int) -> str:
    """The line of a process's output that says why it ended: the last with `mark`, or the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [f"exit code {code}"]
    return ([line for line in lines if mark in line] or lines)[-1]
