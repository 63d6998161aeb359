"""Screening at a cut against the definitions, its intervals over persons, and what the table says."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.evaluation.screening import screened
from pipeline.evaluation.tasks import format_table
from tests.evaluation.test_score_metrics import numbers, write


def persons(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    predicted, scores = numbers(n)
    return predicted[:, 0], scores[:, 0]


def test_every_figure_is_that_of_its_definition() -> None:
    predicted, scores = persons()
    found = screened(predicted, scores, np.arange(80), 3.0, 200, 0)
    positive = scores >= 3
    assert found["sensitivity"]["value"] == pytest.approx((predicted[positive] >= 3).mean())
    assert found["specificity"]["value"] == pytest.approx((predicted[~positive] < 3).mean())
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(positive, predicted))
    assert all(of["low"] < of["value"] < of["high"] for of in found.values())


def test_a_person_at_the_cut_is_positive() -> None:
    found = screened(np.array([10.0, 9.9, 10.1]), np.array([10.0, 9.0, 3.0]), np.arange(3), 10.0, 50, 0)
    assert found["sensitivity"]["value"] == 1 and found["specificity"]["value"] == 0.5


def test_persons_at_the_cut_are_counted_above_it(tmp_path: Path) -> None:
    scores = numbers(60)[1][:, 0].reshape(30, 2).mean(1, dtype=np.float64).astype(np.float32)
    cut = float(np.sort(scores)[15])
    file = write(tmp_path / "p.parquet", [i // 2 for i in range(60)], "person", k=1, screening_cut=cut)
    found = evaluate_predictions(file)["validation"]["screening"]
    assert (found["at_or_above"], found["below"]) == (15, 15)


def test_intervals_draw_whole_persons() -> None:
    predicted, scores = persons(20)
    fourfold = [np.repeat(each, 4) for each in (predicted, scores)]
    by_person = screened(*fourfold, np.repeat(np.arange(20), 4), 3.0, 400, 0)
    by_row = screened(*fourfold, np.arange(80), 3.0, 400, 0)
    once = screened(predicted, scores, np.arange(20), 3.0, 400, 0)
    for name in once:
        assert by_person[name] == pytest.approx(once[name])
        assert by_row[name]["high"] - by_row[name]["low"] < once[name]["high"] - once[name]["low"]


def test_nobody_missed_is_not_certainty_and_a_constant_is_chance() -> None:
    scores = np.array([12.0] * 5 + [3.0] * 9)
    found = screened(np.full(14, 6.6), scores, np.arange(14), 10.0, 200, 0)
    assert found["sensitivity"] == pytest.approx(
        {"value": 0, "low": 0, "high": binomtest(0, 5).proportion_ci(0.95).high}
    )
    assert found["specificity"]["value"] == 1 and found["specificity"]["low"] < 0.7
    assert found["auc"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_what_the_persons_do_not_define_is_left_out() -> None:
    assert screened(np.ones(4), np.zeros(4), np.arange(4), 10.0, 20, 0).keys() == {"specificity"}


def test_the_table_has_the_model_and_the_baselines(tmp_path: Path) -> None:
    person = [i // 2 for i in range(60)]
    evaluation = evaluate_predictions(write(tmp_path / "p.parquet", person, "person", k=1, screening_cut=3.0))
    predicted, scores = (each[:, 0].reshape(30, 2).mean(1) for each in numbers(60))
    found = evaluation["validation"]["screening"]["found"]
    for name, value in screened(predicted, scores, np.arange(30), 3.0, 200, 0).items():
        assert found["this model"][name] == pytest.approx(value), name
    table = format_table(evaluation)
    assert "validation, screening at 3: " in table and "sensitivity           specificity           AUC" in table
    lines = {line.split("  ")[0].strip(): line for line in table.splitlines()}
    assert "0.500 [0.500, 0.500]" in table and "this model" in lines
    assert "rows are persons: the mean over the pictures of each" in table
