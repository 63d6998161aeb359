"""Vector scaling: planted factors are found, and figures are those of the logits as trained and of the scaled ones."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.calibration import NotCalibrated, by_temperature, fit_vector
from pipeline.evaluation.evaluate import evaluate_predictions
from tests.evaluation.test_calibration import columns, planted
from tests.evaluation.test_evaluation import write_predictions


def test_planted_factors_and_summands_are_found() -> None:
    logits, label = planted(20_000)
    factor, summand = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 0.7]), np.array([0.5, -0.5, 0, 1.0, -1.0, 0.2, -0.2])
    found = fit_vector((logits - summand) / factor, np.eye(7)[label])
    assert found[0] == pytest.approx(factor, rel=0.1)
    assert found[1] - found[1].mean() == pytest.approx(summand - summand.mean(), abs=0.15)


def test_one_factor_for_all_classes_is_the_temperature() -> None:
    logits, label = planted(2_000)
    factor, summand = by_temperature(logits * 2, np.eye(7)[label])
    assert factor == pytest.approx(np.full(7, 0.5), rel=0.1) and not summand.any()


def test_rows_that_determine_no_factors_are_named() -> None:
    logits, label = planted(300)
    with pytest.raises(NotCalibrated, match="a class has no validation row"):
        fit_vector(logits, np.eye(7)[np.where(label == 3, 2, label)])
    logits[:, 4] *= -1  # says the opposite
    with pytest.raises(NotCalibrated, match="do not determine vector scaling: its factors run from -.*--calibration"):
        fit_vector(logits, np.eye(7)[label])


def test_evaluation_has_figures_of_vector_scaling(tmp_path: Path) -> None:
    logits, label = planted(900, 3)
    trained = logits * [3, 2, 2] + [1, 0, -1]
    scaling = fit_vector(trained, np.eye(3)[label])
    before = evaluate_predictions(write_predictions(tmp_path / "before.parquet", columns(trained, label)))
    numbers = {"factors": scaling.factor.tolist(), "summands": scaling.summand.tolist()}
    done = {"rows": 900, "targets": "votes", **numbers}
    path = write_predictions(tmp_path / "after.parquet", columns(scaling.of(trained), label), calibration=done)
    after = evaluate_predictions(path)
    reported = after["calibration"]
    assert {name: reported[name] for name in done} == done
    for name in ("nll", "ece"):
        assert reported["before"][name] == pytest.approx(before["validation"][name], abs=1e-4)
        assert reported["after"][name]["value"] == pytest.approx(after["validation"][name]["value"], abs=0.02)
    assert reported["after"]["nll"]["value"] < reported["before"]["nll"]["value"] - 0.1
