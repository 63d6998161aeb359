"""Whether this account may publish there. It is checked before a long training, and before anything is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from hub.attempts import attempt
from pipeline.errors import InputError

OPTIONS = {"model": "--repo_id", "space": "--space", "dataset": "--dataset"}
"""The option that names a repository of each type."""


def check_repo_id(repo_id: str, repo_type: str = "model") -> None:
    """Refuse a name that no repository can have.

    Raises:
        InputError: it is not `user/name` in characters that the Hub allows.
    """
    option = OPTIONS[repo_type]
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"{option} {repo_id!r}: {str(error).splitlines()[0]}") from None
    if repo_id.count("/") != 1:
        raise InputError(f"{option} {repo_id!r}: write user/name, or organisation/name")


def check_access(
    api: HfApi, repo_id: str, say: Callable[[str], None], write: bool = True, repo_type: str = "model"
) -> bool:
    """Whether the repository exists; the account may write to it, or without `write` read it, as far as the Hub says.

    Raises:
        InputError: not a valid repo id, not logged in, no right to write, or no answer from the Hub.
    """
    check_repo_id(repo_id, repo_type)
    asked = f"{OPTIONS[repo_type]} {repo_id}"
    if not (api.token or huggingface_hub.get_token()):
        raise InputError(f"{asked}: you are not logged in; run `hf auth login`, or set HF_TOKEN")
    me = attempt("login", lambda: _account(api.whoami()), say)
    if me.reads_only:
        raise InputError(f"{asked}: the token of {me.name} can only read; make one with write access")

    def exists() -> bool:
        try:
            api.auth_check(repo_id, repo_type=repo_type, write=write)
        except RepositoryNotFoundError:
            return False
        return True

    if attempt(f"access to {repo_id}", exists, say):
        return True
    if repo_id.partition("/")[0] not in me.owners:
        raise InputError(
            f"{asked} does not exist, and {me.name} can create repositories only under {', '.join(me.owners)}"
        )
    return False


@dataclass(frozen=True)
class _Account:
    """Whose token it is, under which names it may create repositories, and whether it can only read."""

    name: str
    owners: list[str]
    reads_only: bool


def _account(me: dict[str, Any]) -> _Account:
    """The account in the answer of the Hub; another answer raises an error of `hub.attempts.MISUNDERSTOOD`."""
    owners = {me["name"], *(organisation["name"] for organisation in me.get("orgs", []))}
    if not all(isinstance(name, str) for name in owners):
        raise TypeError("the name of an account is not text")
    return _Account(me["name"], sorted(owners), me.get("auth", {}).get("accessToken", {}).get("role") == "read")
