"""One preprocessing: training, `pipeline()` and a processor used by hand see the same picture."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
from transformers.image_utils import load_image

from pipeline.data.readers import read_source
from pipeline.expressions import CLASSES
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.training.collator import EvalCollator, TrainCollator
from pipeline.training.prediction import predict
from pipeline.training.sampler import Draw, PictureRows
from pipeline.training.transforms import map_pictures
from tests.conftest import STILL, Finished, save_sharp_model

TOLERANCE = 1e-4  # of a probability
SIZE = 64


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Smooth and sharp, small and large, as people have them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(7)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape, dtype=np.uint8)

    turned = PILImage.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    made = {
        "gray 48": (PILImage.fromarray(noise(48, 48)), {}),
        "colour 100x80": (PILImage.fromarray(noise(80, 100, 3)), {}),
        "smooth 300x200": (PILImage.fromarray(noise(6, 9, 3)).resize((300, 200), PILImage.Resampling.BICUBIC), {}),
        "rgba": (PILImage.fromarray(noise(70, 70, 4)), {}),
        "palette": (PILImage.fromarray(noise(50, 60, 3)).quantize(16), {}),
        "turned by exif": (PILImage.fromarray(noise(90, 40, 3)), {"exif": turned}),
        "as large as the input": (PILImage.fromarray(noise(SIZE, SIZE, 3)), {}),
    }
    for name, (picture, how) in made.items():
        picture.save(folder / f"{name}.png", **how)
    return {name: folder / f"{name}.png" for name in made}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that answers to small changes of a picture with large ones of its scores."""
    folder = tmp_path_factory.mktemp("model")
    save_sharp_model(folder, SIZE)
    return folder


def table_of(pictures: dict[str, Path]) -> Dataset:
    features = {"image": Image(), "label": ClassLabel(names=list(CLASSES)), "target": List(Value("float32"), length=7)}
    count = len(pictures)
    rows = {
        "image": [str(path) for path in pictures.values()],
        "label": [0] * count,
        "target": [[1.0] + [0.0] * 6] * count,
        "key": list(pictures),
    }
    return Dataset.from_dict(rows, features=Features(features | {"key": Value("string")}))


def by_our_line(folder: Path, pictures: dict[str, Path]) -> np.ndarray:
    """The map that is cached, the collator of evaluation, the loop that writes predictions.parquet."""
    logits = predict(folder, {"test": map_pictures(table_of(pictures), SIZE, "map")}, 3, "cpu")["test"]
    return torch.from_numpy(logits).softmax(-1).numpy()


def by_pipeline(folder: Path, pictures: dict[str, Path]) -> np.ndarray:
    classify = pipeline("image-classification", model=str(folder), top_k=len(CLASSES))
    answers = [{s["label"]: s["score"] for s in classify(str(path))} for path in pictures.values()]
    return np.array([[answer[name] for name in CLASSES] for answer in answers])


def by_hand(folder: Path, pictures: dict[str, Path]) -> np.ndarray:
    processor, model = (
        AutoImageProcessor.from_pretrained(folder),
        AutoModelForImageClassification.from_pretrained(folder),
    )
    with torch.inference_mode():
        logits = [model(**processor(load_image(str(p)), return_tensors="pt")).logits[0] for p in pictures.values()]
    return torch.stack(logits).softmax(-1).numpy()


def test_our_line_a_pipeline_and_a_processor_by_hand_give_the_same_probabilities(model_folder, pictures) -> None:
    ours, theirs, own = (by(model_folder, pictures) for by in (by_our_line, by_pipeline, by_hand))
    assert ours.max() < 0.99 and np.ptp(ours, axis=0).max() > 0.3, "scores that hardly move prove nothing"
    apart = np.maximum(np.abs(ours - theirs), np.abs(ours - own)).max(1)
    assert apart.max() < TOLERANCE, dict(zip(pictures, apart.tolist(), strict=True))


@pytest.mark.parametrize(
    "changed",
    [
        {"resample": 2},
        {"resample": 0},
        {"image_mean": [0.49, 0.5, 0.5]},
        {"image_std": [0.5, 0.5, 0.51]},
        {"do_normalize": False},
        {"rescale_factor": 1 / 256},
    ],
    ids=str,
)
def test_another_processor_is_noticed(model_folder, pictures, changed: dict, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "other")
    file = tmp_path / "other" / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    apart = np.abs(by_pipeline(tmp_path / "other", pictures) - by_our_line(model_folder, pictures)).max()
    assert apart > 10 * TOLERANCE


def test_a_picture_that_is_not_turned_upright_is_noticed(model_folder, pictures) -> None:
    turned = {"turned by exif": pictures["turned by exif"]}
    upright = load_image(str(turned["turned by exif"]))
    assert upright.size == (90, 40)
    sideways = AutoImageProcessor.from_pretrained(model_folder)(
        PILImage.open(turned["turned by exif"]), return_tensors="pt"
    )
    scores = AutoModelForImageClassification.from_pretrained(model_folder)(**sideways).logits.softmax(-1)[0]
    assert np.abs(scores.detach().numpy() - by_our_line(model_folder, turned)[0]).max() > 10 * TOLERANCE


def test_training_without_augmentation_sees_the_pictures_of_evaluation(pictures, tiny) -> None:
    rows = PictureRows(map_pictures(table_of(pictures), SIZE, "map"))
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    draws = [Draw(i, 0, 0.0) for i in range(len(rows))]
    train = TrainCollator(tiny(image_size=SIZE, **STILL), mean, std)(rows.__getitems__(draws))
    evaluated = EvalCollator(mean, std)(rows.__getitems__(range(len(rows))))
    assert torch.allclose(train["pixel_values"], evaluated["pixel_values"], atol=1e-6)
    assert torch.equal(train["labels"], evaluated["labels"])


def test_the_predictions_of_a_run_are_those_of_its_pipeline_on_the_pictures_of_their_keys(
    finished_run: Finished, tmp_path: Path
) -> None:
    predictions = pq.read_table(finished_run.path / "predictions.parquet").to_pylist()
    table = read_source(recipe_from(load_yaml(finished_run.path / "recipe.yaml"), "test")).tables["validation"]
    by_key = dict(zip(table["key"][:], table["image"][:], strict=True))
    pictures = {}
    for row in predictions:
        pictures[row["key"]] = tmp_path / f"{row['key']}.png"
        by_key[row["key"]].save(pictures[row["key"]])
    logits = torch.tensor([row["logits"] for row in predictions])
    assert np.abs(logits.softmax(-1).numpy() - by_pipeline(finished_run.path, pictures)).max() < TOLERANCE
    assert logits.std(0).max() > 1e-3, "pictures that are all answered alike prove nothing"
