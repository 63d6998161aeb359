"""Scores of a finished run for other class shares than those of training: what is gained, and what it costs.

python -m tests.benchmarks.class_shares RUN [--on REPORT]

It reads the validation rows of predictions.parquet without a copy in train, so it needs no pictures and never opens the
test split. Shares are those of config.json; runs from before it had them assume the label counts of their train rows.

- As trained, before and after calibration (cross-fitted in five parts: to the votes, as a run does, and to the labels),
  and for uniform shares: `tau` raises balanced accuracy and lowers accuracy.
- Planted shifts: the same rows, weighted so that the classes are otherwise frequent. Accuracy and NLL with scores as
  trained, for uniform shares, for the planted shares, and for shares that are estimated without labels: from 3,000 rows
  drawn out of one half, after a fit to the labels of the other half. The largest error of an estimated share is that of
  20 such halves, and in brackets stands what the scores themselves give, without the fit.
- `--on`: a folder that `python -m pipeline.evaluation --model RUN --data_path OTHER --split all` wrote: the same on
  other pictures, as they are.

Every value has its 95 % bootstrap interval over rows.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import class_shares
from pipeline.class_shares import Shares
from pipeline.evaluation.calibration import cross_fitted
from pipeline.evaluation.estimated import LabelledScores
from pipeline.evaluation.per_row import cross_entropy, probabilities
from pipeline.evaluation.predictions import Predictions, read_predictions
from pipeline.evaluation.row_sets import most_important, row_sets
from pipeline.evaluation.values import estimate, interval, metric_values, resampled_rows, resampled_values
from pipeline.run_folder import CONFIG, CURATION, PREDICTIONS, read_json

TAUS = (0.25, 0.5, 0.75, 1.0)
SHOWN = ("accuracy", "balanced_accuracy", "nll", "ece")
DRAWN = 3000  # rows that shares are estimated from
HALVES = 20


def assumed_shares(run: Path, classes: list[str]) -> Shares:
    """The shares `(K,)` of config.json, or of the labels of the train rows."""
    config = read_json(run / CONFIG)
    if class_shares.FIELD in config:
        return class_shares.assumed(config, classes, str(run))
    counts = read_json(run / CURATION)["rows_used"]["train"]
    total = sum(counts.values())
    shares = {name: counts.get(name, 0) / total for name in classes}
    return class_shares.from_mapping(shares, classes, f"{run}: train rows")


def trained_logits(of: Predictions) -> NDArray:
    """The logits (N, K) before anything was folded into the last layer."""
    shift = 0.0 if of.class_shares is None else of.class_shares.log_ratios.astype(np.float32)
    logits = of.logits - shift
    return logits if of.calibration is None else of.calibration.undone(logits)


def only(predictions: Predictions, held: NDArray[np.bool_]) -> Predictions:
    """The label, target and logits of some rows."""
    return replace(predictions, **{name: getattr(predictions, name)[held] for name in ("label", "target", "logits")})


def line(name: str, logits: NDArray, of: Predictions) -> str:
    """The values of one kind of scores with their intervals."""
    values = metric_values(logits, of.label, of.target)
    samples = resampled_values(logits, of.label, of.target, of.resamples, of.seed)
    cells = []
    for metric in SHOWN:
        found = estimate(metric, float(values[metric]), samples[metric])
        cells.append("{:.3f} [{:.3f}, {:.3f}]".format(*found) if found else "-")
    return f"{name:<32}" + "  ".join(cells)


def heading(text: str, names: tuple[str, ...]) -> str:
    """The line above a table."""
    return f"{text}\n{'':<32}" + "  ".join(f"{name.replace('_', ' '):<20}" for name in names).rstrip()


def planted(classes: list[str], own: Shares) -> dict[str, Shares]:
    """Class shares `(K,)` of other pictures, by name."""
    by_rank = np.argsort(own)
    reversed_, most, rare = own.copy(), int(own.argmax()), classes.index("sadness") if "sadness" in classes else 0
    reversed_[by_rank] = own[by_rank[::-1]]
    found = {"equal": np.full(len(own), 1 / len(own)), "frequent and rare exchanged": reversed_}
    for each, share in ((most, 0.8), (rare, 0.5)):
        rest = np.delete(own, each)
        found[f"{classes[each]} {share:.0%}"] = np.insert(rest / rest.sum() * (1 - share), each, share)
    return found


def shifted_line(name: str, logits: NDArray, of: Predictions, weight: NDArray) -> str:
    """Accuracy and NLL over rows that count as often as their `weight` (N,), with intervals over rows."""
    parts = np.stack([logits.argmax(1) == of.label, cross_entropy(logits, of.target), np.ones(len(weight))], axis=1)
    parts = parts * weight[:, None]
    values = parts.sum(0)[:2] / parts.sum(0)[2]
    drawn = np.concatenate([times @ parts for times in resampled_rows(np.arange(len(weight)), of.resamples, of.seed)])
    ends = [interval(drawn[:, k] / drawn[:, 2], float(values[k])) for k in range(2)]
    cells = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, (low, high) in zip(values, ends, strict=True)]
    return f"{name:<32}" + "  ".join(cells)


def print_planted(logits: NDArray, of: Predictions, assumed: Shares) -> None:
    """The table of a few planted shifts."""
    own = np.bincount(of.label, minlength=len(of.classes)) / len(of.label)
    uniform = np.full(len(own), 1 / len(own))
    for name, shares in planted(of.classes, own).items():
        weight = (shares / np.maximum(own, 1e-12))[of.label]
        print(heading(f"\nplanted: {name}", ("accuracy", "nll")))
        estimates, unfitted = estimates_of(logits, of, shares, assumed)
        found = estimates[0]
        tried = {"as trained": (assumed, 1.0), "uniform, tau 0.5": (uniform, 0.5), "uniform, tau 1": (uniform, 1.0)}
        tried |= {"planted, tau 1": (shares, 1.0), "estimated, tau 1": (found, 1.0)}
        for kind, (expected, tau) in tried.items():
            print(shifted_line(kind, logits + class_shares.log_ratios(expected, assumed, tau), of, weight))
        errors, plain = (np.abs(each - shares).max(1) for each in (estimates, unfitted))
        worst = int(np.abs(estimates - shares).mean(0).argmax())
        print(f"largest error of a share: mean {errors.mean():.3f}, at most {errors.max():.3f}, within .05 in "
              f"{(errors <= 0.05).sum()} of {HALVES} [without the fit {plain.mean():.3f}, {(plain <= 0.05).sum()}]; "
              f"{of.classes[worst]} {estimates[:, worst].mean():.3f}, planted {shares[worst]:.3f}")  # fmt: skip


def estimates_of(logits: NDArray, of: Predictions, planted: Shares, assumed: Shares) -> tuple[NDArray, NDArray]:
    """Shares `(HALVES, K)` estimated from drawn rows of one half: fitted to the labels of the other, and unfitted."""
    random, fitted, plain = np.random.default_rng(of.seed), [], []
    for _ in range(HALVES):
        seen = random.permutation(len(of.label)) % 2 == 0
        weight = seen * (planted / np.bincount(of.label[seen], minlength=len(planted)).clip(1))[of.label]
        drawn = random.choice(len(weight), DRAWN, p=weight / weight.sum())
        fitted.append(LabelledScores(logits[~seen], of.label[~seen]).shares(logits[drawn]))
        plain.append(class_shares.estimate(probabilities(logits[drawn]), assumed))
    return np.array(fitted), np.array(plain)


def print_on(run: Path, report: Path, assumed: Shares) -> None:
    """The table of other pictures: the row set to quote of a report."""
    predictions = read_predictions(report / PREDICTIONS)
    sets = row_sets(predictions)
    name = most_important(sets)
    of = only(predictions, sets[name].held)
    own = np.bincount(of.label, minlength=len(of.classes)) / len(of.label)
    uniform, scores = np.full(len(own), 1 / len(own)), LabelledScores.of(read_predictions(run / PREDICTIONS), run.name)
    estimated, plain = scores.estimate(of.logits), class_shares.estimate(probabilities(of.logits), assumed)
    found = estimated.shares
    print(heading(f"\n{report.name}: {len(of.label):,} rows ({name}), scores as the run gives them", SHOWN))
    print(line("as trained", of.logits, of))
    for tau in TAUS:
        print(line(f"uniform, tau {tau:g}", of.logits + class_shares.log_ratios(uniform, assumed, tau), of))
    for kind, shares in (("its own label shares", own.clip(class_shares.LEAST_SHARE)), ("estimated", found)):
        print(line(f"{kind}, tau 1", of.logits + class_shares.log_ratios(shares, assumed, 1.0), of))
    for kind, shares in (("trained", assumed), ("labels", own), ("estimated", found), ("low", estimated.low),
                         ("high", estimated.high), ("without fit", plain)):  # fmt: skip
        print(f"{kind:>11}: " + ", ".join(f"{n} {share:.3f}" for n, share in zip(of.classes, shares, strict=True)))


def print_validation(run: Path, assumed: Shares) -> None:
    """The tables of the run's own validation rows."""
    predictions = read_predictions(run / PREDICTIONS)
    of = only(predictions, row_sets(predictions)["validation"].held)
    trained, hot = trained_logits(of), np.eye(len(of.classes), dtype=np.float32)[of.label]
    uniform = np.full(len(of.classes), 1 / len(of.classes))
    print(heading(f"{run.name}: {len(of.label):,} validation rows without a copy in train", SHOWN))
    print(line("as trained, not calibrated", trained, of))
    votes = cross_fitted(trained, of.target, of.seed)
    print(line("calibrated to votes", votes, of))
    print(line("calibrated to labels", cross_fitted(trained, hot, of.seed), of))
    for tau in TAUS:
        print(line(f"calibrated, uniform, tau {tau:g}", votes + class_shares.log_ratios(uniform, assumed, tau), of))
    print_planted(votes, of, assumed)


def main() -> None:
    """Print the tables of a run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.class_shares", allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--on", type=Path, metavar="REPORT", help="only this report of the run on other pictures")
    asked = parser.parse_args()
    assumed = assumed_shares(asked.run, read_predictions(asked.run / PREDICTIONS).classes)
    if asked.on is not None:
        print_on(asked.run, asked.on, assumed)
    else:
        print_validation(asked.run, assumed)


if __name__ == "__main__":
    main()
