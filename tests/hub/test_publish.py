"""A release arrives whole or not at all, whatever happens on the way; and what has arrived is not sent again."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hub.access import check_access
from hub.upload import Release, publish
from pipeline.errors import InputError
from tests.hub_server import HubServer
from tests.publish_faults import CARD, CASES, NEW, OLD, REPO, TOKEN, client_settings, play, state


@pytest.mark.parametrize("name", CASES)
def test_a_fault_ends_in_a_whole_release_or_in_one_line_that_says_what_to_do(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    seen = play(case, tmp_path)
    if case.says is None:
        assert (seen.error, seen.state) == (None, "new")
        assert seen.tagged == (case.release.tag is not None)
    else:
        assert seen.error is not None and re.search(case.says, seen.error), seen.error
        assert "\n" not in seen.error
        assert seen.state == "old"
    assert seen.waited <= 180, "tries are bounded"
    assert "hf_" not in " ".join([*seen.said, seen.error or ""]), "no token is ever said"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server, client_settings([]):
        server.add_user("anna", TOKEN)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in NEW.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def send(hub: HubServer, folder: Path, release: Release) -> str:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    exists = check_access(api, release.repo_id, print, write=not release.create_pr)
    return publish(api, folder, release, exists, print).commit


def test_a_new_repository_is_made_private_on_demand(hub: HubServer, folder: Path) -> None:
    send(hub, folder, Release("anna/new", tag="v1", private=True))
    assert hub.repo("anna/new").private
    assert state(hub.repo("anna/new").files()) == "new"


def test_everything_goes_up_in_one_commit_and_files_of_an_older_release_go(hub: HubServer, folder: Path) -> None:
    repo = hub.add_repo(REPO, OLD | {"LICENSE": b"by hand", "notes/mine.txt": b"by hand"})
    before = len(repo.history())
    commit = send(hub, folder, Release(REPO, tag="v2"))
    assert len(repo.history()) == before + 1 and repo.at("main").oid == commit == repo.tags["v2"]
    assert set(repo.files()) == {".gitattributes", *NEW, "LICENSE", "notes/mine.txt"}


def test_the_same_command_twice_changes_nothing_and_sends_nothing(hub: HubServer, folder: Path) -> None:
    first = send(hub, folder, Release(REPO, tag="v1"))
    history = hub.repo(REPO).history()
    del hub.requests[:]
    assert send(hub, folder, Release(REPO, tag="v1")) == first
    assert send(hub, folder, Release(REPO)) == first
    assert hub.repo(REPO).history() == history
    assert not [r for r in hub.requests if r.method in ("POST", "PUT")]


def test_a_large_file_that_did_not_change_is_not_sent_again(hub: HubServer, folder: Path) -> None:
    send(hub, folder, Release(REPO, tag="v1"))
    del hub.requests[:]
    (folder / "config.json").write_bytes(b'{"new": true}')
    send(hub, folder, Release(REPO, tag="v2"))
    assert not hub.sent("PUT")
    assert set(hub.repo(REPO).tags) == {"v1", "v2"}


def test_another_run_in_the_same_repository_is_a_revision_of_its_own(hub: HubServer, folder: Path) -> None:
    first = send(hub, folder, Release(REPO, tag="seed-0"))
    (folder / "model.safetensors").write_bytes(b"other weights")
    second = send(hub, folder, Release(REPO, tag="seed-1"))
    repo = hub.repo(REPO)
    assert repo.tags == {"seed-0": first, "seed-1": second}
    assert state(repo.files("seed-0")) == "new"
    assert repo.files("seed-1")["model.safetensors"] == b"other weights"


def test_a_branch_is_made_and_main_stays(hub: HubServer, folder: Path) -> None:
    repo = hub.add_repo(REPO, OLD)
    send(hub, folder, Release(REPO, revision="try"))
    assert state(repo.files("try")) == "new"
    assert state(repo.files("main")) == "old"


def test_names_of_branches_and_tags_may_have_parts(hub: HubServer, folder: Path) -> None:
    repo = hub.add_repo(REPO, OLD)
    commit = send(hub, folder, Release(REPO, tag="rel/ü-1.0", revision="try/one"))
    assert repo.tags == {"rel/ü-1.0": commit}
    assert (state(repo.files("try/one")), state(repo.files("main"))) == ("new", "old")
    again = publish(
        HfApi(endpoint=hub.url, token=TOKEN), folder, Release(REPO, tag="rel/ü-1.0", revision="try/one"), True, print
    )
    assert again.commit == commit and again.url.endswith(f"/{REPO}/tree/rel%2F%C3%BC-1.0")


def test_a_pull_request_leaves_main_as_it_is(hub: HubServer, folder: Path) -> None:
    repo = hub.add_repo(REPO, OLD)
    send(hub, folder, Release(REPO, create_pr=True))
    assert state(repo.files("main")) == "old"
    assert state(repo.files("refs/pr/1")) == "new"


def test_of_two_at_once_one_wins_and_the_other_says_so(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add_repo(REPO, OLD)
    said: list[str] = []
    both_looked = threading.Barrier(2)

    class Slow(HfApi):
        def create_commit(self, *args, **how):
            both_looked.wait(timeout=20)
            return super().create_commit(*args, **how)

    def one(name: str) -> None:
        (tmp_path / name).mkdir()
        for file, content in (NEW | {"config.json": json.dumps(name).encode()}).items():
            (tmp_path / name / file).write_bytes(content)
        api = Slow(endpoint=hub.url, token=TOKEN)
        try:
            publish(api, tmp_path / name, Release(REPO), True, print)
            said.append("published")
        except InputError as error:
            said.append(str(error))

    both = [threading.Thread(target=one, args=(name,)) for name in ("one", "other")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert "published" in said
    said.remove("published")
    assert "somebody else changed main meanwhile" in said[0]
    assert repo.files()["config.json"] in (b'"one"', b'"other"')


def test_a_card_that_the_hub_refuses_is_reported_before_anything_is_sent(hub: HubServer, folder: Path) -> None:
    repo = hub.add_repo(REPO, OLD)
    (folder / "README.md").write_bytes(CARD.replace(b"other", b"[un: closed"))
    with pytest.raises((InputError, ValueError)):
        send(hub, folder, Release(REPO))
    assert state(repo.files()) == "old" and not hub.sent("PUT")


def test_what_is_read_back_is_compared(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.upload._changes", lambda *_: [])
    hub.add_repo(REPO, OLD)
    with pytest.raises(InputError, match="what is read back differs"):
        send(hub, folder, Release(REPO, tag="v2"))
    assert "v2" not in hub.repo(REPO).tags
