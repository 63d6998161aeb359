"""`python -m pipeline.evaluation RUN --class_shares`: the figures of a run with scores for other class shares."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.errors import InputError
from pipeline.evaluation.estimated import LabelledScores
from pipeline.evaluation.evaluate import evaluation_of, main
from pipeline.evaluation.expected import expect, expected_predictions
from pipeline.evaluation.per_row import probabilities
from pipeline.evaluation.predictions import Expected, read_predictions, write_expected
from pipeline.expressions import CLASSES as SEVEN
from tests.evaluation.test_evaluation import CLASSES, write_predictions
from tests.test_class_shares import RARE, TRAINED, planted


def rows_of(shares: NDArray, split: str, n: int, seed: int = 0) -> dict:
    """Rows of a model that knows the exact posterior for its own shares, of three classes in these `shares`."""
    logits, label = planted(shares, n, seed)
    held = label < 3
    logits, label = logits[held][:, :3], label[held]
    n = len(label)
    return {
        "split": [split] * n, "source": ["made"] * n, "key": [f"{split}{i}" for i in range(n)],
        "label": label.tolist(), "target": np.eye(3)[label].tolist(), "logits": logits.tolist(),
        "clean": [True] * n, "clean_near": [True] * n,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with validation rows like its training, and test rows whose classes are otherwise frequent."""
    shares = RARE[:3] / RARE[:3].sum()
    write_predictions(
        tmp_path / "predictions.parquet", rows_of(TRAINED, "validation", 6_000, 1), rows_of(RARE, "test", 3_000)
    )
    trained = TRAINED[:3] / TRAINED[:3].sum()
    config = {"class_shares": dict(zip(CLASSES, trained.tolist(), strict=True))}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "expected.json").write_text(json.dumps(dict(zip(CLASSES, shares.tolist(), strict=True))))
    return tmp_path


@pytest.mark.parametrize("asked", ["estimate", "typed"])
def test_the_right_shares_lower_nll_and_raise_balanced_accuracy(asked: str, run: Path) -> None:
    text = (run / "expected.json").read_text()
    before = evaluation_of(read_predictions(run / "predictions.parquet"))
    after = evaluation_of(expected_predictions(run, text if asked == "typed" else "estimate", 1.0)[0])
    assert after["class_shares"]["expected"] == pytest.approx(json.loads(text), abs=0.05)
    assert after["official"]["nll"]["value"] < before["official"]["nll"]["value"] - 0.02
    gain = after["official"]["balanced_accuracy"]["value"] - before["official"]["balanced_accuracy"]["value"]
    assert gain > 0.01
    assert "class_shares" not in before


def test_the_command_prints_the_figures_and_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {p.name: p.read_bytes() for p in run.iterdir()}
    main([str(run), "--class_shares", "uniform", "--tau", "0.5"])
    printed = capsys.readouterr().out
    assert "class shares anger 0.333, disgust 0.333, fear 0.333, tau 0.5; nothing was written" in printed
    assert {p.name: p.read_bytes() for p in run.iterdir()} == files


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--class_shares", "uniform", "--tau", "0"], "--tau is 0"),
        (["--tau", "0.5"], "give both, or neither"),
        (["--class_shares", '{"anger": 1}'], "no share is given for disgust, fear"),
    ],
)
def test_wrong_shares_are_refused(words: list[str], why: str, run: Path) -> None:
    with pytest.raises(InputError, match=why):
        main([str(run), *words])


def test_written_predictions_are_the_shifted_ones_and_evaluate_alike(run: Path) -> None:
    path = run / "predictions.parquet"
    shares = Expected(np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3]), 0.75)
    shifted = expect(read_predictions(path), shares)
    write_expected(path, shares)
    again = read_predictions(path)
    assert np.array_equal(again.logits, shifted.logits)
    assert again.class_shares is not None and again.class_shares.as_json(CLASSES) == shares.as_json(CLASSES)
    assert evaluation_of(again)["official"] == evaluation_of(shifted)["official"]


def test_an_extreme_estimate_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(run), "--class_shares", "estimate"])
    assert "extreme" not in capsys.readouterr().out
    one = np.eye(7)[0] * 0.98 + np.eye(7)[1] * 0.01 + np.eye(7)[2] * 0.01
    write_predictions(run / "predictions.parquet", rows_of(TRAINED, "validation", 6_000, 1), rows_of(one, "test", 400))
    main([str(run), "--class_shares", "estimate"])
    assert "these shares are extreme (anger in 9" in capsys.readouterr().out
    main([str(run), "--class_shares", '{"anger": 0.98, "disgust": 0.01, "fear": 0.01}'])
    assert "extreme" not in capsys.readouterr().out, "what a person typed is not doubted"


def test_scores_that_are_less_sure_than_chances_of_a_label_estimate_the_planted_shares() -> None:
    """As a model of votes: its scores are flatter than the chances of a label, and more so for one class."""
    (own, label), (seen, _) = planted(TRAINED, 3_000), planted(RARE, 3_000, 1)
    flatter = np.array([0.3, 0, 0, 0, 0, 0, -0.3])
    found = LabelledScores(own / 2 + flatter, label.astype(np.int32)).estimate(seen / 2 + flatter)
    assert np.abs(found.shares - RARE).max() < 0.03
    assert np.abs(class_shares.estimate(probabilities(seen / 2 + flatter), TRAINED) - RARE).max() > 0.1
    assert (found.low <= RARE).sum() + (found.high >= RARE).sum() >= 13 and found.doubt(list(SEVEN)) == ""


def test_shares_that_few_rows_do_not_determine_are_named() -> None:
    (own, label), (seen, _) = planted(TRAINED, 400), planted(RARE, 200, 1)
    said = LabelledScores(own, label.astype(np.int32)).estimate(seen).doubt(list(SEVEN))
    assert "too few rows to know these shares to within 0.05: " in said and "disgust 0." in said and "\n" not in said


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([rows_of(TRAINED, "test", 500)], "at least 10 validation rows of each class; .* has anger 0, disgust 0"),
        ([rows_of(TRAINED, "validation", 100), rows_of(RARE, "test", 500)], r"has disgust \d, fear \d: give uniform"),
        ([rows_of(TRAINED, "validation", 900)], "other rows than the validation rows .* with python -m hub.predict"),
    ],
)
def test_rows_that_shares_cannot_be_estimated_from_are_refused(parts: list[dict], why: str, run: Path) -> None:
    write_predictions(run / "predictions.parquet", *parts)
    with pytest.raises(InputError, match=why):
        main([str(run), "--class_shares", "estimate"])
