"""One release as one commit: compared first, sent whole, found again after a lost answer, read back, tagged.

A reader sees the old release or the new one, never a mixture: everything changes in a single commit, and its parent is
the head that was compared. If two people publish at once, the Hub refuses one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from hub.attempts import attempt, pause, status_of, waits
from hub.staging import PUBLISHED
from pipeline.errors import InputError
from pipeline.run_folder import sha256

PLACES = {"model": "", "space": "spaces/", "dataset": "datasets/"}
"""What stands before the name of a repository in its address."""
Say = Callable[[str], None]
Changes = list[CommitOperationAdd | CommitOperationDelete]


@dataclass(frozen=True)
class Release:
    """Where a staged folder goes: a branch (`revision`, created if missing) or a pull request, with or without a tag.

    `consists_of` are the patterns of a release's files: a file on the Hub that fits one and is not in the folder comes
    from an older release and is deleted. A Space has a `space_sdk`: what runs it.
    """

    repo_id: str
    tag: str | None = None
    revision: str = "main"
    private: bool = False
    create_pr: bool = False
    message: str = "Publish a run"
    repo_type: Literal["model", "space", "dataset"] = "model"
    consists_of: tuple[str, ...] = PUBLISHED
    space_sdk: Literal["docker", "static"] | None = None

    def page(self, api: HfApi) -> str:
        """The address to look at."""
        return f"{api.endpoint}/{PLACES[self.repo_type]}{self.repo_id}"


@dataclass(frozen=True)
class Published:
    """What is on the Hub now: the commit, how many of its files and bytes were new, and the address to look at."""

    commit: str
    files: int
    bytes: int
    url: str


def publish(api: HfApi, folder: Path, release: Release, exists: bool, say: Say) -> Published:
    """Send the files of `folder` that differ from the repository, delete those of an older release, and tag.

    Raises:
        InputError: the Hub refuses, or does not answer several times; the old release is then complete. Or the tag
            belongs to other content, somebody else committed meanwhile, or what is read back differs from what was
            sent.
    """
    repo, staged = release.repo_id, _staged(folder)
    if not exists:
        attempt(f"make {repo}", lambda: _make(api, release), say)
    elif release.private and not attempt(repo, lambda: api.repo_info(repo, repo_type=release.repo_type), say).private:
        raise InputError(
            f"--private: {repo} is public already; make it private in its settings, or leave --private out"
        )
    tagged = _commit_of_tag(api, release, say)
    if tagged is not None:
        if _changes(staged, _tree(api, release, tagged, say), release):
            raise InputError(f"--tag {release.tag} belongs to other content in {repo}; choose a new tag")
        return Published(tagged, 0, 0, f"{release.page(api)}/tree/{quote(str(release.tag), safe='')}")
    head = _head(api, release, say)
    changes = _changes(staged, _tree(api, release, head, say), release)
    commit, url = _send(api, staged, release, changes, head, say) if changes else (head, release.page(api))
    _verify(staged, _tree(api, release, commit, say), repo)
    if release.tag:
        _tag(api, release, commit, say)
    added = [change for change in changes if isinstance(change, CommitOperationAdd)]
    return Published(commit, len(added), sum(a.upload_info.size for a in added), url)


def _make(api: HfApi, release: Release) -> None:
    kind, sdk = release.repo_type, release.space_sdk
    api.create_repo(release.repo_id, repo_type=kind, private=release.private, space_sdk=sdk, exist_ok=True)


def _commit_of_tag(api: HfApi, release: Release, say: Say) -> str | None:
    repo, kind = release.repo_id, release.repo_type
    refs = attempt(f"tags of {repo}", lambda: api.list_repo_refs(repo, repo_type=kind), say)
    return next((str(tag.target_commit) for tag in refs.tags if tag.name == release.tag), None)


def _head(api: HfApi, release: Release, say: Say) -> str:
    """The commit that the release builds on; a branch that does not exist yet starts at main."""
    repo, kind, branch = release.repo_id, release.repo_type, release.revision

    def look() -> str | None:
        try:
            return api.repo_info(repo, repo_type=kind, revision=branch).sha
        except RevisionNotFoundError:
            return None

    head = attempt(f"{branch} of {repo}", look, say)
    if head is None:
        make = partial(api.create_branch, repo, branch=branch, repo_type=kind, exist_ok=True)
        attempt(f"make branch {branch}", make, say)
        head = attempt(f"{branch} of {repo}", look, say)
    return str(head)


def _tree(api: HfApi, release: Release, revision: str, say: Say) -> dict[str, str]:
    """Path -> hash of every file: SHA-256 of those in large-file storage, git's own hash of the others."""

    repo, kind = release.repo_id, release.repo_type

    def read() -> dict[str, str]:
        try:
            entries = list(api.list_repo_tree(repo, repo_type=kind, revision=revision, recursive=True))
        except EntryNotFoundError:  # a repository without files
            return {}
        files = (entry for entry in entries if isinstance(entry, RepoFile))
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    return attempt(f"files of {repo}", read, say)


@dataclass(frozen=True)
class _File:
    """A staged file, and the two hashes of which the Hub lists one."""

    path: Path
    hashes: frozenset[str]


def _staged(folder: Path) -> dict[str, _File]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): _File(p, frozenset((sha256(p), git_hash(p.read_bytes())))) for p in files}


def _changes(staged: dict[str, _File], tree: dict[str, str], release: Release) -> Changes:
    added = [CommitOperationAdd(name, f.path) for name, f in staged.items() if tree.get(name) not in f.hashes]
    gone = [name for name in tree if name not in staged and any(fnmatch(name, part) for part in release.consists_of)]
    return [*added, *(CommitOperationDelete(name) for name in gone)]


def _send(
    api: HfApi, staged: dict[str, _File], release: Release, changes: Changes, head: str, say: Say
) -> tuple[str, str]:
    """The commit with the release, and its address.

    After a failure the head is read again before anything is repeated: the commit may have arrived although its answer
    was lost, or somebody else's commit may be there now.
    """
    what = f"commit to {release.repo_id}"
    for wait in waits():
        try:
            info = api.create_commit(
                release.repo_id,
                changes,
                commit_message=release.message,
                repo_type=release.repo_type,
                revision=None if release.create_pr else release.revision,
                parent_commit=None if release.create_pr else head,
                create_pr=release.create_pr,
            )
            return info.oid, str(info.pr_url or info.commit_url)
        except Exception as error:
            if found := _arrived(api, staged, release, head, say):
                say(f"{what}: it arrived, although its answer was lost")
                return found
            if status_of(error) in (409, 412):
                raise InputError(f"{what}: somebody else changed {release.revision} meanwhile; look at it, then run "
                                 "the same command again") from None  # fmt: skip
            pause(what, error, wait, say)
    raise AssertionError("the last wait raises")


def _arrived(api: HfApi, staged: dict[str, _File], release: Release, head: str, say: Say) -> tuple[str, str] | None:
    repo, kind = release.repo_id, release.repo_type
    if release.create_pr:
        opened = partial(api.get_repo_discussions, repo, repo_type=kind)
        threads = attempt(f"pull requests of {repo}", lambda: list(opened()), say)
        heads = [(f"refs/pr/{t.num}", t.url) for t in threads if t.is_pull_request and t.title == release.message]
    else:
        heads = [(release.revision, release.page(api))]
    for revision, url in heads:
        look = partial(api.repo_info, repo, repo_type=kind, revision=revision)
        now = str(attempt(f"{revision} of {repo}", look, say).sha)
        if now != head and not _changes(staged, _tree(api, release, now, say), release):
            return now, url
    return None


def _verify(staged: dict[str, _File], tree: dict[str, str], repo_id: str) -> None:
    wrong = [name for name, file in staged.items() if tree.get(name) not in file.hashes]
    if wrong:
        raise InputError(f"{repo_id}: what is read back differs from what was sent ({', '.join(wrong[:3])}); run the "
                         "same command again")  # fmt: skip


def _tag(api: HfApi, release: Release, commit: str, say: Say) -> None:
    def create() -> None:
        try:
            api.create_tag(release.repo_id, tag=str(release.tag), revision=commit, repo_type=release.repo_type)
        except Exception as error:
            if status_of(error) != 409:
                raise
            if _commit_of_tag(api, release, say) != commit:
                raise InputError(f"--tag {release.tag} was given to other content of {release.repo_id} meanwhile; the "
                                 "commit is there, choose another tag") from None  # fmt: skip

    attempt(f"tag {release.tag}", create, say)
