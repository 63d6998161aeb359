"""The folder of somebody else's model: the server starts only on a whole one, and no code of it runs."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor

from hub.server import engine
from hub.server.engine import load_model
from hub.server.folder import score_ranges
from hub.server.preprocessing import is_honoured, load_preprocessing
from pipeline.class_shares import from_mapping
from pipeline.errors import InputError, end_in_one_line
from pipeline.model_folder import HOW_TO_RUN, OF_TIMM, plain_folder, weight_files, without_code
from pipeline.own_file import why_not_own
from tests.hostile import files
from tests.hostile.files import change

Spoil = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.model_folder(tmp_path / "model")


def config(**fields: object) -> Spoil:
    return lambda folder: change(folder / "config.json", **fields)


def processor(**fields: object) -> Spoil:
    return lambda folder: change(folder / "preprocessor_config.json", **fields)


def names(*labels: object) -> Spoil:
    return config(id2label=dict(enumerate([*labels, *"bcdefg"][:7])))


def linked(name: str) -> Spoil:
    """A file of the folder becomes a link to the same content outside of it."""

    def link(folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir(exist_ok=True)
        (folder / name).replace(outside / "file")
        (folder / name).symlink_to(outside / "file")

    return link


def piped(name: str) -> Spoil:
    def pipe(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return pipe


def example_link(folder: Path) -> None:
    (folder / "examples" / "passwd.png").symlink_to("/etc/passwd")


def nested(folder: Path) -> None:
    (folder / "config.json").write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def sparse(folder: Path) -> None:
    with (folder / "config.json").open("ab") as file:
        file.truncate(2**40)


def drop(*names: str) -> Spoil:
    return lambda folder: [(folder / name).unlink() for name in names]


def graph(**how: object) -> Spoil:
    return lambda folder: files.save_graph(folder / "onnx/model.onnx", **how)


def nested_processor(folder: Path) -> None:
    """processor_config.json, which transformers 5 reads first, with other values than preprocessor_config.json."""
    inside = json.loads((folder / "preprocessor_config.json").read_text()) | {"image_std": [0.5, 0, 0.5]}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": inside}))


UNUSABLE = "makes no usable pixels"
SPOILT: dict[str, tuple[Spoil, str]] = {
    "a class without a name": (names(None), "id2label has .None., which is not the name"),
    "an empty class": (names(" "), "id2label has"),
    "a class that is a number": (names(5), "id2label has .5."),
    "a class of half a letter": (names("\ud800"), "id2label has"),
    "a class that writes to the terminal": (names("\x1b[2J"), "id2label has"),
    "two equal classes": (names("b"), "'b' twice"),
    "no class": (config(id2label={}), "id2label has"),
    "a list of classes": (config(id2label=["a", "b"]), "names no classes"),
    "fewer classes than logits": (config(id2label={"0": "a", "1": "b"}), "2 classes the model returns"),
    "a std of 0": (processor(image_std=[0.5, 0, 0.5]), UNUSABLE),
    "a std that is not a number": (processor(image_std=[float("nan")] * 3), UNUSABLE),
    "a negative std": (processor(image_std=[-0.5] * 3), UNUSABLE),
    "a tiny std": (processor(image_std=[1e-300] * 3), UNUSABLE),
    "a std of a billionth": (processor(image_std=[1e-9] * 3), UNUSABLE),
    "a huge std": (processor(image_std=[1e308] * 3), UNUSABLE),
    "a mean of four": (processor(image_mean=[0.5] * 4), UNUSABLE),
    "a mean of text": (processor(image_mean="half"), UNUSABLE),
    "an infinite mean": (processor(image_mean=[float("inf")] * 3), UNUSABLE),
    "a huge factor": (processor(rescale_factor=1e300), UNUSABLE),
    "a factor of many digits": (processor(rescale_factor=10**400), UNUSABLE),
    "a factor of a mapping": (processor(rescale_factor={"a": 1}), UNUSABLE),
    "a size of 0": (processor(size={"height": 0, "width": 16}), "has size"),
    "a size of a billion": (processor(size={"height": 10**9, "width": 10**9}), "has size"),
    "a size of text": (processor(size={"height": "16", "width": "16"}), "has size"),
    "another size than the graph": (processor(size={"height": 20, "width": 20}), "does not run"),
    "a processor of patches": (
        processor(image_processor_type="Siglip2ImageProcessor", max_num_patches=16),
        "also gives pixel_attention_mask",
    ),
    "pixels of several sizes": (processor(size={"shortest_edge": 16}), "gives pixels of several sizes"),
    "a crop of a billion": (processor(do_center_crop=True, crop_size=10**9), "has crop_size 1000000000"),
    "a padding of a billion": (processor(do_pad=True, pad_size={"height": 10**9, "width": 9}), "has pad_size"),
    "an infinite shortest edge": (processor(size={"shortest_edge": float("inf")}), "has size inf"),
    "a processor that nobody has": (processor(image_processor_type="NoProcessor"), "cannot load it"),
    "other values where transformers reads first": (nested_processor, UNUSABLE),
    "a graph that answers at random": (graph(noise=5.0), "answers the same picture in two ways"),
    "a graph with a little noise": (graph(noise=0.02), "answers the same picture in two ways"),
    "a graph of one answer": (graph(scale=0.0), "does not look at pictures"),
    "settings nested too deep": (nested, "cannot be read"),
    "settings of a terabyte": (sparse, "at most"),
    "a linked config": (linked("config.json"), "link that leads out"),
    "a linked processor": (linked("preprocessor_config.json"), "link that leads out"),
    "a linked graph": (linked("onnx/model.onnx"), "link that leads out"),
    "a linked example": (linked("examples/anger.png"), "link that leads out"),
    "the passwords as an example": (example_link, "passwd.png' is a link that leads out"),
    "a text as an example": (lambda f: (f / "examples" / "a.png").write_text("hello"), "is not a PNG picture"),
    "a JPEG as an example": (lambda f: Image.new("L", (9, 9)).save(f / "examples" / "a.png", "JPEG"), "not a PNG"),
    "a large example": (lambda f: (f / "examples" / "a.png").write_bytes(bytes(2**21)), "1,048,576 bytes"),
    "a pipe as an example": (piped("examples/a.png"), "not a regular file"),
    "a pipe as config": (piped("config.json"), "not a regular file"),
    "a pipe as recipe": (piped("recipe.yaml"), "not a regular file"),
    "a pipe as graph": (piped("onnx/model.onnx"), "not a regular file"),
    "a damaged graph": (lambda f: (f / "onnx/model.onnx").write_bytes(b"no graph"), "cannot be loaded"),
    "weights in a file outside": (
        lambda f: files.save_graph(f / "onnx/model.onnx", outside="../../../../etc/passwd"),
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_server_does_not_start_on_a_spoilt_folder_and_says_why_in_one_line(name: str, folder: Path) -> None:
    spoil, reason = SPOILT[name]
    spoil(folder)
    with pytest.raises(InputError, match=reason) as refused:
        load_model(str(folder), threads=1)
    said = str(refused.value).replace(str(folder), "")  # onnxruntime repeats the path, which may be long
    assert "\n" not in said and said.isprintable() and len(said) < 500


@pytest.mark.parametrize(
    "fields",
    [
        {"image_processor_type": "EfficientNetImageProcessor", "include_top": True},
        {"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True, "include_top": False},
        {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": True},
        {"image_processor_type": "BeitImageProcessor"},
        {"do_pad": True, "pad_size": {"height": 20, "width": 20}},
        {"do_center_crop": True, "crop_size": {"height": 12, "width": 12}},
        {"resample": 2},
        {"do_normalize": False},
        {"do_rescale": 1},
        {"a_field_of_next_year": True},
        {"data_format": "channels_last"},
        {"image_processor_type": "ViTImageProcessor", "do_reduce_labels": True},
    ],
    ids=lambda fields: f"{[*fields][-1]}",
)
def test_a_processor_of_another_kind_gives_the_pixels_of_transformers_or_no_server(fields: dict, folder: Path) -> None:
    change(folder / "preprocessor_config.json", **fields)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    assert not is_honoured(settings)
    picture = np.random.default_rng(3).integers(0, 256, (31, 45, 3), dtype=np.uint8)
    try:
        prepare, size = load_preprocessing(folder, "model")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        theirs = AutoImageProcessor.from_pretrained(folder)([picture], return_tensors="np")["pixel_values"][0]
        assert np.array_equal(prepare(picture), theirs) and theirs.shape == (3, *size)


def test_numbers_that_no_float_holds_are_no_ranges_and_no_shares() -> None:
    assert score_ranges({"score_ranges": {"a": [0, 10**400]}}, ("a",)) == {"a": [0.0, 1.0]}
    with pytest.raises(InputError, match="must be a number above 0"):
        from_mapping({"a": 10**400, "b": 0.5}, ["a", "b"], "config.json")


def test_it_starts_on_the_folder_that_is_not_spoilt(folder: Path) -> None:
    model = load_model(str(folder), threads=1)
    assert list(model.examples) == ["anger"]
    assert np.isfinite(model.run(model.prepare(np.zeros((9, 9, 3), np.uint8))[None])).all()


def test_a_graph_without_end_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.save_graph(folder / "onnx" / "model.onnx", endless=True)
    monkeypatch.setattr(engine, "RUN_SECONDS", 0.5)
    with pytest.raises(InputError, match="does not run"):
        load_model(str(folder), threads=1)


OF_CODE = (
    *("auto_map", "custom_pipelines", "attn_implementation", "_attn_implementation"),
    *("backbone", "use_pretrained_backbone", "use_timm_backbone", "backbone_kwargs", "transformers_weights"),
)


def test_fields_that_name_code_or_places_are_not_there_when_transformers_reads_a_config(folder: Path) -> None:
    planted = dict.fromkeys((*HOW_TO_RUN, *OF_CODE), "evil/repo--code.Class")
    change(folder / "config.json", **planted, vision_config=planted | {"hidden_size": 8}, several=[planted])
    change(folder / "preprocessor_config.json", **planted)
    (folder / "code.py").write_text("raise SystemExit(1)")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/repo"}')
    with plain_folder(folder, weights=False) as place:
        assert sorted(path.name for path in place.iterdir()) == ["config.json", "preprocessor_config.json"]
        assert "evil" not in "".join(path.read_text() for path in place.iterdir())
        assert json.loads((place / "config.json").read_text())["vision_config"] == {"hidden_size": 8}
    assert not place.exists()


@pytest.mark.parametrize("argument", OF_TIMM)
def test_arguments_that_make_timm_load_other_files_are_refused(argument: str) -> None:
    with pytest.raises(InputError, match=f"model_args has {argument}"):
        without_code({"model_args": {argument: "/elsewhere/pickle.pth"}})


def test_every_argument_of_timm_itself_is_among_them() -> None:
    import timm

    own = {name for name, p in inspect.signature(timm.create_model).parameters.items() if p.kind != p.VAR_KEYWORD}
    assert own - {"model_name"} == set(OF_TIMM)


@pytest.mark.parametrize("architecture", ["hf-hub:evil/model", "local-dir:/elsewhere/x", "../x", "evil/model"])
def test_an_architecture_that_names_a_place_is_refused(architecture: str) -> None:
    with pytest.raises(InputError, match="names a place"):
        without_code({"architecture": architecture})


@pytest.mark.parametrize("name", ["../w.safetensors", "/etc/passwd", "a/../../w.safetensors", "..\\w", "C:w", "", "\0"])
def test_an_index_that_names_weights_elsewhere_is_refused(name: str, folder: Path) -> None:
    (folder.parent / "w.safetensors").write_bytes(b"weights of another")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(InputError, match="is not the name of a file in this folder"):
        weight_files(folder)


def test_links_of_the_cache_of_the_hub_lead_to_its_blobs_and_nowhere_else(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a" / "snapshots" / "c0", tmp_path / "models--a" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "b0").write_text("{}")
    (tmp_path / "secret").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/b0")
    (snapshot / "recipe.yaml").symlink_to("../../../secret")
    (snapshot / "circle").symlink_to("circle")
    assert why_not_own(snapshot, "config.json") is None
    assert why_not_own(snapshot, "recipe.yaml") == "is a link that leads out of the folder"
    assert why_not_own(snapshot, "circle").startswith("cannot be read")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize("end", ["SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_an_entry_point_that_is_stopped_removes_its_temporary_files(end: str, tmp_path: Path) -> None:
    code = (
        "import sys, tempfile, time; from pipeline.errors import end_in_one_line\n"
        "def main(words):\n"
        "    with tempfile.TemporaryDirectory(dir=sys.argv[1]):\n"
        "        print('here', flush=True); time.sleep(600)\n"
        "sys.exit(end_in_one_line(main))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    default = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}  # nohup ignores it
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **default) as process:
        assert process.stdout.readline() == "here\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number := getattr(signal, end))
        said = process.communicate()[1]
    assert (process.returncode, said) == (128 + number, f"stopped by {end}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_passes_code_that_catches_what_a_library_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(words: list[str]) -> None:
        for _ in range(2):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.2)
            except Exception:
                continue  # as for a picture that cannot be decoded

    monkeypatch.setattr(sys, "argv", ["train_hf.py"])
    assert end_in_one_line(main) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM\n"


def test_a_folder_of_the_user_beside_a_curated_one_stays(tmp_path: Path) -> None:
    from pipeline.data.curated_folder import new_folder

    mine = tmp_path / ".out.unfinished"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with new_folder(tmp_path / "out") as made:
        (made / "a").write_text("1")
    assert (mine / "notes.txt").read_text() == "mine" and (tmp_path / "out" / "a").is_file()
    shutil.rmtree(tmp_path / "out")
