"""What one source teaches about another: the cells are what separate probes say, and odd data are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.studies.cross_source import METRICS, UNSEEN, Probe, Seen, crossed, main
from pipeline.training.features import classification_layer, features
from pipeline.training.model import build_model
from pipeline.training.transforms import from_bytes, normalize
from tests.data.folders import fill


def seen(sources: dict[str, int], seed: int, turn: dict[str, int] | None = None) -> Seen:
    """Three classes apart in six features; `turn` gives a source other names for its classes."""
    random = np.random.default_rng(seed)
    parts = []
    for source, count in sources.items():
        label = random.integers(0, 3, count)
        place = 4 * np.eye(6, dtype=np.float32)[label] + random.normal(size=(count, 6)).astype(np.float32)
        parts.append((place, (label + (turn or {}).get(source, 0)) % 3, np.full(count, source)))
    return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def test_a_source_with_other_names_for_its_classes_teaches_the_others_nothing() -> None:
    rows = {"a": 100, "b": 100, "c": 100}
    turned = {"c": 1}
    result = crossed(seen(rows, 0, turned), seen(rows, 1, turned), 3, 50, 0)
    accuracy = {
        on: {of: cell["accuracy"]["value"] for of, cell in cells.items()} for on, cells in result["trained_on"].items()
    }
    assert min(accuracy["a"]["a"], accuracy["a"]["b"], accuracy["b"]["a"], accuracy["c"]["c"]) > 0.9
    assert max(accuracy["a"]["c"], accuracy["c"]["a"], accuracy["all but c"]["c"]) < 0.1
    assert accuracy["all but b"]["a"] > accuracy["all but b"]["b"] - 0.3
    assert result["own"] == pytest.approx(np.mean([accuracy[name][name] for name in "abc"]))
    others = [accuracy[a][b] for a in "abc" for b in "abc" if a != b]
    assert result["other"] == pytest.approx(np.mean(others))
    assert result["kept"] == pytest.approx(result["other"] / result["own"])
    less = result["trained_on"]["c"]["a"]["less_than_own"]
    assert less["high"] < -0.8 and less["value"] == pytest.approx(accuracy["c"]["a"] - accuracy["a"]["a"])
    cell = result["trained_on"]["a"]["b"]
    assert cell["n"] == 100 and all(cell[name]["low"] <= cell[name]["value"] <= cell[name]["high"] for name in METRICS)
    assert result["train_rows"] == {"a": 100, "b": 100, "c": 100, "all": 300} | {f"all but {n}": 200 for n in "abc"}


def test_two_sources_have_no_row_of_all_but_one() -> None:
    rows = {"a": 60, "b": 60}
    assert list(crossed(seen(rows, 0), seen(rows, 1), 3, 20, 0)["trained_on"]) == ["a", "b", "all"]


def test_a_class_that_a_probe_has_not_seen_is_never_its_answer() -> None:
    train = seen({"a": 90}, 0)
    logits = Probe(train.take(train.label != 1), 3).logits(train)
    assert (logits[:, 1] == UNSEEN).all() and set(logits.argmax(1)) == {0, 2}


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        ({"a": 90}, {"a": 90}, "the data have one source"),
        ({"a": 90, "b": 29}, {"a": 90, "b": 90}, "b has 29 train rows; at least 30"),
        ({"a": 90, "b": 90}, {"a": 90}, "b has 0 clean validation rows"),
        ({"a": 90, "b": 90}, {"a": 90, "b": 90, "c": 40}, "c has 0 train rows"),
    ],
)
def test_sources_that_say_nothing_are_refused(train: dict[str, int], validation: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        crossed(seen(train, 0), seen(validation, 1), 3, 20, 0)


def test_a_source_of_one_class_is_refused() -> None:
    train, validation = seen({"a": 90, "b": 150}, 0), seen({"a": 90, "b": 90}, 1)
    with pytest.raises(InputError, match="b has one class only"):
        crossed(train.take((train.source == "a") | (train.label == 0)), validation, 3, 20, 0)


@pytest.mark.parametrize("architecture", ["vit", "resnet10t"])
def test_features_are_the_input_of_the_last_layer(architecture: str) -> None:
    small = {"num_hidden_layers": 2} if architecture == "vit" else {}
    recipe = Recipe(architecture=architecture, image_size=32, vit_config=small, geometry="whole_picture")
    model, processor = built = build_model(recipe)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    table = Dataset.from_dict({"pixels": [one.tobytes() for one in pixels]})
    found = features(built, table, "features")
    values = normalize(torch.from_numpy(pixels).float() / 255, processor.image_mean, processor.image_std)
    with torch.inference_mode():
        expected = model.eval()(pixel_values=values).logits
        logits = classification_layer(model)(torch.from_numpy(found))
        changed = features(built, table, "features", lambda pictures, _: pictures.flip(-1))
    assert torch.allclose(logits, expected, atol=1e-5)
    mirrored = Dataset.from_dict({"pixels": [np.flip(from_bytes(one), -1).tobytes() for one in table["pixels"]]})
    assert np.allclose(changed, features(built, mirrored, "features"), atol=1e-6)
    assert np.abs(changed - found).max() > 1e-4 * np.abs(found).max()


def test_the_command_writes_the_matrix_of_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for start, name in enumerate(("one", "two")):
        fill(tmp_path / name, 40, 40, start=2000 * start)
    sources = json.dumps([{"data_path": str(tmp_path / name)} for name in ("one", "two")])
    words = ["own_faces", "--sources", sources, "--data_path", "null", "--classes", "happiness,sadness"]
    words += ["--checkpoint", "null", "--image_size", "32", "--vit_config", '{"num_hidden_layers": 1}']
    words += ["--validation_share", "0.5", "--test_share", "0"]
    with pytest.raises(InputError, match="exists already"):
        main([*words, "--output_dir", str(tmp_path)])
    assert capsys.readouterr().out == "", "nothing is read before a folder is refused"
    main([*words, "--output_dir", str(tmp_path / "out")])
    result = json.loads((tmp_path / "out/cross_source.json").read_text(encoding="utf-8"))
    assert result["train_rows"]["all"] == 80 and set(result["validation_rows"].values()) == {40}
    assert (tmp_path / "out/cross_source.png").stat().st_size > 5000
    assert "sources not seen keep" in capsys.readouterr().out
