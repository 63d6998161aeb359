"""The ONNX graph of somebody else in `python -m pipeline.evaluation --model`: it ends, or it is given up."""

from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.studies.any_model import onnx_file
from pipeline.studies.any_model.classifier import probe
from pipeline.studies.any_model.onnx_file import open_onnx
from tests.hostile import files

DESCRIBED = {
    "input_size": [files.SIDE, files.SIDE],
    "layout": "NCHW",
    "channels": "RGB",
    "scale": 1 / 255,
    "mean": 0.5,
    "std": 0.5,
    "interpolation": "bilinear",
    "classes": list(CLASSES),
    "outputs": "logits",
}


def graph(tmp_path: Path, **how: object) -> Path:
    files.save_graph(file := tmp_path / "model.onnx", **how)
    file.with_suffix(".yaml").write_text(yaml.safe_dump(DESCRIBED))
    return file


def test_a_graph_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "BATCH_SECONDS", 0.3)
    monkeypatch.setattr(onnx_file, "SECONDS", 0.0)
    with pytest.raises(InputError, match=r"model .* does not take pictures as its yaml says: .*") as refused:
        probe(open_onnx(graph(tmp_path, endless=True)))
    assert "\n" not in str(refused.value)


def test_the_same_graph_with_an_end_answers(tmp_path: Path) -> None:
    probe(open_onnx(graph(tmp_path)))


@pytest.mark.parametrize(
    ("how", "reason"), [({"noise": 0.02}, "answers the same picture in two ways"), ({"scale": 0.0}, "does not look at")]
)
def test_a_graph_of_random_or_constant_answers_is_refused(how: dict, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        probe(open_onnx(graph(tmp_path, **how)))


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keeps weights in other files"):
        open_onnx(graph(tmp_path, outside="../../../../etc/passwd"))
