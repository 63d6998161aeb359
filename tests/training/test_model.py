import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import ViTForImageClassification, pipeline

from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.training.conversion import timm_to_vit, vit_config_of_timm
from pipeline.training.model import add_drop_path, backbone, build_for_training, build_model
from pipeline.training.optimizer import parameter_groups
from pipeline.training.saving import save_classifier

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def save_timm(folder: Path, size: int = 32, classes: int = 11, **config: object) -> torch.nn.Module:
    """A timm ViT of two layers as its Hub folder: config.json and model.safetensors."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", depth=2, img_size=size, patch_size=8, num_classes=classes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    cfg = {"input_size": [3, size, size], "mean": MEAN, "std": STD}
    about = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": classes,
        "global_pool": "token",
        "pretrained_cfg": cfg,
    }
    (folder / "config.json").write_text(json.dumps(about | config))
    return model.eval()


def test_a_timm_vit_becomes_a_native_one_exactly(tmp_path: Path, tiny) -> None:
    theirs = save_timm(tmp_path / "timm").double()
    ours, processor = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    assert isinstance(ours, ViTForImageClassification)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    cls = ours.double().eval().vit(images).last_hidden_state[:, 0]
    assert (cls - theirs.forward_head(theirs.forward_features(images), pre_logits=True)).abs().max() == 0
    assert (list(processor.image_mean), list(processor.image_std)) == (MEAN, STD)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_base_patch32_224", "vit_large_patch16_224"])
def test_every_value_of_a_timm_vit_is_kept_under_the_names_of_transformers(name: str, tmp_path: Path) -> None:
    theirs = timm.create_model(name, depth=2, img_size=64, num_classes=5).eval()
    state = theirs.state_dict()
    converted = timm_to_vit(state)
    assert sum(t.numel() for t in converted.values()) == sum(t.numel() for t in state.values())
    config = vit_config_of_timm(state, {"input_size": [3, 64, 64]})
    config.num_labels = 5
    config.save_pretrained(tmp_path)
    save_file(converted, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, report = ViTForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(ours.eval()(images).logits, theirs(images), atol=1e-5)


def test_another_input_size_resamples_the_position_embeddings(tmp_path: Path, tiny) -> None:
    save_timm(tmp_path / "timm", size=32)
    model, _ = build_model(tiny(checkpoint=str(tmp_path / "timm"), image_size=64))
    assert model.config.image_size == 64
    assert model.vit.embeddings.position_embeddings.shape == (1, 1 + 8 * 8, 192)
    assert model(torch.randn(1, 3, 64, 64)).logits.shape == (1, 7)


def test_a_saved_model_names_its_classes_and_loads_in_a_pipeline_with_scores_that_sum_to_one(tmp_path, tiny) -> None:
    model, processor = build_model(tiny())
    model.save_pretrained(tmp_path / "saved"), processor.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["problem_type"] == "single_label_classification"
    assert list(config["label2id"]) == list(CLASSES)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8))
    scores = pipeline("image-classification", model=str(tmp_path / "saved"), top_k=7)(picture)
    assert {s["label"] for s in scores} == set(CLASSES)
    assert sum(s["score"] for s in scores) == pytest.approx(1, abs=1e-5)


def test_a_run_folder_is_a_checkpoint_whose_head_is_kept_for_the_same_classes(tmp_path, tiny) -> None:
    model, processor = build_model(tiny())
    model.save_pretrained(tmp_path / "run"), processor.save_pretrained(tmp_path / "run")
    again, _ = build_model(tiny(checkpoint=str(tmp_path / "run"), seed=5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    fewer, _ = build_model(tiny(checkpoint=str(tmp_path / "run"), classes=["happiness", "sadness"]))
    assert fewer.classifier.out_features == 2
    assert torch.equal(fewer.vit.layers[1].mlp.fc1.weight, model.vit.layers[1].mlp.fc1.weight)


def test_a_timm_cnn_from_scratch_is_a_second_path(tmp_path, tiny) -> None:
    model, processor = build_model(tiny(architecture="resnet10t"))
    model.save_pretrained(tmp_path / "cnn"), processor.save_pretrained(tmp_path / "cnn")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    loaded = pipeline("image-classification", model=str(tmp_path / "cnn"), top_k=7)
    assert sum(s["score"] for s in loaded(picture)) == pytest.approx(1, abs=1e-5)
    direct = model.eval()(processor(picture, return_tensors="pt")["pixel_values"]).logits.softmax(-1)[0]
    scores = {s["label"]: s["score"] for s in loaded(picture)}
    assert [scores[c] for c in CLASSES] == pytest.approx(direct.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "vit_large_patch16_224", "vit_huge_patch14_224"])
def test_a_timm_vit_of_any_size_keeps_its_heads(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, depth=1)
    config = vit_config_of_timm(model.state_dict(), {"input_size": [3, 224, 224]})
    assert config.num_attention_heads == model.blocks[0].attn.num_heads


@pytest.mark.parametrize(
    ("architecture", "other"),
    [
        ("resnet10t", {}),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}),
        ("vit_tiny_patch16_224", {"num_heads": 6}),
        ("vit_tiny_patch16_224", {"act_layer": "relu"}),
    ],
)
def test_other_models_than_a_plain_vit_stay_timm_models(
    architecture: str, other: dict[str, Any], tmp_path: Path, tiny
) -> None:
    small = {} if architecture == "resnet10t" else {"depth": 2, "patch_size": 8, "img_size": 32} | other
    theirs = timm.create_model(architecture, num_classes=11, **small)
    timm.models.save_for_hf(theirs, tmp_path / "timm", model_args={"num_classes": 11, **small}, safe_serialization=True)
    model, _ = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    images = torch.randn(2, 3, 32, 32)
    ours = model.eval().timm_model.forward_features(images)
    assert torch.equal(ours, theirs.eval().forward_features(images))
    assert model(images).logits.shape == (2, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "vit_tiny_patch16_224", "image_size": 64}, "image_size 64 does not fit this model: .*224"),
        ({"vit_config": {"depth": 2}}, "vit_config: depth is not a field of transformers' ViTConfig"),
        ({"vit_config": {"hiden_size": 48}}, "hiden_size is not a field .*; the nearest is hidden_size"),
        ({"vit_config": {"layer_norm_eps": "small"}}, "vit_config .* is not a valid ViTConfig: "),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_before_the_first_step(settings: dict, message: str, tiny) -> None:
    with pytest.raises(InputError, match=message) as error:
        build_model(tiny(**settings))
    assert "\n" not in str(error.value)


def test_the_same_seed_gives_the_same_weights(tiny) -> None:
    a, b, c = (build_model(tiny(seed=s))[0] for s in (1, 1, 2))
    assert torch.equal(a.classifier.weight, b.classifier.weight)
    assert not torch.equal(a.classifier.weight, c.classifier.weight)


def test_a_linear_probe_trains_only_the_classifier(tiny) -> None:
    model, _ = build_model(tiny(freeze="backbone"))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}


def test_layer_decay_falls_from_the_classifier_to_the_embeddings_and_spares_what_should_not_decay(tiny) -> None:
    model, _ = build_model(tiny())
    names = {id(p): n for n, p in model.named_parameters()}
    groups = parameter_groups(model, 1.0, 0.05, 0.5, 32)
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found.keys() == set(names.values())
    assert found["classifier.weight"] == (1.0, 0.05)
    assert found["vit.layernorm.weight"] == (1.0, 0.0)
    assert found["vit.layers.1.mlp.fc1.weight"] == (0.5, 0.05)
    assert found["vit.layers.0.mlp.fc1.bias"] == (0.25, 0.0)
    assert found["vit.embeddings.patch_embeddings.projection.weight"] == (0.125, 0.05)
    assert found["vit.embeddings.cls_token"] == found["vit.embeddings.position_embeddings"] == (0.125, 0.0)


def test_layer_decay_of_a_timm_cnn_comes_from_timm(tiny) -> None:
    model, _ = build_model(tiny(architecture="resnet10t"))
    groups = parameter_groups(model, 1.0, 0.05, 0.5, 32)
    assert max(g["lr"] for g in groups) == 1.0 and min(g["lr"] for g in groups) < 0.2
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))


def test_drop_path_skips_whole_blocks_only_in_training_and_is_not_saved(tiny) -> None:
    model, _ = build_model(tiny())
    images = torch.randn(64, 3, 32, 32)
    before = model.eval()(images).logits
    add_drop_path(model, 0.5)
    assert torch.equal(model.eval()(images).logits, before)
    last = model.vit.layers[-1]
    seen: list[torch.Tensor] = []
    last.register_forward_hook(lambda layer, args, output: seen.append((output - args[0]).abs().amax((1, 2))))
    model.train()(images)
    assert 10 < int((seen[0] == 0).sum()) < 54
    assert "drop" not in json.dumps({k: v for k, v in model.config.to_dict().items() if "path" in k})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: None, "does not exist"),
        (lambda d: d.mkdir(), "no config.json"),
        (lambda d: (save_timm(d), (d / "model.safetensors").rename(d / "model.bin")), "is a pickle"),
        (lambda d: d.write_bytes(b"x"), "is a file"),
        (lambda d: (save_timm(d), (d / "model.safetensors").write_bytes(b"x" * 50)), "cannot be read as safetensors"),
        (lambda d: (save_timm(d), (d / "config.json").write_text("{")), "cannot be read"),
        (lambda d: (save_timm(d), (d / "config.json").write_text("{}")), "neither a timm architecture"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_used_is_named(make, message: str, tmp_path: Path, tiny) -> None:
    make(tmp_path / "ckpt")
    with pytest.raises(InputError, match=message) as error:
        build_model(tiny(checkpoint=str(tmp_path / "ckpt")))
    assert "ckpt" in str(error.value)


def test_weights_of_other_shapes_than_the_config_are_refused(tmp_path: Path, tiny) -> None:
    model, processor = build_model(tiny())
    model.save_pretrained(tmp_path / "run"), processor.save_pretrained(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(InputError, match="do not fit its config"):
        build_model(tiny(checkpoint=str(tmp_path / "run")))


def test_an_image_size_that_is_not_a_multiple_of_the_patch_is_refused(tmp_path: Path, tiny) -> None:
    save_timm(tmp_path / "timm")
    with pytest.raises(InputError, match="multiple of the checkpoint's patch"):
        build_model(tiny(checkpoint=str(tmp_path / "timm"), image_size=36))


def test_an_image_size_that_is_not_a_multiple_of_the_patch_is_refused_without_a_checkpoint_too(tiny) -> None:
    with pytest.raises(InputError, match="image_size 36 is not a multiple of the patch_size 8"):
        build_model(tiny(image_size=36))


def test_a_hub_id_without_network_is_one_line(tiny) -> None:
    with pytest.raises(InputError, match="could not be downloaded from the Hub") as error:
        build_model(tiny(checkpoint="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"))
    assert "\n" not in str(error.value)


# Where a model has its parts


class Wrapped(torch.nn.Module):
    """A model as PEFT wraps it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.base_model = model

    def get_base_model(self) -> torch.nn.Module:
        return self.base_model


def test_the_parts_of_a_native_vit_are_known_inside_an_adapter_too(tiny) -> None:
    model, _ = build_model(tiny())
    for given in (model, Wrapped(model)):
        parts = backbone(given)
        assert parts.is_native_vit and parts.blocks == tuple(model.vit.layers) and parts.timm is None
        groups = parameter_groups(given, 1.0, 0.0, 0.5, 32)
        assert {group["lr"] for group in groups} == {1.0, 0.5, 0.25, 0.125}


def test_a_timm_model_is_not_a_native_vit(tiny) -> None:
    model, _ = build_model(tiny(architecture="resnet10t"))
    for given in (model, Wrapped(model)):
        parts = backbone(given)
        assert parts.timm is model.timm_model and not parts.is_native_vit
    with pytest.raises(InputError, match="drop_path works with a native ViT, not with TimmWrapper"):
        add_drop_path(model, 0.1)


@pytest.mark.parametrize(
    ("attention", "device", "kernel"),
    [("auto", "cpu", "eager"), ("auto", "cuda", "sdpa"), ("sdpa", "cpu", "sdpa"), ("eager", "cuda", "eager")],
)
def test_auto_attention_is_eager_on_a_cpu(tiny, attention: str, device: str, kernel: str) -> None:
    model, _ = build_for_training(tiny(attention=attention), device)
    assert model.config._attn_implementation == kernel


def test_a_timm_model_is_built_for_training_without_an_attention_kernel(tiny) -> None:
    model, _ = build_for_training(tiny(architecture="resnet10t"), "cpu")
    assert backbone(model).timm is not None


def test_a_cnn_is_trained_in_channels_last_order_on_a_cpu_and_a_vit_and_other_devices_keep_theirs(tiny) -> None:
    def build(device: str, **settings: object) -> torch.nn.Module:
        return build_for_training(tiny(**settings), device)[0].eval()

    def is_channels_last(model: torch.nn.Module) -> bool:
        kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
        return all(p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in kernels)

    cnn = {"architecture": "mobilenetv1_100", "vit_config": {}}
    ours, plain = build("cpu", **cnn), build("cuda", **cnn)
    assert is_channels_last(ours) and not is_channels_last(plain) and not is_channels_last(build("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    pictures = torch.randn(2, 3, 32, 32)
    assert torch.allclose(ours(pixel_values=pictures).logits, plain(pixel_values=pictures).logits, atol=1e-5)


@pytest.mark.parametrize("architecture", ["mobilenetv1_100", "tf_mobilenetv3_small_100"])
def test_depthwise_convolutions_with_a_stride_stay_in_fp32_under_autocast_on_a_cpu(tiny, architecture: str) -> None:
    def outputs(device: str) -> dict[tuple[bool, bool], set[torch.dtype]]:
        model, _ = build_for_training(tiny(architecture=architecture, vit_config={}), device)
        seen: dict[tuple[bool, bool], set[torch.dtype]] = {}
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                kind = (module.groups > 1, module.stride[0] > 1)
                module.register_forward_hook(lambda _m, _i, out, kind=kind: seen.setdefault(kind, set()).add(out.dtype))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(pixel_values=torch.randn(2, 3, 32, 32))
        return seen

    only_bf16, only_fp32 = {torch.bfloat16}, {torch.float32}
    others = {(True, False): only_bf16, (False, False): only_bf16, (False, True): only_bf16}
    assert outputs("cpu") == others | {(True, True): only_fp32}
    assert outputs("cuda") == others | {(True, True): only_bf16}


def test_a_timm_vit_with_the_recipe_s_classes_keeps_its_head_also_without_a_pretrained_cfg(
    tmp_path: Path, tiny
) -> None:
    names = list(tiny().classes)
    theirs = save_timm(tmp_path / "timm", classes=len(names), label_names=names)
    ours, _ = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    assert torch.equal(ours.classifier.weight, theirs.head.weight)
    old = json.loads((tmp_path / "timm/config.json").read_text())
    del old["pretrained_cfg"]  # as in older files, which leave the size to the weights
    values = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3}
    for name, content in {"config.json": old, "preprocessor_config.json": values}.items():
        (tmp_path / "timm" / name).write_text(json.dumps(content), encoding="utf-8-sig")  # begins with a mark
    again, _ = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), again.parameters(), strict=True))
    save_timm(tmp_path / "timm", classes=len(names), label_names=names[::-1])
    other, _ = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    assert not torch.equal(other.classifier.weight, theirs.head.weight)


def test_the_provenance_of_a_timm_vit_stays_with_the_native_one(tmp_path: Path, tiny) -> None:
    save_timm(tmp_path / "timm", provenance={"origin": "a package", "licence": "MIT"})
    model, processor = build_model(tiny(checkpoint=str(tmp_path / "timm")))
    save_classifier(model, processor, tmp_path / "run")
    again, _ = build_model(tiny(checkpoint=str(tmp_path / "run")))
    assert model.config.provenance == again.config.provenance == {"origin": "a package", "licence": "MIT"}
