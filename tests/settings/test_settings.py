"""Every setting does something: each is given another value, and what it should change is looked at."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from transformers import EarlyStoppingCallback
from transformers.models.vit.modeling_vit import ViTLayer

from pipeline import crop
from pipeline.data.curation import Curated, curate
from pipeline.data.readers import Source, read_source, read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.training.arguments import DEFAULTS, training_arguments
from pipeline.training.collator import TrainCollator
from pipeline.training.log import TrainingLog
from pipeline.training.model import build_model
from pipeline.training.plan import make_plan
from pipeline.training.sampler import Draw, EpochSampler, PictureRows
from pipeline.training.steps import build_trainer
from pipeline.training.trainer import sampling_weights
from pipeline.training.transforms import from_bytes, map_pictures
from tests.conftest import CACHES, HALF, STILL, write_recipe
from tests.data.test_face_crops import Squares, eyes_of, squares_photo
from train_hf import main

# One run for what train_hf.py alone puts together


@dataclass
class Seen:
    """What hooks on every module saw of a run of train_hf.py, and where it left its files."""

    folder: Path = Path()
    batches: list[torch.Tensor] = field(default_factory=list)  # pixel_values of the train batches
    train_dtypes: set[torch.dtype] = field(default_factory=set)
    last_dtype: torch.dtype | None = None  # of the last matrix product outside training
    attention: set[str] = field(default_factory=set)
    skipped: list[float] = field(default_factory=list)  # share of rows that each block left as they were, in training
    stored: set[tuple[int, int]] = field(default_factory=set)  # rows and side of each table of pictures in the cache


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    entered: list[torch.Tensor] = []

    def before(module: torch.nn.Module, args: tuple) -> None:
        if not module.training:
            return
        if isinstance(module, torch.nn.Conv2d):
            seen.batches.append(args[0].detach().clone())
        if isinstance(module, torch.nn.LayerNorm) and len(entered) == 2:
            same = (entered.pop() == args[0]).flatten(1).all(1)
            entered.clear()
            seen.skipped.append(same.float().mean().item())

    def after(module: torch.nn.Module, args: tuple, output: Any) -> None:
        if isinstance(module, torch.nn.Linear):
            seen.last_dtype = output.dtype
            if module.training:
                seen.train_dtypes.add(output.dtype)
        if isinstance(module, ViTLayer) and module.training:
            seen.attention.add(module.attention.config._attn_implementation)
            entered.append(args[0].detach())

    handles = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stored_pictures() -> dict[Path, tuple[int, int]]:
    """Rows and side of every cached table that holds `pixels`."""
    found = {}
    for path in Path(CACHES.name).rglob("cache-*.arrow"):
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            features = json.loads(stream.schema.metadata[b"huggingface"])["info"]["features"]
            if features.get("pixels", {}).get("dtype") == "binary":
                table = stream.read_all()
                found[path] = (table.num_rows, from_bytes(table["pixels"][0].as_py()).shape[-1])
    return found


OBSERVED: dict[str, Any] = {
    "drawn_faces": 120,  # 84 for train: 6 steps an epoch
    "num_train_epochs": 12,
    "max_steps": 36,  # half of them
    "store_size": 16,
    "attention": "sdpa",
    "drop_path": 0.5,
    "precision": "bf16",
    "learning_rate": 1e-12,
    "logging_steps": 1,
    "warmup_epochs": 0.34,
    "early_stopping": 3,
    "cutmix": 1.0,
    "mix_off_epoch": 4,
    "near_copies": True,
    "leaks": "report",
    "evaluate_test": True,
    "bootstrap_resamples": 77,
    **STILL,
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("observed")
    seen, before = Seen(folder / "run"), stored_pictures()
    with watched(seen), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "1")
        main([str(write_recipe(folder / "observed.yaml", output_dir=str(seen.folder), **OBSERVED))])
    seen.stored = {made for path, made in stored_pictures().items() if path not in before}
    return seen


# What the cases work with


@dataclass
class Bench:
    tmp: Path
    tiny: Callable[..., Recipe]
    table: Dataset
    trainer_of: Callable[..., Any]
    seen: Callable[[], Seen]

    def batch(self, **settings: Any) -> dict[str, torch.Tensor]:
        """A train batch of the first 16 rows at the start of epoch 1, without augmentation but `settings`."""
        rows = PictureRows(map_pictures(self.table, 32, "rows")).__getitems__([Draw(i, 0, 1.0) for i in range(16)])
        return TrainCollator(self.tiny(**STILL | settings), HALF, HALF)(rows)

    def pixels(self, **settings: Any) -> torch.Tensor:
        return self.batch(**settings)["pixel_values"]

    def faces(self, name: str = "faces", happy: int = 20, sad: int = 20) -> Path:
        """Class folders of noise; `name` decides the pictures."""
        rng = np.random.default_rng(list(name.encode()))
        for label, count in (("happy", happy), ("sad", sad)):
            (self.tmp / name / label).mkdir(parents=True)
            for i in range(count):
                noise = PILImage.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
                noise.save(self.tmp / name / label / f"{i:02d}.png")
        return self.tmp / name

    def parquet(self, columns: dict[str, list], **features: Any) -> Path:
        images = {name: Image() for name, values in columns.items() if isinstance(values[0], PILImage.Image)}
        path = self.tmp / "table.parquet"
        Dataset.from_dict(columns, features=Features(images | features)).to_parquet(path)
        return path

    def read(self, path: Path, **settings: Any) -> Source:
        return read_source(self.recipe(path, **settings))

    def curated(self, path: Path, **settings: Any) -> Curated:
        recipe = self.recipe(path, **settings)
        return curate(read_sources(recipe), recipe)

    def recipe(self, path: Path, **settings: Any) -> Recipe:
        two = {"source": "auto", "classes": ["happiness", "sadness"], "data_path": str(path)}
        return self.tiny(**two | settings)


@pytest.fixture
def bench(tmp_path: Path, tiny, table: Dataset, trainer_of, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, tiny, table, trainer_of, lambda: request.getfixturevalue("seen"))


def keys(tables: DatasetDict, split: str = "validation") -> list[str]:
    return tables[split]["key"][:]


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def loss_of(trainer: Any) -> float:
    batch = TrainCollator(trainer.recipe, HALF, HALF)(
        trainer.train_dataset.__getitems__([Draw(i, 0, 0.0) for i in range(16)])
    )
    return trainer.compute_loss(trainer.model.train(), batch).item()


CASES: dict[str, Callable[[Bench], None]] = {}


def case(look: Callable[[Bench], None]) -> Callable[[Bench], None]:
    CASES[look.__name__.removeprefix("of_")] = look
    return look


# data


@case
def of_source(bench: Bench) -> None:
    root = bench.faces(happy=3, sad=2)
    (root / "labels.csv").write_text("path,label\nhappy/00.png,happy\n")
    assert {s: len(bench.read(root, source=s).tables["all"]) for s in ("auto", "csv", "folder")} == {
        "auto": 1,
        "csv": 1,
        "folder": 5,
    }


@case
def of_data_path(bench: Bench) -> None:
    few, many = bench.faces("few", 1, 1), bench.faces("many", 3, 3)
    assert [len(bench.read(path).tables["all"]) for path in (few, many)] == [2, 6]


@case
def of_classes(bench: Bench) -> None:
    classes = ["sadness", "happiness"]
    table = bench.read(bench.faces(happy=3, sad=1), classes=classes).tables["all"]
    assert table.features["label"].names == classes and sum(table["label"]) == 3
    model, _ = build_model(bench.tiny(classes=classes))
    assert model.config.id2label == {0: "sadness", 1: "happiness"}
    assert model(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 2)


@case
def of_class_map(bench: Bench) -> None:
    root = bench.faces(happy=3, sad=1)
    assert sum(bench.read(root, class_map={"happy": "sadness"}).tables["all"]["label"]) == 4
    assert len(bench.read(root, class_map={"happy": None}).tables["all"]) == 1


@case
def of_image_column(bench: Bench) -> None:
    dark, light = PILImage.new("L", (8, 8), 0), PILImage.new("L", (8, 8), 255)
    path = bench.parquet({"image": [dark], "photo": [light], "label": ["sad"]}, label=Value("string"))
    for column, value in ((None, 0), ("photo", 255)):
        assert np.array(bench.read(path, image_column=column).tables["all"][0]["image"]).max() == value


@case
def of_label_column(bench: Bench) -> None:
    columns = {"image": [PILImage.new("L", (8, 8))], "label": ["sad"], "second": ["happy"]}
    path = bench.parquet(columns, label=Value("string"), second=Value("string"))
    assert [bench.read(path, label_column=c).tables["all"]["label"][:] for c in (None, "second")] == [[1], [0]]


def voted(bench: Bench) -> Path:
    votes = [
        [0, 4, 3, 3, 0, 0, 0, 0, 0, 0],
        [1, 9, 0, 0, 0, 0, 0, 0, 0, 0],
    ]  # neutral, happiness, surprise, sadness, ...
    return bench.parquet({"image": [PILImage.new("L", (8, 8))] * 2, "votes": votes}, votes=List(Value("int64")))


@case
def of_label_rule(bench: Bench) -> None:
    path, rows = voted(bench), {}
    for rule in ("majority", "plurality"):
        rows[rule] = len(bench.read(path, label_rule=rule, classes=list(CLASSES)).tables["all"])
    assert rows == {"majority": 1, "plurality": 2}


@case
def of_targets(bench: Bench) -> None:
    table, log = map_pictures(bench.table, 32, "rows"), TrainingLog(bench.tmp / "logs", list(CLASSES), 16)
    votes, labels = np.array(table["target"][:], np.float32), np.eye(7)[table["label"][:]]
    for targets, trained in (("votes", votes), ("onehot", labels)):
        recipe = bench.tiny(targets=targets)
        plan = make_plan(recipe)
        made = build_trainer(plan, training_arguments(plan), table, table, log)
        assert np.array_equal(made.train_dataset.targets, trained)
        assert np.array_equal(made.eval_dataset.targets, votes), "figures are taken against the votes"


@case
def of_undecided(bench: Bench) -> None:
    pictures = [PILImage.fromarray(np.full((8, 8), level, np.uint8)) for level in range(6)]
    votes = [[0, 9, 1, 0, 0, 0, 0, 0, 0, 0], [0, 4, 3, 0, 0, 0, 0, 3, 0, 0]]  # the second: contempt has 3
    (bench.tmp / "voted").mkdir()
    for index, split in enumerate(("train", "validation", "test")):
        rows = Dataset.from_dict({"image": pictures[2 * index : 2 * index + 2], "votes": votes})
        features = Features({"image": Image(), "votes": List(Value("int64"))})
        rows.cast(features).to_parquet(bench.tmp / "voted" / f"{split}.parquet")
    drop, train = (
        bench.read(bench.tmp / "voted", undecided=undecided, classes=list(CLASSES)).tables
        for undecided in ("drop", "train")
    )
    assert {split: len(table) for split, table in drop.items()} == {"train": 1, "validation": 1, "test": 1}
    assert {split: len(table) for split, table in train.items()} == {"train": 2, "validation": 1, "test": 1}
    kept = train["train"][1]
    assert CLASSES[kept["label"]] == "happiness"
    assert dict(zip(CLASSES, kept["target"], strict=True)) == pytest.approx(
        dict.fromkeys(CLASSES, 0) | {"happiness": 4 / 7, "surprise": 3 / 7}
    )
    with pytest.raises(InputError, match="validation and test would be made of train here"):
        bench.read(voted(bench), undecided="train", classes=list(CLASSES))


@case
def of_validation_share(bench: Bench) -> None:
    root = bench.faces()
    rows = [len(bench.curated(root, validation_share=share).splits["validation"]) for share in (0.1, 0.25)]
    assert rows == [4, 10]


@case
def of_test_share(bench: Bench) -> None:
    root = bench.faces()
    assert len(bench.curated(root, test_share=0.25).splits["test"]) == 10
    assert "test" not in bench.curated(root, test_share=0.0).splits


@case
def of_split_seed(bench: Bench) -> None:
    root = bench.faces()
    assert keys(bench.curated(root).splits) != keys(bench.curated(root, split_seed=1).splits)
    one, other = (
        read_source(bench.tiny(drawn_faces=20, split_seed=seed)).tables["test"]["image"][0] for seed in (0, 1)
    )
    assert np.array(one).tolist() != np.array(other).tolist()


@case
def of_drawn_faces(bench: Bench) -> None:
    assert sum(len(table) for table in read_source(bench.tiny(drawn_faces=40)).tables.values()) == 40


@case
def of_sources(bench: Bench) -> None:
    for place in ("one", "two"):
        for name in ("happiness", "sadness"):
            for index in range(6):
                path = bench.tmp / place / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=ord(place[0]), index=index, size=32).save(path)
    entries = [{"crop": "none"}, {"data_path": str(bench.tmp / "two")}]  # the first is read from the recipe's own path
    assert len(bench.curated(bench.tmp / "one", sources=entries).rows["train"]) > 12
    assert set(bench.curated(bench.tmp / "one", sources=entries).report["sources"]) == {"one", "two"}


def rolled(bench: Bench) -> Path:
    """A photo of a face whose eyes are not level, as `Squares` sees it, and one without a face."""
    photo = squares_photo((40, 30, 60), eyes=((55, 45), (85, 65)))
    for label, name, picture in (("happy", "face", photo), ("sad", "none", np.zeros((90, 90, 3), np.uint8))):
        (bench.tmp / "photos" / label).mkdir(parents=True)
        PILImage.fromarray(picture).save(bench.tmp / "photos" / label / f"{name}.png")
    return bench.tmp / "photos"


@case
def of_crop(bench: Bench) -> None:
    root = rolled(bench)
    assert len(bench.read(root).tables["all"]) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "load_detector", lambda weights: Squares())
        (row,) = bench.read(root, crop="detect", face_detector=str(bench.tmp)).tables["all"]
    assert row["image"].size == (32, 32) and row["key"] == "happy/face.png"


@case
def of_face_align(bench: Bench) -> None:
    root = rolled(bench)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "load_detector", lambda weights: Squares())
        as_they_are, level = (
            np.array(
                bench.read(root, crop="detect", face_detector=str(bench.tmp), face_align=a).tables["all"][0]["image"]
            )
            for a in (False, True)
        )
    assert abs(eyes_of(level)) < 1 < abs(eyes_of(as_they_are))


@case
def of_face_detector(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"face detector .*mine\.onnx: No such file .* give its path with --face_det"):
        bench.read(bench.faces(), crop="detect", face_detector=str(bench.tmp / "mine.onnx"))


@case
def of_near_copies(bench: Bench) -> None:
    for split, side in (("train", 96), ("val", 48)):
        for index, name in enumerate(["happiness", "sadness"] * 3):
            path = bench.tmp / "near" / split / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_face(name, seed=0, index=index, size=side).save(path)
    sides = {"leaks": "report", "test_share": 0.0}
    look, pass_over = (bench.curated(bench.tmp / "near", near_copies=n, **sides) for n in (True, False))
    assert look.report["copies"]["near"]["validation_in_train"] == 6
    assert look.splits["validation"]["clean_near"][:] == [False] * 6
    assert pass_over.report["copies"]["near"] is None
    assert pass_over.splits["validation"]["clean_near"][:] == [None] * 6
    run = bench.seen().folder
    near = json.loads((run / "curation.json").read_text())["copies"]["near"]
    rows = pq.read_table(run / "predictions.parquet", filters=[("split", "=", "test")])
    told = rows["clean_near"].to_pylist()
    assert None not in told and near["test_in_train"] <= told.count(False) <= sum(near.values())
    assert "clean_near" in json.loads((run / "evaluation.json").read_text())


@case
def of_caps(bench: Bench) -> None:
    rows = bench.curated(bench.faces(), caps={"happiness": 3}).report["rows"]["train"]
    assert rows["happiness"] == 3 and rows["sadness"] > 3


@case
def of_row_weights(bench: Bench) -> None:
    table = bench.curated(bench.faces(), row_weights={"sadness": 4.0}).splits["train"]
    rows = PictureRows(map_pictures(table, 32, "rows"))
    sampler, labels = EpochSampler(len(rows), 0, sampling_weights(rows, balanced=False)), table["label"][:]
    drawn = []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        drawn += [labels[draw.index] for draw in sampler]
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.03), "sadness four times as often"
    assert np.ptp(sampling_weights(rows, balanced=True)) < 0.02, "balanced, the factor of a class cancels"


@case
def of_leaks(bench: Bench) -> None:
    root = bench.tmp / "leaking"
    for split in ("train", "validation"):
        for name in ("happiness", "sadness"):
            for index in range(3):
                (root / split / name).mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=len(split), index=index, size=32).save(root / split / name / f"{index}.png")
    shutil.copy(root / "train" / "sadness" / "0.png", root / "validation" / "sadness" / "copy.png")
    with pytest.raises(InputError, match="splits leak: 1 rows validation_in_train"):
        bench.curated(root, test_share=0.0)
    rows = {
        rule: len(bench.curated(root, test_share=0.0, leaks=rule).splits["train"])
        for rule in ("report", "drop_from_train")
    }
    assert rows == {"report": 6, "drop_from_train": 5}


@case
def of_max_bad_share(bench: Bench) -> None:
    root = bench.faces()
    (root / "sad" / "00.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="max_bad_share"):
        bench.curated(root)
    (told,) = bench.curated(root, max_bad_share=0.03).report["sources"].values()
    assert told["unreadable"]["count"] == 1


@case
def of_max_train_samples(bench: Bench) -> None:
    rows = {split: len(t) for split, t in bench.curated(bench.faces(), max_train_samples=5).splits.items()}
    assert rows == {"train": 5, "validation": 4, "test": 4}


@case
def of_max_eval_samples(bench: Bench) -> None:
    rows = {split: len(t) for split, t in bench.curated(bench.faces(), max_eval_samples=3).splits.items()}
    assert rows == {"train": 32, "validation": 3, "test": 3}


# pictures


@case
def of_image_size(bench: Bench) -> None:
    assert bench.pixels(image_size=48).shape[-2:] == (48, 48)
    model, processor = build_model(bench.tiny(image_size=48))
    assert model.config.image_size == 48 and dict(processor.size) == {"height": 48, "width": 48}


@case
def of_store_size(bench: Bench) -> None:
    assert bench.seen().stored == {(84, 16), (18, 32)}, "train small, validation and test at the size of the input"
    assert {tuple(batch.shape[1:]) for batch in bench.seen().batches} == {(3, 32, 32)}


# augmentation, mixing


@case
def of_flip(bench: Bench) -> None:
    assert torch.allclose(bench.pixels(flip=1.0), bench.pixels().flip(-1), atol=1e-3)


def changes(setting: str, value: float) -> None:
    """A setting of augmentation that changes every picture of a batch; its effect is looked at in test_transforms."""

    def look(bench: Bench) -> None:
        moved = (bench.pixels(**{setting: value}) - bench.pixels()).abs().flatten(1).mean(1)
        assert moved.min() > 1e-3

    CASES[setting] = look


changes("rotation", 30.0)
changes("crop_area", 0.3)
changes("crop_ratio", 2.0)
changes("zoom_out", 0.5)
changes("shift", 0.2)
changes("brightness", 0.9)
changes("contrast", 0.9)
changes("saturation", 0.9)


@case
def of_erasing(bench: Bench) -> None:
    gray = (bench.pixels(erasing=1.0) == 0).all(1).flatten(1).float().mean(1)
    assert gray.min() > 0.01 and (bench.pixels() == 0).all(1).sum() == 0


def mixes(method: str) -> None:
    def look(bench: Bench) -> None:
        plain, mixed = bench.batch(), bench.batch(**{method: 1.0})
        assert (mixed["labels"] - plain["labels"]).abs().max() > 0.01
        assert not torch.equal(mixed["pixel_values"], plain["pixel_values"])

    def look_at_alpha(bench: Bench) -> None:
        some, other = (bench.batch(**{method: 1.0, f"{method}_alpha": alpha}) for alpha in (0.5, 50.0))
        assert not torch.equal(some["labels"], other["labels"])

    CASES[method], CASES[f"{method}_alpha"] = look, look_at_alpha


mixes("cutmix")
mixes("mixup")


@case
def of_mix_off_epoch(bench: Bench) -> None:
    seen, recipe = bench.seen(), bench.tiny(**OBSERVED | {"cutmix": 0.0})
    table = map_pictures(read_source(recipe).tables["train"], 16, "train")
    rows = PictureRows(table).__getitems__([Draw(i, 0, 99.0) for i in range(len(table))])
    originals = {picture.numpy().tobytes() for picture in TrainCollator(recipe, HALF, HALF)(rows)["pixel_values"]}
    unmixed = [all(picture.numpy().tobytes() in originals for picture in batch) for batch in seen.batches]
    assert sum(unmixed[:12]) < 3, "epochs 0 and 1 are mixed"
    assert all(unmixed[12:]) and len(unmixed) == 24, "epoch 4 of 12 is epoch 2 of a run cut to a half"


# model


@case
def of_checkpoint(bench: Bench) -> None:
    model, processor = build_model(bench.tiny(seed=5))
    model.save_pretrained(bench.tmp / "model"), processor.save_pretrained(bench.tmp / "model")
    again, _ = build_model(bench.tiny(checkpoint=str(bench.tmp / "model")))
    assert torch.equal(weights(again), weights(model))
    assert not torch.equal(weights(build_model(bench.tiny())[0]), weights(model))


@case
def of_architecture(bench: Bench) -> None:
    model, _ = build_model(bench.tiny(architecture="resnet10t"))
    assert model.config.model_type == "timm_wrapper" and any(
        isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()
    )


@case
def of_vit_config(bench: Bench) -> None:
    model, _ = build_model(bench.tiny(vit_config=bench.tiny().vit_config | {"num_hidden_layers": 1, "hidden_size": 48}))
    assert len(model.vit.layers) == 1 and model.classifier.in_features == 48


@case
def of_drop_path(bench: Bench) -> None:
    assert 0.3 < np.mean(bench.seen().skipped) < 0.7, "the last block is skipped for half of the rows"
    assert len(bench.seen().skipped) == 24


@case
def of_freeze(bench: Bench) -> None:
    trainer = bench.trainer_of(bench.tiny(freeze="backbone", num_train_epochs=1, ema_decay=0))
    first = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, first[name])}
    assert moved == {"classifier.weight", "classifier.bias"}


@case
def of_attention(bench: Bench) -> None:
    assert bench.seen().attention == {"sdpa"}, "auto is eager on a CPU"


# loss


@case
def of_label_smoothing(bench: Bench) -> None:
    plain, smoothed = (loss_of(bench.trainer_of(bench.tiny(label_smoothing=s))) for s in (0.0, 0.3))
    assert abs(plain - smoothed) > 1e-3


@case
def of_class_balance(bench: Bench) -> None:
    trainers = {
        how: bench.trainer_of(bench.tiny(class_balance=how))
        for how in ("none", "sampler", "weights", "logit_adjustment")
    }
    loss = {how: loss_of(trainer) for how, trainer in trainers.items()}
    assert loss["sampler"] == loss["none"]
    assert min(abs(loss[how] - loss["none"]) for how in ("weights", "logit_adjustment")) > 1e-4
    drawn = {how: [draw.index for draw in trainer.train_sampler] for how, trainer in trainers.items()}
    assert len(set(drawn["sampler"])) < 70 and all(len(set(drawn[how])) == 70 for how in drawn if how != "sampler")


# optimisation


@case
def of_total_batch_size(bench: Bench) -> None:
    assert {len(batch) for batch in bench.seen().batches} == {16, 84 % 16}
    trainer = bench.trainer_of(bench.tiny(total_batch_size=24))
    assert len(next(iter(trainer.get_train_dataloader()))["labels"]) == 24


@case
def of_warmup_epochs(bench: Bench) -> None:
    state = json.loads((bench.seen().folder / "checkpoint-24" / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates[:2] == [0, max(rates)] == [0, 1e-12], "one step of warm-up; a whole epoch's would be three"


@case
def of_layer_decay(bench: Bench) -> None:
    rates = []
    for decay in (1.0, 0.5):
        optimizer = bench.trainer_of(bench.tiny(layer_decay=decay, learning_rate=1.0)).create_optimizer()
        rates.append({group["lr"] for group in optimizer.param_groups})
    assert rates == [{1.0}, {1.0, 0.5, 0.25, 0.125}]


@case
def of_ema_decay(bench: Bench) -> None:
    recipe = {"num_train_epochs": 1, "learning_rate": 1e-2}
    kept = []
    for decay in (0.0, 0.1, 0.3):
        trainer = bench.trainer_of(bench.tiny(ema_decay=decay, **recipe), f"ema{decay}")
        trainer.train()
        kept.append((weights(trainer.model), trainer.state.log_history[-2]["eval_nll"]))
    for one, other in ((0, 1), (1, 2)):
        assert not torch.equal(kept[one][0], kept[other][0]) and kept[one][1] != kept[other][1]


@case
def of_early_stopping(bench: Bench) -> None:
    state = json.loads((bench.seen().folder / "checkpoint-24" / "trainer_state.json").read_text())
    assert len([entry for entry in state["log_history"] if "eval_accuracy" in entry]) == 4, "the best and three more"
    assert not (bench.seen().folder / "checkpoint-30").exists()


@case
def of_precision(bench: Bench) -> None:
    assert bench.seen().train_dtypes == {torch.bfloat16}
    assert bench.seen().last_dtype == torch.float32, "predictions are made in float32"


# evaluation


@case
def of_evaluate_test(bench: Bench) -> None:
    run = bench.seen().folder
    assert {"validation", "official", "clean"} <= json.loads((run / "evaluation.json").read_text()).keys()
    assert pq.read_table(run / "predictions.parquet")["split"].to_pylist().count("test") == 18


@case
def of_bootstrap_resamples(bench: Bench) -> None:
    run = bench.seen().folder
    evaluation = json.loads((run / "evaluation.json").read_text())
    table = pq.read_table(run / "predictions.parquet")
    about = json.loads(table.schema.metadata[b"fer"])
    assert (evaluation["resamples"], about["resamples"]) == (77, 77)
    again = table.replace_schema_metadata({"fer": json.dumps(about | {"resamples": 1000})})
    pq.write_table(again, bench.tmp / "again.parquet")
    more = evaluate_predictions(bench.tmp / "again.parquet")["official"]["nll"]
    assert more["value"] == evaluation["official"]["nll"]["value"] and more != evaluation["official"]["nll"]


def test_every_setting_has_a_case() -> None:
    assert set(CASES) == {f.name for f in OUR_FIELDS}


@pytest.mark.parametrize("name", [f.name for f in OUR_FIELDS])
def test_a_setting_changes_what_it_says(name: str, bench: Bench) -> None:
    CASES[name](bench)


# Trainer's own


@pytest.mark.parametrize(
    ("typed", "reached"),
    [
        ({}, {name: value for name, value in DEFAULTS.items() if name != "lr_scheduler_type"}),
        ({"save_steps": 7}, {"save_steps": 7, "eval_steps": 7, "save_strategy": "steps", "eval_strategy": "steps"}),
        ({"save_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"logging_steps": 3}, {"logging_steps": 3}),
        ({"max_grad_norm": 0.5}, {"max_grad_norm": 0.5}),
        ({"lr_scheduler_type": "linear"}, {"lr_scheduler_type": "linear"}),
        ({"adam_beta2": 0.95}, {"adam_beta2": 0.95}),
        ({"dataloader_num_workers": 2}, {"dataloader_num_workers": 2}),
        ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
        ({"per_device_eval_batch_size": 5}, {"per_device_eval_batch_size": 5}),
        ({"per_device_train_batch_size": 5}, {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 1}),
        ({"metric_for_best_model": "nll"}, {"metric_for_best_model": "nll", "greater_is_better": False}),
        ({"metric_for_best_model": "macro_f1"}, {"metric_for_best_model": "macro_f1", "greater_is_better": True}),
    ],
    ids=str,
)
def test_a_field_of_trainer_reaches_its_arguments(tiny, typed: dict, reached: dict) -> None:
    args = training_arguments(make_plan(tiny(**typed)))
    assert {name: getattr(args, name) for name in reached} == reached


def test_fields_of_trainer_reach_the_optimizer_and_the_loader(trainer_of, tiny) -> None:
    trainer = trainer_of(tiny(weight_decay=0.3, adam_beta2=0.95, dataloader_num_workers=1, learning_rate=0.5))
    groups = trainer.create_optimizer().param_groups
    assert {g["weight_decay"] for g in groups} == {0.0, 0.3}
    assert {g["betas"][1] for g in groups} == {0.95} and {g["lr"] for g in groups} == {0.5}
    assert trainer.get_train_dataloader().num_workers == 1


def test_the_patience_of_a_resumed_run_goes_on_where_it_was(trainer_of, tiny) -> None:
    settings = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9, "learning_rate": 1e-12}
    recipe = tiny(max_steps=9, **settings)
    whole = trainer_of(recipe, "whole", [EarlyStoppingCallback(3)])
    whole.train()
    assert whole.state.global_step == 4, "the best and three more"
    resumed = trainer_of(recipe, "resumed", [EarlyStoppingCallback(3)])
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-3"))
    assert resumed.state.global_step == 4
