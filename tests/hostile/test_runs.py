"""The run folder of somebody else: its seal covers all that counts, and names only regular files of the folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.run_folder import ALWAYS_SEALED, read_json, read_run, sha256, verify

Spoil = Callable[[Path], object]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A sealed run of nearly nothing, with a secret beside it."""
    folder = tmp_path / "run"
    (folder / "examples").mkdir(parents=True)
    for name in ALWAYS_SEALED:
        (folder / name).write_text("{}", encoding="utf-8")
    Image.new("L", (1, 1)).save(folder / "examples" / "anger.png")
    Image.new("L", (1, 1)).save(tmp_path / "secret.png")
    seal(folder, *ALWAYS_SEALED, "examples/anger.png")
    return folder


def seal(folder: Path, *names: str, **hashes: str) -> None:
    """Seal `folder` with the right hashes of `names`, as somebody who means harm can."""
    right = {name: sha256(folder / name) for name in names}
    run_folder.seal(folder, {"sha256": right | hashes}, {"classes": ["a"], "official": {"n": 1}})


def also_seals(name: str, make: Spoil = lambda run: None) -> Spoil:
    def spoil(run: Path) -> None:
        make(run)
        seal(run, *ALWAYS_SEALED, **{name: sha256(run.parent / "secret.png")})

    return spoil


def link(run: Path) -> None:
    (run / "examples" / "a.png").symlink_to(run.parent / "secret.png")


def folder_link(run: Path) -> None:
    (run / "figures").symlink_to(run.parent)


def pipe(run: Path) -> None:
    os.mkfifo(run / "examples" / "a.png")


def postscript(run: Path) -> None:
    (run / "examples" / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n")
    seal(run, *ALWAYS_SEALED, "examples/a.png")


def seal_link(run: Path) -> None:
    (run / "evaluation.json").replace(run.parent / "evaluation.json")
    (run / "evaluation.json").symlink_to(run.parent / "evaluation.json")


def unsealed(name: str) -> Spoil:
    return lambda run: seal(run, *(ALWAYS_SEALED - {name}))


NO_NAME = "is not the name of a file in this folder"
SPOILT: dict[str, tuple[Spoil, str]] = {
    "a path that climbs out of examples": (also_seals("examples/../../secret.png"), NO_NAME),
    "a path that climbs": (also_seals("../secret.png"), NO_NAME),
    "an absolute path": (also_seals("/etc/passwd"), NO_NAME),
    "a path of Windows": (also_seals("examples\\..\\..\\secret.png"), NO_NAME),
    "a drive of Windows": (also_seals("C:secret.png"), NO_NAME),
    "an empty name": (also_seals(""), NO_NAME),
    "a link with the right hash": (also_seals("examples/a.png", link), "link that leads out"),
    "a linked folder": (also_seals("figures/secret.png", folder_link), "link that leads out"),
    "a pipe": (also_seals("examples/a.png", pipe), "not a regular file"),
    "a folder": (also_seals("examples"), "not a regular file"),
    "PostScript that is called PNG": (postscript, "is not a PNG picture"),
    "a linked seal": (seal_link, "link that leads out"),
    "hashes that are a list": (lambda run: run_folder.seal(run, {"sha256": ["a"]}, {}), "not a list of files"),
    "a hash that is a number": (lambda run: run_folder.seal(run, {"sha256": {"a": 1}}, {}), "not a list of files"),
    **{f"no hash of {name}": (unsealed(name), f"lists no sha256 of {name}") for name in sorted(ALWAYS_SEALED)},
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_seal_that_names_other_files_or_leaves_some_out_is_refused(name: str, run: Path) -> None:
    SPOILT[name][0](run)
    with pytest.raises(InputError, match=SPOILT[name][1]) as refused:
        verify(run)
    assert "\n" not in str(refused.value)


def test_the_run_that_is_not_spoilt_is_read(run: Path) -> None:
    assert read_run(run).sealed(run_folder.EXAMPLES) == ["examples/anger.png"]


def test_what_changes_while_it_is_staged_is_not_sent(run: Path, tmp_path: Path) -> None:
    from hub.staging import copy_sealed

    loaded = read_run(run)
    copy_sealed(loaded, "examples/anger.png", tmp_path / "staged" / "a.png")
    (run / "examples" / "anger.png").write_bytes(b"something else")
    with pytest.raises(InputError, match="anger.png was changed while it was copied"):
        copy_sealed(loaded, "examples/anger.png", tmp_path / "staged" / "a.png")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"classes": ["\\ud800"]}'])
def test_settings_that_are_nested_too_deep_or_hold_half_a_letter_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match="a.json cannot be read"):
        read_json(tmp_path / "a.json")
