"""A recipe is fixed once it is made, and one that a run saved is still the same recipe."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.settings.recipe import OUR_FIELDS
from pipeline.training.output_dir import find_run


def test_a_recipe_cannot_be_changed() -> None:
    recipe = parse_command_line([]).recipe
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.flip = 0.1
    with pytest.raises(TypeError):
        recipe.trainer["seed"] = 1


def test_a_changed_copy_is_checked_again() -> None:
    recipe = parse_command_line([]).recipe
    changed = dataclasses.replace(recipe, flip=1, trainer=recipe.trainer | {"learning_rate": "1e-4"})
    assert (changed.flip, changed.trainer["learning_rate"], recipe.flip) == (1.0, 1e-4, 0.5)
    with pytest.raises(InputError, match="flip is 2"):
        dataclasses.replace(recipe, flip=2)
    with pytest.raises(InputError, match="learning_rate is 0; it must be a number above 0"):
        dataclasses.replace(recipe, trainer=recipe.trainer | {"learning_rate": 0})
    with pytest.raises(InputError, match="store_size 500 is above image_size 48"):
        dataclasses.replace(recipe, store_size=500)


def test_a_recipe_can_be_copied_and_sent_to_a_worker() -> None:
    recipe = parse_command_line([]).recipe
    for again in (pickle.loads(pickle.dumps(recipe)), copy.deepcopy(recipe)):
        assert again == recipe and again.name == "quickstart" and type(again.trainer) is type(recipe.trainer)


SAVED = """
source: drawn
data_path: null
sources: []
classes: [anger, disgust, fear, happiness, neutral, sadness, surprise]
class_map: {}
image_column: null
label_column: null
label_rule: majority
targets: votes
undecided: drop
validation_share: 0.1
test_share: 0.1
split_seed: 0
drawn_faces: 10000
crop: none
face_align: false
face_detector: opencv/face_detection_yunet
max_bad_share: 0.01
near_copies: false
leaks: error
caps: {}
row_weights: {}
max_train_samples: null
max_eval_samples: null
image_size: 48
store_size: null
flip: 0.5
rotation: 8.0
crop_area: 0.85
crop_ratio: 1.0
zoom_out: 0.0
shift: 0.0
brightness: 0.2
contrast: 0.2
saturation: 0.0
erasing: 0.0
cutmix: 0.0
cutmix_alpha: 1.0
mixup: 0.0
mixup_alpha: 0.2
mix_off_epoch: null
checkpoint: null
architecture: vit
vit_config: {hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 192, patch_size: 8, initializer_range: 0.1}
drop_path: 0.0
freeze: none
attention: auto
label_smoothing: 0.0
class_balance: none
total_batch_size: 32
warmup_epochs: 1.0
layer_decay: 1.0
ema_decay: 0.99
early_stopping: 0
precision: bf16
evaluate_test: true
bootstrap_resamples: 2000
learning_rate: 0.001
lr_scheduler_type: cosine
max_grad_norm: 1.0
num_train_epochs: 12.0
output_dir: runs/quickstart
seed: 42
weight_decay: 0.05
"""  # noqa: E501


def test_the_recipe_of_an_earlier_run_is_that_of_the_same_settings_today(tmp_path: Path) -> None:
    today = dataclasses.replace(parse_command_line(["quickstart"]).recipe, precision="bf16")
    saved = yaml.safe_load(SAVED)
    read, newer = recipe_from(saved, "saved").settings(), today.settings().keys() - saved.keys()
    assert read == today.settings() == saved | {name: read[name] for name in newer}
    assert {name: read[name] for name in newer} == {f.name: f.default for f in OUR_FIELDS if f.name in newer}
    assert [name for name in today.settings() if name not in newer] == list(saved), "written in the same order"
    today.save(tmp_path / "recipe.yaml")
    kinds = {name: type(value) for name, value in load_yaml(tmp_path / "recipe.yaml").items()}
    assert {name: kinds[name] for name in saved} == {name: type(value) for name, value in saved.items()}


def test_a_path_saved_with_a_tilde_is_the_same_path_today(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {"data_path": "~/faces", "checkpoint": "~/model", "output_dir": "~/run"}
    (run := tmp_path / "run").mkdir()
    (run / "evaluation.json").write_text("{}")
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe_from(paths, "test").settings() | paths))
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    recipe = parse_command_line([str(run / "recipe.yaml"), *words]).recipe
    assert recipe.data_path == str(tmp_path / "faces")
    now = dataclasses.replace(recipe, trainer={name: recipe.trainer[name] for name in ("output_dir",)})
    assert find_run(now, resume=False).finished
