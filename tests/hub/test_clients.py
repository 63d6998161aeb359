"""One picture, every client: the card's own snippets, each in a fresh process, give what predictions.parquet holds."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification

from hub.clients.clients import CLIENTS, NODE_PACKAGE, ask, lay, render, why_missing
from hub.clients.parity import beyond_tolerance, measure_parity
from hub.clients.picture_kinds import picture_kinds
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.conftest import run_train_hf, save_sharp_model, write_recipe

SIZE = 64
PYTHON_CLIENTS = ("pipeline()", "AutoModel", "onnxruntime", "the app")
OWN_RESIZE = "transformers.js, its own resize"


class Published(NamedTuple):
    """A folder as publishing stages it, picture files by kind, and what the run's predictions say of them."""

    folder: Path
    pictures: dict[str, list[Path]]
    reference: dict[str, np.ndarray]


def noise(*shape: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def save_pictures(folder: Path) -> dict[str, list[Path]]:
    """A data_path: other pictures to train on, and pictures of every kind, rough and smooth, to evaluate."""
    faces = [noise(48, 48, seed=1), noise(6, 6, 3, seed=2).resize((200, 200), Image.Resampling.BICUBIC)]
    kinds = picture_kinds(folder / "kinds", faces, (SIZE, SIZE))
    rows = [(path, "validation") for paths in kinds.values() for path in paths]
    for number in range(16):
        noise(40, 40, 3, seed=100 + number).save(folder / f"{number}.png")
        rows.append((folder / f"{number}.png", "train"))
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows([p.relative_to(folder), CLASSES[i % 7], split] for i, (p, split) in enumerate(rows))
    return kinds


def save_onnx(folder: Path) -> None:
    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModelForImageClassification.from_pretrained(folder).eval()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.model(pixels).logits

    names = {
        "input_names": ["pixel_values"],
        "output_names": ["logits"],
        "dynamic_axes": {"pixel_values": {0: "batch"}},
    }
    (folder / "onnx").mkdir()
    torch.onnx.export(Logits(), (torch.zeros(1, 3, SIZE, SIZE),), folder / "onnx/model.onnx", dynamo=False, **names)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    base = tmp_path_factory.mktemp("published")
    save_sharp_model(base / "sharp", SIZE)
    (base / "data").mkdir()
    kinds = save_pictures(base / "data")
    settings = {"source": "auto", "data_path": str(base / "data"), "checkpoint": str(base / "sharp")}
    made = settings | {"image_size": SIZE, "max_steps": 2, "output_dir": str(base / "run"), "leaks": "report"}
    done = run_train_hf(str(write_recipe(base / "own.yaml", **made)))
    assert done.returncode == 0, done.stderr
    rows = {r["key"]: r["logits"] for r in pq.read_table(base / "run/predictions.parquet").to_pylist()}
    reference = {
        kind: torch.tensor([rows[p.relative_to(base / "data").as_posix()] for p in paths]).softmax(-1).numpy()
        for kind, paths in kinds.items()
    }
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (base / "staged").mkdir(exist_ok=True)
        shutil.copyfile(base / "run" / name, base / "staged" / name)
    save_onnx(base / "staged")
    return Published(base / "staged", kinds, reference)


@pytest.fixture(scope="module")
def parity(published: Published) -> dict:
    return measure_parity(*published, revision="v1.0", clients=PYTHON_CLIENTS)["clients"]  # there is no main


def changed(folder: Path, to: Path, **settings) -> Path:
    shutil.copytree(folder, to)
    file = to / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return to


def largest(client: dict) -> float:
    return max(cell["largest_difference"] for cell in client["kinds"].values())


@pytest.mark.parametrize("name", PYTHON_CLIENTS)
def test_a_client_gives_the_probabilities_of_the_run(parity, published, name: str) -> None:
    scores = np.concatenate(list(published.reference.values()))
    assert np.ptp(scores, axis=0).max() > 0.3, "scores that hardly move prove nothing"
    assert not beyond_tolerance({"clients": {name: parity[name]}})
    assert parity[name]["kinds"].keys() == published.pictures.keys()
    assert all(cell["same_top_class"] == cell["n"] == 2 for cell in parity[name]["kinds"].values())
    json.dumps(parity)


@pytest.mark.slow
def test_another_resampling_in_the_folder_is_noticed(published, tmp_path: Path) -> None:
    folder = changed(published.folder, tmp_path / "other", resample=0)
    parity = measure_parity(folder, *published[1:], clients=("pipeline()", "AutoModel"))
    for name, client in parity["clients"].items():
        assert largest(client) > 100 * client["tolerance"], name
    assert len(beyond_tolerance(parity)) == 2 * (len(published.pictures) - 1), "the model's own size is not resized"


def test_another_mean_in_the_folder_is_noticed(published, tmp_path: Path) -> None:
    folder = changed(published.folder, tmp_path / "other", image_mean=[0.49, 0.5, 0.5])
    parity = measure_parity(folder, *published[1:], clients=("onnxruntime",))
    assert len(beyond_tolerance(parity)) == len(published.pictures)


def test_a_processor_that_makes_transparent_pictures_white_is_noticed(published, tmp_path: Path) -> None:
    folder = changed(published.folder, tmp_path / "other", do_convert_rgb=True)
    parity = measure_parity(folder, *published[1:], clients=("pipeline()",))
    (line,) = beyond_tolerance(parity)
    assert line.startswith("pipeline(), one clear colour: a probability differs by")


def test_a_picture_that_a_client_refuses_is_named(published, tmp_path: Path) -> None:
    good, deep = published.pictures["RGBA"][0], tmp_path / "deep.png"
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(deep)
    reference = {"any": np.zeros((2, 7))}
    with pytest.raises(InputError, match=r"^AutoModel refuses deep\.png: ValueError: more than 8 bits a channel"):
        measure_parity(published.folder, {"any": [good, deep]}, reference, clients=("AutoModel",))


def test_what_the_card_shows_is_what_runs(published, tmp_path: Path) -> None:
    """Each snippet as it stands, with a repository, a tag and nothing appended but a look at what it imported."""
    environment = lay(published.folder, tmp_path, "someone/fer-vit-tiny", "v1.0")
    picture = published.pictures["131 x 97"][0].as_posix()
    code = render(CLIENTS["onnxruntime"].snippet, "someone/fer-vit-tiny", repr(picture), "v1.0")
    code += "\nimport sys\nassert not {'torch', 'transformers'} & sys.modules.keys()\n"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in CLASSES)


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if not client.is_web])
def test_a_snippet_is_the_same_with_and_without_a_tag_but_for_the_tag(name: str) -> None:
    one, two = (render(CLIENTS[name].snippet, "someone/name", "face.png", tag) for tag in (None, "v1.0"))
    assert "v1.0" in two
    assert re.sub(r""", "?revision"?[:=] ?["']v1.0["']""", "", two) == one


def test_a_folder_that_a_client_cannot_load_is_one_line(published, tmp_path: Path) -> None:
    shutil.copytree(published.folder, tmp_path / "other")
    (tmp_path / "other/preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"^onnxruntime does not work with this folder: FileNotFoundError.*$"):
        measure_parity(tmp_path / "other", *published[1:], clients=("onnxruntime",))


def test_the_app_that_cannot_load_a_folder_is_one_line(published, tmp_path: Path) -> None:
    shutil.copytree(published.folder, tmp_path / "other")
    (tmp_path / "other/config.json").unlink()
    with pytest.raises(
        InputError, match=r"^the app does not work with this folder: ERROR: +cannot start: .*config\.json"
    ):
        ask("the app", "a/b", [Path("face.png")], lay(tmp_path / "other", tmp_path / "home", "a/b", None))


def test_a_client_that_is_not_here_is_skipped_with_the_reason(published, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(published.folder, tmp_path / "bare", ignore=shutil.ignore_patterns("onnx"))
    parity = measure_parity(tmp_path / "bare", *published[1:], clients=("onnxruntime",))
    assert parity == {
        "answers": "probability",
        "clients": {"onnxruntime": {"skipped": "the folder has no onnx/model.onnx"}},
    }
    for name in ("FER_NODE_MODULES", "NODE_PATH"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("node"):
        assert "no node_modules" in str(why_missing(CLIENTS["transformers.js"], published.folder))
    monkeypatch.setenv("PATH", "")
    assert why_missing(CLIENTS["transformers.js"], published.folder) == "node is not on the PATH"


def test_kinds_of_pictures_are_what_they_are_called(tmp_path: Path) -> None:
    kinds = picture_kinds(tmp_path, [noise(50, 50, 3, seed=i) for i in range(7)], (SIZE, SIZE))
    opened = {kind: [Image.open(path) for path in paths] for kind, paths in kinds.items()}
    assert {(p.mode, p.size) for p in opened["48 px gray"]} == {("L", (48, 48))}
    assert {(p.mode, p.size) for p in opened["131 x 97"]} == {("RGB", (131, 97))}
    assert {p.getexif()[0x0112] for p in opened["JPEG turned by EXIF"]} == set(range(2, 9))
    assert {p.mode for p in opened["RGBA"]} == {"RGBA"} and np.ptp(np.asarray(opened["RGBA"][0])[..., 3]) > 200
    assert [p.mode for p in opened["one clear colour"]] == ["P", "RGB"] * 3 + ["P"]
    assert all("transparency" in p.info for p in opened["one clear colour"])
    assert {p.size for p in opened["model's own size"]} == {(SIZE, SIZE)}


def compare_in_node(published: Published, node_modules: Path | None) -> None:
    names = ("transformers.js", OWN_RESIZE)
    parity = measure_parity(*published, node_modules=node_modules, clients=names)
    assert not beyond_tolerance(parity)
    assert all(cell["same_top_class"] == cell["n"] for cell in parity["clients"]["transformers.js"]["kinds"].values())
    own = parity["clients"][OWN_RESIZE]
    assert largest(own) > 0.01, "the library resizes as training does now: the snippet can be three lines"
    assert own["kinds"]["model's own size"]["largest_difference"] < 1e-4


def test_transformers_js_gives_the_probabilities_of_the_run(published) -> None:
    reason = why_missing(CLIENTS["transformers.js"], published.folder)
    if reason:
        pytest.skip(reason)
    compare_in_node(published, None)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not on the PATH")
def test_the_newest_transformers_js_gives_the_probabilities_of_the_run(published, tmp_path: Path) -> None:
    environment = os.environ | {"ONNXRUNTIME_NODE_INSTALL": "skip"}  # its GPU libraries, which npm does not bring
    words = ["npm", "install", "--prefix", str(tmp_path), NODE_PACKAGE]
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=1200)
    compare_in_node(published, tmp_path / "node_modules")


@pytest.mark.slow
def test_the_newest_transformers_4_gives_the_probabilities_of_the_run(published, tmp_path: Path) -> None:
    place = Path(os.environ.get("FER_TRANSFORMERS_4") or tmp_path / "venv")
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(place, with_pip=True)
        words = [python, "-m", "pip", "install", "-q", "transformers<5", "torch", "torchvision", "pillow"]
        subprocess.run(words, check=True, capture_output=True, timeout=3600)
    version = subprocess.run(
        [python, "-c", "import transformers; print(transformers.__version__)"], capture_output=True, text=True
    )
    assert version.stdout.startswith("4."), version.stderr
    plain, fast = (
        largest_under(str(python), published, changed(published.folder, tmp_path / name, image_processor_type=name))
        for name in ("ViTImageProcessor", "ViTImageProcessorFast")
    )
    assert fast < CLIENTS["pipeline()"].tolerance
    assert plain < 0.1, "by this name version 4 takes its older processor, which resizes with Pillow"


def largest_under(python: str, published: Published, folder: Path) -> float:
    """The largest difference of a probability that `pipeline()` shows in another environment."""
    environment = lay(folder, folder.parent / f"home of {folder.name}", "someone/fer-vit-tiny", None)
    paths = [path for kind in published.pictures.values() for path in kind]
    answers = ask("pipeline()", "someone/fer-vit-tiny", paths, environment, python=python)
    given = np.array([[answer[c] for c in CLASSES] for answer in answers])
    return float(np.abs(given - np.concatenate(list(published.reference.values()))).max())
