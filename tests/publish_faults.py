"""What can go wrong on the way to the Hub, one case per fault: what a person sees, and what the Hub has then.

python -m tests.publish_faults

prints the table. Waits between tries are skipped, only counted.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http, close_session

from hub import attempts
from hub.access import check_access
from hub.upload import Release, publish
from pipeline import hub_client
from pipeline.errors import InputError
from tests.hub_server import HubServer

REPO, TOKEN, READER, STRANGER = "anna/faces", "hf_anna", "hf_reader", "hf_ben"
CARD = b"---\nlicense: other\n---\n# Faces\n"
OLD = {"README.md": CARD + b"old", "model.safetensors": b"old weights" * 99, "logs/events.out.tfevents.7": b"old"}
NEW = {"README.md": CARD + b"new", "model.safetensors": b"new weights" * 99_999, "config.json": b"{}"}

Break = Callable[[HubServer], object]


@dataclass(frozen=True)
class Case:
    """A fault; `says` is in the one line that a person sees, or None if the release arrives anyway."""

    fault: Break
    says: str | None = None
    token: str | None = TOKEN
    release: Release = field(default_factory=lambda: Release(REPO, tag="v2"))


@dataclass
class Outcome:
    """What was printed (waits and the last line), what the Hub has, and how many requests and seconds it took."""

    said: list[str]
    error: str | None
    state: str
    tagged: bool
    requests: int
    waited: float


def somebody_commits(hub: HubServer) -> None:
    """Another person's commit arrives after we read the head and before our own commit."""
    repo, commit = hub.repo(REPO), HfApi.create_commit

    def late(api: HfApi, *args: Any, **how: Any) -> Any:
        head = repo.at("main")
        repo.refs["refs/heads/main"] = repo.add(head, head.files | {"notes.md": b"hers"}, head.large, "ben", "Hers").oid
        return commit(api, *args, **how)

    HfApi.create_commit = late  # type: ignore[method-assign]


def faults(method: str, path: str, **how: object) -> Break:
    return lambda hub: hub.fail(method, path, **how)


COMMIT, UPLOAD = ("POST", "/commit/"), ("PUT", "/storage/")
LATER = "run the same command again"
CASES = {
    "nothing": Case(lambda hub: None),
    "commit answered 500 once": Case(faults(*COMMIT, status=500)),
    "commit answered 503 twice": Case(faults(*COMMIT, status=503, times=2)),
    "commit answered 503 for ever": Case(faults(*COMMIT, status=503, times=99), rf"the Hub answers 503.*{LATER} later"),
    "commit arrived, its answer lost (500)": Case(faults(*COMMIT, status=500, when="after")),
    "commit arrived, its answer lost (cut)": Case(faults(*COMMIT, cut_after=0, when="after")),
    "commit cut off in the middle": Case(faults(*COMMIT, cut_after=50)),
    "429 with Retry-After 3": Case(faults(*COMMIT, status=429, headers={"Retry-After": "3"})),
    "429 with Retry-After 3600": Case(
        faults(*COMMIT, status=429, headers={"Retry-After": "3600"}), "429.*asks to wait 3600 s"
    ),
    "commit answered 400": Case(faults(*COMMIT, status=400, message="Bad file name"), "400.*Bad file name.*correct"),
    "commit answered 401": Case(faults(*COMMIT, status=401, message="Token expired"), "hf auth login"),
    "commit answered 403": Case(faults(*COMMIT, status=403, message="Forbidden"), "403.*a token that may write"),
    "commit answered 404": Case(faults(*COMMIT, status=404), "404.*check the name"),
    "commit answered 409": Case(faults(*COMMIT, status=409), "somebody else changed main meanwhile"),
    "commit answered 412": Case(faults(*COMMIT, status=412), "somebody else changed main meanwhile"),
    "commit answered 413": Case(faults(*COMMIT, status=413), "413.*too large"),
    "somebody else commits meanwhile": Case(somebody_commits, "somebody else changed main meanwhile"),
    "large file cut after 100 kB, once": Case(faults(*UPLOAD, cut_after=100_000)),
    "large file cut after 100 kB, for ever": Case(
        faults(*UPLOAD, cut_after=100_000, times=99), rf"check the network, then {LATER}"
    ),
    "large file answered 500 twice": Case(faults(*UPLOAD, status=500, times=2)),
    "large file answered 507 (no space there)": Case(faults(*UPLOAD, status=507, times=99), "507"),
    "no answer to the commit, which arrives late": Case(faults(*COMMIT, delay=1.5)),
    "no answer to the commit, for ever": Case(faults(*COMMIT, delay=1.5, status=504, times=99), "does not answer"),
    "no answer to the login": Case(faults("GET", "/whoami", delay=1.5, times=99), "login: the Hub does not answer"),
    "the Hub is down (503 everywhere)": Case(faults(None, "", status=503, times=999), "login: the Hub answers 503"),  # type: ignore[arg-type]
    "not logged in": Case(lambda hub: None, "you are not logged in", token=None),
    "a token that is not valid": Case(lambda hub: None, "login: the Hub answers 401.*hf auth login", token="hf_wrong"),
    "a token that only reads": Case(lambda hub: None, "can only read", token=READER),
    "somebody else's repository": Case(lambda hub: None, "403", token=STRANGER),
    "somebody else's name, a new repository": Case(
        lambda hub: None, "ben can create repositories only under ben", STRANGER, Release("anna/other")
    ),
    "a repo id that is not valid": Case(lambda hub: None, "Cannot have -- or ..", release=Release("anna--faces/x")),
    "the tag belongs to other content": Case(
        lambda hub: hub.repo(REPO).refs.update({"refs/tags/v2": hub.repo(REPO).refs["refs/heads/main"]}),
        "--tag v2 belongs to other content",
    ),
    "tag answered 500 once": Case(faults("POST", "/tag/", status=500)),
    "tag made, its answer lost": Case(faults("POST", "/tag/", status=500, when="after")),
    "--private, and it is public": Case(
        lambda hub: None, "public already", release=Release(REPO, tag="v2", private=True)
    ),
    "pull request made, its answer lost": Case(
        faults(*COMMIT, status=502, when="after"), release=Release(REPO, create_pr=True)
    ),
}  # fmt: skip


@contextmanager
def client_settings(waits: list[float]) -> Iterator[None]:
    """The client online, without xet, with a timeout of one second, and waits noted instead of waited."""
    quick = httpx2.Timeout(1.0)
    with (
        mock.patch.object(constants, "HF_HUB_OFFLINE", False),
        mock.patch.object(constants, "HF_HUB_DISABLE_XET", True),
        mock.patch.object(hub_client, "TIMEOUT", quick),
        mock.patch.object(attempts, "time", SimpleNamespace(sleep=waits.append)),
        mock.patch.object(_http, "time", SimpleNamespace(sleep=waits.append)),
        mock.patch.object(HfApi, "create_commit", HfApi.create_commit),
        mock.patch.dict(os.environ, {"NO_PROXY": "127.0.0.1,localhost"}),
    ):
        hub_client.limit_requests()
        try:
            yield
        finally:
            _http.set_client_factory(_http.default_client_factory)
            close_session()


def play(case: Case, folder: Path) -> Outcome:
    """One fault from beginning to end, against a new Hub that has an older release."""
    for name, content in NEW.items():
        (folder / name).write_bytes(content)
    said: list[str] = []
    waits: list[float] = []
    error = None
    with HubServer() as hub, client_settings(waits):
        hub.add_user("anna", TOKEN)
        hub.add_user("anna", READER, role="read")
        hub.add_user("ben", STRANGER)
        repo = hub.add_repo(REPO, OLD)
        case.fault(hub)
        api = HfApi(endpoint=hub.url, token=case.token or False)
        try:
            exists = check_access(api, case.release.repo_id, said.append, write=not case.release.create_pr)
            publish(api, folder, case.release, exists, said.append)
        except InputError as refused:
            error = str(refused)
        ref = "refs/pr/1" if case.release.create_pr and "refs/pr/1" in repo.refs else "main"
        return Outcome(said, error, state(repo.files(ref)), "v2" in repo.tags, len(hub.requests), sum(waits))


def state(files: dict[str, bytes]) -> str:
    """Which release is there whole: "old", "new", or "mixed" if neither."""
    found = {name: content for name, content in files.items() if name not in (".gitattributes", "notes.md")}
    return "new" if found == NEW else "old" if found == OLD else "mixed"


def main() -> None:
    """Print the table of all cases."""
    print("| fault | what the person sees | release there | requests | seconds of waiting |\n|---|---|---|---|---|")
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            seen = play(case, Path(folder))
        shown = "; ".join([*seen.said, seen.error or "published"]).replace("|", "\\|")
        print(f"| {name} | {shown} | {seen.state}, whole | {seen.requests} | {seen.waited:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
