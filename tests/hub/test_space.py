"""The app as a Space: what is staged, how it arrives, and that it starts from what arrived and nothing else."""

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
from hub.release import send_space, stage_space
from hub.run import load_run
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from push_to_hub import main, parse
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.publish_faults import client_settings

TOKEN = "hf_" + "anna" * 8
MODEL, SPACE, HOST = "anna/faces", "anna/demo", "anna-demo.hf.space"
APP = ROOT / "hub" / "server"


@pytest.fixture
def staged(detector_weights: Path, tmp_path: Path) -> Path:
    space_folder.stage(tmp_path / "space", MODEL, "v1.0", detector_weights)
    return tmp_path / "space"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, words) of each, without comments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.M).replace("\\\n", "")
    return [(name, words) for name, _, words in (line.partition(" ") for line in text.splitlines() if line)]


def environment_of(dockerfile: Path) -> dict[str, str]:
    found = [words for name, words in instructions(dockerfile) if name == "ENV"]
    return dict(pair.split("=", 1) for words in found for pair in shlex.split(words))


# ---- What is staged


def test_the_folder_holds_the_app_the_crop_the_detector_and_nothing_else(staged: Path, detector_weights: Path) -> None:
    app = {p.name for p in APP.iterdir() if p.suffix in (".py", ".html", ".txt")}
    made = {"crop.py", crop.YUNET, "Dockerfile", "README.md", "LICENSE"}
    assert {p.relative_to(staged).as_posix() for p in staged.rglob("*")} == app | made
    assert (staged / "crop.py").read_bytes() == (ROOT / "pipeline" / "crop.py").read_bytes()
    assert (staged / crop.YUNET).read_bytes() == detector_weights.read_bytes()
    assert all(any(fnmatch(p.name, part) for part in space_folder.PUBLISHED) for p in staged.iterdir())
    refuse_private(staged, "anna")


def test_the_readme_says_what_the_hub_needs_and_what_a_visitor_should_know(staged: Path) -> None:
    card = SpaceCard((staged / "README.md").read_text())
    told = card.data.to_dict()
    assert (told["sdk"], told["app_port"], told["models"]) == ("docker", 7860, [MODEL])
    assert (told["license"], told["pinned"]) == ("apache-2.0", False)
    assert len(told["short_description"]) <= 60, "the Hub takes no more"
    for words in (f"`{MODEL}`", "`v1.0`", "not tell what a person feels", "not kept", "5(1)(f)", "50(3)", "HF_TOKEN",
                  "Copyright (c) 2020 Shiqi Yu", "this permission notice shall be included"):  # fmt: skip
        assert words in " ".join(card.text.split())


def test_the_dockerfile_takes_what_is_there_and_leaves_out_nothing_that_runs(staged: Path) -> None:
    steps = instructions(staged / "Dockerfile")
    copied = [source for name, words in steps if name == "COPY" for source in words.split()[:-1]]
    names = {p.name for source in copied for p in staged.glob(source)}
    assert all(list(staged.glob(source)) for source in copied)
    assert {p.name for p in staged.iterdir()} - names == {"Dockerfile", "README.md", "LICENSE"}
    user = [words for name, words in steps if name == "RUN" and "useradd" in words]
    assert "--uid 1000" in user[0] and ("USER", "user") in steps
    port = SpaceCard((staged / "README.md").read_text()).data.app_port
    assert {"0.0.0.0", str(port)} <= set(json.loads(dict(steps)["CMD"]))
    assert environment_of(staged / "Dockerfile") == {"HOME": "/app", "FER_MODEL": MODEL, "FER_REVISION": "v1.0"}


def test_the_page_asks_by_relative_addresses_alone(staged: Path) -> None:
    page = (staged / "page.html").read_text()
    asked = re.findall(r"(?:href=|src=|fetch\(|URL\()[\"'`]([^\"'`]*)", page)
    assert {"docs", "health", "examples"} <= set(asked)
    assert not [address for address in asked if re.match(r"/|\w+:(?!,)", address)]


@pytest.mark.parametrize("planted", ["hf_" + "a" * 30, "/home" + "/annette/runs"])
def test_code_is_searched_for_secrets_and_paths_and_not_for_names(
    planted: str, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "max")
    monkeypatch.setattr("socket.gethostname", lambda: "grant")
    refuse_private(staged, "anna")
    with (staged / "app.py").open("a") as file:
        file.write(f'PLACE = "{planted}"\n')
    with pytest.raises(InputError, match="app.py"):
        refuse_private(staged, "anna")


def test_another_detector_is_told_and_nothing_is_staged(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(InputError, match="sha256 is .* give its path with --face_detector"):
        space_folder.stage(tmp_path / "space", MODEL, "v1.0", tmp_path / "other.onnx")
    assert not (tmp_path / "space").exists()


# ---- How it arrives


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server, client_settings([]):
        server.add_user("anna", TOKEN)
        server.add_repo(MODEL, {"config.json": b"{}"})
        yield server


def send(hub: HubServer, staged: Path, *words: str) -> str:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    args = parse(["run", "--repo_id", MODEL, "--space", SPACE, *words])
    return send_space(api, staged, args, space_folder.check_space(api, SPACE, print))


def test_a_space_arrives_in_one_commit_and_the_same_again_changes_nothing(
    hub: HubServer, staged: Path, tmp_path: Path
) -> None:
    assert send(hub, staged) == f"{hub.url}/spaces/{SPACE}/commit/{hub.repo(SPACE, 'space').at('main').oid}"
    repo = hub.repo(SPACE, "space")
    assert len(repo.history()) == 2, "the Hub's own, and ours"
    assert repo.files().keys() - {".gitattributes"} == {p.name for p in staged.iterdir()}
    assert HfApi(endpoint=hub.url, token=TOKEN).space_info(SPACE).sdk == "docker"
    del hub.requests[:]
    assert send(hub, staged) == f"{hub.url}/spaces/{SPACE}"
    assert not [r for r in hub.requests if r.method in ("POST", "PUT")]
    assert len(hub.repo(MODEL).history()) == 2, "the model is not touched"


def test_what_an_older_space_held_goes_and_what_its_owner_put_there_stays(hub: HubServer, staged: Path) -> None:
    old = {"app.py": b"old", "crop.py": b"old", "gone.py": b"old", "face_detection_yunet_2022mar.onnx": b"old"}
    repo = hub.add_repo(SPACE, old | {"notes/mine.txt": b"hers"}, repo_type="space")
    send(hub, staged)
    assert repo.files().keys() - {p.name for p in staged.iterdir()} == {".gitattributes", "notes/mine.txt"}


def test_a_space_that_holds_another_app_is_left_alone(hub: HubServer, staged: Path) -> None:
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
    hub.repo(SPACE, "space").private = False  # by its owner, who may
    send(hub, staged)


def test_a_space_that_fails_says_that_the_model_is_there_and_the_same_command_goes_on(
    hub: HubServer, staged: Path
) -> None:
    hub.fail("POST", "/api/spaces/.*/commit/", status=403, times=99)
    told = f"{MODEL} is published, the Space {SPACE} is not: .* 403 .*; the same command sends what is missing"
    with pytest.raises(InputError, match=told):
        send(hub, staged)
    hub.mend()
    send(hub, staged)
    assert "app.py" in hub.repo(SPACE, "space").files()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--space demo", "--space 'demo': write user/name"),
        ("--space anna/demo --face_detector DIR/none.onnx", "none.onnx: No such file"),
        ("--space anna/demo --create_pr", "--create_pr: a Space shows what is published"),
        ("--face_detector x.onnx", "--face_detector is for a Space"),
    ],
)
def test_wrong_words_end_in_one_line_before_anything_is_made(
    words: str, told: str, publishable_run: Path, tmp_path: Path
) -> None:
    words = words.replace("DIR", str(tmp_path))
    with pytest.raises(InputError, match=told):
        main([str(publishable_run), "--repo_id", MODEL, "--dry_run", *words.split()])


def test_the_detector_is_the_runs_own_where_none_is_named(
    publishable_run: Path, detector_weights: Path, tmp_path: Path
) -> None:
    run = load_run(publishable_run)
    run.recipe["face_detector"] = str(detector_weights)
    stage_space(run, tmp_path / "space", parse(["run", "--repo_id", MODEL, "--space", SPACE]), "v1.0")
    assert (tmp_path / "space" / crop.YUNET).read_bytes() == detector_weights.read_bytes()


# ---- That it starts


@pytest.fixture
def arrived(publishable_run: Path, tmp_path: Path) -> Iterator[tuple[Path, HubServer]]:
    """The files of a private Space that `push_to_hub.py` sent, and the Hub that it and its model stand on."""
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    with HubServer() as hub:
        hub.add_user("anna", TOKEN)
        words = ["--repo_id", MODEL, "--space", SPACE, "--private", "--face_detector", os.environ["YUNET"]]
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
    """What the Dockerfile of `folder` starts, in an environment made as it says; its address, and its log."""
    steps = dict(instructions(folder / "Dockerfile"))
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = [bin / "pip", *shlex.split(steps["RUN"])[1:]]
    assert install[-1] == "requirements.txt"
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
def test_the_app_starts_from_what_arrived_in_an_environment_of_its_own(
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
        told = http.post("/", content=(tmp_path / "face.png").read_bytes()).json()
        found = http.post("/predict", files={"files": (tmp_path / "photo.png").read_bytes()}).json()["files"][0]
        said = log.read_text()
    classify = pipeline("image-classification", model=str(publishable_run))  # the five best, as on the Hub
    expected = {one["label"]: one["score"] for one in classify(face)}
    assert {one["label"]: one["score"] for one in told} == pytest.approx(expected, abs=1e-4)
    assert len(found["faces"]) == 1
    assert "203.0.113.7" not in said and TOKEN not in said
