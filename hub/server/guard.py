"""ASGI middleware in front of the app: which hosts are served, and limits on bytes, time and running requests."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from pipeline.errors import InputError

from .connection import Connection
from .contract import Refused
from .settings import Settings, listed

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SOON = 2  # seconds after which a client may try again
DISCARDED = 4  # times max_bytes: so much is read and dropped, so that a client that is still sending can read the error
# The page may show pictures that it made or received, and may only connect to this server. Nothing inline runs.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ClientLeft(Exception):  # noqa: N818 (an event, not an error)
    """The client closed its connection."""


class Guard:
    """Reads the whole body, within limits of bytes and time, before the app sees a request; limits running requests.

    A slow client only costs its own bytes: it takes no place in the queue and no thread.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._hosts = {host.lower() for host in listed(settings.hosts)}
        policy = " ".join([POLICY, *listed(settings.frames)])
        headers = HEADERS | {"Content-Security-Policy": policy}
        self._headers = [(name.encode(), value.encode("latin-1", "ignore")) for name, value in headers.items()]
        self._held = 0
        self._running = 0
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._start(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Report in one line, without a trace, why the app cannot start."""

        async def in_a_line(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                last = message["message"].strip().splitlines()[-1]
                name, _, reason = last.partition(": ")
                if name.endswith(InputError.__name__):
                    message = {**message, "message": f"cannot start: {reason}"}
            await send(message)

        await self._app(scope, receive, in_a_line)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        self._warn_without_limits()
        held = [0]
        try:
            self._check_host(scope)
            _check_framing(scope)
            body = await self._body(scope, receive, held)
            await self._run(scope, body, receive, sending)
        except ClientLeft:
            return
        except Refused as refusal:
            if not started:
                await _refuse(sending, refusal)
        finally:
            self._held -= held[0]

    def _warn_without_limits(self) -> None:
        """Say once, at the first request, that the server was started without the limits of connections."""
        if not (self._warned or Connection.in_use):
            self._warned = True
            print(
                "warning: nothing limits idle connections; start uvicorn with --http app:Connection --backlog 16, or "
                "keep a proxy in front that does",
                file=sys.stderr,
                flush=True,
            )

    def _check_host(self, scope: Scope) -> None:
        """Prevent DNS rebinding: a web page that reaches a local server through its own host name."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if "*" not in self._hosts and name not in self._hosts:
            raise Refused(400, "this server does not answer to that host name; add it to FER_HOSTS if it should")

    async def _body(self, scope: Scope, receive: Receive, held: list[int]) -> bytes:
        """The whole body; `held[0]` counts its bytes, which `max_held_bytes` limits over all requests."""
        limit = self._settings.max_bytes
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        too_large = Refused(413, f"the body is too large: at most {limit:,} bytes are read")
        if len(announced) > 18 or int(announced) > DISCARDED * limit:
            raise too_large
        parts: list[bytes] = []
        total = 0
        try:
            async with asyncio.timeout(self._settings.seconds):
                async for part in _parts(receive):
                    total += len(part)
                    if total > DISCARDED * limit:
                        break
                    if total > limit:
                        self._held -= held[0]
                        held[0] = 0
                        parts.clear()
                        continue
                    self._hold(held, len(part))
                    parts.append(part)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive in {self._settings.seconds:g} s") from None
        if total > limit:
            raise too_large
        return b"".join(parts)

    def _hold(self, held: list[int], more: int) -> None:
        if self._held + more > self._settings.max_held_bytes:
            raise Refused(503, "too much is being sent at once; try again", SOON)
        self._held += more
        held[0] += more

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the app until it answers, the client leaves, or the time is over."""
        if scope["method"] != "POST":
            with suppress(TimeoutError):  # of a client that does not read its answer
                async with asyncio.timeout(self._settings.seconds):
                    await self._app(scope, _replayed(body), send)
            return
        if self._running >= self._settings.queue:
            raise Refused(503, f"{self._running} requests are waiting already; try again", SOON)
        self._running += 1
        answer = asyncio.ensure_future(self._app(scope, _replayed(body), send))
        gone = asyncio.ensure_future(receive())
        try:
            done, _ = await asyncio.wait(
                {answer, gone}, timeout=self._settings.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if answer in done:
                await answer
            elif gone in done:
                raise ClientLeft
            else:
                raise Refused(503, f"no answer in {self._settings.seconds:g} s; try again", SOON)
        finally:
            self._running -= 1
            for task in (answer, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task


def _check_framing(scope: Scope) -> None:
    """Refuse a body with two lengths: a proxy may go by the other one, and see another request (RFC 9112, 6.3)."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        refusal = Refused(400, "the body has both Content-Length and Transfer-Encoding: send one of them")
        refusal.headers["Connection"] = "close"
        raise refusal


async def _parts(receive: Receive) -> Any:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _replayed(body: bytes) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()  # the guard itself notices a client that leaves
            raise ClientLeft
        return message

    return receive


async def _refuse(send: Send, refusal: Refused) -> None:
    body = json.dumps({"error": refusal.reason}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": named})
    await send({"type": "http.response.body", "body": body})
