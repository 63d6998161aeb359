"""`push_to_hub.py` and `train_hf.py --publish` as people run them: processes, against a Hub on the loopback."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from hub.proof import prove
from hub.release import keep
from hub.run import load_run
from pipeline.errors import InputError
from pipeline.run_folder import sha256
from push_to_hub import main, parse
from tests.conftest import ROOT, run_train_hf, write_recipe
from tests.hub_server import HubServer

TOKEN = "hf_" + "anna" * 8
REPO = "anna/faces"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_user("anna", TOKEN)
        yield server


@pytest.fixture
def run(publishable_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(publishable_run, tmp_path / "run")


Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def push(hub: HubServer, tmp_path: Path) -> Push:
    """`python push_to_hub.py WORDS` with anna's token."""

    def go(
        *words: str, token: str | None = TOKEN, before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "push_to_hub.py", *words],
            cwd=ROOT,
            env=hub.client_environment(tmp_path / "hf", token),
            capture_output=True,
            text=True,
            timeout=600,
            preexec_fn=before,
        )

    return go


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): sha256(p) for p in folder.rglob("*") if p.is_file()}


def test_a_run_goes_up_whole_and_answers_from_there(hub: HubServer, push: Push, run: Path) -> None:
    before = files(run)
    done = push(str(run), "--repo_id", REPO, "--tag", "v1.0")
    assert done.returncode == 0, done.stderr
    assert "read back: pipeline" in done.stdout
    assert done.stdout.rstrip().endswith("the scores sum to 1")
    assert f'model="{REPO}", revision="v1.0"' in done.stdout
    repo = hub.repo(REPO)
    assert {
        "README.md",
        "model.safetensors",
        "onnx/model.onnx",
        "onnx/export.json",
        "parity.json",
    } <= repo.files().keys()
    assert not any(name.endswith((".bin", ".pt", ".parquet")) or "checkpoint" in name for name in repo.files())
    assert repo.tags == {"v1.0": repo.at("main").oid}
    card = ModelCard(repo.files()["README.md"].decode())
    assert card.data.pipeline_tag == "image-classification" and card.data.eval_results
    assert files(run) == before
    assert list(run.parent.glob(".run-*")) == []
    for said in (done.stdout, done.stderr, *map(repr, repo.files().values())):
        assert TOKEN not in said


@pytest.mark.slow
def test_a_model_with_classes_of_its_own_gets_one_example_and_is_published_all_the_same(
    hub: HubServer, push: Push, tmp_path: Path
) -> None:
    classes = [f"mood {number}" for number in range(9)]
    rng = np.random.default_rng(0)
    for name in classes:
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in range(12):
            noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "faces" / name / f"{number}.png")
    made = {"source": "auto", "data_path": str(tmp_path / "faces"), "classes": classes, "max_steps": 2}
    run = tmp_path / "moods"
    recipe = write_recipe(tmp_path / "tiny.yaml", output_dir=str(run), evaluate_test=True, **made)
    trained = run_train_hf(str(recipe))
    assert trained.returncode == 0, trained.stderr
    done = push(str(run), "--repo_id", REPO, "--data_path")
    assert done.returncode == 0, done.stderr
    assert "read back: pipeline" in done.stdout
    card = hub.repo(REPO).files()["README.md"].decode()
    assert [name for name in hub.repo(REPO).files() if name.startswith("examples/")] == ["examples/face.png"]
    assert "top_k=9" in card and '"examples/face.png"' in card


@pytest.mark.slow
def test_the_same_command_twice_stages_the_same_bytes_and_changes_nothing(
    hub: HubServer, push: Push, run: Path
) -> None:
    words = [str(run), "--repo_id", REPO, "--tag", "v1.0"]
    assert push(*words).returncode == 0
    repo = hub.repo(REPO)
    history = repo.history()
    del hub.requests[:]
    again = push(*words)
    assert again.returncode == 0, again.stderr
    assert "sent: 0 files, 0.0 MB" in again.stdout
    assert repo.history() == history
    assert not hub.sent("PUT") and not hub.sent("POST", "/commit/")
    assert TOKEN not in again.stdout + again.stderr


def test_a_release_that_answers_differently_from_the_run_is_reported(
    hub: HubServer, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    there = {name: (run / name).read_bytes() for name in names}
    there["preprocessor_config.json"] = there["preprocessor_config.json"].replace(b"0.5", b"0.4")
    repo = hub.add_repo(REPO, there)
    for name, value in hub.client_environment(tmp_path / "hf", TOKEN).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(InputError, match="is published, but a probability differs from the run's by"):
        prove(load_run(run), run, REPO, repo.at("main").oid)


def test_a_dry_run_sends_nothing_and_leaves_the_folders_to_look_at(
    run: Path, detector_weights: Path, packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hub.access.check_access", lambda *_, **__: pytest.fail("a dry run needs no login"))
    monkeypatch.setattr("hub.upload.publish", lambda *_: pytest.fail("a dry run sends nothing"))
    space = ["--space", "anna/demo", "--face_detector", str(detector_weights), "--browser_libraries", str(packed)]
    main([str(run), "--repo_id", REPO, "--dry_run", "--with_predictions", *space])
    staged, said = run.with_name("run-staged"), capsys.readouterr().out.splitlines()
    assert {str(staged), f"{staged}-space"} <= set(said)
    assert {"README.md", "predictions.parquet", "parity.json"} <= files(staged).keys()
    assert len({file.stat().st_mode for file in staged.rglob("*") if file.is_file()}) == 1, "all can be read alike"
    shown = files(run.with_name("run-staged-space"))
    assert {"README.md", "index.html", "page/page.js", "model/about.json"} <= shown.keys()
    weights = "model_with_preprocessing.onnx"
    assert shown[f"model/{weights}"] == files(staged)[f"onnx/{weights}"], "the page answers with the published weights"
    again = [shutil.copytree(folder, run / folder.name) for folder in (staged, run.with_name("run-staged-space"))]
    names = [folder.rename(folder.with_name(folder.name.removeprefix("run-"))) for folder in again]
    assert keep(run, names) == [staged, run.with_name("run-staged-space")], "a second dry run takes their place"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("gone --repo_id anna/faces", "gone: no such run folder"),
        ("RUN --repo_id faces", "write user/name"),
        ("gone --repo_id anna/faces --tag v..1~x", "--tag 'v..1~x': it has one of ~ ^ : ? * ["),
        ("gone --repo_id anna/faces --tag main", "--tag main: there is a branch of this name"),
        ("gone --repo_id anna/faces --revision v1.lock", "--revision 'v1.lock': a part of it ends with .lock"),
        ("RUN --repo_id anna--x/faces", "--repo_id 'anna--x/faces'"),
        ("RUN --repo_id anna/faces --create_pr --tag v1", "--create_pr: a pull request has no tag"),
        ("RUN --repo_id ben/faces", "anna can create repositories only under anna"),
        ("RUN --repo_id anna/faces --token x", "unrecognized arguments: --token x"),
        (
            "RUN --repo_id anna/faces --data_path nowhere",
            "--data_path nowhere: this run was trained on drawn faces",
        ),
    ],
)
def test_wrong_words_end_in_one_line_and_send_nothing(
    words: str, said: str, hub: HubServer, push: Push, run: Path
) -> None:
    done = push(*(str(run) if word == "RUN" else word for word in words.split()))
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not [r for r in hub.requests if r.method in ("POST", "PUT", "DELETE")]


@pytest.mark.slow
def test_the_line_that_a_failed_push_ends_with_publishes_the_run(hub: HubServer, push: Push, tmp_path: Path) -> None:
    fault = hub.fail("POST", "/repos/create", status=403, times=99)
    done = train(hub, tmp_path, REPO)
    assert fault.hits
    hub.mend()
    assert push(*done.stdout.splitlines()[-1].partition("python push_to_hub.py ")[2].split()).returncode == 0
    assert "model.safetensors" in hub.repo(REPO).files()


def test_the_folder_that_one_stands_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse([".", "--repo_id", "anna/faces"]).run == tmp_path


def test_without_a_login_it_ends_at_once(hub: HubServer, push: Push, run: Path) -> None:
    done = push(str(run), "--repo_id", REPO, token=None)
    assert (done.returncode, hub.requests) == (2, [])
    assert "run `hf auth login`, or set HF_TOKEN" in done.stderr.splitlines()[-1]


def test_a_full_disk_ends_in_one_line_and_sends_nothing(hub: HubServer, push: Push, run: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = push(str(run), "--repo_id", REPO, before=small)
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr.splitlines()[-1]
    assert not hub.sent("POST")
    assert list(run.parent.glob(".run-*")) == []


# train_hf.py --publish


def train(hub: HubServer, tmp_path: Path, repo_id: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    recipe = write_recipe(tmp_path / "tiny.yaml", output_dir=str(tmp_path / "run"), max_steps=2, evaluate_test=True)
    return run_train_hf(str(recipe), "--publish", repo_id, env=hub.client_environment(tmp_path / "hf", token))


@pytest.mark.slow  # the child is started in the next test too, and what it does is tested above
def test_a_run_is_published_when_it_is_sealed(hub: HubServer, tmp_path: Path) -> None:
    done = train(hub, tmp_path, REPO)
    assert done.returncode == 0, done.stderr
    assert "read back: pipeline" in done.stdout
    assert json.loads(hub.repo(REPO).files()["onnx/export.json"])["measured_on"] == "validation"


@pytest.mark.slow
def test_a_push_that_fails_does_not_fail_the_run_and_says_how_to_repeat_it(hub: HubServer, tmp_path: Path) -> None:
    hub.fail("GET", "/whoami", after=1, status=403, times=99)
    done = train(hub, tmp_path, REPO)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "evaluation.json").is_file()
    run = (tmp_path / "run").as_posix()
    said = f"not published, though the run is whole; to try again: python push_to_hub.py {run} --repo_id {REPO}"
    assert done.stdout.splitlines()[-1] == f"{said} --data_path"


@pytest.mark.parametrize(
    ("repo_id", "token", "said"),
    [
        (REPO, None, "you are not logged in"),
        pytest.param(REPO, "hf_wrong", "answers 401", marks=pytest.mark.slow),
        pytest.param("ben/x", TOKEN, "only under anna", marks=pytest.mark.slow),
    ],
)
def test_login_and_rights_are_checked_before_the_first_step(
    repo_id: str, token: str | None, said: str, hub: HubServer, tmp_path: Path
) -> None:
    done = train(hub, tmp_path, repo_id, token)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()
