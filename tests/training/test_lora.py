"""LoRA: only adapters and head are trained, saved, averaged and resumed; merged and adapter answer alike."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification

from hub.server.engine import load_model
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.run_folder import read_json, verify
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.settings.recipe import Recipe
from pipeline.training.adapter import write_adapter
from pipeline.training.checkpoint_files import find_checkpoint
from pipeline.training.depthwise import keep_in_fp32
from pipeline.training.lora import _targets, adapter_tensors, in_words, load_adapter, merged, save_adapter
from pipeline.training.model import build_for_training, build_model
from pipeline.training.optimizer import layer_decay_of, parameter_groups
from pipeline.training.output_dir import begin, find_run
from pipeline.training.saving import save_classifier
from tests.conftest import TINY, write_recipe
from tests.families import FAMILIES, Family, _timm
from tests.training.test_model import save_timm
from train_hf import main

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
POOLED = {"img_size": 32, "patch_size": 8, "depth": 2, "global_pool": "avg", "class_token": False}


def native(folder: Path, tiny: Callable[..., Recipe]) -> None:
    """A ViT of transformers with weights so large that a small change of them changes the scores."""
    model, processor = build_model(tiny(seed=7))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    save_classifier(model, processor, folder)


BASES: dict[str, Callable[[Path, Any], object]] = {
    "transformers": native,
    "timm, converted": lambda folder, _: save_timm(folder, model_args={"img_size": 32, "patch_size": 8, "depth": 2}),
    "timm": lambda folder, _: _timm("vit_tiny_patch16_224", **POOLED)(folder),
}


@pytest.fixture(params=BASES)
def of_each(request: pytest.FixtureRequest, tmp_path: Path, tiny) -> Callable[..., Recipe]:
    """A recipe with LoRA on a small checkpoint of each kind, which is at `tmp_path/base`."""
    BASES[request.param](tmp_path / "base", tiny)
    return lambda **settings: tiny(**{"checkpoint": str(tmp_path / "base"), "lora_rank": 4} | settings)


@pytest.fixture
def of(tmp_path: Path, tiny) -> Callable[..., Recipe]:
    """A recipe with LoRA on a small ViT of transformers, which is at `tmp_path/base`."""
    native(tmp_path / "base", tiny)
    return lambda **settings: tiny(**{"checkpoint": str(tmp_path / "base"), "lora_rank": 4} | settings)


def stirred(recipe: Recipe) -> tuple[Any, Any]:
    """The model with adapters that are no longer zero, and its processor."""
    model, processor = build_for_training(recipe, "cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    return model.eval(), processor


def logits(model: torch.nn.Module, seed: int = 0) -> torch.Tensor:
    pictures = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return model.eval()(pixel_values=pictures).logits


def on_base(base: Path, adapter: Path) -> torch.nn.Module:
    """An adapter on the checkpoint as clients load it."""
    config = AutoConfig.from_pretrained(adapter)
    bare = AutoModelForImageClassification.from_pretrained(base, config=config, ignore_mismatched_sizes=True)
    return PeftModel.from_pretrained(bare, adapter).eval()


# What is trained


def test_only_adapters_and_head_have_gradients(of_each) -> None:
    recipe = of_each()
    model, _ = build_for_training(recipe, "cpu")
    model(pixel_values=torch.randn(4, 3, 32, 32)).logits.square().sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {name for name, p in model.named_parameters() if p.requires_grad}
    kinds = {"lora" if ".lora_" in name else name.split(".modules_to_save.default.")[1] for name in trained}
    assert kinds == {"lora", "weight", "bias"}
    before, _ = build_model(replace(recipe, lora_rank=0))
    assert torch.allclose(logits(model), logits(before), atol=1e-6), "new adapters change nothing"


def test_a_frozen_batch_norm_keeps_its_statistics(tiny) -> None:
    recipe = tiny(architecture="resnet10t", vit_config={}, lora_rank=2, lora_targets=["layer4.0.conv1"])
    model, _ = build_for_training(recipe, "cpu")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()(pixel_values=torch.randn(4, 3, 32, 32))
    assert before and all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_layer_decay_is_off_by_default_and_lowers_the_rate_of_low_adapters_where_it_is_set(of_each) -> None:
    model, _ = build_for_training(of_each(), "cpu")
    assert layer_decay_of(model, None, 32) == 1
    groups = parameter_groups(model, 1.0, 0.05, 0.5, 32)
    assert {group["lr"] for group in groups} == {1.0, 0.5, 0.25}, "head, second block, first block"
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in model.parameters() if p.requires_grad
    )


def test_drop_path_acts_inside_the_adapted_model(of) -> None:
    model, _ = build_for_training(of(drop_path=0.9), "cpu")
    pictures = torch.randn(4, 3, 32, 32)
    one, two = (model.train()(pixel_values=pictures).logits for _ in range(2))
    assert not torch.equal(one, two) and torch.equal(logits(model), logits(model))


# What is saved


@pytest.mark.parametrize("targets", [None, "all"])
def test_merged_and_adapter_answer_alike_and_other_than_the_base(of_each, tmp_path: Path, targets: str | None) -> None:
    recipe = of_each()
    if targets:
        is_timm = "timm" in build_model(recipe)[0].config.model_type
        recipe = replace(recipe, lora_targets=["qkv", "attn.proj", "fc1", "fc2"] if is_timm else ALL)
    model, processor = stirred(recipe)
    save_classifier(model, processor, tmp_path / "run")
    write_adapter(model, tmp_path / "run")
    root = AutoModelForImageClassification.from_pretrained(tmp_path / "run")
    adapter = on_base(tmp_path / "base", tmp_path / "run" / "adapter")
    assert (logits(root) - logits(model)).abs().max() < 1e-5
    assert (logits(adapter) - logits(root)).abs().max() < 1e-5
    with adapter.disable_adapter():
        assert (logits(adapter) - logits(root)).abs().max() > 1e-2
    assert list(adapter.config.id2label.values()) == list(CLASSES)


def test_what_is_folded_into_the_saved_classifier_is_in_the_adapter_too(of_each, tmp_path: Path) -> None:
    model, processor = stirred(of_each())
    save_classifier(model, processor, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "model.safetensors")
    colder = {name: t / 2 if name.rpartition(".")[0] in ("classifier", "head") else t for name, t in weights.items()}
    save_file(colder, tmp_path / "run" / "model.safetensors", metadata={"format": "pt"})
    write_adapter(model, tmp_path / "run")
    apart = logits(on_base(tmp_path / "base", tmp_path / "run" / "adapter")) - logits(model) / 2
    assert apart.abs().max() < 1e-5


def test_equal_adapters_give_equal_bytes(of, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_adapter(build_for_training(of(lora_targets=ALL), "cpu")[0], tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and b'base_model_name_or_path": null' in one["adapter_config.json"]
    assert json.loads(one["adapter_config.json"])["target_modules"] == sorted(ALL)


def test_a_saved_adapter_of_other_layers_is_not_read(of, tmp_path: Path) -> None:
    save_adapter(build_for_training(of(), "cpu")[0], tmp_path)
    with pytest.raises(ValueError, match="is not the adapter of this model"):
        load_adapter(build_for_training(of(lora_targets=["fc1"]), "cpu")[0], tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps with LoRA, its recipe `lora.yaml` and its checkpoint `base` beside it."""
    folder = tmp_path_factory.mktemp("lora")
    native(folder / "base", lambda **settings: recipe_from(TINY | {"output_dir": "-"} | settings, "test"))
    made = {"checkpoint": str(folder / "base"), "lora_rank": 4, "learning_rate": 0.1, "max_steps": 4}
    made |= {"save_strategy": "steps", "save_steps": 2, "output_dir": str(folder / "run")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "1")
        main([str(write_recipe(folder / "lora.yaml", **made))])
    return folder / "run"


def test_a_run_has_the_merged_model_at_its_root_and_a_sealed_adapter_beside_it(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    root = AutoModelForImageClassification.from_pretrained(run)
    assert (logits(on_base(finished.parent / "base", run / "adapter")) - logits(root)).abs().max() < 1e-5
    assert not (run / "adapter_config.json").exists(), "from_pretrained would load the base"
    environment = read_json(run / "environment.json")
    assert environment["trained_parameters"] == 1255 and environment["layer_decay"] == 1
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= environment["sha256"].keys()
    assert str(finished.parent) not in (run / "adapter" / "adapter_config.json").read_text()
    adapters, whole = (
        (run / name).stat().st_size for name in ("adapter/adapter_model.safetensors", "model.safetensors")
    )
    assert adapters < whole / 5
    (run / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter_config.json was changed since the run was sealed"):
        verify(run)


def test_the_console_says_what_is_trained(of) -> None:
    model, _ = build_for_training(of(), "cpu")
    said = "lora: rank 4 beside 4 layers (q_proj, v_proj), and the whole head: 1,255 of 24,135 parameters are trained"
    assert in_words(model) == said
    assert sum(p.numel() for p in merged(model).parameters()) == 24135


# Averages, best checkpoint, resume

STEPS = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 9, "lora_dropout": 0.2}


def test_averages_are_those_of_adapters_and_head_only(of, trainer_of) -> None:
    trainer = trainer_of(of(ema_decay=0.5, **STEPS))
    trainer.train()
    moving = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert trainer.ema.average.keys() == moving and len(moving) == 10
    saved = load_file(Path(trainer.state.best_model_checkpoint) / "ema.safetensors")
    now = dict(trainer.model.named_parameters())
    assert saved.keys() == moving and all(torch.equal(now[name], saved[name]) for name in moving), "the best, averaged"


def test_best_checkpoint_and_resume_are_exact(of, trainer_of) -> None:
    recipe = of(ema_decay=0.0, cutmix=0.5, **STEPS)
    whole, resumed = trainer_of(recipe, "whole"), trainer_of(recipe, "resumed")
    whole.train()
    best = load_file(Path(whole.state.best_model_checkpoint) / "adapter_model.safetensors")
    assert all(torch.equal(best[name], tensor) for name, tensor in adapter_tensors(whole.model).items())
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-2"))
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    first = build_for_training(recipe, "cpu")[0]
    assert not torch.equal(logits(first), logits(whole.model))
    assert not list(Path(whole.args.output_dir).rglob("model.safetensors")), "the base is not saved again"


@pytest.mark.slow
def test_activation_checkpointing_trains_the_same_adapters(of, trainer_of) -> None:
    recipe = of(ema_decay=0.0, **STEPS | {"lora_dropout": 0.0})
    plain, sparing = (
        trainer_of(recipe, "plain"),
        trainer_of(replace(recipe, trainer=recipe.trainer | {"activation_checkpointing": True}), "sparing"),
    )
    plain.train(), sparing.train()
    first = build_for_training(recipe, "cpu")[0]
    assert (logits(plain.model) - logits(sparing.model)).abs().max() < 1e-5
    assert (logits(plain.model) - logits(first)).abs().max() > 1e-3


def test_an_interrupted_run_with_other_settings_does_not_offer_an_adapter_to_start_from(
    finished: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / ".unfinished").mkdir()
    (run / "recipe.yaml").rename(run / ".unfinished" / "recipe.yaml")
    (run / "evaluation.json").unlink()
    recipe = recipe_from(load_yaml(run / ".unfinished" / "recipe.yaml") | {"output_dir": str(run)}, "test")
    assert find_run(recipe, resume=True).checkpoint == run / "checkpoint-4"
    with pytest.raises(InputError, match="an interrupted run with other settings") as error:
        find_run(replace(recipe, lora_alpha=3), resume=True)
    assert "--checkpoint" not in str(error.value)
    (run / "checkpoint-4" / "adapter_model.safetensors").write_bytes(b"cut")
    assert find_run(recipe, resume=True).damaged == ("checkpoint-4",)


def test_a_run_is_not_resumed_beside_other_frozen_weights(of, tmp_path: Path) -> None:
    """A checkpoint holds only the adapters, and would fit them."""
    recipe = of()
    begin(find_run(recipe, resume=False), recipe, 1, False, {}).release()
    assert find_run(recipe, resume=True).path == recipe.output_dir
    weights = load_file(tmp_path / "base" / "model.safetensors")
    save_file(
        weights | {"vit.layernorm.bias": weights["vit.layernorm.bias"] + 1}, tmp_path / "base" / "model.safetensors"
    )
    with pytest.raises(InputError, match="began with other files of checkpoint .*base: model.safetensors changed"):
        find_run(recipe, resume=True)


# What is refused

ONE = {"lora_rank": 4}
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"lora_targets": ["query", "value"]},
        "no layer of this model is called 'query'; it has fc1, fc2, k_proj, o_proj,",
    ),
    ({"lora_targets": ["q_proj", "vproj"]}, "no layer of this model is called 'vproj'; it has fc1"),
    ({"lora_targets": ["all-linear"]}, "no layer of this model is called 'all-linear'"),
    ({"lora_targets": ["q_proj", "classifier"]}, "classifier is the classifier, which is trained in full"),
    ({"lora_targets": ["attention"]}, "attention names vit.layers.0.attention too, a ViTAttention"),
    ({"lora_targets": ["layernorm_before"]}, "a LayerNorm; name layers of fc1"),
    ({"lora_rank": 33}, "lora_rank is 33, and vit.layers.0.attention.q_proj has rank 32 at most: lower it"),
    ({"lora_rank": 10**9}, "has rank 32 at most"),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED)
def test_targets_and_ranks_that_do_not_fit_the_model_are_refused(of, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        build_for_training(of(**settings), "cpu")
    assert "\n" not in str(error.value)


def test_a_depthwise_layer_with_a_stride_is_named_and_not_offered() -> None:
    layers = {"a.conv": nn.Conv2d(4, 4, 1), "b.conv": nn.Conv2d(4, 4, 3, stride=2, groups=4), "c.fc": nn.Linear(4, 4)}
    model = nn.ModuleDict({name.replace(".", "_"): nn.ModuleDict({name[2:]: each}) for name, each in layers.items()})
    keep_in_fp32(model)
    with pytest.raises(InputError) as error:
        _targets(model, set(), ["conv"])
    assert str(error.value) == (
        "lora_targets: conv names b_conv.conv too, a depthwise Conv2d with a stride; name layers of a_conv.conv, fc"
    )


def test_what_fits_no_model_is_refused_before_one_is_opened(tiny) -> None:
    for settings, said in [
        ({"lora_rank": -1}, "lora_rank is -1; it must be a whole number of at least 0"),
        ({"lora_rank": 4, "lora_alpha": 0}, "lora_alpha is 0; it must be a number above 0"),
        ({"lora_rank": 4, "lora_dropout": 1}, "lora_dropout is 1; it must be a number"),
        ({"lora_rank": 4, "freeze": "backbone"}, "freeze backbone trains only the classifier, lora_rank adapters too"),
        ({"lora_targets": ["q_proj"]}, "lora_targets is .*, and LoRA is off: set --lora_rank"),
        ({"lora_alpha": 8}, "lora_alpha is 8.*, and LoRA is off"),
        ({"lora_rank": 4, "lora_targets": []}, "lora_targets: name a layer, or set null"),
        ({"lora_rank": 4, "lora_targets": "q_proj,"}, "lora_targets: name a layer, or set null"),
    ]:
        with pytest.raises(InputError, match=said):
            tiny(**settings)


def test_a_layer_whose_weights_are_used_without_calling_it_is_refused(tiny, tmp_path: Path) -> None:
    """BEiT of timm computes with the weights of `qkv`, and SigLIP's pooling with those of `out_proj`."""
    beit: Family = Family(
        _timm("beit_base_patch16_224", img_size=32, patch_size=8, depth=1, embed_dim=24, num_heads=2), False
    )
    beit.save(tmp_path / "beit")
    with pytest.raises(InputError, match="uses the weights of timm_model.blocks.0.attn.qkv without calling the layer"):
        build_for_training(tiny(checkpoint=str(tmp_path / "beit"), vit_config={}, lora_rank=2), "cpu")
    FAMILIES["siglip"].save(tmp_path / "siglip")
    siglip = {"checkpoint": str(tmp_path / "siglip"), "vit_config": {}, "image_size": 64, "lora_rank": 2}
    with pytest.raises(InputError, match="out_proj names .*head.attention.out_proj too, a NonDynamically"):
        build_for_training(tiny(**siglip, lora_targets=["out_proj"]), "cpu")


FITTING = [name for name in FAMILIES if not name.startswith("timm/")]


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_every_family_is_adapted_or_says_what_it_has(name: str, tiny, tmp_path: Path) -> None:
    family = FAMILIES[name]
    family.save(tmp_path / "base")
    settings = {"checkpoint": str(tmp_path / "base"), "vit_config": {}, "image_size": family.size, "lora_rank": 1}
    try:
        model, processor = build_for_training(tiny(**settings), "cpu")
    except InputError as error:
        assert "lora_targets: name layers to adapt; this model has " in str(error) or "without calling" in str(error)
        return
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    pictures = torch.randn(2, 3, family.size, family.size)
    save_classifier(model, processor, tmp_path / "run")
    root = AutoModelForImageClassification.from_pretrained(tmp_path / "run").eval()
    with torch.inference_mode():
        assert (root(pixel_values=pictures).logits - model.eval()(pixel_values=pictures).logits).abs().max() < 1e-4
    assert merged(model).state_dict().keys() == root.state_dict().keys()


# Folders that hold an adapter


def an_adapter(folder: Path, of: Callable[..., Recipe]) -> Path:
    """`adapter/` of a run, with its config.json and processor."""
    model, processor = build_for_training(of(), "cpu")
    save_classifier(model, processor, folder)
    write_adapter(model, folder)
    return folder / "adapter"


def test_an_adapter_is_no_model_to_any_of_our_loaders(of, tmp_path: Path) -> None:
    run = tmp_path / "run"
    adapter = an_adapter(run, of)
    named = json.loads((adapter / "adapter_config.json").read_text()) | {"base_model_name_or_path": "someone/vit"}
    (adapter / "adapter_config.json").write_text(json.dumps(named))

    def refused(said: str, folder: Path) -> None:
        for load in (lambda: find_checkpoint(str(folder)), lambda: load_model(str(folder), threads=1)):
            with pytest.raises(InputError, match=said) as error:
                load()
            assert "\n" not in str(error.value)

    only = "adapter is only a PEFT adapter of someone/vit, without its base model: give the folder of the run"
    refused(only, adapter)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")  # a pickle, which nobody opens
    refused(only, adapter)
    (adapter / "config.json").unlink()
    refused(only, adapter)
    (adapter / "adapter_config.json").unlink()
    refused("adapter is only a PEFT adapter, without", adapter)
    find_checkpoint(str(run)), load_model(str(run), threads=1)
    (adapter / "adapter_model.bin").rename(run / "adapter_model.safetensors")
    refused("run holds a PEFT adapter beside a model, and only one of them would be used", run)
    (run / "adapter_model.safetensors").unlink()
    (run / "adapter_config.json").write_text("{}")
    refused("run holds adapter_config.json without an adapter beside a model, .*: delete that file", run)
