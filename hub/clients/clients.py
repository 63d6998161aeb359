"""Every client that people load a published folder with, each in a fresh process that knows nothing but the folder.

A client is the snippet of the model card, rendered with the name of the repository; the files lie where that client
looks for what it has downloaded.

transformers.js by itself resizes otherwise than training did. In node, the picture is shifted by half a pixel of its
own, its right and lower edges fade to black, and nothing is averaged when it shrinks; in a browser, the canvas decides.
Its snippet resizes first. A picture that has the model's size already is left as it is.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hub.templates import templates
from pipeline.errors import InputError

NODE_PACKAGE = "@huggingface/transformers"
NODE_FOLDERS = ("FER_NODE_MODULES", "NODE_PATH")
"""Environment variables that may name a `node_modules` with transformers.js, besides the argument."""
NO_NODE_MODULES = f"no node_modules with {NODE_PACKAGE}: name one in {NODE_FOLDERS[0]}"
APP = Path(__file__).resolve().parents[1] / "server"
ADDRESS = "http://localhost:8000"
"""Where the card says that the app answers."""
COMMIT = "0" * 40
SECONDS = 900
"""Until a client that does not answer is given up."""


@dataclass(frozen=True)
class Client:
    """A snippet, what it imports, and the largest difference of a probability (None: measured, nothing promised).

    `ask` is the expression that the snippet offers for the scores of the picture at `path`.
    """

    snippet: str
    packages: tuple[str, ...]
    tolerance: float | None
    ask: str = "classify(path)"

    @property
    def is_node(self) -> bool:
        """Whether it runs in node."""
        return self.snippet.endswith(".mjs.jinja")

    @property
    def is_onnx(self) -> bool:
        """Whether it reads `onnx/model.onnx`."""
        return self.is_node or "onnxruntime" in self.packages

    @property
    def is_web(self) -> bool:
        """Whether it asks a server: the app, which is started for it."""
        return "uvicorn" in self.packages


CLIENTS = {
    "pipeline()": Client("use_pipeline.py.jinja", ("transformers", "torch", "torchvision", "pillow"), 1e-4),
    "AutoModel": Client("use_automodel.py.jinja", ("transformers", "torch", "torchvision", "pillow"), 1e-4),
    "onnxruntime": Client("use_onnxruntime.py.jinja", ("onnxruntime", "numpy", "pillow"), 1e-4),
    "the app": Client("use_app.py.jinja", ("fastapi", "uvicorn", "huggingface_hub"), 1e-4),
    "transformers.js": Client("use_transformers_js.mjs.jinja", (NODE_PACKAGE,), 1e-4),
    "transformers.js, its own resize": Client(
        "use_transformers_js.mjs.jinja", (NODE_PACKAGE,), None, "classifier(path, { top_k: null })"
    ),
}

PYTHON = """{snippet}
import json as _json
import pathlib as _pathlib

_answers = [{ask} for path in _json.loads(_pathlib.Path("pictures.json").read_text(encoding="utf-8"))]
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
for (const path of JSON.parse(_read('pictures.json', 'utf8'))) _answers.push(await {ask});
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
) -> list[dict[str, float]]:
    """The scores that a client gives to each picture, by class, from one fresh process of the card's snippet.

    Args:
        name: of `CLIENTS`.
        model: repository that the snippet names.
        paths: pictures, at least one.
        environment: the process's whole environment: HF_HOME with the files, or HF_ENDPOINT to fetch them from.
        revision: tag, branch or commit that the snippet names.
        top_k: how many classes there are.
        node_modules: where transformers.js is; else where FER_NODE_MODULES or NODE_PATH says.
        python: of the environment in which Python clients run.

    Raises:
        InputError: the process ended in an error, which the line names, or transformers.js is not here.
    """
    client = CLIENTS[name]
    with ExitStack() as stack:
        address = ADDRESS
        if client.is_web:
            address = stack.enter_context(_served(model, revision, environment, python))
            environment = {k: v for k, v in environment.items() if k != "HF_HUB_OFFLINE"}  # it asks this machine alone
        snippet = render(client.snippet, model, paths[0].resolve().as_posix(), revision, top_k, address)
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
        _run([program, str(script)], name, work, environment)
        answers = json.loads((work / "answers.json").read_text(encoding="utf-8"))
    return [a if isinstance(a, dict) else {s["label"]: s["score"] for s in a} for a in answers]


def render(
    snippet: str, model: str, picture: str, revision: str | None = None, top_k: int = 7, address: str = ADDRESS
) -> str:
    """A snippet as the model card shows it."""
    template = templates().get_template(f"clients/snippets/{snippet}")
    return template.render(model=model, picture=picture, revision=revision, top_k=top_k, address=address)


@contextmanager
def _served(model: str, revision: str | None, environment: Mapping[str, str], python: str) -> Iterator[str]:
    """The address of the app, which shows `model` in a process of its own.

    Raises:
        InputError: it does not start; the line says what it said.
    """
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        port = unused.getsockname()[1]
    words = [python, "-m", "uvicorn", "app:app", "--app-dir", str(APP), "--host", "localhost", "--port", str(port)]
    others = {name: value for name, value in environment.items() if not name.startswith("FER_")}
    shown = {"FER_MODEL": model} | ({"FER_REVISION": revision} if revision else {})
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(words, env=others | shown, stdout=said, stderr=said)
        try:
            address = f"http://localhost:{port}"
            _wait_for(f"{address}/health", server, said)
            yield address
        finally:
            server.terminate()
            server.wait(SECONDS)


def _wait_for(address: str, server: subprocess.Popen[bytes], said: IO[str]) -> None:
    """Until `address` answers.

    Raises:
        InputError: the server ended, or SECONDS are over.
    """
    for _ in range(10 * SECONDS):
        if server.poll() is not None:
            said.seek(0)
            raise InputError(
                f"the app does not work with this folder: {_reason(said.read(), 'cannot start', server.returncode)}"
            )
        try:
            urllib.request.urlopen(address, timeout=SECONDS).close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise InputError(f"the app did not start in {SECONDS} s")


def why_missing(client: Client, folder: Path, node_modules: Path | None = None) -> str | None:
    """Why a client cannot be asked here, or None."""
    if client.is_onnx and not (folder / "onnx" / "model.onnx").is_file():
        return "the folder has no onnx/model.onnx"
    if client.is_node:
        if not shutil.which("node"):
            return "node is not on the PATH"
        if not _node_modules(node_modules):
            return NO_NODE_MODULES
        return None
    modules = {"pillow": "PIL"}
    missing = [p for p in client.packages if importlib.util.find_spec(modules.get(p, p)) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def lay(folder: Path, home: Path, model: str, revision: str | None) -> dict[str, str]:
    """Put the folder where clients keep what they have downloaded; the environment in which they look there alone."""
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


def _run(command: list[str], name: str, work: Path, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=work, env=dict(environment), capture_output=True, text=True, encoding="utf-8", timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{name} gave no answer in {SECONDS} s; ask about fewer pictures") from None
    if done.returncode:
        raise InputError(f"{name} does not work with this folder: {_reason(done.stderr, 'Error', done.returncode)}")


def _reason(said: str, mark: str, code: int) -> str:
    """The line of what a process said that tells why it ended: the last with `mark`, or the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [f"exit code {code}"]
    return ([line for line in lines if mark in line] or lines)[-1]


def _node_modules(given: Path | None) -> Path | None:
    named = [os.environ.get(name, "") for name in NODE_FOLDERS]
    places = [given] if given else [Path(place) for n in named for place in n.split(os.pathsep) if place]
    return next((p.resolve() for p in places if (p / NODE_PACKAGE / "package.json").is_file()), None)


def versions(client: Client, node_modules: Path | None) -> dict[str, str]:
    """What a client is made of, by package."""
    if not client.is_node:
        return {name: importlib.metadata.version(name) for name in client.packages}
    package = (_node_modules(node_modules) or Path()) / NODE_PACKAGE / "package.json"
    return {NODE_PACKAGE: json.loads(package.read_text(encoding="utf-8"))["version"]}
