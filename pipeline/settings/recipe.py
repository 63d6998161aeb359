"""Every setting of a run: a flat YAML recipe, overridden on the command line, checked, and saved with the run.

A recipe mixes our fields (`Recipe`, below) and Trainer's own (`transformers.TrainingArguments`); each name belongs to
exactly one of the two. No setting is read anywhere but from here.
"""

import dataclasses
import re
import textwrap
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.expressions import CLASSES


def setting(default: Any, group: str, help: str, unit: str = "", choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field of `Recipe` with what `--help` prints of it."""
    metadata = {"group": group, "help": help, "unit": unit, "choices": choices}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Recipe:
    """Our settings. `trainer` holds the fields of TrainingArguments that the recipe or the command line names."""

    # fmt: off
    source: str = setting("auto", "data", "what data_path holds; auto recognises the layout and prints it", choices=("auto", "drawn", "folder", "csv", "parquet", "hub", "ferplus", "fer2013", "rafdb", "affectnet", "curated"))
    data_path: str | None = setting(None, "data", "folder, csv file, parquet file or folder, or Hub data set id")
    sources: list[dict[str, Any]] = setting([], "data", "several sources in one: for each the settings of this group that are its own, such as {data_path: DIR, source: ferplus}")
    classes: list[str] = setting(list(CLASSES), "data", "class names in their order")
    class_map: dict[str, str | None] = setting({}, "data", "names in the data to names in classes; null drops the rows")
    image_column: str | None = setting(None, "data", "column that holds the picture; null finds it")
    label_column: str | None = setting(None, "data", "column that holds the class; null finds it")
    label_rule: str = setting("majority", "data", "how raw votes become a label", choices=("majority", "plurality"))
    targets: str = setting("votes", "data", "train on vote shares where there are votes, or on the label alone; figures are always taken against the votes", choices=("votes", "onehot"))
    undecided: str = setting("drop", "data", "rows whose voters do not agree on a label under label_rule: dropped, or kept in train alone, with their vote shares as targets", choices=("drop", "train"))
    validation_share: float = setting(0.1, "data", "share of all rows for validation where the source has none", "share")
    test_share: float = setting(0.1, "data", "share of all rows for test where the source has none", "share")
    split_seed: int = setting(0, "data", "seed of made splits, row limits and drawn faces; the training seed is --seed")
    drawn_faces: int = setting(6000, "data", "faces drawn by source drawn, all splits together", "pictures")
    crop: str = setting("none", "data", "detect: every picture is a photo, cut to its largest face as FER2013 frames faces; pictures without a face are dropped", choices=("none", "detect"))
    face_align: bool = setting(False, "data", "crop detect rolls the face until its eyes are level")
    face_detector: str = setting("opencv/face_detection_yunet", "data", "YuNet's ONNX file for crop detect: a file, a local folder or a Hub id")
    max_bad_share: float = setting(0.01, "data", "share of pictures that may be damaged or unusable before the run stops", "share")
    near_copies: bool = setting(True, "data", "look for near copies too: pictures resized, recompressed, cropped, mirrored, lit anew")
    leaks: str = setting("error", "data", "a copy or a person of validation or test in train, or of test in validation: refuse, take out of train, or let pass on record", choices=("error", "drop_from_train", "report"))
    caps: dict[str, int] = setting({}, "data", "at most so many train rows of a source, a class, or source/class", "rows")
    row_weights: dict[str, float] = setting({}, "data", "train rows of a source, a class, or source/class are drawn so many times as often", "factor")
    max_train_samples: int | None = setting(None, "data", "train on this many rows at most", "rows")
    max_eval_samples: int | None = setting(None, "data", "evaluate on this many rows of each split at most", "rows")

    image_size: int = setting(224, "pictures", "side of the model's input", "px")
    store_size: int | None = setting(None, "pictures", "side of the cached train pictures, resized in the batch; null is image_size", "px")

    flip: float = setting(0.5, "augmentation", "horizontal flip", "probability")
    rotation: float = setting(10.0, "augmentation", "rotation to either side, at most", "degrees")
    crop_area: float = setting(0.7, "augmentation", "random resized crop keeps at least this share of the area; 1 is off", "share")
    crop_ratio: float = setting(1.1, "augmentation", "random resized crop: width by height between 1/x and x", "ratio")
    zoom_out: float = setting(0.0, "augmentation", "the crop may be larger than the picture, by this share of its area; the borders are mirrored", "share")
    shift: float = setting(0.0, "augmentation", "the crop may lie beyond the picture's edge, by this share of the side; the borders are mirrored", "share")
    brightness: float = setting(0.3, "augmentation", "brightness factor within 1 - x and 1 + x", "factor")
    contrast: float = setting(0.3, "augmentation", "contrast factor within 1 - x and 1 + x", "factor")
    saturation: float = setting(0.0, "augmentation", "saturation factor within 1 - x and 1 + x", "factor")
    erasing: float = setting(0.25, "augmentation", "random erasing of 2 to 25 % of the area", "probability")

    cutmix: float = setting(0.0, "mixing", "CutMix, per batch", "probability")
    cutmix_alpha: float = setting(1.0, "mixing", "CutMix: lambda ~ Beta(alpha, alpha)")
    mixup: float = setting(0.0, "mixing", "mixup, per batch", "probability")
    mixup_alpha: float = setting(0.2, "mixing", "mixup: lambda ~ Beta(alpha, alpha)")
    mix_off_epoch: float | None = setting(None, "mixing", "CutMix and mixup end here; null keeps them on", "epochs")

    checkpoint: str | None = setting(None, "model", "timm or transformers image classifier: local folder or Hub id; null starts from random weights")
    architecture: str = setting("vit", "model", "without a checkpoint: vit (see vit_config) or the name of a timm model")
    vit_config: dict[str, Any] = setting({}, "model", "fields of ViTConfig for architecture vit; the default is ViT-Tiny")
    drop_path: float = setting(0.0, "model", "stochastic depth of the last block, rising from 0 (native ViT)", "probability")
    freeze: str = setting("none", "model", "backbone trains the classifier alone (linear probe)", choices=("none", "backbone"))
    attention: str = setting("auto", "model", "attention of a native ViT in training; auto is eager on a CPU, else sdpa", choices=("auto", "eager", "sdpa"))

    label_smoothing: float = setting(0.0, "loss", "label smoothing, in training only", "share")
    class_balance: str = setting("none", "loss", "counter class imbalance by sampling, loss weights or logit adjustment", choices=("none", "sampler", "weights", "logit_adjustment"))

    total_batch_size: int = setting(64, "optimisation", "rows of one optimizer step, over all processes", "rows")
    warmup_epochs: float = setting(1.0, "optimisation", "linear warm-up, at most a tenth of the run", "epochs")
    layer_decay: float = setting(0.75, "optimisation", "learning rate factor from one block to the block below", "factor")
    ema_decay: float = setting(0.999, "optimisation", "exponential moving average of the weights; 0 is off", "factor")
    early_stopping: int = setting(0, "optimisation", "stop after this many evaluations without a better figure; 0 is off", "evaluations")
    precision: str = setting("auto", "optimisation", "auto: fp16 on CUDA, bf16 on a CPU with bf16 units, else fp32", choices=("auto", "fp16", "bf16", "fp32"))

    evaluate_test: bool = setting(False, "evaluation", "open the test split: only for final recipes")
    bootstrap_resamples: int = setting(2000, "evaluation", "resamples of every 95 % interval", "resamples")
    # fmt: on

    trainer: dict[str, Any] = field(default_factory=dict)
    name: str = "recipe"  # the recipe file's, for the record

    def __post_init__(self) -> None:
        """Check every value against its type, its choices and its range."""
        hints = typing.get_type_hints(Recipe)
        for f in OUR_FIELDS:
            value = coerce(f.name, getattr(self, f.name), hints[f.name])
            setattr(self, f.name, value)
            choices = f.metadata["choices"]
            if choices and value not in choices:
                raise InputError(f"{f.name} is {value!r}; it must be one of {', '.join(choices)}")
            if f.metadata["unit"] in ("probability", "share") and not 0 <= value <= 1:
                raise InputError(f"{f.name} is {value}; a {f.metadata['unit']} lies between 0 and 1")
            if isinstance(value, int | float) and value < 0:
                raise InputError(f"{f.name} is {value}; it cannot be negative")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise InputError(f"classes is {self.classes}; give at least two different names")
        own = {f.name for f in OUR_FIELDS if f.metadata["group"] == "data"} - SHARED_BY_SOURCES
        for entry in self.sources:
            if unknown := entry.keys() - own:
                raise InputError(
                    f"sources: {min(unknown)} is no setting of one source; those are {', '.join(sorted(own))}"
                )
        if self.validation_share + self.test_share >= 1:
            raise InputError("validation_share and test_share leave no rows for train; lower one of them")
        if self.store_size is not None and self.store_size > self.image_size:
            raise InputError(
                f"store_size {self.store_size} is above image_size {self.image_size}; lower it or unset it"
            )
        if self.undecided == "train" and self.targets == "onehot":
            raise InputError("undecided train needs vote shares as targets: set targets votes, or undecided drop")
        if self.cutmix + self.mixup > 1:
            raise InputError(f"cutmix {self.cutmix} and mixup {self.mixup} are shares of batches; together at most 1")
        for name in (
            "image_size",
            "total_batch_size",
            "bootstrap_resamples",
            "crop_area",
            "crop_ratio",
            "cutmix_alpha",
            "mixup_alpha",
            "layer_decay",
        ):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("ema_decay", "drop_path", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be below 1")

    @property
    def output_dir(self) -> Path:
        """Where the run folder is made."""
        return Path(self.trainer["output_dir"]).expanduser()

    @property
    def seed(self) -> int:
        """Trainer's seed: initial weights, order of rows, augmentation and mixing."""
        return int(self.trainer.get("seed", 42))

    def settings(self) -> dict[str, Any]:
        """Every setting, ours then Trainer's, as plain values: what `recipe.yaml` holds and a later run is compared to."""
        ours = {f.name: getattr(self, f.name) for f in OUR_FIELDS}
        return ours | dict(sorted(self.trainer.items()))

    def describe(self) -> str:
        """The settings as people read them at the start of a run: a paragraph a group."""
        groups: dict[str, list[str]] = {}
        for f in OUR_FIELDS:
            groups.setdefault(f.metadata["group"], []).append(f"{f.name}={getattr(self, f.name)}")
        groups["trainer"] = [f"{name}={value}" for name, value in sorted(self.trainer.items())]
        return "\n".join(
            textwrap.fill(
                "  ".join(words), 110, initial_indent=f"{title}: ", subsequent_indent="    ", break_long_words=False
            )
            for title, words in groups.items()
        )

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
OUR_FIELDS = [f for f in dataclasses.fields(Recipe) if f.metadata]


def as_number(value: Any) -> Any:
    """`value`, but as a float where it is one that YAML reads as text: `1e-6`."""
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]\d+", value, re.I)
    return float(value) if is_number else value


def coerce(name: str, value: Any, annotation: Any) -> Any:
    """`value` as its annotated type, or an InputError that names the setting.

    YAML reads `1e-4` as a string and `1` as an integer: both are floats where a float is asked for.
    """
    if annotation is Any:
        return as_number(value)
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if value is None and type(None) in options:
        return None
    kind = next(o for o in options if o is not type(None))
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is list and isinstance(value, list):
        return [coerce(name, v, arguments[0]) for v in value]
    if origin is dict and isinstance(value, dict):
        return {str(k): coerce(name, v, arguments[1]) for k, v in value.items()}
    if origin is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    if origin is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if type(value) is origin:
        return value
    wanted = {"str": "text", "bool": "true or false"}.get(origin.__name__, origin.__name__)
    raise InputError(f"{name} is {value!r}; it must be {wanted}" + (" or null" if len(options) > 1 else ""))
