"""The app as a Space: what is staged, how it is published, and that it starts from the published files only."""

import ast
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, SpaceCard
from PIL import Image
from transformers import pipeline

from hub import space_folder
from hub.privacy import refuse_private
from hub.run import load_run
from hub.space_release import send_space, stage_space
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from push_to_hub import main, parse
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.publish_faults import client_settings

TOKEN = "hf_" + "anna" * 8
MODEL, SPACE, HOST = "anna/faces", "anna/demo", "anna-demo.hf.space"
CARRIED = (
    "class_shares",
    "clinical",
    "cores",
    "crop",
    "described_size",
    "errors",
    "hub_client",
    "model_folder",
    "own_file",
    "pictures",
    "yaml_text",
)


APP = ROOT / "hub" / "server"
OF_THE_FIRST_VERSION = [
    *("LICENSE", "README.md", "Dockerfile", "requirements.txt", "page.html", "face_detection_yunet_2023mar.onnx"),
    *("answers.py", "app.py", "batching.py", "bodies.py", "contract.py", "crop.py", "engine.py", "faces.py"),
    *("guard.py", "pictures.py", "preprocessing.py", "refusal.py", "settings.py"),
]


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def staged(detector_weights: Path, tmp_path: Path) -> Path:
    space_folder.stage(tmp_path / "space", MODEL, "v1.0", detector_weights)
    return tmp_path / "space"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, words) of each line, without comments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.M).replace("\\\n", "")
    return [(name, words) for name, _, words in (line.partition(" ") for line in text.splitlines() if line)]


def environment_of(dockerfile: Path) -> dict[str, str]:
    found = [words for name, words in instructions(dockerfile) if name == "ENV"]
    return dict(pair.split("=", 1) for words in found for pair in shlex.split(words))


# ---- What is staged


def test_the_folder_holds_only_the_app_what_it_imports_and_the_detector(staged: Path, detector_weights: Path) -> None:
    app = {f"hub/server/{p.name}" for p in APP.iterdir() if p.suffix in (".py", ".html", ".js", ".txt")}
    app |= {f"hub/server/page/{p.name}" for p in (APP / "page").iterdir()}
    carried = {"hub/__init__.py", "pipeline/__init__.py", *(f"pipeline/{name}.py" for name in CARRIED)}
    made = {f"hub/server/{crop.YUNET}", "Dockerfile", "README.md", "LICENSE"}
    assert files_in(staged) == app | carried | made
    assert all((staged / name).read_bytes() == (ROOT / name).read_bytes() for name in app | carried | {"LICENSE"})
    assert (staged / "hub" / "server" / crop.YUNET).read_bytes() == detector_weights.read_bytes()
    assert all(any(fnmatch(name, part) for part in space_folder.PUBLISHED) for name in files_in(staged))
    refuse_private(staged, "anna")


def test_every_module_of_the_project_that_the_app_imports_is_staged(staged: Path) -> None:
    for file in staged.rglob("*.py"):
        package = file.relative_to(staged).parent.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                parts = (node.module or "").split(".") if node.module else []
                start = package if node.level else ()
                for name in [alias.name for alias in node.names]:
                    path = staged.joinpath(*start, *parts)
                    if node.level or parts[0] in ("hub", "pipeline"):
                        assert path.with_suffix(".py").is_file() or (path / f"{name}.py").is_file(), (file, parts, name)


def test_the_readme_says_what_the_hub_needs_and_what_a_visitor_should_know(staged: Path) -> None:
    card = SpaceCard((staged / "README.md").read_text())
    metadata = card.data.to_dict()
    assert (metadata["sdk"], metadata["app_port"], metadata["models"]) == ("docker", 7860, [MODEL])
    assert (metadata["license"], metadata["pinned"]) == ("apache-2.0", False)
    assert len(metadata["short_description"]) <= 60, "the Hub takes no more"
    for words in (f"`{MODEL}`", "`v1.0`", "not tell what a person feels", "not kept", "5(1)(f)", "50(3)", "HF_TOKEN",
                  "`FER_ORIGINS`", "Copyright (c) 2020 Shiqi Yu", "permission notice shall be included"):  # fmt: skip
        assert words in " ".join(card.text.split())


def test_the_dockerfile_copies_everything_that_the_app_needs(staged: Path) -> None:
    steps = instructions(staged / "Dockerfile")
    copied = [source for name, words in steps if name == "COPY" for source in words.split()[:-1]]
    assert all((staged / source).exists() for source in copied)
    assert {p.name for p in staged.iterdir()} - set(copied) == {"Dockerfile", "README.md", "LICENSE"}
    for source, target in (words.split() for name, words in steps if name == "COPY"):
        same = source if (staged / source).is_dir() else str(Path(source).parent)
        assert target.rstrip("/") == same, "files keep their paths"
    user = [words for name, words in steps if name == "RUN" and "useradd" in words]
    assert "--uid 1000" in user[0] and ("USER", "user") in steps
    port = SpaceCard((staged / "README.md").read_text()).data.app_port
    command = json.loads(dict(steps)["CMD"])
    assert {"0.0.0.0", str(port)} <= set(command)
    assert command[:4] == ["uvicorn", "app:app", "--app-dir", "hub/server"], "as on any machine"
    assert environment_of(staged / "Dockerfile") == {"HOME": "/app", "FER_MODEL": MODEL, "FER_REVISION": "v1.0"}


def test_the_page_only_uses_relative_urls(staged: Path) -> None:
    page = "".join(part.read_text() for part in (staged / "hub" / "server" / "page").iterdir())
    asked = re.findall(r"(?:href=|src=|fetch\(|URL\()[\"'`]([^\"'`]*)", page)
    assert {"docs", "health", "examples", "page/page.js", "page/page.css"} <= set(asked)
    assert not [address for address in asked if re.match(r"/|\w+:(?!,)", address)]


@pytest.mark.parametrize("planted", ["hf_" + "a" * 30, "/home" + "/annette/runs"])
def test_code_is_searched_for_secrets_and_paths_and_not_for_names(
    planted: str, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "max")
    monkeypatch.setattr("socket.gethostname", lambda: "grant")
    refuse_private(staged, "anna")
    with (staged / "hub" / "server" / "app.py").open("a") as file:
        file.write(f'PLACE = "{planted}"\n')
    with pytest.raises(InputError, match="app.py"):
        refuse_private(staged, "anna")


def test_another_detector_is_refused_and_nothing_is_staged(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(InputError, match="sha256 is .* give its path with --face_detector"):
        space_folder.stage(tmp_path / "space", MODEL, "v1.0", tmp_path / "other.onnx")
    assert not (tmp_path / "space").exists()


# ---- How it is published


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server, client_settings([]):
        server.add_user("anna", TOKEN)
        server.add_repo(MODEL, {"config.json": b"{}"})
        yield server


def send(hub: HubServer, staged: Path, *words: str) -> str:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    args = parse(["run", "--repo_id", MODEL, "--space", SPACE, "--space_kind", "docker", *words])
    return send_space(api, staged, args, space_folder.check_space(api, SPACE, print))


def test_a_space_arrives_in_one_commit_and_the_same_again_changes_nothing(
    hub: HubServer, staged: Path, tmp_path: Path
) -> None:
    assert send(hub, staged) == f"{hub.url}/spaces/{SPACE}/commit/{hub.repo(SPACE, 'space').at('main').oid}"
    repo = hub.repo(SPACE, "space")
    assert len(repo.history()) == 2, "the Hub's own, and ours"
    assert repo.files().keys() - {".gitattributes"} == files_in(staged)
    assert HfApi(endpoint=hub.url, token=TOKEN).space_info(SPACE).sdk == "docker"
    del hub.requests[:]
    assert send(hub, staged) == f"{hub.url}/spaces/{SPACE}"
    assert not [r for r in hub.requests if r.method in ("POST", "PUT")]
    assert len(hub.repo(MODEL).history()) == 2, "the model is not touched"


@pytest.mark.parametrize(
    "old",
    [
        [*OF_THE_FIRST_VERSION, "face_detection_yunet_2022mar.onnx"],
        ["hub/server/app.py", "hub/server/gone.py", "pipeline/crop.py", "pipeline/gone.py"],
    ],
    ids=["all files at the root", "the project's folders"],
)
def test_files_of_an_older_space_are_removed_and_those_of_its_owner_stay(
    old: list[str], hub: HubServer, staged: Path
) -> None:
    hers = dict.fromkeys(["notes/mine.txt", "notes/app.py", "mine.py"], b"hers")
    repo = hub.add_repo(SPACE, dict.fromkeys(old, b"old") | hers, repo_type="space")
    send(hub, staged)
    assert repo.files().keys() - files_in(staged) == {".gitattributes", *hers}


def test_a_space_with_another_app_is_not_touched(hub: HubServer, staged: Path) -> None:
    repo = hub.add_repo(SPACE, {"app.py": b"import gradio", "README.md": b"hers"}, repo_type="space")
    with pytest.raises(InputError, match=f"--space {SPACE}: another app is there .app.py.; choose a new name"):
        send(hub, staged)
    assert len(repo.history()) == 2 and repo.files()["app.py"] == b"import gradio"


def test_a_new_space_of_a_private_model_is_private_and_its_secret_is_asked_for(
    hub: HubServer, staged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repo(MODEL).private = True
    send(hub, staged)
    assert hub.repo(SPACE, "space").private
    assert "secret HF_TOKEN" in capsys.readouterr().out
    hub.repo(SPACE, "space").private = False  # the owner may do this
    send(hub, staged)


def test_a_space_that_fails_says_that_the_model_is_there_and_the_same_command_goes_on(
    hub: HubServer, staged: Path
) -> None:
    hub.fail("POST", "/api/spaces/.*/commit/", status=403, times=99)
    reason = f"{MODEL} is published, the Space {SPACE} is not: .* 403 .*; the same command sends what is missing"
    with pytest.raises(InputError, match=reason):
        send(hub, staged)
    hub.mend()
    send(hub, staged)
    assert "hub/server/app.py" in hub.repo(SPACE, "space").files()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--space demo", "--space 'demo': write user/name"),
        ("--space anna/demo --face_detector DIR/none.onnx", "none.onnx: No such file"),
        ("--space anna/demo --space_kind docker --face_detector DIR/none.onnx", "none.onnx: No such file"),
        ("--space anna/demo --create_pr", "--create_pr: a Space shows what is published"),
    ],
)
def test_wrong_arguments_end_in_one_line_before_anything_is_staged(
    words: str, reason: str, publishable_run: Path, tmp_path: Path
) -> None:
    words = words.replace("DIR", str(tmp_path))
    with pytest.raises(InputError, match=reason):
        main([str(publishable_run), "--repo_id", MODEL, "--dry_run", *words.split()])


def test_the_default_detector_is_that_of_the_run(publishable_run: Path, detector_weights: Path, tmp_path: Path) -> None:
    run = load_run(publishable_run)
    run.recipe["face_detector"] = str(detector_weights)
    args = parse(["run", "--repo_id", MODEL, "--space", SPACE, "--space_kind", "docker"])
    stage_space(run, tmp_path / "space", tmp_path / "none", args, "v1.0")
    assert (tmp_path / "space" / "hub" / "server" / crop.YUNET).read_bytes() == detector_weights.read_bytes()


# ---- That it starts


@pytest.fixture
def arrived(publishable_run: Path, tmp_path: Path) -> Iterator[tuple[Path, HubServer]]:
    """The files of a private Space that `push_to_hub.py` published, and the Hub that holds it and its model."""
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    with HubServer() as hub:
        hub.add_user("anna", TOKEN)
        words = [
            "--repo_id",
            MODEL,
            "--space",
            SPACE,
            "--space_kind",
            "docker",
            "--private",
            "--face_detector",
            os.environ["YUNET"],
        ]
        environment = hub.client_environment(tmp_path / "hf", TOKEN)
        push = [sys.executable, "push_to_hub.py", str(publishable_run), *words]
        done = subprocess.run(push, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"{hub.url}/spaces/{SPACE}" in done.stdout
        folder = tmp_path / "arrived"
        for name, content in hub.repo(SPACE, "space").files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder, hub


@contextmanager
def started(folder: Path, hub: HubServer, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run the command of the Dockerfile in `folder`, in an environment made as it says; gives the URL and the log."""
    steps = dict(instructions(folder / "Dockerfile"))
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = [bin / "pip", *shlex.split(steps["RUN"])[1:]]
    assert install[-1] == "hub/server/requirements.txt"
    subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=1200)
    command = json.loads(steps["CMD"])
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    command[command.index("--port") + 1] = port  # 7860 may be taken here
    environment = hub.client_environment(tmp_path / "cache", TOKEN) | environment_of(folder / "Dockerfile")
    environment |= {"PATH": str(bin), "HOME": str(tmp_path), "SPACE_HOST": HOST}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [bin / command[0], *command[1:]], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        while f":{port}" not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", tmp_path / "log"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_app_starts_from_the_published_files_in_a_fresh_environment(
    arrived: tuple[Path, HubServer], publishable_run: Path, tmp_path: Path
) -> None:
    folder, hub = arrived
    model = hub.repo(MODEL)
    assert model.private and hub.repo(SPACE, "space").private
    assert environment_of(folder / "Dockerfile")["FER_REVISION"] == (released := model.at("main")).oid
    later = model.add(released, released.files | {"config.json": b"damaged"}, released.large, "anna", "Later")
    model.refs["refs/heads/main"] = later.oid
    face = draw_face("happiness", 0, 3, 120)
    photo = Image.new("RGB", (500, 300), (120, 130, 125))
    photo.paste(draw_face("surprise", 0, 5, 200), (250, 50))
    face.save(tmp_path / "face.png")
    photo.save(tmp_path / "photo.png")
    visitor = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    proxy = httpx2.HTTPTransport(local_address="127.0.0.2")  # uvicorn believes 127.0.0.1 anyway
    with (
        started(folder, hub, tmp_path) as (url, log),
        httpx2.Client(base_url=url, headers=visitor, transport=proxy, timeout=60) as http,
    ):
        health = http.get("/health").json()
        assert (health["model"], health["engine"], health["detector"]) == (MODEL, "onnxruntime", True)
        page = http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert http.get("/health", headers={"Host": "evil.example"}).status_code == 400
        assert http.get("/docs/").headers["location"] == f"https://{HOST}/docs"
        scores = http.post("/", content=(tmp_path / "face.png").read_bytes()).json()
        found = http.post("/predict", files={"files": (tmp_path / "photo.png").read_bytes()}).json()["files"][0]
        said = log.read_text()
    classify = pipeline("image-classification", model=str(publishable_run))  # the five best, as on the Hub
    expected = {one["label"]: one["score"] for one in classify(face)}
    assert {one["label"]: one["score"] for one in scores} == pytest.approx(expected, abs=1e-4)
    assert len(found["faces"]) == 1
    assert "203.0.113.7" not in said and TOKEN not in said
