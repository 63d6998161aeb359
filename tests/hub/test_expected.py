"""Scores for other class shares, and "not sure": the server over HTTP, `hub.predict`, and a published model."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline

from hub import predict
from hub.adjusted import adjusted, expected_shares
from hub.run import load_run
from hub.server.engine import load_model
from hub.server.expected import known_shares, settled
from hub.server.settings import Settings
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.run_folder import read_json, sha256, write_json
from push_to_hub import main as push
from push_to_hub import parse
from tests.evaluation.test_evaluation import write_predictions
from tests.hub.test_app import HTTP, encoded, folder, onnx_folder, photo, served  # noqa: F401
from tests.test_class_shares import planted

TRAINED = dict(zip(CLASSES, [0.10, 0.02, 0.04, 0.30, 0.34, 0.12, 0.08], strict=True))
RARE = dict(zip(CLASSES, [0.20, 0.22, 0.16, 0.06, 0.10, 0.12, 0.14], strict=True))
NAMES = ("--class_shares", "--tau", "--not_sure_below")


@pytest.fixture(scope="session")
def model(onnx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The model of the other tests, which says the class shares of its training."""
    path = shutil.copytree(onnx_folder, tmp_path_factory.mktemp("shares") / "model")
    write_json(path / "config.json", read_json(path / "config.json") | {"class_shares": TRAINED})
    logits, label = planted(np.array(list(TRAINED.values())), 2_000)
    n = len(label)
    rows = {
        "split": ["validation"] * n, "source": ["made"] * n, "key": [str(i) for i in range(n)],
        "label": label.tolist(), "target": np.eye(7)[label].tolist(), "logits": logits.tolist(),
        "clean": [True] * n, "clean_near": [True] * n,
    }  # fmt: skip
    write_predictions(path / "predictions.parquet", rows, classes=list(CLASSES))
    return path


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces")
    for number in range(35):
        draw_face(CLASSES[number % 7], 5, number, 48).save(path / f"{number:02d}.png")
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, float]]:
    """Scores by class of each face, as `hub.predict --json` prints them."""
    predict.main([*words, "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [{one["label"]: one["score"] for one in line["faces"][0]["scores"]} for line in lines]


def by_hand(scores: dict[str, float], shares: dict[str, float], tau: float) -> dict[str, float]:
    raised = {name: score * (shares[name] / TRAINED[name]) ** tau for name, score in scores.items()}
    return {name: score / sum(raised.values()) for name, score in raised.items()}


@pytest.mark.parametrize(("shares", "tau"), [(RARE, 1.0), (dict.fromkeys(CLASSES, 1 / 7), 0.5)])
def test_predict_answers_for_the_shares_that_are_typed(
    shares: dict[str, float], tau: float, model: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = asked(capsys, str(model), str(faces))
    shifted = asked(capsys, str(model), str(faces), "--class_shares", json.dumps(shares), "--tau", str(tau))
    for before, after in zip(plain, shifted, strict=True):
        assert after == pytest.approx(by_hand(before, shares, tau), abs=1e-5)
    assert shifted != plain


def test_estimated_shares_are_printed_and_can_be_typed_again(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict.main([str(model), str(faces), "--class_shares", "estimate", "--json"])
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "estimated" in line]
    assert line.startswith("class shares estimated from 35 faces: {")
    shares = json.loads(line.partition(": ")[2])
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    said = [line for line in printed.err.splitlines() if "too few rows to know these shares" in line]
    assert len(said) == 1, "35 faces determine no share"
    again = asked(capsys, str(model), str(faces), "--class_shares", line.partition(": ")[2])
    first = [json.loads(each)["faces"][0]["scores"] for each in printed.out.splitlines()]
    for mine, theirs in zip(again, first, strict=True):
        assert mine == pytest.approx({one["label"]: one["score"] for one in theirs}, abs=0.01)
    predict.main([str(model), str(faces), "--class_shares", "estimate", "--csv", str(tmp_path / "out.csv")])
    header, *rows = [row.split(",") for row in (tmp_path / "out.csv").read_text().splitlines()]
    for row, mine in zip(rows, again, strict=True):
        assert {n: float(row[header.index(n)]) for n in CLASSES} == pytest.approx(mine, abs=0.01)


def test_a_model_without_validation_rows_estimates_no_shares(model: Path, faces: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(model, tmp_path / "bare", ignore=shutil.ignore_patterns("predictions.parquet"))
    with pytest.raises(InputError, match="bare has no predictions.parquet: name the run folder"):
        predict.main([str(bare), str(faces), "--class_shares", "estimate"])


def test_predict_is_not_sure_below_the_threshold(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = [max(scores.values()) for scores in asked(capsys, str(model), str(faces))]
    below = float(np.median(best))
    words = [str(model), str(faces), "--not_sure_below", str(below)]
    predict.main(words)
    shown = ["not sure" in line for line in capsys.readouterr().out.splitlines()]
    predict.main([*words, "--json"])
    sure = [json.loads(line)["faces"][0]["sure"] for line in capsys.readouterr().out.splitlines()]
    predict.main([*words, "--csv", str(tmp_path / "out.csv")])
    labels = [line.split(",")[8] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    expected = [score < below for score in best]
    assert shown == expected == [not each for each in sure] == [label == "not sure" for label in labels]
    assert 0 < sum(expected) < 35


@pytest.fixture(scope="session")
def expecting(model: Path) -> Iterator[str]:
    """A server for `RARE` that is not sure below 0.6."""
    own = {"class_shares": json.dumps(RARE), "class_shares_tau": 0.5, "not_sure_below": 0.6}
    settings = Settings(model=str(model), threads=2, face_detector=os.environ.get("YUNET", ""), **own)
    with served(settings) as (url, _):
        yield url


def test_the_server_answers_for_its_shares_and_may_be_unsure(
    expecting: str, model: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = asked(capsys, str(model), str(faces))
    doubts = 0
    for path, before in zip(sorted(faces.iterdir()), plain, strict=True):
        body = {"inputs": encode(path), "parameters": {"top_k": 7}}
        answer = HTTP.post(expecting, json=body).json()
        best = max(by_hand(before, RARE, 0.5).values())
        if answer[0]["label"] == "not sure":
            doubts += 1
            assert best < 0.6 and answer.pop(0)["score"] == pytest.approx(1 - best, abs=1e-4)
        else:
            assert best >= 0.6
        assert {one["label"]: one["score"] for one in answer} == pytest.approx(by_hand(before, RARE, 0.5), abs=1e-4)
    assert 0 < doubts < 35
    health = HTTP.get(f"{expecting}/health").json()
    assert health["not_sure_below"] == 0.6 and sum(health["class_shares"].values()) == pytest.approx(1)
    assert health["assumed_shares"] == health["class_shares"], "the page counts classes evenly from here"


def encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.skipif("YUNET" not in os.environ, reason="YUNET names no file")
def test_each_face_of_a_photo_says_whether_its_answer_is_sure(expecting: str, photo: Image.Image) -> None:  # noqa: F811
    answer = HTTP.post(f"{expecting}/predict", files=[("files", ("two.png", encoded(photo)))]).json()
    found = answer["files"][0]["faces"]
    assert len(found) == 2
    for face in found:
        assert face["sure"] == (max(one["score"] for one in face["scores"]) >= 0.6)


@pytest.mark.parametrize(
    ("asked_for", "why"),
    [
        (("[1]", 1.0, 0.0), "--class_shares is '.1.'; give uniform"),
        (("estimate", 1.0, 0.0), "--class_shares is estimate; it needs the shares of your own pictures: estimate them"),
        (("uniform", 0.0, 0.0), "--tau is 0; it must be above 0"),
        (("", 0.5, 0.0), "--tau says how far scores go to --class_shares: give both"),
        (("", 1.0, 1.5), "--not_sure_below is 1.5; it must be a score from 0"),
        (("", 1.0, -0.1), "--not_sure_below is -0.1"),
        (("", 1.0, float("nan")), "--not_sure_below is nan"),
    ],
)
def test_wrong_settings_are_one_line(asked_for: tuple[str, float, float], why: str, model: Path) -> None:
    with pytest.raises(InputError, match=why):
        settled(load_model(str(model)), *asked_for, NAMES)


def test_models_that_shares_say_nothing_about_are_refused(onnx_folder: Path, model: Path) -> None:  # noqa: F811
    silent, own = load_model(str(onnx_folder)), load_model(str(model))
    with pytest.raises(InputError, match="config.json has no class_shares"):
        settled(silent, "uniform", 1.0, 0.0, NAMES)
    with pytest.raises(InputError, match="needs scores that sum to 1, and this model gives sigmoid"):
        settled(replace(own, function="sigmoid"), "uniform", 1.0, 0.0, NAMES)
    with pytest.raises(InputError, match="needs scores that sum to 1"):
        settled(replace(own, function="none"), "", 1.0, 0.5, NAMES)
    with pytest.raises(InputError, match="has a class 'not sure'"):
        settled(replace(own, classes=("not sure", *CLASSES[1:])), "", 1.0, 0.5, NAMES)
    assert settled(own, "", 1.0, 0.0, NAMES) is own, "the default is as trained"
    assert known_shares(silent) is None and known_shares(replace(own, function="sigmoid")) is None
    assert known_shares(own) == pytest.approx(TRAINED)


# ---- A published model


def test_a_copy_of_the_run_has_the_shares_in_its_bias_its_predictions_and_its_figures(
    publishable_run: Path, tmp_path: Path
) -> None:
    run = load_run(publishable_run)
    before = {p.name: sha256(p) for p in publishable_run.rglob("*") if p.is_file()}
    text = json.dumps(RARE)
    made = adjusted(run, expected_shares(run, text, 0.5), 0.5, tmp_path)
    assert {p.name: sha256(p) for p in publishable_run.rglob("*") if p.is_file()} == before
    assert made.path.name == run.path.name
    weights = [AutoModelForImageClassification.from_pretrained(each.path).state_dict() for each in (run, made)]
    changed = {name for name in weights[0] if not (weights[0][name] == weights[1][name]).all()}
    assert changed == {"classifier.bias"}
    trained = run.config["class_shares"]
    ratios = np.array([0.5 * np.log(RARE[name] / trained[name]) for name in CLASSES])
    moved = (weights[1]["classifier.bias"] - weights[0]["classifier.bias"]).numpy()
    assert moved == pytest.approx(ratios - ratios.mean(), abs=1e-5)
    assert sum(made.config["class_shares"].values()) == pytest.approx(1)
    assert made.config["class_shares"]["disgust"] > trained["disgust"]
    recorded = made.evaluation["class_shares"]
    assert recorded["expected"] == pytest.approx(RARE) and recorded["tau"] == 0.5
    assert recorded["assumed"] == pytest.approx(trained)
    assert made.evaluation["official"]["nll"] != run.evaluation["official"]["nll"]
    face = draw_face("fear", 1, 1, 32)
    plain, shifted = (
        {one["label"]: one["score"] for one in pipeline("image-classification", str(each.path), top_k=7)(face)}
        for each in (run, made)
    )
    raised = {name: plain[name] * (RARE[name] / trained[name]) ** 0.5 for name in CLASSES}
    assert shifted == pytest.approx({name: each / sum(raised.values()) for name, each in raised.items()}, abs=1e-4)


@pytest.mark.slow
def test_the_card_and_the_config_of_a_release_say_its_shares(publishable_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(publishable_run, tmp_path / "run")
    push([str(run), "--repo_id", "anna/faces", "--dry_run", "--class_shares", "uniform", "--tau", "0.5"])
    staged = tmp_path / "run-staged"
    card = (staged / "README.md").read_text(encoding="utf-8")
    assert "expect other class shares than the training data has" in card and "(tau 0.5)" in card
    assert read_json(staged / "config.json")["class_shares"] != read_json(run / "config.json")["class_shares"]
    assert read_json(staged / "evaluation.json")["class_shares"]["tau"] == 0.5
    plain = load_model(str(run))
    shifted = load_model(str(staged))
    pixels = plain.prepare(np.asarray(draw_face("anger", 1, 2, 64)))[None]
    trained = np.array([read_json(run / "config.json")["class_shares"][name] for name in CLASSES])
    apart = (shifted.run(pixels) - plain.run(pixels))[0] + 0.5 * np.log(trained)
    assert apart == pytest.approx(apart.mean(), abs=1e-4), "the exported file has them too"
    assert shifted.engine == "onnxruntime"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--class_shares", "estimate"), "estimate needs pictures: run `python -m hub.predict"),
        (("--class_shares", '{"anger": 1}'), "no share is given for disgust"),
        (("--class_shares", "uniform", "--tau", "1.5"), "--tau is 1.5"),
        (("--tau", "0.5"), "give both, or neither"),
    ],
)
def test_wrong_shares_of_a_release_are_refused(words: tuple[str, ...], why: str, publishable_run: Path) -> None:
    with pytest.raises(InputError, match=why):
        push([str(publishable_run), "--repo_id", "anna/faces", "--dry_run", *words])


def test_a_data_set_has_no_class_shares_to_set() -> None:
    with pytest.raises(InputError, match="--class_shares changes the scores of a model"):
        parse(["curated", "--dataset", "anna/faces", "--class_shares", "uniform"])
