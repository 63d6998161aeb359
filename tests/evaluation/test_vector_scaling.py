"""Vector scaling, which `tests.benchmarks.confidence` tries beside the temperature: planted factors are found."""

import numpy as np
import pytest

from tests.benchmarks.confidence import by_temperature, fit_vector
from tests.evaluation.test_calibration import planted


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
