"""What the figures of a run become with scores for other class shares than those of training."""

from dataclasses import replace
from pathlib import Path

from pipeline import class_shares
from pipeline.errors import InputError
from pipeline.evaluation.estimated import Estimate, LabelledScores
from pipeline.evaluation.predictions import Expected, Predictions, read_predictions
from pipeline.evaluation.row_sets import most_important, row_sets
from pipeline.run_folder import CONFIG, PREDICTIONS, read_json


def expected_predictions(run: Path, shares: str, tau: float) -> tuple[Predictions, Estimate | None]:
    """The predictions of a run with scores for `shares`: `uniform`, JSON, or `estimate`, with `tau` from 0 to 1.

    Shares of the test rows are estimated without their labels, and returned beside the predictions. How calibration
    went is left out: the new scores were not fitted to anything.

    Raises:
        InputError: as `pipeline.class_shares`, `read_predictions` and `LabelledScores.of`; the run's config.json says
            no class shares; or shares are to be estimated and the run has validation rows only.
    """
    class_shares.check_tau(tau, "--tau")
    predictions = read_predictions(run / PREDICTIONS)
    expected = class_shares.parse(shares, predictions.classes, "--class_shares")
    assumed = class_shares.assumed(read_json(run / CONFIG), predictions.classes, str(run))
    if expected is not None:
        return expect(predictions, Expected(expected, assumed, tau)), None
    sets = row_sets(predictions)
    quoted = most_important(sets)
    if quoted == "validation":
        raise InputError(
            f"--class_shares estimate needs other rows than the validation rows of {run}, whose labels it uses: "
            "estimate the shares of your pictures with python -m hub.predict"
        )
    found = LabelledScores.of(predictions, str(run)).estimate(predictions.logits[sets[quoted].held])
    return expect(predictions, Expected(found.shares, assumed, tau)), found


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
