"""A server as anyone would write it quickly, but carefully: FastAPI around one `pipeline("image-classification")`.

    FER_MODEL=runs/NAME THREADS=1 uvicorn tests.benchmarks.plain_server:app

`POST /` with a picture's bytes answers like the app in `hub/server`. Decoding and the model run in a pool of workers
with `THREADS` torch threads each; together they use every core once, so requests do not compete for cores.
"""

import asyncio
import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from PIL import Image
from transformers import pipeline

threads = int(os.environ.get("THREADS", "1"))
torch.set_num_threads(threads)
classify = pipeline("image-classification", model=os.environ["FER_MODEL"])
workers = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) // threads))
app = FastAPI()


def answer(body: bytes) -> list[dict[str, Any]]:
    """The five best classes of a picture."""
    with Image.open(io.BytesIO(body)) as picture, torch.inference_mode():
        return classify(picture.convert("RGB"))


@app.post("/")
async def scores(request: Request) -> JSONResponse:
    body = await request.body()
    try:
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(workers, answer, body))
    except OSError as error:
        raise HTTPException(400, str(error)) from None


with torch.inference_mode():  # the first answers take longer
    for _ in range(3):
        classify(Image.new("RGB", (48, 48)))
