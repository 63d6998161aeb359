"""The range that the card allows each metric: the worst model has figures too."""

import numpy as np
import pytest

from hub.card.checked import ENDS, SHARE
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.score_metrics import SCORE_METRICS, score_values
from pipeline.evaluation.values import metric_values, resampled_values

LABEL = np.arange(24) % 3


@pytest.mark.parametrize("right", [0, 4, 24])
def test_every_metric_of_classes_is_within_its_range_for_models_sure_of_the_wrong_class(right: int) -> None:
    chosen = np.where(np.arange(24) < right, LABEL, (LABEL + 1) % 3)
    logits, target = 40 * np.eye(3, dtype=np.float32)[chosen], np.eye(3, dtype=np.float32)[LABEL]
    values, samples = metric_values(logits, LABEL, target), resampled_values(logits, LABEL, target, 50, 0)
    for name in METRICS:
        low, high = ENDS.get(name, SHARE)
        each = np.append(samples[name], values[name])
        assert low - 1e-9 <= np.nanmin(each) and np.nanmax(each) <= high + 1e-9, name


def test_every_metric_of_scores_is_within_its_range_for_opposite_answers() -> None:
    scores = np.linspace(-1e6, 1e6, 20)[:, None]
    for predicted in (-scores, scores):
        for name, value in score_values(predicted, scores).items():
            low, high = ENDS.get(name, SHARE)
            assert low - 1e-9 <= value.min() and value.max() <= high + 1e-9, name
    assert {*ENDS} <= {*METRICS, *SCORE_METRICS}
