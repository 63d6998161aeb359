"""One picture in every mode, transparency and depth: every client answers as training does, or refuses it."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from PIL import Image
from transformers import pipeline

from hub import predict
from hub.clients.clients import CLIENTS, Answer, lay, render
from hub.server.answers import read_picture
from hub.server.contract import Refused
from pipeline.drawn.face import draw_face
from pipeline.pictures import MAX_PIXELS, UnusablePicture, decode, upright
from pipeline.settings.files import recipe_from
from pipeline.training.model import build_model
from pipeline.training.saving import save_classifier
from tests.benchmarks.clients_by_picture import PREDICT, TRAINING, answers, difference, training
from tests.conftest import save_sharp_model
from tests.families import FAMILIES
from tests.hub.test_clients import save_onnx
from tests.picture_modes import encoded, for_the_app, is_deep, objects, picture_modes

SIZE = 64
TOLERANCE = 1e-6
"""Largest difference of a probability between torch and torch; onnxruntime adds up in another order."""
ONNX_TOLERANCE = 1e-5
PYTHON_CLIENTS = ("pipeline()", "AutoModel", "onnxruntime")
FACE = draw_face("happiness", seed=2026, index=0, size=100).convert("RGB")
Ask = Callable[[str], Answer]


def native_vit(folder: Path) -> None:
    save_sharp_model(folder, SIZE)


def timm_cnn(folder: Path) -> None:
    FAMILIES["timm/resnet10t"].save(folder / "checkpoint")
    settings = {"image_size": SIZE, "checkpoint": str(folder / "checkpoint"), "output_dir": "-"}
    save_classifier(*build_model(recipe_from(settings, "test")), folder)


@pytest.fixture(scope="module", params=[native_vit, timm_cnn], ids=lambda f: f.__name__)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What publishing stages: the model as training saves it, and its ONNX file."""
    folder = tmp_path_factory.mktemp("published") / "staged"
    folder.mkdir()
    request.param(folder)
    save_onnx(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return picture_modes(tmp_path_factory.mktemp("pictures"), FACE)


@pytest.fixture(scope="module")
def by_training(published: Path, pictures: dict[str, Path]) -> dict[str, Answer]:
    return training(published, pictures)


def by_snippet(name: str, folder: Path, first: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What the card's snippet offers, in this process."""
    lay(folder, home, "somebody/faces", None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    model = "somebody/faces" if name == "onnxruntime" else folder.as_posix()
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(render(CLIENTS[name].snippet, model, first.as_posix()), names)

    def ask(path: str) -> Answer:
        try:
            answer = names["classify"](path)
        except Exception as error:
            return str(error)
        return {s["label"]: s["score"] for s in answer} if isinstance(answer, list) else answer

    return ask


def apart(one: dict[str, Answer], other: dict[str, Answer], tolerance: float) -> dict[str, Any]:
    """The kinds of pictures that two clients answer differently, or that only one of them refuses."""
    differences = {kind: difference(answer, other[kind]) for kind, answer in one.items()}
    return {kind: by for kind, by in differences.items() if by is None or not by <= tolerance}


def test_these_pictures_have_every_mode_and_transparency_that_a_file_can_have() -> None:
    opened = [Image.open(io.BytesIO(content)) for content in encoded(FACE).values()]
    assert {one.mode for one in opened} == {
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "CMYK",
        "YCbCr",
        "LAB",
        "I",
        "I;16",
        "I;16B",
        "F",
    }
    clear = {(one.mode, type(one.info.get("transparency"))) for one in opened}
    assert {("1", int), ("L", int), ("P", int), ("P", bytes), ("RGB", tuple)} <= clear


@pytest.mark.parametrize("name", PYTHON_CLIENTS)
def test_a_client_answers_every_picture_as_training_does(
    name: str,
    published: Path,
    pictures: dict[str, Path],
    by_training: dict[str, Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = by_snippet(name, published, pictures["RGB PNG"], tmp_path, monkeypatch)
    given = {kind: ask(str(path)) for kind, path in pictures.items() if not (is_deep(kind) and name == "pipeline()")}
    assert apart(given, by_training, ONNX_TOLERANCE if name == "onnxruntime" else TOLERANCE) == {}
