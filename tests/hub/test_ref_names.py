"""Names of tags and branches: git's own rules, without asking git, and names that clash."""

import contextlib
import subprocess

import pytest
from huggingface_hub import HfApi

from hub.options import Options, check_access, check_names
from hub.ref_names import GIT, OURS, check_name, refuse_clash, why_git_refuses
from pipeline.errors import InputError
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.publish_faults import OLD, REPO, TOKEN, client_settings

ACCEPTED = [
    "v1.0", "v1", "1.0.0", "seed-0", "release/2026-11", "a", "v1.0-rc.1+build", "v_1", "ünïcode", "日本", "v1,2", "a=b",
    "x@y", "1", "v1.lock.2", "a.b/c.d", "lock", ".x"[1:], "v--1", "HEADER", "v@", "x{y",
]  # fmt: skip
REFUSED = [
    "", " ", "v 1", "v..1", "v1.", ".v1", "a/.b", "v1.lock", "a.lock/b", "/v1", "v1/", "a//b", "v~1", "v^1", "v:1",
    "v?1", "v*", "v[1]", "v\\1", "v@{1}", "v\t1", "v\n1", "v1\n", "v\x7f", "v\x001", "v..1~x", "-v1", "-", "HEAD", ".",
    "..", "a/..", "a/./b",
]  # fmt: skip
NOT_IN_A_CARD = [
    "@", "refs/tags/v1", "a" * 40, "0" * 40, 'v"1', "v'1", "v`1`", "v$1", "v1;rm", "v1|x", "v1&x", "v<1", "v#1", "v%31",
    "v(1)", "v!1", "x{y}", "v\u200b1", "v\u202e1", "v\u00a01", "v" * 251, "é" * 126,
]  # fmt: skip


def git_accepts(name: str) -> bool:
    """What git says of it as a tag, and as a branch that can be made."""
    if "\0" in name:
        return False  # no argument of a command can hold it
    as_tag = subprocess.run(["git", "check-ref-format", f"refs/tags/{name}"], cwd=ROOT, capture_output=True)
    as_branch = subprocess.run(["git", "check-ref-format", "--branch", name], cwd=ROOT, capture_output=True)
    return as_tag.returncode == as_branch.returncode == 0


@pytest.mark.parametrize("name", [*ACCEPTED, *REFUSED, *NOT_IN_A_CARD])
def test_the_rules_are_those_of_git(name: str) -> None:
    assert (why_git_refuses(name) is None) == git_accepts(name)


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name != "x{y"])
def test_a_name_that_git_and_a_card_take_is_accepted(name: str) -> None:
    check_name("--tag", name)


@pytest.mark.parametrize("name", [*REFUSED, *NOT_IN_A_CARD])
@pytest.mark.parametrize("option", ["tag", "revision"])
def test_another_is_refused_in_one_line_before_the_run_is_read(option: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_names(Options(run=ROOT / "gone", repo_id="anna/faces", **{option: name}))
    said = str(caught.value)
    assert said.startswith(f"--{option} ") and said.isprintable()


def test_every_rule_has_a_name_that_only_it_refuses() -> None:
    reasons = {why_git_refuses(name) for name in REFUSED}
    assert reasons == set(GIT.values())
    for why in OURS.values():
        assert [name for name in NOT_IN_A_CARD if why in refusal(name)], why


def refusal(name: str) -> str:
    with pytest.raises(InputError) as caught:
        check_name("--tag", name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tag", "revision", "words"),
    [
        ("main", "main", "--tag main: there is a branch of this name"),
        ("main", "other", "--tag main: there is a branch of this name"),
        ("try", "try", "--tag try: there is a branch of this name"),
        (None, "main/try", "--revision main/try: git cannot keep it beside main"),
    ],
)
def test_a_tag_and_a_branch_do_not_clash(tag: str | None, revision: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_names(Options(run=ROOT, repo_id="anna/faces", tag=tag, revision=revision))


def test_names_that_are_there_already_are_looked_at() -> None:
    refuse_clash("--tag", "v1", ["v1", "v1.0", "v10"], ["main"], "branch")
    for name, beside in (("v1/a", "v1"), ("rel", "rel/v1")):
        with pytest.raises(InputError, match=f"cannot keep it beside {beside}"):
            refuse_clash("--tag", name, [beside], [], "branch")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"tag": "try"}, "--tag try: there is a branch of this name"),
        ({"revision": "v1"}, "--revision v1: there is a tag of this name"),
        ({"tag": "v1/a"}, "--tag v1/a: git cannot keep it beside v1;"),
        ({"revision": "try/a"}, "--revision try/a: git cannot keep it beside try;"),
        ({"tag": "v1"}, None),
        ({"tag": "v1.1", "revision": "try"}, None),
    ],
)
def test_names_clash_with_those_of_the_repository_before_anything_is_sent(names: dict, words: str | None) -> None:
    with HubServer() as hub, client_settings([]):
        hub.add_user("anna", TOKEN)
        repo = hub.add_repo(REPO, OLD)
        repo.refs |= {"refs/heads/try": repo.at("main").oid, "refs/tags/v1": repo.at("main").oid}
        options = Options(run=ROOT, repo_id=REPO, **names)
        with pytest.raises(InputError, match=words) if words else contextlib.nullcontext():
            check_access(HfApi(endpoint=hub.url, token=TOKEN), options)
        assert not [request for request in hub.requests if request.method != "GET"]
