"""Every code block of a published card runs as it is printed, against a Hub on the loopback.

Only addresses differ: HF_ENDPOINT names the Hub in Python, and in JavaScript and the browser `huggingface.co` and the
CDN of the libraries are mapped to this machine. The server listens on a free port.
"""

import ast
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from hub.clients.clients import CLIENTS, NODE_PACKAGE, why_missing
from hub.options import Options
from hub.release import stage, staging_place
from hub.run import load_run
from pipeline.settings.command_line import parse_command_line
from tests.conftest import ROOT, run_train_hf, write_recipe
from tests.families import FAMILIES
from tests.hub_server import HubServer
from tests.screenshots import Browser, Page

REPO = "someone/faces"
PORT = "8000"
TAG = "own/v1"
"""A tag with parts: in addresses its slash is written otherwise."""
ON_MAIN = ("config.json", "preprocessor_config.json")
HARD = ['it\'s "fine"', "a|b", "`code`", "\N{GRINNING FACE} smile", "\u063a\u0636\u0628", "<b>x", "{{ x }}", "$&*_\\"]
"""Names of classes that Markdown, YAML, JSON, a shell, Python and JavaScript each read otherwise if they are let."""


class Block(NamedTuple):
    """A fenced block of the card and its language."""

    language: str
    code: str


class Published(NamedTuple):
    """A release on the loopback Hub, as publishing staged it."""

    hub: HubServer
    folder: Path
    blocks: list[Block]

    def environment(self, home: Path) -> dict[str, str]:
        return self.hub.client_environment(home, None) | {"ORT_DISABLE_TELEMETRY": "1"}

    def card(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    def classes(self) -> list[str]:
        """In the order of the model's outputs."""
        return list(json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["id2label"].values())

    def first_answers(self) -> dict[str, str]:
        """The first answer of the run to each example, by file name, from the card's own widget."""
        widget = ModelCard(self.card()).data.widget
        return {Path(example["src"]).name: example["output"][0]["label"] for example in widget}

    def first_answer(self) -> str:
        """The first answer of the run to the example that the lines of the card classify."""
        answers = self.first_answers()
        return answers.get("happiness.png") or answers["face.png"]

    def loads_in_node(self) -> bool:
        return "transformers.js" in ModelCard(self.card()).data.tags


def of_timm(place: Path) -> Path:
    """A run of a CNN from timm, on drawn faces."""
    FAMILIES["timm/resnet10t"].save(place / "checkpoint")
    about = {"checkpoint": str(place / "checkpoint"), "image_size": 64, "drawn_faces": 60, "vit_config": {}}
    return trained(place, max_steps=3, **about)


def of_own_classes(place: Path) -> Path:
    """A run on somebody's class folders, whose pictures publishing is not given."""
    rng = np.random.default_rng(0)
    for name in HARD:
        (place / "faces" / name).mkdir(parents=True)
        for number in range(12):
            noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(place / "faces" / name / f"{number}.png")
    return trained(place, max_steps=2, source="auto", data_path=str(place / "faces"), classes=HARD)


def trained(place: Path, **settings: Any) -> Path:
    recipe = write_recipe(place / "own.yaml", output_dir=str(place / "run"), evaluate_test=True, **settings)
    ended = run_train_hf(str(recipe))
    assert ended.returncode == 0, ended.stderr
    return place / "run"


@pytest.fixture(scope="module", params=[
    "native ViT",
    pytest.param("CNN of timm", marks=pytest.mark.slow),
    pytest.param("own classes", marks=pytest.mark.slow),
])  # fmt: skip
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    place, data_path = tmp_path_factory.mktemp("release"), "" if request.param != "own classes" else None
    make = {"CNN of timm": of_timm, "own classes": of_own_classes}.get(request.param)
    path = make(place) if make else request.getfixturevalue("publishable_run")
    tag = TAG if request.param == "own classes" else None
    words = {"run": path, "repo_id": REPO, "data_path": data_path, "tag": tag}
    detector = os.environ.get("YUNET")
    run = load_run(path)
    with staging_place(run) as folder, HubServer() as hub:
        (staged,) = stage(run, Options(**words, face_detector=detector), folder)
        kept = shutil.copytree(staged, place / "staged")
        content = {p.relative_to(kept).as_posix(): p.read_bytes() for p in kept.rglob("*") if p.is_file()}
        repo = hub.add_repo(REPO, content)
        if tag:  # main has an older release: of transformers.js, 4.3.2 looks there which files there are
            older = repo.add(None, {name: content[name] for name in ON_MAIN}, (), "someone", "an older release")
            repo.refs |= {f"refs/tags/{tag}": repo.refs["refs/heads/main"], "refs/heads/main": older.oid}
        card = (kept / "README.md").read_text(encoding="utf-8")
        assert card.count("\n```") == 2 * len(re.findall(r"^```\w+$", card, re.MULTILINE)), "every block has a language"
        blocks = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)]
        yield Published(hub, kept, blocks)


def of(published: Published, language: str) -> list[str]:
    return [block.code for block in published.blocks if block.language == language]


def run_python(code: str, published: Published, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=published.environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def served(published: Published, tmp_path: Path) -> Iterator[str]:
    """The port on which the card's command serves the release."""
    (command,) = (code for code in of(published, "bash") if "uvicorn" in code)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        ["bash", "-c", f"exec env {command.replace(PORT, port)}"], cwd=ROOT,
        env=published.environment(tmp_path / "served") | {"PATH": path},
    )  # fmt: skip
    try:
        for _ in range(3000):
            assert server.poll() is None
            try:
                urllib.request.urlopen(f"http://localhost:{port}/health").close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(60)


def test_the_card_has_no_block_of_another_language(published: Published) -> None:
    assert {block.language for block in published.blocks} <= {"python", "bash", "js", "html", "bibtex"}
    assert len(of(published, "js")) == (2 if published.loads_in_node() else 0)
    assert len(of(published, "html")) == 1 and len(of(published, "bash")) == 2


def test_every_link_to_the_repository_leads_to_a_file(published: Published) -> None:
    address = rf"https://huggingface.co/{REPO}/(?:blob|resolve)/(?:main|own%2Fv1)/([^\s)'\"#]+)"
    links = re.findall(address, published.card())
    shown = re.findall(r"(?:\]\(|src=\")((?:figures|examples)/[^)\"]+)", published.card())
    assert {"licences", "notebook.ipynb", "figures"} <= {Path(name).parts[0] for name in (*links, *shown)}
    assert not [name for name in (*links, *shown) if not (published.folder / name).is_file()]


def test_every_python_block_prints_the_scores_of_the_example(published: Published, served: str, tmp_path: Path) -> None:
    blocks = of(published, "python")
    assert len(blocks) == len([c for c in CLIENTS.values() if c.snippet.endswith(".py.jinja")]) + (
        "YUNET" in os.environ
    )
    expected = published.first_answer()
    for code in blocks:
        printed = run_python(code.replace(PORT, served), published, tmp_path)
        if "FaceDetectorYN" not in code:
            scores = ast.literal_eval(printed)
            named = scores if isinstance(scores, dict) else {score["label"]: score["score"] for score in scores}
            assert named.keys() == set(published.classes()), code
            assert max(named, key=lambda name: named[name]) == expected, code


@pytest.mark.skipif("YUNET" not in os.environ, reason="YUNET names no weights of the face detector")
def test_the_lines_that_crop_find_the_one_face_of_the_photo(published: Published, tmp_path: Path) -> None:
    (code,) = (code for code in of(published, "python") if "FaceDetectorYN" in code)
    assert len(code.splitlines()) <= 19
    lines = run_python(code, published, tmp_path).splitlines()
    left, top, right, bottom = ast.literal_eval(lines[0].partition("]")[0] + "]")
    assert len(lines) == 1 and 230 < left < right < 470 and 90 < top < bottom < 330 and right - left > 100
    assert "Permission is hereby granted" in (published.folder / "face_detector/LICENSE").read_text()


def test_the_command_that_trains_again_is_read_as_it_stands(published: Published) -> None:
    (code,) = (code for code in of(published, "bash") if "train_hf.py" in code)
    assert subprocess.run(["bash", "-n"], input=code, text=True).returncode == 0
    words = shlex.split(code.partition("train_hf.py")[2].replace("\\\n", " "))
    recipe = words[0] if (ROOT / "pipeline/recipes" / f"{words[0]}.yaml").exists() else str(published.folder / words[0])
    assert parse_command_line([recipe, *words[1:]]).recipe.classes == published.classes()


def test_the_notebook_is_valid_and_its_cells_run(published: Published, tmp_path: Path) -> None:
    notebook = json.loads((published.folder / "notebook.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        assert cell.keys() == keys | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = "\n".join(line for cell in cells for line in cell.splitlines() if not line.startswith("%"))
    assert expected_label(published) in run_python(code, published, tmp_path)


def expected_label(published: Published) -> str:
    return f"'label': {published.first_answer()!r}"


def test_the_examples_have_the_models_own_size(published: Published) -> None:
    sizes = {
        Image.open(file).size for file in (published.folder / "examples").glob("*.png") if file.name != "photo.png"
    }
    (size,) = sizes
    assert size == tuple(json.loads((published.folder / "preprocessor_config.json").read_text())["size"].values())


# JavaScript

PRELOAD = """
const before = globalThis.fetch;  // before the library takes it
const here = (url) => String(url?.url ?? url).replace('https://huggingface.co', process.env.HF_ENDPOINT);
globalThis.fetch = (url, ...rest) => before(here(url), ...rest);
const {{ env }} = await import('{library}');
env.remoteHost = process.env.HF_ENDPOINT;
env.cacheDir = `${{process.env.HF_HOME}}/transformers.js`;
const print = console.log;
console.log = (said) => print(JSON.stringify(said));
"""
PLAIN = """
import {{ pipeline, env }} from '{library}';
env.localModelPath = process.argv[2];
env.allowRemoteModels = false;
const classify = await pipeline('image-classification', '{model}'{options});
for (const picture of process.argv.slice(3)) console.log((await classify(picture))[0].label);
"""


@pytest.fixture
def in_node(published: Published, tmp_path: Path) -> Callable[..., str]:
    """Run JavaScript in node where transformers.js can be imported."""
    if reason := why_missing(CLIENTS["transformers.js"], published.folder):
        pytest.skip(reason)
    named = [os.environ.get(name, "") for name in ("FER_NODE_MODULES", "NODE_PATH")]
    modules = next(Path(name) for name in named if name and (Path(name) / NODE_PACKAGE).is_dir())
    (tmp_path / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)

    def run(code: str, *words: str, preload: bool = False) -> str:
        (tmp_path / "script.mjs").write_text(code)
        (tmp_path / "preload.mjs").write_text(PRELOAD.format(library=NODE_PACKAGE))
        before = ["--import", "./preload.mjs"] if preload else []
        done = subprocess.run(
            ["node", *before, "script.mjs", *words], cwd=tmp_path, env=published.environment(tmp_path / "hf"),
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_javascript_block_prints_the_answer_to_the_example(published: Published, in_node) -> None:
    blocks = of(published, "js")
    assert len(blocks) == 2
    for code in blocks:
        scores = json.loads(in_node(code, preload=True))
        assert {score["label"] for score in scores} == set(published.classes())
        assert scores[0]["label"] == published.first_answer(), code


@pytest.mark.parametrize("options", ["", ", { dtype: 'q8' }", ", { dtype: 'fp16' }", ", { dtype: 'fp32' }"])
def test_plain_transformers_js_gives_the_runs_first_answer_to_every_example(published, in_node, options: str) -> None:
    if "q8" in options and not (published.folder / "onnx/model_quantized.onnx").exists():
        assert "`dtype: 'q8'` does not work, because this repository has no such file" in published.card()
        return
    (published.folder.parent / "someone").mkdir(exist_ok=True)
    link = published.folder.parent / REPO
    if not link.exists():
        link.symlink_to(published.folder, target_is_directory=True)
    answers = published.first_answers()
    paths = [str(published.folder / "examples" / name) for name in answers]
    code = PLAIN.format(library=NODE_PACKAGE, model=REPO, options=options)
    assert in_node(code, f"{published.folder.parent}/", *paths).splitlines() == list(answers.values())


# A browser


def test_the_page_for_a_browser_shows_the_answer_to_the_example(published: Published, tmp_path: Path) -> None:
    modules = Path(os.environ.get("FER_NODE_MODULES", ""))
    if not (modules / "onnxruntime-web").is_dir() or not shutil.which("chromium"):
        pytest.skip("needs chromium and FER_NODE_MODULES with onnxruntime-web")
    (code,) = of(published, "html")
    (tmp_path / "ort").symlink_to((modules / "onnxruntime-web/dist").resolve(), target_is_directory=True)
    for file in published.folder.rglob("*"):
        target = tmp_path / "release" / file.relative_to(published.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            shutil.copyfile(file, target)
    here = re.sub(r"https://cdn.jsdelivr.net/npm/onnxruntime-web@[\d.]+/dist", "/ort", code)
    here = re.sub(rf"https://huggingface.co/{REPO}/resolve/(main|own%2Fv1)", "/release", here)
    assert "https://" not in here
    (tmp_path / "index.html").write_text(here)

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(tmp_path)
        try:
            tab = Page(browser, f"http://127.0.0.1:{server.server_port}/index.html", 600, 400, "light")
            tab.wait("document.querySelector('#scores').textContent.includes('{')")
            scores = json.loads(tab.value("document.querySelector('#scores').textContent"))
        finally:
            browser.close()
            server.shutdown()
    assert scores.keys() == set(published.classes())
    assert max(scores, key=lambda name: scores[name]) == published.first_answer()
