"""A finished run whose scores are for other class shares than those of training: `push_to_hub.py --class_shares`.

The shift of the logits goes into the bias of the last layer, so it acts in every client. Predictions, figures and
intervals are those of the shifted scores. The run itself is not changed.
"""

from pathlib import Path

from hub.staging import copy_sealed
from pipeline import class_shares, run_folder
from pipeline.class_shares import Shares
from pipeline.errors import InputError
from pipeline.run_folder import CONFIG, PREDICTIONS, Run, read_run, sha256, write_json


def expected_shares(run: Run, shares: str, tau: float) -> Shares:
    """What `--class_shares` asks for, as `(K,)` shares.

    Raises:
        InputError: as `pipeline.class_shares`; or the run does not say what shares its scores assume.
    """
    class_shares.check_tau(tau, "--tau")
    expected = class_shares.parse(shares, run.classes, "--class_shares")
    class_shares.assumed(run.config, run.classes, str(run.path))
    if expected is None:
        raise InputError(
            "--class_shares estimate needs pictures: run `python -m hub.predict RUN FACES --class_shares estimate`, "
            "which prints the shares as JSON, and give that here"
        )
    return expected


def adjusted(run: Run, expected: Shares, tau: float, place: Path) -> Run:
    """A sealed copy of the run in `place`, under its name, with scores for the `expected` shares `(K,)`.

    Raises:
        InputError: as `copy_sealed`; or the last layer has no bias.
    """
    from pipeline.evaluation import evaluate, predictions
    from pipeline.training.last_layer import fold

    folder = place / "adjusted" / run.path.name
    for name in run.environment["sha256"]:
        copy_sealed(run, name, folder / name)
    before = class_shares.assumed(run.config, run.classes, str(run.path))
    shift = predictions.Expected(expected, before, tau)
    fold(folder, shift=shift.log_ratios)
    after = class_shares.as_json(class_shares.shares_after(expected, before, tau), run.classes)
    write_json(folder / CONFIG, run.config | {class_shares.FIELD: after})
    predictions.write_expected(folder / PREDICTIONS, shift)
    evaluate.write_figures(folder / PREDICTIONS, folder / "figures")
    names = [*run.environment["sha256"], *(f"figures/{file.name}" for file in (folder / "figures").glob("*.png"))]
    hashes = {name: sha256(folder / name) for name in dict.fromkeys(names)}
    evaluation = evaluate.evaluate_predictions(folder / PREDICTIONS)
    run_folder.seal(folder, run.environment | {"sha256": hashes}, evaluation)
    return read_run(folder)
