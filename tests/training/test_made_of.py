"""`--resume` goes on with the checkpoint and the data that the run began with, or not at all."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.data.curation import curate_sources
from pipeline.errors import InputError
from pipeline.run_folder import read_json
from pipeline.settings.recipe import Recipe
from pipeline.training.made_of import checkpoint_hashes
from pipeline.training.model import build_model
from pipeline.training.output_dir import begin, find_run
from tests.conftest import process_of, run_train_hf, save_sharp_model, wait_for_checkpoint, write_recipe
from tests.data.folders import fill, save


def resumed(recipe: Recipe, data: bool = False) -> None:
    """Begin the run of `recipe`, or go on with it; with `data`, from its rows."""
    splits = curate_sources(recipe, lambda line: None, look=False).rows if data else {}
    begun = recipe.output_dir.is_dir()
    begin(find_run(recipe, resume=begun), recipe, 1, begun, splits).release()


# The checkpoint


def other_weights(folder: Path) -> None:
    """One number of one tensor is another."""
    tensors = load_file(folder / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] += 1e-3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def other_config(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"hidden_dropout_prob": 0.0', '"hidden_dropout_prob": 0.1'))


def shards(folder: Path) -> None:
    """The same weights in shards."""
    model, _ = build_model_of(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")


def other_shard(folder: Path) -> None:
    last = sorted(folder.glob("model-*.safetensors"))[-1]
    save_file({name: tensor + 1 for name, tensor in load_file(last).items()}, last, metadata={"format": "pt"})


def build_model_of(folder: Path):
    torch.manual_seed(0)
    return build_model(Recipe(checkpoint=str(folder), image_size=32, trainer={"output_dir": "-"}))


EXCHANGED = {
    "weights": (None, other_weights, "model.safetensors changed"),
    "a shard": (shards, other_shard, r"model-\d+-of-\d+.safetensors changed"),
    "one file for shards": (None, shards, r"model.safetensors, model-.* changed"),
    "config": (None, other_config, "config.json changed"),
    "processor": (None, lambda folder: (folder / "preprocessor_config.json").write_text("{}"), "preprocessor_config"),
    "processor gone": (None, lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config"),
}


@pytest.mark.parametrize(("before", "exchange", "words"), EXCHANGED.values(), ids=EXCHANGED)
def test_a_checkpoint_with_other_files_is_refused_before_data_is_read(
    tmp_path: Path, tiny, before: Callable[[Path], None] | None, exchange: Callable[[Path], None], words: str
) -> None:
    folder = tmp_path / "checkpoint"
    save_sharp_model(folder, 32)
    if before:
        before(folder)
    shutil.copytree(folder, tmp_path / "old")
    recipe = tiny(checkpoint=str(folder), vit_config={})
    resumed(recipe)
    resumed(recipe)
    exchange(folder)
    with pytest.raises(InputError, match=f"run began with other files of checkpoint {folder}: {words}") as said:
        find_run(recipe, resume=True)
    assert "\n" not in str(said.value) and str(said.value).endswith("or choose another --output_dir")
    shutil.rmtree(folder)
    (tmp_path / "old").rename(folder)
    resumed(recipe)


def test_a_file_beside_the_checkpoint_that_is_not_read_may_change(tmp_path: Path, tiny) -> None:
    save_sharp_model(tmp_path / "checkpoint", 32)
    recipe = tiny(checkpoint=str(tmp_path / "checkpoint"), vit_config={})
    resumed(recipe)
    (tmp_path / "checkpoint" / "README.md").write_text("A model.")
    resumed(recipe)


# The data


def table_of(folder: Path, lines: list[str]) -> Path:
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *lines, ""]))
    return folder / "labels.csv"


def swap(one: Path, other: Path) -> None:
    """Each of two pictures gets the name of the other."""
    one.rename(one.with_suffix(".aside"))
    other.rename(one)
    one.with_suffix(".aside").rename(other)


CHANGED = {
    "another picture": (
        lambda data: save(data / "happy" / "003.png", 77),
        r"1 rows changed since, first happy/003.png \(picture\)",
    ),
    "another class": (
        lambda data: (data / "happy" / "003.png").rename(data / "sad" / "900.png"),
        r"2 rows changed since, first happy/003.png \(is gone\)",
    ),
    "two pictures swapped": (
        lambda data: swap(data / "happy" / "003.png", data / "sad" / "003.png"),
        r"2 rows changed since, first happy/003.png \(picture\)",
    ),
    "a picture more": (
        lambda data: save(data / "sad" / "zz.png", 77),
        r"1 rows changed since, first sad/zz.png \(is new\)",
    ),
}


@pytest.mark.parametrize(("change", "words"), CHANGED.values(), ids=CHANGED)
def test_other_pictures_under_the_same_names_are_refused(
    tmp_path: Path, tiny, change: Callable[[Path], None], words: str
) -> None:
    data = tmp_path / "faces"
    fill(data, 20, 20)
    two = {"classes": ["happiness", "sadness"], "source": "auto", "data_path": str(data)}
    recipe = tiny(**two)
    resumed(recipe, data=True)
    resumed(recipe, data=True)
    change(data)
    with pytest.raises(InputError, match=rf"run began with other data: {words}.*put the old data back, or choose"):
        resumed(recipe, data=True)


OTHER_LINES = {
    "label": (lambda lines: ["happy/000.png,sad,train", *lines[1:]], r"1 rows .*happy/000.png \(label and votes\)"),
    "split": (lambda lines: ["happy/000.png,happy,val", *lines[1:]], r"1 rows .*happy/000.png \(split\)"),
    "order": (lambda lines: [lines[1], lines[0], *lines[2:]], "its rows stand in another order"),
}


@pytest.mark.parametrize(("change", "words"), OTHER_LINES.values(), ids=OTHER_LINES)
def test_another_table_of_the_same_pictures_is_refused(
    tmp_path: Path, tiny, change: Callable[[list[str]], list[str]], words: str
) -> None:
    fill(tmp_path / "faces", 8, 8)
    splits = [*["train"] * 5, "test", "val", "val"]
    lines = [f"{n}/{i:03d}.png,{n},{split}" for n in ("happy", "sad") for i, split in enumerate(splits)]
    data = {"data_path": str(table_of(tmp_path / "faces", lines)), "source": "auto"}
    recipe = tiny(classes=["happiness", "sadness"], **data)
    resumed(recipe, data=True)
    table_of(tmp_path / "faces", change(lines))
    with pytest.raises(InputError, match=f"began with other data: {words}"):
        resumed(recipe, data=True)


@pytest.mark.slow
def test_a_killed_run_whose_pictures_were_exchanged_is_refused_and_goes_on_with_the_old_ones(tmp_path: Path) -> None:
    data, run = tmp_path / "faces", tmp_path / "run"
    fill(data, 20, 20)
    words = [
        str(write_recipe(tmp_path / "mine.yaml", source="auto", output_dir=str(run), max_steps=12, save_steps=2)),
        *("--data_path", str(data), "--classes", "happiness,sadness"),
    ]
    with process_of(*words) as first:
        wait_for_checkpoint(first, run, 2)
        first.kill()
    old = (data / "sad" / "005.png").read_bytes()
    save(data / "sad" / "005.png", 77)
    refused = run_train_hf(*words, "--resume")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        f"error: {run} began with other data: 1 rows changed since, first sad/005.png (picture); put the old data "
        "back, or choose another --output_dir"
    )
    (data / "sad" / "005.png").write_bytes(old)
    ended = run_train_hf(*words, "--resume")
    assert ended.returncode == 0, ended.stderr
    assert not list(run.rglob("rows.parquet"))
    again = run_train_hf(*words)
    assert again.returncode == 0 and "\nnext: " in again.stdout, again.stderr
    save(data / "sad" / "005.png", 77)
    exchanged = run_train_hf(*words)
    assert exchanged.returncode == 2 and not exchanged.stdout.count("next: ")
    assert f"error: {run} holds a finished run of other data (" in exchanged.stderr.splitlines()[-1]


NOTES = {
    "no fields": ("progress.json", b"{}", "progress.json is damaged (it lacks checkpoint)"),
    "half of the notes": ("progress.json", b'{"processes"', "progress.json cannot be read"),
    "half of the rows": ("rows.parquet", b"PAR1", "rows.parquet is damaged"),
    "other rows": ("rows.parquet", None, "rows.parquet is damaged"),
    "half of the settings": ("recipe.yaml", b"classes: [anger,", "recipe.yaml cannot be read"),
}


@pytest.mark.parametrize(("name", "content", "words"), NOTES.values(), ids=NOTES)
def test_damaged_notes_of_an_interrupted_run_are_named(
    tmp_path: Path, tiny, name: str, content: bytes | None, words: str
) -> None:
    recipe = tiny()
    resumed(recipe)
    file = recipe.output_dir / ".unfinished" / name
    if content is None:
        pq.write_table(pa.table({"split": ["train"]}), file)
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(words)) as said:
        resumed(recipe)
    assert "\n" not in str(said.value)


def test_what_a_run_records_of_its_checkpoint_is_what_it_began_with(tmp_path: Path, tiny) -> None:
    folder = tmp_path / "checkpoint"
    save_sharp_model(folder, 32)
    recipe = tiny(checkpoint=str(folder), vit_config={})
    resumed(recipe)
    began = checkpoint_hashes(str(folder))
    shutil.rmtree(folder)
    run = read_json(recipe.output_dir / ".unfinished" / "progress.json")
    assert run["checkpoint_is_local"] is True and run["checkpoint"] == began
