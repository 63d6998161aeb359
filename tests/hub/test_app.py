"""The app over real HTTP: what it answers, what it refuses, and that it keeps running."""

import asyncio
import base64
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import numpy as np
import pytest
import torch
import uvicorn
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, pipeline

from hub import space_folder
from hub.clients.picture_kinds import picture_kinds
from hub.server.answers import FILES_AT_ONCE, REFUSALS, SENT, Service, read_file, read_picture
from hub.server.application import create_app
from hub.server.batching import Batcher
from hub.server.bodies import Upload
from hub.server.contract import Failure, Health, Prediction, Refused, Score
from hub.server.engine import load_model, to_scores
from hub.server.faces import Cut, covered, needed
from hub.server.guard import Guard
from hub.server.preprocessing import resize
from hub.server.settings import Settings, read_settings
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.pictures import MAX_SIDE, Fault
from tests.conftest import ROOT

APP = ROOT / "hub" / "server"
RNG = np.random.default_rng(0)
SIZE = 48
JSON = {"Content-Type": "application/json"}
HTTP = httpx2.Client(timeout=60, trust_env=False)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


NOISE = Image.fromarray(RNG.integers(0, 256, (70, 60, 3), dtype=np.uint8))
PNG, JPEG = encoded(NOISE), encoded(NOISE, "JPEG", quality=95)


def bomb(side: int) -> bytes:
    """A PNG whose header says `side` px in width and height, with almost no data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "a pickle": pickle.dumps({"a": 1}),
    "half a JPEG": JPEG[: len(JPEG) // 2],
    "half a PNG": PNG[: len(PNG) // 2],
    "a bomb": bomb(60_000),
    "16 bits": encoded(Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
    "floats": encoded(Image.new("F", (9, 9)), "TIFF"),
    "a PostScript program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>',
    "damaged EXIF and cut": b"\xff\xd8\xff\xe1\x00\x10Exif\0\0MM\0*" + b"\xff" * 40,
    "zeros": bytes(10_000),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ViT with random weights and varied answers, as a published folder without ONNX."""
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        patch_size=8,
        image_size=SIZE,
        initializer_range=0.5,
        id2label=dict(enumerate(CLASSES)),
        label2id={name: index for index, name in enumerate(CLASSES)},
        problem_type="single_label_classification",
    )
    path = tmp_path_factory.mktemp("served") / "small"
    ViTForImageClassification(config).save_pretrained(path)
    processor = ViTImageProcessor(
        size={"height": SIZE, "width": SIZE}, resample=3, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def onnx_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with ONNX, and without weights for torch."""
    from hub.export.onnx_files import Logits

    path = tmp_path_factory.mktemp("exported") / "small"
    (path / "onnx").mkdir(parents=True)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(folder / name, path / name)
    model = ViTForImageClassification.from_pretrained(folder, attn_implementation="eager").eval()
    torch.onnx.export(
        Logits(model).eval(),
        (torch.zeros(2, 3, SIZE, SIZE),),
        path / "onnx" / "model.onnx",
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamo=False,  # the fast exporter; hub/export/onnx_files.py has its own tests
        dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
    )
    return path


@contextmanager
def served(settings: Settings) -> Iterator[tuple[str, Service]]:
    """The app under uvicorn in a thread: its URL and its service."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", app.state.service
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def settings(onnx_folder: Path) -> Settings:
    return Settings(model=str(onnx_folder), threads=2, face_detector=os.environ.get("YUNET", ""))


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[tuple[str, Service]]:
    with served(settings) as running:
        yield running


@pytest.fixture(scope="session")
def url(server: tuple[str, Service]) -> str:
    return server[0]


@pytest.fixture(scope="session")
def classify(folder: Path) -> Any:
    return pipeline("image-classification", model=str(folder), top_k=7)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the Hub's client make requests, here to this machine."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


def by_label(answer: list[Any]) -> dict[str, float]:
    return {one["label"]: one["score"] for one in answer}


# ---- The Hub's contract


def test_every_kind_of_picture_gets_the_scores_of_pipeline(
    url: str, folder: Path, classify: Any, tmp_path: Path
) -> None:
    drawn = [draw_face(CLASSES[n], 0, n, 96) for n in range(3)]
    kinds = picture_kinds(tmp_path, drawn, (SIZE, SIZE))
    kinds["palette"] = [tmp_path / "palette.png"]
    NOISE.quantize(16).save(kinds["palette"][0])
    kinds["CMYK"] = [tmp_path / "cmyk.jpg"]
    NOISE.convert("CMYK").save(kinds["CMYK"][0])
    kinds["animated"] = [tmp_path / "two.gif"]
    NOISE.save(kinds["animated"][0], save_all=True, append_images=[Image.new("RGB", NOISE.size)])
    torch_model = load_model(str(folder), threads=1)
    assert torch_model.engine == "torch"
    for kind, paths in kinds.items():
        for path in paths:
            expected = by_label(classify(str(path)))
            answer = HTTP.post(url, content=path.read_bytes(), headers=JSON | {"Content-Type": "image/png"})
            top = by_label(answer.json())
            assert len(top) == 5
            assert top == pytest.approx({label: expected[label] for label in top}, abs=1e-4), kind
            pixels = torch_model.prepare(read_picture(path.read_bytes(), 10**9))
            by_torch = to_scores(torch_model.run(pixels[None]), "softmax")[0]
            assert dict(zip(CLASSES, by_torch, strict=True)) == pytest.approx(expected, abs=1e-4), kind


@pytest.mark.parametrize(
    ("recipe", "level"),
    [
        ({"crop": "detect", "face_align": True}, True),
        ({"crop": "detect", "face_align": False}, False),
        ({"crop": "none", "face_align": True}, False),
        ({"sources": [{"crop": "detect", "face_align": True}, {"crop": "none"}]}, True),
        ({"face_align": True, "sources": [{"crop": "detect"}, {"crop": "detect", "face_align": False}]}, False),
        (["no recipe"], False),
    ],
)
def test_the_app_aligns_crops_only_if_all_training_crops_were_aligned(
    recipe: Any, level: bool, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "recipe.yaml").write_text(json.dumps(recipe))
    assert load_model(str(tmp_path / "model"), threads=1).align is level


@pytest.mark.parametrize("shape", [(48, 48), (20, 31), (97, 131), (500, 37), (1200, 900)])
def test_the_resize_equals_the_image_processors_bit_for_bit(folder: Path, shape: tuple[int, int]) -> None:
    picture = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    processor = ViTImageProcessor.from_pretrained(folder, do_normalize=False, do_rescale=False)
    theirs = processor([picture], return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    assert np.array_equal(resize(picture, (SIZE, SIZE)), theirs)


def test_resizing_a_long_picture_needs_little_memory() -> None:
    tracemalloc.start()
    resize(np.zeros((1, MAX_SIDE, 3), np.uint8), (224, 224))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * 2**20


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_batch_divided_among_threads_is_answered_in_order(onnx_folder: Path, folder: Path, engine: str) -> None:
    model = load_model(str(onnx_folder if engine == "onnxruntime" else folder), threads=2)
    assert model.engine == engine
    pixels = RNG.standard_normal((5, 3, SIZE, SIZE)).astype(np.float32)
    single = np.concatenate([model.run(pixels[n : n + 1]) for n in range(5)])
    assert model.run(pixels) == pytest.approx(single, abs=1e-4)


def test_settings_missing_in_the_processor_have_the_defaults_of_transformers(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    file = tmp_path / "model" / "preprocessor_config.json"
    said = json.loads(file.read_text())
    del said["rescale_factor"]
    file.write_text(json.dumps(said))
    pixels = [load_model(str(one), threads=1).prepare(np.asarray(NOISE)) for one in (folder, tmp_path / "model")]
    assert pixels[0] == pytest.approx(pixels[1], abs=1e-6)


def test_the_hubs_client_works_with_both_forms_of_body(online: None, url: str, classify: Any, tmp_path: Path) -> None:
    client = InferenceClient(model=url)
    path = tmp_path / "face.png"
    NOISE.save(path)
    expected = classify(NOISE)
    for picture in (PNG, path):
        assert [one.label for one in client.image_classification(picture)] == [one["label"] for one in expected[:5]]
        (best,) = client.image_classification(picture, top_k=1, function_to_apply="sigmoid")
        assert best.label == expected[0]["label"]
        raw = classify(NOISE, function_to_apply="sigmoid")[0]["score"]
        assert best.score == pytest.approx(raw, abs=1e-4)
    assert len(client.image_classification(PNG, top_k=99)) == 7
    logits = client.image_classification(PNG, top_k=7, function_to_apply="none")
    assert [one.score for one in logits] == pytest.approx(
        [one["score"] for one in classify(NOISE, function_to_apply="none")], abs=1e-3
    )


def test_the_hubs_client_shows_the_reason_of_a_refusal(online: None, url: str) -> None:
    with pytest.raises(HfHubHTTPError, match="top_k must be a whole number"):
        InferenceClient(model=url).image_classification(PNG, top_k=0)
    with pytest.raises(HfHubHTTPError, match="damaged"):
        InferenceClient(model=url).image_classification(HOSTILE["half a JPEG"])


@pytest.mark.parametrize("kind", ["", "text/plain", "image/gif", "application/x-www-form-urlencoded", "nonsense"])
def test_the_content_type_of_a_picture_does_not_matter(url: str, kind: str) -> None:
    answer = HTTP.post(url, content=JPEG, headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert answer.json() == HTTP.post(url, content=JPEG).json()


@pytest.mark.parametrize("name", HOSTILE)
def test_unusable_pictures_are_refused_with_a_reason(url: str, name: str) -> None:
    for asked in (
        {"content": HOSTILE[name]},
        {"json": {"inputs": base64.b64encode(HOSTILE[name]).decode()}},
        {"content": HOSTILE[name], "headers": {"Content-Type": "image/png"}},
    ):
        answer = HTTP.post(url, **asked)
        assert answer.status_code in (400, 413, 415)
        assert len(Failure(**answer.json()).error) > 10


PICTURE = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"inputs": ' + b"9" * 10_000 + b"}", "JSON"),
        (b"[]", "inputs"),
        (b"{}", "inputs"),
        (b'{"inputs": null}', "inputs"),
        (b'{"inputs": "@@@@"}', "not base64"),
        ('{"inputs": "é"}'.encode(), "not base64"),
        (b'{"inputs": "http://127.0.0.1/face.png"}', "not fetched"),
        (json.dumps({"inputs": PICTURE, "colour": 1}).encode(), "unknown field 'colour'"),
        *[
            (json.dumps({"inputs": PICTURE, "parameters": parameters}).encode(), reason)
            for parameters, reason in [
                ({"top_k": 0}, "top_k"),
                ({"top_k": -1}, "top_k"),
                ({"top_k": True}, "top_k"),
                ({"top_k": 2.5}, "top_k"),
                ({"top_k": "2"}, "top_k"),
                ({"function_to_apply": "exp"}, "softmax, sigmoid, none"),
                ({"function_to_apply": ["softmax"]}, "softmax, sigmoid, none"),
                ({"topk": 2}, "unknown parameter 'topk'"),
                ([1], "object"),
            ]
        ],
    ],
)
def test_wrong_json_is_refused_with_a_reason(url: str, body: bytes, reason: str) -> None:
    answer = HTTP.post(url, content=body, headers=JSON)
    assert 400 <= answer.status_code < 500
    assert reason in Failure(**answer.json()).error


@pytest.mark.parametrize("parameters", [None, {}, {"top_k": None}, {"top_k": 10**30}])
def test_parameters_may_be_left_out_or_large(url: str, parameters: Any) -> None:
    answer = HTTP.post(url, json={"inputs": f"data:image/png;base64,{PICTURE}", "parameters": parameters})
    assert answer.status_code == 200
    assert len(answer.json()) == (7 if parameters and parameters["top_k"] else 5)


def test_other_errors_have_the_same_format(url: str) -> None:
    for method, path, status in [("GET", "/nothing", 404), ("DELETE", "/", 405), ("GET", "/examples/..%2f.png", 404)]:
        answer = HTTP.request(method, url + path)
        assert (answer.status_code, bool(Failure(**answer.json()).error)) == (status, True)
    assert HTTP.post(url, files={"files": PNG}).status_code == 415


# ---- Faces


def test_without_a_detector_only_predict_is_refused(settings: Settings) -> None:
    with served(replace(settings, face_detector="")) as (url, _):
        answer = HTTP.post(f"{url}/predict", files={"files": PNG})
        assert answer.status_code == 503
        assert "FER_FACE_DETECTOR" in answer.json()["error"]
        assert HTTP.post(url, content=PNG).status_code == 200
        assert not HTTP.get(f"{url}/health").json()["detector"]


@pytest.fixture(scope="session")
def finding(url: str) -> str:
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    return f"{url}/predict"


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """Two drawn faces of different size on gray."""
    image = Image.new("RGB", (500, 300), (120, 130, 125))
    image.paste(draw_face("happiness", 0, 3, 120), (20, 90))
    image.paste(draw_face("surprise", 0, 5, 200), (250, 50))
    return image


def test_a_photo_and_the_same_face_cropped_for_training_get_the_same_scores(
    finding: str, photo: Image.Image, classify: Any
) -> None:
    answer = HTTP.post(finding, files=[("files", ("two.png", encoded(photo)))])
    assert answer.status_code == 200
    answered = Prediction(**answer.json())
    (file,) = answered.files
    assert (file.name, file.width, file.height, file.message) == ("two.png", 500, 300, None)
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in file.faces]
    assert len(areas) == 2
    assert areas == sorted(areas, reverse=True)
    detector = crop.load_detector(Path(os.environ["YUNET"]))
    pixels = np.asarray(photo)
    largest = crop.largest(crop.find_faces(detector, pixels))
    trained_on = Image.fromarray(crop.crop_face(pixels, largest, SIZE, align=False))
    shown = base64.b64decode(file.faces[0].crop.partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), np.asarray(trained_on))
    expected = by_label(classify(trained_on))
    assert {score.label: score.score for score in file.faces[0].scores} == pytest.approx(expected, abs=1e-4)
    assert (file.faces[0].map, file.faces[0].map_fall) == (None, None)


def test_a_map_is_drawn_on_request(finding: str, photo: Image.Image) -> None:
    answer = HTTP.post(finding, params={"explain": "true"}, files=[("files", ("two.png", encoded(photo)))])
    for face in answer.json()["files"][0]["faces"]:
        image = Image.open(io.BytesIO(base64.b64decode(face["map"].partition(",")[2])))
        assert (image.mode, image.size) == ("RGBA", (SIZE, SIZE))
        assert -1 <= face["map_fall"] <= 1
    assert HTTP.post(finding, params={"explain": "perhaps"}, files={"files": PNG}).status_code == 422


def test_a_picture_without_a_face_and_a_damaged_file_do_not_fail_the_others(finding: str, photo: Image.Image) -> None:
    files = [
        ("files", ("half.jpg", HOSTILE["half a JPEG"])),
        ("files", ("gray.png", encoded(Image.new("RGB", (90, 90), "gray")))),
        ("files", ("two.png", encoded(photo))),
    ]
    half, gray, two = HTTP.post(finding, files=files).json()["files"]
    assert "damaged" in half["message"]
    assert half["width"] is None
    assert "No face" in gray["message"]
    assert (gray["faces"], gray["width"]) == ([], 90)
    assert (two["message"], len(two["faces"])) == (None, 2)
    only_half = HTTP.post(finding, files=files[:1])
    assert only_half.status_code == 400
    assert only_half.json()["error"].startswith("half.jpg: damaged")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_a_reason(finding: str, name: str) -> None:
    answer = HTTP.post(finding, files=[("files", ("x.png", HOSTILE[name]))])
    assert answer.status_code in (400, 413, 415)
    assert answer.json()["error"].startswith("x.png: ")


def test_forms_that_do_not_follow_the_contract_are_refused(finding: str) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    for asked, status, reason in [
        ({"files": [("files", PNG)] * 1000}, 413, "at most 16"),
        ({"files": [("file", PNG)]}, 422, "'files'"),
        ({"data": {"files": "text"}, "files": [("files", PNG)]}, 422, "no file name"),
        ({"content": PNG}, 415, "multipart/form-data"),
        ({"json": {"files": []}}, 415, "multipart/form-data"),
        ({"content": b"", "headers": kind}, 400, "damaged|boundary"),
        ({"content": part + PNG, "headers": kind}, 400, "last boundary"),
        ({"content": b"no form at all", "headers": kind}, 400, "damaged"),
        ({"content": part, "headers": {"Content-Type": "multipart/form-data"}}, 400, "without a boundary"),
        ({"content": b"--x\r\n\r\n\r\n--x--\r\n", "headers": kind}, 422, "'files'"),
        ({"content": b"--x--\r\n", "headers": kind}, 422, "no file"),
    ]:
        answer = HTTP.post(finding, **asked)
        assert answer.status_code == status, answer.text
        assert any(part in answer.json()["error"] for part in reason.split("|")), answer.text


def test_the_map_is_highest_where_covering_lowers_the_score_most() -> None:
    picture = np.full((SIZE, SIZE, 3), 200, np.uint8)
    pictures = covered(picture)
    assert pictures.shape == (49, SIZE, SIZE, 3)
    assert (pictures != 200).any(0).all(), "some pixel is never covered"
    scores = [1 - 0.5 * float((one[30:36, 6:12] == 127).all()) for one in pictures]  # the model depends on this place
    need, fall = needed(1.0, scores, SIZE, SIZE)
    assert need.max() == 1
    assert 0.1 < fall <= 0.5, "the mean over windows, some of which change nothing"
    rows, columns = np.nonzero(need == 1)
    assert rows.mean() == pytest.approx(32.5, abs=3)
    assert columns.mean() == pytest.approx(8.5, abs=3)
    assert need[:12].max() == need[:, 30:].max() == 0


# ---- Pages for people and programs


def test_health_and_openapi_describe_the_real_answers(url: str) -> None:
    health = Health(**HTTP.get(f"{url}/health").json())
    assert (health.engine, health.model, health.classes) == ("onnxruntime", "small", list(CLASSES))
    assert (health.card, health.trained_on, health.drawn_only) == (None, [], False), "this model says nothing of it"
    described = HTTP.get(f"{url}/openapi.json").json()
    assert set(described["paths"]) == {"/", "/predict", "/health", "/examples", "/examples/{name}.png"}
    for path, method in (("/", "post"), ("/predict", "post")):
        operation = described["paths"][path][method]
        assert {"200", "400", "408", "413", "415", "422", "500", "503"} == set(operation["responses"])
        assert operation["requestBody"]["content"]
        for status, response in operation["responses"].items():
            schema = response["content"]["application/json"]["schema"]
            assert (schema == {"$ref": "#/components/schemas/Failure"}) == (status != "200")
    answer = HTTP.post(url, content=PNG)
    assert [Score(**one) for one in answer.json()]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("content", "titles", "drawn_only"),
    [
        ('{"sources": {"a": {"title": "drawn faces", "origin": "drawn"}}}', ["drawn faces"], True),
        (
            '{"sources": {"a": {"title": "A", "origin": "drawn"}, "b": {"title": "B", "origin": "hub"}}}',
            ["A", "B"],
            False,
        ),
        ('{"sources": {}}', [], False),
        ('{"sources": {"a": {"layout": "of another version"}}}', [], False),
        ("[1", [], False),
        (None, [], False),
    ],
)
def test_what_a_model_was_trained_on_is_read_from_its_curation(
    content: str | None, titles: list[str], drawn_only: bool, onnx_folder: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(onnx_folder, tmp_path / "model")
    if content is not None:
        (model / "curation.json").write_text(content)
    loaded = load_model(str(model))
    assert (list(loaded.trained_on), loaded.drawn_only, loaded.card) == (titles, drawn_only, None)


def test_the_parts_of_the_page_are_served_and_nothing_beside_them(url: str) -> None:
    for script in (ROOT / "hub" / "server" / "page").iterdir():
        answer = HTTP.get(f"{url}/page/{script.name}")
        expected = {".js": "text/javascript", ".css": "text/css"}.get(script.suffix)
        assert (answer.status_code == 200) == (expected is not None), script.name
        assert expected is None or answer.headers["content-type"].startswith(expected)
    for name in ("..%2Fapp.py", "app.py", "none.js", ""):
        assert HTTP.get(f"{url}/page/{name}").status_code == 404


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_the_pages_only_load_from_this_server(url: str, page: str) -> None:
    answer = HTTP.get(url + page)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert not re.findall(r"https?:|[\"'(]//", answer.text), "an address outside"
    for address in re.findall(r"(?:src|href)=\"([^\"#]*)\"", answer.text):
        assert address.startswith("data:") or HTTP.get(f"{url}/{address.lstrip('/')}").status_code == 200, address


@pytest.mark.parametrize("path", ["/", "/docs", "/health"])
def test_only_the_pages_own_origin_may_frame_it_and_nothing_inline_runs(url: str, path: str) -> None:
    headers = HTTP.get(url + path).headers
    assert "x-frame-options" not in headers, "it would forbid the Hub's frame too"
    assert headers["content-security-policy"].endswith("frame-ancestors 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", HTTP.get(url + path).text)


def test_a_space_may_be_shown_in_the_hubs_frame() -> None:
    assert read_settings({"SPACE_HOST": "a-b.hf.space"}).frames == "https://huggingface.co"
    assert read_settings({"SPACE_HOST": "a-b.hf.space", "FER_FRAMES": "https://a.example"}).frames.endswith("a.example")
    guard = Guard(None, read_settings({"SPACE_HOST": "a-b.hf.space"}))
    assert dict(guard._headers)[b"Content-Security-Policy"].endswith(b"frame-ancestors 'self' https://huggingface.co")


def test_other_hosts_and_origins_are_refused_until_they_are_named(url: str, settings: Settings) -> None:
    page = {"Origin": "https://a.example"}
    assert HTTP.get(f"{url}/health", headers={"Host": "evil.example"}).status_code == 400
    assert HTTP.get(f"{url}/health", headers={"Host": "[::1]:80"}).status_code == 200
    assert "access-control-allow-origin" not in HTTP.post(url, content=PNG, headers=page).headers
    opened = replace(settings, hosts="a.example,127.0.0.1", origins="https://a.example")
    with served(opened) as (url, _):
        assert HTTP.get(f"{url}/health", headers={"Host": "A.example:8000"}).status_code == 200
        answer = HTTP.post(url, content=b"", headers=page)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, "https://a.example")


@pytest.mark.parametrize("path", ["/", "/predict"])
@pytest.mark.parametrize("named", ["https://a.example", "https://b.example, https://a.example", "*"])
def test_pages_of_named_origins_may_ask_first_and_then_post(path: str, named: str, settings: Settings) -> None:
    origin, stranger = {"Origin": "https://a.example"}, {"Origin": "https://c.example"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with served(replace(settings, origins=named)) as (url, _):
        may = HTTP.options(url + path, headers=origin | asks)
        assert may.status_code == 200
        assert {"authorization", "content-type"} <= set(re.split(", ?", may.headers["access-control-allow-headers"]))
        assert "POST" in may.headers["access-control-allow-methods"]
        answer = HTTP.post(url + path, content=b"", headers=origin)
        for answered in (may, answer):
            assert answered.headers["access-control-allow-origin"] in ("https://a.example", "*")
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        refused = HTTP.options(url + path, headers=stranger | asks)
        assert ("access-control-allow-origin" in refused.headers) == (named == "*")
        assert (
            HTTP.options(url + path, headers=origin | {**asks, "Access-Control-Request-Method": "PUT"}).status_code
            == 400
        )


# ---- Together, and too much


def test_simultaneous_requests_share_a_batch(server: tuple[str, Service]) -> None:
    url, service = server
    batches, rows = service.batcher.batches, service.batcher.rows
    single = HTTP.post(url, content=PNG).json()
    assert (service.batcher.batches, service.batcher.rows) == (batches + 1, rows + 1)
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: HTTP.post(url, content=PNG).json(), range(48)))
    assert service.batcher.rows == rows + 49
    assert service.batcher.batches - batches < 40
    for answer in answers:
        assert by_label(answer) == pytest.approx(by_label(single), abs=1e-5)


def test_a_batch_only_waits_for_announced_pictures() -> None:
    seen: list[int] = []

    def run(pixels: np.ndarray) -> np.ndarray:
        seen.append(len(pixels))
        return pixels[:, :, 0, 0]

    async def ask() -> None:
        batcher = Batcher(run, rows=8, wait=5)
        started = time.perf_counter()
        await batcher(np.zeros((1, 3, 2, 2), np.float32))
        assert time.perf_counter() - started < 4, "a single request waited"
        with batcher.coming():
            first = asyncio.ensure_future(batcher(np.full((1, 3, 2, 2), 1, np.float32)))
            await asyncio.sleep(0.02)
        second = asyncio.ensure_future(batcher(np.full((2, 3, 2, 2), 2, np.float32)))
        assert [(await first)[0, 0], (await second)[1, 0]] == [1, 2]
        left, stays = (asyncio.ensure_future(batcher(np.ones((1, 3, 2, 2), np.float32))) for _ in range(2))
        await asyncio.sleep(0)
        left.cancel()
        await stays
        nine = [batcher(np.full((3, 3, 2, 2), n, np.float32)) for n in range(4)]
        assert [(await one)[2, 0] for one in [asyncio.ensure_future(one) for one in nine]] == [0, 1, 2, 3]
        await batcher.close()

    asyncio.run(ask())
    assert seen == [1, 3, 1, 6, 6]


def test_closing_cancels_all_waiting_requests() -> None:
    async def ask() -> None:
        entered = threading.Event()
        batcher = Batcher(lambda pixels: entered.set() or time.sleep(0.5) or pixels[:, :, 0, 0], rows=3, wait=0)
        three = [asyncio.ensure_future(batcher(np.zeros((2, 3, 2, 2), np.float32))) for _ in range(3)]
        await asyncio.to_thread(entered.wait)  # one is in the model, one was taken from the queue, one is in the queue
        await batcher.close()
        done, waiting = await asyncio.wait(three, timeout=5)
        assert not waiting
        assert all(one.cancelled() for one in done)

    asyncio.run(ask())


def test_the_number_of_files_with_faces_in_memory_is_limited(settings: Settings, onnx_folder: Path) -> None:
    model = load_model(str(onnx_folder), threads=1)
    held, most = 0, 0

    def everything(photo: np.ndarray, *how: Any) -> list[Cut]:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return [Cut((0, 0, 60, 70), 1.0, photo)]

    async def ask() -> list[Any]:
        nonlocal held
        batcher = Batcher(lambda pixels: time.sleep(0.02) or model.run(pixels), rows=1, wait=0)

        async def answer() -> Any:
            nonlocal held
            entry = await read_file(service, Upload("face.png", PNG), explain=False)
            held -= 1
            return entry

        with ThreadPoolExecutor(2) as pool:
            service = Service(settings, model, everything, batcher, pool)
            entries = await asyncio.gather(*(answer() for _ in range(3 * FILES_AT_ONCE)))
            await batcher.close()
        return entries

    assert [len(entry["faces"]) for entry in asyncio.run(ask())] == [1] * (3 * FILES_AT_ONCE)
    assert 1 < most <= FILES_AT_ONCE


def test_an_error_of_the_model_only_fails_its_batch() -> None:
    def run(pixels: np.ndarray) -> np.ndarray:
        if pixels.any():
            raise RuntimeError("broken")
        return pixels[:, :, 0, 0]

    async def ask() -> None:
        batcher = Batcher(run, rows=8, wait=0)
        with pytest.raises(RuntimeError, match="broken"):
            await batcher(np.ones((1, 3, 2, 2), np.float32))
        assert (await batcher(np.zeros((1, 3, 2, 2), np.float32))).shape == (1, 3)
        await batcher.close()

    asyncio.run(ask())


def test_overload_is_refused_with_retry_after_and_ends(settings: Settings) -> None:
    slow = encoded(Image.fromarray(RNG.integers(0, 256, (1500, 1500, 3), dtype=np.uint8)))
    with served(replace(settings, queue=2)) as (url, _):
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: HTTP.post(url, content=slow), range(16)))
        counts = Counter(answer.status_code for answer in answers)
        assert counts[503] and counts[200] and counts[503] + counts[200] == 16
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert int(refused.headers["retry-after"]) > 0
        assert "waiting" in refused.json()["error"]
        assert HTTP.post(url, content=PNG).status_code == 200


def test_large_bodies_and_pictures_are_refused(settings: Settings) -> None:
    with served(replace(settings, max_bytes=5_000, max_pixels=5_000, max_held_bytes=4_000)) as (url, _):
        for size in (5_001, 15_000, 10_000_000):
            answer = HTTP.post(url, content=bytes(size))
            assert (answer.status_code, "5,000 bytes" in answer.json()["error"]) == (413, True)
        chunks = HTTP.post(url, content=iter([bytes(3_000)] * 3))
        assert chunks.status_code in (413, 503)
        assert HTTP.post(url, content=bytes(4_500)).status_code == 503
        held = [HTTP.post(url, content=bytes(1_500)).status_code for _ in range(4)]
        assert held == [415] * 4, "the memory of earlier bodies is not released"
        gray = encoded(Image.new("L", (71, 71)))
        assert "71 x 71" in HTTP.post(url, content=gray).json()["error"]
        assert HTTP.post(url, content=encoded(Image.new("L", (70, 71)))).status_code == 200


def test_a_slow_client_is_cut_off_and_blocks_no_one(settings: Settings) -> None:
    with served(replace(settings, seconds=2)) as (url, _):
        port = int(url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as slow,
            socket.create_connection(("127.0.0.1", port)) as gone,
        ):
            for one in (slow, gone):
                one.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nab")
            gone.close()
            assert HTTP.post(url, content=PNG).status_code == 200
            slow.settimeout(10)
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert HTTP.post(url, content=PNG).status_code == 200


def test_an_answer_that_takes_too_long_is_cancelled(settings: Settings) -> None:
    given_up = threading.Event()
    with served(replace(settings, seconds=2)) as (url, service):
        run, service.batcher._run = service.batcher._run, lambda pixels: given_up.wait(30) and run(pixels)
        answer = HTTP.post(url, content=PNG)
        given_up.set()
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert HTTP.post(url, content=PNG).status_code == 200


# ---- Starting and ending


def started(
    model: Path, tmp_path: Path, *words: str, app: Path = APP, **environment: str
) -> tuple[subprocess.Popen[str], str]:
    """uvicorn as a person starts it, and the URL that it prints (or all its output, if it ended)."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "uvicorn",
            "app:app",
            "--app-dir",
            str(app),
            "--http",
            "app:Connection",
            "--backlog",
            "16",
            "--port",
            "0",
            *words,
        ],
        cwd=tmp_path,
        env=os.environ | {"FER_MODEL": str(model), "FER_THREADS": "1"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stderr:
        said += line
        if "running on" in line:
            return process, line.split("running on ")[1].split()[0]
    process.wait(30)
    return process, said


def test_a_running_request_is_answered_after_sigterm_and_no_file_remains(onnx_folder: Path, tmp_path: Path) -> None:
    process, url = started(onnx_folder, tmp_path, TMPDIR=str(tmp_path))
    large = encoded(Image.fromarray(RNG.integers(0, 256, (3000, 3000, 3), dtype=np.uint8)), compress_level=1)
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\nExpect: 100-continue\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60) as running:
            running.sendall(head.encode())
            assert b" 100 " in running.recv(100), "the app does not ask for the picture"
            process.send_signal(signal.SIGTERM)
            while "Shutting down" not in process.stderr.readline():
                assert process.poll() is None
            running.sendall(large)
            assert running.recv(1000).startswith(b"HTTP/1.1 200 ")
        said = process.stderr.read()
        assert process.wait(30) in (0, -signal.SIGTERM)
    finally:
        process.kill()
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_reload_uses_the_edited_files(onnx_folder: Path, tmp_path: Path) -> None:
    app = copied_app(tmp_path)
    process, url = started(onnx_folder, tmp_path, "--reload", app=app)
    try:
        assert top_k(url) == 5
        contract = app / "contract.py"
        contract.write_text(contract.read_text().replace("TOP_K = 5", "TOP_K = 2"))
        end = time.monotonic() + 60
        while top_k(url) != 2:
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        process.terminate()
        said = process.stderr.read()
        process.wait(30)
    assert "Reloading" in said
    assert "Traceback" not in said


def copied_app(folder: Path) -> Path:
    """The app in `folder` with the files that a Space gets; returns its `--app-dir`."""
    for file in (file for pattern in space_folder.COPIED for file in ROOT.glob(pattern)):
        (folder / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.relative_to(ROOT))
    return folder / "hub" / "server"


def top_k(url: str) -> int:
    """How many classes are answered by default; waits for a server that is starting."""
    with httpx2.Client(transport=httpx2.HTTPTransport(retries=8), timeout=60) as client:
        return len(client.post(url, content=PNG).json())


def test_memory_stays_flat_over_hostile_bodies(onnx_folder: Path, tmp_path: Path) -> None:
    assert_flat(onnx_folder, tmp_path, 100, 300)


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_hostile_bodies(onnx_folder: Path, tmp_path: Path) -> None:
    assert_flat(onnx_folder, tmp_path, 1_000, 10_000)


def assert_flat(model: Path, tmp_path: Path, warm: int, count: int) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("memory is read from /proc")
    process, url = started(model, tmp_path, FER_FACE_DETECTOR=os.environ.get("YUNET", ""))
    rng = random.Random(0)

    def memory() -> int:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def send(client: httpx2.Client, number: int) -> int:
        body = hostile(rng)
        if number % 3 == 0:
            return client.post(f"{url}/predict", files=[("files", ("x", body))]).status_code
        if number % 3 == 1:
            return client.post(url, content=body).status_code
        return client.post(url, content=body, headers=JSON).status_code

    try:
        with httpx2.Client(timeout=60) as client:
            counts = Counter(send(client, number) for number in range(warm))
            before = memory()
            counts += Counter(send(client, number) for number in range(count))
            after = memory()
            assert client.post(url, content=PNG).status_code == 200
    finally:
        process.terminate()
        said = process.stderr.read()
        process.wait(30)
    print(f"{dict(counts)}; {before:,} KiB before, {after:,} KiB after")
    assert set(counts) <= {200, 400, 413, 415, 422} | (set() if "YUNET" in os.environ else {503})
    assert counts[400] and counts[415]
    assert "Traceback" not in said
    assert after - before < 30 * 1024


def hostile(rng: random.Random) -> bytes:
    """A body from HOSTILE, random bytes, or a valid file with a few bytes changed."""
    choice = rng.random()
    if choice < 0.3:
        return rng.choice(list(HOSTILE.values()))
    if choice < 0.4:
        return rng.randbytes(rng.randrange(3_000))
    kind = rng.choice(["PNG", "JPEG", "GIF", "BMP", "WEBP", "AVIF"])
    file = bytearray(FILES.setdefault(kind, encoded(NOISE, kind)))
    for _ in range(rng.randrange(1, 12)):
        file[rng.randrange(len(file))] = rng.randrange(256)
    return bytes(file[: rng.randrange(len(file))] if rng.random() < 0.3 else file)


FILES: dict[str, bytes] = {}


def test_a_start_without_a_usable_model_fails_in_one_line(tmp_path: Path) -> None:
    process, said = started(tmp_path / "nothing", tmp_path)
    assert process.returncode
    errors = [line for line in said.splitlines() if "cannot start" in line]
    assert len(errors) == 1
    assert "nothing" in errors[0]
    assert "Traceback" not in said


def test_a_wrong_setting_fails_in_one_line(tmp_path: Path) -> None:
    process, said = started(tmp_path, tmp_path, FER_QUEUE="many")
    assert process.returncode
    assert said.splitlines() == [line for line in said.splitlines() if "FER_QUEUE" in line]


def test_a_model_that_cannot_be_loaded_is_named_with_the_reason(
    folder: Path, onnx_folder: Path, tmp_path: Path
) -> None:
    def changed(name: str, content: str, source: Path = onnx_folder) -> str:
        path = shutil.copytree(source, tmp_path / str(len(list(tmp_path.iterdir()))))
        (path / name).write_text(content)
        return str(path)

    config = json.loads((onnx_folder / "config.json").read_text())
    fewer = json.dumps(config | {"id2label": {"0": "a"}})
    for model, reason in [
        ("", "no model: set FER_MODEL"),
        (str(tmp_path / "no"), "is not a folder"),
        ("no/such", "could not be loaded from the Hub"),
        (str(tmp_path), "config.json is missing"),
        (changed("config.json", "{"), "config.json cannot be read"),
        (changed("config.json", "{}"), "names no classes"),
        (changed("config.json", fewer), "for 1 x 1 classes"),
        (changed("onnx/model.onnx", "no ONNX"), "cannot be loaded"),
        (changed("model.safetensors", "no weights", folder), "weights cannot be loaded"),
        (changed("preprocessor_config.json", "[]"), "preprocessor_config.json holds a list"),
    ]:
        with pytest.raises(InputError, match=reason) as caught:
            load_model(model)
        assert "\n" not in str(caught.value)


def test_settings_are_read_from_the_environment_and_checked() -> None:
    read = read_settings({"FER_MODEL": "a", "FER_QUEUE": "3", "FER_SECONDS": "2.5", "SPACE_HOST": "a-b.hf.space"})
    assert (read.model, read.queue, read.seconds) == ("a", 3, 2.5)
    assert read.hosts.split(",")[-1] == "a-b.hf.space"
    for value in ("0", "-1", "x", "", "1.5"):
        with pytest.raises(InputError, match="FER_QUEUE"):
            read_settings({"FER_QUEUE": value})
    for typo in ("FER_MODELS", "FER_MAX_BYTE", "FER_ORIGIN"):
        with pytest.raises(InputError, match=f"{typo} is not a setting"):
            read_settings({typo: "1"})
    assert read_settings({"FER_DATA": "of another program"}) == Settings()
    with pytest.raises(InputError, match="FER_SECONDS"):
        read_settings({"FER_SECONDS": "nan"})


def test_the_page_on_serving_lists_every_setting_with_its_default_and_meaning() -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `FER_(\w+)` \| `?([^|`]*)`? \| (.*) \|$", page, re.M)
    expected = [(f.name.upper(), str(f.default), f.metadata["help"]) for f in fields(Settings)]
    assert [(name, default.strip(), meaning) for name, default, meaning in listed] == expected


def test_the_app_starts_from_the_files_of_a_space_and_from_any_working_directory(
    onnx_folder: Path, tmp_path: Path
) -> None:
    app = copied_app(tmp_path / "space")
    (tmp_path / "elsewhere").mkdir()
    process, url = started(onnx_folder, tmp_path / "elsewhere", app=app, PYTHONPATH="")
    try:
        assert len(HTTP.post(url, content=PNG).json()) == 5
    finally:
        process.terminate()
        process.wait(30)
    code = f"import sys; sys.path[:0] = [{str(app)!r}]; import app; print(*sys.modules['pipeline'].__path__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "space" / "pipeline")], done.stderr


def test_a_picture_of_too_many_pixels_is_refused_with_its_size() -> None:
    for content, reason in [
        (bomb(7_000), "more than 40,000,000 pixels (7000 x 7000)"),
        (encoded(Image.new("L", (40_000, 1))), f"a side of more than {MAX_SIDE:,} pixels (40000 x 1)"),
        (bomb(60_000), "more than 40,000,000 pixels"),
    ]:
        with pytest.raises(Refused) as caught:
            read_picture(content, 40_000_000)
        assert (caught.value.status, caught.value.reason) == (413, reason)


def test_every_fault_of_a_picture_has_a_status() -> None:
    assert set(REFUSALS) == set(Fault)


@pytest.mark.parametrize("kind", ["TIFF", "JPEG2000", "PPM", "ICO", "EPS"])
def test_formats_that_no_browser_sends_are_refused_whatever_they_are_called(url: str, kind: str) -> None:
    answer = HTTP.post(url, content=encoded(NOISE, kind), headers={"Content-Type": "image/png"})
    assert answer.status_code == 415
    assert answer.json()["error"].startswith("not a JPEG, PNG, WebP, GIF, BMP or AVIF picture")
    assert kind not in SENT
