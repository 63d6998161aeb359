"""Every setting of a run: a flat YAML recipe, overridden on the command line, checked, and saved with the run.

A recipe mixes our fields (`Recipe`, below) and Trainer's own (`transformers.TrainingArguments`); each name belongs to
exactly one of the two. No setting is read anywhere but from here.
"""

import dataclasses
import math
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ModelWrapValidatorHandler, PlainValidator, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.expressions import CLASSES, plain
from pipeline.settings.kinds import STRICT, Encoding, Free, Names, Number, PathText, Text, Whole
from pipeline.settings.schema import Setting, one_line, setting
from pipeline.settings.trainer import checked
from pipeline.task import TASKS, Name

CLASSES_ONLY, SCORES = "classification", "regression"
Precision = Literal["auto", "fp16", "bf16", "fp32"]


def _read_only(trainer: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(checked(trainer) if trainer else {})


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """Our settings, checked and then fixed: `dataclasses.replace` gives a changed copy, and checks it again.

    `trainer` holds the fields of TrainingArguments that the recipe or the command line names.

    Raises:
        InputError: a value of the wrong type or out of range, or settings that exclude each other.
    """

    # fmt: off
    task: Name = setting("classification", "task", "classification: one of classes for each picture; regression: the numbers that scores names")
    scores: Names = setting([], "task", "names of the scores: the columns that hold them, such as [valence, arousal]; source drawn has intensity", task=SCORES)
    score_ranges: dict[Text, list[Number]] = setting({}, "task", "lowest and highest possible value of a score, such as {valence: [-1, 1]}; a value outside is refused", task=SCORES)
    score_of: Literal["picture", "person"] = setting("picture", "task", "what has a score: every picture, or a person, who is evaluated by the mean over their pictures", task=SCORES)
    screening_cut: Number | None = setting(None, "task", "persons with at least this score are to be found: evaluation adds sensitivity, specificity and AUC at it; such a model counts as one of health", "unit of the score", task=SCORES)

    source: Text = setting("auto", "data", "name of the reader of data_path, such as folder, csv, parquet or drawn; auto recognises the layout and prints it; a wrong name lists them all")
    data_path: PathText | None = setting(None, "data", "folder, csv file, parquet file or folder, or Hub data set id")
    sources: list[dict[Text, Free]] = setting([], "data", "several sources in one run: for each, the settings of this group that differ, such as {data_path: DIR, source: ferplus}")
    classes: Names = setting(list(CLASSES), "data", "class names in their order: a YAML list, or names with commas between", task=CLASSES_ONLY)
    class_map: dict[Text, Text | None] = setting({}, "data", "names in the data to names in classes; null drops the rows", task=CLASSES_ONLY)
    image_column: Text | None = setting(None, "data", "column that holds the picture; null finds it")
    label_column: Text | None = setting(None, "data", "column that holds the class; null finds it", task=CLASSES_ONLY)
    person_column: Text | None = setting(None, "data", "column that holds the person, so that nobody is in two splits; null finds it, none reads none")
    split_column: Text | None = setting(None, "data", "column that holds the split; null finds it, none reads none")
    csv_encoding: Encoding | None = setting(None, "data", "encoding of text tables (csv, tsv, jsonl, json) without a byte order mark, such as cp1252; null is UTF-8 or UTF-16")
    label_codes: Literal["fer2013", "rafdb", "affectnet", "expw", "ckplus"] | None = setting(None, "data", "whose codes the labels are, if they are numbers; null refuses numbers", task=CLASSES_ONLY)
    label_pattern: Text | None = setting(None, "data", "reads labels from paths: jaffe, kdef, rafd or ckplus, or a regular expression with a group label, and optionally person", task=CLASSES_ONLY)
    label_rule: Literal["majority", "plurality"] = setting("majority", "data", "how raw votes become a label", task=CLASSES_ONLY)
    targets: Literal["votes", "onehot"] = setting("votes", "data", "train on vote shares if the data has votes, or on the label only; metrics always use the votes", task=CLASSES_ONLY)
    undecided: Literal["drop", "train"] = setting("drop", "data", "rows without a label under label_rule: drop them, or keep them in train only, with their vote shares as targets", task=CLASSES_ONLY)
    validation_share: Number = setting(0.1, "data", "share of all rows for validation if the source has none", "share", ge=0, lt=1)
    test_share: Number = setting(0.1, "data", "share of all rows for test if the source has none", "share", ge=0, lt=1)
    splits_left_out: Names = setting([], "data", "splits of the data that are not used, such as a test split without labels; a missing split is then made of train rows")
    split_seed: Whole = setting(0, "data", "seed of made splits, row limits and drawn faces; the training seed is --seed", ge=0)
    drawn_faces: Whole = setting(6000, "data", "faces that source drawn draws, all splits together", "pictures", ge=1, le=1_000_000)
    crop: Literal["none", "detect"] = setting("none", "data", "detect: every picture is a photo, and its largest face is cropped as in FER2013; pictures without a face are dropped and counted")
    face_align: bool = setting(False, "data", "crop detect also rotates the face until its eyes are level")
    face_detector: PathText = setting("opencv/face_detection_yunet", "data", "YuNet's ONNX file for crop detect: a file, a local folder or a Hub id")
    max_bad_share: Number = setting(0.01, "data", "share of pictures that may be damaged or unusable before the run stops", "share", ge=0, le=1)
    near_copies: bool = setting(True, "data", "also look for near copies: pictures resized, recompressed, cropped, mirrored or relit")
    leaks: Literal["error", "drop_from_train", "report"] = setting("error", "data", "a copy or a person of validation or test in train, or of test in validation: stop, drop the row from train, or only report it")
    caps: dict[Text, Annotated[Whole, Field(ge=0)]] = setting({}, "data", "at most this many train rows of a source, a class, or source/class", "rows")
    row_weights: dict[Text, Annotated[Number, Field(ge=0)]] = setting({}, "data", "draw train rows of a source, a class, or source/class this many times as often", "factor")
    max_train_samples: Whole | None = setting(None, "data", "train on at most this many rows; null uses all", "rows", ge=1)
    max_eval_samples: Whole | None = setting(None, "data", "evaluate on at most this many rows of each split; null uses all", "rows", ge=1)

    image_size: Whole = setting(224, "pictures", "side of the model's input", "px", ge=1, le=16_384)
    store_size: Whole | None = setting(None, "pictures", "side of the cached train pictures, which are resized in the batch; null is image_size", "px", ge=1, le=16_384)
    geometry: Literal["checkpoint", "whole_picture"] = setting("checkpoint", "pictures", "checkpoint: a checkpoint whose processor does not resize the whole picture to a square by bicubic interpolation is refused; whole_picture: its processor is replaced by one that does")

    flip: Number = setting(0.5, "augmentation", "horizontal flip", "probability", ge=0, le=1)
    rotation: Number = setting(10.0, "augmentation", "largest rotation to either side", "degrees", ge=0, le=180)
    crop_area: Number = setting(0.7, "augmentation", "random resized crop keeps at least this share of the area; 1 is off", "share", gt=0, le=1)
    crop_ratio: Number = setting(1.1, "augmentation", "random resized crop: width by height between 1/x and x; 1 is off", "ratio", ge=1, le=10)
    zoom_out: Number = setting(0.0, "augmentation", "the crop may be larger than the picture, by this share of its area; borders are mirrored", "share", ge=0, le=1)
    shift: Number = setting(0.0, "augmentation", "the crop may extend beyond the picture, by this share of the side; borders are mirrored", "share", ge=0, le=1)
    low_resolution: Number = setting(1.0, "augmentation", "the picture is resized to between this share of its side and all of it, and back; 1 is off", "share", gt=0, le=1)
    blur: Number = setting(0.0, "augmentation", "Gaussian blur: largest standard deviation", "share of the side", ge=0, le=0.2)
    brightness: Number = setting(0.3, "augmentation", "brightness factor between 1 - x and 1 + x", "factor", ge=0, le=10)
    contrast: Number = setting(0.3, "augmentation", "contrast factor between 1 - x and 1 + x", "factor", ge=0, le=10)
    saturation: Number = setting(0.0, "augmentation", "saturation factor between 1 - x and 1 + x", "factor", ge=0, le=10)
    erasing: Number = setting(0.25, "augmentation", "random erasing of 2 to 25 % of the area", "probability", ge=0, le=1)

    cutmix: Number = setting(0.0, "mixing", "CutMix, per batch", "probability", ge=0, le=1, task=CLASSES_ONLY)
    cutmix_alpha: Number = setting(1.0, "mixing", "CutMix: lambda ~ Beta(alpha, alpha)", gt=0, task=CLASSES_ONLY)
    mixup: Number = setting(0.0, "mixing", "mixup, per batch", "probability", ge=0, le=1)
    mixup_alpha: Number = setting(0.2, "mixing", "mixup: lambda ~ Beta(alpha, alpha)", gt=0)
    mix_off_epoch: Number | None = setting(None, "mixing", "CutMix and mixup end at this epoch; null keeps them on", "epochs", ge=0)

    checkpoint: PathText | None = setting(None, "model", "timm or transformers image classifier: local folder or Hub id; null starts from random weights")
    architecture: Text = setting("vit", "model", "without a checkpoint: vit (see vit_config) or the name of a timm model")
    vit_config: dict[Text, Free] = setting({}, "model", "fields of ViTConfig for architecture vit; the default is ViT-Tiny")
    drop_path: Number = setting(0.0, "model", "stochastic depth of the last block, rising from 0 (native ViT)", "probability", ge=0, lt=1)
    freeze: Literal["none", "backbone"] = setting("none", "model", "backbone trains the classifier only (linear probe)")
    lora_rank: Whole = setting(0, "model", "LoRA: rank of the trained matrices beside frozen layers, with the whole classifier; 0 is off and trains all weights", ge=0, task=CLASSES_ONLY)
    lora_alpha: Number | None = setting(None, "model", "LoRA: the adapters count alpha / rank times; null is twice the rank", gt=0, task=CLASSES_ONLY)
    lora_targets: Names | None = setting(None, "model", "LoRA: names of the layers to adapt, such as q_proj,v_proj,fc1; null is the projections of query and value; a wrong name lists all", task=CLASSES_ONLY)
    lora_dropout: Number = setting(0.0, "model", "LoRA: dropout before the adapters, in training", "probability", ge=0, lt=1, task=CLASSES_ONLY)
    attention: Literal["auto", "eager", "sdpa"] = setting("auto", "model", "attention of a native ViT in training; auto is eager on a CPU, otherwise sdpa")

    score_loss: Literal["ccc", "mse", "both"] = setting("both", "loss", "ccc: 1 less the concordance of the rows that go through the model at once; mse: mean squared error of standardised scores; both: their mean", task=SCORES)
    label_smoothing: Number = setting(0.0, "loss", "label smoothing, in training only", "share", ge=0, lt=1, task=CLASSES_ONLY)
    class_balance: Literal["none", "sampler", "weights", "logit_adjustment"] = setting("none", "loss", "counter class imbalance by sampling, loss weights or logit adjustment", task=CLASSES_ONLY)

    total_batch_size: Whole = setting(64, "optimisation", "rows of one optimizer step, over all processes", "rows", ge=1, le=1_000_000)
    warmup_epochs: Number = setting(1.0, "optimisation", "linear warm-up, at most a tenth of the run", "epochs", ge=0)
    layer_decay: Number | None = setting(None, "optimisation", "learning rate factor from one layer to the layer below; 1 is off; null is 0.75, or 1 with LoRA and for a model whose layers have no known order", "factor", gt=0, le=1)
    ema_decay: Number = setting(0.999, "optimisation", "exponential moving average of the weights; 0 is off", "factor", ge=0, lt=1)
    early_stopping: Whole = setting(0, "optimisation", "stop after this many evaluations without a better metric; 0 is off", "evaluations", ge=0)
    precision: Precision = setting("auto", "optimisation", "auto: fp16 on CUDA, bf16 on a CPU with bf16 units, otherwise fp32")
    threads: Whole | None = setting(None, "optimisation", "threads of torch in each process; null is all cores, shared by the processes of a machine; OMP_NUM_THREADS is not read, because launchers set it", "threads", ge=1)

    evaluate_test: bool = setting(False, "evaluation", "evaluate the test split: only for final recipes")
    flip_average: bool = setting(False, "evaluation", "beside the plain metrics, report those of the mean score of each picture and its mirror image")
    calibration: Literal["temperature", "vector", "none"] = setting("temperature", "evaluation", "temperature: divide the logits by a number fitted on validation rows, inside the last layer; answers stay, scores become calibrated; vector: a factor and a summand for each class, which also changes answers", task=CLASSES_ONLY)
    bootstrap_resamples: Whole = setting(2000, "evaluation", "resamples of every 95 % interval", "resamples", ge=1, le=100_000)
    # fmt: on

    trainer: Annotated[MappingProxyType[str, Any], PlainValidator(_read_only)] = Field(
        default_factory=lambda: MappingProxyType({})
    )
    name: str = "recipe"  # the recipe file's, for the record

    @model_validator(mode="wrap")
    @classmethod
    def _mistakes_in_one_line(cls, values: Any, handler: ModelWrapValidatorHandler["Recipe"]) -> "Recipe":
        try:
            return handler(values)
        except ValidationError as error:
            raise InputError(one_line(error, {each.name: each.kind for each in OUR_FIELDS})) from None

    def __post_init__(self) -> None:
        self._check_task()
        self._check_data()
        if self.store_size is not None and self.store_size > self.image_size:
            raise InputError(
                f"store_size {self.store_size} is above image_size {self.image_size}; lower it or unset it"
            )
        if self.cutmix + self.mixup > 1:
            raise InputError(f"cutmix {self.cutmix} and mixup {self.mixup} are shares of batches; together at most 1")

        self._check_lora()

    def _check_lora(self) -> None:
        if self.lora_rank and self.freeze != "none":
            raise InputError(
                f"freeze {self.freeze} trains only the classifier, lora_rank adapters too: set one of them"
            )
        given = {"lora_alpha": self.lora_alpha, "lora_targets": self.lora_targets, "lora_dropout": self.lora_dropout}
        for name, value in given.items():
            if value and not self.lora_rank:
                raise InputError(f"{name} is {value}, and LoRA is off: set --lora_rank, such as 8, or leave {name} out")
        if self.lora_targets is not None and not all(self.lora_targets or [""]):
            raise InputError("lora_targets: name a layer, or set null")

    def _check_task(self) -> None:
        for each in OUR_FIELDS:
            if each.task not in ("", self.task) and getattr(self, each.name) != each.default:
                raise InputError(
                    f"{each.name} is a setting of task {each.task}, and this is task {self.task}: remove it, or set "
                    f"--task {each.task}"
                )
        named = {plain(name) for name in self.outputs}
        if not named or len(named) < len(self.outputs) or not all(name and name.isprintable() for name in named):
            names = TASKS[self.task].names
            raise InputError(f"{names} is {self.outputs}; name every one of them once: --{names} '[NAME, NAME]'")
        for name, ends in self.score_ranges.items():
            if name not in self.scores or len(ends) != 2 or ends[0] >= ends[1]:
                raise InputError(
                    f"score_ranges has {name}: {ends}; give the lowest and the highest value of one of the scores "
                    f"{', '.join(self.scores)}, such as {{{self.scores[0]}: [0, 1]}}"
                )
        self._check_screening()

    def _check_screening(self) -> None:
        if self.screening_cut is None:
            return
        cut = f"screening_cut is {self.screening_cut:g}"
        if len(self.scores) != 1 or self.score_of != "person":
            raise InputError(f"{cut}, which divides persons by one score: set score_of person, and scores to one name")
        low, high = self.score_ranges.get(self.scores[0], (-math.inf, math.inf))
        if not low < self.screening_cut <= high:
            raise InputError(
                f"{cut}, and {self.scores[0]} runs from {low:g} to {high:g}, so everybody would be on one side: give a "
                "cut above the lowest value and at most the highest"
            )

    def _check_data(self) -> None:
        if len(self.classes) < 2 or len({plain(name) for name in self.classes}) < len(self.classes):
            raise InputError(
                f"classes is {self.classes}; give at least two different names (upper and lower case are one name)"
            )
        if self.validation_share + self.test_share >= 1:
            raise InputError("validation_share and test_share leave no rows for train; lower one of them")
        if self.undecided == "train" and self.targets == "onehot":
            raise InputError("undecided train needs vote shares as targets: set targets votes, or undecided drop")
        own = {each.name for each in OUR_FIELDS if each.group == "data"} - SHARED_BY_SOURCES
        for entry in self.sources:
            if unknown := entry.keys() - own:
                raise InputError(
                    f"sources: {min(unknown)} is not a setting of one source; those are {', '.join(sorted(own))}"
                )
            self._check_source(entry)

    def _check_source(self, entry: dict[str, Any]) -> None:
        try:
            dataclasses.replace(self, sources=[], **entry)
        except InputError as error:
            raise InputError(f"sources: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as keywords, because a read-only mapping cannot be pickled; workers that are not forked need it."""
        return partial(Recipe, **vars(self) | {"trainer": dict(self.trainer)}), ()

    @property
    def output_dir(self) -> Path:
        """Where the run folder is made."""
        return Path(self.trainer["output_dir"])

    @property
    def outputs(self) -> list[str]:
        """Names of the K outputs of the model: the classes, or the scores."""
        return list(getattr(self, TASKS[self.task].names))

    @property
    def labels(self) -> list[str]:
        """What the column `label` of the one table counts: the classes, or the strata of scores."""
        return list(TASKS[self.task].strata) or self.classes

    @property
    def seed(self) -> int:
        """Trainer's seed: initial weights, order of rows, augmentation and mixing."""
        return int(self.trainer.get("seed", 42))

    def settings(self) -> dict[str, Any]:
        """Every setting, ours then Trainer's, as plain values: what `recipe.yaml` holds and a later run is compared "
        "to."""
        ours = {each.name: getattr(self, each.name) for each in OUR_FIELDS}
        return ours | dict(sorted(self.trainer.items()))

    def save(self, path: Path) -> None:
        """Write the settings as a flat YAML file that is itself a recipe."""
        path.write_text(yaml.safe_dump(self.settings(), sort_keys=False, allow_unicode=True), encoding="utf-8")


# Settings of data that belong to all sources together.
SHARED_BY_SOURCES = {
    "sources",
    "classes",
    "targets",
    "validation_share",
    "test_share",
    "max_bad_share",
    "near_copies",
    "leaks",
    "caps",
    "row_weights",
    "max_train_samples",
    "max_eval_samples",
    "split_seed",
    "drawn_faces",
}
OUR_FIELDS = [Setting.of(name, field) for name, field in Recipe.__pydantic_fields__.items() if field.description]  # type: ignore[attr-defined]
