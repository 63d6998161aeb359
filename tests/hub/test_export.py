"""What is exported answers as the run, or it is not published."""

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from datasets import Dataset
from PIL import Image, ImageOps
from scipy.special import softmax
from transformers import AutoModelForImageClassification

from hub.export import fp32, int8, onnx_files, preprocessed
from hub.export.classifier import Classifier, load_classifier
from hub.export.compare import Reference, compare, why_inaccurate
from hub.export.export import FORMATS, export_onnx
from hub.export.formats import Format
from hub.export.onnx_files import OPSET, Answer, Batch
from hub.run_data import drawn_faces
from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.run_folder import Run
from pipeline.settings.files import load_yaml, recipe_from
from tests.conftest import ROOT, Finished, run_train_hf, save_sharp_model, write_recipe

FILES = {format.name: format.file for format in FORMATS[:3]}
"""Those that take `pixel_values`."""
NAMES = [format.name for format in FORMATS]
# Of 15 rows one is seven points: here every int8 file is kept.
ANY_INT8 = (*FORMATS[:2], replace(int8.FORMAT, share=1.0, loss=1.0), preprocessed.FORMAT)


def run_of(path: Path) -> Run:
    """As `hub.run.load_run`, which wants test figures too."""
    read = [json.loads((path / f"{name}.json").read_text()) for name in ("evaluation", "curation", "environment")]
    return Run(path, json.loads((path / "config.json").read_text()), yaml.safe_load((path / "recipe.yaml").read_text()),
               *read)  # fmt: skip


def validation_of(path: Path) -> Dataset:
    recipe = recipe_from(load_yaml(path / "recipe.yaml"), "test")
    return curate(read_sources(recipe), recipe).splits["validation"]


@pytest.fixture(scope="module")
def run(finished_run: Finished) -> Run:
    return run_of(finished_run.path)


@pytest.fixture(scope="module")
def validation(run: Run) -> Dataset:
    return validation_of(run.path)


@pytest.fixture(scope="module")
def exported(run: Run, validation: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder `onnx` of the finished run, and what was returned."""
    folder = tmp_path_factory.mktemp("export") / "new"
    return folder / "onnx", export_onnx(run, folder, validation, ANY_INT8)


@pytest.fixture
def ready(exported: tuple[Path, dict[str, Any]]) -> tuple[Format, ...]:
    """Formats that copy the files of `exported` instead of exporting again: tests of what is measured and decided."""

    def copied(format: Format) -> Format:
        return replace(format, write=lambda _, path: shutil.copy(exported[0] / format.file, path))

    return tuple(copied(format) for format in ANY_INT8)


def changed(formats: tuple[Format, ...], name: str, **how: Any) -> tuple[Format, ...]:
    """The formats, one of them changed."""
    return tuple(replace(format, **how) if format.name == name else format for format in formats)


def answers(file: Path, pixels: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(file).run(["logits"], {"pixel_values": pixels})[0]


def test_the_files_have_the_names_that_transformers_js_asks_for(exported) -> None:
    folder, report = exported
    assert {p.name for p in folder.iterdir()} == {
        "model.onnx", "model_fp16.onnx", "model_quantized.onnx", "model_with_preprocessing.onnx", "export.json"
    }  # fmt: skip
    assert {p.name for p in folder.parent.iterdir()} == {"onnx"}, "nothing is left beside it"
    assert json.loads((folder / "export.json").read_text()) == report
    assert [file["precision"] for file in report["files"]] == NAMES
    assert report["left_out"] == {}
    assert all(file["bytes"] == (folder / file["file"]).stat().st_size for file in report["files"])


def test_the_report_measures_every_file_on_the_rows_of_the_run(exported, run: Run) -> None:
    own = run.evaluation["validation"]
    _, report = exported
    assert report["run_accuracy"]["value"] == pytest.approx(own["accuracy"]["value"], abs=1e-12)
    assert (report["measured_on"], report["clean_rows"]) == ("validation", own["n"])
    assert report["opset"] == OPSET
    assert report["versions"]["onnxruntime"] == onnxruntime.__version__
    for file, bound in zip(report["files"], (1e-4, 0.02, 0.2, 0.02), strict=True):
        assert file["n"] == report["rows"] >= own["n"]
        assert 0 < file["mean_difference"] < file["max_difference"] < bound
        assert file["agreement"] > 0.8
        assert file["accuracy"]["low"] < file["accuracy"]["value"] < file["accuracy"]["high"]
    differences = [file["max_difference"] for file in report["files"][:3]]
    assert differences == sorted(differences), "what is no rougher was not made"


def test_differences_are_of_probabilities(validation: Dataset) -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], dtype=np.float32))
    reference = Reference("faces", validation, logits + 5)
    moved = np.log(np.array([[0.4, 0.4, 0.2], [0.2, 0.2, 0.6]], dtype=np.float32))
    assert compare(logits, reference)["max_difference"] < 1e-6
    assert compare(moved, reference)["max_difference"] == pytest.approx(0.1, abs=1e-6)
    assert compare(moved, reference)["mean_difference"] == pytest.approx(0.2 / 6, abs=1e-6)
    assert compare(logits[:, [1, 0, 2]], reference)["agreement"] == 0.5


@pytest.mark.parametrize("name", FILES.values())
@pytest.mark.parametrize("batch", [1, 5])
def test_every_file_answers_as_torch_with_any_batch(exported, run: Run, name: str, batch: int) -> None:
    pixels = np.random.default_rng(batch).normal(size=(batch, 3, 32, 32)).astype(np.float32)
    model = AutoModelForImageClassification.from_pretrained(run.path)
    with torch.inference_mode():
        expected = model(pixel_values=torch.from_numpy(pixels)).logits.numpy()
    got = answers(exported[0] / name, pixels)
    assert (got.shape, got.dtype) == ((batch, 7), np.float32)
    assert np.abs(got - expected).max() < {"model.onnx": 1e-5, "model_fp16.onnx": 5e-3}.get(name, 0.1)


@pytest.mark.parametrize("name", FILES.values())
def test_every_file_is_one_valid_graph_of_the_stated_opset_with_float_at_both_ends(exported, name: str) -> None:
    folder, report = exported
    onnx.checker.check_model(folder / name, full_check=True)
    model = onnx.load(folder / name, load_external_data=False)
    assert not any(tensor.data_location for tensor in model.graph.initializer)
    assert [(o.domain, o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")] == [("", OPSET)]
    for value, shape in ((model.graph.input, ["batch", 3, 32, 32]), (model.graph.output, ["batch", 7])):
        assert len(value) == 1
        assert value[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert [axis.dim_param or axis.dim_value for axis in value[0].type.tensor_type.shape.dim] == shape
    (ends,) = (file for file in report["files"] if file["file"] == name)
    assert ends["input"] == {"name": "pixel_values", "shape": ["batch", 3, 32, 32], "dtype": "float32"}
    assert ends["output"] == {"name": "logits", "shape": ["batch", 7], "dtype": "float32"}


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, shape, np.uint8)).convert("RGB")


PICTURES = {
    "small and gray": noise(20, 20),
    "large": noise(6, 9, 3).resize((900, 600)),
    "wide": noise(97, 131, 3),
    "a line": noise(1, 70, 3),
    "the model's own size": noise(32, 32, 3),
    "drawn": draw_face("fear", 5, 0, size=224),
}


@pytest.fixture(scope="module", params=[2, 3], ids=["bilinear", "bicubic"])
def sharp(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Classifier, Answer]:
    """A model whose scores move much with its pixels, and the file with preprocessing of it."""
    folder = tmp_path_factory.mktemp("sharp")
    save_sharp_model(folder, 32)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"resample": request.param}))
    classifier = load_classifier(folder)
    preprocessed.write(classifier, folder / "made.onnx")
    return classifier, preprocessed.open_preprocessed(folder / "made.onnx")


@pytest.mark.parametrize("name", PICTURES)
def test_the_file_with_preprocessing_answers_as_the_image_processor_and_the_model(sharp, name: str) -> None:
    classifier, answer = sharp
    given = softmax(answer(Batch([PICTURES[name]], np.empty(0, np.float32))), axis=1)
    assert np.abs(given - softmax(classifier.logits([PICTURES[name]]), axis=1)).max() < 0.01


def test_the_file_with_preprocessing_takes_a_picture_and_gives_named_probabilities(exported) -> None:
    folder, report = exported
    session = onnxruntime.InferenceSession(folder / "model_with_preprocessing.onnx")
    picture = draw_face("fear", 5, 0, size=224)
    (shares,) = session.run(None, {"image": np.asarray(picture)})
    assert shares.shape == (7,) and shares.sum() == pytest.approx(1, abs=1e-6)
    assert report["files"][3]["input"] == {"name": "image", "shape": ["height", "width", 3], "dtype": "uint8"}
    assert report["files"][3]["output"] == {"name": "probabilities", "shape": [7], "dtype": "float32"}


class Pooled(torch.nn.Module):
    """A classifier whose graph has a `mean` and a `scale`, as those of CNNs do: torch names values after operations."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.linspace(0.5, 2, 21).reshape(3, 7))
        self.config = SimpleNamespace(id2label=dict(enumerate(CLASSES)), problem_type=None)

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=pixel_values.mean((2, 3)) @ self.scale)


def test_a_model_may_name_its_values_as_the_preprocessing_does(run: Run, tmp_path: Path) -> None:
    classifier = Classifier(Pooled(), load_classifier(run.path).processor)  # type: ignore[arg-type]
    names = {name for node in classifier.graph.graph.node for name in (*node.input, *node.output)}
    assert {"mean", "model.scale"} <= names
    preprocessed.write(classifier, tmp_path / "made.onnx")
    given = preprocessed.open_preprocessed(tmp_path / "made.onnx")(Batch([PICTURES["wide"]], np.empty(0, np.float32)))
    assert softmax(given, axis=1) == pytest.approx(softmax(classifier.logits([PICTURES["wide"]]), axis=1), abs=1e-3)


@pytest.mark.parametrize("settings", [{"resample": 1}, {"do_resize": False}, {"size": {"shortest_edge": 32}}], ids=str)
def test_a_processor_that_does_something_else_is_refused(settings: dict, run: Run, tmp_path: Path) -> None:
    classifier = load_classifier(run.path)
    for name, value in settings.items():
        setattr(classifier.processor, name, value)
    with pytest.raises(InputError, match=r"^preprocessor_config.json: the ONNX file can resize"):
        preprocessed.write(classifier, tmp_path / "made.onnx")


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_a_file_names_the_classes_in_the_order_of_its_outputs(exported, run: Run, format: Format) -> None:
    session = onnxruntime.InferenceSession(exported[0] / format.file)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == run.classes


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_no_file_has_a_node_or_weight_that_nothing_uses(exported, format: Format) -> None:
    graph = onnx.load(exported[0] / format.file).graph
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    assert [node.name for node in graph.node if not used & set(node.output)] == []
    assert [weight.name for weight in graph.initializer if weight.name not in used] == []


def test_fp16_and_int8_hold_their_weights_in_fewer_bits(exported) -> None:
    kinds = {}
    for precision, name in FILES.items():
        tensors = [t for t in onnx.load(exported[0] / name).graph.initializer if len(t.dims) == 2]
        kinds[precision] = {t.data_type for t in tensors}
    assert kinds["fp32"] == {onnx.TensorProto.FLOAT}
    assert kinds["fp16"] == {onnx.TensorProto.FLOAT16}
    assert kinds["int8"] == {onnx.TensorProto.INT8}
    weights = [t for t in onnx.load(exported[0] / FILES["int8"]).graph.initializer if t.data_type == 3 and t.dims]
    assert max(int(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max()) for t in weights) <= 64, "7 bits"


@pytest.mark.parametrize("name", [*(format.file for format in FORMATS), "export.json"])
def test_no_file_tells_of_the_machine_it_was_made_on(exported, run: Run, name: str) -> None:
    content = (exported[0] / name).read_bytes()
    private = [str(ROOT), str(Path.home()), str(run.path), socket.gethostname(), ".py", "stack_trace", "site-packages"]
    assert [word for word in private if len(word) > 2 and word.encode() in content] == []


def test_metadata_within_a_graph_within_a_node_goes_too() -> None:
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["a"], ["b"], doc_string="/disk/me")], "g", [], []
    )
    inner.node[0].metadata_props.add(key="trace", value="/disk/me")
    node = onnx.helper.make_node("If", ["c"], ["b"], then_branch=inner)
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "h", [], [], doc_string="/disk/me"))
    onnx_files.strip(model)
    assert b"/disk/me" not in model.SerializeToString()


def test_other_pictures_than_the_run_saw_are_an_error_and_leave_nothing(run, validation, ready, tmp_path: Path) -> None:
    others = validation.map(lambda row: {"image": ImageOps.invert(row["image"].convert("RGB"))})
    with pytest.raises(InputError, match=r"model.onnx disagrees with predictions.parquet: a probability differs by"):
        export_onnx(run, tmp_path / "new", others, ready)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-9), ("fp16", 1e-9), ("fp16", float("nan"))])
def test_a_file_beyond_its_bound_is_an_error(precision, bound, run, validation, ready, tmp_path) -> None:
    with pytest.raises(InputError, match=f"^{FILES[precision]} disagrees with predictions.parquet"):
        export_onnx(run, tmp_path, validation, changed(ready, precision, bound=bound))


def test_int8_that_answers_worse_is_deleted_and_listed(run, validation, exported, ready, tmp_path) -> None:
    rarest = int(np.bincount(validation["label"][:], minlength=7).argmin())

    def spoilt(_: object, path: Path) -> None:
        graph = onnx.load(exported[0] / FILES["int8"])
        bias = next(t for t in graph.graph.initializer if t.name.endswith("classifier.bias"))
        bias.CopyFrom(onnx.numpy_helper.from_array(np.eye(7, dtype=np.float32)[rarest] * 100, bias.name))
        onnx.save(graph, path)

    report = export_onnx(run, tmp_path, validation, changed(ready, "int8", write=spoilt, loss=int8.FORMAT.loss))
    assert not (tmp_path / "onnx" / FILES["int8"]).exists()
    assert [file["precision"] for file in report["files"]] == [name for name in NAMES if name != "int8"]
    assert "points of validation accuracy" in report["left_out"]["int8"]
    assert f"against {report['run_accuracy']['value']:.4f}" in report["left_out"]["int8"]


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (5, True), (6, False), (1000, False)])
def test_int8_may_lose_half_a_point_and_no_more(wrong: int, kept: bool, validation) -> None:
    labels = np.arange(1200) % 7
    right = np.eye(7, dtype=np.float32)[labels]
    rough = np.concatenate([np.roll(right[:wrong], 1, axis=1), right[wrong:]])
    rough[1000:] = 0  # rows that are not clean do not count
    reference = Reference("validation", validation, right, labels, np.arange(1200) < 1000)
    assert (why_inaccurate(int8.FORMAT, compare(rough, reference), reference) is None) == kept
    assert why_inaccurate(fp32.FORMAT, compare(rough, reference), reference) is None, "it may not differ at all"


def test_int8_that_is_hardly_smaller_is_left_out(run, validation, ready, tmp_path) -> None:
    report = export_onnx(run, tmp_path, validation, changed(ready, "int8", share=0.1))
    assert "of the bytes of fp32" in report["left_out"]["int8"]
    assert not (tmp_path / "onnx" / FILES["int8"]).exists()


def test_a_new_format_is_one_entry_of_the_list(run, validation, ready, exported, tmp_path) -> None:
    def write(_: object, path: Path) -> None:
        shutil.copy(exported[0] / FILES["fp16"], path)

    def answer_upside_down(path: Path):
        answer = onnx_files.open_file(path)
        return lambda batch: answer(batch)[:, ::-1]

    new = Format(name="q4", file="model_q4.onnx", write=write, answers=answer_upside_down)
    report = export_onnx(run, tmp_path, validation, (*ready, new))
    assert [file["precision"] for file in report["files"]] == [*NAMES, "q4"]
    assert report["files"][-1]["max_difference"] > 0.01, "it answers by its own function"
    assert (tmp_path / "onnx" / "model_q4.onnx").is_file()


def test_rows_of_the_predictions_without_a_picture_are_counted(run, validation, tmp_path) -> None:
    key = validation[0]["key"]
    with pytest.raises(InputError, match=rf"2 of the {len(validation)} .* the first '{key}' of drawn: give the data"):
        export_onnx(run, tmp_path, validation.select(range(2, len(validation))))
    assert not (tmp_path / "onnx").exists()


def test_rows_are_found_by_source_and_key_in_any_order(run, validation, exported, ready, tmp_path) -> None:
    def figures(report: dict[str, Any]) -> list[list[Any]]:
        return [[file[name] for name in ("n", "agreement", "accuracy")] for file in report["files"]]

    other = validation.map(lambda row: {"source": "another", "image": ImageOps.invert(row["image"].convert("RGB"))})
    mixed = Dataset.from_list([*validation.shuffle(seed=1), *other], features=validation.features)
    assert figures(export_onnx(run, tmp_path, mixed, ready)) == figures(exported[1])


def test_without_validation_pictures_torch_answers_drawn_faces_whatever_the_run_has(run, ready, tmp_path) -> None:
    bare = replace(run, path=shutil.copytree(run.path, tmp_path / "bare", ignore=shutil.ignore_patterns("examples")))
    report = export_onnx(bare, tmp_path, None, ready, drawn_faces())
    assert {(file["n"], file["accuracy"]) for file in report["files"]} == {(7, None)}
    assert (report["measured_on"], report["rows"], report["run_accuracy"]) == ("faces", None, None)


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (1, False)])
def test_without_validation_pictures_int8_stays_if_no_first_answer_changes(wrong: int, kept: bool, validation) -> None:
    right = np.eye(7, dtype=np.float32)[np.arange(20) % 7]
    rough = np.concatenate([np.roll(right[:wrong], 1, axis=1), right[wrong:]])
    reference = Reference("faces", validation, right)
    reason = why_inaccurate(int8.FORMAT, compare(rough, reference), reference)
    expected = (
        None if kept else "its first answer is the run's for only 19 of 20 pictures, and accuracy was not measured"
    )
    assert reason == expected


def test_a_folder_that_is_there_is_not_written_over(run, tmp_path) -> None:
    (tmp_path / "onnx").mkdir()
    with pytest.raises(InputError, match="is there already"):
        export_onnx(run, tmp_path, None)


@pytest.mark.slow
def test_opencv_does_not_read_a_vit_as_the_card_says(exported) -> None:
    code = "import cv2, sys; cv2.dnn.readNetFromONNX(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(exported[0] / "model.onnx")], capture_output=True)
    assert done.returncode != 0, "it does now: compare its scores, and change the card and docs/publishing.md"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_a_timm_model_is_exported_too(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = {"test_resnet": 64, "test_vit": 160}[architecture]
    settings = {"architecture": architecture, "image_size": size, "max_steps": 2, "vit_config": {}}
    recipe = write_recipe(tmp_path / "timm.yaml", output_dir=str(tmp_path / "run"), **settings)
    process = run_train_hf(str(recipe))
    assert process.returncode == 0, process.stderr
    run = run_of(tmp_path / "run")
    assert run.config["model_type"] == "timm_wrapper"
    report = export_onnx(run, tmp_path, validation_of(run.path))
    assert report["files"][0]["input"]["shape"] == ["batch", 3, size, size]
    assert [file["precision"] for file in report["files"]][-1] == "fp32 with preprocessing"
    for file in report["files"][:-1]:
        for batch in (1, 5):
            pixels = np.zeros((batch, 3, size, size), dtype=np.float32)
            assert answers(tmp_path / "onnx" / file["file"], pixels).shape == (batch, 7)
