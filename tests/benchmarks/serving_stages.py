"""Where the app spends its time: milliseconds of CPU time and of wall time in each stage of an answer.

    python -m tests.benchmarks.serving_stages MODEL [--pictures PATH] [--clients 1 8 32] [--seconds 8]

The app runs in this process, its clients in another. The CPU time of a stage is measured in its thread. The rest of the
process's CPU time belongs to the model, whose threads are those of onnxruntime or torch. `waiting` is the rest of the
wall time of an answer: waiting for a thread, a core or a batch, and the loopback network.
"""

import asyncio
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import uvicorn

from hub.server import answers
from pipeline.cores import cores
from tests.benchmarks.closed_loop import load
from tests.benchmarks.serving import free_port, parse, read_pictures


class Stages:
    """Seconds of CPU time and of wall time by stage."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.clock: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*words: Any, **named: Any) -> Any:
            cpu, clock = time.thread_time(), time.perf_counter()
            try:
                return function(*words, **named)
            finally:
                self.cpu[stage] += time.thread_time() - cpu
                self.clock[stage] += time.perf_counter() - clock

        return measured


async def measure(clients: list[int], pictures: list[bytes], seconds: float) -> None:
    """Print one row per stage, for each number of clients."""
    from hub.server.app import app  # reads FER_MODEL

    stages, port = Stages(), free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=True))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    service = app.state.service
    model = service.model
    service.model = replace(model, prepare=stages.timed("resize, normalize", model.prepare))
    service.batcher._run = stages.timed("model", service.batcher._run)
    answers.read_picture = stages.timed("decode", answers.read_picture)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        loop = asyncio.get_running_loop()
        for count in clients:
            await loop.run_in_executor(processes, load, port, pictures, count, 1.0)
            stages.cpu.clear(), stages.clock.clear()
            batches, rows = service.batcher.batches, service.batcher.rows
            everything, here = time.process_time(), time.thread_time()
            answered = await loop.run_in_executor(processes, load, port, pictures, count, seconds)
            stages.cpu["HTTP, routing, queue, JSON"] = time.thread_time() - here
            named = ("HTTP, routing, queue, JSON", "decode", "resize, normalize")
            stages.cpu["model"] = time.process_time() - everything - sum(stages.cpu[name] for name in named)
            together = (service.batcher.rows - rows) / (service.batcher.batches - batches)
            stages.clock["model"] *= together  # each picture waits for its whole batch
            stages.clock["HTTP, routing, queue, JSON"] = stages.cpu["HTTP, routing, queue, JSON"]
            stages.clock["waiting"] = sum(one.seconds for one in answered) - sum(stages.clock.values())
            report(count, len(answered), len(answered) / seconds, together, stages)
    server.should_exit = True
    await serving


def report(clients: int, answers: int, rate: float, together: float, stages: Stages) -> None:
    print(f"\n{clients} clients: {rate:.1f} requests a second, {together:.1f} pictures a batch\n")
    print("| stage | ms of CPU | share | ms of the clock | share |\n|---|---|---|---|---|")
    sums = [sum(kind.values()) for kind in (stages.cpu, stages.clock)]
    for stage in ("HTTP, routing, queue, JSON", "decode", "resize, normalize", "model", "waiting"):
        cells = [
            f"{1000 * kind[stage] / answers:.2f} | {kind[stage] / total:.0%}"
            for kind, total in zip((stages.cpu, stages.clock), sums, strict=True)
        ]
        print(f"| {stage} | {' | '.join(cells)} |")
    print(f"| all | {1000 * sums[0] / answers:.2f} | | {1000 * sums[1] / answers:.2f} | |")


def main() -> None:
    """Measure and print."""
    words = parse(__doc__, 8).parse_args()
    os.environ["FER_MODEL"] = str(words.model)
    print(f"{words.model.name}, {cores()} cores")
    asyncio.run(measure(words.clients, read_pictures(words.pictures), words.seconds))


if __name__ == "__main__":
    main()
