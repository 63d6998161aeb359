"""The model card of a release: every figure in it comes from a file of the run, or from what publishing measured."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from hub.run import Run

PICTURE = "face.png"
"""What the snippets of the card classify: a picture of the reader's own."""

METRICS = {  # name in evaluation.json -> (metric id of the Hub, name in words)
    "accuracy": ("accuracy", "accuracy"),
    "macro_f1": ("f1", "macro F1"),
    "balanced_accuracy": ("balanced_accuracy", "balanced accuracy"),
    "nll": ("nll", "NLL"),
    "kl": ("kl_divergence", "KL"),
    "ece": ("ece", "ECE"),
}
SPELLED = {"ferplus": "FER+", "fer2013": "FER2013", "rafdb": "RAF-DB", "affectnet": "AffectNet", "drawn": "drawn faces"}
FIGURES = ("confusion_matrix", "reliability", "learning_curves")
PLACES = ("data_path", "sources", "checkpoint", "face_detector", "output_dir", "logging_dir", "disable_tqdm")
"""Settings that say where things lie, and how a run talks: not what it is."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
CONFUSIONS = 3


@dataclass(frozen=True)
class Publication:
    """What publishing knows beside the run.

    `export` is the content of onnx/export.json, `parity` that of parity.json. `examples` are the scores of the pictures
    in examples/ by file name, as of `example_scores`. `shipped` are the settings, resolved, of the recipe that the
    project ships under the name of the run's, as of the run's commit. `code` is the public address of the code.
    """

    repo_id: str
    revision: str | None = None
    export: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    examples: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    shipped: Mapping[str, Any] | None = None
    code: str | None = None

    @property
    def name(self) -> str:
        """Of the model alone, without its owner."""
        return self.repo_id.rpartition("/")[2]


def make_card(run: Run, publication: Publication) -> str:
    """README.md of the repository: YAML front matter for the Hub, then what a stranger should know."""
    body = (
        _templates()
        .get_template("card.md.jinja")
        .render(
            run=run,
            publication=publication,
            model=publication.repo_id,
            revision=publication.revision,
            picture=PICTURE,
            top_k=len(run.classes),
            tags=tags_of(run, publication),
            license=license_of(run, publication.repo_id)["license"],
            base_model=base_model_of(run),
            best=next(iter(run.row_sets.values())),
            strictest=_strictest(run),
            metrics={name: words for name, (_, words) in _metrics(run).items()},
            sources={name: spelled(name) for name in run.curation["sources"]},
            terms=" ".join(source["terms"] for source in run.curation["sources"].values()),
            drawn=is_drawn(run),
            class_counts={name: [of[name] for of in run.curation["rows_used"].values()] for name in run.classes},
            totals={split: sum(counts.values()) for split, counts in run.curation["rows_used"].items()},
            confusions=_confusions(run),
            weights=(run.path / "model.safetensors").stat().st_size,
            figures=[name for name in FIGURES if (run.path / "figures" / f"{name}.png").is_file()],
            command=reproduce(run, publication),
        )
    )
    return f"---\n{front_matter(run, publication).to_yaml()}\n---\n\n{body}"


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # it is Markdown: the filter `cell` escapes what comes from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "figure": figure, "percent": percent, "number": "{:,}".format,
                            "duration": duration, "size": size, "plain": plain, "small": "{:.2g}".format}  # fmt: skip
    return environment


def front_matter(run: Run, publication: Publication) -> ModelCardData:
    """What the Hub reads: task, library, licence, base model, data sets, figures with intervals, examples."""
    widget = [
        {"src": f"examples/{name}", "example_title": f"{Path(name).stem} (drawn)", "output": scores}
        for name, scores in publication.examples.items()
    ]
    terms = license_of(run, publication.repo_id)
    return ModelCardData(
        license=terms["license"],
        license_name=terms.get("license_name"),
        license_link=terms.get("license_link"),
        library_name="transformers",
        pipeline_tag="image-classification",
        base_model=base_model_of(run),
        datasets=datasets_of(run) or None,
        metrics=["accuracy", "f1"],
        tags=tags_of(run, publication),
        model_name=publication.name,
        eval_results=eval_results(run),
        inference={"parameters": {"top_k": len(run.classes)}},
        widget=widget or None,
    )


def tags_of(run: Run, publication: Publication) -> list[str]:
    """What people look for; transformers.js knows no networks of timm."""
    kind = run.config["model_type"]
    onnx = ["onnx"] if publication.export else []
    browser = ["transformers.js"] if publication.export and kind != "timm_wrapper" else []
    return ["facial-expression-recognition", kind, *onnx, *browser, *(["demo"] if is_drawn(run) else [])]


def eval_results(run: Run) -> list[EvalResult]:
    """Every figure of every row set for `model-index`; its interval and number of rows are in `metric_args`.

    Results of one data set, config and split are one entry of `model-index`: so the row set is the config.
    """
    hub_ids = datasets_of(run)
    names = list(run.curation["sources"])
    return [
        EvalResult(
            task_type="image-classification",
            task_name="Facial expression recognition",
            dataset_type=hub_ids[0] if len(hub_ids) == len(names) == 1 else "+".join(names),
            dataset_name=f"{', '.join(map(spelled, names))}: {rows['rows']}",
            dataset_config=row_set,
            dataset_split=rows["split"],
            metric_type=metric_id,
            metric_name=words[0].upper() + words[1:],
            metric_value=round(rows[name]["value"], 4),
            metric_args={"low": round(rows[name]["low"], 4), "high": round(rows[name]["high"], 4),
                         "interval": run.evaluation["interval"], "rows": rows["n"]},
        )
        for row_set, rows in run.row_sets.items()
        for name, (metric_id, words) in _metrics(run).items()
    ]  # fmt: skip


def _metrics(run: Run) -> dict[str, tuple[str, str]]:
    """What every row set has. KL is NLL where nobody voted, and is told only where somebody did."""
    voted = any("human_agreement" in rows for rows in run.row_sets.values())
    return {name: of for name, of in METRICS.items() if voted or name != "kl"}


def license_of(run: Run, repo_id: str) -> dict[str, str]:
    """`license` of the weights: Apache-2.0 for drawn faces from random weights alone, else `other` with what it says.

    Whoever trains on pictures without an open licence can promise nothing about them; the card says what is known.
    """
    if is_drawn(run) and run.recipe.get("checkpoint") is None:
        return {"license": "apache-2.0"}
    link = f"https://huggingface.co/{repo_id}#licence"  # the Hub takes an address, or a file named LICENSE
    return {"license": "other", "license_name": "no-open-licence-see-card", "license_link": link}


def is_drawn(run: Run) -> bool:
    """Whether nothing but this project's own drawings was trained and measured on."""
    return all("drawn by this project" in source["terms"] for source in run.curation["sources"].values())


def base_model_of(run: Run) -> str | None:
    """Hub id of what the run started from; None for random weights, or a folder that is gone or does not say.

    timm's config.json names architecture and tag, which together are the name under `timm/`.
    """
    checkpoint = run.recipe.get("checkpoint")
    if checkpoint is None:
        return None
    folder = Path(checkpoint).expanduser()
    if not folder.exists():
        return checkpoint if "/" in checkpoint and HUB_ID.fullmatch(checkpoint) else None
    try:
        config = json.loads((folder / "config.json").read_text())
        return f"timm/{config['architecture']}.{config['pretrained_cfg']['tag']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def datasets_of(run: Run) -> list[str]:
    """Hub ids of the sources that came from there, in their order. A path of this machine is never one."""
    entries = run.recipe.get("sources") or [run.recipe]
    return [
        entry["data_path"]
        for entry, source in zip(entries, run.curation["sources"].values(), strict=False)
        if source["layout"].startswith("Hub data set") or entry.get("source") == "hub"
        if HUB_ID.fullmatch(entry["data_path"])
    ]


def example_scores(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Scores of all classes for each picture in examples/, best first, as the run's own folder gives them."""
    from transformers import pipeline  # here: a card without examples should not wait for torch

    pictures = sorted((run.path / "examples").glob("*.png"))
    if not pictures:
        return {}
    classify = pipeline("image-classification", model=str(run.path), top_k=len(run.classes))
    return {
        picture.name: [{"label": s["label"], "score": round(s["score"], 4)} for s in classify(str(picture))]
        for picture in pictures
    }


def reproduce(run: Run, publication: Publication) -> str:
    """The command that trains this run again: a shipped recipe and what differs from it, else the released recipe.

    Local paths are `DIR`; the checkpoint is named by its Hub id where that is known.
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
    base = base_model_of(run)
    if recipe.get("checkpoint") is not None and (publication.shipped or {}).get("checkpoint") != (base or ""):
        words["checkpoint"] = base or "DIR"
    options = [f"--{name} {shlex.quote(v if isinstance(v, str) else json.dumps(v))}" for name, v in words.items()]
    return " \\\n  ".join([f"accelerate launch train_hf.py {shlex.quote(name)}", *options])


def _placed(settings: Mapping[str, Any], hub_ids: list[str]) -> dict[str, Any]:
    """Settings of a source without paths of this machine; the face detector is the Hub's by default."""
    kept = {name: value for name, value in settings.items() if name != "face_detector"}
    return {name: "DIR" if name == "data_path" and value not in hub_ids else value for name, value in kept.items()}


def _strictest(run: Run) -> dict[str, Any] | None:
    """The test rows without copies, near ones too where they were looked for; None where nothing was."""
    kinds = {"clean_near": "near copy", "clean": "pixel copy"}
    return next(({"name": n, "kind": kinds[n]} | run.row_sets[n] for n in kinds if n in run.row_sets), None)


def _confusions(run: Run) -> list[dict[str, Any]]:
    """What is taken for what most often, as a share of the rows of the label, in the set of rows told first."""
    best = next(iter(run.row_sets.values()))
    pairs = [
        {"label": label, "predicted": predicted, "count": count, "rows": sum(row)}
        for label, row in zip(run.classes, best["confusion_matrix"], strict=True)
        for predicted, count in zip(run.classes, row, strict=True)
        if count and predicted != label
    ]
    return sorted(pairs, key=lambda pair: -pair["count"] / pair["rows"])[:CONFUSIONS]


def spelled(source: str) -> str:
    """The name of a source as people write it."""
    return SPELLED.get(source, source)


def cell(text: Any) -> str:
    """Text of any origin as plain words in one line of Markdown, in a table too."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", " ".join(str(text).split()))


def figure(value: Mapping[str, float]) -> str:
    """A figure with its interval; nothing where there is none."""
    if not value:
        return ""
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def size(count: float) -> str:
    """Bytes as megabytes."""
    return f"{count / 1e6:.1f} MB"


def plain(value: Any) -> str:
    """A setting without digits that say nothing."""
    return f"{value:g}" if isinstance(value, float) else cell(value)
