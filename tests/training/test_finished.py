"""The command of a finished run prints its table only while the run is made of what the command names."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pipeline.data.curation import curate_sources
from pipeline.errors import InputError
from pipeline.run_folder import read_json, write_json
from pipeline.settings.recipe import Recipe
from pipeline.training.finished import compare_with_today
from pipeline.training.made_of import (
    FILES,
    MADE_OF,
    checkpoint_hashes,
    digests_of,
    note_rows,
    noted_digests,
    weights_digest,
)
from tests.conftest import Finished, save_sharp_model
from tests.data.folders import fill, save

END = "put the old one back, or choose another --output_dir"


def rows_of(recipe: Recipe):
    return curate_sources(recipe, lambda line: None, look=False).rows


@pytest.fixture
def of_faces(tmp_path: Path, tiny) -> Recipe:
    """A recipe of class folders, and beside it the environment.json of its finished run."""
    fill(tmp_path / "faces", 20, 20)
    two = {"classes": ["happiness", "sadness"], "near_copies": False}
    recipe = tiny(source="auto", data_path=str(tmp_path / "faces"), **two)
    write_json(tmp_path / "environment.json", {MADE_OF: digests_of(rows_of(recipe))})
    return recipe


def test_equal_data_passes_and_other_data_is_refused(of_faces: Recipe, tmp_path: Path, capsys) -> None:
    compare_with_today(tmp_path, of_faces)
    assert capsys.readouterr().out == "reading data, to compare its rows with those of the run\n"
    old = (tmp_path / "faces" / "sad" / "003.png").read_bytes()
    save(tmp_path / "faces" / "sad" / "003.png", 77)
    with pytest.raises(InputError, match=rf"finished run of other data \(rows of \w+ changed\): {END}") as said:
        compare_with_today(tmp_path, of_faces)
    assert "\n" not in str(said.value)
    (tmp_path / "faces" / "sad" / "003.png").write_bytes(old)
    compare_with_today(tmp_path, of_faces)
    save(tmp_path / "faces" / "sad" / "new.png", 78)
    with pytest.raises(InputError, match=r"other data \(.*train had \d+ rows and has \d+"):
        compare_with_today(tmp_path, of_faces)


def test_data_that_can_no_longer_be_curated_is_refused_and_data_that_is_gone_is_said(
    of_faces: Recipe, tmp_path: Path, capsys
) -> None:
    (tmp_path / "faces").rename(tmp_path / "elsewhere")
    compare_with_today(tmp_path, of_faces)
    assert f"not compared: {tmp_path / 'faces'} is not a folder or file here" in capsys.readouterr().out
    shutil.copytree(tmp_path / "elsewhere" / "happy", tmp_path / "faces" / "happy")
    with pytest.raises(InputError, match=rf"its data is not what it was \(.+\): {END}"):
        compare_with_today(tmp_path, of_faces)


def test_a_run_that_does_not_record_its_rows_says_so(of_faces: Recipe, tmp_path: Path, capsys) -> None:
    write_json(tmp_path / "environment.json", {})
    compare_with_today(tmp_path, of_faces)
    assert capsys.readouterr().out == "not compared: the run does not record its rows\n"


def test_other_weights_of_the_checkpoint_are_refused(tmp_path: Path, tiny, capsys) -> None:
    folder = tmp_path / "checkpoint"
    save_sharp_model(folder, 32)
    recipe = tiny(checkpoint=str(folder), vit_config={})
    write_json(tmp_path / "environment.json", {FILES: checkpoint_hashes(str(folder))})
    compare_with_today(tmp_path, recipe)
    assert capsys.readouterr().out == "", "drawn faces follow from the settings"
    tensors, old = (load_file(folder / "model.safetensors") for _ in range(2))
    next(iter(tensors.values())).view(-1)[0] += 1e-3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError,
        match=rf"finished run of other files of checkpoint {folder} \(model.safetensors changed since\): {END}",
    ):
        compare_with_today(tmp_path, recipe)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"\(preprocessor_config.json changed since\)"):
        compare_with_today(tmp_path, recipe)
    shutil.rmtree(folder)
    compare_with_today(tmp_path, recipe)
    assert capsys.readouterr().out == f"not compared: checkpoint {folder} is not here any more\n"
    write_json(tmp_path / "environment.json", {})
    compare_with_today(tmp_path, recipe)
    assert (
        capsys.readouterr().out
        == "not compared: the run does not record the files of the checkpoint that it began with\n"
    )


def test_what_is_noted_at_the_start_is_what_is_kept_at_the_end(of_faces: Recipe, tmp_path: Path) -> None:
    rows = rows_of(of_faces)
    note_rows(tmp_path / "rows.parquet", rows)
    assert noted_digests(tmp_path / "rows.parquet") == digests_of(rows)
    assert {split: of["rows"] for split, of in digests_of(rows).items()} == {name: len(r) for name, r in rows.items()}


def test_a_sealed_run_records_its_rows(finished_run: Finished) -> None:
    made_of = read_json(finished_run.path / "environment.json")[MADE_OF]
    assert {split: of["rows"] for split, of in made_of.items()} == {"train": 70, "validation": 15, "test": 15}


def test_one_hash_of_weights_is_that_of_the_file_or_of_all_shards() -> None:
    assert weights_digest({}) is None
    assert weights_digest({"config.json": "c", "model.safetensors": "a"}) == "a"
    shards = {"model-1-of-2.safetensors": "a", "model-2-of-2.safetensors": "b"}
    assert len(weights_digest(shards)) == 64
    assert weights_digest(shards) != weights_digest(shards | {"model-2-of-2.safetensors": "c"})
