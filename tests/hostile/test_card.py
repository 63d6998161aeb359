"""Injection into the card: no value of a run folder writes Markdown, HTML, YAML or commands; none ends in a trace."""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub import release
from hub.card.card import make_card
from hub.card.metadata import Publication
from hub.card.notebook import make_notebook
from hub.options import Options
from hub.run import load_run
from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.run_folder import Run
from tests.hub import sample_card

TEXTS = (
    "x```\n---\n<script>alert(1)</script>{{7*7}}](javascript:alert(1))`$(id)`|\n# owned\x1b[31m",
    "x\u2028# owned\u202e",
    "</details><img src=x onerror=alert(1)>",
    "![](https://example.org/x.png)",
    "",
    "'; rm -rf ~; echo '",
)
VALUES = (float("nan"), float("inf"), 1e308, -5, -0.1, "0.9", [], {}, None, True, 10**400)
FILES = ("evaluation", "environment", "curation", "config", "recipe")
Path_ = tuple[Any, ...]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return sample_card.sample_run(tmp_path)


def leaves(node: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value, and every name as `None` behind its path."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield (*path, name, None), name
            yield from leaves(value, (*path, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def changed(node: Any, path: Path_, new: Any) -> Any:
    made = copy.deepcopy(node)
    inner, names = made, path[:-2] if path[-1] is None else path[:-1]
    for name in names:
        inner = inner[name]
    if path[-1] is None:
        items = list(inner.items())
        inner.clear()
        inner |= {new if name == path[-2] else name: value for name, value in items}
    else:
        inner[path[-1]] = new
    return made


def texts_of(run: Run, publication: Publication) -> tuple[str, str]:
    """The body of the card with the text of the notebook, and the front matter."""
    _, front, body = make_card(run, publication).split("---\n", 2)
    cells = make_notebook(run, publication)["cells"]
    return body + "".join("".join(cell["source"]) for cell in cells), front


def skeleton(text: str) -> dict[str, Any]:
    """What Markdown would read as structure or as a command."""
    return {
        "lines of rules and fences": [line for line in text.splitlines() if re.match(r"(---|```|~~~)\S*$", line)],
        "tags": sorted(re.findall(r"(?<!\\)<[a-z/!][^>\n]*>?", text)),
        "headings": re.findall(r"^#+ .*$", text, re.MULTILINE),
        "addresses": sorted(re.findall(r"(?<!\\)\]\([^)\s]*", text)),
        "hidden": re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text),
        "numbers": re.findall(r"\b(?:nan|inf|1e\+?308)\b", text),
    }


def cases(run: Run, every: bool) -> Iterator[tuple[str, Path_, Any]]:
    """All changes of one value; without `every` one of those that differ in the class, row set or split only."""
    seen = set()
    alike = {*run.classes, *run_folder.ROW_SETS, "train", "test", "ferplus"}
    for file in FILES:
        for path, old in leaves(getattr(run, file)):
            shape = (file, *("*" if isinstance(part, int) or part in alike else part for part in path))
            if every or shape not in seen:
                seen.add(shape)
                news = TEXTS if every else TEXTS[:1]
                yield from ((file, path, new) for new in news)
                if path[-1] is not None and not isinstance(old, str):
                    yield from ((file, path, new) for new in (VALUES if every else VALUES[:5]))


def check(run: Run, publication: Publication, every: bool) -> int:
    plain = skeleton(texts_of(run, publication)[0])
    refused = 0
    for file, path, new in cases(run, every):
        other = replace(run, **{file: changed(getattr(run, file), path, new)})
        try:
            body, front = texts_of(other, publication)
        except InputError as error:
            assert str(error).isprintable() and len(str(error)) < 1000
            refused += 1
            continue
        found = skeleton(body)
        for what in ("lines of rules and fences", "tags", "hidden", "numbers"):
            assert found[what] == plain[what], (file, path, new)
        assert not any("owned" in line for line in found["headings"]), (file, path, new)
        assert not any("javascript:" in word or "x.png" in word for word in found["addresses"]), (file, path, new)
        assert yaml.safe_load(front)["pipeline_tag"] == "image-classification", (file, path, new)
    return refused


def test_no_value_of_a_run_folder_writes_into_the_card(run: Run) -> None:
    assert check(run, sample_card.publication(), every=False) > 100


@pytest.mark.slow
def test_no_value_of_a_run_folder_writes_into_the_card_whatever_it_is(run: Run) -> None:
    assert check(run, sample_card.publication(), every=True) > 1000


@pytest.mark.parametrize(
    ("file", "names", "value"),
    [
        ("environment.json", ("git_revision",), "0" * 40 + "\n```\n# owned"),
        ("environment.json", ("precision",), "fp32 $(id)"),
        ("environment.json", ("python",), "<script>"),
        ("evaluation.json", ("official", "accuracy", "value"), 1e308),
        ("evaluation.json", ("official", "accuracy", "high"), 10**400),
        ("evaluation.json", ("official", "n"), 0),
        ("evaluation.json", ("official", "accuracy", "low"), 0.9999),
        ("evaluation.json", ("recipe",), "x\n---\nlicense: mit"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_such_a_run_is_refused_before_anything_is_staged(
    file: str, names: Path_, value: Any, publishable_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(publishable_run, folder)
    contents = {name: json.loads((folder / name).read_text()) for name in ("environment.json", "evaluation.json")}
    contents[file] = changed(contents[file], names, value)
    run_folder.seal(folder, contents["environment.json"], contents["evaluation.json"])
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(InputError, match=names[0]) as caught:
        release.stage(load_run(folder), Options(run=folder, repo_id="anna/model"), place)
    assert not any(place.iterdir())
    assert str(caught.value).isprintable() and file in str(caught.value)
