"""Expected class shares: scores of a model for pictures whose classes are otherwise frequent than in its training data.

A model answers with the class shares that it was trained with: where a third of the pictures was neutral, an unclear
face is neutral. `log_ratios` are added to the logits, so that a score becomes
`score * (expected / assumed) ** tau`, divided by the sum over the classes. With `tau` 1 this is Bayes' rule (Saerens,
Latinne and Decaestecker 2002); with uniform shares it is post-hoc logit adjustment (Menon et al. 2021,
arXiv:2007.07314). A smaller `tau` goes a part of the way.

The module needs only NumPy, because a Space carries a copy of it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError

FIELD = "class_shares"
"""Field of config.json: the share of each class that the scores assume."""
UNIFORM, ESTIMATE = "uniform", "estimate"
SUM_WITHIN = 0.005
"""Shares that people write down are rounded: their sum may be so far from 1. They are divided by it."""
LEAST_FACES = 30
LEAST_SHARE = 1e-4
"""No estimated share is smaller. A share of 0 would rule the class out for good."""
EXTREME = 0.9
"""An estimated share above it is named, because few folders have so much of one class."""
STEPS, STILL = 10_000, 1e-9

Shares = NDArray[np.float64]


def parse(text: str, classes: Sequence[str], name: str = "class_shares") -> Shares | None:
    """The expected shares `(K,)` that a person typed: `uniform`, or JSON with a share for each class.

    None for `estimate`. `name` is what the setting is called in errors.

    Raises:
        InputError: there are no classes; the text is neither of them; an unknown, repeated or missing class; a share
            that is not a number above 0; or shares that do not sum to 1.
    """
    if not classes:
        raise InputError(f"{name} is for models of classes, and this one answers with scores: leave it out")
    if text == ESTIMATE:
        return None
    if text == UNIFORM:
        return np.full(len(classes), 1 / len(classes))
    try:
        pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError):
        pairs = None
    if not (isinstance(pairs, list) and all(isinstance(pair, tuple) for pair in pairs)):
        example = json.dumps({each: round(1 / len(classes), 3) for each in classes[:2]})[:-1]
        raise InputError(f"{name} is {text[:80]!r}; give {UNIFORM}, {ESTIMATE}, or JSON such as '{example}, ...}}'")
    names = [str(each) for each, _ in pairs]
    if repeated := [each for each in names if names.count(each) > 1]:
        raise InputError(f"{name}: {repeated[0]!r} is there twice; give each class once")
    return from_mapping(dict(pairs), classes, name)


def from_mapping(shares: Mapping[str, Any], classes: Sequence[str], name: str) -> Shares:
    """Shares `(K,)` in the order of `classes`; they sum to 1.

    Raises:
        InputError: as `parse`.
    """
    for each, share in shares.items():
        if each not in classes:
            raise InputError(f"{name}: {each!r} is not a class of this model; its classes are {', '.join(classes)}")
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 < share <= 1:
            raise InputError(f"{name}: the share of {each} is {share!r}; it must be a number above 0 and at most 1")
    if missing := [each for each in classes if each not in shares]:
        raise InputError(f"{name}: no share is given for {', '.join(missing)}; give one for each class")
    found = np.array([float(shares[each]) for each in classes])
    if abs(found.sum() - 1) > SUM_WITHIN:
        raise InputError(f"{name}: the shares sum to {found.sum():.4g}, not to 1")
    return found / found.sum()


def assumed(config: Mapping[str, Any], classes: Sequence[str], name: str) -> Shares:
    """The shares `(K,)` that the scores of a model assume, from its config.json; `name` says whose it is.

    Raises:
        InputError: it does not say them, or a class had no rows in training.
    """
    shares = config.get(FIELD)
    if not isinstance(shares, dict):
        raise InputError(f"{name}: config.json has no {FIELD}, the shares of its training data: leave class shares out")
    return from_mapping(shares, classes, f"{name}: config.json: {FIELD}")


def check_tau(tau: float, name: str = "tau") -> None:
    """Refuse what is not above 0 and at most 1.

    Raises:
        InputError: `name` says what the setting is called.
    """
    if not 0 < tau <= 1:
        raise InputError(f"{name} is {tau:g}; it must be above 0 (as trained) and at most 1 (the expected shares)")


def log_ratios(expected: Shares, before: Shares, tau: float) -> Shares:
    """What is added to the logits `(K,)`: `tau * log(expected / before)`, with mean 0."""
    ratios = tau * (np.log(expected) - np.log(before))
    centred: Shares = ratios - ratios.mean()
    return centred


def shares_after(expected: Shares, before: Shares, tau: float) -> Shares:
    """The shares `(K,)` that scores assume once `log_ratios` are added: `expected` for a `tau` of 1."""
    mixed = np.exp(np.log(before) + log_ratios(expected, before, tau))
    after: Shares = mixed / mixed.sum()
    return after


def estimate(scores: ArrayLike, before: Shares) -> Shares:
    """The class shares `(K,)` of unlabelled pictures, from their scores `(N, K)`, by EM (Saerens et al. 2002).

    The likelihood has one maximum. It is right if scores are calibrated, and if a class looks the same in both data.

    Raises:
        InputError: fewer than `LEAST_FACES` pictures.
    """
    ratios = np.asarray(scores, dtype=np.float64) / before
    if len(ratios) < LEAST_FACES:
        raise InputError(f"class shares are estimated from at least {LEAST_FACES} faces; there are {len(ratios)}")
    shares = before
    for _ in range(STEPS):
        joint = shares * ratios
        new: Shares = (joint / joint.sum(1, keepdims=True)).mean(0)
        moved, shares = np.abs(new - shares).max(), new
        if moved < STILL:
            break
    shares = shares.clip(LEAST_SHARE)
    found: Shares = shares / shares.sum()
    return found


def doubt(shares: Shares, classes: Sequence[str]) -> str:
    """Why to doubt estimated shares `(K,)`, in one line; "" if they are not extreme.

    A model that hardly separates the classes gets such shares, and so do pictures that really have one class only.
    """
    least, most = LEAST_SHARE * 1.01, int(np.argmax(shares))
    gone = [name for name, share in zip(classes, shares, strict=True) if share <= least]
    found = [f"{', '.join(gone)} almost never"] if gone else []
    if shares[most] > EXTREME:
        found.insert(0, f"{classes[most]} in {shares[most]:.0%} of the pictures")
    if not found:
        return ""
    return (
        f"these shares are extreme ({'; '.join(found)}), and so are the scores then: look at some pictures, and give "
        "shares that you know if they are not so"
    )


def as_json(shares: Shares, classes: Sequence[str]) -> dict[str, float]:
    """Shares by class, as config.json holds them and as `parse` reads them."""
    return {name: float(share) for name, share in zip(classes, shares, strict=True)}
