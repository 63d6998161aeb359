"""A Hub on the loopback: what the real client needs, as strict as the Hub, and faulty on demand.

It keeps repositories in memory and speaks HTTP/1.1 on a free port. Large files live on another host name, as they do on
the Hub: a client that sent its token there is refused. Clients must run with xet disabled (`client_environment`).
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NoReturn, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

# The suffixes in the .gitattributes that the Hub gives a new repository.
LARGE = re.compile(
    r".*(\.(7z|arrow|bin|bz2|ckpt|gz|h5|joblib|model|msgpack|npy|npz|onnx|ot|parquet|pb|pickle|pkl|pt|pth|rar"
    r"|safetensors|tar|tflite|tgz|wasm|xz|zip|zst)|tfevents[^/]*)"
)
GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
API = r"/api/(?P<type>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<type>dataset|space)s/)?(?P<id>[^/]+/[^/]+)"
NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)\w[\w.-]{0,94}\w|\w")


# State


@dataclass(frozen=True)
class User:
    """Whose token it is; `role` is that of the token: "write" or "read"."""

    name: str
    role: str
    orgs: tuple[str, ...] = ()

    def owns(self, repo_id: str) -> bool:
        return repo_id.split("/")[0] in (self.name, *self.orgs)


@dataclass(frozen=True)
class Commit:
    """A whole tree: content by path. Paths in `large` are kept as LFS files."""

    oid: str
    parent: str | None
    files: dict[str, bytes]
    large: frozenset[str]
    author: str
    title: str
    message: str = ""
    date: str = field(default_factory=lambda: now())

    def entry(self, path: str) -> dict[str, Any]:
        """A file as the tree lists it; the oid of an LFS file is that of its pointer."""
        data = self.files[path]
        if path not in self.large:
            return {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
        oid = hashlib.sha256(data).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()
        lfs = {"oid": oid, "size": len(data), "pointerSize": len(pointer)}
        return {"type": "file", "path": path, "size": len(data), "oid": git_oid(pointer), "lfs": lfs}

    def folder(self, path: str) -> dict[str, Any]:
        inside = [f"{p} {git_oid(data)}" for p, data in sorted(self.files.items()) if p.startswith(f"{path}/")]
        return {"type": "directory", "path": path, "size": 0, "oid": git_oid("\n".join(inside).encode())}

    @property
    def folders(self) -> set[str]:
        return {"/".join(path.split("/")[:n]) for path in self.files for n in range(1, path.count("/") + 1)}

    def changed_since(self, other: "Commit") -> set[str]:
        return {path for path in self.files | other.files if self.files.get(path) != other.files.get(path)}


@dataclass
class PullRequest:
    """A pull request against main, begun at the commit `base`."""

    num: int
    title: str
    author: str
    base: str
    date: str
    status: str = "open"
    merge_commit: str | None = None


@dataclass
class Repo:
    """A repository: `commits` in the order they landed, and `refs` (refs/heads/*, refs/tags/*, refs/pr/*) to oids."""

    type: str
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)

    @property
    def branches(self) -> dict[str, str]:
        return self._named("refs/heads/")

    @property
    def tags(self) -> dict[str, str]:
        return self._named("refs/tags/")

    def _named(self, prefix: str) -> dict[str, str]:
        return {ref.removeprefix(prefix): oid for ref, oid in self.refs.items() if ref.startswith(prefix)}

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
        """A new commit that no ref names yet; `words` are author, title and message."""
        large = frozenset(large) & files.keys()
        self.commits.append(Commit(secrets.token_hex(20), parent.oid if parent else None, files, large, *words))
        return self.commits[-1]

    def open_pull(self, author: str, title: str, base: Commit, head: Commit) -> PullRequest:
        num = len(self.pulls) + 1
        self.refs[f"refs/pr/{num}"] = head.oid
        self.pulls[num] = PullRequest(num, title, author, base.oid, now())
        return self.pulls[num]

    def conflicts(self, pull: PullRequest) -> set[str]:
        """Paths that both the pull request and main have changed, differently."""
        base, ours, theirs = self.at(pull.base), self.at("main"), self.at(f"refs/pr/{pull.num}")
        return theirs.changed_since(base) & ours.changed_since(base) & theirs.changed_since(ours)


@dataclass
class Request:
    """A request as it came in. `status` is 0 while unanswered and for ever if cut; `received` counts body bytes."""

    method: str
    path: str
    query: str
    time: float
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
        if (
            self.method not in (None, request.method)
            or not re.search(self.path, request.path)
            or self.hits >= self.times
        ):
            return False
        if self.after:
            self.after -= 1
            return False
        self.hits += 1
        return True


class HubServer:
    """`with HubServer() as hub:` serves at `hub.url` until the block ends; `hub.requests` is the log.

    Files are large (LFS) by their suffix or from `large_from` bytes on.
    """

    def __init__(self, large_from: int = 10_000_000) -> None:
        self.large_from = large_from
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.users: dict[str, User] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.faults: list[Fault] = []
        self.crashes: list[Exception] = []
        self._secret = secrets.token_bytes(16)
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

    def add_user(self, name: str, token: str, role: str = "write", orgs: tuple[str, ...] = ()) -> User:
        """A token of a user; call it again for further tokens of the same user."""
        self.users[token] = User(name, role, orgs)
        return self.users[token]

    def add_repo(
        self, repo_id: str, files: dict[str, bytes] | None = None, repo_type: str = "model", private: bool = False
    ) -> Repo:
        """A repository with a first commit, as the Hub makes it, and a second one with `files`, if any."""
        repo = self.repos[repo_type, repo_id] = Repo(repo_type, repo_id, private)
        author = repo_id.split("/")[0]
        head = repo.add(None, {".gitattributes": GITATTRIBUTES}, (), author, "initial commit")
        if files:
            large = [path for path, data in files.items() if self.is_large(path, len(data))]
            repo.lfs |= {hashlib.sha256(files[path]).hexdigest(): files[path] for path in large}
            head = repo.add(head, head.files | files, large, author, "Add files")
        repo.refs["refs/heads/main"] = head.oid
        return repo

    def repo(self, repo_id: str, repo_type: str = "model") -> Repo:
        return self.repos[repo_type, repo_id]

    def is_large(self, path: str, size: int) -> bool:
        return size > 0 and (size >= self.large_from or LARGE.fullmatch(path) is not None)

    def client_environment(self, home: Path, token: str | None) -> dict[str, str]:
        """The environment of a client process: this Hub and no other, caches in `home`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.endswith("_OFFLINE")}
        flags = ("XET", "TELEMETRY", "PROGRESS_BARS", "UPDATE_CHECK")
        named = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1,localhost"}
        given = {} if token is None else {"HF_TOKEN": token}
        return kept | named | given | {f"HF_HUB_DISABLE_{flag}": "1" for flag in flags}

    def fail(self, method: str | None = None, path: str = "", **how: Any) -> Fault:
        """Make the next requests fail whose method is `method` and whose path `path` (a regex) is found in.

        The first `after` such requests go through, the next `times` fail. They wait `delay` seconds and are answered
        `status` with `headers` and `message`, or as usual if there is no status. With `cut_after` there is no answer:
        the connection is closed once that many bytes of the body have come in; of a request without a body, once that
        many bytes of the answer's body have gone out. With `when="after"` the request takes effect first, and only its
        answer is lost.
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

    def user_of(self, headers: Message) -> User | None:
        bearer = headers.get("Authorization")
        if bearer is None:
            return None
        user = self.users.get(bearer.removeprefix("Bearer "))
        return user or refuse(401, "Invalid credentials in Authorization header")

    def repo_of(self, repo_type: str, repo_id: str, user: User | None) -> Repo:
        """A repository that the user may see; one that is hidden looks like one that is not there."""
        repo = self.repos.get((repo_type, repo_id))
        if repo is None or (repo.private and not (user and user.owns(repo_id))):
            refuse(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def address(self, repo: Repo, method: str, oid: str) -> str:
        """Where a large file is put or got: signed, and on another host name than the Hub."""
        path = f"/storage/{repo.type}/{repo.id}/{oid}"
        return f"http://localhost:{self.port}{path}?signature={self.signature(method, path)}"

    def signature(self, method: str, path: str) -> str:
        return hmac.digest(self._secret, f"{method} {path}".encode(), "sha256").hex()

    def page(self, repo: Repo) -> str:
        return f"{self.url}/{'' if repo.type == 'model' else repo.type + 's/'}{repo.id}"

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> "Reply":
        """Carry out one request, whole and alone."""
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self.lock:
            try:
                for verb, pattern, endpoint in ROUTES:
                    found = pattern.fullmatch(url.path)
                    if found and verb == ("GET" if method == "HEAD" else method):
                        words = {k: unquote(v) for k, v in found.groupdict().items() if v is not None}
                        stored = url.path.startswith("/storage/")
                        user = None if stored else self.user_of(headers)
                        call = Call(self, verb, url.path, query, headers, body, user, words)
                        if "id" in pattern.groupindex and not stored:
                            call.repo = self.repo_of(words.get("type", "model"), words["id"], user)
                        return endpoint(call)
                refuse(404, f"Cannot {method} {url.path}")
            except RefusedError as refusal:
                return refusal.reply
            except Exception as crash:
                self.crashes.append(crash)
                return Reply({"error": repr(crash)}, 500)


# Requests and answers


@dataclass
class Reply:
    """An answer; anything but bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def refuse(status: int, message: str, code: str = "", headers: dict[str, str] | None = None, **body: Any) -> NoReturn:
    """End the request with an error in the words and headers that the client looks at."""
    named = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    raise RefusedError(Reply({"error": message, **body}, status, named))


@dataclass
class Call:
    """A request on its way to an endpoint: `words` are the named parts of its path."""

    hub: HubServer
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes
    user: User | None
    words: dict[str, str]
    repo: Repo = field(init=False)

    @property
    def json(self) -> dict[str, Any]:
        return parsed(self.body)

    @property
    def commit(self) -> Commit:
        return self.repo.at(self.words.get("revision", "main"))

    def writer(self, repo_id: str, what: str, own_pull: bool = False) -> str:
        """The name of the user, who may write here; a pull request's author may add to it."""
        if self.user is None:
            refuse(401, "Invalid username or password.")
        if self.user.role != "write":
            refuse(403, f"This token has no write permission: you cannot {what}")
        if not self.user.owns(repo_id) and not own_pull:
            refuse(403, f'You don\'t have the rights to {what} under the namespace "{repo_id.split("/")[0]}"')
        return self.user.name

    def own_pull(self, ref: str | None) -> bool:
        num = re.fullmatch(r"refs/pr/(\d+)", ref or "")
        return bool(
            num and self.user and self.repo.refs.get(num[0]) and self.repo.pulls[int(num[1])].author == self.user.name
        )

    def pull(self) -> PullRequest:
        found = self.repo.pulls.get(int(self.words["num"]))
        return found or refuse(404, "Discussion not found")


ROUTES: list[tuple[str, re.Pattern[str], Callable[[Call], Reply]]] = []


def route(method: str, *patterns: str) -> Callable[[Callable[[Call], Reply]], Callable[[Call], Reply]]:
    def keep(endpoint: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        ROUTES.extend((method, re.compile(pattern), endpoint) for pattern in patterns)
        return endpoint

    return keep


def parsed(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text or b"{}")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else refuse(400, "Invalid JSON in the body")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


# Accounts and repositories


@route("GET", "/api/whoami-v2")
def whoami(call: Call) -> Reply:
    user = call.user or refuse(401, "Invalid username or password.")
    named = {"type": "user", "name": user.name, "fullname": user.name}
    orgs = [{"type": "org", "name": org} for org in user.orgs]
    return Reply(named | {"orgs": orgs, "auth": {"accessToken": {"displayName": "test", "role": user.role}}})


@route("GET", API + "/auth-check", API + "/auth-check/write")
def auth_check(call: Call) -> Reply:
    if call.path.endswith("/write"):
        call.writer(call.repo.id, "write")
    return Reply({})


@route("POST", "/api/repos/create")
def create_repo(call: Call) -> Reply:
    asked = call.json
    repo_type, name = asked.get("type") or "model", str(asked.get("name"))
    owner = asked.get("organization") or (call.user.name if call.user else "")
    call.writer(f"{owner}/{name}", f"create a {repo_type}")
    if repo_type not in ("model", "dataset", "space") or not NAME.fullmatch(name):
        refuse(400, f"Invalid repo type or name: {repo_type} {name}")
    if repo_type == "space" and asked.get("sdk") not in ("gradio", "docker", "static"):
        refuse(400, '"sdk" must be one of [gradio, docker, static]')
    old = call.hub.repos.get((repo_type, f"{owner}/{name}"))
    if old:
        refuse(409, f"You already created this {repo_type} repo", url=call.hub.page(old), name=old.id, id=old.id)
    repo = call.hub.add_repo(f"{owner}/{name}", repo_type=repo_type, private=asked.get("visibility") == "private")
    return Reply({"url": call.hub.page(repo), "name": repo.id, "id": repo.id})


@route("DELETE", "/api/repos/delete")
def delete_repo(call: Call) -> Reply:
    asked = call.json
    owner = asked.get("organization") or (call.user.name if call.user else "")
    repo = call.hub.repo_of(asked.get("type") or "model", f"{owner}/{asked.get('name')}", call.user)
    call.writer(repo.id, "delete a repo")
    del call.hub.repos[repo.type, repo.id]
    return Reply({})


@route("PUT", API + "/settings")
def settings(call: Call) -> Reply:
    call.writer(call.repo.id, "change the settings")
    if "visibility" in call.json:
        call.repo.private = call.json["visibility"] == "private"
    return Reply({"private": call.repo.private})


# Cards


def metadata(content: str) -> dict[str, Any]:
    """The YAML block of a card; raises ValueError or yaml.YAMLError."""
    block = re.match(r"\s*---[ \t]*\r?\n(.*?)(?:^---[ \t]*$|\Z)", content, re.DOTALL | re.MULTILINE)
    found = yaml.safe_load(block[1]) if block else {}
    if not isinstance(found or {}, dict):
        raise ValueError("metadata must be a mapping")
    return found or {}


def card_errors(content: str, repo_type: str) -> tuple[list[str], list[str]]:
    """What the Hub would not accept in a card, and what it would warn of."""
    try:
        card = metadata(content)
    except (ValueError, yaml.YAMLError) as error:
        return [f"Invalid YAML: {error}"], []
    errors = []
    if repo_type == "space" and card.get("sdk") not in ("gradio", "docker", "static"):
        errors.append('"sdk" must be one of [gradio, docker, static]')
    for key in ("pipeline_tag", "library_name"):
        if not isinstance(card.get(key, ""), str):
            errors.append(f'"{key}" must be a string')
    bases = card.get("base_model") or []
    for base in bases if isinstance(bases, list) else [bases]:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(base)):
            errors.append(f'"base_model" with value "{base}" is not valid. Use a model id from https://hf.co/models.')
    for m, model in enumerate(card.get("model-index") or []):
        errors += missing(model, f"model-index[{m}]", "name", "results")
        for r, result in enumerate(model.get("results") or []):
            where = f"model-index[{m}].results[{r}]"
            errors += missing(result, where, "task", "metrics")
            errors += missing(result.get("task") or {}, f"{where}.task", "type")
            errors += missing(result.get("dataset") or {}, f"{where}.dataset", "type", "name")
            for n, metric in enumerate(result.get("metrics") or []):
                errors += missing(metric, f"{where}.metrics[{n}]", "type", "value")
    return errors, [] if card else ["empty or missing yaml metadata in repo card"]


def missing(part: dict[str, Any], where: str, *keys: str) -> list[str]:
    return [f'"{where}.{key}" is required' for key in keys if part.get(key) is None]


@route("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Reply:
    errors, warnings = card_errors(str(call.json.get("content", "")), str(call.json.get("repoType", "model")))
    body = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
    return Reply(body, 400 if errors else 200)


# Writing


@route("POST", API + r"/preupload/(?P<revision>[^/]+)")
def preupload(call: Call) -> Reply:
    call.writer(call.repo.id, "upload", "create_pr" in call.query or call.own_pull(call.words["revision"]))
    commit, answers = call.commit, []
    for asked in call.json.get("files", []):
        path, size = asked["path"], asked["size"]
        if len(base64.b64decode(asked["sample"], validate=True)) != min(size, 512):
            refuse(400, f"The sample of {path} is not its first 512 bytes")
        mode = "lfs" if call.hub.is_large(path, size) else "regular"
        answer = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if path in commit.files:
            entry = commit.entry(path)
            answer["oid"] = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        answers.append(answer)
    return Reply({"files": answers, "commitOid": commit.oid})


@route("POST", PAGE + r"\.git/info/lfs/objects/batch")
def lfs_batch(call: Call) -> Reply:
    ref = (call.json.get("ref") or {}).get("name")
    call.writer(call.repo.id, "upload large files", call.own_pull(ref))
    answers: list[dict[str, Any]] = []
    for asked in call.json["objects"]:
        oid, size = asked["oid"], asked["size"]
        answer = {"oid": oid, "size": size}
        if not re.fullmatch("[0-9a-f]{64}", oid) or size <= 0:
            answer["error"] = {"code": 422, "message": "Invalid oid or size"}
        elif oid not in call.repo.lfs:
            call.repo.announced[oid] = size
            verify = f"{call.hub.page(call.repo)}.git/info/lfs/objects/verify"
            upload = call.hub.address(call.repo, "PUT", oid)
            answer["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        answers.append(answer)
    return Reply({"transfer": "basic", "objects": answers})


@route("POST", PAGE + r"\.git/info/lfs/objects/verify")
def lfs_verify(call: Call) -> Reply:
    call.writer(call.repo.id, "upload large files", True)
    stored = call.repo.lfs.get(call.json.get("oid", ""))
    if stored is None or len(stored) != call.json.get("size"):
        refuse(404, "The object is not there, or of another size")
    return Reply({})


def stored_in(call: Call) -> Repo:
    if call.headers.get("Authorization"):
        refuse(400, "Only one auth mechanism allowed: the address is signed, no token belongs here")
    if not hmac.compare_digest(call.query.get("signature", ""), call.hub.signature(call.method, call.path)):
        refuse(403, "SignatureDoesNotMatch")
    return call.hub.repos.get((call.words["type"], call.words["id"])) or refuse(404, "NoSuchKey")


STORAGE = r"/storage/(?P<type>[a-z]+)/(?P<id>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})"


@route("PUT", STORAGE)
def put_large(call: Call) -> Reply:
    repo, oid = stored_in(call), call.words["oid"]
    if hashlib.sha256(call.body).hexdigest() != oid or len(call.body) != repo.announced.get(oid):
        refuse(400, "XAmzContentSHA256Mismatch: the content is not what was announced")
    repo.lfs[oid] = call.body
    return Reply()


@route("GET", STORAGE)
def get_large(call: Call) -> Reply:
    data = stored_in(call).lfs.get(call.words["oid"])
    return ranged(call, data if data is not None else refuse(404, "NoSuchKey"), {})


def apply(change: dict[str, Any], files: dict[str, bytes], large: set[str], call: Call) -> None:
    """One line of a commit, in place."""
    kind, value = change.get("key"), change.get("value") or {}
    path = str(value.get("path", ""))
    if not path or any(part in ("", ".", "..", ".git") for part in path.removesuffix("/").split("/")):
        refuse(400, f"Invalid path: {path!r}")
    if kind == "file":
        try:
            data = base64.b64decode(value["content"], validate=True)
        except (KeyError, binascii.Error):
            refuse(400, f"The content of {path} is not base64")
        if len(data) >= call.hub.large_from:
            refuse(400, f"{path} is too large for a regular file")
        errors = card_errors(data.decode(errors="replace"), call.repo.type)[0] if path == "README.md" else []
        if errors:
            refuse(400, f"Invalid metadata in README.md. {errors[0]}")
        files[path] = data
        large.discard(path)
    elif kind == "lfsFile":
        stored = call.repo.lfs.get(value.get("oid", ""))
        if stored is None or len(stored) != value.get("size", len(stored)) or value.get("algo") != "sha256":
            refuse(400, f"An LFS pointer pointed to a file that does not exist. Offending file: - {path}")
        files[path] = stored
        large.add(path)
    elif kind in ("deletedFile", "deletedFolder"):
        folder = path.removesuffix("/") + "/"
        gone = [p for p in files if p == path or (kind == "deletedFolder" and p.startswith(folder))]
        if not gone:
            refuse(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        for each in gone:
            del files[each]
    else:
        refuse(400, f"Unknown operation: {kind}")


@route("POST", API + r"/commit/(?P<revision>[^/]+)")
def commit_files(call: Call) -> Reply:
    """All lines or none. Lines that change nothing still make a commit, as on the Hub: the client leaves them out."""
    repo, as_pull, ref = call.repo, call.query.get("create_pr") == "1", call.repo.ref(call.words["revision"])
    author = call.writer(repo.id, "commit: pass `create_pr=1`, or push", as_pull or call.own_pull(ref))
    header, *changes = [parsed(line) for line in call.body.splitlines() if line.strip()] or [{}]
    about = header.get("value") or {}
    if header.get("key") != "header" or not about.get("summary"):
        refuse(400, "The first line must be a header with a summary")
    if ref is None or ref.startswith("refs/tags/"):
        refuse(404, f"Invalid rev id: {call.words['revision']}", "RevisionNotFound")
    if ref.startswith("refs/pr/") and repo.pulls[int(ref.split("/")[-1])].status != "open":
        refuse(403, "The pull request is not open")
    head, parent = repo.at(ref), about.get("parentCommit")
    if parent and as_pull:
        head = repo.at(parent)
    elif parent and not head.oid.startswith(parent):
        refuse(412, "A commit has happened since. Please refresh and try again.")
    files, large = dict(head.files), set(head.large)
    for change in changes:
        apply(change, files, large, call)
    commit = repo.add(head, files, large, author, about["summary"], about.get("description", ""))
    answer = {"success": True, "commitOid": commit.oid, "commitUrl": f"{call.hub.page(repo)}/commit/{commit.oid}"}
    if as_pull:
        pull = repo.open_pull(author, commit.title, head, commit)
        answer["pullRequestUrl"] = f"{call.hub.page(repo)}/discussions/{pull.num}"
    else:
        repo.refs[ref] = commit.oid
    return Reply(answer)


@route("POST", API + r"/(?P<kind>tag|branch)/(?P<name>[^/]+)")
def create_ref(call: Call) -> Reply:
    """A tag of the revision in the path, or a branch named there."""
    call.writer(call.repo.id, "create a reference")
    kind, word, asked = call.words["kind"], call.words["name"], call.json
    ref = f"refs/tags/{asked['tag']}" if kind == "tag" else f"refs/heads/{word}"
    oid = call.repo.at(word if kind == "tag" else asked.get("startingPoint") or "main").oid
    if ref in call.repo.refs:
        refuse(409, "Tag reference exists already" if kind == "tag" else "Reference already exists")
    call.repo.refs[ref] = oid
    return Reply({})


@route("DELETE", API + r"/(?P<kind>tag|branch)/(?P<name>[^/]+)")
def delete_ref(call: Call) -> Reply:
    call.writer(call.repo.id, "delete a reference")
    ref = f"refs/{'tags' if call.words['kind'] == 'tag' else 'heads'}/{call.words['name']}"
    if call.repo.refs.pop(ref, None) is None:
        refuse(404, f"Invalid rev id: {call.words['name']}", "RevisionNotFound")
    return Reply({})


# Reading


@route("GET", API, API + r"/revision/(?P<revision>[^/]+)")
def info(call: Call) -> Reply:
    repo, commit = call.repo, call.commit
    card = metadata(commit.files.get("README.md", b"").decode())
    config = json.loads(commit.files.get("config.json", b"{}"))
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(commit.files)]
    for sibling in siblings if "blobs" in call.query else ():
        entry = commit.entry(sibling["rfilename"])
        sibling |= {"size": entry["size"], "blobId": entry["oid"]}
        if "lfs" in entry:
            sibling["lfs"] = entry["lfs"] | {"sha256": entry["lfs"]["oid"]}
    found = {
        "_id": repo.id,
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": repo.commits[0].date,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags") or [],
        "cardData": card,
        "siblings": siblings,
    }
    if repo.type == "model":
        shown = {key: config[key] for key in ("architectures", "model_type") if key in config}
        known = (
            {"library_name": "transformers"} if shown else {}
        )  # the Hub goes by config.json where the card is silent
        found |= known | {key: card[key] for key in ("pipeline_tag", "library_name") if key in card} | {"config": shown}
    if repo.type == "space":
        found["sdk"] = card.get("sdk")
    return Reply(found)


def described(entry: dict[str, Any], commit: Commit, expand: str | None) -> dict[str, Any]:
    last = {"id": commit.oid, "title": commit.title, "date": commit.date}
    return entry | {"lastCommit": last} if (expand or "").lower() == "true" else entry


@route("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")
def tree(call: Call) -> Reply:
    commit, root = call.commit, call.words.get("path", "")
    if root and root not in commit.folders:
        refuse(404, f"{root} does not exist on {commit.oid}", "EntryNotFound")
    inside = [p for p in sorted(commit.files.keys() | commit.folders) if not root or p.startswith(f"{root}/")]
    if call.query.get("recursive", "").lower() != "true":
        inside = [p for p in inside if "/" not in p.removeprefix(f"{root}/" if root else "")]
    entries = [commit.entry(p) if p in commit.files else commit.folder(p) for p in inside]
    return Reply([described(entry, commit, call.query.get("expand")) for entry in entries])


@route("POST", API + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(call: Call) -> Reply:
    form, commit = parse_qs(call.body.decode()), call.commit
    expand, found = form.get("expand", [None])[-1], []
    for path in form.get("paths", []):
        if path in commit.files:
            found.append(described(commit.entry(path), commit, expand))
        elif path in commit.folders:
            found.append(described(commit.folder(path), commit, expand))
    return Reply(found)


@route("GET", API + "/refs")
def refs(call: Call) -> Reply:
    found: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": [], "pullRequests": []}
    for ref, oid in call.repo.refs.items():
        kind, name = ref.removeprefix("refs/").split("/", 1)
        if kind == "pr":
            found["pullRequests"].append({"name": ref, "ref": ref, "targetCommit": oid})
        else:
            group = "branches" if kind == "heads" else "tags"
            found[group].append({"name": name, "ref": ref, "targetCommit": oid})
    return Reply(found)


@route("GET", API + r"/commits/(?P<revision>[^/]+)")
def commits(call: Call) -> Reply:
    return Reply(
        [
            {"id": c.oid, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": c.date}
            for c in call.repo.history(call.words["revision"])
        ]
    )


def ranged(call: Call, data: bytes, headers: dict[str, str]) -> Reply:
    """The bytes that the request asks for."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range", "").strip())
    if not asked or asked[0] == "bytes=-":
        return Reply(data, 200, headers)
    start = int(asked[1]) if asked[1] else max(0, len(data) - int(asked[2]))
    end = min(len(data), int(asked[2]) + 1) if asked[1] and asked[2] else len(data)
    if start >= end:
        refuse(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{len(data)}"})
    return Reply(data[start:end], 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})


@route("GET", PAGE + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(call: Call) -> Reply:
    """The content of a regular file, or the way to a large one."""
    commit, path = call.commit, call.words["path"]
    headers = {"X-Repo-Commit": commit.oid}
    if path not in commit.files:
        refuse(404, "Entry not found", "EntryNotFound", headers)
    entry = commit.entry(path)
    if "lfs" not in entry:
        return ranged(call, commit.files[path], headers | {"ETag": f'"{entry["oid"]}"'})
    oid = entry["lfs"]["oid"]
    linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(entry["size"])}
    return Reply(b"", 302, headers | linked | {"Location": call.hub.address(call.repo, "GET", oid)})


# Pull requests


def shown(pull: PullRequest, repo: Repo) -> dict[str, Any]:
    return {
        "num": pull.num,
        "title": pull.title,
        "status": pull.status,
        "isPullRequest": True,
        "createdAt": pull.date,
        "author": {"name": pull.author},
        "repo": {"name": repo.id, "type": repo.type},
    }


@route("GET", API + "/discussions")
def discussions(call: Call) -> Reply:
    found = [shown(pull, call.repo) for pull in reversed(call.repo.pulls.values())]
    status, author = call.query.get("status", "all"), call.query.get("author")
    found = [d for d in found if status in ("all", d["status"]) and author in (None, d["author"]["name"])]
    return Reply({"discussions": found, "count": len(found), "start": 0})


@route("GET", API + r"/discussions/(?P<num>\d+)")
def discussion(call: Call) -> Reply:
    pull, repo = call.pull(), call.repo
    changes = {"base": "refs/heads/main"} | ({"mergeCommitId": pull.merge_commit} if pull.merge_commit else {})
    conflicts = [] if pull.merge_commit else sorted(repo.conflicts(pull))
    return Reply(shown(pull, repo) | {"events": [], "changes": changes, "filesWithConflicts": conflicts, "diff": ""})


@route("POST", API + r"/discussions/(?P<num>\d+)/merge")
def merge(call: Call) -> Reply:
    """One commit on main with what the pull request changes."""
    repo, pull = call.repo, call.pull()
    author = call.writer(repo.id, "merge")
    if pull.status != "open":
        refuse(409, f"This pull request is {pull.status}")
    if repo.conflicts(pull):
        refuse(409, f"This pull request conflicts with main in {', '.join(sorted(repo.conflicts(pull)))}")
    main, theirs = repo.at("main"), repo.at(f"refs/pr/{pull.num}")
    changed = theirs.changed_since(repo.at(pull.base))
    files = {p: data for p, data in main.files.items() if p not in changed}
    files |= {p: data for p, data in theirs.files.items() if p in changed}
    large = (main.large - changed) | (theirs.large & changed)
    pull.merge_commit = repo.add(main, files, large, author, f"{pull.title} (#{pull.num})").oid
    repo.refs["refs/heads/main"] = pull.merge_commit
    pull.status = "merged"
    return Reply({})


# The wire


def failed(fault: Fault, status: int) -> Reply:
    return Reply({"error": fault.message}, status, {"X-Error-Message": fault.message, **fault.headers})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.open: set[socket.socket] = set()

    def server_close(self) -> None:
        """Hang up on clients that keep their connections, so that no thread outlives the server."""
        super().server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is in the log; all else is a fault of the server."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.hub.crashes.append(error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        """Read, carry out and answer one request, with what `HubServer.fail` asked for on the way."""
        url, hub = urlsplit(self.path), self.server.hub
        request = Request(self.command, url.path, url.query, time.monotonic())
        with hub.lock:
            hub.requests.append(request)
            fault = next((f for f in hub.faults if f.strikes(request)), None)
        early, late = (fault, None) if fault and fault.when == "before" else (None, fault)
        has_body = int(self.headers.get("Content-Length") or 0) > 0 or "Transfer-Encoding" in self.headers
        body = self.read_body(request, early.cut_after if early else None)
        if early:
            time.sleep(early.delay)
        if early and early.cut_after is not None and has_body:
            self.close_connection = True
            return
        if early and early.status:
            reply = failed(early, early.status)
        else:
            reply = hub.answer(self.command, self.path, self.headers, body)
        if late:
            time.sleep(late.delay)
            if late.cut_after is not None:
                self.close_connection = True
                return
            reply = failed(late, late.status) if late.status else reply
        self.send(request, reply, early.cut_after if early else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815

    def read_body(self, request: Request, limit: int | None) -> bytes:
        """The body, or its first `limit` bytes."""
        parts: list[bytes] = []
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        left = 0 if chunked else int(self.headers.get("Content-Length") or 0)
        while limit is None or request.received < limit:
            if chunked and not left:
                left = int(self.rfile.readline().split(b";")[0], 16)
                if not left:
                    self.rfile.readline()
            if not left:
                break
            part = self.rfile.read(min(left, 1 << 16, (limit or 1 << 62) - request.received))
            if not part:
                raise ConnectionError("the client hung up")
            parts.append(part)
            request.received += len(part)
            left -= len(part)
            if chunked and not left:
                self.rfile.readline()
        return b"".join(parts)

    def send(self, request: Request, reply: Reply, limit: int | None) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        request.status = reply.status if limit is None else 0
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | reply.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:limit])
        self.close_connection = self.close_connection or limit is not None
