"""A model of scores everywhere: card, ONNX files, clients, page, `hub.predict` and publishing."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest
from datasets import Dataset
from huggingface_hub import ModelCard
from PIL import Image
from transformers import pipeline

from hub import predict
from hub.adjusted import expected_shares
from hub.card.card import make_card
from hub.card.metadata import Publication
from hub.export import fp32, int8, preprocessed
from hub.export.compare import Reference, compare, refuse_wrong, why_inaccurate
from hub.export.export import export_onnx
from hub.options import Options
from hub.run import load_run
from hub.server.engine import load_model
from hub.server.expected import settled
from hub.server.settings import Settings
from hub.space_release import space_parts
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.evaluation.expected import expected_predictions
from pipeline.studies.any_model.paired import read_other
from pipeline.studies.ranking import tables_of
from pipeline.studies.run_pictures import pictures_of
from push_to_hub import main
from tests.hub.test_app import served


@pytest.fixture(scope="module")
def staged(scored_run: Path) -> Path:
    """What a dry run leaves to look at: the card, ONNX files and the comparison of clients."""
    main([str(scored_run), "--repo_id", "anna/scores", "--dry_run"])
    return scored_run.with_name("run-staged")


@pytest.fixture(scope="module")
def answer(scored_run: Path) -> float:
    """The score of an example by `pipeline()`."""
    (one,) = pipeline("image-classification", model=str(scored_run))(Image.open(scored_run / "examples" / "fear.png"))
    return float(one["score"])


def test_the_card_speaks_of_scores(scored_run: Path) -> None:
    run = load_run(scored_run)
    card = ModelCard(make_card(run, Publication("anna/scores", examples={"fear.png": []})))
    text = card.text
    assert "Its answers are numbers in the unit of the\ndata, not classes and not probabilities" in text
    for word in ("always the mean of the training scores", "a linear model (ridge regression)", "| CCC |"):
        assert word in text
    for word in ("confusion", "macro F1", "softmax", "most frequent training class", "sum to 1", "By class"):
        assert word not in text, word
    data = card.data.to_dict()
    assert data["pipeline_tag"] == "image-classification" and "widget" not in data
    assert data["metrics"] == ["ccc", "mae"] and "regression" in data["tags"]
    assert "transformers.js" not in data["tags"]
    value = run.evaluation["official"]["ccc"]
    assert f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" in text


@pytest.mark.slow
def test_every_client_gives_the_scores_of_the_run(staged: Path) -> None:
    assert "largest difference, as a share of the range of a score" in (staged / "README.md").read_text()
    parity = json.loads((staged / "parity.json").read_text())
    asked = {name for name, client in parity["clients"].items() if "skipped" not in client}
    assert {"pipeline()", "AutoModel", "onnxruntime", "onnxruntime, with preprocessing", "the app"} <= asked
    assert parity["answers"] == "score"
    skipped = parity["clients"]["transformers.js"]["skipped"]
    assert skipped == "transformers.js makes probabilities of scores" or "node" in skipped
    export = json.loads((staged / "onnx" / "export.json").read_text())
    assert {file["file"] for file in export["files"]} >= {"model.onnx", "model_with_preprocessing.onnx"}
    graph = onnx.load(staged / "onnx" / "model_with_preprocessing.onnx").graph
    assert [output.name for output in graph.output] == ["answers"]


def test_the_app_answers_with_the_score(scored_run: Path, answer: float) -> None:
    with served(Settings(model=str(scored_run), threads=2)) as (url, _), httpx2.Client(trust_env=False) as http:
        picture = (scored_run / "examples" / "fear.png").read_bytes()
        (given,) = http.post(url, content=picture, headers={"Content-Type": "image/png"}).json()
        health = http.get(f"{url}/health").json()
    assert given["label"] == "intensity" and given["score"] == pytest.approx(answer, abs=1e-4)
    assert health["classes"] == ["intensity"]
    low, high = health["score_ranges"]["intensity"]
    assert 0 <= low < high <= 1


def test_predict_writes_numbers_and_names_no_class(
    scored_run: Path, answer: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(scored_run / "examples" / "fear.png")
    predict.main([str(scored_run), picture, "--csv", str(tmp_path / "rows.csv")])
    header, row = ((line.split(",")) for line in (tmp_path / "rows.csv").read_text().splitlines())
    cells = dict(zip(header, row, strict=True))
    assert cells["label"] == "" and float(cells["intensity"]) == pytest.approx(answer, abs=1e-4)
    capsys.readouterr()
    predict.main([str(scored_run), picture])
    assert f"intensity {answer:8.4g}" in capsys.readouterr().out


def test_a_damaged_range_is_not_believed_by_the_page(scored_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scored_run, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for ranges in ({"intensity": ["0", 1]}, [], {"intensity": [1, 1]}):
        (folder / "config.json").write_text(json.dumps(config | {"score_ranges": ranges}))
        assert load_model(str(folder)).ranges == {"intensity": [0, 1]}
    assert np.isfinite(load_model(str(folder)).run(np.zeros((1, 3, 32, 32), np.float32))).all()


def test_exported_files_give_scores(scored_run: Path, tmp_path: Path) -> None:
    faces = [draw_face("fear", seed=2026, index=index, size=224) for index in range(2)]
    formats = (fp32.FORMAT, preprocessed.FORMAT)
    report = export_onnx(load_run(scored_run), tmp_path, None, formats=formats, faces=faces)
    assert [file["file"] for file in report["files"]] == ["model.onnx", "model_with_preprocessing.onnx"]
    assert report["files"][0]["max_difference"] < 1e-4
    graph = onnx.load(tmp_path / "onnx" / "model_with_preprocessing.onnx").graph
    assert [output.name for output in graph.output] == ["answers"]


def test_a_difference_of_scores_is_a_share_of_their_range() -> None:
    config = {"problem_type": "regression", "id2label": {"0": "phq"}, "score_ranges": {"phq": [0, 24]}}
    reference = Reference("faces", Dataset.from_dict({"image": [0]}), np.array([[12.0]], np.float32), config=config)
    found = compare(np.array([[13.2]], np.float32), reference)
    assert found["max_difference"] == pytest.approx(0.05) and found["accuracy"] is None
    with pytest.raises(InputError, match="a score differs by 0.05"):
        refuse_wrong(fp32.FORMAT, found, reference)
    assert "its scores differ by 0.05 of their range on average" in str(why_inaccurate(int8.FORMAT, found, reference))


def test_a_static_space_of_scores_is_refused_in_one_line(scored_run: Path) -> None:
    with pytest.raises(InputError, match="a static Space only with classes: add --space_kind docker"):
        space_parts(load_run(scored_run), Options(run=scored_run, repo_id="anna/scores", space="anna/demo"))


@pytest.mark.parametrize("command", ["evaluation", "publishing", "the app", "shift", "leaderboard", "against"])
def test_what_is_of_classes_only_refuses_scores_in_one_line(scored_run: Path, command: str) -> None:
    refused: dict[str, Callable[[], object]] = {
        "evaluation": lambda: expected_predictions(scored_run, "uniform", 1.0),
        "publishing": lambda: expected_shares(load_run(scored_run), "uniform", 1.0),
        "the app": lambda: settled(load_model(str(scored_run)), "", 1.0, 0.5, ("SHARES", "TAU", "NOT_SURE")),
        "shift": lambda: pictures_of(load_run(scored_run), None, "test"),
        "leaderboard": lambda: tables_of({"a": [scored_run], "b": [scored_run]}),
        "against": lambda: read_other(scored_run),
    }
    with pytest.raises(InputError, match="answers with scores|in a unit of their own|runs with classes|predicts"):
        refused[command]()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e["official"].pop("per_score"), "official, per_score is missing"),
        (lambda e: e["official"].pop("persons"), "official, persons is missing"),
        (lambda e: e["official"].update(per_score={"phq": {"constant_predictions": True}}), "scores of the run"),
        (lambda e: e["official"]["ccc"].update(high=1.5), "numbers from -1 to 1"),
        (lambda e: e.update(task="ranking"), "task is 'ranking'"),
        (lambda e: e.pop("task"), "classes"),
    ],
)  # fmt: skip
def test_the_card_refuses_broken_figures_of_scores(
    scored_run: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    run = load_run(scored_run)
    evaluation = deepcopy(run.evaluation)
    change(evaluation)
    with pytest.raises(InputError, match=said):
        make_card(replace(run, evaluation=evaluation), Publication("anna/scores"))
