"""Servers that are not the Hub: each answers every request on the loopback in its own wrong way."""

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ4sT6vW8"
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x1b[2J"
Answer = Callable[[socket.socket, str], None]


def reply(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def says(status: str, body: bytes, *headers: str, length: int | None = None) -> Answer:
    """One answer to everything, which then closes the connection."""
    return lambda client, _: client.sendall(reply(status, body, "Connection: close", *headers, length=length))


def _drip(client: socket.socket, data: bytes) -> None:
    for at in range(len(data)):
        client.sendall(data[at : at + 1])
        time.sleep(0.05)


def body_by_bytes(client: socket.socket, _: str) -> None:
    client.sendall(reply("200 OK", b"", length=100_000))
    _drip(client, b"x" * 100_000)


def head_by_bytes(client: socket.socket, _: str) -> None:
    _drip(client, reply("200 OK", b"{}", f"X-Long: {'x' * 50_000}"))


def endless(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def again(client: socket.socket, path: str) -> None:
    client.sendall(reply("302 Found", b"", f"Location: {path}x"))


def silence(client: socket.socket, _: str) -> None:
    threading.Event().wait(600)


def bomb() -> bytes:
    """1 MB of gzip that becomes 1 GB."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # the same bytes again unpack again
    return head + 1000 * block + packer.flush()


JSON = "Content-Type: application/json"
ANSWERS: dict[str, Answer] = {
    "page of a network's login": says(
        "200 OK", b"<html><title>Please log in</title></html>", "Content-Type: text/html"
    ),
    "list": says("200 OK", b"[1, 2]", JSON),
    "text": says("200 OK", b'"hello"', JSON),
    "number": says("200 OK", b"7", JSON),
    "null": says("200 OK", b"null", JSON),
    "object of something else": says("200 OK", b'{"name": ["a"], "orgs": 3, "sha": {}}', JSON),
    "not utf-8": says("200 OK", b"\xff\xfe{", JSON),
    "deep": says("200 OK", b"[" * 100_000, JSON),
    "compressed": says("200 OK", b"\x1f\x8b\x08" + bytes(100), "Content-Encoding: gzip"),
    "compressed otherwise": says("200 OK", b"x" * 100, "Content-Encoding: zstd"),
    "a byte at a time": body_by_bytes,
    "a byte of the head at a time": head_by_bytes,
    "endless": endless,
    "round and round": again,
    "to another protocol": says("302 Found", b"", "Location: file:///etc/hostname"),
    "to nowhere": says("302 Found", b"", "Location: http://[::1"),
    "500 with escapes": says("500 Oh", ESCAPES.encode(), f"X-Error-Message: {ESCAPES}"),
    "403 with escapes": says("403 No", b"", f"X-Error-Message: no\t{ESCAPES}"),
    "400 with escapes in JSON": says("400 No", b'{"error": "\\u001b[31mred\\u001b[2J"}', JSON),
    "429 for a year": says("429 Slow", b"", "Retry-After: 31536000"),
    "503 for a year": says("503 Slow", b"", "Retry-After: 31536000"),
    "half": says("200 OK", b'{"name":', length=1000),
    "closed": lambda client, _: None,
    "length that is none": lambda client, _: client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
    "no HTTP": lambda client, _: client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n"),
}


@contextmanager
def hostile_hub(answer: Answer, seen: list[str] | None = None) -> Iterator[str]:
    """The address of a server that answers every request by `answer`; the heads that it got are added to `seen`."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError, IndexError):
            head = b""
            while b"\r\n\r\n" not in head and (part := client.recv(1 << 16)):
                head += part
            if seen is not None:
                seen.append(head.decode("latin-1"))
            answer(client, head.split()[1].decode("latin-1"))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()
