"""What is staged: the publishable files of a sealed run, without paths; the run itself does not change."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.record_writer import RecordWriter
from transformers import AutoConfig, AutoImageProcessor

from hub.privacy import refuse_private
from hub.run import load_run
from hub.staging import PUBLISHED, content_hash, keep, stage
from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.run_folder import read_json, sha256
from pipeline.source import Source

FACE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8))


@pytest.fixture
def run(publishable_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(publishable_run, tmp_path / "run")


def records() -> dict[str, Any]:
    """Two sources as curation.json has them; an agreement forbids to publish the labels of the second."""
    drawn = Source(id="drawn", title="drawn faces", layout="20 faces", origin="drawn")
    photos = Source(id="photos", title="photos", layout="class folders", origin="local", may_publish_labels=False)
    return {source.id: source.to_json() for source in (drawn, photos)}


def before_records() -> dict[str, Any]:
    """The same sources in a curated folder from before there were records."""
    about = {"pixels_may_travel": False, "labels_may_travel": False, "label_rule": None, "dropped": {}}
    return {"drawn and photos": about | {"layout": "curated table", "terms": "photos: under an agreement"}}


def reseal(run: Path) -> None:
    environment = read_json(run / "environment.json")
    environment["sha256"] = {name: sha256(run / name) for name in environment["sha256"]}
    run_folder.seal(run, environment, read_json(run / "evaluation.json"))


def change_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): sha256(p) for p in folder.rglob("*") if p.is_file()}


def test_only_named_kinds_of_files_are_staged_and_the_run_is_untouched(run: Path, tmp_path: Path) -> None:
    for name in (
        "training_args.bin",
        "optimizer.pt",
        "notes.txt",
        "figures/contact_sheet.png",
        ".env",
        "logs/tfevents.2",
    ):
        (run / name).write_text("not for others")
    before = files(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    staged = files(tmp_path / "staged")
    assert {Path(name).parts[0] for name in staged} == {
        "config.json", "model.safetensors", "preprocessor_config.json", "recipe.yaml", "evaluation.json",
        "curation.json", "environment.json", "figures", "examples", "logs", "licences",
    }  # fmt: skip
    assert not [name for name in staged if "contact_sheet" in name or "tfevents.2" in name], "put there after the seal"
    assert files(run) == before
    assert staged["model.safetensors"] == before["model.safetensors"]
    assert read_json(tmp_path / "staged/environment.json")["sha256"].keys() >= {"licences/drawn.txt"}


def test_examples_are_brought_to_the_size_of_the_model_as_the_model_does_it(run: Path, tmp_path: Path) -> None:
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    processor = AutoImageProcessor.from_pretrained(run)
    for file in (run / "examples").glob("*.png"):
        before, after = Image.open(file), Image.open(tmp_path / "staged" / "examples" / file.name)
        assert before.size == (224, 224) and after.size == (32, 32)
        seen = [processor(picture.convert("RGB"), return_tensors="np")["pixel_values"] for picture in (before, after)]
        assert np.array_equal(*seen), file.name


def test_staged_events_hold_no_host_in_their_names_and_no_text(run: Path, tmp_path: Path) -> None:
    text = Summary(value=[Summary.Value(tag="args", tensor=TensorProto(string_val=[b"from a laptop of hers"]))])
    named = run / "logs" / "events.out.tfevents.1.her-laptop.77.0"
    with named.open("wb") as file:
        RecordWriter(file).write(Event(file_version="brain.Event:2").SerializeToString())
        RecordWriter(file).write(Event(step=1, summary=text).SerializeToString())
    change_json(run / "environment.json", lambda e: e["sha256"].update({f"logs/{named.name}": sha256(named)}))
    reseal(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    staged = list((tmp_path / "staged" / "logs").iterdir())
    assert len(staged) == len(list((run / "logs").iterdir()))
    assert not [p for p in staged if b"laptop" in p.name.encode() + p.read_bytes()]


def test_a_checkpoint_folder_that_is_gone_is_not_a_hub_id(run: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((run / "recipe.yaml").read_text()) | {"checkpoint": "runs/gone"}
    (run / "recipe.yaml").write_text(yaml.safe_dump(settings))
    change_json(run / "environment.json", lambda e: e.update(checkpoint_is_local=True))
    reseal(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    assert yaml.safe_load((tmp_path / "staged" / "recipe.yaml").read_text())["checkpoint"] == "gone"


def test_no_file_name_of_a_single_picture_is_staged(run: Path, tmp_path: Path) -> None:
    names = {"count": 1, "keys": ["Erika.jpg"]}
    shown = {"unreadable": names, "faces": {"no_face": names}}
    change_json(run / "curation.json", lambda c: c["sources"]["drawn"].update(shown))
    reseal(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    text = (tmp_path / "staged" / "curation.json").read_text()
    shown = json.loads(text)["sources"]["drawn"]
    assert "Erika" not in text and shown["unreadable"] == shown["faces"]["no_face"] == {"count": 1, "keys": []}
    sealed = json.loads((tmp_path / "staged" / "environment.json").read_text())["sha256"]
    assert sealed["curation.json"] == sha256(tmp_path / "staged" / "curation.json")


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_something_else_in_the_place_of_the_staged_folder_stays(kind: str, tmp_path: Path) -> None:
    staged, target, other = (tmp_path / name for name in ("staged", "run-staged", "other"))
    staged.mkdir()
    if kind == "file":
        target.write_text("mine", encoding="utf-8")
    else:
        target.symlink_to(other)
    if kind == "link":
        other.mkdir()
    with pytest.raises(InputError, match="run-staged exists and is not a staged folder"):
        keep(staged, target, PUBLISHED)
    assert os.path.lexists(target) and staged.is_dir()


OTHERS = ("notes.txt", ".git/HEAD", "onnx/.git/HEAD", "onnx/.empty/", "figures/a.svg", "x/a.parquet", "x/README.md")


@pytest.mark.parametrize("name", OTHERS)
def test_a_staged_folder_with_something_else_in_it_stays(name: str, tmp_path: Path) -> None:
    staged, target = tmp_path / "staged", tmp_path / "run-staged"
    for folder in (staged, target):
        for made in ("README.md", "evaluation.json", "parity.json", "onnx/model.onnx", "figures/a.png"):
            (folder / made).parent.mkdir(parents=True, exist_ok=True)
            (folder / made).write_text(folder.name, encoding="utf-8")
    mine = target / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.mkdir() if name.endswith("/") else mine.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="run-staged has .*, which staging did not make; move it away") as refused:
        keep(staged, target, (*PUBLISHED, "*.parquet"))
    assert name.partition("/")[0] in str(refused.value) and mine.exists()
    mine.rmdir() if name.endswith("/") else mine.unlink()
    for folder in (mine.parent, mine.parent.parent):
        if folder != target and target in folder.parents and not any(folder.iterdir()):
            folder.rmdir()
    assert (keep(staged, target, PUBLISHED) / "README.md").read_text(encoding="utf-8") == "staged"


def test_predictions_are_staged_only_on_demand(run: Path, tmp_path: Path) -> None:
    stage(load_run(run), tmp_path / "with", with_predictions=True)
    assert (tmp_path / "with" / "predictions.parquet").is_file()


@pytest.mark.parametrize("sources", [records(), before_records()], ids=["records", "before records"])
def test_predictions_with_labels_that_an_agreement_keeps_stay_here(sources: dict, run: Path, tmp_path: Path) -> None:
    change_json(run / "curation.json", lambda c: c.update(sources=sources))
    reseal(run)
    with pytest.raises(InputError, match="--with_predictions: .* labels of .*photos, which may not be published"):
        stage(load_run(run), tmp_path / "staged", with_predictions=True)
    assert not (tmp_path / "staged").exists()
    stage(load_run(run), tmp_path / "staged", with_predictions=False)


def test_the_staged_image_processor_is_the_one_of_training_in_transformers_4_too(run: Path, tmp_path: Path) -> None:
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    ours, staged = (json.loads((f / "preprocessor_config.json").read_text()) for f in (run, tmp_path / "staged"))
    assert staged == ours | {"image_processor_type": "ViTImageProcessorFast"}
    assert "do_convert_rgb" not in ours, "it makes transparent pictures white"
    pixels = [AutoImageProcessor.from_pretrained(f)(FACE)["pixel_values"][0] for f in (run, tmp_path / "staged")]
    assert np.array_equal(*pixels)


def test_an_older_processor_is_staged_without_what_makes_transparent_pictures_white(run: Path, tmp_path: Path) -> None:
    change_json(run / "preprocessor_config.json", lambda processor: processor.update(do_convert_rgb=True))
    reseal(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    assert "do_convert_rgb" not in read_json(tmp_path / "staged" / "preprocessor_config.json")


def test_everybody_who_may_read_one_file_of_a_run_may_read_all(run: Path, tmp_path: Path) -> None:
    stage(load_run(run), tmp_path / "staged", with_predictions=True)
    for folder in (run, tmp_path / "staged"):
        modes = {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir() if p.is_file()}
        assert set(modes.values()) == {modes["config.json"]}, modes


def test_the_staged_config_is_that_of_the_run_and_names_a_weight_file_to_transformers_js(
    run: Path, tmp_path: Path
) -> None:
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    ours, staged = (json.loads((f / "config.json").read_text()) for f in (run, tmp_path / "staged"))
    assert staged == ours | {"transformers.js_config": {"dtype": "fp32"}}
    assert AutoConfig.from_pretrained(tmp_path / "staged").id2label == AutoConfig.from_pretrained(run).id2label


def test_the_staged_folder_is_sealed_with_the_hashes_of_the_staged_files(run: Path, tmp_path: Path) -> None:
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    staged = files(tmp_path / "staged")
    shown = json.loads((tmp_path / "staged" / "environment.json").read_text())["sha256"]
    assert shown == {name: of for name, of in staged.items() if name not in ("environment.json", "evaluation.json")}
    assert (
        read_json(tmp_path / "staged" / "evaluation.json")["sha256"]["environment.json"] == staged["environment.json"]
    )
    ours, theirs = (read_json(folder / "evaluation.json") for folder in (run, tmp_path / "staged"))
    assert ours | {"sha256": None} == theirs | {"sha256": None}


def test_local_paths_become_names_and_contents(run: Path, tmp_path: Path) -> None:
    faces = tmp_path / "somebody" / "my_faces"
    faces.mkdir(parents=True)
    (faces / "a.png").write_bytes(b"1")
    settings = yaml.safe_load((run / "recipe.yaml").read_text())
    settings |= {
        "data_path": str(faces),
        "checkpoint": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "output_dir": str(run),
        "face_detector": str(tmp_path / "gone" / "yunet.onnx"),
        "sources": [{"data_path": str(faces), "class_map": {"grin": "happiness"}}],
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(settings))
    reseal(run)
    stage(load_run(run), tmp_path / "staged", with_predictions=False)
    staged = yaml.safe_load((tmp_path / "staged" / "recipe.yaml").read_text())
    shown = f"my_faces#sha256={content_hash(faces)[:16]}"
    assert staged["data_path"] == shown
    assert staged["checkpoint"] == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert staged["output_dir"] == "runs/run"
    assert staged["face_detector"] == "yunet.onnx"
    assert staged["sources"] == [{"data_path": shown, "class_map": {"grin": "happiness"}}]
    refuse_private(tmp_path / "staged", "somebody")


def test_the_hash_of_a_folder_depends_only_on_names_and_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "a").write_text("1")
    (other / ".hidden").write_text("x")
    assert content_hash(one) == content_hash(other)
    (other / "a").write_text("2")
    assert content_hash(one) != content_hash(other)
    (other / "a").rename(other / "b")
    (other / "b").write_text("1")
    assert content_hash(one) != content_hash(other)


def no_seal(run: Path) -> None:
    (run / "evaluation.json").unlink()


def changed(run: Path) -> None:
    (run / "config.json").write_text((run / "config.json").read_text().replace("anger", "rage"))


def lost(run: Path) -> None:
    next((run / "figures").glob("*.png")).unlink()


def no_test_figures(run: Path) -> None:
    change_json(run / "evaluation.json", lambda e: [e.pop(s, None) for s in ("official", "clean", "clean_near")])
    reseal(run)


def no_interval(run: Path) -> None:
    change_json(run / "evaluation.json", lambda e: e["official"].update(accuracy=0.9))
    reseal(run)


def no_interval_of_a_new_metric(run: Path) -> None:
    change_json(run / "evaluation.json", lambda e: e["clean"].pop("auroc"))
    reseal(run)


def no_hashes(run: Path) -> None:
    change_json(run / "environment.json", lambda e: e.pop("sha256"))
    run_folder.seal(run, read_json(run / "environment.json"), read_json(run / "evaluation.json"))


def not_json(run: Path) -> None:
    (run / "curation.json").write_text("{")
    reseal(run)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_seal, "has no evaluation.json: the run is not finished"),
        (changed, "config.json was changed since the run was sealed"),
        (lost, "is missing since the run was sealed"),
        (no_test_figures, "no test figures: train with --evaluate_test true"),
        (no_interval, "accuracy of official has no interval"),
        (no_interval_of_a_new_metric, "auroc of clean has no interval"),
        (no_hashes, "lists no sha256 of"),
        (not_json, "curation.json cannot be read"),
    ],
)
def test_a_run_that_must_not_be_published_is_refused(spoil: Callable[[Path], None], words: str, run: Path) -> None:
    spoil(run)
    with pytest.raises(InputError, match=words):
        load_run(run)


def test_a_metric_that_a_row_set_does_not_define_needs_no_interval(run: Path) -> None:
    def undefine(evaluation: dict[str, Any]) -> None:
        evaluation["clean"].pop("auroc")
        evaluation["clean"]["undefined"] = ["auroc"]

    change_json(run / "evaluation.json", undefine)
    reseal(run)
    assert "auroc" not in load_run(run).row_sets["clean"]


def seal_as_before(run: Path) -> None:
    """The older seal: environment.json holds every hash, that of evaluation.json too; no metric is listed, no AUROC."""
    evaluation = read_json(run / "evaluation.json")
    for name in ("sha256", "metrics"):
        del evaluation[name]
    for row_set in {"official", "clean", "validation"} & evaluation.keys():
        del evaluation[row_set]["auroc"]
    (run / "evaluation.json").write_text(json.dumps(evaluation, indent=2), encoding="utf-8")
    environment = read_json(run / "environment.json")
    environment["sha256"]["evaluation.json"] = sha256(run / "evaluation.json")
    (run / "environment.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")


def test_a_run_with_the_older_seal_is_staged_with_the_seal_of_today(run: Path, tmp_path: Path) -> None:
    seal_as_before(run)
    loaded = load_run(run)
    assert list(loaded.metrics) == ["accuracy", "macro_f1", "balanced_accuracy", "nll", "kl", "ece"]
    stage(loaded, tmp_path / "staged", with_predictions=True)
    run_folder.verify(tmp_path / "staged")
    assert "evaluation.json" not in read_json(tmp_path / "staged" / "environment.json")["sha256"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: no such run folder"):
        load_run(tmp_path / "gone")
