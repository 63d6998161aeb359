"""The clients that people load a published folder with: each is one entry of `CLIENTS` and one snippet of the card.

transformers.js by itself resizes differently from training. In node, the picture is shifted by half of its own pixels,
its right and lower edges fade to black, and nothing is averaged when it shrinks; in a browser, the canvas decides. Its
snippets resize first. A picture that has the model's size already stays as it is.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hub.clients.processes import run, serve
from hub.templates import templates
from pipeline.errors import InputError
from pipeline.run_folder import CONFIG, read_json
from pipeline.task import is_scored

NODE_PACKAGE = "@huggingface/transformers"
NODE_FOLDERS = ("FER_NODE_MODULES", "NODE_PATH")
"""Environment variables that may name a `node_modules` with transformers.js, besides the argument."""
NO_NODE_MODULES = f"no node_modules with {NODE_PACKAGE}: name one in {NODE_FOLDERS[0]}"
ADDRESS = "http://localhost:8000"
"""Where the app answers, according to the card."""
COMMIT = "0" * 40
TIMM = "timm_wrapper"
"""The model type of what transformers loads through timm."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A way to load a published folder.

    Attributes:
        snippet: template in `snippets/`, which the card shows and which is run here.
        packages: what it imports.
        tolerance: largest difference of a probability from the run's; None if it is only measured.
        heading: line of the card under which the snippet is folded away; None for the first, and for variants.
        ask: the expression that the snippet offers for the scores of the picture at `path`.
        is_node: runs in node.
        is_onnx: reads a file in `onnx/`, which `file` names.
        is_web: asks a server, the app, which is started for it.
    """

    snippet: str
    packages: tuple[str, ...]
    tolerance: float | None = 1e-4
    heading: str | None = None
    ask: str = "classify(path)"
    is_node: bool = False
    is_onnx: bool = False
    file: str = "model.onnx"
    is_web: bool = False


Answer = dict[str, float] | str
"""What a client says about a picture: its scores by class, or the error with which it refuses the picture."""
TORCH = ("transformers", "torch", "torchvision", "pillow")
ONNX = ("onnxruntime", "numpy", "pillow", "huggingface_hub")
CLIENTS = {
    "pipeline()": Client(snippet="use_pipeline.py.jinja", packages=TORCH),
    "AutoModel": Client(snippet="use_automodel.py.jinja", packages=TORCH, heading="With AutoModel"),
    "onnxruntime, with preprocessing": Client(
        snippet="use_preprocessed.py.jinja", packages=ONNX, is_onnx=True, tolerance=0.02,
        file="model_with_preprocessing.onnx",
        heading="With onnxruntime and the file that takes any picture, without torch and transformers",
    ),
    "onnxruntime, Pillow's resize": Client(
        snippet="use_onnxruntime_pillow.py.jinja", packages=ONNX, is_onnx=True, tolerance=None,
        heading="With onnxruntime, and Pillow to resize",
    ),
    "onnxruntime": Client(
        snippet="use_onnxruntime.py.jinja", packages=ONNX, is_onnx=True,
        heading="With onnxruntime, resized as in training to the bit",
    ),
    "the app": Client(
        snippet="use_app.py.jinja", packages=("fastapi", "uvicorn", "huggingface_hub"), is_web=True,
        heading="From any language, over HTTP",
    ),
    "transformers.js, Lanczos": Client(
        snippet="use_transformers_js.mjs.jinja", packages=(NODE_PACKAGE,), is_node=True, is_onnx=True, tolerance=None,
        heading="In node, with transformers.js",
    ),
    "transformers.js": Client(
        snippet="use_transformers_js_exact.mjs.jinja", packages=(NODE_PACKAGE,), is_node=True, is_onnx=True,
        heading="With transformers.js, resized as in training to the bit",
    ),
    "transformers.js, its own resize": Client(
        snippet="use_transformers_js.mjs.jinja", packages=(NODE_PACKAGE,), is_node=True, is_onnx=True, tolerance=None,
        ask="classifier(path, { top_k: null })",
    ),
}  # fmt: skip
OF_ADAPTERS = {"peft": Client(snippet="use_adapter.py.jinja", packages=(*TORCH, "peft"))}
"""How a published adapter is loaded, which is not a whole model."""

PYTHON = """{snippet}
import json as _json
import pathlib as _pathlib


def _try(path):
    try:
        return {ask}
    except Exception as _error:
        return f"{{type(_error).__name__}}: {{_error}}"


_answers = [_try(path) for path in _json.loads(_pathlib.Path("pictures.json").read_text(encoding="utf-8"))]
_pathlib.Path("answers.json").write_text(_json.dumps(_answers), encoding="utf-8")
"""

NODE = """import {{ env as _env }} from '@huggingface/transformers';
import {{ readFileSync as _read, writeFileSync as _write }} from 'node:fs';

_env.localModelPath = `${{process.env.HF_HOME}}/models`;
_env.cacheDir = `${{process.env.HF_HOME}}/transformers.js`;
_env.allowRemoteModels = !process.env.HF_HUB_OFFLINE;
if (process.env.HF_ENDPOINT) _env.remoteHost = process.env.HF_ENDPOINT;
{snippet}
const _answers = [];
for (const path of JSON.parse(_read('pictures.json', 'utf8'))) {{
  try {{
    _answers.push(await {ask});
  }} catch (error) {{
    _answers.push(String(error));
  }}
}}
_write('answers.json', JSON.stringify(_answers));
"""


def ask(
    name: str,
    model: str,
    paths: Sequence[Path],
    environment: Mapping[str, str],
    revision: str | None = None,
    top_k: int = 7,
    node_modules: Path | None = None,
    python: str = sys.executable,
    scored: bool = False,
) -> list[Answer]:
    """The answer to each picture from one fresh process that runs the card's snippet.

    Args:
        name: of `CLIENTS`, or of `OF_ADAPTERS` for an adapter.
        model: repository that the snippet names.
        paths: pictures, at least one; the snippet itself asks about the first.
        environment: all environment variables of the process: HF_HOME with the files, or HF_ENDPOINT to get them from.
        revision: tag, branch or commit that the snippet names.
        top_k: how many classes there are.
        node_modules: where transformers.js is; None for what FER_NODE_MODULES or NODE_PATH name.
        python: of the environment in which Python clients run.
        scored: whether the outputs are scores, not logits of classes.

    Raises:
        InputError: the process ended in an error, which the message names, or transformers.js is not installed.
    """
    client = (CLIENTS | OF_ADAPTERS)[name]
    with ExitStack() as stack:
        address = ADDRESS
        if client.is_web:
            address = stack.enter_context(serve(model, revision, environment, python))
            environment = {k: v for k, v in environment.items() if k != "HF_HUB_OFFLINE"}  # it asks only this machine
        snippet = render(
            client.snippet, model, json.dumps(paths[0].resolve().as_posix()), revision, top_k, address, scored
        )
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="client-")))
        (work / "pictures.json").write_text(json.dumps([p.resolve().as_posix() for p in paths]), encoding="utf-8")
        script = work / ("client.mjs" if client.is_node else "client.py")
        script.write_text(
            (NODE if client.is_node else PYTHON).format(snippet=snippet, ask=client.ask), encoding="utf-8"
        )
        if client.is_node:
            library = _node_modules(node_modules)
            if not library:
                raise InputError(f"{name}: {NO_NODE_MODULES}")
            (work / "node_modules").symlink_to(library, target_is_directory=True)
        program = shutil.which("node") or "node" if client.is_node else python
        run([program, str(script)], name, work, environment)
        answers = json.loads((work / "answers.json").read_text(encoding="utf-8"))
    return [{s["label"]: s["score"] for s in a} if isinstance(a, list) else a for a in answers]


def render(
    snippet: str,
    model: str,
    picture: str,
    revision: str | None = None,
    top_k: int = 7,
    address: str = ADDRESS,
    scored: bool = False,
) -> str:
    """A snippet as the model card shows it; `picture` is the expression of a path, in the snippet's language."""
    template = templates().get_template(f"clients/snippets/{snippet}")
    words = {"model": model, "picture": picture, "revision": revision, "top_k": top_k, "address": address}
    return template.render(words, scored=scored)


def why_missing(client: Client, folder: Path, node_modules: Path | None = None) -> str | None:
    """Why a client cannot be run here, or None."""
    if client.is_onnx and not (folder / "onnx" / client.file).is_file():
        return f"the folder has no onnx/{client.file}"
    if client.is_node:
        config = read_json(folder / CONFIG)
        if config["model_type"] == TIMM:
            return f"transformers.js cannot load a model of type {TIMM}"
        if is_scored(config):
            return "transformers.js makes probabilities of scores"
        if not shutil.which("node"):
            return "node is not on the PATH"
        if not _node_modules(node_modules):
            return NO_NODE_MODULES
        return None
    modules = {"pillow": "PIL"}
    missing = [p for p in client.packages if importlib.util.find_spec(modules.get(p, p)) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def lay(folder: Path, home: Path, model: str, revision: str | None) -> dict[str, str]:
    """Copy the folder to where clients keep downloads; returns the environment in which they look only there."""
    cache = home / "hub" / f"models--{model.replace('/', '--')}"
    shutil.copytree(folder, cache / "snapshots" / COMMIT)
    reference = cache / "refs" / (revision or "main")
    reference.parent.mkdir(parents=True)
    reference.write_text(COMMIT, encoding="utf-8")
    by_name = home / "models" / model
    by_name.parent.mkdir(parents=True)
    by_name.symlink_to(cache / "snapshots" / COMMIT, target_is_directory=True)
    others = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT", "PYTHONPATH")}
    return others | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _node_modules(given: Path | None) -> Path | None:
    named = [os.environ.get(name, "") for name in NODE_FOLDERS]
    places = [given] if given else [Path(place) for n in named for place in n.split(os.pathsep) if place]
    return next((p.resolve() for p in places if (p / NODE_PACKAGE / "package.json").is_file()), None)


def versions(client: Client, node_modules: Path | None) -> dict[str, str]:
    """The versions of a client's packages."""
    if not client.is_node:
        return {name: importlib.metadata.version(name) for name in client.packages}
    package = (_node_modules(node_modules) or Path()) / NODE_PACKAGE / "package.json"
    return {NODE_PACKAGE: json.loads(package.read_text(encoding="utf-8"))["version"]}
