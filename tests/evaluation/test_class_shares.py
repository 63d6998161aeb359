"""`python -m pipeline.evaluation RUN --class_shares`: the figures of a run with scores for other class shares."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluation_of, main
from pipeline.evaluation.expected import expect, expected_predictions
from pipeline.evaluation.predictions import Expected, Predictions, read_predictions, write_expected
from tests.evaluation.test_evaluation import CLASSES, write_predictions
from tests.test_class_shares import RARE, TRAINED, planted


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of a model that knows the exact posterior, on test rows whose classes are otherwise frequent."""
    shares = RARE[:3] / RARE[:3].sum()
    logits, label = planted(RARE, 3_000)
    held = label < 3
    logits, label = logits[held][:, :3], label[held]
    n = len(label)
    rows = {
        "split": ["test"] * n, "source": ["made"] * n, "key": [str(i) for i in range(n)], "label": label.tolist(),
        "target": np.eye(3)[label].tolist(), "logits": logits.tolist(), "clean": [True] * n, "clean_near": [True] * n,
    }  # fmt: skip
    write_predictions(tmp_path / "predictions.parquet", rows)
    trained = TRAINED[:3] / TRAINED[:3].sum()
    config = {"class_shares": dict(zip(CLASSES, trained.tolist(), strict=True))}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "expected.json").write_text(json.dumps(dict(zip(CLASSES, shares.tolist(), strict=True))))
    return tmp_path


@pytest.mark.parametrize("asked", ["estimate", "typed"])
def test_the_right_shares_lower_nll_and_raise_balanced_accuracy(asked: str, run: Path) -> None:
    text = (run / "expected.json").read_text()
    before = evaluation_of(read_predictions(run / "predictions.parquet"))
    after = evaluation_of(expected_predictions(run, text if asked == "typed" else "estimate", 1.0))
    assert after["class_shares"]["expected"] == pytest.approx(json.loads(text), abs=0.03)
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
    table = read_predictions(run / "predictions.parquet")
    write_predictions(run / "predictions.parquet", only_of_class(table, 0))
    main([str(run), "--class_shares", "estimate"])
    assert "these shares are extreme (anger in 9" in capsys.readouterr().out
    main([str(run), "--class_shares", '{"anger": 0.98, "disgust": 0.01, "fear": 0.01}'])
    assert "extreme" not in capsys.readouterr().out, "what a person typed is not doubted"


@pytest.mark.parametrize("targets", ["votes", "labels"])
def test_an_estimate_from_shares_of_votes_is_doubted(
    targets: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "predictions.parquet"
    rows = only_of_class(read_predictions(path), 0)
    write_predictions(path, rows, calibration={"rows": 100, "targets": targets, "temperature": 1.0})
    main([str(run), "--class_shares", "estimate"])
    assert ("leans to rare classes" in capsys.readouterr().out) == (targets == "votes")
    main([str(run), "--class_shares", "uniform"])
    assert "leans to rare classes" not in capsys.readouterr().out


def only_of_class(table: Predictions, wanted: int) -> dict:
    held = table.label == wanted
    n = int(held.sum())
    return {
        "split": ["test"] * n, "source": ["made"] * n, "key": table.key[held].tolist(),
        "label": table.label[held].tolist(), "target": table.target[held].tolist(),
        "logits": (3 * table.logits[held]).tolist(), "clean": [True] * n, "clean_near": [True] * n,
    }  # fmt: skip
