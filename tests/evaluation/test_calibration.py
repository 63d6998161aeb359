"""The temperature that a run folds into its model: planted ones are found, and rows that determine none are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.evaluation.calibration import NotCalibrated, fit_temperature
from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.evaluation.metrics import ECE
from pipeline.evaluation.per_row import cross_entropy
from tests.evaluation.test_evaluation import write_predictions


def planted(n: int, classes: int = 7, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Logits (N, K) whose softmax is the true posterior, and labels drawn from it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes))
    return logits, (softmax(logits, axis=1).cumsum(1) > random.random((n, 1))).argmax(1)


@pytest.mark.parametrize("planted_temperature", [0.4, 1.0, 2.5])
def test_a_planted_temperature_is_found(planted_temperature: float) -> None:
    logits, label = planted(20_000)
    found = fit_temperature(logits * planted_temperature, np.eye(7)[label])
    assert found == pytest.approx(planted_temperature, rel=0.03)


def test_calibration_lowers_nll_and_ece_and_changes_no_answer() -> None:
    logits, label = planted(4_000)
    trained = (3 * logits).astype(np.float32)
    calibrated = trained / np.float32(fit_temperature(trained, np.eye(7)[label]))
    other, other_label = planted(4_000, seed=1)
    assert (calibrated.argmax(1) == trained.argmax(1)).all()
    for scores, labels in ((logits, label), (other, other_label)):
        before, after = 3 * scores, scores * float(calibrated[0, 0] / logits[0, 0])
        assert cross_entropy(after, np.eye(7)[labels]).mean() < cross_entropy(before, np.eye(7)[labels]).mean() - 0.2
        assert ECE().of(after, labels)["ece"] < 0.03 < 0.1 < ECE().of(before, labels)["ece"]


def test_votes_and_labels_are_different_targets() -> None:
    random = np.random.default_rng(0)
    votes = random.dirichlet([2.0] * 7, 2_000)
    assert fit_temperature(np.log(votes), votes) == pytest.approx(1, abs=1e-6), "the scores are exactly the votes"
    logits = np.log(votes) + random.normal(0, 0.5, votes.shape)
    of_label = fit_temperature(logits, np.eye(7)[votes.argmax(1)])
    assert of_label < 0.5 < 1 < fit_temperature(logits, votes), "the label is surer than a voter"


def perfect(n: int) -> tuple[NDArray, NDArray]:
    label = np.arange(n) % 7
    return 3.0 * np.eye(7)[label], label


def one_class(n: int) -> tuple[NDArray, NDArray]:
    logits, _ = planted(n)
    return logits, np.full(n, 2)


def against(n: int) -> tuple[NDArray, NDArray]:
    logits, label = perfect(n)
    return -logits, label


def constant(n: int) -> tuple[NDArray, NDArray]:
    return np.ones((n, 7)), np.arange(n) % 7


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (planted(0), "has 0 rows"),
        (planted(1), "has 1 rows"),
        (planted(29), "has 29 rows, and a temperature needs at least 30"),
        (one_class(100), "one class"),
        (perfect(100), "fit too well"),
        (against(100), "say too little"),
        (constant(100), "(fit too well|say too little)"),
    ],
)
def test_rows_that_determine_no_temperature_are_named(rows: tuple[NDArray, NDArray], why: str) -> None:
    logits, label = rows
    with pytest.raises(NotCalibrated, match=why):
        fit_temperature(logits, np.eye(7)[label])


def columns(logits: NDArray, label: NDArray) -> dict:
    n = len(label)
    return {
        "split": ["validation"] * n,
        "source": ["made"] * n,
        "key": [str(i) for i in range(n)],
        "label": label.tolist(),
        "target": np.eye(3)[label].tolist(),
        "logits": logits.tolist(),
        "clean": [True] * n,
        "clean_near": [None] * n,
    }


def test_evaluation_has_figures_before_and_after_with_intervals(tmp_path: Path) -> None:
    logits, label = planted(600, 3)
    trained = logits * 3
    temperature = fit_temperature(trained, np.eye(3)[label])
    before = evaluate_predictions(write_predictions(tmp_path / "before.parquet", columns(trained, label)))
    done = {"rows": 600, "targets": "votes", "temperature": temperature}
    path = write_predictions(tmp_path / "after.parquet", columns(trained / temperature, label), calibration=done)
    after = evaluate_predictions(path)
    reported = after["calibration"]
    assert {name: reported[name] for name in done} == done and "calibration" not in before
    for name in ("nll", "ece"):
        assert reported["before"][name] == pytest.approx(before["validation"][name], abs=1e-5)
        assert reported["after"][name]["value"] == pytest.approx(after["validation"][name]["value"], abs=0.02)
        for value in (reported["before"][name], reported["after"][name]):
            assert value["low"] <= value["value"] <= value["high"]
    seen_in_fit = after["validation"]["nll"]["value"]
    assert reported["after"]["nll"]["value"] > seen_in_fit, "cross-fitted: no row is scored by a temperature it chose"
    assert after["validation"]["accuracy"] == before["validation"]["accuracy"]


def test_a_skipped_calibration_says_why(tmp_path: Path) -> None:
    done = {"rows": 12, "targets": "votes", "skipped": "validation has 12 rows"}
    path = write_predictions(tmp_path / "p.parquet", columns(*planted(12, 3)), calibration=done)
    assert evaluate_predictions(path)["calibration"] == done
    json.dumps(done)
