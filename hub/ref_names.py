"""Names of tags and branches: refused before anything is sent if git does not accept them, or confuses two of them."""

import re
from collections.abc import Collection

from pipeline.errors import InputError

MAIN = "main"
"""The branch that every repository has."""
GIT = {
    r"^$": "it is empty",
    r"[\x00-\x20\x7f]": "it has a space or a control character",
    r"[~^:?*\[\\]": "it has one of ~ ^ : ? * [ \\",
    r"\.\.|@\{": "it has .. or @{",
    r"(^|/)\.": "a part of it begins with a dot",
    r"\.lock(/|$)": "a part of it ends with .lock",
    r"^/|//|/$": "it has an empty part between slashes",
    r"\.$": "it ends with a dot",
    r"^-": "it begins with -",
    r"^HEAD$": "git gives the current commit this name",
}
"""Patterns that git refuses in the name of a tag or branch (git help check-ref-format), and why, in words."""
OURS = {
    r"^refs/": "write it without refs/",
    r"^@$": "git reads it as HEAD",
    r"^[0-9a-fA-F]{40}$": "it looks like a commit",
    r"""[!"#$%&'();<>`{|}]""": """it has one of ! " # $ % & ' ( ) ; < > ` { | }: not for links and commands""",
}
"""What git accepts, but a card that names it in code and commands does not."""
LONGEST = 250
"""Bytes of a part between slashes: git keeps it as a file with the suffix .lock while it writes."""


def check_name(option: str, name: str) -> None:
    """Refuse a name that git does not accept for a tag or branch, or that a card cannot name.

    Raises:
        InputError: with the option and the reason.
    """
    if reason := why_git_refuses(name) or _why_a_card_refuses(name):
        raise InputError(f"{option} {name!r}: {reason}; use letters, digits, dots, - and _, as in v1.0")


def why_git_refuses(name: str) -> str | None:
    """The first rule of git that a name breaks, in words; None if git accepts it."""
    return next((why for pattern, why in GIT.items() if re.search(pattern.replace("$", r"\Z"), name)), None)


def _why_a_card_refuses(name: str) -> str | None:
    if not name.isprintable():
        return "it has a character that cannot be seen"
    if any(len(part.encode()) > LONGEST for part in name.split("/")):
        return f"it is longer than {LONGEST} bytes"
    return next((why for pattern, why in OURS.items() if re.search(pattern, name)), None)


def refuse_clash(option: str, name: str, same: Collection[str], others: Collection[str], kind: str) -> None:
    """Refuse a name that git cannot keep beside, or tell from, the names in a repository.

    Args:
        option: that names it.
        name: of the tag or branch to make.
        same: existing names of its own kind; one of them may be `name` itself.
        others: existing names of the other kind, which is called `kind`.

    Raises:
        InputError: a name of the other kind is the same, or one of its own kind is a folder of it.
    """
    if name in others:
        raise InputError(f"{option} {name}: there is a {kind} of this name, and a client could not tell them apart; "
                         "choose another")  # fmt: skip
    for existing in same:
        if existing.startswith(f"{name}/") or name.startswith(f"{existing}/"):
            raise InputError(f"{option} {name}: git cannot keep it beside {existing}; choose another")
