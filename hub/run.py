"""A finished run folder as publishing reads it: whole, sealed, unchanged since, with figures that may be published."""

import hashlib
import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError

SEAL = "evaluation.json"
TEST_ROWS = ("official", "clean", "clean_near")
FIGURES = ("accuracy", "macro_f1", "balanced_accuracy", "nll", "ece")


@dataclass(frozen=True)
class Run:
    """The files of a run that say something, read: each field is the file of its name."""

    path: Path
    config: dict[str, Any]
    recipe: dict[str, Any]
    evaluation: dict[str, Any]
    curation: dict[str, Any]
    environment: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names in the order of the logits."""
        return list(self.evaluation["classes"])

    def sealed(self, *patterns: str) -> list[str]:
        """Names of files under the seal that match a pattern, as in `figures/*.png`, sorted."""
        return sorted(name for name in self.environment["sha256"] if any(fnmatch(name, p) for p in patterns))

    @property
    def row_sets(self) -> dict[str, dict[str, Any]]:
        """Figures by row set, test rows first."""
        return {name: self.evaluation[name] for name in (*TEST_ROWS, "validation") if name in self.evaluation}


def load_run(path: Path) -> Run:
    """Read a run folder and refuse what must not be published.

    Raises:
        InputError: no such folder, no seal, a file missing or changed since it was sealed, no test figures, or a
            figure without its interval.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder; train one with train_hf.py and give its output_dir")
    if not (path / SEAL).is_file():
        raise InputError(f"{path} has no {SEAL}: it is no finished run; finish it with train_hf.py --resume")
    environment = _read(path / "environment.json")
    _refuse_changes(path, environment.get("sha256") or {})
    names = ("config.json", "recipe.yaml", "evaluation.json", "curation.json")
    config, recipe, evaluation, curation = (_read(path / name) for name in names)
    _refuse_figures(path, evaluation)
    return Run(path, config, recipe, evaluation, curation, environment)


def sha256(path: Path) -> str:
    """Of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} has no {path.name}: train it again, an incomplete run is not published"
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}); train it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings or figures; train it again")
    return content


def _refuse_changes(path: Path, hashes: dict[str, str]) -> None:
    sealed = {SEAL, "model.safetensors", "predictions.parquet"}
    if not sealed <= hashes.keys():
        raise InputError(f"{path / 'environment.json'} lists no sha256 of {', '.join(sorted(sealed - hashes.keys()))}")
    for name, expected in hashes.items():
        file = path / name
        if not file.is_file():
            raise InputError(f"{file} is missing since the run was sealed; train it again")
        if sha256(file) != expected:
            raise InputError(
                f"{file} was changed since the run was sealed: restore it, or train again; figures are made anew "
                f"with python -m pipeline.evaluation {path}"
            )


def _refuse_figures(path: Path, evaluation: dict[str, Any]) -> None:
    held = [name for name in TEST_ROWS if name in evaluation]
    if not held:
        raise InputError(f"{path / SEAL} has no test figures: train with --evaluate_test true, then publish")
    for rows in (*held, *(["validation"] if "validation" in evaluation else [])):
        for figure in FIGURES:
            value = evaluation[rows].get(figure)
            if not isinstance(value, dict) or not {"value", "low", "high"} <= value.keys():
                raise InputError(
                    f"{path / SEAL}: {figure} of {rows} has no interval; make the figures anew with "
                    f"python -m pipeline.evaluation {path}"
                )
