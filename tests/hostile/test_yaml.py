"""YAML of somebody else: a few lines that become gigabytes, circles, and values that are not what they say."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hub.server.folder import read_align
from pipeline.data.readers.configs import named_files
from pipeline.data.readers.labels import _as_yaml
from pipeline.errors import InputError
from pipeline.run_folder import read_json
from pipeline.settings.command_line import value_of
from pipeline.settings.files import load_yaml
from pipeline.studies.any_model.onnx_file import read_description
from pipeline.yaml_text import read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
HOSTILE = {
    "aliases that become gigabytes": BOMB,
    "a merge that becomes gigabytes": BOMB + "b:\n  <<: {c: *a39}\n",
    "an alias that contains itself": "a: &a [*a]\n",
    "a mapping that contains itself": "&a\na: *a\n",
    "nested too deep": "[" * 1000,
    "a date that does not exist": "a: 2026-99-99\n",
    "a truth that is none": "a: !!bool maybe\n",
    "a number that is none": "a: !!int ''\n",
    "a number of too many digits": f"a: {'9' * 5000}\n",
    "a number of base 60 that takes long": f"a: {'1:' * 200_000}1\n",
    "a time that is none": "a: !!timestamp soon\n",
    "code": "a: !!python/object/apply:os.system [id]\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "control characters": "a: \x07\n",
    "a list as a name": "? [a]\n: b\n",
}
READERS: dict[str, Callable[[Path], object]] = {
    "run": lambda path: read_json(path),
    "recipe": lambda path: load_yaml(path),
    "model": lambda path: read_description(path, path.with_suffix(".onnx")),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_it_is_refused_in_one_line_and_at_once(name: str, reader: str, tmp_path: Path) -> None:
    (file := tmp_path / "recipe.yaml").write_text(HOSTILE[name], encoding="utf-8")
    start = time.process_time()
    with pytest.raises(InputError, match="recipe.yaml") as refused:
        READERS[reader](file)
    assert time.process_time() - start < 5
    assert len(str(refused.value)) < 600 and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_in_the_card_of_a_data_set_and_beside_a_model_it_does_no_harm(name: str, tmp_path: Path) -> None:
    text = "configs: [{data_files: x}]\n" + HOSTILE[name]
    (tmp_path / "README.md").write_text(f"---\n{text}\n---\n", encoding="utf-8")
    with pytest.raises(InputError, match="README.md"):
        named_files(tmp_path)
    (tmp_path / "recipe.yaml").write_text(HOSTILE[name], encoding="utf-8")
    assert read_align(tmp_path) is False


@pytest.mark.parametrize("name", ["2026-99-99", "!!bool x", "!!int ''", "a: &a [*a]", "&a [*a]"])
def test_a_class_folder_with_such_a_name_is_quoted(name: str) -> None:
    assert json.loads(_as_yaml(name)) == name


def test_on_the_command_line_it_is_refused() -> None:
    for text in ("!!bool x", "2026-99-99", "&a [*a]", "9" * 5000):
        with pytest.raises(InputError, match=re.escape("--classes is not YAML")):
            value_of("classes", text)


def test_usual_yaml_is_read_as_it_was() -> None:
    text = "a: &a {b: [1, 2.5, yes, null, 2026-11-30]}\nc: *a\nd: {<<: *a, e: é}\n"
    assert read_yaml(text) == yaml.safe_load(text) and read_yaml("") is None and read_yaml("7") == 7


def test_a_recipe_beside_a_model_is_not_copied_for_each_source(tmp_path: Path) -> None:
    names = "".join(f"k{n}: 1\n" for n in range(20_000))
    (tmp_path / "recipe.yaml").write_text(f"{names}b: &b {{c: 1}}\nsources: [{'*b, ' * 50_000}*b]\n", encoding="utf-8")
    start = time.process_time()
    assert read_align(tmp_path) is False
    assert time.process_time() - start < 20


def test_settings_of_a_run_have_a_largest_size(tmp_path: Path) -> None:
    with (file := tmp_path / "curation.json").open("wb") as opened:
        opened.truncate(2**40)
    with pytest.raises(InputError, match=r"curation.json cannot be read \(ValueError: more than 268,435,456 bytes"):
        read_json(file)
