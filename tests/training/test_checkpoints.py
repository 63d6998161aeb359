"""Any checkpoint: its pixels, its head, its backbone and its files are honoured, or it is refused in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, ViTImageProcessor, pipeline

from hub.after_training import check_export
from hub.export import fp32, preprocessed
from hub.export.classifier import load_classifier
from hub.export.onnx_files import Batch
from hub.server.engine import load_model, to_scores
from pipeline.described_size import TENSORS_OF_HEADS, no_larger_than
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe
from pipeline.training import saving
from pipeline.training.checkpoint import open_checkpoint
from pipeline.training.head import head_parameters
from pipeline.training.model import build_model
from pipeline.training.plan import make_plan
from pipeline.training.prediction import answers_of_files
from pipeline.training.saving import check_clients, save_classifier
from tests.benchmarks.checkpoint_families import outcome
from tests.conftest import run_train_hf, write_recipe
from tests.families import FAMILIES, WITH_MLP

SIZE = 64
QUICK = ["mobilevit", "siglip", "deit, distilled", "timm/resnet10t", "timm/efficientvit_b0"]
"""One family of each kind, for the tests of every day; all of them are slow."""
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]


@pytest.fixture
def of(tmp_path: Path, tiny) -> Callable[..., Recipe]:
    """The recipe of a checkpoint that is written at `tmp_path/checkpoint`."""

    def make(**settings: object):
        return tiny(**{"checkpoint": str(tmp_path / "checkpoint"), "image_size": SIZE, "vit_config": {}} | settings)

    return make


def picture(height: int = 97, width: int = 131) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8))


# Every family


@pytest.mark.parametrize("name", EVERY)
def test_a_checkpoint_of_every_family_is_opened_and_only_its_last_layer_is_new(name: str, tmp_path, of) -> None:
    family = FAMILIES[name]
    theirs = family.save(tmp_path / "checkpoint")
    recipe = of(image_size=family.size)
    model, _ = open_checkpoint(make_plan(recipe))
    head = head_parameters(model)
    kept, saved = model.state_dict(), theirs.state_dict()
    assert head and all(len(kept[name]) == len(CLASSES) for name in head)
    prefix = "timm_model." if name.startswith("timm/") else ""
    of_backbone = {name.removeprefix(prefix): tensor for name, tensor in kept.items() if name not in head}
    if name.startswith("mobilevit"):  # its first convolution takes RGB now
        first = f"{name}.conv_stem.convolution.weight"
        of_backbone[first] = of_backbone[first][:, [2, 1, 0]]
    if name == "vit":
        of_backbone = {name.removeprefix("vit."): tensor for name, tensor in of_backbone.items()}
    unequal = [name for name, tensor in of_backbone.items() if not torch.equal(tensor, saved[name])]
    assert not unequal


@pytest.mark.parametrize("name", EVERY)
def test_a_frozen_backbone_keeps_every_tensor_and_every_buffer(name: str, tmp_path, of) -> None:
    family = FAMILIES[name]
    family.save(tmp_path / "checkpoint")
    model, _ = build_model(of(image_size=family.size, freeze="backbone"))
    head = head_parameters(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(moving, 0.1)
    for _ in range(2):
        model.train()
        model(pixel_values=torch.randn(4, 3, family.size, family.size)).logits.sum().backward()
        optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and changed <= head


# What a run saves


def sharp_cnn(of, folder: Path) -> tuple[transformers.PreTrainedModel, ViTImageProcessor]:
    """A CNN of timm, built from a checkpoint, that answers to small changes of a picture with large ones."""
    torch.manual_seed(0)
    theirs = timm.create_model("resnet10t", num_classes=5)
    save_for_hf(theirs, folder / "checkpoint", safe_serialization=True)
    model, processor = build_model(of())
    with torch.no_grad():
        model.timm_model.fc.weight.normal_(std=0.5)
    return model.eval(), processor


def test_every_client_sees_the_pixels_of_training_with_a_timm_cnn(tmp_path: Path, of) -> None:
    save_classifier(*sharp_cnn(of, tmp_path), tmp_path / "run")
    files = []
    for number, size in enumerate([(97, 131), (48, 48), (SIZE, SIZE), (300, 200)]):
        picture(*size).save(tmp_path / f"{number}.png")
        files.append(tmp_path / f"{number}.png")
    ours = answers_of_files(tmp_path / "run", {"all": files}, SIZE)["all"]
    assert np.ptp(ours, axis=0).max() > 0.2, "scores that hardly move prove nothing"
    theirs = {
        "pipeline()": by_pipeline(tmp_path / "run", files),
        "the server with torch": by_server(tmp_path / "run", files),
    }
    (tmp_path / "run" / "onnx").mkdir()
    fp32.FORMAT.write(load_classifier(tmp_path / "run"), tmp_path / "run" / "onnx" / "model.onnx")
    theirs["the server with onnxruntime"] = by_server(tmp_path / "run", files)
    apart = {name: float(np.abs(scores - ours).max()) for name, scores in theirs.items()}
    assert max(apart.values()) < 1e-4, apart
    with_preprocessing = tmp_path / preprocessed.FORMAT.file
    preprocessed.write(load_classifier(tmp_path / "run"), with_preprocessing)
    pictures = Batch([Image.open(file) for file in files], np.empty(0, np.float32))
    shares = np.exp(preprocessed.open_preprocessed(with_preprocessing)(pictures))
    assert np.abs(shares - ours).max() < 0.01


def by_pipeline(folder: Path, files: list[Path]) -> np.ndarray:
    classify = pipeline("image-classification", model=str(folder), top_k=len(CLASSES))
    answers = [{each["label"]: each["score"] for each in classify(str(file))} for file in files]
    return np.array([[answer[name] for name in CLASSES] for answer in answers])


def by_server(folder: Path, files: list[Path]) -> np.ndarray:
    model = load_model(str(folder))
    assert model.classes == CLASSES and model.size == (SIZE, SIZE)
    return to_scores(model.run(np.stack([model.prepare(np.asarray(Image.open(file))) for file in files])), "softmax")


def test_a_timm_cnn_that_was_trained_is_a_checkpoint_whose_head_is_kept(tmp_path: Path, of) -> None:
    model, processor = sharp_cnn(of, tmp_path)
    save_classifier(model, processor, tmp_path / "run")
    again, same = build_model(of(checkpoint=str(tmp_path / "run"), seed=5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert same.image_mean == processor.image_mean and same.image_std == processor.image_std


@pytest.mark.parametrize(
    "changed",
    [{"resample": 2}, {"do_normalize": False}, {"do_center_crop": True, "crop_size": {"height": 24, "width": 24}}],
    ids=str,
)
def test_a_processor_that_gives_clients_other_pixels_ends_the_run_before_its_first_step(changed, tiny) -> None:
    model, processor = build_model(tiny())
    for name, value in changed.items():
        setattr(processor, name, value)
    with pytest.raises(InputError, match="clients? get|client's pixels differ"):
        check_clients(model, processor)


def test_a_model_that_clients_cannot_load_ends_the_run_before_its_first_step(tiny) -> None:
    model, processor = build_model(tiny())
    model.config.hidden_size = 48  # not what its weights have
    with pytest.raises(InputError, match="cannot be saved and loaded again: ") as error:
        check_clients(model, processor)
    assert "\n" not in str(error.value)


def test_the_saved_model_is_asked_as_it_is_and_stays_in_training_mode(tiny) -> None:
    model, processor = build_model(tiny())
    check_clients(model.train(), processor)
    assert model.training
    assert saving.TOLERANCE == 1e-4


def test_the_checkpoint_is_looked_at_before_the_data_is_read(tmp_path: Path) -> None:
    made = {"source": "folder", "data_path": str(tmp_path / "no_data"), "checkpoint": str(tmp_path / "no_model")}
    ended = run_train_hf(str(write_recipe(tmp_path / "r.yaml", **made, output_dir=str(tmp_path / "run"))))
    assert ended.returncode == 2 and f"checkpoint {tmp_path}/no_model does not exist" in ended.stderr
    assert not (tmp_path / "run").exists()


# The values of pixels


@pytest.mark.parametrize(
    "kind",
    [
        {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]},
        {"do_normalize": False},
        {"do_normalize": False, "do_rescale": False},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3},
    ],
    ids=str,
)
def test_the_model_gets_the_values_that_its_own_processor_gives(kind: dict, tmp_path: Path, of) -> None:
    FAMILIES["convnext"].save(tmp_path / "checkpoint")
    own = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, resample=3, **kind)
    own.save_pretrained(tmp_path / "checkpoint")
    _, processor = build_model(of())
    expected = own(picture(), return_tensors="pt")["pixel_values"].float()
    given = processor(picture(), return_tensors="pt")["pixel_values"]
    assert torch.allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_mobilevit_wants_blue_first_and_sees_it_so(tmp_path: Path, of, capsys) -> None:
    theirs = FAMILIES["mobilevit"].save(tmp_path / "checkpoint")
    own = AutoImageProcessor.from_pretrained(tmp_path / "checkpoint")
    assert own.do_flip_channel_order
    model, processor = build_model(of())
    assert (list(processor.image_mean), list(processor.image_std)) == ([0.0] * 3, [1.0] * 3)
    pixels = processor(picture(), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        stem, expected = (m.mobilevit.conv_stem(p) for m, p in ((model.eval(), pixels), (theirs, pixels.flip(1))))
        wrong = theirs.mobilevit.conv_stem(pixels)
    assert torch.allclose(stem, expected, atol=1e-6)
    assert not torch.allclose(stem, wrong, atol=1e-4)
    assert "(MobileViTImageProcessor: do_resize True, size shortest_edge 224, " in capsys.readouterr().out


class Inverted(ViTImageProcessor):
    """Dark pixels become light."""

    def rescale_and_normalize(self, images, *args, **kwargs):
        return 1 - super().rescale_and_normalize(images, *args, **kwargs)


def test_a_processor_that_does_more_than_scale_is_refused(tmp_path: Path, of, monkeypatch) -> None:
    FAMILIES["convnext"].save(tmp_path / "checkpoint")
    monkeypatch.setattr(AutoImageProcessor, "from_pretrained", lambda *a, **k: Inverted())
    with pytest.raises(InputError, match=r"image processor \(Inverted\) does more to the values of pixels than scale"):
        build_model(of())


# The folders that people have


def vit(folder: Path, **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**WITH_MLP | settings, num_labels=5))
    model.save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)
    return model.eval()


def test_a_vit_model_without_a_head_is_loaded(tmp_path: Path, of) -> None:
    theirs = FAMILIES["vit"].save(tmp_path / "checkpoint")
    model, _ = build_model(of())
    pixels = torch.randn(1, 3, SIZE, SIZE)
    assert torch.allclose(model.eval().vit(pixels).last_hidden_state, theirs(pixels).last_hidden_state, atol=1e-6)


def test_shards_are_loaded(tmp_path: Path, of) -> None:
    theirs = vit(tmp_path / "checkpoint")
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    ViTImageProcessor().save_pretrained(tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    (model, _), (other, _) = build_model(of()), build_model(of(checkpoint=str(tmp_path / "sharded")))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    next((tmp_path / "sharded").glob("*.safetensors")).unlink()
    with pytest.raises(InputError, match="1 of its .* weight files are missing, first model-0"):
        build_model(of(checkpoint=str(tmp_path / "sharded")))


def test_the_position_embeddings_of_a_vit_that_is_not_square_are_resampled(tmp_path: Path, of) -> None:
    theirs = vit(tmp_path / "checkpoint", image_size=[64, 32])
    before = theirs.vit.embeddings.position_embeddings[0, 1:].reshape(4, 2, 32).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(before, (4, 4), mode="bicubic", antialias=True, align_corners=False)
    model, _ = build_model(of())
    now = model.vit.embeddings.position_embeddings[0, 1:].reshape(4, 4, 32).permute(2, 0, 1)[None]
    assert torch.allclose(now, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_vision_tower_of_two_is_taken_and_what_is_left_is_said(name: str, tmp_path: Path, of, capsys) -> None:
    theirs = FAMILIES[name].save(tmp_path / "checkpoint").state_dict()
    model, _ = build_model(of())
    ours = {name: tensor for name, tensor in model.state_dict().items() if "vision_model" in name}
    assert ours and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    said = capsys.readouterr().out
    assert "tensors are not part of the classifier: " in said and "text_model" in said


def edit_config(folder: Path, **fields: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def edit_processor(folder: Path, **fields: object) -> None:
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def with_nan(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def as_adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def in_numbers_of(dtype: torch.dtype, *names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors |= {name: (tensors[name] * 100).to(dtype) for name in names or tensors}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def with_one_more(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors") | {name: torch.ones(32)}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def with_a_prefix(folder: Path) -> None:
    """As `torch.nn.parallel` names tensors."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {f"module.{name}": tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def with_one_channel(folder: Path) -> None:
    shutil.rmtree(folder)
    vit(folder, num_channels=1)


def with_more_layers(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=1)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
REFUSED = [
    (lambda d: edit_config(d, quantization_config={"quant_method": "bitsandbytes"}), "quantised .*bitsandbytes"),
    (lambda d: (d / "model.safetensors").write_text(POINTER), "Git LFS pointer, .*git lfs pull"),
    (with_nan, "nan or infinite numbers, first in classifier.bias"),
    (lambda d: (d / "config.json").write_text("[1]"), "holds a list, not a JSON object"),
    (as_adapter, "only a PEFT adapter.*merge_and_unload"),
    (with_one_channel, r"takes pictures with 1 channel\(s\)"),
    (with_more_layers, "do not fit its config.json"),
    (lambda d: edit_config(d, model_type="unheard_of"), "does not load as an image classifier"),
    (
        lambda d: edit_config(d, model_type="unheard_of", auto_map={"AutoConfig": "code.Config"}),
        "needs Python code of its own, which is never run",
    ),
    (in_numbers_of(torch.int8), "weights are int8, first .* give the checkpoint in full precision"),
    (in_numbers_of(torch.int64, "vit.embeddings.cls_token"), "weights are int64, first vit.embeddings.cls_token"),
    (in_numbers_of(torch.float8_e4m3fn, "classifier.weight"), "weights are float8_e4m3fn, first classifier.weight"),
    (lambda d: edit_config(d, num_hidden_layers=10**7), "describes a far larger model"),
    (lambda d: edit_config(d, intermediate_size=10**9), "describes a far larger model"),
    (lambda d: edit_config(d, hidden_size="32"), "does not load as an image classifier: .*hidden_size.* expected int"),
    (lambda d: edit_config(d, id2label=["a", "b"]), "id2label in .* is a list; it must be a mapping"),
    (lambda d: edit_config(d, model_type="swin"), "does not load as an image classifier: .* says that it is a swin"),
    (lambda d: edit_config(d, model_type="bert"), "does not load as an image classifier: .*BertConfig"),
    (lambda d: edit_processor(d, image_mean=[0.5, float("nan"), 0.5]), "not finite: mend image_mean"),
    (lambda d: (d / "preprocessor_config.json").write_text("[]"), "preprocessor_config.json holds a list"),
    (lambda d: (d / "preprocessor_config.json").unlink(), "names no mean and std"),
    (lambda d: edit_processor(d, size={"height": 9**6, "width": 64}), "makes pictures of 531,441 px, and at most"),
    (lambda d: edit_processor(d, image_processor_type="Foo"), "preprocessor_config.json names no image processor"),
    (in_numbers_of(torch.complex64, "classifier.weight"), "weights are complex64, first classifier.weight: such"),
    (with_one_more("vit.layernorm.gamma"), "do not fit its config.json: 1 tensors, first vit.layernorm.gamma"),
    (with_a_prefix, "lack vit.embeddings.position_embeddings and have module.classifier.bias"),
    (lambda d: edit_config(d, id2label={"happy": 0}), "id2label in .* has 'happy' where the number of a class belongs"),
    (lambda d: edit_config(d, pretrained_cfg=[1]), "pretrained_cfg in .* is a list; it must be a mapping"),
    (lambda d: edit_config(d, image_size=[64, 64, 64]), "image_size .64, 64, 64. in its config.json is not one number"),
    (lambda d: edit_config(d, image_size=-64), "image_size -64 in its config.json is not one number"),
    (lambda d: edit_config(d, patch_size=0), "patch_size is 0; it must be one number"),
]


@pytest.mark.parametrize(("spoil", "cause"), REFUSED, ids=[cause for _, cause in REFUSED])
def test_a_folder_that_cannot_be_trained_is_refused_in_one_line_with_its_true_cause(
    spoil, cause: str, tmp_path: Path, of
) -> None:
    vit(tmp_path / "checkpoint")
    spoil(tmp_path / "checkpoint")
    with pytest.raises(InputError, match=cause) as error:
        build_model(of())
    assert "\n" not in str(error.value) and str(error.value).startswith(f"checkpoint {tmp_path}/checkpoint")


def test_fields_that_the_recipe_replaces_are_not_read(tmp_path: Path, of) -> None:
    vit(tmp_path / "checkpoint")
    edit_config(tmp_path / "checkpoint", dtype="float8_nonsense", num_labels=10**9)
    model, _ = build_model(of())
    assert model.config.num_labels == len(CLASSES) and model.dtype == torch.float32


@pytest.mark.parametrize("torchscript", [False, True])
def test_fields_about_other_outputs_than_the_logits_are_not_read(torchscript: bool, tmp_path: Path, of) -> None:
    vit(tmp_path / "checkpoint")
    edit_config(tmp_path / "checkpoint", return_dict=False, output_hidden_states=True, torchscript=torchscript)
    model, processor = build_model(of())
    check_clients(model, processor)


def test_a_tensor_of_another_task_in_the_embeddings_is_left(tmp_path: Path, of, capsys) -> None:
    vit(tmp_path / "checkpoint")
    with_one_more("vit.embeddings.mask_token")(tmp_path / "checkpoint")
    build_model(of())
    assert "1 tensors are not part of the classifier: vit" in capsys.readouterr().out


def test_batch_norms_without_their_counters_are_loaded_and_count_from_0(tmp_path: Path, of) -> None:
    theirs = FAMILIES["resnet"].save(tmp_path / "checkpoint").state_dict()
    file = tmp_path / "checkpoint" / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(file).items() if not name.endswith("num_batches_tracked")}
    save_file(kept, file, metadata={"format": "pt"})
    model, _ = build_model(of(geometry="whole_picture"))
    ours = model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in kept if not name.startswith("classifier"))
    assert {int(ours[name]) for name in ours.keys() - kept.keys()} == {0}


@pytest.mark.parametrize("pretrained", [{}, {"pretrained_cfg": None}], ids=["none", "null"])
def test_an_older_file_of_timm_without_pretrained_cfg_is_loaded(pretrained: dict, tmp_path: Path, of) -> None:
    theirs = FAMILIES["timm/resnet10t"].save(tmp_path / "checkpoint")
    file = tmp_path / "checkpoint" / "config.json"
    config = json.loads(file.read_text())
    del config["pretrained_cfg"]
    file.write_text(json.dumps(config | pretrained | {"mean": [0.4] * 3, "std": [0.5] * 3}))
    model, processor = build_model(of(geometry="whole_picture"))
    assert torch.equal(model.timm_model.conv1[0].weight, theirs.conv1[0].weight)
    assert list(processor.image_mean) == [0.4] * 3


def test_scores_that_are_not_finite_end_the_run_before_its_first_step(tiny) -> None:
    model, processor = build_model(tiny())
    torch.nn.init.constant_(model.classifier.bias, float("inf"))
    with pytest.raises(InputError, match="gives scores that are not finite: its weights or its config.json"):
        check_clients(model, processor)


def test_a_processor_in_processor_config_json_is_read(tmp_path: Path, of) -> None:
    FAMILIES["convnext"].save(tmp_path / "checkpoint")
    own = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, resample=3, image_mean=[0.4] * 3)
    (tmp_path / "checkpoint" / "preprocessor_config.json").unlink()
    held = {"image_processor": own.to_dict(), "processor_class": "CLIPProcessor"}
    (tmp_path / "checkpoint" / "processor_config.json").write_text(json.dumps(held))
    _, processor = build_model(of())
    assert list(processor.image_mean) == [0.4] * 3


@pytest.mark.parametrize("kind", ["Beit", "Data2VecVision"])
def test_a_model_that_keeps_what_it_computed_in_a_trial_can_still_be_trained(kind: str, tmp_path: Path, of) -> None:
    settings = WITH_MLP | {"use_relative_position_bias": True, "use_mean_pooling": True}
    config = getattr(transformers, f"{kind}Config")(**settings, num_labels=5)
    getattr(transformers, f"{kind}ForImageClassification")(config).save_pretrained(tmp_path / "checkpoint")
    ViTImageProcessor().save_pretrained(tmp_path / "checkpoint")
    model, _ = open_checkpoint(make_plan(of()))
    model.train()(pixel_values=torch.randn(2, 3, SIZE, SIZE)).logits.sum().backward()


def test_a_model_that_clients_were_asked_with_can_still_be_trained() -> None:
    settings = WITH_MLP | {"use_relative_position_bias": True, "use_mean_pooling": True}
    model = transformers.BeitForImageClassification(transformers.BeitConfig(**settings, num_labels=5))
    check_clients(model, ViTImageProcessor(do_resize=True, size={"height": SIZE, "width": SIZE}, resample=3))
    model.train()(pixel_values=torch.randn(2, 3, SIZE, SIZE)).logits.sum().backward()


def test_a_model_of_many_tiny_layers_is_larger_than_its_weights_too() -> None:
    with pytest.raises(InputError, match="describes a far larger model"), no_larger_than([1]):
        for _ in range(TENSORS_OF_HEADS):
            torch.nn.Linear(1, 1)


def test_the_classes_stand_in_the_config_of_a_timm_model_too(tmp_path: Path, of) -> None:
    save_classifier(*sharp_cnn(of, tmp_path), tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert list(config["id2label"].values()) == list(CLASSES) and "pretrained_cfg" not in config
    assert AutoConfig.from_pretrained(tmp_path / "run").id2label == dict(enumerate(CLASSES))
    assert AutoModelForImageClassification.from_pretrained(tmp_path / "run").config.num_labels == len(CLASSES)


def test_a_model_with_several_outputs_is_evaluated_by_its_logits(tmp_path: Path, of, trainer_of, on_cpu) -> None:
    config = transformers.DeiTConfig(**WITH_MLP | {"image_size": 32}, num_labels=5)
    transformers.DeiTForImageClassificationWithTeacher(config).save_pretrained(tmp_path / "checkpoint")
    ViTImageProcessor().save_pretrained(tmp_path / "checkpoint")
    trainer = trainer_of(of(image_size=32, max_steps=1))
    trainer.train()
    assert 0 <= trainer.evaluate()["eval_accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_trained_sealed_exported_and_answers_the_same(name: str, tmp_path: Path) -> None:
    cells = outcome(name, tmp_path, stage=False)
    assert cells[:2] == ["yes", "yes"] and all(float(apart) < 1e-4 for apart in cells[3:]), cells
    assert len(cells) == 6


def test_what_else_must_work_with_the_saved_model_is_tried_before_the_data_is_read(tiny) -> None:
    seen: list[set[str]] = []

    def check(folder: Path) -> None:
        seen.append({file.name for file in folder.iterdir()})
        raise InputError("torch cannot write it as ONNX")

    with pytest.raises(InputError, match="cannot write it as ONNX"):
        open_checkpoint(make_plan(tiny()), check)
    assert seen == [{"config.json", "model.safetensors", "preprocessor_config.json"}]


def test_a_model_that_torch_writes_as_onnx_passes_the_check_of_publishing(tmp_path: Path, tiny) -> None:
    save_classifier(*build_model(tiny()), tmp_path)
    check_export(tmp_path)
