"""Scores for other class shares than those of training, and answers that may be "not sure"."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.class_shares import Shares
from pipeline.errors import InputError

from .engine import Model
from .preprocessing import Pixels

NOT_SURE = "not sure"
NO_TARGET = (
    "the shares of your own pictures: estimate them with `python -m hub.predict MODEL FACES --class_shares estimate`, "
    "which prints them as JSON, and give that here"
)


def assumed_shares(model: Model) -> Shares:
    """The class shares `(K,)` that the model's scores assume.

    Raises:
        InputError: its config.json does not say them, or its scores do not sum to 1.
    """
    _refuse_other_scores(model, "class shares")
    return class_shares.assumed(model.config, model.classes, model.name)


def known_shares(model: Model) -> dict[str, float] | None:
    """The shares of `assumed_shares` by class; None for a model that does not say them."""
    try:
        return class_shares.as_json(assumed_shares(model), model.classes)
    except InputError:
        return None


def expect(model: Model, expected: Shares, tau: float) -> Model:
    """The same model with scores for the `expected` class shares `(K,)`; see `pipeline/class_shares.py`.

    Raises:
        InputError: as `assumed_shares`.
    """
    before, run = assumed_shares(model), model.run
    ratios = class_shares.log_ratios(expected, before, tau).astype(np.float32)

    def shifted(pixels: Pixels) -> Pixels:
        return run(pixels) + ratios

    now = class_shares.as_json(class_shares.shares_after(expected, before, tau), model.classes)
    return replace(model, run=shifted, config=model.config | {class_shares.FIELD: now})


def settled(model: Model, shares: str, tau: float, not_sure_below: float, names: tuple[str, str, str]) -> Model:
    """The model with its scores for `shares`, as a person typed them; an empty text leaves them as trained.

    `names` are what the three settings are called in errors.

    Raises:
        InputError: as `pipeline.class_shares.parse` and `expect`; a setting is out of range; or shares are to be
            estimated, and there are no pictures.
    """
    of_shares, of_tau, of_sure = names
    class_shares.check_tau(tau, of_tau)
    check_not_sure(model, not_sure_below, of_sure)
    if not shares:
        if tau != 1:
            raise InputError(f"{of_tau} says how far scores go to {of_shares}: give both, or neither")
        return model
    _refuse_other_scores(model, of_shares)
    expected = class_shares.parse(shares, model.classes, of_shares)
    if expected is None:
        raise InputError(f"{of_shares} is {class_shares.ESTIMATE}; it needs {NO_TARGET}")
    return expect(model, expected, tau)


def check_not_sure(model: Model, below: float, name: str) -> None:
    """Refuse a threshold that is not a score, or scores that it says nothing about.

    Raises:
        InputError: `name` says what the setting is called.
    """
    if not 0 <= below <= 1:
        raise InputError(f"{name} is {below:g}; it must be a score from 0 (always answer) to 1")
    if below:
        _refuse_other_scores(model, name)
        if NOT_SURE in model.classes:
            raise InputError(f"{name}: the model has a class {NOT_SURE!r}, which would look like this answer")


def unsure(scores: NDArray[np.float64], below: float) -> list[dict[str, Any]]:
    """The entry that comes before the best class if its score is below the threshold, otherwise none: scores `(K,)`."""
    best = float(scores.max())
    return [{"label": NOT_SURE, "score": 1 - best}] if best < below else []


def _refuse_other_scores(model: Model, what: str) -> None:
    if model.function != "softmax":
        given = "scores in a unit of their own" if model.ranges else f"{model.function} scores"
        raise InputError(f"{model.name}: {what} needs scores that sum to 1, and this model gives {given}")
