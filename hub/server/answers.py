"""From the body of a request to its answer: decode, cut faces out, ask the model, draw."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import bodies
import faces
import numpy as np
from batching import Batcher
from engine import Model, ranked, to_scores
from pictures import decode
from preprocessing import Pixels
from refusal import Refused
from settings import Settings

FILES_AT_ONCE = 8  # that hold their faces in memory at once: of each, `max_faces` can be waiting for the model
NO_FACE = "No face was found. Take a photo from the front, in good light, with the whole face in it."
T = TypeVar("T")


@dataclass
class Service:
    """All that a request needs."""

    settings: Settings
    model: Model
    finder: faces.Finder | None
    batcher: Batcher
    pool: ThreadPoolExecutor
    files: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_AT_ONCE))

    async def apart(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function` in a thread; not begun any more if the client leaves before."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)


async def classify(service: Service, body: bytes, content_type: str) -> list[dict[str, Any]]:
    """Scores of a face that is cut out, best first."""
    model = service.model

    def read() -> tuple[bodies.Question, Pixels]:
        question = bodies.read_question(body, content_type)
        return question, model.prepare(decode(question.picture, service.settings.max_pixels))

    with service.batcher.coming():
        question, pixels = await service.apart(read)
    logits = (await service.batcher(pixels[None]))[0]
    return ranked(model.classes, to_scores(logits, question.function_to_apply or model.function), question.top_k)


async def read_file(service: Service, upload: bodies.Upload, explain: bool) -> dict[str, Any] | Refused:
    """The entry of a file, or why it cannot be read; waits while `FILES_AT_ONCE` others are being read."""
    async with service.files:
        return await _read_file(service, upload, explain)


async def _read_file(service: Service, upload: bodies.Upload, explain: bool) -> dict[str, Any] | Refused:
    started = time.perf_counter()
    model, settings, finder = service.model, service.settings, service.finder
    assert finder is not None

    def read() -> tuple[tuple[int, ...], list[faces.Cut], Pixels | None]:
        photo = decode(upload.content, settings.max_pixels)
        cuts = finder(photo, max(model.size), model.align, settings.max_faces)
        pixels = np.stack([model.prepare(cut.picture) for cut in cuts]) if cuts else None
        return photo.shape, cuts, pixels

    try:
        with service.batcher.coming():
            (height, width, _), cuts, pixels = await service.apart(read)
    except Refused as refusal:
        return refusal
    shown = [] if pixels is None else await _faces(service, cuts, pixels, settings.max_maps if explain else 0)
    return {
        "name": upload.name,
        "width": width,
        "height": height,
        "milliseconds": round(1000 * (time.perf_counter() - started), 1),
        "message": None if shown else NO_FACE,
        "faces": shown,
    }


async def _faces(service: Service, cuts: list[faces.Cut], pixels: Pixels, maps: int) -> list[dict[str, Any]]:
    """The entries of a picture's faces; the first `maps` with a map."""
    model = service.model
    scores = to_scores(await service.batcher(pixels), model.function)
    return [
        {
            "box": [round(edge, 2) for edge in cut.box],
            "detection": round(cut.detection, 4),
            "scores": ranked(model.classes, scores[number]),
            "crop": await service.apart(faces.draw, cut.picture),
            "map": await _map(service, cut, scores[number]) if number < maps else None,
        }
        for number, cut in enumerate(cuts)
    ]


async def _map(service: Service, cut: faces.Cut, scores: Any) -> str:
    """The map of what the model's first answer needs, asked for in parts, so that others come in between."""
    model, best = service.model, int(scores.argmax())
    pictures, left = faces.covered(cut.picture), []
    for start in range(0, len(pictures), service.settings.batch):
        part = pictures[start : start + service.settings.batch]
        pixels = await service.apart(lambda part=part: np.stack([model.prepare(picture) for picture in part]))
        left += to_scores(await service.batcher(pixels), model.function)[:, best].tolist()
    return await service.apart(lambda: faces.draw_map(faces.needed(float(scores[best]), left, *cut.picture.shape[:2])))


def unread(upload: bodies.Upload, refusal: Refused) -> dict[str, Any]:
    """The entry of a file that cannot be read, among others that can."""
    message = f"It cannot be read: {refusal.reason}"
    return {"name": upload.name, "width": None, "height": None, "milliseconds": 0.0, "message": message, "faces": []}
