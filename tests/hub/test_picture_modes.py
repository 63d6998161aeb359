"""One picture in every mode, transparency and depth: every client answers as training does, or refuses it."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor, pipeline

from hub import predict
from hub.clients.clients import CLIENTS, Answer, lay, render
from hub.server.answers import read_picture
from hub.server.contract import Refused
from pipeline.drawn.face import draw_face
from pipeline.pictures import MAX_PIXELS, decode, upright
from pipeline.settings.files import recipe_from
from pipeline.training.model import build_model
from pipeline.training.saving import save_classifier
from tests.benchmarks.clients_by_picture import TRAINING, answers, difference, read_answers, training
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
    settings["geometry"] = "whole_picture"
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
        exec(render(CLIENTS[name].snippet, model, repr(first.as_posix())), names)

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


@pytest.mark.parametrize("name", PYTHON_CLIENTS)
def test_what_has_more_than_8_bits_a_channel_is_refused_except_by_pipeline(
    name: str, published: Path, pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = by_snippet(name, published, pictures["RGB PNG"], tmp_path, monkeypatch)
    answered = {kind for kind, path in pictures.items() if is_deep(kind) and not isinstance(ask(str(path)), str)}
    assert answered == ({kind for kind in pictures if is_deep(kind)} if name == "pipeline()" else set())


def test_hub_predict_answers_every_picture_as_training_does(
    published: Path, pictures: dict[str, Path], by_training: dict[str, Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        predict.main([str(published), *map(str, pictures.values()), "--json"])
    given = read_answers(capsys.readouterr().out, pictures)
    assert apart(given, by_training, ONNX_TOLERANCE) == {}
    assert {kind for kind, answer in given.items() if isinstance(answer, str)} == set(filter(is_deep, pictures))


def test_the_app_sees_the_pictures_of_training_or_refuses_their_format(pictures: dict[str, Path]) -> None:
    for kind, path in pictures.items():
        try:
            seen = read_picture(path.read_bytes(), MAX_PIXELS)
        except Refused as refusal:
            assert is_deep(kind) or not for_the_app(kind), refusal
        else:
            assert np.array_equal(seen, decode(path)) and for_the_app(kind) and not is_deep(kind)


def test_a_picture_in_memory_is_the_same_in_every_mode_for_pipeline_and_automodel(published: Path) -> None:
    classify = pipeline("image-classification", model=str(published))
    for mode, picture in objects(FACE).items():
        try:
            rgb = upright(picture)
        except ValueError:
            with pytest.raises(ValueError, match="conversion from La"):
                classify(picture)
            assert mode == "La"
            continue
        assert classify(picture) == classify(rgb), mode
        by_hand = classify.image_processor(picture.convert("RGB"), return_tensors="np")["pixel_values"]
        assert (by_hand == classify.image_processor(rgb, return_tensors="np")["pixel_values"]).all(), mode


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "I;16"])
def test_the_processor_refuses_a_picture_that_was_not_converted_to_rgb(mode: str, published: Path) -> None:
    processor = AutoImageProcessor.from_pretrained(published)
    with pytest.raises((RuntimeError, ValueError)):
        processor(objects(FACE)[mode], return_tensors="pt")


@pytest.mark.slow
def test_every_client_in_a_fresh_process(published: Path, pictures: dict[str, Path]) -> None:
    table = answers(published, pictures, [*PYTHON_CLIENTS, "the app"])
    own = table.pop(TRAINING)
    for name, given in table.items():
        kinds = [
            kind for kind in pictures
            if not (name == "pipeline()" and is_deep(kind)) and not (name == "the app" and not for_the_app(kind))
        ]  # fmt: skip
        assert apart({kind: given[kind] for kind in kinds}, own, ONNX_TOLERANCE) == {}, name
