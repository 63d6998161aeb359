"""Where the time of the app goes: milliseconds of CPU that each stage of an answer takes, and of the clock.

    python -m tests.benchmarks.serving_stages MODEL [--pictures PATH] [--clients 1 8 32] [--seconds 8]

The app runs here, its clients in another process. Stages are measured by the thread that they run in; what is left of
the process's CPU time is the model's, whose threads are onnxruntime's or torch's own. Of the clock, `waiting` is what
is left of an answer's time: for a thread, a core or a batch, and on the loopback.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import uvicorn

from pipeline.training.machine import cores
from tests.benchmarks.closed_loop import load
from tests.benchmarks.serving import free_port, parse, read_pictures
from tests.conftest import ROOT

sys.path.append(str(ROOT / "hub" / "server"))


class Stages:
    """CPU and clock seconds by stage."""

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
    """Print a row a stage and number of clients."""
    import answers
    from app import app

    stages, port = Stages(), free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=True))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    service = app.state.service
    model = service.model
    service.model = replace(model, prepare=stages.timed("resize, normalize", model.prepare))
    service.batcher._run = stages.timed("model", service.batcher._run)
    answers.decode = stages.timed("decode", answers.decode)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        loop = asyncio.get_running_loop()
        for count in clients:
            await loop.run_in_executor(processes, load, port, pictures, count, 1.0)
            stages.cpu.clear(), stages.clock.clear()
            batches, rows = service.batcher.batches, service.batcher.rows
            everything, here = time.process_time(), time.thread_time()
            served = await loop.run_in_executor(processes, load, port, pictures, count, seconds)
            stages.cpu["HTTP, routing, queue, JSON"] = time.thread_time() - here
            named = ("HTTP, routing, queue, JSON", "decode", "resize, normalize")
            stages.cpu["model"] = time.process_time() - everything - sum(stages.cpu[name] for name in named)
            together = (service.batcher.rows - rows) / (service.batcher.batches - batches)
            stages.clock["model"] *= together  # each picture waits for its whole batch
            stages.clock["HTTP, routing, queue, JSON"] = stages.cpu["HTTP, routing, queue, JSON"]
            stages.clock["waiting"] = sum(one.seconds for one in served) - sum(stages.clock.values())
            report(count, len(served), len(served) / seconds, together, stages)
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
