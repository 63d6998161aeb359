"""What is folded into the last layer of a saved classifier: every client sees it, whatever the family of the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from datasets import Dataset
from scipy.special import softmax
from torch import nn
from transformers import AutoModelForImageClassification, PreTrainedModel, pipeline

from pipeline.drawn.face import draw_face
from pipeline.training import prediction
from pipeline.training.last_layer import NotLinear, calibrate, fold
from pipeline.training.model import build_model
from pipeline.training.saving import save_classifier
from pipeline.training.transforms import map_pictures

SHIFT = np.linspace(-0.6, 0.6, 7)


def saved(folder: Path, tiny: Any, architecture: str, size: int = 32) -> Path:
    """A classifier with random weights in a folder of its own."""
    model, processor = build_model(tiny(architecture=architecture, image_size=size))
    save_classifier(model, processor, folder)
    return folder


def logits_of(folder: Path, size: int = 32) -> np.ndarray:
    """Logits (5, K) of the saved model for noise."""
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pictures = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        return model(pixel_values=pictures).logits.numpy()


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("vit", 32),
        ("test_resnet", 32),
        pytest.param("mobilenetv1_100", 32, marks=pytest.mark.slow),
        pytest.param("dla46_c", 64, marks=pytest.mark.slow),  # its last layer is a convolution
        pytest.param("resnetv2_18", 64, marks=pytest.mark.slow),  # so is this
        pytest.param("levit_conv_128s", 224, marks=pytest.mark.slow),  # two heads with norms, whose mean it answers
        pytest.param("test_convnext", 32, marks=pytest.mark.slow),
        pytest.param("test_efficientnet", 32, marks=pytest.mark.slow),
        pytest.param("deit_tiny_distilled_patch16_224", 224, marks=pytest.mark.slow),  # two heads
        pytest.param("cait_xxs24_224", 224, marks=pytest.mark.slow),
        pytest.param("swin_tiny_patch4_window7_224", 224, marks=pytest.mark.slow),
        pytest.param("densenet121", 64, marks=pytest.mark.slow),
    ],
)
def test_folded_logits_are_divided_and_shifted(architecture: str, size: int, tmp_path: Path, tiny: Any) -> None:
    folder = saved(tmp_path / "model", tiny, architecture, size)
    before, files = logits_of(folder, size), {p.name for p in folder.iterdir()}
    fold(folder, 2.5, SHIFT)
    wanted = before / 2.5 + SHIFT
    assert logits_of(folder, size) == pytest.approx(wanted, abs=1e-4 * max(1, np.abs(wanted).max()))
    assert {p.name for p in folder.iterdir()} == files, "nothing lies beside it"


def test_only_the_last_layer_changes(tmp_path: Path, tiny: Any) -> None:
    folder = saved(tmp_path / "model", tiny, "vit")
    before = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    fold(folder, 2.0)
    after = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"classifier.weight", "classifier.bias"} and "classifier.weight" in changed
    assert torch.equal(after["classifier.weight"], before["classifier.weight"] / 2), "division by 2 is exact"


class _Cosine(nn.Module):
    """A head whose logits do not follow the size of its weights."""

    def __init__(self, features: int, classes: int, **settings: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(features) @ nn.functional.normalize(self.weight).T


class _WithoutBias(nn.Linear):
    """A head without a bias."""

    def __init__(self, features: int, classes: int, **settings: Any) -> None:
        super().__init__(features, classes, bias=False)


class _OtherLinear:
    """`torch.nn`, in which a class stands for `Linear`."""

    def __init__(self, linear: type[nn.Module]) -> None:
        self.Linear = linear

    def __getattr__(self, name: str) -> Any:
        return getattr(nn, name)


def test_a_last_layer_that_is_not_linear_is_left_as_it_is(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm.layers.classifier, "nn", _OtherLinear(_Cosine))
    folder = saved(tmp_path / "model", tiny, "test_resnet")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(NotLinear, match="last layer of this timm_wrapper model is not linear"):
        fold(folder, 2.0)
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_last_layer_without_a_bias_takes_a_temperature_but_no_shift(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm.layers.classifier, "nn", _OtherLinear(_WithoutBias))
    folder = saved(tmp_path / "model", tiny, "test_resnet")
    before = logits_of(folder)
    fold(folder, 2.0)
    assert logits_of(folder) == pytest.approx(before / 2, abs=1e-5)
    with pytest.raises(NotLinear, match="is not linear with a bias"):
        fold(folder, shift=SHIFT)


@pytest.fixture
def labelled(tmp_path: Path, tiny: Any) -> tuple[Path, Dataset]:
    """A model with sharp random weights, and 80 faces whose labels are drawn from its scores at temperature 3."""
    folder = tmp_path / "sharp"
    model, processor = build_model(tiny())
    sharpened(model)
    save_classifier(model, processor, folder)
    faces = [draw_face(("anger", "happiness", "surprise", "fear")[i % 4], 3, i, 32) for i in range(80)]
    rows = {"image": faces, "key": [str(i) for i in range(80)], "target": [[1.0]] * 80}
    table = map_pictures(Dataset.from_dict(rows).cast_column("image", image_feature()), 32, "faces")
    scores = softmax(prediction.predict(folder, {"all": table}, 16, "cpu")["all"] / 3, axis=1)
    random = np.random.default_rng(0)
    label = (scores.cumsum(1) > random.random((80, 1))).argmax(1)
    target = np.eye(7, dtype=np.float32)[label].tolist()
    table = table.remove_columns("target").add_column("target", target).add_column("label", label.tolist())
    return folder, table


def image_feature() -> Any:
    from datasets import Image

    return Image()


def sharpened(model: PreTrainedModel) -> None:
    """Scores that differ much between pictures."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            if name == "classifier.weight":
                parameter.normal_(std=1.0)


def test_a_run_folds_the_temperature_of_its_validation_rows(
    labelled: tuple[Path, Dataset], tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = labelled
    before = prediction.predict(folder, {"all": table}, 16, "cpu")["all"]
    done = calibrate(folder, tiny(), table, 16, "cpu")
    assert done is not None and done.temperature == pytest.approx(3, rel=0.35) and done.rows == 80
    after = prediction.predict(folder, {"all": table}, 16, "cpu")["all"]
    assert after == pytest.approx(before / done.temperature, abs=1e-4)
    assert (after.argmax(1) == before.argmax(1)).all(), "no answer changes"
    assert "calibration: temperature" in capsys.readouterr().out


def test_a_run_folds_the_factors_and_summands_of_its_validation_rows(
    labelled: tuple[Path, Dataset], tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = labelled
    before = prediction.predict(folder, {"all": table}, 16, "cpu")["all"]
    factors, summands = np.linspace(0.5, 1.1, 7), np.linspace(-0.3, 0.3, 7)
    votes = torch.from_numpy(before * factors + summands).softmax(-1).numpy()  # so the planted numbers fit exactly
    table = table.remove_columns("target").add_column("target", votes.astype(np.float32).tolist())
    done = calibrate(folder, tiny(calibration="vector"), table, 16, "cpu")
    assert done is not None and done.factors == pytest.approx(factors, abs=0.02) and done.temperature is None
    after = prediction.predict(folder, {"all": table}, 16, "cpu")["all"]
    assert after == pytest.approx(before * np.array(done.factors) + np.array(done.summands), abs=1e-3)
    assert done.undone(after) == pytest.approx(before, abs=1e-2)
    assert "calibration: vector scaling from 80 validation rows" in capsys.readouterr().out


def test_pipeline_gives_the_calibrated_scores(labelled: tuple[Path, Dataset], tiny: Any) -> None:
    folder, table = labelled
    face = draw_face("anger", 3, 0, 32)
    scores = [{s["label"]: s["score"] for s in pipeline("image-classification", str(folder), top_k=7)(face)}]
    done = calibrate(folder, tiny(), table, 16, "cpu")
    scores.append({s["label"]: s["score"] for s in pipeline("image-classification", str(folder), top_k=7)(face)})
    assert done is not None and done.temperature is not None
    softer = {name: score ** (1 / done.temperature) for name, score in scores[0].items()}
    total = sum(softer.values())
    assert scores[1] == pytest.approx({name: score / total for name, score in softer.items()}, abs=1e-4)


def test_what_cannot_be_calibrated_is_said_and_stays(
    labelled: tuple[Path, Dataset], tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = labelled
    before = (folder / "model.safetensors").read_bytes()
    for rows, why in ((0, "has 0 rows"), (1, "has 1 rows"), (29, "has 29 rows")):
        done = calibrate(folder, tiny(), table.select(range(rows)), 16, "cpu")
        assert done is not None and done.temperature is None and why in done.skipped
        assert f"calibration: skipped, because validation {why}" in capsys.readouterr().out
    assert (folder / "model.safetensors").read_bytes() == before
    json.dumps(done.as_json())
