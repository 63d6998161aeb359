"""`push_to_hub.py --adapter`: an adapter in a repository of its own, loaded on its base from a Hub on the loopback."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from hub import staging
from hub.adapter import base_of
from hub.card.card import make_card
from hub.card.metadata import Publication
from hub.run import load_run
from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.training.adapter import write_adapter
from pipeline.training.model import build_for_training
from push_to_hub import main, parse
from tests.conftest import ROOT, run_train_hf, save_sharp_model, write_recipe
from tests.hub_server import HubServer

TOKEN = "hf_" + "anna" * 8
REPO, BASE = "anna/faces-lora", "someone/vit"

ASK = """
import json, sys
from transformers import pipeline
try:
    classify = pipeline("image-classification", model=sys.argv[1], image_processor=sys.argv[2], top_k=7)
    print(json.dumps(classify(sys.argv[3])))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_user("anna", TOKEN)
        yield server


@pytest.fixture(scope="module")
def lora_run(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps from a model on the Hub whose classes have no names."""
    folder = tmp_path_factory.mktemp("lora")
    save_sharp_model(folder / "base", 32)
    config = json.loads((folder / "base" / "config.json").read_text())
    config |= {"id2label": {str(i): f"LABEL_{i}" for i in range(7)}, "label2id": {f"LABEL_{i}": i for i in range(7)}}
    (folder / "base" / "config.json").write_text(json.dumps(config))
    hub.add_repo(BASE, {p.name: p.read_bytes() for p in (folder / "base").iterdir()})
    made = {"checkpoint": BASE, "lora_rank": 4, "max_steps": 2, "learning_rate": 0.1, "evaluate_test": True}
    recipe = write_recipe(folder / "lora.yaml", output_dir=str(folder / "run"), **made)
    ended = run_train_hf(str(recipe), env=environment(hub, folder))
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


def reseal(run: Path, base: str | None) -> None:
    """Name another base in the adapter, and seal the run again."""
    file = run / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))
    environment, evaluation = (run_folder.read_json(run / n) for n in ("environment.json", "evaluation.json"))
    sealed = ["recipe.yaml", *(f"adapter/{p.name}" for p in (run / "adapter").iterdir())]
    environment["sha256"] |= {name: run_folder.sha256(run / name) for name in sealed}
    run_folder.seal(run, environment, evaluation)


def environment(hub: HubServer, home: Path) -> dict[str, str]:
    return hub.client_environment(home / "hf", TOKEN)


def python(hub: HubServer, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment(hub, home), capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_an_adapter_goes_up_and_its_card_runs_as_printed(hub: HubServer, lora_run: Path, tmp_path: Path) -> None:
    done = python(hub, tmp_path, "push_to_hub.py", str(lora_run), "--repo_id", REPO, "--adapter", "--tag", "v1")
    assert done.returncode == 0, done.stderr
    assert 'read back: peft(model="anna/faces-lora") gives the run\'s own answers to' in done.stdout
    files = hub.repo(REPO).files()
    assert {
        "adapter_config.json",
        "adapter_model.safetensors",
        "config.json",
        "preprocessor_config.json",
    } <= files.keys()
    assert not [name for name in files if name.startswith(("onnx/", "model.", "adapter/")) or name == "notebook.ipynb"]
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BASE
    card = ModelCard(files["README.md"].decode())
    data = card.data
    assert (data.base_model, data.base_model_relation, data.library_name) == (BASE, "adapter", "peft")
    assert "lora" in data.tags and data.eval_results and data.pipeline_tag == "image-classification"
    first = re.search(r"^```python\n(.*?)^```$", card.text, re.MULTILINE | re.DOTALL)
    (tmp_path / "card.py").write_text(first[1])
    shown = python(hub, tmp_path / "elsewhere", str(tmp_path / "card.py"))
    assert shown.returncode == 0, shown.stderr
    assert set(re.findall(r"'label': '(\w+)'", shown.stdout)) == set(CLASSES)
    for text in (done.stdout, done.stderr, *map(repr, files.values())):
        assert TOKEN not in text and str(lora_run.parent) not in text.replace(f"{lora_run}", "")


@pytest.mark.slow
def test_pipeline_never_answers_as_the_bare_base_under_the_name_of_the_adapter(
    hub: HubServer, lora_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(lora_run / "adapter", tmp_path / "adapter")
    for name, text in (("with classes", None), ("as peft writes it", "config.json")):
        if text:
            (tmp_path / "adapter" / text).unlink()
        hub.add_repo(
            f"anna/{name.replace(' ', '-')}", {p.name: p.read_bytes() for p in (tmp_path / "adapter").iterdir()}
        )
    picture, processor = str(lora_run / "examples" / "happiness.png"), str(lora_run)
    ask = [sys.executable, "-c", ASK]

    def answer(model: str) -> dict[int, float] | str:
        """Scores by the number of the class."""
        ended = subprocess.run(
            [*ask, model, processor, picture],
            env=environment(hub, tmp_path),
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = json.loads(ended.stdout.splitlines()[-1])
        if isinstance(said, str):
            return said
        return {int(s["label"][6:]) if "LABEL" in s["label"] else CLASSES.index(s["label"]): s["score"] for s in said}

    merged, bare = answer(str(lora_run)), answer(BASE)
    assert max(abs(merged[i] - bare[i]) for i in range(7)) > 1e-3
    for name in ("anna/with-classes", "anna/as-peft-writes-it", str(lora_run / "adapter"), str(tmp_path / "adapter")):
        given = answer(name)
        assert isinstance(given, str) or max(abs(merged[i] - given[i]) for i in range(7)) < 1e-5, name


@pytest.mark.slow
def test_our_clients_refuse_an_adapter_of_the_hub_by_its_name(hub: HubServer, lora_run: Path, tmp_path: Path) -> None:
    hub.add_repo("anna/only", {p.name: p.read_bytes() for p in (lora_run / "adapter").iterdir()})
    done = python(hub, tmp_path, "-m", "hub.predict", "anna/only", str(lora_run / "examples" / "happiness.png"))
    said = "error: anna/only is only a PEFT adapter of someone/vit, without its base model: give the folder of the run"
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith(said)


@pytest.mark.slow
def test_an_adapter_is_not_sent_beside_a_whole_model(hub: HubServer, lora_run: Path, tmp_path: Path) -> None:
    hub.add_repo("anna/whole", {"config.json": b"{}", "model.safetensors": b"x"})
    done = python(hub, tmp_path, "push_to_hub.py", str(lora_run), "--repo_id", "anna/whole", "--adapter")
    assert done.returncode == 2
    assert (
        "anna/whole holds a whole model (model.safetensors); choose another --repo_id" in done.stderr.splitlines()[-1]
    )


@pytest.mark.slow
def test_an_adapter_that_does_not_fit_the_base_on_the_hub_is_not_sent(
    hub: HubServer, lora_run: Path, tmp_path: Path
) -> None:
    base = hub.repo(BASE)
    kept = base.files()
    save_sharp_model(tmp_path / "other", 64)
    hub.add_repo("someone/other", kept | {p.name: p.read_bytes() for p in (tmp_path / "other").iterdir()})
    run = shutil.copytree(lora_run, tmp_path / "run")
    reseal(run, "someone/other")
    done = python(hub, tmp_path, "push_to_hub.py", str(run), "--repo_id", "anna/new", "--adapter")
    assert done.returncode == 2
    assert re.search(
        r"nothing was sent: on someone/other as the Hub has it, a probability differs from the run's by [\d.]+\. "
        "An adapter fits only the weights and the image_size of its base",
        done.stderr.splitlines()[-1],
    )
    reseal(run, "someone/gone")
    done = python(hub, tmp_path, "push_to_hub.py", str(run), "--repo_id", "anna/new", "--adapter")
    assert done.returncode == 2 and "someone/gone" in done.stderr.splitlines()[-1], done.stderr
    assert not [r for r in hub.requests if r.method == "POST" and "/anna/new" in r.path]


# Without a process


@pytest.fixture
def run(publishable_run: Path, tmp_path: Path) -> Path:
    """A finished run with an adapter beside its model, as if it was trained with LoRA from `BASE`."""
    run = shutil.copytree(publishable_run, tmp_path / "run")
    recipe = recipe_from(load_yaml(run / "recipe.yaml") | {"lora_rank": 2}, "test")
    model, _ = build_for_training(recipe, "cpu")
    write_adapter(model, run)
    recipe.save(run / "recipe.yaml")
    reseal(run, BASE)
    return run


def test_what_is_staged_is_the_adapter_and_what_the_run_says_of_it(run: Path, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staging.stage_adapter(load_run(run), staged)
    names = {p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file()}
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", "preprocessor_config.json"} <= names
    assert not [name for name in names if name.startswith(("adapter/", "model.")) or name == "predictions.parquet"]
    assert (
        load_file(staged / "adapter_model.safetensors").keys()
        == load_file(run / "adapter" / "adapter_model.safetensors").keys()
    )
    config = json.loads((staged / "config.json").read_text())
    assert list(config["id2label"].values()) == list(CLASSES)


def test_the_card_of_an_adapter_says_so_and_has_only_lines_that_load_it(run: Path) -> None:
    card = ModelCard(make_card(load_run(run), Publication(REPO, "v1", base=BASE)))
    data = card.data
    assert (data.base_model, data.base_model_relation, data.library_name) == (BASE, "adapter", "peft")
    assert "lora" in data.tags and data.eval_results and data.pipeline_tag == "image-classification"
    assert f"**This is a LoRA adapter** of 0.0 MB for [`{BASE}`]" in card.text
    blocks = re.findall(r"^```python\n(.*?)^```$", card.text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1 and f'PeftModel.from_pretrained(base, "{REPO}", revision="v1")' in blocks[0]
    ast.parse(blocks[0])
    assert "model.safetensors" not in card.text.replace("adapter_model.safetensors", "") and "Colab" not in card.text


def test_runs_without_an_adapter_or_a_public_base_are_refused(publishable_run: Path, run: Path) -> None:
    with pytest.raises(InputError, match="has no adapter/: it was trained without --lora_rank"):
        base_of(load_run(publishable_run))
    assert base_of(load_run(run)) == BASE
    reseal(run, None)
    with pytest.raises(InputError, match="has no name on the Hub, so nobody could load the adapter: train with"):
        base_of(load_run(run))


def test_options_of_whole_models_are_refused() -> None:
    words = ["gone", "--repo_id", REPO, "--adapter"]
    for option in (["--space", "anna/demo"], ["--with_predictions"], ["--data_path"]):
        with pytest.raises(InputError, match=f"{option[0]} is for the whole model; leave it out with --adapter"):
            main([*words, *option])
    with pytest.raises(InputError, match="--adapter is for a run"):
        parse(["curated", "--dataset", "anna/data", "--adapter"])


@pytest.mark.slow
def test_the_whole_model_of_the_same_run_is_published_as_any_other(
    hub: HubServer, lora_run: Path, tmp_path: Path
) -> None:
    done = python(hub, tmp_path, "push_to_hub.py", str(lora_run), "--repo_id", "anna/merged")
    assert done.returncode == 0, done.stderr
    files = hub.repo("anna/merged").files()
    assert "model.safetensors" in files and not [name for name in files if "adapter" in name]
    card = ModelCard(files["README.md"].decode())
    assert (card.data.base_model_relation, card.data.library_name) == ("finetune", "transformers")
    assert "LoRA: only matrices of this rank" in card.text
