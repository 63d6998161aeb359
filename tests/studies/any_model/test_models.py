"""`--model`: a run, a folder of transformers or timm, an ONNX file; each on drawn faces, with a model made small."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from scipy.special import softmax
from timm.models import save_for_hf
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTModel,
)

from pipeline.errors import InputError
from pipeline.evaluation.predictions import read_predictions
from pipeline.expressions import CLASSES
from pipeline.run_folder import ROW_SETS
from pipeline.studies.any_model.onnx_file import prepared, read_description
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.studies.any_model.conftest import Judge, shares_of, write_scores

EIGHT = ["angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised", "contempt"]
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
         "image_size": 24, "patch_size": 8}  # fmt: skip
SIZE = 24
SECONDS = ["load the model", "read the data", "predict", "write predictions", "draw figures", "metrics with intervals",
           "baselines and pairs", "pages"]  # fmt: skip


@pytest.fixture
def data(faces: Path) -> tuple[object, ...]:
    return "--data_path", faces, "--near_copies", "false"


def vit(folder: Path, names: list[str], kind: type[PreTrainedModel] = ViTForImageClassification, **more: Any) -> Path:
    """A transformers folder with sharp random weights."""
    torch.manual_seed(0)
    model = kind(
        ViTConfig(**SMALL, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}, **more)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    return folder


def logits_in(out: Path) -> np.ndarray:
    return read_predictions(out / "predictions.parquet").logits


def test_a_run_gives_its_own_figures_again_exactly(publishable_run: Path, judge: Judge) -> None:
    from pipeline.evaluation.__main__ import main

    own = json.loads((publishable_run / "evaluation.json").read_text())
    out = publishable_run.parent / "again"
    main(["--model", str(publishable_run), "--output_dir", str(out)])
    again = json.loads((out / "evaluation.json").read_text())
    for name in own.keys() - {"sha256"}:
        assert again[name] == own[name], name
    assert {"official", "validation"} <= own.keys() & ROW_SETS.keys()
    assert np.array_equal(logits_in(out), logits_in(publishable_run))


def test_a_run_with_class_shares_in_its_bias_gives_its_own_figures_again(publishable_run: Path, tmp_path: Path) -> None:
    from hub.adjusted import adjusted
    from hub.run import load_run
    from pipeline.evaluation.__main__ import main

    made = adjusted(load_run(publishable_run), np.full(7, 1 / 7), 0.5, tmp_path)
    main(["--model", str(made.path), "--output_dir", str(tmp_path / "again")])
    again = json.loads((tmp_path / "again" / "evaluation.json").read_text())
    assert again["class_shares"]["tau"] == 0.5
    for name in made.evaluation.keys() - {"sha256"}:
        assert_alike(again[name], made.evaluation[name])
    np.testing.assert_allclose(logits_in(tmp_path / "again"), logits_in(made.path), atol=1e-5)


def assert_alike(one: Any, other: Any) -> None:
    """Equal but for rounding: logits are shifted in the last layer here, and after it there."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_alike(one[name], other[name])
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-4)
    elif isinstance(one, list) and one and isinstance(one[0], dict):
        for mine, theirs in zip(one, other, strict=True):
            assert_alike(mine, theirs)
    else:
        assert one == other


def test_a_run_on_other_rows_than_its_own_is_refused_until_a_split_is_named(
    publishable_run: Path, judge: Judge, data: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="without --split the data is read as the run read its own"):
        judge("--model", publishable_run, *data, "--source", "csv")
    with pytest.raises(InputError, match="a run names its classes"):
        judge("--model", publishable_run, "--model_classes", "a,b")
    with pytest.raises(InputError, match="not among those that the run evaluated"):
        judge("--model", publishable_run, "--drawn_faces", 140)
    evaluation = judge("--model", publishable_run, *data, "--source", "csv", "--split", "test")
    assert evaluation["official"]["n"] == 21
    said = capsys.readouterr().out
    assert "test rows are opened: they are for the figures of final models" in said
    seconds = next(line for line in said.splitlines() if line.startswith("seconds: "))
    parts = [part.strip().rpartition(" ") for part in seconds.split(": ")[2].split(",")]
    assert [name for name, _, _ in parts] == SECONDS
    total = float(seconds.split(": ")[1])
    assert sum(float(number) for *_, number in parts) == pytest.approx(total, abs=0.5)


def test_a_transformers_folder_with_contempt_and_other_names(
    judge: Judge, data: tuple[object, ...], tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = vit(tmp_path / "eight", EIGHT)
    evaluation = judge("--model", folder, *data)
    assert evaluation["official"]["n"] == 21 and evaluation["model"]["kind"] == "transformers"
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    pictures = [Image.open(faces / f"{n:02d}.png").convert("RGB") for n in range(21, 42)]
    with torch.inference_mode():
        own = model(**processor(pictures, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(logits_in(tmp_path / "judged"), own[:, :7], atol=1e-5)
    said = capsys.readouterr().out
    assert "contempt dropped" in said and "angry -> anger" in said and "ViTImageProcessor: do_resize True" in said
    assert "rows: n 21 of test" in said
    assert evaluation["by_person"]["official"]["persons"] == 6
    assert evaluation["clean"]["n"] == 21 and "clean_near" not in evaluation


def test_all_rows_and_the_pictures_to_look_at(judge: Judge, data: tuple[object, ...], tmp_path: Path) -> None:
    folder = vit(tmp_path / "seven", list(CLASSES))
    whole = judge("--model", folder, *data, "--split", "all", out="all")
    assert whole["all"]["n"] == 42 and "official" not in whole
    page = (tmp_path / "all" / "pictures.html").read_text()
    assert page.count("data:image/png") == 24 and "There are none" in page, "no votes, so nothing is disputed"
    report = (tmp_path / "all" / "index.html").read_text()
    assert "data:image" not in report and "always anger" in report and "of fewer than 30 rows" in report


def test_names_that_a_model_lacks_are_given_by_hand(judge: Judge, data: tuple[object, ...], tmp_path: Path) -> None:
    folder = vit(tmp_path / "numbered", [f"LABEL_{n}" for n in range(8)])
    with pytest.raises(InputError, match="'LABEL_0' is none of anger.*--model_classes"):
        judge("--model", folder, *data)
    named = judge("--model", folder, *data, "--model_classes", ",".join(EIGHT))
    assert named["model"]["classes"]["contempt"] is None
    with pytest.raises(InputError, match="lack 2 tensors of a ViTForImageClassification with 7 classes"):
        judge("--model", folder, *data, "--model_classes", ",".join(EIGHT[:7]), out="other")


def test_an_empty_name_is_refused_and_an_onnx_file_may_be_called_in_capitals(judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model is empty"):
        judge("--model", " ", "--data_path", tmp_path)
    path = network(tmp_path / "m.onnx").rename(tmp_path / "m.ONNX")
    edit_yaml(path, std=0)
    with pytest.raises(InputError, match=r"m\.yaml: scale must not be 0"):
        judge("--model", path, "--data_path", tmp_path / "no data")


def test_a_timm_folder_with_its_own_cut_and_values(judge: Judge, data: tuple[object, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=8, pretrained=False)
    folder = tmp_path / "timm"
    save_for_hf(model, folder, model_config={"label_names": EIGHT}, safe_serialization=True)
    evaluation = judge("--model", folder, *data)
    assert evaluation["model"]["kind"] == "timm" and evaluation["official"]["n"] == 21
    assert "crop_pct" in evaluation["model"]["preprocessing"]


@pytest.mark.slow
def test_timms_wrapper_of_transformers_gives_what_timms_own_folder_gives(
    judge: Judge, data: tuple[object, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    folder, wrapped = tmp_path / "timm", tmp_path / "wrapped"
    model = timm.create_model("test_resnet", num_classes=8, pretrained=False)
    save_for_hf(model, folder, model_config={"label_names": EIGHT}, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    config.pop("model_args", None)
    plain = shutil.copytree(folder, tmp_path / "plain")
    (plain / "config.json").write_text(json.dumps(config))
    AutoModelForImageClassification.from_pretrained(plain).save_pretrained(wrapped)
    own = judge("--model", folder, *data, out="own")
    words = ("--model", wrapped, *data, "--model_classes", ",".join(EIGHT))
    assert judge(*words)["official"] == own["official"]


def network(path: Path, layout: str = "NCHW", shares: bool = False, **change: Any) -> Path:
    """An ONNX file that flattens a picture of 8 x 6 px and multiplies it, and the yaml file beside it."""
    height, width, channels = 8, 6, change.get("count", 3)
    shape = [channels, height, width] if layout == "NCHW" else [height, width, channels]
    weights = np.random.default_rng(1).normal(0, 0.1, (height * width * channels, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["z" if shares else "y"]),
        *([helper.make_node("Softmax", ["z"], ["y"], axis=1)] if shares else []),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [change.get("batch", "b"), *s])
            for n, s in (("x", shape), ("y", [8]))]  # fmt: skip
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    fields = {
        "input_size": [height, width], "layout": layout, "channels": "RGB", "scale": 1 / 255, "mean": 0.5, "std": 0.25,
        "interpolation": "bilinear", "classes": EIGHT, "outputs": "probabilities" if shares else "logits",
    }  # fmt: skip
    path.with_suffix(".yaml").write_text(yaml.safe_dump(fields))
    return path


def edit_yaml(path: Path, **fields: Any) -> None:
    file = path.with_suffix(".yaml")
    kept = {n: v for n, v in (yaml.safe_load(file.read_text()) | fields).items() if v is not None}
    file.write_text(yaml.safe_dump(kept))


def test_an_onnx_file_of_probabilities_that_takes_two_pictures_at_once(
    judge: Judge, data: tuple[object, ...], tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = network(tmp_path / "m.onnx", shares=True, batch=2)
    evaluation = judge("--model", path, *data)
    described = read_description(path.with_suffix(".yaml"), path)
    pixels = np.stack([prepared(Image.open(faces / f"{n:02d}.png").convert("RGB"), described) for n in range(21, 42)])
    weights = numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    shares = softmax(pixels.reshape(21, -1) @ weights, axis=1)[:, :7]
    own = np.exp(logits_in(tmp_path / "judged"))
    np.testing.assert_allclose(own, shares / shares.sum(1, keepdims=True), atol=1e-5)
    assert evaluation["official"]["n"] == 21 and evaluation["model"]["classes"]["contempt"] is None
    assert "whole picture to 8 x 6 px (bilinear), RGB, NCHW" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_an_onnx_file_of_logits_gives_the_figures_of_one_of_probabilities(
    layout: str, judge: Judge, data: tuple[object, ...], tmp_path: Path
) -> None:
    plain = judge("--model", network(tmp_path / "logits.onnx", layout), *data, out="a")
    shares = judge("--model", network(tmp_path / "shares.onnx", layout, shares=True), *data, out="b")
    for name in ("accuracy", "nll", "brier", "auroc"):
        assert shares["official"][name]["value"] == pytest.approx(plain["official"][name]["value"], abs=1e-5)


@pytest.mark.parametrize("channels", ["RGB", "BGR", "gray"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_an_onnx_file_gets_pixels_as_its_yaml_says(layout: str, channels: str, tmp_path: Path) -> None:
    path = network(tmp_path / "m.onnx", layout, count=1 if channels == "gray" else 3)
    edit_yaml(path, channels=channels, scale=1.0, mean=[10.0] if channels == "gray" else [10.0, 20.0, 30.0], std=2.0)
    described = read_description(path.with_suffix(".yaml"), path)
    pixels = prepared(Image.new("RGB", (31, 17), (200, 100, 50)), described)
    assert pixels.shape == described.shape() and pixels.dtype == np.float32
    seen = pixels[:, 0, 0] if layout == "NCHW" else pixels[0, 0]
    expected = {"RGB": [95, 40, 10], "BGR": [20, 40, 85], "gray": [(124 - 10) / 2]}[channels]
    np.testing.assert_allclose(seen, expected)


def two_ends(path: Path, which: str) -> None:
    graph = onnx.load(path)
    if which == "input":
        graph.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, [1]))
    else:
        graph.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["b", 144]))
    onnx.save(graph, path)


def own_operator(path: Path) -> None:
    graph = onnx.load(path)
    graph.graph.node[1].domain = "com.somebody"
    graph.opset_import.append(helper.make_opsetid("com.somebody", 1))
    onnx.save(graph, path)


def outside(path: Path) -> None:
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)


BAD_ONNX: dict[str, tuple[Callable[[Path], None], str]] = {
    "no yaml": (lambda p: p.with_suffix(".yaml").unlink(), "needs m.yaml beside it, with input_size"),
    "no yaml mapping": (lambda p: p.with_suffix(".yaml").write_text("- 1"), "is not a mapping"),
    "broken yaml": (lambda p: p.with_suffix(".yaml").write_text("a: ["), "cannot be read"),
    "a field less": (lambda p: edit_yaml(p, layout=None, std=None), "lacks layout, std"),
    "an unknown field": (lambda p: edit_yaml(p, sdt=1), "unknown setting sdt"),
    "a wrong layout": (lambda p: edit_yaml(p, layout="NHCW"), "layout is 'NHCW'; it must be one of NCHW, NHWC"),
    "a word for a number": (
        lambda p: edit_yaml(p, mean="half"),
        "mean is 'half'; it must be a list of finite numbers or a numb",
    ),
    "no file": (lambda p: p.unlink(), "no such file"),
    "one side": (lambda p: edit_yaml(p, input_size=[8]), r"must be \[HEIGHT, WIDTH\]"),
    "another size": (lambda p: edit_yaml(p, input_size=[48, 48]), "its yaml says"),
    "the other layout": (lambda p: edit_yaml(p, layout="NHWC"), "its yaml says"),
    "gray for colour": (lambda p: edit_yaml(p, channels="gray"), "its yaml says"),
    "two means": (lambda p: edit_yaml(p, mean=[0.5, 0.5]), "mean has 2 numbers for 3 channels"),
    "std 0": (lambda p: edit_yaml(p, std=0), "std must be above 0"),
    "a class less": (lambda p: edit_yaml(p, classes=EIGHT[:7]), "names 7 classes"),
    "a field twice": (
        lambda p: p.with_suffix(".yaml").write_text(p.with_suffix(".yaml").read_text() + "std: 0.3\n"),
        r"m\.yaml, line \d+: std stands there twice",
    ),
    "a class twice": (lambda p: edit_yaml(p, classes=[*EIGHT[:7], "angry"]), "classes names one twice"),
    "two names of one class": (lambda p: edit_yaml(p, classes=[*EIGHT[:7], "anger"]), "are both anger"),
    "logits called probabilities": (lambda p: edit_yaml(p, outputs="probabilities"), "none below 0 and sum to 1"),
    "probabilities called logits": (
        lambda p: (network(p, shares=True), edit_yaml(p, outputs="logits")),
        "probabilities and not logits: write `outputs: probabilities` in its yaml",
    ),
    "no ONNX": (lambda p: p.write_bytes(b"no"), "cannot be read as ONNX|does not load"),
    "two inputs": (lambda p: two_ends(p, "input"), "has 2 inputs"),
    "two outputs": (lambda p: two_ends(p, "output"), "has 2 outputs"),
    "weights outside": (outside, "keeps weights in other files"),
    "its own operator": (own_operator, r"operators of its own \(com.somebody\)"),
}


@pytest.mark.parametrize("kind", BAD_ONNX)
def test_a_bad_onnx_file_or_yaml_is_refused_in_one_line(
    kind: str, judge: Judge, data: tuple[object, ...], tmp_path: Path
) -> None:
    path, (spoil, message) = network(tmp_path / "m.onnx"), BAD_ONNX[kind]
    spoil(path)
    with pytest.raises(InputError, match=message) as refused:
        judge("--model", path, *data)
    assert "\n" not in str(refused.value) and not (tmp_path / "judged").exists()


def test_bad_folders_are_refused_before_the_data_is_read(judge: Judge, tmp_path: Path) -> None:
    nowhere = ("--data_path", tmp_path / "no data")
    spoiled: dict[Path, str] = {
        vit(
            tmp_path / "headless", ["a", "b"], ViTModel
        ): "lack 2 tensors of a ViTForImageClassification with 2 classes",
        vit(tmp_path / "sigmoid", EIGHT, problem_type="multi_label_classification"): "problem_type is multi_label",
        vit(tmp_path / "twice", [*EIGHT[:7], "Anger"]): "are both anger",
        vit(tmp_path / "animals", ["cat", "dog"]): "'cat' is none of anger",
    }
    wrong_size = vit(tmp_path / "wrong size", EIGHT)
    ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(wrong_size)
    pickled = vit(tmp_path / "pickled", EIGHT)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    damaged = vit(tmp_path / "damaged", EIGHT)
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps(config | {"id2label": {"0": "angry", "2": "happy"}}))
    spoiled |= {
        wrong_size: "does not take pictures as its own image processor makes them",
        pickled: "is a pickle, which is never loaded",
        damaged: "does not name its classes",
        tmp_path / "none": "does not exist",
    }
    for folder, message in spoiled.items():
        with pytest.raises(InputError, match=message):
            judge("--model", folder, *nowhere)


@pytest.mark.slow
def test_scores_are_read_beside_pictures_too(judge: Judge, data: tuple[object, ...], tmp_path: Path) -> None:
    keys = [f"{n:02d}.png" for n in range(21, 42)]
    path = write_scores(tmp_path / "s.csv", list(CLASSES), shares_of(21, 7), keys)
    evaluation = judge("--model", path, *data)
    assert evaluation["official"]["n"] == 21 and evaluation["model"]["kind"] == "scores"
    assert (tmp_path / "judged" / "pictures.html").is_file()


def test_data_without_a_test_split_or_with_an_output_dir_in_it_is_refused(
    judge: Judge, faces: Path, tmp_path: Path
) -> None:
    from pipeline.evaluation.__main__ import main

    place = shutil.copytree(faces, tmp_path / "unsplit")
    lines = [line.split(",") for line in (place / "faces.csv").read_text().splitlines()]
    (place / "faces.csv").write_text("\n".join(f"{path},{label}" for path, label, *_ in lines))
    model = vit(tmp_path / "seven", list(CLASSES))
    words = ["--model", str(model), "--data_path", str(place), "--near_copies", "false"]
    with pytest.raises(InputError, match="no splits of its own, so there are no test rows: .* --split all"):
        judge(*words)
    with pytest.raises(InputError, match="is inside the data"):
        main([*words, "--output_dir", str(place / "out")])
    assert judge(*words, "--split", "all")["all"]["n"] == 42


@pytest.mark.slow
def test_a_model_of_the_hub_by_its_id(tmp_path: Path, faces: Path) -> None:
    folder = vit(tmp_path / "eight", EIGHT)
    with HubServer() as hub:
        hub.add_repo("anna/faces", {file.name: file.read_bytes() for file in folder.iterdir()})
        words = ["--model", "anna/faces", "--data_path", faces, "--near_copies", "false", "--output_dir"]
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.evaluation", *map(str, words), str(tmp_path / "out")],
            cwd=ROOT,
            env=hub.client_environment(tmp_path / "hf", None),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert "model: anna/faces (transformers), 8 classes" in done.stdout
