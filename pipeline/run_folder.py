"""The run folder: the one contract between `pipeline/`, which writes it, and `hub/`, which reads it.

File names, the seal, row sets and what a metric is called stand here and nowhere else. The module needs neither torch
nor transformers.

Two files seal a run. `environment.json` holds the SHA-256 of every publishable file but itself and `evaluation.json`.
`evaluation.json` is written last: its field `sha256` holds the hash of `environment.json` and that of its own content
without the field.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import yaml

from pipeline.errors import InputError, first_line
from pipeline.own_file import why_not_own
from pipeline.yaml_text import read_yaml

SEAL = "evaluation.json"
ENVIRONMENT = "environment.json"
RECIPE = "recipe.yaml"
CURATION = "curation.json"
PREDICTIONS = "predictions.parquet"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
FIGURES = "figures/*.png"
EXAMPLES = "examples/*.png"
RESULTS = "results.csv"
LOGS = "logs/*tfevents*"
PUBLISHABLE = (CONFIG, WEIGHTS, PREPROCESSOR, RECIPE, PREDICTIONS, CURATION, FIGURES, EXAMPLES, LOGS, RESULTS)
"""Patterns of the files that a release may hold, beside the two files of the seal."""
ADAPTER = "adapter/*"
SEALED = (*PUBLISHABLE, ADAPTER)
"""Patterns of the files that the seal covers. A LoRA adapter is published in a repository of its own."""
REDRAWN = tuple(f"figures/{name}.png" for name in ("confusion_matrix", "reliability", "risk_coverage", "scatter"))
"""Figures of the predictions, which `python -m pipeline.evaluation` draws again; not the learning curves."""
ALWAYS_SEALED = frozenset({CONFIG, WEIGHTS, PREPROCESSOR, RECIPE, PREDICTIONS, CURATION})
MAX_JSON = 2**28  # bytes; the largest curation.json, with a key a row, has a tenth
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class RowSet:
    """A set of evaluated rows: its split, and what its rows are in words."""

    split: Literal["test", "validation", "train", "all"]
    words: str


ROW_SETS = {
    "official": RowSet("test", "all test rows"),
    "clean": RowSet("test", "test rows without a pixel copy in train or validation"),
    "clean_near": RowSet("test", "test rows without a near copy in train or validation"),
    "validation": RowSet("validation", "validation rows without a pixel copy in train"),
    "train": RowSet("train", "all train rows"),
    "all": RowSet("all", "all rows of the data, of every split"),
}
"""Row sets by their name in evaluation.json. The first one that a run has is the one to quote."""
TEST_ROWS = tuple(name for name, of in ROW_SETS.items() if of.split == "test")


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """What a reader of evaluation.json needs to know of a metric; the file holds it under `metrics`, by name.

    `hub_id` is the metric's id on the Hub. `table` says how the printed table shows it, if at all. `needs_votes` marks
    a metric that says nothing beside the others where no picture has votes.
    """

    title: str
    meaning: str
    greater_is_better: bool
    hub_id: str
    table: Literal["interval", "value"] | None = None
    needs_votes: bool = False

    def as_json(self) -> dict[str, Any]:
        """The facts as evaluation.json holds them."""
        return {field.name: getattr(self, field.name) for field in fields(MetricFacts)}


def task_of(evaluation: Mapping[str, Any]) -> str:
    """The task of an evaluation.json; only runs with scores name it."""
    return str(evaluation.get("task", "classification"))


def metrics_of(evaluation: Mapping[str, Any]) -> dict[str, MetricFacts]:
    """The metrics of an evaluation.json by name, in its order."""
    if "metrics" not in evaluation:
        return dict(METRICS_BEFORE)
    return {name: MetricFacts(**facts) for name, facts in evaluation["metrics"].items()}


def _before(title: str, hub_id: str, meaning: str, greater: bool = True, **more: Any) -> MetricFacts:
    return MetricFacts(title=title, hub_id=hub_id, meaning=meaning, greater_is_better=greater, **more)


METRICS_BEFORE: Mapping[str, MetricFacts] = {
    "accuracy": _before("accuracy", "accuracy", "share of right answers", table="interval"),
    "macro_f1": _before("macro F1", "f1", "mean F1 of the classes", table="interval"),
    "balanced_accuracy": _before("balanced accuracy", "balanced_accuracy", "mean recall of the classes"),
    "nll": _before("NLL", "nll", "cross-entropy to the votes or the label, in nats", greater=False, table="value"),
    "kl": _before("KL", "kl_divergence", "NLL less the entropy of the votes", greater=False, needs_votes=True),
    "ece": _before("ECE", "ece", "mean gap between confidence and accuracy", greater=False, table="value"),
}
"""The metrics of runs from before evaluation.json listed its metrics. It is closed: new metrics do not go here."""


def to_json(content: Mapping[str, Any]) -> str:
    """Indented JSON, text in UTF-8.

    Raises:
        ValueError: `content` holds NaN or an infinite number, which JSON cannot say.
    """
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all: it is written beside its place and then moved in.

    Raises:
        ValueError: as `to_json`.
    """
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(to_json(content), encoding="utf-8")
    aside.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object or the mapping of a YAML file, in UTF-8: no half letters, and in JSON no number beyond all floats.

    Raises:
        InputError: the file is missing, cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"more than {MAX_JSON:,} bytes")
        text = path.read_text(encoding="utf-8")
        content = read_yaml(text) if path.suffix == ".yaml" else json.loads(text)
        json.dumps(content, ensure_ascii=False, default=str, allow_nan=path.suffix == ".yaml").encode()
    except FileNotFoundError:
        raise InputError(f"{path.parent} has no {path.name}: restore the file, or train again") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read ({first_line(error)}): restore the file, or train again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no names with values: restore the file, or train again")
    return content


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, environment: Mapping[str, Any], evaluation: Mapping[str, Any]) -> None:
    """Write `environment.json`, whose `sha256` names the sealed files, and then `evaluation.json`."""
    write_json(folder / ENVIRONMENT, environment)
    figures = {name: value for name, value in evaluation.items() if name != "sha256"}
    hashes = {ENVIRONMENT: sha256(folder / ENVIRONMENT), SEAL: _content_hash(figures)}
    write_json(folder / SEAL, figures | {"sha256": hashes})


def verify(path: Path) -> None:
    """Compare every sealed file of a finished run with its hash.

    Raises:
        InputError: the folder is not a finished run, a file was changed or lost after the run was sealed, or a name of
            the seal leads out of the folder.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder; type the output_dir of a run of train_hf.py")
    if why_not_own(path, SEAL) == "is missing":
        raise InputError(f"{path} has no {SEAL}: the run is not finished; finish it with train_hf.py --resume")
    for name in (SEAL, ENVIRONMENT):
        _refuse_foreign(path, name)
    hashes = _hashes(path, read_json(path / ENVIRONMENT))
    evaluation = read_json(path / SEAL)
    if isinstance(evaluation.get("sha256"), dict):
        _verify_evaluation(path, evaluation)
    else:
        _verify_evaluation_sealed_before(path, hashes)
    missing = sorted(ALWAYS_SEALED - hashes.keys())
    if missing:
        raise InputError(f"{path / ENVIRONMENT} lists no sha256 of {', '.join(missing)}: restore it, or train again")
    for name, expected in hashes.items():
        _refuse_foreign(path, name)
        if sha256(path / name) != expected:
            raise InputError(f"{path / name} was changed since the run was sealed: {_cure(path, name)}")
        if name.endswith(".png") and not _is_png(path / name):
            raise InputError(f"{path / name} is not a PNG picture, whatever its name says: take it out, or train again")


def _hashes(path: Path, environment: Mapping[str, Any]) -> dict[str, str]:
    """The field `sha256` of environment.json: the hash of each sealed file by its name."""
    hashes = environment.get("sha256") or {}
    if not isinstance(hashes, dict) or not all(isinstance(value, str) for value in hashes.values()):
        raise InputError(f"{path / ENVIRONMENT}: sha256 is not a list of files with hashes: restore it, or train again")
    return hashes


def _refuse_foreign(path: Path, name: str) -> None:
    """Refuse a file that a seal names and that is not a regular file in the run folder."""
    why = why_not_own(path, name)
    if why == "is missing":
        raise InputError(f"{path / name} is missing since the run was sealed: {_cure(path, name)}")
    if why:
        raise InputError(f"{path}: {name!r} {why}: copy the file itself into the run folder, or train again")


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PNG)) == PNG


def _verify_evaluation(path: Path, evaluation: Mapping[str, Any]) -> None:
    hashes = evaluation["sha256"]
    figures = {name: value for name, value in evaluation.items() if name != "sha256"}
    if hashes.get(SEAL) != _content_hash(figures):
        raise InputError(f"{path / SEAL} was changed since the run was sealed: {_cure(path, SEAL)}")
    if hashes.get(ENVIRONMENT) != sha256(path / ENVIRONMENT):
        raise InputError(f"{path / ENVIRONMENT} was changed since the run was sealed: restore the file, or train again")


def _verify_evaluation_sealed_before(path: Path, hashes: Mapping[str, str]) -> None:
    """The older seal, in which environment.json holds the hash of evaluation.json beside the others."""
    if SEAL not in hashes:
        raise InputError(f"{path / ENVIRONMENT} lists no sha256 of {SEAL}: restore both files, or train again")


def _content_hash(figures: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(figures).encode()).hexdigest()


def _cure(path: Path, name: str) -> str:
    drawn = name == SEAL or name in REDRAWN
    return f"make it again with python -m pipeline.evaluation {path}" if drawn else "restore the file, or train again"


@dataclass(frozen=True)
class Run:
    """The files of a finished run that say something about it: each field is the content of the file of its name."""

    path: Path
    config: dict[str, Any]
    recipe: dict[str, Any]
    evaluation: dict[str, Any]
    curation: dict[str, Any]
    environment: dict[str, Any]

    @property
    def task(self) -> str:
        """What it predicts: `classification` or `regression`."""
        return task_of(self.evaluation)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the logits; empty for a run with scores."""
        return list(self.evaluation.get("classes", []))

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Score -> `low`, `mean`, `high` and `sd` of its train rows, in the order of the outputs; empty for classes."""
        return dict(self.evaluation.get("scores", {}))

    @property
    def outputs(self) -> list[str]:
        """Names of the K outputs of the model: the classes, or the scores."""
        return self.classes or list(self.scores)

    @property
    def metrics(self) -> dict[str, MetricFacts]:
        """The metrics of every row set, by name."""
        return metrics_of(self.evaluation)

    @property
    def row_sets(self) -> dict[str, dict[str, Any]]:
        """Values of the metrics by row set, test rows first."""
        return {name: self.evaluation[name] for name in ROW_SETS if name in self.evaluation}

    def sealed(self, *patterns: str) -> list[str]:
        """Sorted names of files under the seal that match a pattern, such as `figures/*.png`."""
        return sorted(name for name in self.environment["sha256"] if any(fnmatch(name, p) for p in patterns))


def read_run(path: Path) -> Run:
    """Read a finished run whose files are as they were sealed.

    Raises:
        InputError: as `verify` and `read_json`.
    """
    verify(path)
    return Run(path, *(read_json(path / name) for name in (CONFIG, RECIPE, SEAL, CURATION, ENVIRONMENT)))
