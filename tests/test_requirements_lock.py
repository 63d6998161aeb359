"""`requirements.lock` holds one version with hashes of everything that the ranges of `requirements.txt` need."""

import re

import pytest

from tests.conftest import ROOT

HASH = r"--hash=sha256:[0-9a-f]{64}"
PINNED = re.compile(rf"([a-z0-9][a-z0-9.-]*)==([\w.+!]+)((?: ; [^\\\n]+)?)((?: {HASH})+)")
RANGE = re.compile(r"([\w.-]+)>=([\d.]+),<([\d.]+)")


def entries(text: str) -> list[str]:
    """The lines of a lock file, each with its continuation lines."""
    return [re.sub(r"\s*\\\n\s*", " ", entry) for entry in re.findall(r"(?m)^\S(?:.*\\\n)*.*$", text)]


def locked() -> dict[str, list[str]]:
    """Versions by name; some differ between platforms or versions of Python."""
    found: dict[str, list[str]] = {}
    for entry in entries((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        pinned = PINNED.fullmatch(entry)
        assert pinned, f"not a version with hashes: {entry[:100]}"
        found.setdefault(pinned[1], []).append(pinned[2])
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def test_every_line_of_the_lock_is_a_version_with_hashes_and_nothing_else() -> None:
    assert len(locked()) > 100


@pytest.mark.parametrize("file", ["requirements.txt", "hub/server/requirements.txt"])
def test_every_range_holds_its_locked_versions(file: str) -> None:
    versions = locked()
    ranges = RANGE.findall((ROOT / file).read_text(encoding="utf-8"))
    assert ranges
    for name, low, high in ranges:
        found = versions.get(re.sub(r"[-_.]+", "-", name).lower())
        assert found, f"{name} is not locked: make requirements.lock again"
        assert all(numbers(low) <= numbers(version) < numbers(high) for version in found), (name, found)


def test_the_lock_names_no_host_and_no_path() -> None:
    assert not re.search(r"//|@|file:|index|^-", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "entry",
    ["numpy==2.4.6", "numpy>=2.4 --hash=sha256:" + 64 * "0", "numpy==2.4.6 --hash=md5:" + 32 * "0", "numpy @ x"],
)
def test_an_entry_without_version_or_hash_would_be_noticed(entry: str) -> None:
    assert not PINNED.fullmatch(entry)


def test_ci_installs_by_the_lock_on_demand() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements.lock" in script and "CI_INSTALL:=ranges" in script
