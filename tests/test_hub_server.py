"""The loopback Hub, driven by the real client: what it refuses, and that its faults are those of a network."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (
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
        server.add_user("anna", ANNA)
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


def test_what_is_not_there_has_its_own_error(hub: HubServer, client: Callable[..., HfApi], tmp_path: Path) -> None:
    for error, repo, path, revision in (
        (RemoteEntryNotFoundError, REPO, "missing.txt", "main"),
        (RevisionNotFoundError, REPO, "README.md", "v9"),
        (RepositoryNotFoundError, "anna/missing", "README.md", "main"),
    ):
        with pytest.raises(error):
            client().hf_hub_download(repo, path, revision=revision, cache_dir=tmp_path)


def test_a_private_repository_is_seen_by_its_owner_only(hub: HubServer, client: Callable[..., HfApi]) -> None:
    client().create_repo("anna/secret", private=True)
    assert hub.repo("anna/secret").private and client().model_info("anna/secret").private
    client(READER).auth_check("anna/secret")
    for token, status in ((BEN, 404), (False, 401)):
        with pytest.raises(RepositoryNotFoundError) as error:
            client(token).model_info("anna/secret")
        assert status_of(error) == status


def test_a_token_without_the_right_to_write_is_refused(hub: HubServer, client: Callable[..., HfApi]) -> None:
    for token, status in ((READER, 403), (BEN, 403), (False, 401), ("hf_wrong", 401)):
        for write in (commit, lambda api: api.create_repo("anna/new"), lambda api: api.auth_check(REPO, write=True)):
            with pytest.raises(HfHubHTTPError) as error:
                write(client(token))
            assert status_of(error) == status
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        client("hf_wrong").whoami()
    assert len(hub.repo(REPO).commits) == 2


def test_a_tag_stays_where_it_is(hub: HubServer, client: Callable[..., HfApi]) -> None:
    client().create_tag(REPO, tag="v1.0")
    tagged = hub.repo(REPO).at("main").oid
    commit(client())
    with pytest.raises(HfHubHTTPError) as error:
        client().create_tag(REPO, tag="v1.0")
    assert status_of(error) == 409
    assert hub.repo(REPO).tags == {"v1.0": tagged}


def test_a_card_that_the_hub_would_not_accept_is_refused(hub: HubServer, client: Callable[..., HfApi]) -> None:
    no_dataset = (
        b"---\nmodel-index:\n- name: faces\n  results:\n  - task: {type: image-classification}\n    metrics: []\n---\n"
    )
    for card, message in (
        (b"---\na: [\n---\n", "flow node"),
        (no_dataset, "model_index"),
        (b"---\nbase_model: a b\n---\n", "base_model"),
    ):
        with pytest.raises(ValueError, match=message):
            commit(client(), add("README.md", card))


def test_a_cut_upload_is_sent_again_whole(hub: HubServer, client: Callable[..., HfApi]) -> None:
    weights = bytes(1_000_000)
    hub.fail("PUT", "/storage/", cut_after=100_000)
    commit(client(), add("model.bin", weights))
    assert [(r.status, r.received) for r in hub.sent("PUT", "/storage/")] == [(0, 100_000), (200, 1_000_000)]
    assert hub.repo(REPO).files()["model.bin"] == weights


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


def test_a_fault_of_the_server_itself_fails_the_test(client: Callable[..., HfApi]) -> None:
    with pytest.raises(KeyError, match="sdk"), HubServer() as broken:  # noqa: PT012
        broken.answer = lambda *_: broken.crashes.append(KeyError("sdk")) or Reply(b"", 500)  # type: ignore[method-assign]
        get_session().get(broken.url)
