"""A person's mistake, and a full disk, end in one line that names the thing and says what to do."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.errors import InputError
from pipeline.settings.files import recipe_from
from pipeline.training.model import build_model
from tests.conftest import TINY, Finished, write_recipe
from train_hf import main

OURS = {"source": "auto", "classes": ["happiness", "sadness"]}


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)).save(path)


def folders(root: Path, **pictures: int) -> Path:
    """Class folders with so many pictures each."""
    for number, (name, count) in enumerate(pictures.items()):
        for i in range(count):
            picture(root / name / f"{i:02d}.png", 100 * number + i)
    return root


def table(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def fer_pair(folder: Path, rows: int, votes: list[list[str]]) -> Path:
    """fer2013.csv with so many rows, and fer2013new.csv with a row for each of these votes."""
    folder.mkdir()
    pixels = " ".join(["7"] * 48 * 48)
    table(folder / "fer2013.csv", [["emotion", "pixels", "Usage"]] + [["3", pixels, "Training"]] * rows)
    named = [["Training", f"fer{i:07d}.png", *row] for i, row in enumerate(votes)]
    table(folder / "fer2013new.csv", [["Usage", "Image name", *FERPLUS_COLUMNS], *named])
    return folder


def checkpoint(folder: Path, **config: Any) -> Path:
    """A saved classifier whose config.json says this on top."""
    model, processor = build_model(recipe_from(TINY | {"output_dir": "-"}, "test"))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


HAPPY = ["0", "9", "1", "0", "0", "0", "0", "0", "0", "0"]

Make = Callable[[Path], dict[str, Any]]


def missing_folder(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(tmp / "nowhere" / "faces")}


def empty_folder(tmp: Path) -> dict[str, Any]:
    (tmp / "faces").mkdir()
    return {"data_path": str(tmp / "faces")}


def csv_without_a_column(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(table(tmp / "labels.csv", [["nickname", "label"], ["a", "happy"]]))}


def csv_with_a_short_row(tmp: Path) -> dict[str, Any]:
    picture(tmp / "a.png", 0)
    return {"data_path": str(table(tmp / "labels.csv", [["path", "label"], ["a.png", "happy"], ["b.png"]]))}


def csv_pair_of_unequal_length(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(fer_pair(tmp / "fer", 3, [HAPPY] * 2))}


def votes_of_a_csv_that_do_not_sum(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(fer_pair(tmp / "fer", 2, [HAPPY, ["0", "3", *["0"] * 8]]))}


def votes_of_a_parquet_file_that_do_not_sum(tmp: Path) -> dict[str, Any]:
    features = Features({"image": Image(), "votes": List(Value("int64"))})
    rows = {"image": [PILImage.new("L", (8, 8))] * 2, "votes": [[int(v) for v in HAPPY], [20] + [0] * 9]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp / "train.parquet")
    return {"data_path": str(tmp / "train.parquet")}


def undecodable_pictures(tmp: Path) -> dict[str, Any]:
    root = folders(tmp / "faces", happy=20, sad=20)
    for name in ("happy/03", "sad/07", "sad/11", "sad/12"):
        (root / f"{name}.png").write_bytes(b"no picture")
    return {"data_path": str(root)}


def a_class_without_a_row(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(folders(tmp / "faces", happy=20, sad=20)), "classes": ["happiness", "sadness", "fear"]}


def an_unknown_class(tmp: Path) -> dict[str, Any]:
    return {"data_path": str(folders(tmp / "faces", happy=3, bored=2))}


def a_data_set_of_the_hub_without_a_network(tmp: Path) -> dict[str, Any]:
    return {"data_path": "someone/faces"}


def a_checkpoint_of_other_shapes(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "checkpoint": str(checkpoint(tmp / "model", intermediate_size=48))}


def a_checkpoint_that_is_a_pickle(tmp: Path) -> dict[str, Any]:
    folder = checkpoint(tmp / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return {"source": "drawn", "checkpoint": str(folder)}


def a_checkpoint_file(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "checkpoint": str(checkpoint(tmp / "model") / "model.safetensors")}


def a_checkpoint_that_does_not_exist(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "checkpoint": str(tmp / "model")}


def a_checkpoint_of_the_hub_without_a_network(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "checkpoint": "someone/vit"}


def an_unknown_architecture(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "architecture": "resnet_of_nobody"}


def an_architecture_that_is_a_place(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "architecture": f"local-dir:{tmp}"}


def a_loss_that_is_not_finite(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "optim": "sgd", "learning_rate": 1000.0, "max_grad_norm": 0.0, "warmup_epochs": 0}


def an_output_dir_below_a_file(tmp: Path) -> dict[str, Any]:
    (tmp / "file").write_text("x")
    return {"source": "drawn", "output_dir": str(tmp / "file" / "run")}


def an_output_dir_that_is_no_run(tmp: Path) -> dict[str, Any]:
    (tmp / "thesis").mkdir()
    (tmp / "thesis" / "chapter.tex").write_text("years of work")
    return {"source": "drawn", "output_dir": str(tmp / "thesis")}


def half_precision_on_a_cpu(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "precision": "fp16"}


def a_scheduler_that_nobody_knows(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "lr_scheduler_type": "cosin"}


def a_figure_that_nobody_knows(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "metric_for_best_model": "acc"}


def drop_path_without_blocks(tmp: Path) -> dict[str, Any]:
    return {"source": "drawn", "architecture": "resnet10t", "drop_path": 0.1}


# Each message names the thing and says what to do.
CASES: list[tuple[Make, str]] = [
    (missing_folder, r"data_path \S+/nowhere/faces does not exist: give class folders"),
    (empty_folder, r"data_path \S+/faces is empty: give class folders"),
    (csv_without_a_column, r"labels\.csv: no column of pictures is recognised \(columns: nickname, label\); name it"),
    (csv_with_a_short_row, r"labels\.csv line 3: 1 fields where the header names 2; quote fields"),
    (csv_pair_of_unequal_length, r"fer2013new\.csv has 2 rows and \S+fer2013\.csv 3; row i of one must be row i"),
    (votes_of_a_csv_that_do_not_sum, r"fer2013new\.csv line 3: votes \[0, 3, .* sum to 3; .*: correct or remove them"),
    (
        votes_of_a_parquet_file_that_do_not_sum,
        r"train\.parquet, split all row 1: votes \[20, .* sum to 20; .*: correct",
    ),
    (
        undecodable_pictures,
        r"faces: 4 of 40 pictures \(10\.0%\) .* happy/03\.png \(.*\), sad/07\.png.* raise max_bad_share",
    ),
    (
        a_class_without_a_row,
        r"train has no row of fear \(happiness \d+, sadness \d+, fear 0\): add pictures, or set --cl",
    ),
    (an_unknown_class, r"faces: 2 pictures of unknown class 'bored': map it with --class_map"),
    (
        a_data_set_of_the_hub_without_a_network,
        r"data_path someone/faces: no such folder, .*: unset it, or give a local",
    ),
    (
        a_checkpoint_of_other_shapes,
        r"checkpoint \S+/model: the weights do not fit its config\.json: 6 tensors.*; take both",
    ),
    (a_checkpoint_that_is_a_pickle, r"has no model\.safetensors; pytorch_model\.bin is a pickle.*: convert it to safe"),
    (a_checkpoint_file, r"model\.safetensors is a file; give the folder"),
    (a_checkpoint_that_does_not_exist, r"checkpoint \S+/model does not exist: give a folder, or a Hub id"),
    (
        a_checkpoint_of_the_hub_without_a_network,
        r"checkpoint someone/vit is not a folder .* check the name and the network",
    ),
    (an_unknown_architecture, r"architecture 'resnet_of_nobody' is not a model that timm knows"),
    (an_architecture_that_is_a_place, r"architecture 'local-dir:\S+ names a place; give the name of a model of timm"),
    (a_loss_that_is_not_finite, r"the loss is (nan|inf) at step \d+, learning rate [\d.e+]+; lower --learning_rate"),
    (an_output_dir_below_a_file, r"output_dir \S+/file/run: \S+/file is a file; choose another --output_dir"),
    (an_output_dir_that_is_no_run, r"output_dir \S+/thesis is not empty and not a run; choose another --output_dir"),
    (half_precision_on_a_cpu, r"precision fp16 needs CUDA, and this run is on cpu; use --precision auto, bf16 or fp32"),
    (a_scheduler_that_nobody_knows, r"lr_scheduler_type|cosin"),
    (a_figure_that_nobody_knows, r"metric_for_best_model is 'acc'; it must be one of accuracy, "),
    (drop_path_without_blocks, r"drop_path works with a native ViT, .*; set --drop_path 0"),
]
NAMED = pytest.mark.parametrize(("make", "message"), CASES, ids=[make.__name__ for make, _ in CASES])
STARTED = (a_loss_that_is_not_finite,)  # the run was under way


def prepared(make: Make, tmp: Path) -> tuple[dict[str, Any], Path]:
    settings = {"output_dir": str(tmp / "run")} | OURS | make(tmp)
    if settings["source"] == "drawn":
        del settings["classes"]
    return settings, Path(settings["output_dir"])


@NAMED
def test_it_is_reported_in_one_line_and_nothing_is_left_behind(
    make: Make, message: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    settings, run = prepared(make, tmp_path)
    before = sorted(run.rglob("*"))
    with pytest.raises(InputError) as error:
        main([str(write_recipe(tmp_path / "recipe.yaml", **settings))])
    assert re.search(message, str(error.value)), error.value
    assert "\n" not in str(error.value)
    assert not (run / "evaluation.json").exists()
    if make not in STARTED:
        assert sorted(run.rglob("*")) == before, "a run that cannot start leaves nothing"


def ends_in_one_line(ended: subprocess.CompletedProcess[str], message: str, code: int = 2) -> None:
    *others, last = ended.stderr.splitlines()
    assert ended.returncode == code, ended.stderr
    assert last.startswith("error: ") and re.search(message, last), last
    assert "Traceback" not in ended.stderr and not [line for line in others if line.startswith("error: ")]


def runs_as_process(make: Make, message: str, tmp_path: Path, train_hf, **environment: str) -> None:
    settings, run = prepared(make, tmp_path)
    ended = train_hf(settings=settings, ACCELERATE_USE_CPU="1", **environment)
    ends_in_one_line(ended, message)
    assert not (run / "evaluation.json").exists()


@pytest.mark.parametrize(
    "make",
    [pytest.param(undecodable_pictures, marks=pytest.mark.slow), a_loss_that_is_not_finite],
    ids=lambda make: make.__name__,
)
def test_a_process_ends_on_it_with_code_two_and_without_a_stack_trace(make: Make, tmp_path: Path, train_hf) -> None:
    runs_as_process(make, dict(CASES)[make], tmp_path, train_hf)


@pytest.mark.slow
@NAMED
def test_every_process_ends_on_it_with_code_two(make: Make, message: str, tmp_path: Path, train_hf) -> None:
    runs_as_process(make, message, tmp_path, train_hf)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_checkpoint_of_the_hub_without_a_network, r"someone/vit is not a folder .*check the name and the network"),
        pytest.param(
            a_data_set_of_the_hub_without_a_network,
            r"someone/faces: no such folder, and cannot reach the Hub .*check the name and the network",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["checkpoint", "data"],
)
def test_a_hub_that_does_not_answer_is_reported_in_one_line(make: Make, message: str, tmp_path: Path, train_hf) -> None:
    runs_as_process(make, message, tmp_path, train_hf, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")


# Earlier results


def test_a_mistake_leaves_a_finished_run_untouched(finished_run: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run.path, run)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.rglob("*") if p.is_file()}
    words = [str(finished_run.recipe), "--output_dir", str(run)]
    for mistake in (
        ["--checkpoint", str(tmp_path / "nowhere")],
        ["--data_path", str(tmp_path / "nowhere"), "--source", "auto"],
        ["--learning_rate", "1e30"],
        ["--precision", "fp16"],
        ["--resume", "--flip", "0"],
    ):
        with pytest.raises(InputError):
            main([*words, *mistake])
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.rglob("*") if p.is_file()} == before


# A full disk: the system refuses every file above a size, as it refuses every file on a full disk


def limited(kib: int) -> Callable[[], None]:
    def before() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))

    return before


LARGER = TINY["vit_config"] | {"hidden_size": 96, "intermediate_size": 192}  # type: ignore[operator]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize(
    ("kib", "settings", "message"),
    [
        pytest.param(
            20, {"drawn_faces": 240}, r"File too large while writing .*: free some space", marks=pytest.mark.slow
        ),
        (200, {"drawn_faces": 100}, r"a checkpoint cannot be written to its end.*: free some space"),
        pytest.param(
            450, {"vit_config": LARGER}, r"File too large while writing .*: free some space", marks=pytest.mark.slow
        ),
    ],
    ids=["cache of pictures", "optimizer by torch", "weights by safetensors"],
)
def test_a_full_disk_ends_a_run_in_one_line_with_code_one(
    finished_run: Finished, train_hf, tmp_path: Path, kib: int, settings: dict, message: str
) -> None:
    """The finished run before has filled the caches of the last two cases."""
    ended = train_hf(settings={"bootstrap_resamples": 10} | settings, before=limited(kib))
    ends_in_one_line(ended, message, code=1)
    assert not (tmp_path / "run" / "evaluation.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_run_that_a_full_disk_stopped_goes_on_when_there_is_space(finished_run: Finished, tmp_path: Path) -> None:
    """In a fork, since a limit once set stays."""
    recipe = write_recipe(tmp_path / "recipe.yaml", output_dir=str(tmp_path / "run"), logging_steps=1)
    code = "import resource, sys; from pipeline.errors import full_disk; from train_hf import main\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, resource.RLIM_INFINITY))\n"
    code += "try: main(sys.argv[1:])\nexcept Exception as error: print('full:', full_disk(error))\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
    code += "main([*sys.argv[1:], '--resume'])"
    ended = subprocess.run([sys.executable, "-c", code, str(recipe)], env=os.environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "full: a checkpoint cannot be written" in ended.stdout
    assert "resume: no checkpoint yet, from the start" in ended.stdout
    assert (tmp_path / "run" / "evaluation.json").is_file()
