"""The run-folder contract: what is written, how it is sealed, and what is refused when it is read."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.run_folder import METRICS_BEFORE, read_json, read_run, sha256, verify, write_json
from tests.conftest import ROOT

EVALUATION = {"classes": ["anger", "joy"], "official": {"n": 3, "accuracy": {"value": 0.5, "low": 0.1, "high": 0.9}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A sealed run folder of nearly nothing."""
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    contents = {"config.json": "{}", "curation.json": "{}", "model.safetensors": "weights", "recipe.yaml": "seed: 1"}
    contents |= {"predictions.parquet": "rows", "preprocessor_config.json": "{}"}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    contents["figures/reliability.png"] = "drawn"
    Image.new("L", (1, 1)).save(folder / "figures" / "reliability.png")
    hashes = {name: sha256(folder / name) for name in contents}
    run_folder.seal(folder, {"precision": "fp32", "sha256": hashes}, EVALUATION)
    return folder


def seal_as_before(run: Path) -> None:
    """The older seal: environment.json holds the hash of evaluation.json beside the others."""
    (run / "evaluation.json").write_text(json.dumps(EVALUATION, indent=2) + "\n", encoding="utf-8")
    environment = read_json(run / "environment.json")
    environment["sha256"]["evaluation.json"] = sha256(run / "evaluation.json")
    (run / "environment.json").write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")


# JSON


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    for bad, error in ((object(), TypeError), (float("nan"), ValueError)):
        with pytest.raises(error):
            write_json(tmp_path / "a.json", {"new": bad})
        assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_json_holds_letters_of_any_language_as_they_are(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"class": "Überraschung"})
    assert "Überraschung".encode() in (tmp_path / "a.json").read_bytes()


def test_a_class_name_of_any_language_survives_an_ascii_locale(tmp_path: Path) -> None:
    code = (
        "import locale, sys; from pathlib import Path; from pipeline.run_folder import read_json, seal, write_json\n"
        "from pipeline.settings.recipe import Recipe; from pipeline.settings.files import load_yaml\n"
        "assert 'utf' not in locale.getpreferredencoding(False).lower(), 'the locale of this test is ASCII'\n"
        "folder, name = Path(sys.argv[1]), '\\u559c\\u3073'\n"
        "write_json(folder / 'curation.json', {'class': name}); seal(folder, {}, {'classes': [name]})\n"
        "assert read_json(folder / 'curation.json')['class'] == name\n"
        "assert read_json(folder / 'evaluation.json')['classes'] == [name]\n"
        "Recipe(classes=[name, 'anger']).save(folder / 'recipe.yaml')\n"
        "assert load_yaml(folder / 'recipe.yaml')['classes'][0] == name\n"
    )
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ascii_only, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "has no x.json"), ("{", "x.json cannot be read"), ("[1]", "x.json holds no names with values")],
)
def test_json_that_is_missing_or_damaged_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words) as error:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(error.value)


# The seal


def test_a_sealed_run_is_read_with_every_file(run: Path) -> None:
    read = read_run(run)
    assert read.classes == ["anger", "joy"] and read.recipe == {"seed": 1}
    assert list(read.row_sets) == ["official"]
    assert read.sealed("figures/*.png", "recipe.yaml") == ["figures/reliability.png", "recipe.yaml"]


def test_the_seal_is_written_last_and_hashes_environment_and_its_own_content(run: Path) -> None:
    seal = read_json(run / "evaluation.json").pop("sha256")
    assert seal["environment.json"] == sha256(run / "environment.json")
    assert not {"evaluation.json", "environment.json"} & read_json(run / "environment.json")["sha256"].keys()


def change(name: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        (run / name).write_bytes((run / name).read_bytes() + b" ")

    return spoil


def another_figure(run: Path) -> None:
    write_json(run / "evaluation.json", read_json(run / "evaluation.json") | {"official": {"n": 4}})


def another_environment(run: Path) -> None:
    write_json(run / "environment.json", read_json(run / "environment.json") | {"precision": "bf16"})


def no_seal_in_evaluation(run: Path) -> None:
    write_json(run / "evaluation.json", EVALUATION)


def lost_weights(run: Path) -> None:
    (run / "model.safetensors").unlink()


def weights_without_a_hash(run: Path) -> None:
    environment = read_json(run / "environment.json")
    del environment["sha256"]["model.safetensors"]
    run_folder.seal(run, environment, EVALUATION)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change("model.safetensors"), "model.safetensors was changed since .*: restore the file, or train again"),
        (
            change("figures/reliability.png"),
            "reliability.png was changed .*: make it again with python -m pipeline.eva",
        ),
        (another_figure, "evaluation.json was changed since .*: make it again with python -m pipeline.evaluation"),
        (another_environment, "environment.json was changed since .*: restore the file, or train again"),
        (no_seal_in_evaluation, "environment.json lists no sha256 of evaluation.json"),
        (lost_weights, "model.safetensors is missing since the run was sealed: restore the file, or train again"),
        (weights_without_a_hash, "environment.json lists no sha256 of model.safetensors"),
        (lambda run: (run / "evaluation.json").unlink(), "has no evaluation.json: the run is not finished"),
        (shutil.rmtree, "no such run folder"),
    ],
)
def test_what_was_changed_or_lost_after_the_seal_is_named_with_what_helps(
    run: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(run)
    with pytest.raises(InputError, match=words) as error:
        verify(run)
    assert "\n" not in str(error.value)


def test_a_run_with_the_older_seal_is_read_and_a_change_is_found(run: Path) -> None:
    seal_as_before(run)
    assert read_run(run).metrics == METRICS_BEFORE
    change("evaluation.json")(run)
    with pytest.raises(InputError, match="evaluation.json was changed since the run was sealed"):
        verify(run)


def test_a_recipe_that_is_not_settings_is_refused(run: Path) -> None:
    (run / "recipe.yaml").write_text(yaml.safe_dump(["seed"]), encoding="utf-8")
    environment = read_json(run / "environment.json")
    environment["sha256"]["recipe.yaml"] = sha256(run / "recipe.yaml")
    run_folder.seal(run, environment, EVALUATION)
    with pytest.raises(InputError, match="recipe.yaml holds no names with values"):
        read_run(run)


def test_the_contract_needs_no_torch() -> None:
    heavy = "('torch', 'transformers', 'datasets', 'sklearn')"
    code = f"import sys, pipeline.run_folder; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_number_that_json_does_not_have_is_refused(number: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(f'{{"classes": {number}, "sha256": {{}}}}')
    with pytest.raises(InputError, match="evaluation.json cannot be read"):
        run_folder.read_json(tmp_path / "evaluation.json")
