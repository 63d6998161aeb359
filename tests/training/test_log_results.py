"""TensorBoard shows the first batch, the surest mistakes and the final figures; pictures only where they may travel."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pipeline.training.log import EventFile
from pipeline.training.log_results import log_first_batch, log_surest_mistakes, may_be_shown
from tests.conftest import STILL, Finished, run_train_hf, write_recipe

PICTURES = {"train/first_batch", "validation/surest_mistakes"}


def events_of(logs: Path) -> EventAccumulator:
    return EventAccumulator(str(logs), size_guidance={"images": 0, "scalars": 0}).Reload()


def picture(events: EventAccumulator, tag: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string)))


def test_a_run_of_drawn_faces_shows_its_first_batch_its_mistakes_and_its_final_figures(finished_run: Finished) -> None:
    events = events_of(finished_run.path / "logs")
    assert set(events.Tags()["images"]) >= PICTURES
    assert [image.step for image in events.Images("train/first_batch")] == [0]
    assert {"final/validation/accuracy", "final/validation/macro_f1"} <= set(events.Tags()["scalars"])
    assert not {"validation/epoch", "validation/runtime"} & set(events.Tags()["scalars"])
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(plugin).session_start_info.hparams
    assert settings["learning_rate"].number_value == 1e-3 and settings["recipe"].string_value == "shared"
    assert not {"data_path", "checkpoint", "output_dir"} & set(settings), "no path of this machine"


def test_pictures_that_may_not_travel_are_in_no_event_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("happy", "sad"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in range(20):
            noise = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "faces" / name / f"{number}.png")
    own = {"source": "folder", "data_path": str(tmp_path / "faces"), "classes": ["happiness", "sadness"]}
    recipe = write_recipe(tmp_path / "own.yaml", output_dir=str(tmp_path / "run"), max_steps=2, **own)
    ended = run_train_hf(str(recipe))
    assert ended.returncode == 0, ended.stderr
    events = events_of(tmp_path / "run" / "logs")
    assert set(events.Tags()["images"]) == {"validation/confusion_matrix"}
    assert "final/validation/accuracy" in events.Tags()["scalars"]


@pytest.mark.parametrize(("terms", "shown"), [([True], True), ([True, False], False), ([False], False)])
def test_one_source_that_forbids_it_is_enough(terms: list[bool], shown: bool) -> None:
    sources = {str(number): {"may_publish_pixels": allowed} for number, allowed in enumerate(terms)}
    assert may_be_shown({"sources": sources}) == shown


def test_the_first_batch_is_the_one_that_is_trained(trainer_of, tiny, tmp_path: Path) -> None:
    trainer = trainer_of(replace(tiny(**STILL | {"rotation": 20.0}), name="turned"))
    with EventFile(tmp_path / "logs") as events:
        log_first_batch(events, trainer.train_dataset, trainer.train_sampler, trainer.train_collator, 16)
    trained = next(iter(trainer.get_train_dataloader()))["pixel_values"][0] * 0.5 + 0.5
    shown = picture(events_of(tmp_path / "logs"), "train/first_batch")[2:34, 2:34]
    assert np.abs(shown - (trained.permute(1, 2, 0) * 255).numpy()).max() <= 1


def test_the_surest_mistake_is_shown_and_no_right_answer(tiny, tmp_path: Path) -> None:
    pixels = torch.arange(3, dtype=torch.uint8).mul(100).view(3, 1, 1, 1).expand(3, 3, 8, 8).contiguous()
    columns = {"label": [0, 1, 2], "target": np.eye(7)[:3].tolist()}
    table = Dataset.from_dict({"pixels": [each.numpy().tobytes() for each in pixels]} | columns)
    logits = np.full((3, 7), -4.0, np.float32)
    logits[[0, 1, 2], [0, 0, 1]] = 0, 2, 9  # right; wrong; wrong and surer
    with EventFile(tmp_path / "logs") as events:
        log_surest_mistakes(events, table, logits, tiny(), 5)
    image = events_of(tmp_path / "logs").Images("validation/surest_mistakes")[0]
    shown = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    found = {int(v): np.argwhere((shown == v).all(-1))[:, 1].min() for v in (100, 200) if (shown == v).all(-1).any()}
    assert image.step == 5 and found[200] < found[100], "the surest first"
    with EventFile(tmp_path / "none") as events:
        log_surest_mistakes(events, table, np.eye(7, dtype=np.float32)[:3], tiny(), 5)
    assert events_of(tmp_path / "none").Tags()["images"] == []
