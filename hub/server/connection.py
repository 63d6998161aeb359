"""uvicorn's connection with the limits that it lacks: `uvicorn app:app --http app:Connection --backlog 16`.

uvicorn waits for ever for the rest of a request's head, and has no limit of open connections. With few descriptors, a
client that opens connections and sends nothing would keep everybody else out.

asyncio accepts as many connections at once as `--backlog` says, before it tells the first of them. With uvicorn's 2,048
it can run out of descriptors in between; then it writes a trace for each and accepts nobody for a second.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from .settings import Settings

HEAD_SECONDS = 10.0  # for the head of a request, also of the next one
LOOKS = 4  # at a connection, in this time
try:
    import resource

    DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
except ImportError:  # Windows, which has no such limit
    DESCRIPTORS = 2**20


class Connection(H11Protocol):
    """A connection that is closed when it waits too long for a request, or longest of too many.

    Attributes:
        settings: of the server; app.py sets them.
        in_use: whether uvicorn uses this class.
        since: when it began to wait for a request, by the clock of the event loop.
    """

    settings = Settings()
    in_use = False
    since: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; above the limit, make room."""
        super().connection_made(transport)
        Connection.in_use = True
        self.since = self.loop.time()
        self.loop.call_later(HEAD_SECONDS / LOOKS, self._look)
        # Several connections may arrive at once, before the first that is closed is gone.
        there = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        if len(there) > min(self.settings.connections, DESCRIPTORS // 4):
            waiting = [one for one in there if one.is_waiting]
            min(waiting, key=lambda one: one.since).transport.abort()  # itself, if all others are being answered

    @property
    def is_waiting(self) -> bool:
        """Whether its request is not complete yet."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def on_response_complete(self) -> None:
        """Start the clock for the next request."""
        self.since = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        """Close the connection if its time is over: for a head, or for a body, an answer and its delivery."""
        if self not in self.connections:
            return
        between = self.cycle is None or self.cycle.response_complete
        if self.loop.time() - self.since > (HEAD_SECONDS if between else 4 * self.settings.seconds + HEAD_SECONDS):
            self.transport.abort()  # `close` would wait until a client that does not read has read everything
        else:
            self.loop.call_later(HEAD_SECONDS / LOOKS, self._look)
