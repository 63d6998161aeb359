"""What the figures of a run become with scores for other class shares than those of training."""

from dataclasses import replace
from pathlib import Path

from pipeline import class_shares
from pipeline.evaluation.per_row import probabilities
from pipeline.evaluation.predictions import Expected, Predictions, read_predictions
from pipeline.evaluation.row_sets import most_important, row_sets
from pipeline.run_folder import CONFIG, PREDICTIONS, read_json


def expected_predictions(run: Path, shares: str, tau: float) -> Predictions:
    """The predictions of a run with scores for `shares`: `uniform`, JSON, or `estimate`, with `tau` from 0 to 1.

    Shares are estimated without labels, from the scores of the row set to quote. How calibration went is left out: the
    new scores were not fitted to anything.

    Raises:
        InputError: as `pipeline.class_shares` and `read_predictions`; or the run's config.json says no class shares.
    """
    class_shares.check_tau(tau, "--tau")
    predictions = read_predictions(run / PREDICTIONS)
    expected = class_shares.parse(shares, predictions.classes, "--class_shares")
    assumed = class_shares.assumed(read_json(run / CONFIG), predictions.classes, str(run))
    if expected is None:
        sets = row_sets(predictions)
        quoted = sets[most_important(sets)].held
        expected = class_shares.estimate(probabilities(predictions.logits[quoted]), assumed)
    return expect(predictions, Expected(expected, assumed, tau))


def expect(predictions: Predictions, shares: Expected) -> Predictions:
    """The same rows with the logits that a shift in the last layer gives them."""
    shift, mirrored = shares.log_ratios.astype(predictions.logits.dtype), predictions.mirrored
    return replace(
        predictions,
        logits=predictions.logits + shift,
        mirrored=None if mirrored is None else mirrored + shift,
        calibration=None,
        class_shares=shares,
    )
