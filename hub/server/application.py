"""The FastAPI app: a page for people and an API for programs, on your machine or in a Space.

`POST /` follows the Hub's inference API; `POST /predict` first finds the faces of photos. All settings are environment
variables, listed in settings.py. Pictures are only kept in memory, and only until they are answered.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from pipeline import crop
from pipeline.class_shares import FIELD
from pipeline.clinical import is_health_model
from pipeline.cores import cores

from . import answers, bodies, contract, faces
from .batching import Batcher
from .contract import Refused
from .engine import load_model
from .expected import known_shares, settled
from .guard import Guard
from .settings import PREFIX, Settings, listed

HERE = Path(__file__).resolve().parent
PAGE = HERE / "page"
"""The page for people. A static Space has the same files, but for `answers.js`."""
TYPES = {".css": "text/css", ".js": "text/javascript"}
"""What pages load, with its type. Nothing is inline, so that the policy can forbid inline scripts."""
NO_DETECTOR = (
    f"this server has no face detector: put {crop.YUNET} from {crop.YUNET_PAGE} beside app.py, or its path into "
    "FER_FACE_DETECTOR; POST / takes a cropped face without one"
)
ANSWERING = (f"{PREFIX}CLASS_SHARES", f"{PREFIX}CLASS_SHARES_TAU", f"{PREFIX}NOT_SURE_BELOW")
router = APIRouter()


def create_app(settings: Settings) -> FastAPI:
    """The app; it loads its model when it starts."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        threads = settings.threads or cores()
        weights = faces.find_weights(settings.face_detector)
        finder = faces.Finder(weights) if weights else None
        model = await asyncio.to_thread(load_model, settings.model, settings.revision, threads)
        model = settled(model, settings.class_shares, settings.class_shares_tau, settings.not_sure_below, ANSWERING)
        batcher = Batcher(model.run, settings.batch, settings.batch_milliseconds / 1000)
        with ThreadPoolExecutor(threads, "pictures") as pool:
            app.state.service = answers.Service(settings, model, finder, batcher, pool)
            yield
            await batcher.close()

    app = FastAPIOffline(  # serves the scripts of /docs itself; FastAPI's own page loads them from a CDN
        docs_url=None,  # ours is docs.html
        redoc_url=None,
        title="Facial expression recognition",
        description="Names what a face shows, not what a person feels. Pictures are not stored or logged.",
        version="1",
        lifespan=life,
    )
    app.add_middleware(Guard, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=listed(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # clients of the Hub's API send some of their own, such as Authorization
            expose_headers=["Retry-After"],
        )
    _add_failures(app)
    app.include_router(router)
    return app


def _add_failures(app: FastAPI) -> None:
    """Report every error in the format of the Hub's API: `{"error": reason}`."""

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


@router.get(
    "/",
    response_class=FileResponse,
    responses={200: {"content": {"text/html": {}}}},
)
async def page() -> Response:
    """The page."""
    return FileResponse(PAGE / "page.html", media_type="text/html")


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The description of the API, to read and try."""
    return FileResponse(HERE / "docs.html", media_type="text/html")


@router.get("/health", response_model=contract.Health)
async def health(request: Request) -> Any:
    """The model and the limits of this server. Once it answers, the model is loaded."""
    service: answers.Service = request.app.state.service
    model, settings = service.model, service.settings
    return contract.Health(
        status="ok",
        model=model.name,
        engine=model.engine,
        classes=list(model.classes),
        card=model.card,
        trained_on=list(model.trained_on),
        drawn_only=model.drawn_only,
        score_ranges=model.ranges,
        health_score=is_health_model(model.config, model.name),
        height=model.size[0],
        width=model.size[1],
        detector=service.finder is not None,
        class_shares=model.config.get(FIELD) if settings.class_shares else None,
        assumed_shares=known_shares(model),
        not_sure_below=settings.not_sure_below,
        max_bytes=settings.max_bytes,
        max_files=settings.max_files,
        max_pixels=settings.max_pixels,
    )


@router.get("/examples", response_model=list[contract.Example])
async def examples(request: Request) -> Any:
    """The drawn faces in the model's folder; an empty list if there are none."""
    return [
        contract.Example(name=name, src=f"examples/{name}.png") for name in request.app.state.service.model.examples
    ]


@router.get(
    "/examples/{name}.png",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}}},
        404: {"model": contract.Failure, "description": "The model has no such example."},
    },
)
async def example(request: Request, name: str) -> Response:
    """A drawn face."""
    picture = request.app.state.service.model.examples.get(name)
    if picture is None:
        raise Refused(404, "this model has no such example")
    return Response(picture, media_type="image/png")


@router.post(
    "/",
    response_model=list[contract.Score],
    responses=contract.FAILURES,
    openapi_extra={"requestBody": contract.QUESTION},
)
async def classify(request: Request) -> JSONResponse:
    """Scores of a cropped face, best first, as `pipeline()` returns them: the Hub's inference API.

    `huggingface_hub.InferenceClient(model=URL).image_classification(picture)` calls it.
    """
    service: answers.Service = request.app.state.service
    kind = request.headers.get("content-type", "")
    return JSONResponse(await answers.classify(service, await request.body(), kind))


@router.post(
    "/predict",
    response_model=contract.Prediction,
    responses=contract.FAILURES
    | {
        503: {"model": contract.Failure, "description": f"{contract.REASONS[503]} Or this server has no face detector."}
    },
    openapi_extra={"requestBody": contract.FORM},
)
async def predict(
    request: Request,
    explain: bool = Query(False, description="add an occlusion map: where covering the face lowers the score"),
) -> JSONResponse:
    """The faces of photos, largest first: boxes, scores of all classes, and the crops that the model saw.

    If a photo cannot be read, its `message` says why; if none can be read, the request fails with the reason of the
    first. `crop` and `map` are PNGs in `data:` URLs; lay the map over the crop.
    """
    service: answers.Service = request.app.state.service
    if service.finder is None:
        raise Refused(503, NO_DETECTOR)
    kind = request.headers.get("content-type", "")
    uploads = await service.in_thread(bodies.read_files, await request.body(), kind, service.settings.max_files)
    files = await asyncio.gather(*(answers.read_file(service, upload, explain) for upload in uploads))
    refusals = [file for file in files if isinstance(file, Refused)]
    if len(refusals) == len(files):
        raise Refused(refusals[0].status, f"{uploads[0].name[:80]}: {refusals[0].reason}")
    shown = [
        answers.unread(upload, file) if isinstance(file, Refused) else file
        for upload, file in zip(uploads, files, strict=True)
    ]
    return JSONResponse({"classes": service.model.classes, "files": shown})


@router.get("/page/{name}", include_in_schema=False)
async def part(name: str) -> Response:
    """A style sheet or a script of the page."""
    file = next((file for file in PAGE.iterdir() if file.name == name and file.suffix in TYPES), None)
    if file is None:
        raise Refused(404, "Not Found")
    return FileResponse(file, media_type=TYPES[file.suffix])


@router.get("/docs.js", include_in_schema=False)
async def docs_script() -> Response:
    """The script of the description of the API."""
    return FileResponse(HERE / "docs.js", media_type=TYPES[".js"])
