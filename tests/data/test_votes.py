"""The label rules of FER+ on single rows; the counts on all its rows are in test_curation.py."""

import numpy as np
import pytest

from pipeline.data.votes import apply_label_rule, check_votes, one_hot
from pipeline.errors import InputError
from pipeline.expressions import CLASSES

# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face
SEVEN_TO_THREE = [3, 0, 0, 7, 0, 0, 0, 0, 0, 0]
SCATTERED_ONES = [1, 5, 1, 1, 1, 1, 0, 0, 0, 0]
EVEN_HALVES = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
UNDER_HALF = [4, 3, 3, 0, 0, 0, 0, 0, 0, 0]
CONTEMPT_WINS = [2, 0, 0, 0, 1, 0, 0, 7, 0, 0]
UNKNOWN_WINS = [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]


def label_of(row, rule="majority", classes=CLASSES, class_map=None):
    labels, targets, reasons = apply_label_rule(np.array([row]), rule, classes, class_map)
    return (classes[labels[0]] if labels[0] >= 0 else None), targets[0], reasons[0]


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        (SEVEN_TO_THREE, "sadness", ""),
        (SCATTERED_ONES, "happiness", ""),
        (EVEN_HALVES, None, "no majority"),
        (UNDER_HALF, None, "no majority"),
        (CONTEMPT_WINS, None, "contempt"),
        (UNKNOWN_WINS, None, "unknown"),
        (NO_FACE, None, "not a face"),
        ([1] * 10, None, "no majority"),
    ],
)
def test_majority_needs_more_than_half_of_the_votes_without_single_ones(row, name, reason):
    found, _, why = label_of(row)
    assert (found, why) == (name, reason)


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        (UNDER_HALF, "neutral", ""),
        (EVEN_HALVES, None, "tie"),
        (CONTEMPT_WINS, "neutral", ""),
        (UNKNOWN_WINS, "neutral", ""),
        (NO_FACE, None, "no vote for an expression"),
    ],
)
def test_plurality_is_the_single_highest_of_the_seven_expressions(row, name, reason):
    found, _, why = label_of(row, "plurality")
    assert (found, why) == (name, reason)


def test_targets_are_shares_of_the_raw_votes_over_the_classes():
    _, targets, _ = label_of([1, 6, 1, 0, 0, 0, 0, 1, 1, 0])
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, [0, 0, 0, 6 / 8, 1 / 8, 0, 1 / 8], atol=1e-7)


def test_a_winner_outside_a_subset_of_the_classes_drops_the_row_under_both_rules():
    for rule in ("majority", "plurality"):
        assert label_of(SEVEN_TO_THREE, rule, ("happiness", "neutral"))[::2] == (None, "sadness")


def test_contempt_can_be_the_eighth_class():
    name, targets, _ = label_of(CONTEMPT_WINS, classes=(*CLASSES, "contempt"))
    assert name == "contempt"
    assert targets[7] == pytest.approx(0.7)


def test_columns_mapped_to_one_class_are_added_up():
    shared = [0, 0, 0, 0, 3, 3, 0, 0, 4, 0]
    assert label_of(shared)[2] == "no majority"
    name, targets, _ = label_of(shared, class_map={"disgust": "anger"})
    assert name == "anger"
    assert targets[0] == 1


def test_an_expression_mapped_to_null_drops_the_rows_it_wins():
    assert label_of(SEVEN_TO_THREE, "plurality", class_map={"sadness": None})[2] == "sadness"


@pytest.mark.parametrize(
    "row", [[-1, 11] + [0] * 8, [0] * 10, [11] + [0] * 9, [3] + [0] * 9], ids=["negative", "none", "eleven", "three"]
)
def test_votes_that_cannot_be_are_refused_with_their_place(row):
    votes = np.array([SEVEN_TO_THREE, row])
    with pytest.raises(InputError, match=r"^train row 1: votes .* expected ten counts"):
        check_votes(votes, "train row {}".format)


def test_the_one_published_row_with_nine_votes_is_accepted():
    check_votes(np.array([[9] + [0] * 9]), "row {}".format)


def test_one_hot_of_a_dropped_row_is_empty():
    np.testing.assert_array_equal(one_hot(np.array([2, -1]), 3), [[0, 0, 1], [0, 0, 0]])


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match="majority or plurality"):
        label_of(SEVEN_TO_THREE, "median")
