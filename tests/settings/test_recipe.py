"""Recipes, their files, and the words of the command line that override them."""

from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line, replaced
from pipeline.settings.files import RECIPES, load_yaml, recipe_from

SHIPPED = sorted(RECIPES.glob("*.yaml"))


def test_without_arguments_the_recipe_is_quickstart() -> None:
    recipe, resume, publish, _ = parse_command_line([])
    assert (recipe.name, str(recipe.output_dir), resume, publish) == ("quickstart", "runs/quickstart", False, None)


def test_data_path_without_a_recipe_means_own_faces() -> None:
    recipe = parse_command_line(["--data_path", "my_faces"]).recipe
    assert (recipe.name, recipe.data_path) == ("own_faces", "my_faces")


def test_a_recipe_is_found_by_bare_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("image_size: 64\n")
    assert parse_command_line([str(path)])[0].image_size == 64
    assert parse_command_line(["ferplus_vit_tiny"])[0].name == "ferplus_vit_tiny"


def test_both_our_fields_and_trainers_are_overridden_by_name() -> None:
    words = [
        "--image_size",
        "96",
        "--max_steps",
        "7",
        "--learning_rate",
        "1e-4",
        "--evaluate_test=true",
        "--seed",
        "3",
        "--resume",
        "--publish",
        "me/faces",
    ]
    recipe, resume, publish, _ = parse_command_line(words)
    assert (recipe.image_size, recipe.evaluate_test, recipe.seed, resume, publish) == (96, True, 3, True, "me/faces")
    assert recipe.trainer["max_steps"] == 7
    assert recipe.trainer["learning_rate"] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--image_sizes 96", "nearest is image_size"),
        ("--learnin_rate 1", "nearest is learning_rate"),
        ("--model_name_or_path x", "--checkpoint"),
        ("--dataset_name x", "--data_path"),
        ("--lr 1", "--learning_rate"),
        ("--epochs 1", "--num_train_epochs"),
        ("--batch_size 1", "--total_batch_size"),
        ("--push_to_hub true", "push_to_hub.py"),
        ("--hub_token x", "push_to_hub.py"),
        ("--fp16 true", "--precision fp16"),
        ("--bf16 true", "--precision bf16"),
        ("--label_smoothing_factor 0.1", "--label_smoothing"),
        ("--dataloader_drop_last true", "every row counts"),
        ("--remove_unused_columns true", "collators"),
        ("quickstrat", "nearest is quickstart"),
        ("--image_size big", "image_size is 'big'; it must be a whole number from 1 to 16384"),
        ("--learning_rate --max_steps 2", "--learning_rate needs a value: a number above 0"),
        ("--checkpoint", "--checkpoint needs a value: text or null"),
        ("--checkpoint=", "--checkpoint needs a value: text or null"),
        ("--max_train_samples= --seed 1", "--max_train_samples needs a value: a whole number of at least 1 or null"),
        ("--near_copies=", "--near_copies needs a value: true or false"),
        ("--publish=", "--publish USER/NAME"),
        ("--lr", "--learning_rate"),
        ("--resume 3", "--resume takes no value"),
        ("--flip 1.5", "flip is 1.5"),
        ("--class_balance samplers", "none, sampler, weights, logit_adjustment"),
        ("--num_train_epochs many", "num_train_epochs"),
        ("stray.yaml --seed 1", "no recipe"),
        ("--seed 1 quickstart", "belongs to no setting"),
        ("quickstart words", "belongs to no setting"),
        ("--cutmix 0.7 --mixup 0.7", "together at most 1"),
        ("--store_size 500", "store_size"),
        ("--publish", "--publish USER/NAME"),
        ("own_faces --evaluate_test false --publish me/faces", "add --evaluate_test true"),
        ("--seed 1 --max_steps 2 --seed 3", "--seed stands there twice, with '1' and '3'; give it once"),
        ("--seed=1 --seed 1", "--seed stands there twice, with '1' and '1'"),
        ("--learning-rate 1e-3 --learning_rate 1e-4", "--learning_rate stands there twice, with '1e-3' and '1e-4'"),
        ("--tf32 --tf32 false", "--tf32 stands there twice, with no value and 'false'"),
        ("--publish me/a --publish me/b", "--publish stands there twice"),
        ("\u2013seed 1", "does not begin with two hyphens; write --seed"),
        ("--seed 1 \u2014max_steps 2", "does not begin with two hyphens; write --max_steps"),
        ("-learning-rate 1", "does not begin with two hyphens; write --learning-rate"),
        ("-- 3", "'--' belongs to no setting"),
        ("--=3", "'--=3' belongs to no setting"),
        ("--learn 1", "nearest is learning_rate"),
        ("--SEED 1", "nearest is seed"),
        ("--precision FP32", "nearest is fp32"),
        ("--seed 010", "--seed: YAML reads 010 as 8; write a number without a leading 0"),
        ("--max_steps 1:30", "--max_steps: YAML reads 1:30 as 90"),
        ('--vit_config {"a":1,"a":2}', "--vit_config: a stands there twice (first in line 1); keep one"),
    ],
)
def test_a_mistyped_command_is_refused_with_what_to_type(words: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_command_line(words.split())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_two_values_of_what_may_be_a_token_are_not_shown() -> None:
    with pytest.raises(InputError) as error:
        parse_command_line(["--hub_token", "hf_one", "--hub_token", "hf_two"])
    assert "twice" in str(error.value) and "hf_" not in str(error.value)


@pytest.mark.parametrize("text", ["runs/a #1", "007", "2024-01-01", "a: b", "1_0", "yes", "1e3", "Gesichter \u00fc"])
def test_a_setting_that_is_text_is_taken_as_it_was_typed(text: str) -> None:
    for words in (["--output_dir", text], [f"--output_dir={text}"], ["--output_dir", f"'{text}'"]):
        assert str(parse_command_line(words).recipe.output_dir) == text
    assert parse_command_line(["--checkpoint", "null"]).recipe.checkpoint is None
    with pytest.raises(InputError, match="--output_dir holds a character that cannot be shown: 'a.nb'"):
        parse_command_line(["--output_dir", "a\nb"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nflip: 0\nseed: 2\n", r"bad.yaml, line 3: seed stands there twice \(first in line 1\); keep one"),
        ("vit_config: {a: 1, a: 2}\n", "bad.yaml, line 1: a stands there twice"),
        ("seed: 1\nmax_steps: 010\n", "bad.yaml, line 2: YAML reads 010 as 8"),
        ("1: 2\n", "bad.yaml: 1 is not the name of a setting"),
        ("seed: 2024-99-99\n", "bad.yaml cannot be read: a value is not of the type that it says"),
        (f"seed: {'9' * 5000}\n", "bad.yaml cannot be read: a number of more than 4,000 characters"),
        (f"vit_config: {'[' * 400}\n", "bad.yaml cannot be read: "),
        ("seed: 1\n\tmax_steps: 2\n", "bad.yaml cannot be read: while scanning .*, line 2"),
    ],
    ids=range(8),
)
def test_a_recipe_file_that_is_not_plain_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        parse_command_line([str(tmp_path / "bad.yaml")])
    assert "\n" not in str(error.value)


def test_the_name_of_a_repository_is_not_cut_at_a_comment() -> None:
    assert parse_command_line(["--publish", "me/faces #1", "--evaluate_test"]).publish == "me/faces #1"


def test_a_merge_key_may_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "merged.yaml").write_text("<<: {seed: 3, image_size: 48}\nseed: 4\n")
    recipe = parse_command_line([str(tmp_path / "merged.yaml")]).recipe
    assert (recipe.seed, recipe.image_size) == (4, 48)


def test_replaced_words_have_one_value_for_each_setting() -> None:
    words = ["quickstart", "--output_dir=a", "--evaluate_test", "--seed", "1", "--flip", "0", "--output-dir", "b"]
    expected = ["quickstart", "--evaluate_test", "--flip", "0", "--seed", "7", "--output_dir", "c"]
    assert replaced(words, seed=7, output_dir="c") == expected


def test_saved_settings_are_a_recipe_that_gives_the_same_settings(tmp_path: Path) -> None:
    recipe = parse_command_line(["--cutmix", "0.5", "--mix_off_epoch", "2", "--max_steps", "9"]).recipe
    recipe.save(tmp_path / "recipe.yaml")
    assert parse_command_line([str(tmp_path / "recipe.yaml")])[0].settings() == recipe.settings()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_loads_and_its_header_says_what_it_promises(path: Path) -> None:
    recipe_from(load_yaml(path), path.name)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for word in ("# command: accelerate launch train_hf.py", "# expected: ", "# seeds: ", "# machine: ", "# time: "):
        assert any(line.startswith(word) for line in header), f"{path.name} has no {word!r} line"


def test_a_recipe_file_that_is_not_a_mapping_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(["image_size"]))
    with pytest.raises(InputError, match=r"bad\.yaml"):
        parse_command_line([str(tmp_path / "bad.yaml")])


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    words = ["--max_steps", "1e3", "--output_dir", "7", "--lr_scheduler_kwargs", "{min_lr: 1e-6, name: 1e-x}"]
    recipe = parse_command_line([*words, "--vit_config", "{layer_norm_eps: 1e-6}"]).recipe
    assert recipe.trainer["max_steps"] == 1000 and isinstance(recipe.trainer["max_steps"], int)
    assert recipe.trainer["lr_scheduler_kwargs"] == {"min_lr": 1e-6, "name": "1e-x"}
    assert recipe.vit_config == {"layer_norm_eps": 1e-6} and recipe.output_dir == Path("7")
    with pytest.raises(InputError, match="max_steps is '15e-1'; it must be -1 or a whole number"):
        parse_command_line(["--max_steps", "15e-1"])


def test_a_tilde_is_the_home_folder_in_every_setting_that_is_a_path(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("data_path", "checkpoint", "face_detector", "output_dir"):
        settings = parse_command_line([f"--{name}=~/x"]).recipe.settings()
        assert settings[name] == str(tmp_path / "x")
    assert parse_command_line(["--checkpoint", "timm/vit~1"]).recipe.checkpoint == "timm/vit~1", "any other text stays"
    with pytest.raises(InputError, match="data_path is '~nobody-here/x', and this machine has no such home folder"):
        parse_command_line(["--data_path", "~nobody-here/x"])


def test_names_are_listed_with_commas_or_as_yaml() -> None:
    for words in ("happy,neutral,sad", "happy, neutral, sad", "[happy, neutral, sad]"):
        assert parse_command_line(["--classes", words]).recipe.classes == ["happy", "neutral", "sad"]


def test_only_a_setting_that_is_true_or_false_needs_no_value() -> None:
    recipe = parse_command_line(["--evaluate_test", "--logging_first_step", "--tf32", "--flip", "0"]).recipe
    assert recipe.evaluate_test is recipe.trainer["logging_first_step"] is recipe.trainer["tf32"] is True


def test_text_that_reads_as_a_whole_number_is_one_for_our_settings_too() -> None:
    recipe = parse_command_line(["--drawn_faces", "1e4", "--cutmix", "1e-1", "--flip", "1"]).recipe
    assert (recipe.drawn_faces, recipe.cutmix, recipe.flip) == (10_000, 0.1, 1.0)
    assert type(recipe.drawn_faces) is int and type(recipe.flip) is float


def test_an_evaluation_before_the_first_step_is_refused() -> None:
    with pytest.raises(InputError, match="eval_on_start.*early stopping"):
        parse_command_line(["--eval_on_start", "true"])
