"""The local Hub, used through the real client."""

import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import _http, close_session, get_session

from tests.hub_server import HubServer, Reply

ANNA, READER, BEN = "hf_anna", "hf_reader", "hf_ben"
REPO = "anna/faces"
CARD = b"---\nlicense: mit\ntags: [faces]\n---\n# Faces\n"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub with a repository of anna, a read-only token of hers, and a token of another user."""
    with HubServer() as server:
        server.add_user("anna", ANNA, orgs=("lab",))
        server.add_user("anna", READER, role="read")
        server.add_user("ben", BEN)
        server.add_repo(REPO, {"README.md": CARD})
        yield server


@pytest.fixture
def client(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HfApi]]:
    """Clients in this process by token, online and without xet; `waits` lists their back-offs, which are skipped."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    waits: list[float] = []
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=waits.append))
    close_session()

    def make(token: str | bool = ANNA) -> HfApi:
        api = HfApi(endpoint=hub.url, token=token)
        api.waits = waits
        return api

    yield make
    close_session()


def status_of(error: pytest.ExceptionInfo[Any]) -> int:
    return error.value.response.status_code


def add(path: str = "notes.txt", content: bytes = b"new") -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def commit(api: HfApi, *operations: CommitOperationAdd, **how: Any) -> str:
    return api.create_commit(REPO, list(operations) or [add()], commit_message="Change", **how).oid


# Up and down


def test_a_folder_comes_back_byte_for_byte(hub: HubServer, client: Callable[..., HfApi], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "large.txt").write_bytes(bytes(range(256)) * 40_000)  # 10.24 MB: large by its size
    (folder / "model.safetensors").write_bytes(b"small, but large by its suffix")
    (folder / "README.md").write_bytes(CARD)
    made = client().upload_folder(repo_id=REPO, folder_path=folder)
    head = hub.repo(REPO).at("main")
    assert made.oid == head.oid
    assert head.large == {"deep/large.txt", "model.safetensors"}
    back = Path(client().snapshot_download(REPO, cache_dir=tmp_path / "empty"))
    assert back.name == head.oid
    for path in folder.rglob("*.*"):
        ours, theirs = (hashlib.sha256((top / path.relative_to(folder)).read_bytes()) for top in (folder, back))
        assert ours.digest() == theirs.digest()
    put = hub.sent("PUT", "/storage/")
    assert sorted(r.received for r in put) == [30, 10_240_000]


def test_unchanged_files_are_not_sent_again(hub: HubServer, client: Callable[..., HfApi]) -> None:
    files = [add("notes.txt", b"text"), add("model.bin", b"weights")]
    head = commit(client(), *files)
    del hub.requests[:]
    again = commit(client(), add("notes.txt", b"text"), add("model.bin", b"weights"))
    assert again == head
    assert [r.path.split("/")[-2] for r in hub.sent("POST")] == ["preupload", "objects"]
    commit(client(), add("notes.txt", b"other"), add("model.bin", b"weights"))
    assert not hub.sent("PUT")
    assert len(hub.repo(REPO).history()) == 4


def test_files_folders_and_commits_are_listed(hub: HubServer, client: Callable[..., HfApi]) -> None:
    commit(client(), add("runs/1/model.bin", b"weights"), commit_description="Why")
    api = client()
    tree = {e.path: e for e in api.list_repo_tree(REPO, recursive=True, expand=True)}
    assert tree.keys() == {".gitattributes", "README.md", "runs", "runs/1", "runs/1/model.bin"}
    large = tree["runs/1/model.bin"]
    assert (large.size, large.lfs.sha256, large.last_commit.title) == (
        7,
        hashlib.sha256(b"weights").hexdigest(),
        "Change",
    )
    assert [e.path for e in api.list_repo_tree(REPO, "runs")] == ["runs/1"]
    assert [e.path for e in api.get_paths_info(REPO, ["runs/1", "README.md", "missing"])] == ["runs/1", "README.md"]
    assert [(c.title, c.message) for c in api.list_repo_commits(REPO)][0] == ("Change", "Why")
    found = api.model_info(REPO, files_metadata=True)
    assert found.card_data.license == "mit" and found.tags == ["faces"]
    assert {s.rfilename: s.size for s in found.siblings}["runs/1/model.bin"] == 7
    assert api.whoami()["orgs"][0]["name"] == "lab"


def test_files_and_folders_are_deleted(hub: HubServer, client: Callable[..., HfApi]) -> None:
    commit(client(), add("runs/1.txt"), add("runs/2.txt"), add("keep.txt"))
    client().delete_folder("runs", REPO)
    client().delete_file("keep.txt", REPO)
    assert hub.repo(REPO).files().keys() == {".gitattributes", "README.md"}
    with pytest.raises(RemoteEntryNotFoundError, match="doesn't exist"):
        client().delete_file("keep.txt", REPO)


def test_a_part_of_a_file_is_read(hub: HubServer, client: Callable[..., HfApi]) -> None:
    commit(client(), add("model.bin", b"0123456789"), add("notes.txt", b"0123456789"))
    for path in ("model.bin", "notes.txt"):
        asked = {"authorization": f"Bearer {ANNA}", "range": "bytes=2-4"}
        answer = get_session().get(f"{hub.url}/{REPO}/resolve/main/{path}", headers=asked)
        assert (answer.status_code, answer.content) == (206, b"234")
        assert answer.headers["Content-Range"] == "bytes 2-4/10"


def test_what_is_not_there_has_its_own_error(hub: HubServer, client: Callable[..., HfApi], tmp_path: Path) -> None:
    for error, repo, path, revision in (
        (RemoteEntryNotFoundError, REPO, "missing.txt", "main"),
        (RevisionNotFoundError, REPO, "README.md", "v9"),
        (RepositoryNotFoundError, "anna/missing", "README.md", "main"),
    ):
        with pytest.raises(error):
            client().hf_hub_download(repo, path, revision=revision, cache_dir=tmp_path)


# Who may do what


def test_a_private_repository_is_seen_by_its_owner_alone(hub: HubServer, client: Callable[..., HfApi]) -> None:
    client().create_repo("anna/secret", private=True)
    assert hub.repo("anna/secret").private and client().model_info("anna/secret").private
    client(READER).auth_check("anna/secret")
    for token, status in ((BEN, 404), (False, 401)):
        with pytest.raises(RepositoryNotFoundError) as error:
            client(token).model_info("anna/secret")
        assert status_of(error) == status
    client().update_repo_settings("anna/secret", private=False)
    client(False).model_info("anna/secret")


def test_who_may_not_write_is_told_so(hub: HubServer, client: Callable[..., HfApi]) -> None:
    for token, status in ((READER, 403), (BEN, 403), (False, 401), ("hf_wrong", 401)):
        for write in (commit, lambda api: api.create_repo("anna/new"), lambda api: api.auth_check(REPO, write=True)):
            with pytest.raises(HfHubHTTPError) as error:
                write(client(token))
            assert status_of(error) == status
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        client("hf_wrong").whoami()
    assert len(hub.repo(REPO).commits) == 2


def test_an_existing_repository_is_a_conflict(hub: HubServer, client: Callable[..., HfApi]) -> None:
    assert client().create_repo("lab/faces", repo_type="dataset").url == f"{hub.url}/datasets/lab/faces"
    with pytest.raises(HfHubHTTPError) as error:
        client().create_repo(REPO)
    assert status_of(error) == 409
    assert client().create_repo(REPO, exist_ok=True).repo_id == REPO
    client().delete_repo(REPO)
    assert not client().repo_exists(REPO)


# Commits, tags and pull requests


def test_of_two_commits_on_the_same_parent_one_wins(hub: HubServer, client: Callable[..., HfApi]) -> None:
    head, start, ended = hub.repo(REPO).at("main").oid, threading.Barrier(2), []

    def race(name: str) -> None:
        start.wait()
        try:
            ended.append(commit(client(), add(name), parent_commit=head))
        except HfHubHTTPError as error:
            ended.append(error.response.status_code)

    racers = [threading.Thread(target=race, args=(name,)) for name in ("one.txt", "two.txt")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    winner = hub.repo(REPO).at("main")
    assert sorted(map(str, ended)) == sorted(["412", winner.oid])
    assert winner.parent == head and len({"one.txt", "two.txt"} & winner.files.keys()) == 1


def test_a_pull_request_is_opened_extended_and_merged(hub: HubServer, client: Callable[..., HfApi]) -> None:
    commit(client(), add("old.txt"))
    changes = [add("theirs.txt"), CommitOperationDelete("old.txt")]
    made = client(BEN).create_commit(REPO, changes, commit_message="Theirs", create_pr=True)
    commit(client(BEN), add("more.txt"), revision=made.pr_revision)
    commit(client(), add("ours.txt"))
    assert hub.repo(REPO).files().keys() == {".gitattributes", "README.md", "old.txt", "ours.txt"}
    assert client().file_exists(REPO, "theirs.txt", revision=made.pr_revision)
    with pytest.raises(HfHubHTTPError) as error:
        client(BEN).merge_pull_request(REPO, made.pr_num)
    assert status_of(error) == 403
    client().merge_pull_request(REPO, made.pr_num)
    assert hub.repo(REPO).files().keys() == {".gitattributes", "README.md", "ours.txt", "theirs.txt", "more.txt"}
    details = client().get_discussion_details(REPO, made.pr_num)
    assert (details.status, details.merge_commit_oid) == ("merged", hub.repo(REPO).at("main").oid)
    assert [d.title for d in client().get_repo_discussions(REPO)] == ["Theirs"]


def test_a_pull_request_that_conflicts_is_not_merged(hub: HubServer, client: Callable[..., HfApi]) -> None:
    made = client().create_commit(REPO, [add("a.txt", b"theirs")], commit_message="Theirs", create_pr=True)
    commit(client(), add("a.txt", b"ours"))
    assert client().get_discussion_details(REPO, made.pr_num).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match="a.txt"):
        client().merge_pull_request(REPO, made.pr_num)
    assert hub.repo(REPO).files()["a.txt"] == b"ours"


def test_a_tag_stays_where_it_is(hub: HubServer, client: Callable[..., HfApi]) -> None:
    client().create_tag(REPO, tag="v1.0")
    tagged = hub.repo(REPO).at("main").oid
    commit(client())
    with pytest.raises(HfHubHTTPError) as error:
        client().create_tag(REPO, tag="v1.0")
    assert status_of(error) == 409
    assert hub.repo(REPO).tags == {"v1.0": tagged}
    client().create_branch(REPO, branch="next", revision="v1.0")
    refs = client().list_repo_refs(REPO, include_pull_requests=True)
    assert {b.name: b.target_commit for b in refs.branches}["next"] == refs.tags[0].target_commit == tagged
    client().delete_tag(REPO, tag="v1.0")
    assert not hub.repo(REPO).tags


def test_a_card_that_the_hub_would_not_accept_is_refused(hub: HubServer, client: Callable[..., HfApi]) -> None:
    no_dataset = (
        b"---\nmodel-index:\n- name: faces\n  results:\n  - task: {type: image-classification}\n    metrics: []\n---\n"
    )
    for card, message in (
        (b"---\na: [\n---\n", "Invalid YAML"),
        (no_dataset, "dataset.name"),
        (b"---\nbase_model: a b\n---\n", "base_model"),
    ):
        with pytest.raises(ValueError, match=message):
            commit(client(), add("README.md", card))
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        commit(client(), add("README.md", b"No metadata"))


# What is checked of the content


def post(hub: HubServer, *lines: dict[str, Any], **header: str) -> Any:
    """A commit written by hand, which the real client would not send."""
    body = [{"key": "header", "value": {"summary": "By hand", **header}}, *lines]
    content = "\n".join(map(json.dumps, body))
    return get_session().post(
        f"{hub.url}/api/models/{REPO}/commit/main", content=content, headers={"authorization": f"Bearer {ANNA}"}
    )


def test_broken_commits_change_nothing(hub: HubServer, client: Callable[..., HfApi]) -> None:
    client()
    good = {"key": "file", "value": {"path": "good.txt", "encoding": "base64", "content": "Z29vZA=="}}
    oid = hashlib.sha256(b"never sent").hexdigest()
    for bad, status in (
        ({"key": "file", "value": {"path": "a.txt", "encoding": "base64", "content": "Z29v!ZA=="}}, 400),
        ({"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": oid, "size": 10}}, 400),
        ({"key": "file", "value": {"path": "../a.txt", "encoding": "base64", "content": ""}}, 400),
        ({"key": "deletedFile", "value": {"path": "missing.txt"}}, 404),
    ):
        assert post(hub, good, bad).status_code == status
    assert post(hub, good, parentCommit=hub.repo(REPO).commits[0].oid).status_code == 412
    assert len(hub.repo(REPO).commits) == 2 and "good.txt" not in hub.repo(REPO).files()
    assert post(hub, good).status_code == 200
    assert hub.repo(REPO).files()["good.txt"] == b"good"


def test_a_large_file_must_be_what_was_announced(hub: HubServer, client: Callable[..., HfApi]) -> None:
    operation = add("model.bin", b"announced")
    operation.path_or_fileobj = b"different"  # as if the file changed after it was hashed
    with pytest.raises(RuntimeError, match="model.bin") as error:
        commit(client(), operation)
    assert isinstance(error.value.__cause__, BadRequestError)
    assert not hub.repo(REPO).lfs and "model.bin" not in hub.repo(REPO).files()
    commit(client(), add("model.bin", b"announced"))
    url = f"{hub.url}/{REPO}/resolve/main/model.bin"
    signed = get_session().get(url, follow_redirects=False).headers["Location"]
    assert get_session().get(signed).content == b"announced"
    assert get_session().get(signed[:-1] + "x").status_code == 403
    assert get_session().get(signed, headers={"authorization": f"Bearer {ANNA}"}).status_code == 400


# Faults


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 429, 500, 503, 507])
def test_a_commit_fails_at_once_and_changes_nothing(hub: HubServer, client: Callable[..., HfApi], status: int) -> None:
    hub.fail("POST", "/commit/", status=status, message="Asked for")
    with pytest.raises(HfHubHTTPError, match="Asked for") as error:
        commit(client())
    assert status_of(error) == hub.sent("POST", "/commit/")[0].status == status
    assert len(hub.repo(REPO).commits) == 2 and not client().waits
    commit(client())
    assert len(hub.repo(REPO).commits) == 3


def test_the_client_tries_uploads_again(hub: HubServer, client: Callable[..., HfApi]) -> None:
    asked = hub.fail("POST", "/preupload/", status=429, headers={"Retry-After": "3"})
    put = hub.fail("PUT", "/storage/", status=503, times=2)
    commit(client(), add("model.bin", b"weights"))
    assert (asked.hits, put.hits) == (1, 2)
    assert client().waits == [4, 1, 2]  # one second more than it was asked to wait; else doubled from one
    assert [r.status for r in hub.sent("PUT", "/storage/")] == [503, 503, 200]


def test_a_cut_upload_is_sent_again_whole(hub: HubServer, client: Callable[..., HfApi]) -> None:
    weights = bytes(1_000_000)
    hub.fail("PUT", "/storage/", cut_after=100_000)
    commit(client(), add("model.bin", weights))
    assert [(r.status, r.received) for r in hub.sent("PUT", "/storage/")] == [(0, 100_000), (200, 1_000_000)]
    assert hub.repo(REPO).files()["model.bin"] == weights


def test_a_cut_commit_changes_nothing(hub: HubServer, client: Callable[..., HfApi]) -> None:
    hub.fail("POST", "/commit/", cut_after=20)
    with pytest.raises(_http.httpx2.TransportError):
        commit(client())
    assert hub.sent("POST", "/commit/")[0].received == 20
    assert len(hub.repo(REPO).commits) == 2


@pytest.mark.parametrize("how", [{"status": 500}, {"cut_after": 0}])
def test_a_commit_whose_answer_is_lost_has_landed(
    hub: HubServer, client: Callable[..., HfApi], how: dict[str, int]
) -> None:
    hub.fail("POST", "/commit/", when="after", **how)
    with pytest.raises((HfHubHTTPError, _http.httpx2.TransportError)):
        commit(client())
    landed = hub.repo(REPO).at("main")
    assert landed.files["notes.txt"] == b"new"
    assert commit(client()) == landed.oid
    assert len(hub.sent("POST", "/commit/")) == 1


def test_the_first_requests_may_pass(hub: HubServer, client: Callable[..., HfApi]) -> None:
    fault = hub.fail("GET", f"/api/models/{REPO}$", status=403, after=1, times=2)
    answers = [client().repo_exists(REPO)]
    for _ in range(2):
        with pytest.raises(HfHubHTTPError):
            client().repo_exists(REPO)
    assert (answers, client().repo_exists(REPO), fault.hits) == ([True], True, 2)
    hub.fail(status=500, times=9)
    hub.mend()
    assert client().repo_exists(REPO)


def test_a_cut_download_goes_on_where_it_stopped(
    hub: HubServer, client: Callable[..., HfApi], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # the client keeps whole chunks alone
    weights = bytes(range(256)) * 1000
    hub.add_repo("anna/other", {"model.bin": weights})
    hub.fail("GET", "/storage/", cut_after=100_000)
    got = client().hf_hub_download("anna/other", "model.bin", cache_dir=tmp_path)
    assert Path(got).read_bytes() == weights
    assert [r.status for r in hub.sent("GET", "/storage/")] == [0, 206]


def test_a_slow_answer_is_given_up_by_who_sets_a_limit(hub: HubServer, client: Callable[..., HfApi]) -> None:
    hub.fail("GET", "/api/models/", delay=0.4, times=2)
    with pytest.raises(_http.httpx2.TimeoutException):
        client().model_info(REPO, timeout=0.1)
    began = time.monotonic()
    assert client().model_info(REPO).id == REPO
    assert time.monotonic() - began >= 0.4


def test_a_fault_of_the_server_itself_fails_the_test(client: Callable[..., HfApi]) -> None:
    with pytest.raises(KeyError, match="sdk"), HubServer() as broken:  # noqa: PT012
        broken.answer = lambda *_: broken.crashes.append(KeyError("sdk")) or Reply(b"", 500)  # type: ignore[method-assign]
        get_session().get(broken.url)


# Other processes


LOADS = """
from datasets import load_dataset
print(load_dataset("anna/table", split="train")["label"][:])
print([row["label"] for row in load_dataset("anna/table", split="train", streaming=True)])
"""


def test_a_dataset_is_loaded_and_streamed(hub: HubServer, tmp_path: Path) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"label": [3, 1, 2]}), table)
    hub.add_repo("anna/table", {"data/train-0.parquet": table.getvalue()}, repo_type="dataset", private=True)
    environment = hub.client_environment(tmp_path, ANNA)
    ended = subprocess.run([sys.executable, "-c", LOADS], env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["[3, 1, 2]"] * 2
    assert hub.sent("GET", "/storage/dataset/anna/table/")


def test_the_command_line_uploads(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    words = ["upload", "lab/new", str(tmp_path / "model.bin"), "model.bin"]
    run = "from huggingface_hub.cli.hf import main; main()"
    environment = hub.client_environment(tmp_path / "home", ANNA)
    ended = subprocess.run(
        [sys.executable, "-c", run, *words], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert hub.repo("lab/new").files()["model.bin"] == b"weights"
