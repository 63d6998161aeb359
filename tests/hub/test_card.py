"""The card of a release: true to the run, figure by figure, whatever its pictures are."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value, concatenate_datasets
from huggingface_hub import ModelCard

from hub.card import filters, snippets
from hub.card.card import example_scores, make_card, reproduce
from hub.card.metadata import Publication, base_model_of, datasets_of, eval_results, sources_of, title_of
from hub.card.notebook import make_notebook
from hub.clients.clients import OF_ADAPTERS
from hub.privacy import refuse_private
from hub.run import load_run
from pipeline.data.curation import Curated, curate
from pipeline.data.readers import read_sources
from pipeline.data.votes import FERPLUS_COLUMNS
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.evaluation import predictions
from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.evaluation.metrics import METRICS
from pipeline.expressions import CLASSES
from pipeline.run_folder import Run
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.files import load_yaml, recipe_from, recipe_path
from pipeline.settings.recipe import OUR_FIELDS, Recipe
from pipeline.source import Source
from tests.hub import sample_card

EXPORT = {
    "measured_on": "validation",
    "rows": 1234,
    "clean_rows": 1111,
    "interval": "90 % Wilson",
    "run_accuracy": {"value": 0.8719, "low": 0.8601, "high": 0.8837},
    "files": [
        {"file": "model.onnx", "precision": "fp32", "bytes": 22_812_345, "n": 1234, "max_difference": 0.0000051,
         "agreement": 0.9991, "accuracy": {"value": 0.8721, "low": 0.8612, "high": 0.8833}},
    ],
    "left_out": {"int8": "it loses 0.91 points of validation accuracy (0.8630 against 0.8721), more than the 0.5 that "
                         "are allowed"},
}  # fmt: skip
ONLY_EXAMPLES = {
    "measured_on": "faces",
    "rows": None,
    "clean_rows": None,
    "interval": None,
    "run_accuracy": None,
    "files": [{**EXPORT["files"][0], "precision": "fp16", "file": "model_fp16.onnx", "n": 7, "accuracy": None}],
    "left_out": {"int8": "accuracy was not measured, as no validation pictures were given"},
}
PARITY = {
    "clients": {
        "pipeline()": {"tolerance": 1e-4, "kinds": {
            "48 px gray": {"n": 5, "largest_difference": 0.0000012, "same_top_class": 5},
            "RGBA": {"n": 5, "largest_difference": 0.000003, "same_top_class": 5}}},
        "transformers.js, its own resize": {"tolerance": None, "kinds": {
            "48 px gray": {"n": 5, "largest_difference": 0.0154, "same_top_class": 3},
            "RGBA": {"n": 5, "largest_difference": 0.0021, "same_top_class": 5}}},
        "onnxruntime": {"skipped": "onnxruntime not installed"},
    }
}  # fmt: skip
SCORES = {"happiness.png": [{"label": "happiness", "score": 0.9123}, {"label": "neutral", "score": 0.0877}]}
PUBLICATION = Publication("someone/fer-vit-tiny", "v1", EXPORT, PARITY, SCORES)

LEFT_OUT = "left_out"  # "dropped" in runs from before sources had a record

# What the card says about the world and not about the run: names, years, law, and the pictures of FER2013.
OF_THE_WORLD = {
    *("F1", "FER2013", "float32", "sha256", "kl_divergence"),
    *("2019", "10.1177/1529100619832930", "48"),  # Barrett et al.; FER2013's pictures
    *("2024/1689", "2", "2025", "5(1)(f)", "1(c)", "50(3)"),  # EU AI Act
    *("Apache-2.0", "apache-2.0", "top_k: 7", "int8", "90 % Wilson"),
    *("width=420", "(height, width, 3)", "fp16", "q8", "version 5.0", "n < 30"),  # of the page and its files
}
RECORD = ("id", "title", "layout", "origin", "datasets", "licence", "terms", "citation")
"""What the record of a source says in words."""
KEPT = ("checkpoint", "data_path", "file", "precision", "interval", *RECORD)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")


@pytest.fixture(scope="module")
def drawn(publishable_run) -> Run:
    return load_run(publishable_run)


def votes_of(label: str, most: int) -> list[int]:
    """Ten votes, the rest of them for another expression."""
    votes = dict.fromkeys(FERPLUS_COLUMNS, 0) | {label: most}
    return list((votes | ({"sadness": 10 - most} if label != "sadness" else {"fear": 10 - most})).values())


def save_voted_faces(folder: Path) -> Path:
    """FER+ as parquet: faces of every class, rows that no rule takes, copies for each pair of splits, a near one."""
    features = Features({"image": Image(), "votes": List(Value("int8"))})
    folder.mkdir()
    for number, split in enumerate(("test", "validation", "train")):
        faces = [(draw_face(name, number, i, size=48), votes_of(name, 7 + i % 2)) for i, name in enumerate(CLASSES * 2)]
        faces += [(draw_face("fear", 9, i, size=48), votes_of("fear", 8)) for i in range(number + 1)]
        faces += [(draw_face("anger", 20 + number, 0), votes_of("anger", 5)), (draw_face("anger", 30 + number, 0),
                                                                              votes_of("unknown", 10))]  # fmt: skip
        if split == "train":
            faces.append((draw_face("happiness", 0, 3, size=48).resize((80, 80)), votes_of("happiness", 8)))
        rows = {"image": [face for face, _ in faces], "votes": [votes for _, votes in faces]}
        Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def evaluated(curated: Curated, folder: Path, recipe: Recipe) -> dict:
    """The figures of a model that is mostly right, from predictions as a run writes them."""
    tables = {split: curated.splits[split] for split in ("validation", "test")}
    rng = np.random.default_rng(0)
    logits = {
        split: (2 * np.eye(len(recipe.classes))[table["label"][:]] + rng.normal(size=(len(table), 7))).astype("float32")
        for split, table in tables.items()
    }
    about = {"classes": recipe.classes, "label_rule": curated.label_rule, "seed": 0, "resamples": 30, "recipe": "made"}
    predictions.write_predictions(folder / "predictions.parquet", tables, logits, about)
    return evaluate_predictions(folder / "predictions.parquet")


@pytest.fixture(scope="module")
def voted(drawn: Run, tmp_path_factory) -> Run:
    """A run on votes, from the weights of a local timm checkpoint; no figure that the card shows of it is 0."""
    folder = tmp_path_factory.mktemp("voted")
    checkpoint = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"tag": "augreg_in21k_ft_in1k"}}
    (folder / "config.json").write_text(json.dumps(checkpoint))
    settings = {"data_path": str(save_voted_faces(folder / "faces")), "source": "ferplus", "leaks": "report"}
    recipe = recipe_from(settings | {"checkpoint": str(folder), "output_dir": str(folder / "run"), "seed": 3}, "test")
    curated = curate(read_sources(recipe), recipe)
    environment = drawn.environment | {"processes": 2, "wall_seconds": 3625.5, "train_seconds": 3453.0}
    environment |= {"git_revision": "45bcd369c480618f5b4454be90543669a7272dce", "processor": "EPYC 7"}
    environment |= {"layer_decay": 0.9}
    return replace(drawn, recipe=recipe.settings(), evaluation=evaluated(curated, folder, recipe),
                   curation=json.loads(json.dumps(curated.report)), environment=environment)  # fmt: skip


def prose(card: str) -> str:
    """Without what is to be copied: code and citations."""
    return re.sub(r"^```.*?^```$", "", card, flags=re.MULTILINE | re.DOTALL)


def other(value):
    """The same with every number in it changed, order and zeros kept; what is not a figure (paths, terms) stays."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        return {name: part * 0.61 + 0.017 for name, part in value.items()}
    if isinstance(value, dict):
        words = {
            key for key, part in value.items() if key in KEPT and isinstance(part, list if key == "datasets" else str)
        }
        return {key: part if key in words else other(part) for key, part in value.items()}
    if isinstance(value, list):
        return [other(part) for part in value]
    if isinstance(value, bool) or not value:
        return value
    if isinstance(value, float):
        return value * 0.61 + 0.017 if value <= 1 else value * 1.7 + 3
    if isinstance(value, int):
        return value * 3 + 2
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), value) if isinstance(value, str) else value


def with_other_figures(run: Run) -> Run:
    files = ("config", "recipe", "evaluation", "curation", "environment")
    return replace(run, **{name: other(getattr(run, name)) for name in files})


def changed_lines(before: str, after: str) -> list[str]:
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    return [new.strip() for old, new in lines if old != new]


def tables(card: str) -> list[list[list[str]]]:
    """The cells of every table, as GitHub's Markdown cuts them."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", prose(card), flags=re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]


def unescaped(cell: str) -> str:
    return re.sub(r"\\(.)", r"\1", cell.strip())


# Figures


def test_every_number_of_the_card_comes_from_the_run_and_the_rest_is_the_same_for_any_figures(voted: Run) -> None:
    voted = replace(voted, recipe=voted.recipe | {"low_resolution": 0.9})  # 1 is off, and then it has no line
    one = prose(make_card(voted, PUBLICATION))
    changed = {"export": other(EXPORT), "parity": other(PARITY), "examples": other(SCORES)}
    two = prose(make_card(with_other_figures(voted), replace(PUBLICATION, **changed)))
    one, two = (
        re.sub(r"^.*always .*$", "", card, flags=re.MULTILINE) for card in (one, two)
    )  # equal rows, equal shares
    assert NUMBER.sub("#", one) == NUMBER.sub("#", two)
    names = [base_model_of(voted), PUBLICATION.revision, *PARITY["clients"]["pipeline()"]["kinds"]]
    names += [word for s in sources_of(voted) for word in (s.terms, title_of(s), s.layout, s.citation or "")]
    names.append(f"{(voted.path / 'model.safetensors').stat().st_size / 1e6:.1f}")
    explained = {number for words in (*OF_THE_WORLD, *names) for number in NUMBER.findall(words)}
    pairs = zip(NUMBER.finditer(one), NUMBER.findall(two), strict=True)
    fixed = [found for found, other_number in pairs if found[0] == other_number]
    assert not [one[max(0, f.start() - 60) : f.end() + 20] for f in fixed if f[0] not in explained]


def test_a_changed_figure_changes_the_card_only_where_it_is_shown(voted: Run) -> None:
    evaluation = json.loads(json.dumps(voted.evaluation))
    evaluation["official"]["accuracy"] = {"value": 0.12345, "low": 0.1, "high": 0.2}
    changed = changed_lines(
        make_card(voted, PUBLICATION), make_card(replace(voted, evaluation=evaluation), PUBLICATION)
    )
    assert changed[:3] == ["value: 0.1235", "low: 0.1", "high: 0.2"]
    assert changed[3].startswith("| **this model** | 0.123 (0.100 to 0.200) |")
    assert changed[4].startswith("| accuracy | 0.123 (0.100 to 0.200) |")
    assert len(changed) == 5


@pytest.mark.parametrize(
    ("file", "keys", "value", "shown"),
    [
        (
            "evaluation",
            ("official", "per_class", "fear", "recall"),
            {"value": 0.0, "low": 0.0, "high": 0.4},
            ["| fear |", "- It misses fear"],
        ),
        ("evaluation", ("clean", "nll", "high"), 9.0, ["high: 9.0", "| NLL |"]),
        ("curation", ("leaks", "found", "exact copy", "test_in_train"), 987, ["| exact copy | 987 |"]),
        ("curation", ("sources", "ferplus", LEFT_OUT, "train", "no majority"), 987, ["- Left out of train: 987 (no"]),
        ("environment", ("wall_seconds",), 9000.0, ["| time | 2.5 hours"]),
        ("environment", ("packages", "torch"), "9.9", ["| torch | 9.9 |"]),
    ],
)
def test_so_does_any_other_fact_of_the_run(voted: Run, file: str, keys: tuple[str, ...], value, shown) -> None:
    content = json.loads(json.dumps(getattr(voted, file)))
    inner = content
    for key in keys[:-1]:
        inner = inner["dropped" if key == LEFT_OUT and key not in inner else key]
    assert keys[-1] in inner
    inner[keys[-1]] = value
    changed = changed_lines(make_card(voted, PUBLICATION), make_card(replace(voted, **{file: content}), PUBLICATION))
    assert len(changed) == len(shown)
    for line, start in zip(changed, shown, strict=True):
        assert line.startswith(start)


def test_a_table_has_each_figure_in_its_row_and_column(voted: Run) -> None:
    def written(found: dict[str, float]) -> str:
        return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"

    shown = {table[0][0].strip() or table[0][1].strip(): table for table in tables(make_card(voted, PUBLICATION))}
    by_class = {
        len(table[0]): table for table in tables(make_card(voted, PUBLICATION)) if table[0][0].strip() == "class"
    }
    figures = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in shown["official"]}
    sets = [voted.evaluation[name] for name in figures[""]]
    assert figures[""] == ["official", "clean", "clean_near", "validation"]
    assert figures["rows"] == [str(rows["n"]) for rows in sets] and len(set(figures["rows"])) > 2
    for words, name in {
        "macro F1": "macro_f1",
        "AUROC": "auroc",
        "NLL": "nll",
        "*one human voter*": "human_agreement",
    }.items():
        assert figures[words] == [written(rows[name]) for rows in sets]
    for label, rows, *rest in ([cell.strip() for cell in row] for row in by_class[5][2:]):
        of_class = voted.evaluation["official"]["per_class"][label]
        expected = [filters.of_class(of_class, name) for name in ("precision", "recall", "f1")]
        assert [rows, *rest] == [str(of_class["support"]), *expected]
    for label, *counts in ([cell.strip() for cell in row] for row in by_class[4][2:-1]):
        assert counts == [str(of[label]) for of in voted.curation["rows_used"].values()]


def test_weight_files_say_what_was_not_measured_and_why_one_is_missing(voted: Run) -> None:
    card = make_card(voted, PUBLICATION)
    line = (
        "| `onnx/model.onnx` | fp32 | every runtime and device | 22.8 MB | 99.9 % | 5.1e-06 | 0.872 (0.861 to 0.883) |"
    )
    assert line in card
    assert "The int8 file was left out: it loses 0.91 points of validation accuracy" in card
    assert "in torch it is 0.872 (0.860 to 0.884)" in card
    assert "Compared on 1,234 validation pictures. Accuracy is measured on the 1,111 of them" in card
    card = make_card(voted, replace(PUBLICATION, export=ONLY_EXAMPLES))
    line = "| `onnx/model_fp16.onnx` | fp16 | half the size; GPUs, WebGPU | 22.8 MB | 99.9 % | 5.1e-06 | accuracy not"
    assert line in card
    assert "Compared only on the 7 drawn faces" in card
    assert "The int8 file was left out: accuracy was not measured" in card
    without = make_card(voted, replace(PUBLICATION, export=None, parity=None))
    assert "onnx" not in without and "transformers.js" not in without


def test_clients_are_listed_with_their_differences_or_why_one_was_not_compared(voted: Run) -> None:
    card = make_card(voted, PUBLICATION)
    assert "| 48 px gray (5) | 1.2e-06 | 0.015, 2 with a different first answer |" in card
    assert "| RGBA (5) | 3e-06 | 0.0021 |" in card
    assert "- onnxruntime was not compared: onnxruntime not installed." in card
    assert "which changes a probability by up to 0.015." in card
    assert "pipeline(); transformers.js, its own resize: each ran its lines" in card, "those that were asked, no others"


# What the Hub reads


def test_the_front_matter_is_read_back_as_it_was_meant(voted: Run) -> None:
    card = ModelCard(make_card(voted, PUBLICATION))
    assert card.data.eval_results == eval_results(voted)
    shown = {(r.dataset_config, r.dataset_split, r.metric_type) for r in card.data.eval_results}
    kinds = (
        "accuracy",
        "f1",
        "balanced_accuracy",
        "top2_accuracy",
        "roc_auc",
        "nll",
        "kl_divergence",
        "brier_score",
        "ece",
    )
    sets = {"official": "test", "clean": "test", "clean_near": "test", "validation": "validation"}
    assert shown == {(name, split, kind) for name, split in sets.items() for kind in kinds}
    accuracy = voted.evaluation["clean_near"]["accuracy"]
    (result,) = (r for r in card.data.eval_results if (r.dataset_config, r.metric_type) == ("clean_near", "accuracy"))
    assert result.metric_value == pytest.approx(accuracy["value"], abs=5e-5)
    assert result.metric_args["low"] == pytest.approx(accuracy["low"], abs=5e-5)
    assert result.metric_args["rows"] == voted.evaluation["clean_near"]["n"]
    assert card.data.pipeline_tag == "image-classification" and card.data.to_dict()["library_name"] == "transformers"
    assert card.data.base_model == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert card.data.get("base_model_relation") == "finetune" and card.data.get("new_version") is None
    newer = ModelCard(make_card(voted, replace(PUBLICATION, new_version="someone/fer-vit-small")))
    assert newer.data.get("new_version") == "someone/fer-vit-small"
    assert card.data.get("datasets") is None, "a local path is no data set of the Hub"
    assert card.data.widget == [
        {"src": "examples/happiness.png", "example_title": "happiness (drawn)", "output": SCORES["happiness.png"]}
    ]
    assert card.data.model_name == "fer-vit-tiny" and str(ModelCard(str(card))) == str(card)


def test_the_licence_is_open_only_for_drawn_faces_from_random_weights(drawn: Run, voted: Run) -> None:
    assert ModelCard(make_card(drawn, PUBLICATION)).data.license == "apache-2.0"
    started = replace(drawn, recipe=drawn.recipe | {"checkpoint": "user/model"})
    for run in (voted, started):
        card = ModelCard(make_card(run, PUBLICATION))
        assert card.data.license == "other" and card.data.license_link.endswith("/someone/fer-vit-tiny#licence")
        assert "**No open licence is claimed for these weights.**" in card.text
    assert voted.curation["sources"]["ferplus"]["terms"] in make_card(voted, PUBLICATION).replace("\\", "")


def test_the_base_model_is_a_name_on_the_hub_or_none(drawn: Run, tmp_path, monkeypatch) -> None:
    def base(checkpoint: str | None) -> str | None:
        return base_model_of(replace(drawn, recipe={"checkpoint": checkpoint}))

    monkeypatch.chdir(tmp_path)
    assert base(None) is None
    assert base("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k") == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert base(str(tmp_path / "gone")) is None
    for number, config in enumerate(('{"model_type": "vit"}', "no json", '{"architecture": "x", "pretrained_cfg": 1}')):
        folder = Path("runs") / str(number)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(config)
        assert base(str(folder)) is None
    assert base("../weights") is None
    started_here = replace(drawn, environment=drawn.environment | {"checkpoint_is_local": True})
    assert base_model_of(replace(started_here, recipe=drawn.recipe | {"checkpoint": "runs/gone"})) is None


def entry_before_records(layout: str) -> dict:
    """An entry of curation.json from before sources had a record."""
    about = {"terms": "unknown", "pixels_may_travel": False, "label_rule": None, "dropped": {}}
    return about | {
        "layout": layout,
        "unreadable": {"count": 0, "keys": []},
        "splits": {"official": ["train"], "made": []},
    }


@pytest.mark.parametrize(
    ("entry", "layout", "shown"),
    [
        ({"data_path": "user/faces"}, "Hub data set with the columns image and label", ["user/faces"]),
        ({"data_path": "user/faces"}, "parquet with the columns image and label", []),
        ({"data_path": "user/faces", "source": "hub"}, "Hub data set with raw votes of FER+", ["user/faces"]),
        ({"data_path": "/disk/faces", "source": "hub"}, "Hub data set with the columns image and label", []),
        ({"data_path": None, "source": "drawn"}, "20 faces drawn from seed 0", []),
    ],
)
def test_data_sets_are_named_where_they_came_from_the_hub(drawn: Run, entry, layout: str, shown: list[str]) -> None:
    source = entry_before_records(layout)
    run = replace(drawn, recipe=drawn.recipe | entry, curation=drawn.curation | {"sources": {"x": source}})
    assert datasets_of(run) == shown
    several = replace(run, recipe=drawn.recipe | {"sources": [entry]})
    assert datasets_of(several) == shown
    assert ("DIR" in reproduce(several, PUBLICATION)) == (not shown)


MEASURED = {"unreadable": {"count": 0, "keys": []}, "splits": {"official": ["train"], "made": []}}
DRAWN = Source(id="drawn", title="drawn faces", layout="20 faces", origin="drawn", licence="Apache-2.0", terms="free")
PHOTOS = Source(id="photos", title="photos", layout="class folders", origin="local", terms="photos of people")


def of_sources(run: Run, *sources: Source) -> Run:
    """A run on these sources."""
    entries = {source.id: source.to_json() | MEASURED for source in sources}
    return replace(run, curation=run.curation | {"sources": entries})


def from_before_records(run: Run) -> Run:
    """A run on a curated folder of drawn faces and photos, from when it had one entry for all of its sources."""
    terms = "drawn: drawn by this project, Apache-2.0; photos: the source does not state the terms of its pictures"
    entry = entry_before_records("curated table") | {"terms": terms}
    return replace(run, curation=run.curation | {"sources": {"drawn and photos": entry}})


def test_a_curated_folder_of_drawn_faces_and_photos_is_neither_open_nor_a_demonstration(drawn: Run) -> None:
    for run in (of_sources(drawn, DRAWN, PHOTOS), from_before_records(drawn)):
        card = ModelCard(make_card(run, PUBLICATION))
        assert card.data.license == "other" and "demo" not in card.data.tags
        assert "seen a photo of a person" not in card.text and "trained and measured only on drawings" not in card.text
        assert "Apache-2.0; photos" in card.text or "photos: licence other; photos of people" in card.text
    mixed, only = (make_card(of_sources(drawn, *sources), PUBLICATION) for sources in ((DRAWN, PHOTOS), (DRAWN,)))
    assert "Some of the pictures are faces that a program drew" in mixed
    assert "Some of the pictures are" not in only and ModelCard(only).data.license == "apache-2.0"


def test_the_licence_depends_on_fields_and_not_on_words(drawn: Run) -> None:
    words = replace(PHOTOS, terms="drawn by this project, Apache-2.0", title="drawn faces")
    assert ModelCard(make_card(of_sources(drawn, words), PUBLICATION)).data.license == "other"
    closed = replace(DRAWN, licence="other")
    assert ModelCard(make_card(of_sources(drawn, closed), PUBLICATION)).data.license == "other"


def test_known_data_sets_are_cited_by_their_field_and_others_in_their_own_words(drawn: Run) -> None:
    keys = {"FER2013": "goodfellow2013", "FER+": "barsoum2016", "RAF-DB": "li2017", "AffectNet": "mollahosseini2019"}
    for name, key in keys.items():
        card = make_card(of_sources(drawn, replace(PHOTOS, datasets=(name,), citation="Its paper")), PUBLICATION)
        assert [other for other in keys.values() if other in card] == [key] and "- Cite:" not in card
    other_set = replace(PHOTOS, datasets=("Other",), citation="Its paper, 2020", terms="not FER2013, not FER+")
    card = make_card(of_sources(drawn, other_set), PUBLICATION)
    assert "- Cite: Its paper, 2020." in card and not [key for key in keys.values() if key in card]


def test_a_hub_data_set_in_a_curated_folder_is_named_and_the_folder_is_not(drawn: Run) -> None:
    faces = replace(PHOTOS, id="user/faces", origin="hub")
    recipe = {"source": "curated", "data_path": "runs/curated"}
    run = replace(of_sources(drawn, DRAWN, faces), recipe=drawn.recipe | recipe)
    assert datasets_of(run) == ["user/faces"]
    assert datasets_of(replace(of_sources(drawn, DRAWN, PHOTOS), recipe=drawn.recipe | recipe)) == []


def test_examples_are_what_the_published_folder_says_to_them(drawn: Run, tmp_path: Path) -> None:
    scores = example_scores(drawn)
    shutil.copytree(drawn.path, tmp_path / "run")
    beside = {"image_processor": {"image_processor_type": "ViTImageProcessor", "image_mean": [9, 9, 9]}}
    (tmp_path / "run" / "processor_config.json").write_text(json.dumps(beside), encoding="utf-8")
    assert example_scores(replace(drawn, path=tmp_path / "run")) == scores, "what is not sealed answers nothing"
    assert sorted(scores) == sorted(f"{name}.png" for name in CLASSES)
    for answer in scores.values():
        assert {score["label"] for score in answer} == set(CLASSES)
        assert [score["score"] for score in answer] == sorted((score["score"] for score in answer), reverse=True)
        assert sum(score["score"] for score in answer) == pytest.approx(1, abs=1e-3)
    widget = ModelCard(make_card(drawn, replace(PUBLICATION, examples=scores))).data.widget
    assert {entry["src"] for entry in widget} == {f"examples/{name}" for name in scores}
    assert all((drawn.path / entry["src"]).is_file() for entry in widget)


# What a stranger reads


def test_the_first_screen_says_accuracy_beside_always_one_class_and_one_human_voter(voted: Run) -> None:
    first = make_card(voted, PUBLICATION).split("\n---\n")[1].split("## Use it")[0]
    best, strictest = voted.evaluation["official"], voted.evaluation["clean_near"]
    train = voted.curation["rows_used"]["train"]
    usual = max(train, key=lambda name: train[name])
    rows = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in tables(first)[0]}
    assert rows["**this model**"] == [filters.figure(rows_of["accuracy"]) for rows_of in (best, strictest)]
    shares = [f"{of['per_class'][usual]['support'] / of['n']:.3f}" for of in (best, strictest)]
    assert rows[f"always *{usual}*, the most frequent training class"] == shares
    assert rows["one human voter, drawn at random"][0] == filters.figure(best["human_agreement"])
    balanced = [filters.figure(rows_of["balanced_accuracy"]) for rows_of in (best, strictest)]
    assert rows["balanced accuracy: mean recall of the classes"] == balanced
    assert len(first.splitlines()) < 45 and len(re.findall("^from|^classify|^picture|^print", first, re.M)) == 5
    for words in ("expression is not an emotion", "banned", "](https://kwanlung"):
        assert words in first


@pytest.mark.parametrize(
    ("support", "figures", "shown"),
    [
        (18, {"value": 0.0, "low": 0.0, "high": 0.0}, "not measured (n < 30)"),
        (18, {"value": 1.0, "low": 1.0, "high": 1.0}, "not measured (n < 30)"),
        (300, {"value": 0.0, "low": 0.0, "high": 0.0}, "0.000"),
        (18, {"value": 0.1, "low": 0.0, "high": 0.3}, "0.100 (0.000 to 0.300)"),
    ],
)
def test_an_interval_without_width_is_not_shown(support: int, figures: dict, shown: str) -> None:
    assert filters.of_class({"support": support, "f1": figures}, "f1") == shown


def test_the_sample_in_the_docs_is_the_card_of_today() -> None:
    written = sample_card.FILE.read_text(encoding="utf-8")
    assert written == sample_card.sample_text(), "write it again with python -m tests.hub.sample_card"


def test_a_run_on_drawn_faces_is_called_a_demonstration_first(drawn: Run, voted: Run) -> None:
    loud = "> **A demonstration on drawn faces.**"
    assert 0 < make_card(drawn, PUBLICATION).split("\n---\n")[1].index(loud) < 50
    assert "FER2013" not in make_card(drawn, PUBLICATION) and "human voter" not in make_card(drawn, PUBLICATION)
    assert loud not in make_card(voted, PUBLICATION)


def test_sections_come_in_the_order_of_a_readers_questions(voted: Run) -> None:
    headings = re.findall(r"^## (.*)$", prose(make_card(voted, PUBLICATION)), flags=re.MULTILINE)
    assert headings == [
        "Use it", "Results", "Limits", "Uses that are banned or high-risk", "Licence", "Weight files", "Training",
        "Files", "Citation",
    ]  # fmt: skip


def test_the_snippet_names_the_release(voted: Run) -> None:
    line = 'classify = pipeline("image-classification", model="someone/fer-vit-tiny", revision="v1", top_k=7)'
    assert line in make_card(voted, PUBLICATION).splitlines()
    served = "FER_MODEL=someone/fer-vit-tiny FER_REVISION=v1 uvicorn app:app"
    assert served in make_card(voted, PUBLICATION)
    unpinned = make_card(voted, replace(PUBLICATION, revision=None))
    assert line.replace(' revision="v1",', "") in unpinned.splitlines() and "pins this release" not in unpinned
    assert served.replace(" FER_REVISION=v1", "") in unpinned


def test_the_tag_is_one_part_of_every_address(voted: Run) -> None:
    card = make_card(voted, replace(PUBLICATION, revision="faces/v1", detector="face_detector/x.onnx", shipped=None))
    addresses = re.findall(r"https://huggingface.co/someone/fer-vit-tiny/(?:blob|resolve)/([^/]+)/", card)
    assert len(addresses) >= 5 and set(addresses) == {"faces%2Fv1"}
    assert "\nhf download someone/fer-vit-tiny recipe.yaml --revision faces/v1 --local-dir .\naccelerate" in card
    assert "hf download" not in make_card(voted, replace(PUBLICATION, shipped=voted.recipe))


def test_a_network_of_timm_says_what_it_needs_and_where_it_does_not_load(voted: Run) -> None:
    network = replace(voted, config={"model_type": "timm_wrapper", "architecture": "resnet18"})
    card = ModelCard(make_card(network, PUBLICATION))
    assert "need `pip install transformers torch torchvision pillow timm`." in card.text
    assert make_notebook(network, PUBLICATION)["cells"][1]["source"][0].endswith(" pillow timm")
    assert "A resnet18, input of" in card.text and "torchvision pillow`" not in card.text
    assert "onnx" in card.data.tags and "transformers.js" not in card.data.tags and "await" not in card.text
    assert "5.0 gives other scores for some networks of timm" in card.text and "crashes" not in card.text
    usual = ModelCard(make_card(voted, PUBLICATION))
    assert "transformers.js" in usual.data.tags and "await" in usual.text and " timm`" not in usual.text


def test_each_block_names_what_it_imports(voted: Run) -> None:
    onnx, torch = "onnxruntime numpy pillow huggingface_hub", "transformers torch torchvision pillow"
    said = re.findall(r"^(?:The|These) lines.* need `(.*?)`", make_card(voted, PUBLICATION), flags=re.MULTILINE)
    assert said[:2] == [f"pip install {torch}"] * 2 and f"pip install {onnx}" in said
    assert said[-1] == "npm install @huggingface/transformers"
    assert snippets.install_of(OF_ADAPTERS["peft"], voted, "timm/x") == f"pip install {torch} peft timm"


@pytest.mark.parametrize(("count", "shown"), [(20, "mood 19."), (200, "mood 9 and 190 more ([by class](#by-class)).")])
def test_the_first_sentence_does_not_name_hundreds_of_classes(voted: Run, count: int, shown: str) -> None:
    names = [f"mood {number}" for number in range(count)]
    run = json.loads(json.dumps({"evaluation": voted.evaluation, "curation": voted.curation}))
    for rows in (run["evaluation"][name] for name in voted.row_sets):
        rows["per_class"] = dict.fromkeys(names, rows["per_class"]["fear"])
        rows["confusion_matrix"] = [[1] * count] * count
    run["evaluation"] |= {"classes": names, "per_source": {}}
    run["curation"]["rows_used"] = {split: dict.fromkeys(names, 1) for split in run["curation"]["rows_used"]}
    (sentence,) = re.findall("^An image classifier.*", make_card(replace(voted, **run), PUBLICATION), re.MULTILINE)
    assert sentence.endswith(shown)


def test_a_class_without_rows_is_reported(voted: Run) -> None:
    evaluation = json.loads(json.dumps(voted.evaluation))
    evaluation["official"]["per_class"]["fear"] |= {"support": 0, "recall": {"value": 0.0, "low": 0.0, "high": 0.0}}
    card = make_card(replace(voted, evaluation=evaluation), PUBLICATION)
    assert "There are no rows of fear: that counts as 0 in" in card and "It misses fear most" not in card
    assert "There are no rows of" not in make_card(voted, PUBLICATION)


def test_figures_are_shown_where_the_run_has_them(voted: Run, tmp_path) -> None:
    shown = re.findall(r"(?:!\[.+\]\(|<img src=\")(figures/\w+.png)", make_card(voted, PUBLICATION))
    assert len(shown) == 3 and all((voted.path / name).is_file() for name in shown)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    hashes = {name: value for name, value in voted.environment["sha256"].items() if not name.startswith("figures/")}
    bare = make_card(replace(voted, path=tmp_path, environment=voted.environment | {"sha256": hashes}), PUBLICATION)
    assert "![" not in bare and "<img" not in bare


def test_a_run_from_before_near_copies_says_that_they_were_not_looked_for(voted: Run) -> None:
    assert "without a near copy in the training" in make_card(voted, PUBLICATION)
    assert re.search(r"^\| near copy \| \d", make_card(voted, PUBLICATION), flags=re.MULTILINE)
    leaks = voted.curation["leaks"]
    found = {kind: counts for kind, counts in leaks["found"].items() if kind != "near copy"}
    curation = voted.curation | {"copies": {"exact": voted.curation["copies"]["exact"]}}
    curation |= {"leaks": leaks | {"found": found}}
    evaluation = {name: value for name, value in voted.evaluation.items() if name != "clean_near"}
    card = make_card(replace(voted, curation=curation, evaluation=evaluation), PUBLICATION)
    assert "were not searched for" in card and "clean_near" not in card and "| near copy |" not in card
    assert "without a pixel copy in the training" in card


def test_several_sources_have_figures_terms_and_counts_each(voted: Run, drawn: Run, tmp_path) -> None:
    recipe = recipe_from({"data_path": voted.recipe["data_path"], "source": "ferplus", "leaks": "report"}, "test")
    curated = curate(read_sources(recipe), recipe)
    for split, table in curated.splits.items():
        half = len(table) // 2
        renamed = table.select(range(half)).map(lambda row: {"source": "my|faces"})
        curated.splits[split] = concatenate_datasets([renamed, table.select(range(half, len(table)))])
    mine = drawn.curation["sources"]["drawn"] | {"id": "my|faces", "title": "my|faces"}
    sources = voted.curation["sources"] | {"my|faces": mine}
    entries = [{"data_path": "/disk/ferplus"}, {"data_path": "/disk/mine", "face_detector": "/disk/yunet.onnx"}]
    files = {"curation": voted.curation | {"sources": sources}, "evaluation": evaluated(curated, tmp_path, recipe)}
    run = replace(voted, **files, recipe=voted.recipe | {"sources": entries, "data_path": None})
    card = make_card(run, PUBLICATION)
    (table,) = (t for t in tables(card) if t[0][1].strip() == "row set")
    assert {unescaped(row[0]) for row in table[2:]} == {title_of(source) for source in sources_of(run)}
    figures = run.evaluation["per_source"]["my|faces"]["official"]
    assert f"{figures['accuracy']['value']:.3f} (" in next(row[3] for row in table[2:] if "my" in row[0])
    assert card.count(" Terms: ") == 2 and "/disk" not in card
    assert """--sources '[{"data_path": "DIR"}, {"data_path": "DIR"}]'""" in card
    assert not ModelCard(card).data.license.startswith("apache")


def test_flip_averaging_is_reported_beside_the_plain_figures(drawn: Run, voted: Run) -> None:
    averaged = {"official": voted.evaluation["official"] | {"accuracy": {"value": 0.9876, "low": 0.9, "high": 1.0}}}
    run = replace(voted, evaluation=voted.evaluation | {"flip_average": averaged})
    card, plain = make_card(run, PUBLICATION), make_card(voted, PUBLICATION)
    (table,) = (t for t in tables(card) if t not in tables(plain))
    assert [row[0].strip() for row in table[2:]] == ["official"] and table[2][2].strip() == "0.988 (0.900 to 1.000)"
    assert "### With flip averaging" in card and "flip averaging" not in plain


def test_where_the_first_weights_came_from_is_a_table_of_plain_words(voted: Run) -> None:
    provenance = {"origin": "a package | of <b>somebody</b>", "trained_on": "faces, for\nidentity"}
    card = make_card(replace(voted, config=voted.config | {"provenance": provenance}), PUBLICATION)
    (table,) = (t for t in tables(card) if t[2][0].strip() == "origin")
    assert [[unescaped(cell) for cell in row] for row in table[2:]] == [
        ["origin", "a package | of <b>somebody</b>"],
        ["trained on", "faces, for identity"],
    ]
    gone = replace(
        voted,
        recipe=voted.recipe | {"checkpoint": "runs/gone"},
        environment=voted.environment | {"checkpoint_is_local": True},
    )
    assert "what that was trained on is not known here" in make_card(gone, PUBLICATION)
    known = replace(gone, config=gone.config | {"provenance": provenance})
    assert "not known here" not in make_card(known, PUBLICATION)


def test_odd_names_break_neither_the_yaml_nor_the_tables(voted: Run) -> None:
    odd = dict(zip(CLASSES, ["a|b", "c\n---\nd: *e*", "`x`\\", "yes", "<b>", "[f](g) {{ h }}", "1.5"], strict=True))

    def named(value):
        if isinstance(value, dict):
            return {odd.get(key, key): named(part) for key, part in value.items()}
        return [named(part) for part in value] if isinstance(value, list) else odd.get(value, value)

    files = {name: named(getattr(voted, name)) for name in ("evaluation", "curation")}
    name = "s|\n# t: 'u'"
    sources = {name: files["curation"]["sources"]["ferplus"] | {"id": name, "title": name}}
    run = replace(voted, evaluation=files["evaluation"], curation=files["curation"] | {"sources": sources})
    scores = {"p q.png": [{"label": label, "score": 0.25} for label in odd.values()]}
    card = make_card(run, replace(PUBLICATION, examples=scores))
    data = ModelCard(card).data
    assert [score["label"] for score in data.widget[0]["output"]] == list(odd.values())
    assert data.eval_results == eval_results(run) and "s|\n# t: 'u'" in data.eval_results[0].dataset_name
    by_shape = {}
    for table in tables(card):
        assert {len(row) for row in table} == {len(table[0])}
        by_shape[table[0][0].strip(), len(table[0])] = [unescaped(row[0]) for row in table[2:]]
    plain = [" ".join(name.split()) for name in odd.values()]
    assert by_shape["class", 5] == plain and by_shape["class", 4] == [*plain, "all"]
    body = prose(ModelCard(card).text)
    assert re.findall(r"^# .*$", body, flags=re.MULTILINE) == ["# fer-vit-tiny"]
    assert not [name for name in (*odd.values(), *sources) if name in body and name not in ("yes", "1.5")]


def test_nothing_of_the_machine_is_in_the_card(voted: Run, tmp_path) -> None:
    card = make_card(voted, PUBLICATION)
    (tmp_path / "README.md").write_text(card)
    refuse_private(tmp_path, "someone")
    for place in (voted.recipe["data_path"], voted.recipe["checkpoint"], voted.recipe["output_dir"], str(voted.path)):
        assert place not in card
    assert "--data_path DIR" in card


# Made again


def test_the_command_makes_the_same_settings(voted: Run) -> None:
    shipped = recipe_from(load_yaml(recipe_path("ferplus_vit_tiny_cpu")), "test").settings()
    ours = {"seed": 5, "precision": "bf16", "class_map": {"it's": None, "b": "fear"}, "flip": 0.25, "max_steps": 9}
    paths = {"data_path": "/disk/faces", "checkpoint": "/disk/weights", "output_dir": "/disk/run", "disable_tqdm": True}
    run = replace(
        voted, recipe=shipped | ours | paths, evaluation=voted.evaluation | {"recipe": "ferplus_vit_tiny_cpu"}
    )
    command = reproduce(run, replace(PUBLICATION, shipped=shipped))
    assert "/disk" not in command
    launcher, words = command.split("train_hf.py", 1)
    again = parse_command_line(shlex.split(words.replace("\\\n", ""))).recipe
    assert launcher == "accelerate launch "
    assert again.settings() == shipped | ours | {"data_path": "DIR", "checkpoint": "DIR"}
    assert again.name == "ferplus_vit_tiny_cpu" and "--flip" in command and "--layer_decay" not in command
    released = "accelerate launch train_hf.py recipe.yaml --data_path DIR --checkpoint DIR"
    assert reproduce(run, PUBLICATION).replace(" \\\n ", "") == released
    known = replace(run, recipe=run.recipe | {"checkpoint": shipped["checkpoint"]})
    assert "--checkpoint" not in reproduce(known, replace(PUBLICATION, shipped=shipped))
    random = replace(run, recipe=run.recipe | {"checkpoint": None})
    assert "--checkpoint null" in reproduce(random, replace(PUBLICATION, shipped=shipped))


def test_the_rows_of_a_step_are_those_that_were_trained_with(voted: Run) -> None:
    run = replace(voted, environment=voted.environment | {"rows_per_step": 24})
    assert "| rows of an optimizer step | `total_batch_size` | 24 |" in make_card(run, PUBLICATION)


def test_a_layer_decay_that_followed_from_the_model_is_the_one_in_the_table(voted: Run) -> None:
    unknown = {name: value for name, value in voted.environment.items() if name != "layer_decay"}
    run = replace(voted, recipe=voted.recipe | {"layer_decay": None}, environment=unknown)
    assert "`layer_decay`" not in make_card(run, PUBLICATION)
    known = replace(run, environment=voted.environment | {"layer_decay": 0.75})
    assert re.search(r"\| `layer_decay` \| 0.75 \|", make_card(known, PUBLICATION))


def test_settings_that_1_switches_off_are_not_listed(voted: Run) -> None:
    off = [setting.name for setting in OUR_FIELDS if "1 is off" in setting.help]
    assert len(off) > 3
    listed = make_card(replace(voted, recipe=voted.recipe | dict.fromkeys(off, 0.5)), PUBLICATION)
    switched_off = dict.fromkeys(off, 1.0)
    run = replace(voted, recipe=voted.recipe | switched_off, environment=voted.environment | {"layer_decay": 1.0})
    assert all(f"| `{name}` |" in listed for name in off if name != "layer_decay")
    assert not [name for name in off if f"| `{name}` |" in make_card(run, PUBLICATION)]


def test_even_classes_are_not_called_uneven(voted: Run) -> None:
    assert "Classes are uneven. Of " in make_card(voted, PUBLICATION)
    even = voted.curation["rows_used"] | {"train": dict.fromkeys(CLASSES, 12)}
    card = make_card(replace(voted, curation=voted.curation | {"rows_used": even}), PUBLICATION)
    assert "uneven" not in card and "It misses" in card
    assert f"| always *{CLASSES[0]}*, one of the most frequent training classes |" in card


def test_what_was_done_to_rows_of_train_is_shown(voted: Run) -> None:
    settings = {"undecided": "train", "caps": {"ferplus/neutral": 20}, "row_weights": {"ferplus": 2.0}}
    lines = make_card(replace(voted, recipe=voted.recipe | settings), PUBLICATION).splitlines()
    assert any("without a label are kept in train" in line for line in lines)
    assert [line for line in lines if "`caps`" in line and "ferplus/neutral" in line and "20" in line]
    assert [line for line in lines if "`row_weights`" in line and "2.0" in line]


# Values that cannot be


def with_value(run: Run, file: str, keys: tuple[str, ...], value) -> Run:
    content = json.loads(json.dumps(getattr(run, file)))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return replace(run, **{file: content})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -5, 1.2, "0.9", True, None, [0.5]], ids=str)
@pytest.mark.parametrize(
    "keys",
    [
        ("official", "accuracy", "value"),
        ("clean", "macro_f1", "low"),
        ("validation", "ece", "high"),
        ("official", "human_agreement", "value"),
        ("official", "per_class", "fear", "recall", "value"),
    ],
    ids=".".join,
)
def test_a_figure_that_cannot_be_is_refused(voted: Run, keys: tuple[str, ...], value) -> None:
    with pytest.raises(
        InputError, match=r"evaluation.json: .* is .*: make it again with python -m pipeline.evaluation"
    ):
        make_card(with_value(voted, "evaluation", keys, value), PUBLICATION)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("name", METRICS)
def test_the_best_and_the_worst_value_of_every_metric_pass(voted: Run, name: str, is_right: bool) -> None:
    label = np.arange(28) % 7
    logits = 60 * np.eye(7)[label if is_right else (label + 1) % 7]
    references = np.eye(7)[label] if name in ("nll", "kl") else label
    value = METRICS[name].module().compute(predictions=logits, references=references)[name]
    figures = {"value": value, "low": value, "high": value}
    assert make_card(with_value(voted, "evaluation", ("official", name), figures), PUBLICATION)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("official", "accuracy"), {"value": 0.5, "low": 0.6, "high": 0.7}),
        (("official", "nll", "high"), 1e308),
        (("official", "n"), -3),
        (("official", "n"), 1.5),
        (("official", "per_class", "fear", "support"), float("nan")),
        (("official", "confusion_matrix"), [["<b>"]]),
    ],
    ids=str,
)
def test_so_are_intervals_beside_their_value_and_counts_that_count_nothing(voted: Run, keys, value) -> None:
    with pytest.raises(InputError, match=r"evaluation.json: "):
        make_card(with_value(voted, "evaluation", keys, value), PUBLICATION)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("git_revision", "$(rm -rf ~)"),
        ("git_revision", "abc"),
        ("git_revision", "0" * 40 + "\n```\n# owned"),
        ("precision", "fp32 | **best**"),
        ("python", "3.11\n\n# owned"),
        ("wall_seconds", float("nan")),
        ("cores", "<img>"),
        ("processes", -1),
    ],
)
def test_a_field_of_the_environment_that_no_run_writes_is_refused(voted: Run, name: str, value) -> None:
    with pytest.raises(InputError, match=rf"environment.json: {name} is .*: restore the file, or train again"):
        make_card(with_value(voted, "environment", (name,), value), PUBLICATION)


def test_every_other_text_is_one_escaped_line(voted: Run) -> None:
    odd = "x](http://evil) <b>|\n# owned &lt;"
    keys = ("processor", "system", "device")
    environment = voted.environment | dict.fromkeys(keys, odd) | {"packages": {odd: odd}}
    card = make_card(replace(voted, environment=environment), PUBLICATION)
    assert "\n# owned" not in card and not re.search(r"(?<!\\)(<b>|\]\(http://evil\)|&lt;)", card)


def made_figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


CALIBRATION = {
    "rows": 321, "targets": "votes", "temperature": 1.2344,
    "before": {"nll": made_figure(0.91), "ece": made_figure(0.0777)},
    "after": {"nll": made_figure(0.89), "ece": made_figure(0.0222)},
}  # fmt: skip
VECTOR = {name: value for name, value in CALIBRATION.items() if name != "temperature"}
VECTOR |= {"factors": [0.9] * 7, "summands": [0.1] * 7}
SHARES = {"assumed": dict.fromkeys(CLASSES, 1 / 7), "expected": dict.fromkeys(CLASSES, 1 / 7), "tau": 0.5}


@pytest.mark.parametrize(
    ("calibration", "shown"),
    [
        (CALIBRATION, ["divided by 1.234", "votes of 321 validation", "| ECE | 0.078 (0.068 to 0.088) | 0.022 (0.012"]),
        (VECTOR, ["calibrated by vector scaling", "votes of 321 validation", "| ECE | 0.078 (0.068 to 0.088) | 0.022"]),
        ({"rows": 12, "targets": "labels", "skipped": "x | y"}, ["calibration was skipped, because x \\| y."]),
        (None, ["Scores are as trained: nothing was fitted"]),
    ],
)
def test_the_card_says_how_scores_were_calibrated(voted: Run, calibration, shown: list[str]) -> None:
    evaluation = voted.evaluation | ({"calibration": calibration} if calibration else {})
    card = make_card(replace(voted, evaluation=evaluation), PUBLICATION)
    for words in shown:
        assert words in card


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"calibration": CALIBRATION | {"temperature": float("nan")}}, "temperature of calibration is .*nan"),
        ({"calibration": CALIBRATION | {"after": {}}}, "calibration, after, nll is None"),
        ({"calibration": VECTOR | {"factors": [0.9] * 6 + [float("inf")]}}, "factors of calibration is .*inf"),
        ({"calibration": VECTOR | {"factors": [0.9] * 6}}, "number of factors of calibration is .*6"),
        ({"calibration": VECTOR | {"after": {}}}, "calibration, after, nll is None"),
        ({"calibration": CALIBRATION | {"after": {"nll": made_figure(0.9), "ece": made_figure(7)}}}, "after, ece is"),
        ({"class_shares": SHARES | {"tau": 2}}, "tau of class_shares"),
        ({"class_shares": SHARES | {"expected": {"anger": 1}}}, "expected share of 'disgust' is"),
    ],
)
def test_what_no_run_folds_is_refused(voted: Run, changed: dict, why: str) -> None:
    with pytest.raises(InputError, match=why):
        make_card(replace(voted, evaluation=voted.evaluation | changed), PUBLICATION)
