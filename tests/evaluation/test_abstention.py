import numpy as np
import pytest

from pipeline.evaluation.abstention import risk_coverage, thresholds

LOGITS = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.55, 0.45]])
LABEL = np.array([0, 0, 0, 0, 1])  # the third and the last are wrong


def test_the_curve_adds_the_surest_rows_first() -> None:
    answered, wrong = risk_coverage(LOGITS, LABEL)
    assert answered.tolist() == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert wrong.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 5])


def test_a_threshold_answers_the_rows_that_it_says() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (400, 7))
    label = np.where(random.random(400) < 0.8, logits.argmax(1), 0)
    sure = np.exp(logits - logits.max(1, keepdims=True))
    sure = 1 / sure.sum(1)
    points = thresholds(logits, label)
    assert [point["answered"] for point in points] == [1.0, 0.95, 0.9, 0.8, 0.7, 0.5]
    for point in points:
        held = sure >= point["not_sure_below"] - 1e-12
        assert held.sum() == point["rows"]
        assert (logits.argmax(1) == label)[held].mean() == pytest.approx(point["accuracy"]["value"])
        assert point["accuracy"]["low"] < point["accuracy"]["value"] < point["accuracy"]["high"]


def test_equal_scores_are_answered_together() -> None:
    assert [point["rows"] for point in thresholds(np.tile([1.0, 0.0], (50, 1)), np.zeros(50, int))] == [50]
    assert [point["rows"] for point in thresholds(LOGITS[:1], LABEL[:1])] == [1]
