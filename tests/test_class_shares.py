"""Scores for other class shares than those of training: planted shares come back, and figures follow."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.errors import InputError
from pipeline.evaluation.metrics import BalancedAccuracy
from pipeline.evaluation.per_row import cross_entropy, probabilities
from pipeline.expressions import CLASSES

TRAINED = np.array([0.10, 0.02, 0.04, 0.30, 0.34, 0.12, 0.08])
RARE = np.array([0.20, 0.22, 0.16, 0.06, 0.10, 0.12, 0.14])


def planted(shares: NDArray, n: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Pictures of Gaussian classes in these shares: logits of the exact posterior for `TRAINED`, and labels."""
    random = np.random.default_rng(seed)
    label = random.choice(7, n, p=shares)
    pictures = 2.2 * np.eye(7)[label] + random.normal(size=(n, 7))
    return 2.2 * pictures + np.log(TRAINED), label


@pytest.mark.parametrize("shares", [RARE, TRAINED, np.full(7, 1 / 7)])
def test_em_recovers_planted_shares_without_labels(shares: NDArray) -> None:
    logits, _ = planted(shares, 8_000)
    found = class_shares.estimate(probabilities(logits), TRAINED)
    assert np.abs(found - shares).max() < 0.015
    assert found.sum() == pytest.approx(1)


def test_the_planted_shares_lower_nll_and_raise_balanced_accuracy() -> None:
    logits, label = planted(RARE, 4_000)
    for expected in (RARE, class_shares.estimate(probabilities(logits), TRAINED)):
        shifted = logits + class_shares.log_ratios(expected, TRAINED, 1.0)
        nll = [cross_entropy(each, np.eye(7)[label]).mean() for each in (logits, shifted)]
        balanced = [BalancedAccuracy().of(each, label)["balanced_accuracy"] for each in (logits, shifted)]
        assert nll[1] < nll[0] - 0.1 and balanced[1] > balanced[0] + 0.03
        accuracy = [(each.argmax(1) == label).mean() for each in (logits, shifted)]
        assert accuracy[1] > accuracy[0] + 0.03


def test_uniform_shares_raise_balanced_accuracy_more_with_more_tau() -> None:
    logits, label = planted(TRAINED, 20_000)
    uniform = np.full(7, 1 / 7)
    found = [
        BalancedAccuracy().of(logits + class_shares.log_ratios(uniform, TRAINED, tau), label)["balanced_accuracy"]
        for tau in (1e-9, 0.5, 1.0)
    ]
    assert found[0] + 0.02 < found[1] < found[2] - 0.005


def test_scores_are_multiplied_by_the_ratio_of_shares() -> None:
    logits, _ = planted(TRAINED, 50)
    expected = probabilities(logits) * (RARE / TRAINED) ** 0.5
    shifted = probabilities(logits + class_shares.log_ratios(RARE, TRAINED, 0.5))
    assert shifted == pytest.approx(expected / expected.sum(1, keepdims=True))


def test_two_steps_to_the_same_shares_are_one() -> None:
    half = class_shares.shares_after(RARE, TRAINED, 0.5)
    both = class_shares.log_ratios(RARE, TRAINED, 0.5) + class_shares.log_ratios(RARE, half, 1.0)
    assert both == pytest.approx(class_shares.log_ratios(RARE, TRAINED, 1.0))
    assert class_shares.shares_after(RARE, TRAINED, 1.0) == pytest.approx(RARE)


def test_a_class_that_no_picture_shows_keeps_a_share() -> None:
    sure = np.full((100, 7), 1e-9)
    sure[:, 3] = 1
    found = class_shares.estimate(sure / sure.sum(1, keepdims=True), TRAINED)
    assert found.min() >= 0.9 * class_shares.LEAST_SHARE and found[3] > 0.999


@pytest.mark.parametrize("faces", [0, 1, 29])
def test_few_faces_estimate_no_shares(faces: int) -> None:
    with pytest.raises(InputError, match=f"at least 30 faces; there are {faces}$"):
        class_shares.estimate(np.full((faces, 7), 1 / 7), TRAINED)


def typed(**changed: object) -> str:
    shares = dict(zip(CLASSES, TRAINED.tolist(), strict=True)) | changed
    return json.dumps({name: share for name, share in shares.items() if share is not None})


def test_shares_are_read_in_any_order_and_rounded_ones_are_mended() -> None:
    backwards = json.dumps(dict(reversed(list(json.loads(typed()).items()))))
    assert class_shares.parse(backwards, CLASSES) == pytest.approx(TRAINED)
    rounded = class_shares.parse(json.dumps(dict.fromkeys(CLASSES, 0.143)), CLASSES)
    assert rounded == pytest.approx(np.full(7, 1 / 7))
    assert class_shares.parse("uniform", CLASSES) == pytest.approx(np.full(7, 1 / 7))
    assert class_shares.parse("estimate", CLASSES) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (typed(anger=0.5), "the shares sum to 1.4, not to 1"),
        (typed(joy=0.1), "'joy' is not a class of this model; its classes are anger"),
        (typed(anger=None), "no share is given for anger; give one for each class"),
        (typed(anger=-0.1), "share of anger is -0.1; it must be a number above 0"),
        (typed(anger=0), "share of anger is 0; it must be a number above 0"),
        (typed(anger=2), "share of anger is 2; it must be a number above 0 and at most 1"),
        (typed(anger="0.1"), "share of anger is '0.1'; it must be a number"),
        (typed(anger=True), "share of anger is True; it must be a number"),
        (typed(anger=[0.1]), r"share of anger is \[0.1\]; it must be a number"),
        (typed(anger=float("nan")), "share of anger is nan; it must be a number"),
        (typed(anger=float("inf")), "share of anger is inf; it must be a number"),
        ('{"anger": 0.5, "anger": 0.5}', "'anger' is there twice"),
        ("{}", "no share is given for anger"),
        ("balanced", "is 'balanced'; give uniform, estimate, or JSON"),
        ("Uniform", "is 'Uniform'; give uniform"),
        ("[0.5, 0.5]", "give uniform, estimate, or JSON"),
        ("0.5", "give uniform, estimate, or JSON"),
        ("{anger: 0.1}", "give uniform, estimate, or JSON"),
        ("[" * 100_000, "give uniform, estimate, or JSON"),
    ],
)
def test_wrong_shares_are_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        class_shares.parse(text, CLASSES, "--class_shares")
    assert str(refused.value).startswith("--class_shares") and "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("tau", [0, -1, 1.01, float("nan"), float("inf")])
def test_a_tau_that_is_out_of_range_is_refused(tau: float) -> None:
    with pytest.raises(InputError, match="--tau is .* above 0"):
        class_shares.check_tau(tau, "--tau")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "runs/a: config.json has no class_shares"),
        ({"class_shares": "uniform"}, "has no class_shares"),
        ({"class_shares": dict(zip(CLASSES, [0.2, 0, 0.2, 0.2, 0.2, 0.1, 0.1], strict=True))}, "share of disgust is 0"),
    ],
)
def test_a_model_that_does_not_say_its_shares_is_refused(config: dict, why: str) -> None:
    with pytest.raises(InputError, match=why):
        class_shares.assumed(config, CLASSES, "runs/a")


def test_extreme_estimates_are_doubted_in_one_line() -> None:
    ordinary = np.array([0.1, 0.1, 0.1, 0.3, 0.2, 0.1, 0.1])
    assert class_shares.doubt(ordinary, CLASSES) == ""
    gone = class_shares.doubt(np.array([0.2, 1e-4, 1e-4, 0.3, 0.3, 0.1, 0.0998]), CLASSES)
    assert "disgust, fear almost never" in gone and "\n" not in gone
    one = class_shares.doubt(np.array([0.01, 0.01, 0.01, 0.94, 0.01, 0.01, 0.01]), CLASSES)
    assert "happiness in 94% of the pictures" in one and "almost never" not in one


def test_a_model_that_hardly_separates_the_classes_gives_an_estimate_to_doubt() -> None:
    random = np.random.default_rng(0)
    scores = probabilities(np.log(TRAINED) + random.normal(0, 0.05, (200, 7)))
    assert class_shares.doubt(class_shares.estimate(scores, TRAINED), CLASSES)
    logits, _ = planted(RARE, 2_000)
    assert not class_shares.doubt(class_shares.estimate(probabilities(logits), TRAINED), CLASSES)
