"""From the body of a request to its answer: decode, crop the faces, run the model, draw."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from pipeline.pictures import Fault, UnusablePicture, decode

from . import bodies, faces
from .batching import Batcher
from .contract import Refused
from .engine import Model, ranked, to_scores
from .expected import unsure
from .preprocessing import Picture, Pixels
from .settings import Settings

FILES_AT_ONCE = 8  # files whose faces are in memory at the same time, up to `max_faces` of each
SENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
"""Formats that cameras and browsers send. The others that training reads are refused: less code faces strangers."""
REFUSALS = {
    Fault.EMPTY: (400, "{reason}: no picture was sent"),
    Fault.NO_FILE: (400, "{reason}"),
    Fault.DAMAGED: (400, "{reason}: the picture cannot be decoded to its end"),
    Fault.TOO_LARGE: (413, "{reason}{size}"),
    Fault.TOO_SLOW: (413, "{reason}{size}"),
    Fault.FORMAT: (415, "{reason}, or damaged in its first bytes"),
    Fault.TOO_DEEP: (415, "{reason}"),
}
"""HTTP status and message for each fault of a picture."""
NO_FACE = "No face was found. Take a photo from the front, in good light, with the whole face in it."
T = TypeVar("T")


@dataclass
class Service:
    """Everything that answers a request."""

    settings: Settings
    model: Model
    finder: faces.Finder | None
    batcher: Batcher
    pool: ThreadPoolExecutor
    files: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_AT_ONCE))

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run `function` in a thread of the pool; if the client leaves first, it is never started."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)


async def classify(service: Service, body: bytes, content_type: str) -> list[dict[str, Any]]:
    """Scores of a cropped face, best first."""
    model = service.model

    def read() -> tuple[bodies.Question, Pixels]:
        question = bodies.read_question(body, content_type)
        return question, model.prepare(read_picture(question.picture, service.settings.max_pixels))

    with service.batcher.coming():
        question, pixels = await service.in_thread(read)
    logits = (await service.batcher(pixels[None]))[0]
    best = ranked(model.classes, to_scores(logits, question.function_to_apply or model.function), question.top_k)
    return [*unsure(to_scores(logits, model.function), service.settings.not_sure_below), *best]


def read_picture(content: bytes, max_pixels: int) -> Picture:
    """The picture `(H, W, 3) uint8` RGB, upright by its EXIF tag.

    Raises:
        Refused: 400 for nothing or damaged data, 413 for too large or too slow a picture, 415 for another format or
            more than 8 bits per channel.
    """
    try:
        return np.asarray(decode(content, max_pixels, SENT))
    except UnusablePicture as error:
        status, message = REFUSALS[error.fault]
        size = f" ({error.size[0]} x {error.size[1]})" if error.size else ""
        raise Refused(status, message.format(reason=error, size=size)) from None


async def read_file(service: Service, upload: bodies.Upload, explain: bool) -> dict[str, Any] | Refused:
    """The entry of a file, or why it is refused; waits while `FILES_AT_ONCE` other files are being read."""
    async with service.files:
        return await _read_file(service, upload, explain)


async def _read_file(service: Service, upload: bodies.Upload, explain: bool) -> dict[str, Any] | Refused:
    started = time.perf_counter()
    model, settings, finder = service.model, service.settings, service.finder
    assert finder is not None

    def read() -> tuple[tuple[int, ...], list[faces.Cut], Pixels | None]:
        photo = read_picture(upload.content, settings.max_pixels)
        cuts = finder(photo, max(model.size), model.align, settings.max_faces)
        pixels = np.stack([model.prepare(cut.picture) for cut in cuts]) if cuts else None
        return photo.shape, cuts, pixels

    try:
        with service.batcher.coming():
            (height, width, _), cuts, pixels = await service.in_thread(read)
    except Refused as refusal:
        return refusal
    maps = settings.max_maps if explain and model.ranges is None else 0  # scores have no first answer to explain
    shown = [] if pixels is None else await _faces(service, cuts, pixels, maps)
    return {
        "name": upload.name,
        "width": width,
        "height": height,
        "milliseconds": round(1000 * (time.perf_counter() - started), 1),
        "message": None if shown else NO_FACE,
        "faces": shown,
    }


async def _faces(service: Service, cuts: list[faces.Cut], pixels: Pixels, maps: int) -> list[dict[str, Any]]:
    """The entries of a picture's faces; only the first `maps` get a map."""
    model = service.model
    scores = to_scores(await service.batcher(pixels), model.function)
    return [
        {
            "box": [round(edge, 2) for edge in cut.box],
            "detection": round(cut.detection, 4),
            "scores": ranked(model.classes, scores[number]),
            "sure": not unsure(scores[number], service.settings.not_sure_below),
            "crop": await service.in_thread(faces.draw, cut.picture),
            **(await _map(service, cut, scores[number]) if number < maps else {"map": None, "map_fall": None}),
        }
        for number, cut in enumerate(cuts)
    ]


async def _map(service: Service, cut: faces.Cut, scores: Any) -> dict[str, Any]:
    """The map of what the best class depends on; computed in batches, so that other requests run in between."""
    model, best = service.model, int(scores.argmax())
    pictures, left = faces.covered(cut.picture), []
    for start in range(0, len(pictures), service.settings.batch):
        part = pictures[start : start + service.settings.batch]
        pixels = await service.in_thread(lambda part=part: np.stack([model.prepare(picture) for picture in part]))
        left += to_scores(await service.batcher(pixels), model.function)[:, best].tolist()
    need, fall = faces.needed(float(scores[best]), left, *cut.picture.shape[:2])
    return {"map": await service.in_thread(faces.draw_map, need), "map_fall": round(fall, 4)}


def unread(upload: bodies.Upload, refusal: Refused) -> dict[str, Any]:
    """The entry of a file that is refused while other files of the request are answered."""
    message = f"It cannot be read: {refusal.reason}"
    return {"name": upload.name, "width": None, "height": None, "milliseconds": 0.0, "message": message, "faces": []}
