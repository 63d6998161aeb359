"""What must never be published is found wherever it is, and ordinary words pass."""

import getpass
import json
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper
from PIL import Image as PILImage
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto as EventTensor
from tensorboard.plugins.hparams.metadata import EXPERIMENT_TAG, SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from hub.privacy import clean_events, refuse_private
from pipeline.errors import InputError

ROOT = "/"  # apart, so that no path of a machine stands in this file
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyz"
LEAKS = {
    "a token": TOKEN,
    "a home path": f"see {ROOT}home/somebody/faces for it",
    "a mac path": f"{ROOT}Users/somebody/faces",
    "a temporary path": f"written to {ROOT}tmp/run/model.py",
    "a windows path": r"C:\Users\somebody\faces",
    "a file address": "file:///etc/hosts",
    "a home sign": "data in ~/faces",
    "a bucket": "s3://faces-of-the-lab/raw",
    "a key": "AKIAABCDEFGHIJKLMNOP",
    "a person": "trained by Annette on a laptop",
    "a machine": "on box-of-annette, at night",
}
HARMLESS = {
    "an address": "https://huggingface.co/home/user/file and https://example.org/tmp/data/x",
    "a ratio": "pictures/second, and/or, 1/255, image/png",
    "a module": "vit.encoder.layer.0, /vit/encoder/layer.0/MatMul",
    "a longer word": "annetteville and pannette",
    "the namespace": "annabel/fer-vit-tiny",
    "a hash": "a" * 64,
}


@pytest.fixture(autouse=True)
def _annette(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "annette")
    monkeypatch.setattr(socket, "gethostname", lambda: "box-of-annette.example")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def in_card(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(f"# A card\n\n{text}\n")


def in_json(folder: Path, text: str) -> None:
    (folder / "evaluation.json").write_text(json.dumps({"recipe": text}, ensure_ascii=False))


def in_file_name(folder: Path, text: str) -> None:
    (folder / "logs").mkdir()
    name = text.strip("/").replace("/", "_").replace("\\", "_")
    (folder / "logs" / f"{name}.txt").write_text("")


def in_events(folder: Path, text: str) -> None:
    value = Summary.Value(tag="settings", tensor=EventTensor(string_val=[text.encode()]))
    write_events(folder / "events.out.tfevents.1", Event(summary=Summary(value=[value])))


def in_hparams(folder: Path, text: str) -> None:
    summary = hparams({"recipe": text}, {})[1]
    write_events(folder / "events.out.tfevents.1", Event(summary=summary))


def in_picture_note(folder: Path, text: str) -> None:
    note = PngInfo()
    note.add_text("Comment", text, zip=True)
    PILImage.new("L", (8, 8)).save(folder / "face.png", pnginfo=note)


def behind_the_pixels(folder: Path, text: str) -> None:
    PILImage.new("L", (8, 8)).save(folder / "face.png")
    end, note = (folder / "face.png").read_bytes()[-12:], b"tEXtComment\0" + text.encode("latin-1", "replace")
    chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
    (folder / "face.png").write_bytes((folder / "face.png").read_bytes()[:-12] + chunk + end)


def in_onnx(folder: Path, text: str) -> None:
    node = helper.make_node("Identity", ["pixel_values"], ["logits"], doc_string=text)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("pixel_values", "logits")]
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), folder / "model.onnx")


def in_weights(folder: Path, text: str) -> None:
    save_file({"w": np.zeros(3, np.float32)}, folder / "model.safetensors", metadata={"from": text})


def in_predictions(folder: Path, text: str) -> None:
    pq.write_table(pa.table({"key": ["a.png", text]}), folder / "predictions.parquet")


PLACES = (
    in_card,
    in_json,
    in_events,
    in_hparams,
    in_picture_note,
    behind_the_pixels,
    in_onnx,
    in_weights,
    in_predictions,
)


def write_events(path: Path, *events: Event) -> None:
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_what_is_private_is_found_wherever_it_hides(place: object, text: str, tmp_path: Path) -> None:
    place(tmp_path, text)  # type: ignore[operator]
    with pytest.raises(InputError, match="nothing was sent") as error:
        refuse_private(tmp_path, "somebody-else")
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_ordinary_words_pass(place: object, text: str, tmp_path: Path) -> None:
    place(tmp_path, text)  # type: ignore[operator]
    refuse_private(tmp_path, "annabel")


def test_names_of_files_are_read_too(tmp_path: Path) -> None:
    in_file_name(tmp_path, "events.box-of-annette.7")
    with pytest.raises(InputError, match="host name 'box-of-annette'"):
        refuse_private(tmp_path, "somebody-else")


def test_a_user_without_a_name_is_none_to_search_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")  # as in a container with a number for a user

    monkeypatch.setattr(getpass, "getuser", nameless)
    in_card(tmp_path, "by annette")
    refuse_private(tmp_path)
    in_card(tmp_path, "on box-of-annette")
    with pytest.raises(InputError, match="box-of-annette"):
        refuse_private(tmp_path)


def test_the_namespace_of_the_repository_may_be_the_user(tmp_path: Path) -> None:
    in_card(tmp_path, "annette/fer-vit-tiny")
    refuse_private(tmp_path, "Annette")
    with pytest.raises(InputError, match="'annette'"):
        refuse_private(tmp_path, "somebody-else")


ORDINARY = ("will", "may", "max", "data", "model", "test", "linux", "Lisa", "encoder", "softmax", "nvidia", "happiness",
            "Grant")  # fmt: skip


def in_release(folder: Path, name: str, text: str) -> None:
    """What anybody's release has: a card with these words, a machine, tensors and an operator."""
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "id2label": {"0": "happiness"}}))
    about = {"system": "Linux", "processor": "x", "device": "NVIDIA H200", "recipe": "own"}
    (folder / "environment.json").write_text(json.dumps(about))
    save_file({"vit.encoder.weight": np.zeros(3, np.float32)}, folder / "model.safetensors")
    in_onnx(folder, "")
    in_card(folder, f"It will, and may, have {name}: max data of a model; a test on Linux. {text}")


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("place", [getpass, socket], ids=["user", "host"])
def test_people_with_ordinary_names_can_publish(
    name: str, place: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "getuser" if place is getpass else "gethostname", lambda: name)
    in_release(tmp_path, name, "see examples/happiness.png, onnx/model.onnx")
    refuse_private(tmp_path, "somebody-else")


@pytest.mark.parametrize("name", ["will", "may", "max", "lisa", "linux", "softmax"])
@pytest.mark.parametrize(
    "text", ["faces/NAME/1.png", "NAME/faces", r"faces\NAME", "NAME@box.org", "me@NAME", "cp runs/NAME"]
)
def test_an_ordinary_name_is_still_found_in_a_path_or_an_address(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: name)
    in_release(tmp_path, name, text.replace("NAME", name.title()))
    with pytest.raises(InputError, match="the user or host name"):
        refuse_private(tmp_path, "somebody-else")


@pytest.mark.parametrize("name", ORDINARY)
def test_the_home_of_anybody_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: name)
    in_release(tmp_path, name, f"{ROOT}home/{name}/faces")
    with pytest.raises(InputError, match="an absolute path"):
        refuse_private(tmp_path, "somebody-else")


def test_a_name_is_shown_with_its_text_and_the_way_out(tmp_path: Path) -> None:
    in_card(tmp_path, "trained by Annette on a laptop")
    with pytest.raises(InputError, match=r"'Annette' \('# A card trained by Annette on a laptop'\) in README.md: text; "
                       "if that name may be published, add --public_name NAME$"):  # fmt: skip
        refuse_private(tmp_path)
    refuse_private(tmp_path, "annette")


def test_text_around_a_name_is_not_shown_if_it_holds_a_secret(tmp_path: Path) -> None:
    in_card(tmp_path, f"Annette {TOKEN}")
    with pytest.raises(InputError) as caught:
        refuse_private(tmp_path)
    assert "Annette" in str(caught.value) and TOKEN[:10] not in str(caught.value)


def test_the_token_in_use_is_found_whatever_its_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "quite-another-shape-42")
    in_card(tmp_path, "with quite-another-shape-42 in it")
    with pytest.raises(InputError, match="a secret in README.md") as error:
        refuse_private(tmp_path, "somebody")
    assert "another-shape" not in str(error.value)


@pytest.mark.parametrize("name", ["weights.bin", "optimizer.pt", "training_args.bin", "notes.docx"])
def test_a_kind_of_file_that_cannot_be_searched_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=name):
        refuse_private(tmp_path, "somebody")


def test_events_keep_numbers_and_pictures_and_lose_the_rest(tmp_path: Path) -> None:
    picture = Summary.Image(height=1, width=1, colorspace=1, encoded_image_string=b"png")
    source, target = tmp_path / "events.out.tfevents.1.box-of-annette.77.0", tmp_path / "events.out.tfevents.0"
    scalar = Summary.Value(tag="loss", simple_value=0.5)
    text = Summary.Value(tag="args", tensor=EventTensor(string_val=[f"{ROOT}home/annette/faces".encode()]))
    write_events(
        source,
        Event(wall_time=1.0, file_version="brain.Event:2"),
        Event(wall_time=2.0, step=3, summary=Summary(value=[scalar, text])),
        Event(wall_time=3.0, step=4, summary=Summary(value=[Summary.Value(tag="matrix", image=picture)])),
        Event(wall_time=4.0, step=5, summary=Summary(value=[text])),
    )
    clean_events(source, target)
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    kept = list(LegacyEventFileLoader(str(target)).Load())
    assert [e.step for e in kept] == [0, 3, 4]
    assert kept[0].file_version == "brain.Event:2"
    assert [(v.tag, v.simple_value) for v in kept[1].summary.value] == [("loss", 0.5)]
    assert kept[2].summary.value[0].image == picture
    assert b"annette" not in target.read_bytes()


def test_events_keep_hparams_without_their_texts(tmp_path: Path) -> None:
    source, target = tmp_path / "events.out.tfevents.1", tmp_path / "events.out.tfevents.0"
    settings = {"recipe": "quickstart", "flip": 0.5, "data_path": f"{ROOT}home/annette/faces", "near_copies": True}
    write_events(
        source, *(Event(step=3, summary=each) for each in hparams(settings, {"final/validation/accuracy": 0.9}))
    )
    clean_events(source, target)
    events = EventAccumulator(str(target)).Reload()
    start = HParamsPluginData.FromString(events.summary_metadata[SESSION_START_INFO_TAG].plugin_data.content)
    kept = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.session_start_info.hparams.items()}
    assert kept == {"recipe": "quickstart", "flip": 0.5, "near_copies": True}
    metrics = HParamsPluginData.FromString(events.summary_metadata[EXPERIMENT_TAG].plugin_data.content).experiment
    assert [info.name.tag for info in metrics.metric_infos] == ["final/validation/accuracy"]
    assert b"annette" not in target.read_bytes()


def test_a_damaged_event_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"no record at all, but long enough")
    with pytest.raises(InputError, match=r"tfevents\.1 cannot be read"):
        clean_events(tmp_path / "events.out.tfevents.1", tmp_path / "copy")
