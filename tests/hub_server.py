"""A Hub on the loopback with the routes that publishing and reading use: as strict as the Hub, and faulty on demand.

It keeps repositories in memory and speaks HTTP/1.1 on a free port. Large files are on another host name, as on the Hub:
a client that sends its token there is refused. Clients must run with xet disabled (`client_environment`).
"""

import base64
import hashlib
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NoReturn, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from huggingface_hub import ModelCard, SpaceCard

LARGE = re.compile(
    r".*\.(bin|onnx|parquet|safetensors|tfevents.*)"
)  # of those that the Hub keeps in large-file storage
LARGE_FROM = 10_000_000  # bytes
GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
API = r"/api/(?P<type>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<type>dataset|space)s/)?(?P<id>[^/]+/[^/]+)"
SDKS = ("gradio", "docker", "static")
LICENSES = Path(__file__).with_name("hub_licenses.txt").read_text(encoding="utf-8").split()
"""Those that a card may name: https://huggingface.co/docs/hub/repositories-licenses"""
BINARY = {"Content-Type": "application/octet-stream"}


# Answers


@dataclass
class Reply:
    """An answer; anything but bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def refuse(status: int, message: str, code: str = "", **body: Any) -> NoReturn:
    """End the request with an error in the words and headers that the client looks at."""
    named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    raise RefusedError(Reply({"error": message, **body}, status, named))


# Repositories


@dataclass(frozen=True)
class Commit:
    """A whole tree: content by path. Paths in `large` are kept as LFS files."""

    oid: str
    parent: str | None
    files: dict[str, bytes]
    large: frozenset[str]
    author: str
    title: str

    def entry(self, path: str) -> dict[str, Any]:
        """A file or folder as the tree lists it."""
        data = self.files.get(path)
        if data is None:
            return {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())}
        found = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
        if path not in self.large:
            return found
        oid = sha256(data)
        return found | {"lfs": {"oid": oid, "size": len(data), "pointerSize": 130}}

    @property
    def folders(self) -> set[str]:
        return {"/".join(path.split("/")[:n]) for path in self.files for n in range(1, path.count("/") + 1)}


@dataclass
class Repo:
    """A repository: `commits` in the order they arrived, and `refs` (refs/heads/*, refs/tags/*, refs/pr/*) to oids.

    `pulls` are the titles and authors of pull requests by number, and `lfs` the large files by SHA-256.
    """

    type: str
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, tuple[str, str]] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def tags(self) -> dict[str, str]:
        return {ref.removeprefix("refs/tags/"): oid for ref, oid in self.refs.items() if ref.startswith("refs/tags/")}

    def ref(self, revision: str) -> str | None:
        """The full name of a branch, a tag or a pull request."""
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag, `refs/pr/N` or (at least seven digits of) an oid names."""
        ref = self.ref(revision)
        wanted = self.refs[ref] if ref else revision
        found = next((c for c in self.commits if len(wanted) >= 7 and c.oid.startswith(wanted)), None)
        return found or refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, revision: str = "main") -> list[Commit]:
        """The commits of a revision, newest first."""
        found, oid = [], self.at(revision).oid
        while oid:
            found.append(self.at(oid))
            oid = found[-1].parent
        return found

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Content by path."""
        return self.at(revision).files

    def add(self, parent: Commit | None, files: dict[str, bytes], large: Iterable[str], *words: str) -> Commit:
        """A new commit that no ref names yet; `words` are author and title."""
        large = frozenset(large) & files.keys()
        self.commits.append(Commit(secrets.token_hex(20), parent.oid if parent else None, files, large, *words))
        return self.commits[-1]


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_large(path: str, size: int) -> bool:
    return size > 0 and (size >= LARGE_FROM or LARGE.fullmatch(path) is not None)


# The Hub


@dataclass
class Request:
    """A request as it came in. `status` stays 0 if it was cut; `received` counts body bytes."""

    method: str
    path: str
    status: int = 0
    received: int = 0


@dataclass
class Fault:
    """Makes requests fail; see `HubServer.fail`. `hits` counts how often it struck."""

    method: str | None
    path: str
    status: int | None = None
    times: float = 1
    after: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "Asked to fail"
    when: Literal["before", "after"] = "before"
    cut_after: int | None = None
    delay: float = 0.0
    hits: int = 0

    def strikes(self, request: Request) -> bool:
        fits = self.method in (None, request.method) and re.search(self.path, request.path)
        if not fits or self.hits >= self.times:
            return False
        self.after -= 1
        self.hits += self.after < 0
        return self.after < 0

    @property
    def reply(self) -> Reply | None:
        """The answer instead of the usual one, if there is one."""
        headers = {"X-Error-Message": self.message, **self.headers}
        return Reply({"error": self.message}, self.status, headers) if self.status else None


class HubServer:
    """`with HubServer() as hub:` serves at `hub.url` until the block ends; `hub.requests` is the log."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.users: dict[str, tuple[str, str]] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.faults: list[Fault] = []
        self.crashes: list[Exception] = []
        self._server = _Server(self)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self.crashes and kind is None:
            raise self.crashes[0]

    def add_user(self, name: str, token: str, role: str = "write") -> None:
        """A token of a user; call it again for further tokens of the same user."""
        self.users[token] = (name, role)

    def add_repo(
        self, repo_id: str, files: dict[str, bytes] | None = None, repo_type: str = "model", private: bool = False
    ) -> Repo:
        """A repository with a first commit, as the Hub makes it, and a second one with `files`, if any."""
        repo = self.repos[repo_type, repo_id] = Repo(repo_type, repo_id, private)
        author = repo_id.split("/")[0]
        head = repo.add(None, {".gitattributes": GITATTRIBUTES}, (), author, "initial commit")
        if files:
            large = [path for path, data in files.items() if is_large(path, len(data))]
            repo.lfs |= {sha256(files[path]): files[path] for path in large}
            head = repo.add(head, head.files | files, large, author, "Add files")
        repo.refs["refs/heads/main"] = head.oid
        return repo

    def repo(self, repo_id: str, repo_type: str = "model") -> Repo:
        return self.repos[repo_type, repo_id]

    def client_environment(self, home: Path, token: str | None) -> dict[str, str]:
        """The environment of a client process: only this Hub, caches in `home`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.endswith("_OFFLINE")}
        flags = ("XET", "TELEMETRY", "PROGRESS_BARS", "UPDATE_CHECK")
        named = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1,localhost"}
        given = {} if token is None else {"HF_TOKEN": token}
        return kept | named | given | {f"HF_HUB_DISABLE_{flag}": "1" for flag in flags}

    def fail(self, method: str | None = None, path: str = "", **how: Any) -> Fault:
        """Make the next requests fail whose method is `method` and whose path contains `path` (a regex).

        The first `after` such requests go through, the next `times` fail. They wait `delay` seconds and are answered
        `status` with `headers` and `message`, or as usual if there is no status. With `cut_after` there is no answer:
        the connection is closed after that many bytes of the body. With `when="after"` the request takes effect first,
        and only its answer is lost.
        """
        fault = Fault(method, path, **how)
        with self.lock:
            self.faults.append(fault)
        return fault

    def mend(self) -> None:
        """Forget all faults."""
        self.faults.clear()

    def sent(self, method: str | None = None, path: str = "") -> list[Request]:
        """Requests of the log by method and by a regex that is found in the path."""
        return [r for r in list(self.requests) if method in (None, r.method) and re.search(path, r.path)]

    def user_of(self, headers: Message) -> tuple[str | None, str]:
        """The name of the user, and what the token may do: "write" or "read"."""
        bearer = headers.get("Authorization")
        if bearer is None:
            return None, ""
        return self.users.get(bearer.removeprefix("Bearer ")) or refuse(401, "Invalid credentials")

    def repo_of(self, words: dict[str, str], user: str | None) -> Repo:
        """A repository that the user may see; one that is hidden looks like one that does not exist."""
        repo = self.repos.get((words.get("type", "model"), words["id"]))
        if repo is None or (repo.private and repo.owner != user):
            refuse(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def address(self, repo: Repo, oid: str) -> str:
        """The address of a large file, on another host name than the Hub."""
        return f"http://localhost:{self.port}/storage/{repo.type}/{repo.id}/{oid}"

    def page(self, repo: Repo) -> str:
        return f"{self.url}/{'' if repo.type == 'model' else repo.type + 's/'}{repo.id}"

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> Reply:
        """Carry out one request; no other runs meanwhile."""
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self.lock:
            try:
                for verb, pattern, endpoint in ROUTES:
                    found = pattern.fullmatch(url.path)
                    if found and verb == ("GET" if method == "HEAD" else method):
                        words = {k: unquote(v) for k, v in found.groupdict().items() if v is not None}
                        stored = endpoint in (put_large, get_large)
                        user, role = (None, "") if stored else self.user_of(headers)
                        call = Call(self, query, headers, body, user, role, words)
                        if "id" in words and not stored:
                            call.repo = self.repo_of(words, call.user)
                        return endpoint(call)
                refuse(404, f"Cannot {method} {url.path}")
            except RefusedError as refusal:
                return refusal.reply
            except Exception as crash:
                self.crashes.append(crash)
                return Reply({"error": repr(crash)}, 500)


@dataclass
class Call:
    """A request on its way to an endpoint: `words` are the named parts of its path."""

    hub: HubServer
    query: dict[str, str]
    headers: Message
    body: bytes
    user: str | None
    role: str
    words: dict[str, str]
    repo: Repo = field(init=False)

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body or b"{}")
        return found

    @property
    def commit(self) -> Commit:
        return self.repo.at(self.words.get("revision", "main"))

    def writer(self, owner: str, as_pull: bool = False) -> str:
        """The name of the user, who may write here; anybody with a token that writes may open a pull request."""
        if self.user is None:
            refuse(401, "Invalid username or password.")
        if self.role != "write" or (self.user != owner and not as_pull):
            refuse(403, f"You don't have the rights to write under the namespace {owner} with this token")
        return self.user


ROUTES: list[tuple[str, re.Pattern[str], Callable[[Call], Reply]]] = []


def route(method: str, *patterns: str) -> Callable[[Callable[[Call], Reply]], Callable[[Call], Reply]]:
    def keep(endpoint: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        ROUTES.extend((method, re.compile(pattern), endpoint) for pattern in patterns)
        return endpoint

    return keep


# Accounts, repositories, cards


@route("GET", "/api/whoami-v2")
def whoami(call: Call) -> Reply:
    user = call.user or refuse(401, "Invalid username or password.")
    return Reply({"type": "user", "name": user, "orgs": [], "auth": {"accessToken": {"role": call.role}}})


@route("GET", API + "/auth-check(?P<write>/write)?")
def auth_check(call: Call) -> Reply:
    if "write" in call.words:
        call.writer(call.repo.owner)
    return Reply({})


@route("POST", "/api/repos/create")
def create_repo(call: Call) -> Reply:
    asked = call.json
    repo_type, owner = asked.get("type") or "model", asked.get("organization") or str(call.user)
    repo_id = f"{owner}/{asked['name']}"
    call.writer(owner)
    if repo_type == "space" and asked.get("sdk") not in SDKS:
        refuse(400, f'"sdk" must be one of {SDKS}')
    if old := call.hub.repos.get((repo_type, repo_id)):
        refuse(409, f"You already created this {repo_type} repo", url=call.hub.page(old), name=old.id, id=old.id)
    repo = call.hub.add_repo(repo_id, repo_type=repo_type, private=asked.get("visibility") == "private")
    return Reply({"url": call.hub.page(repo), "name": repo.id, "id": repo.id})


def card_errors(content: str, repo_type: str) -> list[str]:
    """What the Hub would not accept in a card; the client's own reader knows most of it."""
    try:
        card = (SpaceCard if repo_type == "space" else ModelCard)(content).data.to_dict()
    except (ValueError, yaml.YAMLError) as error:
        return [f"Invalid metadata in README.md. {error}"]
    errors = []
    if repo_type == "space" and card.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of {SDKS}')
    if card.get("license") not in (None, *LICENSES):
        errors.append(f'"license" must be one of {LICENSES}')
    bases = card.get("base_model") or []
    for base in bases if isinstance(bases, list) else [bases]:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(base)):
            errors.append(f'"base_model" with value "{base}" is not valid. Use a model id from https://hf.co/models.')
    return errors


@route("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Reply:
    errors = card_errors(str(call.json.get("content", "")), str(call.json.get("repoType", "model")))
    return Reply({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)


# Writing


@route("POST", API + r"/preupload/(?P<revision>[^/]+)")
def preupload(call: Call) -> Reply:
    call.writer(call.repo.owner, "create_pr" in call.query)
    commit, answers = call.commit, []
    for asked in call.json["files"]:
        path, size = asked["path"], asked["size"]
        answer = {"path": path, "uploadMode": "lfs" if is_large(path, size) else "regular", "shouldIgnore": False}
        if path in commit.files:
            entry = commit.entry(path)
            answer["oid"] = entry.get("lfs", entry)["oid"]
        answers.append(answer)
    return Reply({"files": answers, "commitOid": commit.oid})


@route("POST", PAGE + r"\.git/info/lfs/objects/batch")
def lfs_batch(call: Call) -> Reply:
    call.writer(call.repo.owner, as_pull=True)
    answers: list[dict[str, Any]] = [{"oid": asked["oid"], "size": asked["size"]} for asked in call.json["objects"]]
    for answer in answers:
        if answer["oid"] not in call.repo.lfs:
            answer["actions"] = {"upload": {"href": call.hub.address(call.repo, answer["oid"])}}
    return Reply({"transfer": "basic", "objects": answers})


STORAGE = r"/storage/(?P<type>[a-z]+)/(?P<id>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})"


def stored_in(call: Call) -> dict[str, bytes]:
    if call.headers.get("Authorization"):
        refuse(400, "Only one auth mechanism allowed: no token belongs here")
    return call.hub.repos[call.words["type"], call.words["id"]].lfs


@route("PUT", STORAGE)
def put_large(call: Call) -> Reply:
    if sha256(call.body) != call.words["oid"]:
        refuse(400, "XAmzContentSHA256Mismatch: the content is not what was announced")
    stored_in(call)[call.words["oid"]] = call.body
    return Reply()


@route("GET", STORAGE)
def get_large(call: Call) -> Reply:
    return Reply(stored_in(call)[call.words["oid"]], headers=BINARY)


def apply(change: dict[str, Any], files: dict[str, bytes], large: set[str], repo: Repo) -> None:
    """One line of a commit, in place."""
    kind, value = change["key"], change["value"]
    path = str(value["path"])
    if kind == "lfsFile":
        if value["oid"] not in repo.lfs:
            refuse(400, f"An LFS pointer pointed to a file that does not exist. Offending file: - {path}")
        files[path] = repo.lfs[value["oid"]]
        large.add(path)
    elif kind == "deletedFile":
        del files[path]
    else:
        files[path] = base64.b64decode(value["content"], validate=True)
        large.discard(path)
        if path == "README.md" and (errors := card_errors(files[path].decode(), repo.type)):
            refuse(400, errors[0])


@route("POST", API + r"/commit/(?P<revision>[^/]+)")
def commit_files(call: Call) -> Reply:
    """All lines or none."""
    repo, as_pull, ref = call.repo, call.query.get("create_pr") == "1", call.repo.ref(call.words["revision"])
    author = call.writer(repo.owner, as_pull)
    about, *changes = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    if ref is None or not ref.startswith("refs/heads/"):
        refuse(404, f"Invalid rev id: {call.words['revision']}", "RevisionNotFound")
    head, parent = repo.at(ref), about["value"].get("parentCommit")
    if parent and not head.oid.startswith(parent):
        refuse(412, "A commit has happened since. Please refresh and try again.")
    files, large = dict(head.files), set(head.large)
    for change in changes:
        apply(change, files, large, repo)
    commit = repo.add(head, files, large, author, about["value"]["summary"])
    answer = {"success": True, "commitOid": commit.oid, "commitUrl": f"{call.hub.page(repo)}/commit/{commit.oid}"}
    if as_pull:
        number = len(repo.pulls) + 1
        repo.pulls[number], ref = (commit.title, author), f"refs/pr/{number}"
        answer["pullRequestUrl"] = f"{call.hub.page(repo)}/discussions/{number}"
    repo.refs[ref] = commit.oid
    return Reply(answer)


@route("POST", API + r"/(?P<kind>tag|branch)/(?P<name>[^/]+)")
def create_ref(call: Call) -> Reply:
    """A tag of the revision in the path, or a branch named there."""
    call.writer(call.repo.owner)
    kind, word, asked = call.words["kind"], call.words["name"], call.json
    ref = f"refs/tags/{asked['tag']}" if kind == "tag" else f"refs/heads/{word}"
    oid = call.repo.at(word if kind == "tag" else "main").oid
    if ref in call.repo.refs:
        refuse(409, "Tag reference exists already" if kind == "tag" else "Reference already exists")
    call.repo.refs[ref] = oid
    return Reply({})


# Reading


@route("GET", API, API + r"/revision/(?P<revision>[^/]+)")
def info(call: Call) -> Reply:
    repo, commit = call.repo, call.commit
    files = [{"rfilename": path} for path in sorted(commit.files)]
    found = {"id": repo.id, "sha": commit.oid, "private": repo.private, "gated": False, "siblings": files}
    readme = commit.files.get("README.md", b"").decode()
    if repo.type == "space":
        found["sdk"] = SpaceCard(readme).data.get("sdk")
    if repo.type == "model" and readme.startswith("---"):
        found |= read_of_card(ModelCard(readme).data.to_dict())
    return Reply(found)


def read_of_card(card: dict[str, Any]) -> dict[str, Any]:
    """What the Hub shows and searches of the front matter of a model card."""
    named = {name: [card.get(name)] if isinstance(card.get(name), str) else card.get(name) or [] for name in (
        "license", "base_model", "datasets")}  # fmt: skip
    kinds = {"license": "license", "base_model": "base_model", "datasets": "dataset"}
    tags = [card.get("library_name"), *card.get("tags", ()), card.get("pipeline_tag")]
    tags += [f"{kinds[name]}:{value}" for name, values in named.items() for value in values]
    return {
        "cardData": card,
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "tags": [tag for tag in tags if tag],
        "widgetData": card.get("widget"),
        "model-index": card.get("model-index"),
    }


@route("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")
def tree(call: Call) -> Reply:
    commit, root = call.commit, call.words.get("path", "")
    if root and root not in commit.folders:
        refuse(404, f"{root} does not exist on {commit.oid}", "EntryNotFound")
    top = f"{root}/" if root else ""
    inside = [path for path in sorted(commit.files.keys() | commit.folders) if path.startswith(top)]
    if call.query.get("recursive", "").lower() != "true":
        inside = [path for path in inside if "/" not in path.removeprefix(top)]
    return Reply([commit.entry(path) for path in inside])


@route("GET", API + "/refs")
def refs(call: Call) -> Reply:
    found: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": []}
    groups = {"heads": "branches", "tags": "tags"}
    for ref, oid in call.repo.refs.items():
        kind, name = ref.removeprefix("refs/").split("/", 1)
        if kind in groups:
            found[groups[kind]].append({"name": name, "ref": ref, "targetCommit": oid})
    return Reply(found)


@route("GET", PAGE + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(call: Call) -> Reply:
    """The content of a regular file, or the way to a large one."""
    commit, path = call.commit, call.words["path"]
    if path not in commit.files:
        refuse(404, "Entry not found", "EntryNotFound")
    entry, headers = commit.entry(path), {"X-Repo-Commit": commit.oid}
    if "lfs" not in entry:
        return Reply(commit.files[path], 200, BINARY | headers | {"ETag": f'"{entry["oid"]}"'})
    oid = entry["lfs"]["oid"]
    linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(entry["size"])}
    return Reply(b"", 302, headers | linked | {"Location": call.hub.address(call.repo, oid)})


@route("GET", API + "/discussions")
def discussions(call: Call) -> Reply:
    about = {"status": "open", "isPullRequest": True, "repo": {"name": call.repo.id, "type": call.repo.type}}
    about["createdAt"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    pulls = reversed(call.repo.pulls.items())
    found = [about | {"num": num, "title": title, "author": {"name": author}} for num, (title, author) in pulls]
    return Reply({"discussions": found, "count": len(found), "start": 0})


# The wire


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is in the log; everything else is a fault of the server."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.hub.crashes.append(error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        """Read, carry out and answer one request, with the faults that `HubServer.fail` asked for."""
        hub = self.server.hub
        request = Request(self.command, urlsplit(self.path).path)
        with hub.lock:
            hub.requests.append(request)
            fault = next((f for f in hub.faults if f.strikes(request)), None)
        early = fault is not None and fault.when == "before"
        body = self.read_body(request, fault.cut_after if fault and early else None)
        words = (self.command, self.path, self.headers, body)
        reply = None if early else hub.answer(*words)
        if fault:
            time.sleep(fault.delay)
            if fault.cut_after is not None:
                self.close_connection = True
                return
            reply = fault.reply or reply
        self.send(request, reply or hub.answer(*words))

    do_GET = do_HEAD = do_POST = do_PUT = serve  # noqa: N815

    def read_body(self, request: Request, limit: int | None) -> bytes:
        """The body, or its first `limit` bytes."""
        left, parts = int(self.headers.get("Content-Length") or 0), []
        left = left if limit is None else min(left, limit)
        while left:
            part = self.rfile.read(min(left, 1 << 16))
            if not part:
                raise ConnectionError("the client hung up")
            parts.append(part)
            request.received += len(part)
            left -= len(part)
        return b"".join(parts)

    def send(self, request: Request, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        request.status = reply.status
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | reply.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
