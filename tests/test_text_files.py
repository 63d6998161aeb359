"""Text is read and written as UTF-8 on every machine: each call says so."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "hub").rglob("*.py"), *ROOT.glob("*.py")])
OTHER_OPENERS = {"os", "av", "Image", "PILImage", "tarfile", "zipfile", "entry", "archived"}
"""What `.open` is called on if it does not open text."""


def without_encoding(code: str) -> list[int]:
    """Lines of calls that read or write text in the encoding of the machine."""
    return [node.lineno for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and lacks_encoding(node)]


def lacks_encoding(call: ast.Call) -> bool:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    name, on = called(call)
    if name in ("read_text", "write_text"):
        return "encoding" not in keywords and not (name == "read_text" and call.args)
    if name == "open" and on not in OTHER_OPENERS:
        mode = keywords.get("mode", next(iter(call.args[1 if on is None else 0 :]), None))
        binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
        return not binary and "encoding" not in keywords
    is_text = any(isinstance(keywords.get(key), ast.Constant) for key in ("text", "universal_newlines"))
    return is_text and on == "subprocess" and "encoding" not in keywords


def called(call: ast.Call) -> tuple[str, str | None]:
    """The name of what is called, and the name that it is an attribute of."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr, call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    return getattr(call.func, "id", ""), None


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_file_names_the_encoding_of_its_text(file: Path) -> None:
    assert without_encoding(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text('a')", True),
        ("(a / 'b').write_text('a', encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("open(path, 'w', encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open('rb')", False),
        ("Image.open(path)", False),
        ("subprocess.run(['git'], text=True)", True),
        ("subprocess.run(['git'], text=True, encoding='utf-8')", False),
    ],
)
def test_a_call_without_an_encoding_is_found(code: str, found: bool) -> None:
    assert bool(without_encoding(code)) is found
