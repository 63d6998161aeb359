"""A Hub that is none: every command ends in one line within a bounded time, and the token goes nowhere else."""

import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http, close_session

from hub import attempts
from hub.access import check_access
from hub.server.engine import load_model
from pipeline import hub_client
from pipeline.data.readers import hub as hub_reader
from pipeline.errors import InputError, printable
from pipeline.training.checkpoint_files import find_checkpoint
from tests.conftest import ROOT, write_recipe
from tests.hostile.hub import ANSWERS, TOKEN, bomb, hostile_hub, says, silence
from tests.hub_server import HubServer

SECONDS = 20
"""In which a command must end in these tests, where the limits are a second."""


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_client, "TIMEOUT", httpx2.Timeout(1.0))
    monkeypatch.setattr(hub_client, "GRACE", 0.3)
    monkeypatch.setattr(hub_client, "LARGEST", 5_000_000)
    monkeypatch.setattr(attempts.time, "sleep", lambda seconds, wait=time.sleep: wait(min(seconds, 0.05)))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub_client.limit_requests()
    close_session()
    yield
    _http.set_client_factory(_http.default_client_factory)
    close_session()


def said_by(ask: object) -> str:
    """The one line of a question to a Hub, within a bounded time; it may be printed."""
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        ask()  # type: ignore[operator]
    assert time.monotonic() - start < SECONDS
    said = str(caught.value)
    assert said.isprintable() and TOKEN not in said and len(said) < 600
    return said


@pytest.mark.parametrize("name", ANSWERS)
def test_a_login_ends_in_one_line(name: str) -> None:
    with hostile_hub(ANSWERS[name]) as url:
        said = said_by(lambda: check_access(HfApi(endpoint=url), "anna/model", lambda line: print(line)))
    assert said.startswith(("login: ", "--repo_id"))


@pytest.mark.parametrize("name", ["page of a network's login", "list", "compressed", "endless", "403 with escapes"])
def test_a_model_a_checkpoint_and_a_data_set_end_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_hub(ANSWERS[name]) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        assert "could not be loaded from the Hub" in said_by(lambda: load_model("anna/model"))
        assert "could not be downloaded from the Hub" in said_by(lambda: find_checkpoint("anna/model"))


def test_words_of_a_server_are_printed_without_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    with hostile_hub(ANSWERS["500 with escapes"]) as url:
        said = said_by(lambda: attempts.attempt("login", HfApi(endpoint=url).whoami, print))
    assert "\x1b" not in said + capsys.readouterr().out


def test_a_megabyte_that_becomes_a_gigabyte_is_not_unpacked() -> None:
    data, before = bomb(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile_hub(says("200 OK", data, "Content-Encoding: gzip")) as url:
        assert "compressed" in said_by(lambda: attempts.attempt("login", HfApi(endpoint=url).whoami, print))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_the_token_does_not_go_to_another_host() -> None:
    elsewhere: list[str] = []
    with hostile_hub(says("200 OK", b"{}"), elsewhere) as other:
        to_other = says("302 Found", b"", f"Location: {other.replace('127.0.0.1', 'localhost')}/api/whoami-v2")
        with hostile_hub(to_other) as url:
            said_by(lambda: attempts.attempt("login", lambda: HfApi(endpoint=url).whoami()["name"], print))
    assert elsewhere and TOKEN not in "".join(elsewhere)


def test_a_silent_hub_is_given_up() -> None:
    with hostile_hub(silence) as url:
        assert "does not answer" in said_by(lambda: attempts.attempt("login", HfApi(endpoint=url).whoami, print))


@pytest.mark.parametrize("token", ["hf_ünïcode" + "a" * 20, "hf_ab cd" + "a" * 20, "hf_\x1b[31m" + "a" * 20, "hf_a\tb"])
def test_a_token_that_is_none_is_refused_without_being_printed(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said = said_by(hub_client.limit_requests)
    assert "copy it again" in said and token not in said


ENDPOINTS = [
    "http://127.0.0.1:1",
    "ftp://127.0.0.1",
    "nonsense",
    "http://[::1",
    "http://exa mple",
    "https://",
    "http://x:99999",
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_odd_endpoint_ends_in_one_line(endpoint: str) -> None:
    said_by(lambda: attempts.attempt("login", HfApi(endpoint=endpoint).whoami, print))


def test_a_server_without_tls_ends_in_one_line() -> None:
    with hostile_hub(says("200 OK", b"{}")) as url:
        https = url.replace("http:", "https:")
        assert "network" in said_by(lambda: attempts.attempt("login", HfApi(endpoint=https).whoami, print))


def test_a_slow_head_is_given_up_although_bytes_arrive() -> None:
    with hostile_hub(ANSWERS["a byte of the head at a time"]) as url:
        assert "bytes a second" in said_by(lambda: attempts.attempt("login", HfApi(endpoint=url).whoami, print))


def test_control_characters_of_any_text_become_escapes() -> None:
    assert printable("a\x1b[31m\r\n\u202eb\ud800\x9b") == r"a\x1b[31m\r\n\u202eb\ud800\x9b"
    assert printable("悲しい 1\u30002 — é🙂") == "悲しい 1\u30002 — é🙂"


FILES = {"config.json": b"{}", "model.safetensors": bytes(100), "onnx/model.onnx": bytes(64)}


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub whose storage gives other bytes of the same size than the Hub announces."""
    with HubServer() as hub:
        hub.add_user("anna", TOKEN)
        for kind in ("model", "dataset"):
            repo = hub.add_repo("anna/model", FILES | {"train.parquet": bytes(9), "curation.json": b"{}"}, kind)
            repo.lfs |= {oid: data.replace(b"\0", b"\1") for oid, data in repo.lfs.items()}
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(hub_reader, "file_exists", HfApi(endpoint=hub.url).file_exists)
        yield hub


def test_a_hub_that_lies_about_a_hash_is_found_out(lying: HubServer, tmp_path: Path) -> None:
    assert "onnx/model.onnx is not the file that the Hub announced" in said_by(lambda: load_model("anna/model"))
    assert "model.safetensors is not the file" in said_by(lambda: find_checkpoint("anna/model"))
    assert "train.parquet is not the file" in said_by(lambda: hub_reader._published_curation("anna/model"))
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and b"\1" in file.read_bytes()]
    for repo in lying.repos.values():
        repo.lfs |= {oid: data.replace(b"\1", b"\0") for oid, data in repo.lfs.items()}
    assert (hub_client.snapshot("anna/model") / "onnx" / "model.onnx").read_bytes() == bytes(64)


@pytest.mark.parametrize("header", ["ETag", "X-Linked-ETag", "X-Repo-Commit"])
@pytest.mark.parametrize("name", ['"../../x"', "/etc/x", '".."', "a/b", "a\\b"])
def test_a_hash_that_is_a_path_is_refused_before_a_file_has_its_name(header: str, name: str) -> None:
    answer = httpx2.Response(200, headers={header: name}, content=b"x", request=httpx2.Request("GET", "http://h/x"))
    with pytest.raises(hub_client.AnswerError, match=f"{header} that names no file"):
        hub_client._limit_answer(answer)


def test_a_commit_that_is_a_path_is_refused() -> None:
    def described(sha: object) -> httpx2.Response:
        return httpx2.Response(200, json={"sha": sha}, request=httpx2.Request("GET", "http://h/api/models/a/b"))

    for sha in ("../../x", "/x", 7, ["a"]):
        with pytest.raises(hub_client.AnswerError, match="commit that names no file"):
            hub_client._limit_answer(described(sha))
    for sha in ("0" * 40, None):
        hub_client._limit_answer(described(sha))


def test_small_files_are_held_against_the_hash_of_git_or_of_a_mirror(tmp_path: Path) -> None:
    (file := tmp_path / "x").write_bytes(b"hello\n")
    asked = subprocess.run(["git", "hash-object", str(file)], capture_output=True, text=True, check=True)
    of_git = asked.stdout.strip()
    assert hub_client._hashes(file, of_git)[0] == of_git
    assert hub_client._hashes(file, "0" * 40)[1] == hashlib.sha1(b"hello\n").hexdigest()
    assert hub_client._hashes(file, "0" * 64) == (hashlib.sha256(b"hello\n").hexdigest(),)
    assert hub_client._hashes(file, "a-name-of-windows") == ("a-name-of-windows",)


COMMANDS = {
    "push": ("push_to_hub.py", "RUN", "--repo_id", "anna/model"),
    "predict": ("-m", "hub.predict", "anna/model", "PICTURE"),
    "checkpoint": ("train_hf.py", "--checkpoint", "anna/model", "--max_steps", "1", "--output_dir", "NEW"),
    "data": ("train_hf.py", "RECIPE"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_in_one_line(name: str, command: str, publishable_run: Path, tmp_path: Path) -> None:
    """With the limits that users have, so that slow answers take their time."""
    recipe = write_recipe(
        tmp_path / "r.yaml", source="auto", data_path="anna/faces", output_dir=str(tmp_path / "n"), max_steps=1
    )
    places = {
        "RECIPE": recipe,
        "RUN": publishable_run,
        "PICTURE": next((publishable_run / "examples").glob("*.png")),
        "NEW": tmp_path / "n",
    }
    words = [str(places.get(word, word)) for word in COMMANDS[command]]
    with hostile_hub(ANSWERS[name]) as url:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        named = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1"}
        ended = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=kept | named, capture_output=True, text=True, timeout=600
        )
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 2 and last.startswith("error: "), ended.stderr[-2000:]
    assert "Traceback" not in ended.stderr and "\x1b" not in ended.stderr.replace("\x1b[A", "")
    assert TOKEN not in ended.stdout + ended.stderr
