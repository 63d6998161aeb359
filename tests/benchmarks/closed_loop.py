"""Clients in a closed loop: each keeps its connection and sends the next picture when the last one is answered."""

import asyncio
import re
import time
from dataclasses import dataclass

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """The picture, when the answer ended and how long it took (in seconds), the HTTP status and the body."""

    picture: int
    ended: float
    seconds: float
    status: int
    body: bytes


def load(port: int, pictures: list[bytes], clients: int, seconds: float) -> list[Answer]:
    """The answers that `clients` get in `seconds`; `ended` counts from the start. Run it in its own process."""
    return asyncio.run(_load(port, pictures, clients, seconds))


async def _load(port: int, pictures: list[bytes], clients: int, seconds: float) -> list[Answer]:
    head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n"
    requests = [head.format(len(picture)).encode() + picture for picture in pictures]
    answers: list[Answer] = []
    began = time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < began + seconds:
            writer.write(requests[number % len(requests)])
            answered = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(answered)
            assert length, answered
            body = await reader.readexactly(int(length[1]))
            ended = time.perf_counter()
            answers.append(Answer(number % len(requests), ended - began, ended - started, int(answered[9:12]), body))
            number += clients
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return answers
