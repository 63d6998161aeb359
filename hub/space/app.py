"""One small app that is page, API and Space.

    FER_MODEL=runs/NAME uvicorn app:app --app-dir hub/space --host localhost --port 8000

`POST /` speaks the contract of the Hub's inference; `POST /predict` finds the faces of photos first. All settings are
environment variables, listed in settings.py. Pictures are kept in memory while they are answered, and nowhere else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import bodies
import faces
import numpy as np
from batching import Batcher
from engine import Model, Pixels, cores, load_model, ranked, to_scores
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, Response
from guard import POLICY, Guard
from pictures import decode
from pydantic import BaseModel
from refusal import CannotStart, Refused
from settings import Settings, listed, read_settings
from starlette.exceptions import HTTPException

PAGE = Path(__file__).resolve().parent / "page.html"
NO_FACE = "No face was found. Take a photo from the front, in good light, with the whole face in it."
NO_DETECTOR = (
    f"this server finds no faces, as it has no detector: put {faces.crop.YUNET} from {faces.crop.YUNET_PAGE} beside "
    "app.py, or its path into FER_FACE_DETECTOR; POST / takes a face that is cut out already"
)
T = TypeVar("T")


class Failure(BaseModel):
    """Why there is no answer."""

    error: str


class Score(BaseModel):
    """A class and its score; by softmax scores are shares that sum to 1 over all classes."""

    label: str
    score: float


class Face(BaseModel):
    """A face: where it is, in pixels of the upright photo, how sure the detector is, and what the model answers."""

    box: tuple[float, float, float, float]
    detection: float
    scores: list[Score]
    crop: str
    map: str | None


class File(BaseModel):
    """A picture and its faces, largest first; `message` says why there are none. An unreadable one has no size."""

    name: str
    width: int | None
    height: int | None
    milliseconds: float
    message: str | None
    faces: list[Face]


class Prediction(BaseModel):
    """What `POST /predict` answers."""

    classes: list[str]
    files: list[File]


class Example(BaseModel):
    """A drawn face to try: what it shows, and where it is, from here."""

    name: str
    src: str


class Health(BaseModel):
    """What runs here."""

    status: Literal["ok"]
    model: str
    engine: Literal["onnxruntime", "torch"]
    classes: list[str]
    height: int
    width: int
    detector: bool
    max_bytes: int
    max_files: int
    max_pixels: int


@dataclass
class Service:
    """All that a request needs."""

    settings: Settings
    model: Model
    finder: faces.Finder | None
    batcher: Batcher
    pool: ThreadPoolExecutor

    async def apart(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function` in a thread; not begun any more if the client leaves before."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)


def create_app(settings: Settings) -> FastAPI:
    """The app; its model is loaded when it starts."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        threads = settings.threads or cores()
        weights = faces.find_weights(settings.face_detector)
        finder = faces.Finder(weights) if weights else None
        model = await asyncio.to_thread(load_model, settings.model, settings.revision, threads)
        batcher = Batcher(model.run, settings.batch, settings.batch_milliseconds / 1000)
        with ThreadPoolExecutor(threads, "pictures") as pool:
            app.state.service = Service(settings, model, finder, batcher, pool)
            yield
            await batcher.close()

    app = FastAPI(
        title="Facial expression recognition",
        description="Names what a face shows, not what a person feels. Pictures are not kept, on disk or in a log.",
        version="1",
        lifespan=life,
    )
    app.add_middleware(Guard, settings=settings)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=listed(settings.origins), allow_methods=["GET", "POST"])
    _add_failures(app)
    _add_routes(app)
    return app


def _add_failures(app: FastAPI) -> None:
    """Whatever goes wrong is told as the Hub tells it: `{"error": reason}`."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": error.reason}, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 422)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed; its log says why"}, 500)


REASONS = {
    400: "A damaged picture or body, or a host name that is not served.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or files.",
    415: "No picture of a kind that is read, or another Content-Type.",
    422: "A wrong or unknown parameter or field.",
    500: "The server failed.",
    503: "Too many requests at once: try again after the seconds in Retry-After.",
}
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": reason} for status, reason in REASONS.items()
}
QUESTION: dict[str, Any] = {
    "required": True,
    "description": "A face that is cut out: its bytes, or JSON with its base64 and parameters.",
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "additionalProperties": False,
                "properties": {
                    "inputs": {"type": "string", "format": "byte", "description": "base64, never an address"},
                    "parameters": {
                        "type": ["object", "null"],
                        "additionalProperties": False,
                        "properties": {
                            "top_k": {"type": ["integer", "null"], "minimum": 1, "default": bodies.TOP_K},
                            "function_to_apply": {
                                "type": ["string", "null"],
                                "enum": [*bodies.FUNCTIONS, None],
                                "description": "null: what the model's config says",
                            },
                        },
                    },
                },
            }
        },
    },
}
FORM: dict[str, Any] = {
    "required": True,
    "content": {
        bodies.MULTIPART: {
            "schema": {
                "type": "object",
                "required": [bodies.FIELD],
                "additionalProperties": False,
                "properties": {
                    bodies.FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    }
                },
            }
        }
    },
}


def _add_routes(app: FastAPI) -> None:
    @app.get(
        "/",
        response_class=FileResponse,
        responses={200: {"content": {"text/html": {}}}, 404: {"model": Failure, "description": "It is not here."}},
    )
    async def page() -> Response:
        """The page."""
        if not PAGE.exists():
            raise Refused(404, "there is no page.html beside app.py; POST / and POST /predict answer, /docs tells how")
        return FileResponse(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    @app.get("/health", response_model=Health)
    async def health(request: Request) -> Any:
        """What runs here, and its limits; once it answers, the model is loaded."""
        service: Service = request.app.state.service
        model, settings = service.model, service.settings
        return Health(
            status="ok",
            model=model.name,
            engine=model.engine,
            classes=list(model.classes),
            height=model.size[0],
            width=model.size[1],
            detector=service.finder is not None,
            max_bytes=settings.max_bytes,
            max_files=settings.max_files,
            max_pixels=settings.max_pixels,
        )

    @app.get("/examples", response_model=list[Example])
    async def examples(request: Request) -> Any:
        """The drawn faces that the model's folder holds; none, if it holds none."""
        return [Example(name=name, src=f"examples/{name}.png") for name in request.app.state.service.model.examples]

    @app.get(
        "/examples/{name}.png",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, 404: {"model": Failure, "description": "There is none of it."}},
    )
    async def example(request: Request, name: str) -> Response:
        """A drawn face."""
        picture = request.app.state.service.model.examples.get(name)
        if picture is None:
            raise Refused(404, "there is no such example")
        return Response(picture, media_type="image/png")

    @app.post("/", response_model=list[Score], responses=FAILURES, openapi_extra={"requestBody": QUESTION})
    async def classify(request: Request) -> JSONResponse:
        """Scores of a face that is cut out, best first, as `pipeline()` gives them: the contract of the Hub.

        `huggingface_hub.InferenceClient(model=URL).image_classification(picture)` calls it.
        """
        service: Service = request.app.state.service
        kind = request.headers.get("content-type", "")
        return JSONResponse(await _classify(service, await request.body(), kind))

    @app.post(
        "/predict",
        response_model=Prediction,
        responses=FAILURES | {503: {"model": Failure, "description": f"{REASONS[503]} Or no face detector is here."}},
        openapi_extra={"requestBody": FORM},
    )
    async def predict(
        request: Request, explain: bool = Query(False, description="add a map of where covering costs the score")
    ) -> JSONResponse:
        """The faces of photos, largest first: boxes, scores of all classes, and the crops that the model saw.

        One that cannot be read is told in its `message`; if none can be read, the request fails with the reason of the
        first. Crop and map are addresses of PNGs (`data:`); the map is laid over the crop.
        """
        service: Service = request.app.state.service
        if service.finder is None:
            raise Refused(503, NO_DETECTOR)
        kind = request.headers.get("content-type", "")
        uploads = await service.apart(bodies.read_files, await request.body(), kind, service.settings.max_files)
        files = await asyncio.gather(*(_file(service, upload, explain) for upload in uploads))
        refusals = [file for file in files if isinstance(file, Refused)]
        if len(refusals) == len(files):
            raise Refused(refusals[0].status, f"{uploads[0].name[:80]}: {refusals[0].reason}")
        shown = [
            _unread(upload, file) if isinstance(file, Refused) else file
            for upload, file in zip(uploads, files, strict=True)
        ]
        return JSONResponse({"classes": service.model.classes, "files": shown})


async def _classify(service: Service, body: bytes, content_type: str) -> list[dict[str, Any]]:
    model = service.model

    def read() -> tuple[bodies.Question, Pixels]:
        question = bodies.read_question(body, content_type)
        return question, model.prepare(decode(question.picture, service.settings.max_pixels))

    with service.batcher.coming():
        question, pixels = await service.apart(read)
    logits = (await service.batcher(pixels[None]))[0]
    return ranked(model.classes, to_scores(logits, question.function_to_apply or model.function), question.top_k)


async def _file(service: Service, upload: bodies.Upload, explain: bool) -> dict[str, Any] | Refused:
    """The entry of a file, or why it cannot be read."""
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


def _unread(upload: bodies.Upload, refusal: Refused) -> dict[str, Any]:
    message = f"It cannot be read: {refusal.reason}"
    return {"name": upload.name, "width": None, "height": None, "milliseconds": 0.0, "message": message, "faces": []}


try:
    app = create_app(read_settings())
except CannotStart as reason:
    raise SystemExit(f"error: cannot start: {reason}") from None
