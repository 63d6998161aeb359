"""What the Hub reads of a release: task, licence, base model, data sets and figures; the front matter of its card."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import EvalResult, ModelCardData

from pipeline.model_folder import timm_name
from pipeline.run_folder import MetricFacts, Run
from pipeline.source import Source, source_from_json

SPELLED = {"ferplus": "FER+", "fer2013": "FER2013", "rafdb": "RAF-DB", "affectnet": "AffectNet", "drawn": "drawn faces"}
CODE = "https://kwanlung.github.io/project/facial-expression-recognition"
"""The page of the project, from which its code is reached; also in CITATION.cff."""
PHOTO = "examples/photo.png"
NOTEBOOK = "notebook.ipynb"
OF_TASK = {"classification": ("accuracy", "f1"), "regression": ("ccc", "mae")}
"""Metrics of the front matter, by task."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True)
class Publication:
    """What publishing knows besides the run.

    Attributes:
        repo_id: the repository of the model.
        revision: the tag of the release, or None.
        export: content of onnx/export.json.
        parity: content of parity.json.
        examples: scores of the pictures in examples/ by file name, as `hub.card.card.example_scores` gives them.
        shipped: all settings of the shipped recipe with the name of the run's, or None.
        new_version: the repository of the model that replaces this one, or None.
        detector: file of the face detector in the repository, or None.
        base: the base model if only the adapter of a LoRA run is published, or None.
        photo: the picture in the repository in which the detector finds a face.
    """

    repo_id: str
    revision: str | None = None
    export: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    examples: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    shipped: Mapping[str, Any] | None = None
    new_version: str | None = None
    detector: str | None = None
    base: str | None = None
    photo: str = PHOTO

    @property
    def name(self) -> str:
        """Name of the model without its owner."""
        return self.repo_id.rpartition("/")[2]

    @property
    def ref(self) -> str:
        """Tag or branch as a part of an address, where the slash of `v1/a` is not one between folders."""
        return quote(self.revision or "main", safe="")


def front_matter(run: Run, publication: Publication) -> ModelCardData:
    """What the Hub reads: task, library, licence, base model, data sets, figures with intervals, examples."""
    widget = [
        {"src": f"examples/{name}", "example_title": f"{Path(name).stem} (drawn)", "output": scores}
        for name, scores in publication.examples.items()
        if run.classes  # the widget would draw a score as a share of 1
    ]
    terms, base = license_of(run, publication.repo_id), publication.base or base_model_of(run)
    relation = "adapter" if publication.base else "finetune"
    return ModelCardData(
        license=terms["license"],
        license_name=terms.get("license_name"),
        license_link=terms.get("license_link"),
        library_name="peft" if publication.base else "transformers",
        pipeline_tag="image-classification",
        base_model=base,
        base_model_relation=relation if base else None,
        new_version=publication.new_version,
        datasets=datasets_of(run) or None,
        metrics=list(OF_TASK[run.task]),
        tags=tags_of(run, publication),
        model_name=publication.name,
        eval_results=eval_results(run),
        inference={"parameters": {"top_k": len(run.outputs)}},
        widget=widget or None,
    )


def tags_of(run: Run, publication: Publication) -> list[str]:
    """What people search for; transformers.js cannot run networks of timm, and makes probabilities of scores."""
    kind = run.config["model_type"]
    onnx = ["onnx"] if publication.export else []
    browser = ["transformers.js"] if publication.export and kind != "timm_wrapper" and run.classes else []
    lora = ["lora"] if publication.base else []
    scored = ["regression"] if run.scores else []
    tags = ["facial-expression-recognition", kind, *scored, *lora, *onnx, *browser]
    return [*tags, *(["demo"] if is_drawn(run) else [])]


def eval_results(run: Run) -> list[EvalResult]:
    """Every figure of every row set for `model-index`; its interval and number of rows are in `metric_args`.

    The Hub merges results of one data set, config and split into one entry, so the row set is the config.
    """
    hub_ids, sources = datasets_of(run), sources_of(run)
    names = [source.id for source in sources]
    return [
        EvalResult(
            task_type="image-classification",
            task_name="Facial expression recognition" if run.classes else "Scores of faces",
            dataset_type=hub_ids[0] if len(hub_ids) == len(names) == 1 else "+".join(names),
            dataset_name=f"{', '.join(map(title_of, sources))}: {rows['rows']}",
            dataset_config=row_set,
            dataset_split=rows["split"],
            metric_type=metric.hub_id,
            metric_name=metric.title[0].upper() + metric.title[1:],
            metric_value=round(rows[name]["value"], 4),
            metric_args={"low": round(rows[name]["low"], 4), "high": round(rows[name]["high"], 4),
                         "interval": run.evaluation["interval"], "rows": rows["n"]},
        )
        for row_set, rows in run.row_sets.items()
        for name, metric in metrics_of(run).items()
        if name in rows
    ]  # fmt: skip


def metrics_of(run: Run) -> dict[str, MetricFacts]:
    """The metrics that the card shows. Those that need votes, such as KL, are left out if nobody voted."""
    voted = any("human_agreement" in rows for rows in run.row_sets.values())
    return {name: metric for name, metric in run.metrics.items() if voted or not metric.needs_votes}


def sources_of(run: Run) -> tuple[Source, ...]:
    """The record of every source of the run's pictures, also for runs from before there were records."""
    return tuple(source_from_json(name, entry) for name, entry in run.curation["sources"].items())


def license_of(run: Run, repo_id: str) -> dict[str, str]:
    """`license` of the weights: Apache-2.0 for drawn faces and random weights, else `other` and a link to the terms.

    If pictures or starting weights have other terms, nothing can be promised; the card says what is known.
    """
    is_open = all(source.licence == "Apache-2.0" for source in sources_of(run))
    if is_drawn(run) and is_open and run.recipe.get("checkpoint") is None:
        return {"license": "apache-2.0"}
    link = f"https://huggingface.co/{repo_id}#licence"  # the Hub takes an address, or a file named LICENSE
    return {"license": "other", "license_name": "no-open-licence-see-card", "license_link": link}


def is_drawn(run: Run) -> bool:
    """Whether every picture that the run trained and measured on was drawn by this project."""
    return {source.origin for source in sources_of(run)} == {"drawn"}


def base_model_of(run: Run) -> str | None:
    """Hub id of what the run started from; None for random weights, or a folder that is gone or does not say.

    timm's config.json names architecture and tag, which together are the name under `timm/`.
    """
    checkpoint = run.recipe.get("checkpoint")
    if checkpoint is None:
        return None
    folder = Path(checkpoint).expanduser()
    if not folder.exists():
        if run.environment.get("checkpoint_is_local"):
            return None
        return checkpoint if "/" in checkpoint and HUB_ID.fullmatch(checkpoint) else None
    try:
        return timm_name(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return None


def datasets_of(run: Run) -> list[str]:
    """Hub ids of the sources that came from there, in their order. A path of this machine is never one."""
    sources, entries = sources_of(run), run.recipe.get("sources") or [run.recipe]
    paths = [entry.get("data_path") for entry in entries]
    beside = paths if len(paths) == len(sources) else [None] * len(sources)
    found = [_hub_id(source, paths, path) for source, path in zip(sources, beside, strict=True)]
    return [hub_id for hub_id in found if hub_id is not None]


def _hub_id(source: Source, paths: list[str | None], path: str | None) -> str | None:
    """The Hub id of a source: its own id, or the `path` of its entry in the recipe if the reader named it otherwise.

    A curated folder passes on sources from the Hub, but is itself a path of this machine.
    """
    if source.origin != "hub":
        return None
    if HUB_ID.fullmatch(source.id) and ("/" in source.id or source.id in paths):
        return source.id
    is_id = path is not None and "/" in path and HUB_ID.fullmatch(path) and not Path(path).exists()
    return path if is_id else None


def title_of(source: Source) -> str:
    """The name of a source for people; records from before there were titles repeat their id."""
    return SPELLED.get(source.id, source.title) if source.title == source.id else source.title
