"""Names of a model's classes, and its scores, become the seven."""

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from pipeline.studies.any_model.classes import FLOOR, match, to_logits

ROWS = [f"row {n}" for n in range(4)]
EIGHT = ["Neutral", "happy", "surprised", "sad", "Angry", "disgusted", "fearful", "Contempt"]


def matched(*names: str):
    return match(names, CLASSES, "model M", "cure")


def scores(columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (4, columns)).astype(np.float32)


def test_names_of_others_are_found_in_any_order_and_contempt_is_dropped_and_said() -> None:
    found = matched(*EIGHT)
    assert found.column == [4, 5, 6, 1, 0, 3, 2]
    assert found.dropped == ["Contempt"] and found.missing == [] and found.names["Contempt"] is None
    assert any("Contempt dropped" in line for line in found.lines())


def test_the_seven_themselves_need_no_word() -> None:
    assert matched(*CLASSES).lines() == []


def test_logits_of_the_seven_stay_bit_for_bit() -> None:
    raw = scores(7)
    assert np.array_equal(to_logits(raw, "logits", matched(*CLASSES), ROWS, "M").logits, raw)


def test_dropping_a_class_scales_the_others_to_1_alike_for_logits_and_probabilities() -> None:
    raw, found = scores(8), matched(*EIGHT)
    left = softmax(raw.astype(float), axis=1)[:, :7]
    expected = (left / left.sum(1, keepdims=True))[:, found.column]
    of_logits = to_logits(raw, "logits", found, ROWS, "M").logits
    of_shares = to_logits(softmax(raw.astype(float), axis=1), "probabilities", found, ROWS, "M").logits
    np.testing.assert_allclose(softmax(of_logits.astype(float), axis=1), expected, atol=1e-6)
    np.testing.assert_allclose(softmax(of_shares.astype(float), axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_class_that_the_model_lacks_is_never_its_answer_and_has_a_finite_cost(kind: str) -> None:
    found = matched("happy", "sad", "neutral")
    raw = scores(3) if kind == "logits" else softmax(scores(3).astype(float), axis=1)
    logits = to_logits(raw, kind, found, ROWS, "M").logits
    shares = softmax(logits.astype(float), axis=1)
    anger = CLASSES.index("anger")
    assert found.missing == ["anger", "disgust", "fear", "surprise"]
    np.testing.assert_allclose(shares[:, anger], FLOOR, rtol=1e-2)
    assert set(logits.argmax(1)) <= {CLASSES.index(name) for name in ("happiness", "sadness", "neutral")}
    assert any("the model has no anger, disgust, fear, surprise" in line for line in found.lines())


def test_a_row_whose_whole_score_is_on_a_dropped_class_is_counted() -> None:
    raw = np.full((4, 8), 0.125)
    raw[2] = [0] * 7 + [1]
    scored = to_logits(raw, "probabilities", matched(*EIGHT), ROWS, "M")
    assert scored.outside == [2] and "1 rows have all of their score on dropped classes" in scored.lines()[0]
    assert np.isfinite(scored.logits).all() and len(set(scored.logits[2])) == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["LABEL_0", "happy"], "'LABEL_0' is none of anger"),
        (["happy", "joy", "sad"], "'happy' and 'joy' are both happiness"),
        (["happiness", "Happiness"], "are both happiness"),
        (["contempt", "none"], "fewer than two"),
        (["happy"], "fewer than two"),
        ([], "fewer than two"),
        (["happy", ""], "'' is none of"),
        (["happy", "label"], "'label' is none of"),
    ],
)
def test_names_that_cannot_be_matched_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        matched(*names)
    assert str(refused.value).startswith("model M") and "cure" in str(refused.value)


@pytest.mark.parametrize(
    ("place", "value", "kind", "message"),
    [
        ((1, 2), np.nan, "logits", "row 1 has a score that is not a finite number"),
        ((3, 0), np.inf, "probabilities", "row 3 has a score that is not a finite number"),
        ((2, 0), 0.5, "probabilities", "row 2 sum to 1.357"),
        ((0, 0), -0.1, "probabilities", "the least is -0.1"),
    ],
)
def test_scores_that_cannot_be_scores_are_refused(place: tuple, value: float, kind: str, message: str) -> None:
    raw = np.full((4, 7), 1 / 7)
    raw[place] = value
    with pytest.raises(InputError, match=message):
        to_logits(raw, kind, matched(*CLASSES), ROWS, "M")


def test_percent_is_not_taken_for_probabilities() -> None:
    with pytest.raises(InputError, match="sum to 100"):
        to_logits(np.full((4, 7), 100 / 7), "probabilities", matched(*CLASSES), ROWS, "M")


def test_probabilities_that_were_rounded_are_taken() -> None:
    rounded = np.round(softmax(scores(7).astype(float), axis=1), 3)
    logits = to_logits(rounded, "probabilities", matched(*CLASSES), ROWS, "M").logits
    assert np.array_equal(logits.argmax(1), rounded.argmax(1))
