"""The model card of a release. Every figure in it comes from a file of the run, or from what publishing measured."""

import json
import shlex
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from hub import licences
from hub.card import snippets
from hub.card.checked import check_run
from hub.card.filters import cell, duration, figure, of_class, percent, plain, share_of, size
from hub.card.metadata import (
    CODE,
    NOTEBOOK,
    Publication,
    base_model_of,
    datasets_of,
    front_matter,
    is_drawn,
    license_of,
    metrics_of,
    sources_of,
    title_of,
)
from hub.templates import templates
from pipeline.clinical import health_names, is_repository_of_health, last_part
from pipeline.model_folder import ADAPTER_WEIGHTS, plain_folder
from pipeline.run_folder import EXAMPLES, PREPROCESSOR, Run

FIGURES = ("confusion_matrix", "reliability", "scatter", "learning_curves")
PLACES = ("data_path", "sources", "checkpoint", "face_detector", "output_dir", "logging_dir", "disable_tqdm")
"""Settings that say where files are and what a run prints. They do not change the model."""
CONFUSIONS = 3
NAMED = 20
"""So many classes at most are named in the first sentence; of more, half as many."""
BASELINES = {
    "constant": "always the mean of the training scores",
    "linear on pixels": "a linear model (ridge regression) on 32 x 32 pixels",
}
"""What each baseline of evaluation.json is, in words."""
SCREENING = {"sensitivity": "sensitivity", "specificity": "specificity", "auc": "AUC"}
"""What evaluation.json holds of a screening, and its titles."""
CITED = ("FER2013", "FER+", "RAF-DB", "AffectNet")
"""Data sets whose BibTeX is in the template."""


def make_card(run: Run, publication: Publication) -> str:
    """README.md of the repository: YAML front matter for the Hub, then what a reader should know."""
    check_run(run)
    name, of_task = TEMPLATES[run.task]
    words = {"run": run, "publication": publication} | _of_release(run, publication) | _of_sources(run) | _of_rows(run)
    body, words = _templates().get_template(f"card/{name}"), words | of_task(run)
    return f"---\n{front_matter(run, publication).to_yaml()}\n---\n\n{body.render(words)}"


def _of_release(run: Run, publication: Publication) -> dict[str, Any]:
    """What the template says about the model and how to use it."""
    files = (publication.export or {"files": []})["files"]
    return snippets.words_of(run, publication) | {
        "code": CODE,
        "notebook": NOTEBOOK,
        "first": "use_adapter.py.jinja" if publication.base else "use_pipeline.py.jinja",
        "is_timm": run.config["model_type"] == "timm_wrapper",
        "precisions": {file["precision"] for file in files},
        "clients": snippets.folded(run, publication),
        "start": _start(run),
        "license": license_of(run, publication.repo_id)["license"],
        "base_model": publication.base or base_model_of(run),
        "weights": (run.path / "model.safetensors").stat().st_size,
        "adapter": (run.path / "adapter" / ADAPTER_WEIGHTS).stat().st_size if publication.base else None,
        "figures": [name for name in FIGURES if f"figures/{name}.png" in run.environment["sha256"]],
        "command": reproduce(run, publication),
        "health": health_names(run.recipe),
        "named_after_health": is_repository_of_health(last_part(publication.repo_id)),
    }


def _of_sources(run: Run) -> dict[str, Any]:
    """What the template says about the origin of the pictures, from the fields of their records."""
    records = sources_of(run)
    return {
        "sources": list(zip(records, run.curation["sources"].values(), strict=True)),
        "licence_files": licences.files_of(records),
        "titles": {record.id: title_of(record) for record in records},
        "datasets": {name for record in records for name in record.datasets},
        "origins": {record.origin for record in records},
        "drawn": is_drawn(run),
        "cited": CITED,
    }


def _of_rows(run: Run) -> dict[str, Any]:
    """What the template says about rows, and how well they are classified."""
    return {
        "best": next(iter(run.row_sets.values())),
        "strictest": _strictest(run),
        "metrics": metrics_of(run),
        "class_counts": {name: [of[name] for of in run.curation["rows_used"].values()] for name in _labels(run)},
        "totals": {split: sum(counts.values()) for split, counts in run.curation["rows_used"].items()},
    }


def _labels(run: Run) -> list[str]:
    """What rows are counted by: the classes, or the strata of scores."""
    return run.classes or list(run.curation["rows_used"]["train"])


def _of_classes(run: Run) -> dict[str, Any]:
    """What only the card of a classifier says."""
    named = run.classes if len(run.classes) <= NAMED else run.classes[: NAMED // 2]
    return {"majority": _majority(run), "confusions": _confusions(run), "named": named}


def _of_scores(run: Run) -> dict[str, Any]:
    """What only the card of a model of scores says."""
    return {"words_of_baselines": BASELINES, "screening": SCREENING}


TEMPLATES: dict[str, tuple[str, Callable[[Run], dict[str, Any]]]] = {
    "classification": ("card.md.jinja", _of_classes),
    "regression": ("card_scores.md.jinja", _of_scores),
}
"""The template of each task, and what it says beside what every card says."""


@cache
def _templates() -> jinja2.Environment:
    words: dict[str, Callable[..., str]] = {
        "cell": cell,
        "figure": figure,
        "of_class": of_class,
        "share_of": share_of,
        "figure_in": lambda name, values: figure(values.get(name, {})),
        "short": "{:.3g}".format,
        "percent": percent,
        "duration": duration,
        "size": size,
        "plain": plain,
        "known": lambda count: "unknown" if count is None else f"{count:,}",
    }
    return templates(words | {"number": "{:,}".format, "small": "{:.2g}".format})


def _start(run: Run) -> str:
    """The SHA-256 of the start weights, where the run recorded it."""
    digest = run.environment.get("checkpoint_sha256")
    return f" (SHA-256 of its weights: `{digest}`)" if digest else ""


def example_scores(run: Run, folder: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Scores of all classes for each picture in `folder/examples` (by default the run's), best first."""
    from transformers import pipeline  # here: a card without examples needs no torch

    pictures = sorted((folder / "examples").glob("*.png")) if folder else [run.path / n for n in run.sealed(EXAMPLES)]
    if not pictures:
        return {}
    with plain_folder(run.path, processors=[PREPROCESSOR]) as place:  # only what is sealed
        classify = pipeline("image-classification", model=str(place), top_k=len(run.outputs), trust_remote_code=False)
    return {
        picture.name: [{"label": s["label"], "score": round(s["score"], 4)} for s in classify(str(picture))]
        for picture in pictures
    }


def reproduce(run: Run, publication: Publication) -> str:
    """The command that trains this run again: a shipped recipe and what differs from it, or the released recipe.

    Local paths become `DIR`; the checkpoint is named by its Hub id if that is known.
    """
    recipe, name = run.recipe, "recipe.yaml"
    words = {}
    if publication.shipped is not None:
        name = run.evaluation["recipe"]
        missing = object()
        words = {k: v for k, v in recipe.items() if k not in PLACES and publication.shipped.get(k, missing) != v}
    hub_ids = datasets_of(run)
    if recipe.get("sources"):
        words["sources"] = [_placed(entry, hub_ids) for entry in recipe["sources"]]
    words |= _placed({name: recipe[name] for name in ("data_path",) if recipe.get(name) is not None}, hub_ids)
    base, shipped_base = base_model_of(run), (publication.shipped or {}).get("checkpoint")
    if recipe.get("checkpoint") is not None and shipped_base != (base or ""):
        words["checkpoint"] = base or "DIR"
    elif recipe.get("checkpoint") is None and shipped_base is not None:
        words["checkpoint"] = None
    options = [f"--{name} {shlex.quote(v if isinstance(v, str) else json.dumps(v))}" for name, v in words.items()]
    return " \\\n  ".join([f"accelerate launch train_hf.py {shlex.quote(name)}", *options])


def _placed(settings: Mapping[str, Any], hub_ids: list[str]) -> dict[str, Any]:
    """Settings of a source without paths of this machine; the face detector is the Hub's by default."""
    kept = {name: value for name, value in settings.items() if name != "face_detector"}
    return {name: "DIR" if name == "data_path" and value not in hub_ids else value for name, value in kept.items()}


def _majority(run: Run) -> dict[str, Any]:
    """The most frequent class of train, the first of several, and whether it is the only one."""
    counts = [run.curation["rows_used"]["train"].get(name, 0) for name in run.classes]
    return {"name": run.classes[counts.index(max(counts))], "is_only": counts.count(max(counts)) == 1}


def _strictest(run: Run) -> dict[str, Any] | None:
    """The test rows without copies, and without near copies if those were searched for; None without such rows."""
    kinds = {"clean_near": "near copy", "clean": "pixel copy"}
    return next(({"name": n, "kind": kinds[n]} | run.row_sets[n] for n in kinds if n in run.row_sets), None)


def _confusions(run: Run) -> list[dict[str, Any]]:
    """The most frequent confusions of the first row set, as a share of the rows of the label."""
    best = next(iter(run.row_sets.values()))
    pairs = [
        {"label": label, "predicted": predicted, "count": count, "rows": sum(row)}
        for label, row in zip(run.classes, best["confusion_matrix"], strict=True)
        for predicted, count in zip(run.classes, row, strict=True)
        if count and predicted != label
    ]
    return sorted(pairs, key=lambda pair: -pair["count"] / pair["rows"])[:CONFUSIONS]
