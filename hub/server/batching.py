"""Dynamic batching: pictures of several requests go through the model together."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Item:
    pixels: Array
    answer: "asyncio.Future[Array]"


class Batcher:
    """Collects waiting pictures in order and runs the model on them in its own thread.

    A picture waits for others only while some are announced (`coming`) but not here yet, at most `wait` seconds. So a
    single request does not wait at all. Pictures that arrive while the model runs form the next batch. The queue has no
    limit of its own: the guard limits how many requests are answered at once.
    """

    def __init__(self, run: Callable[[Array], Array], rows: int, wait: float) -> None:
        """Start the worker.

        Args:
            run: takes `(B, 3, H, W)` and returns `(B, K)`.
            rows: largest batch; an item with more rows is a batch by itself.
            wait: seconds.
        """
        self._run, self._rows, self._wait = run, rows, wait
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._next: _Item | None = None
        self._coming = 0
        self._unanswered: set[asyncio.Future[Array]] = set()
        self._thread = ThreadPoolExecutor(1, "model")
        self._work = asyncio.create_task(self._forever())
        self.batches = 0
        self.rows = 0

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Announce a picture while it is being decoded: batches wait for it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def __call__(self, pixels: Array) -> Array:
        """Logits `(B, K)` of `pixels` `(B, 3, H, W)`; raises what the model raised."""
        item = _Item(pixels, asyncio.get_running_loop().create_future())
        self._unanswered.add(item.answer)
        item.answer.add_done_callback(self._unanswered.discard)
        self._queue.put_nowait(item)
        return await item.answer

    async def close(self) -> None:
        """Stop, and cancel every item that has no answer yet."""
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work
        for answer in list(self._unanswered):
            answer.cancel()
        self._thread.shutdown()

    async def _forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [item for item in await self._collect() if not item.answer.done()]  # its client may have left
            if not batch:
                continue
            try:
                rows = np.concatenate([item.pixels for item in batch])
                logits = await loop.run_in_executor(self._thread, self._run, rows)
            except Exception as error:
                for item in batch:
                    if not item.answer.done():
                        item.answer.set_exception(error)
                continue
            self.batches += 1
            self.rows += len(rows)
            _deliver(batch, logits)

    async def _collect(self) -> list[_Item]:
        """The next batch: items in the queue, and items that arrive within `wait`."""
        batch = [self._next or await self._queue.get()]
        self._next = None
        rows = len(batch[0].pixels)
        until = asyncio.get_running_loop().time() + self._wait
        while rows < self._rows:
            item = await self._one_more(until)
            if item is None:
                break
            rows += len(item.pixels)
            if rows > self._rows:
                self._next = item
                break
            batch.append(item)
        return batch

    async def _one_more(self, until: float) -> _Item | None:
        with suppress(asyncio.QueueEmpty):
            return self._queue.get_nowait()
        left = until - asyncio.get_running_loop().time()
        if not self._coming or left <= 0:
            return None
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._queue.get(), left)
        return None


def _deliver(batch: list[_Item], logits: Array) -> None:
    start = 0
    for item in batch:
        end = start + len(item.pixels)
        if not item.answer.done():
            item.answer.set_result(logits[start:end])
        start = end
