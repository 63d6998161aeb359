"""`evaluate.Metric` modules over logits, thin shells around scikit-learn where it has the metric.

`evaluate.load` asks the Hub for its modules; these are instantiated directly: `Accuracy().compute(predictions=logits,
references=label)`, or several at once through `evaluate.combine`.

Every class of the K logits counts, always: precision, recall and F1 of a class without a row (or without a prediction)
are 0, as in scikit-learn with `labels=range(K), zero_division=0`, and the means over classes (macro F1, balanced
accuracy) hold that 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, log_softmax, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support, recall_score

BINS = 15
"""Equal-width bins of confidence for the calibration error, as in Guo et al. 2017."""

DRAWS_AT_ONCE = 2_000_000
"""Drawn rows that the bootstrap holds in memory together (about 50 MB)."""

Floats = NDArray[np.float64]

CITATION_ECE = """\
Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015;
Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, https://arxiv.org/abs/1706.04599"""


class _OfLogits(evaluate.Metric, ABC):
    """A metric of `predictions` (N, K) float32 logits against `references`: (N,) int labels, or (N, K) vote shares.

    Rows are kept in memory, so that processes beside each other share no cache file; for `num_process` above 1 pass
    `keep_in_memory=False`.
    """

    references: Any = datasets.Value("int32")
    citation_text = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"keep_in_memory": True} | kwargs))

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation=self.citation_text,
            inputs_description=_OfLogits.__doc__ or "",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": self.references}
            ),
        )

    def _compute(self, *, predictions: ArrayLike, references: ArrayLike) -> dict[str, Any]:
        return self.of(np.asarray(predictions, dtype=np.float32), np.asarray(references))

    @abstractmethod
    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """The figures by name, from arrays."""


class _OfShares(_OfLogits):
    references = datasets.Sequence(datasets.Value("float32"))


class Accuracy(_OfLogits):
    """Share of rows whose largest logit is that of the label."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`accuracy`: float."""
        return {"accuracy": float(accuracy_score(references, logits.argmax(1)))}


class MacroF1(_OfLogits):
    """Mean F1 over all K classes."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`macro_f1`: float."""
        f1 = f1_score(references, logits.argmax(1), labels=_classes(logits), average="macro", zero_division=0)
        return {"macro_f1": float(f1)}


class BalancedAccuracy(_OfLogits):
    """Mean recall over all K classes.

    scikit-learn's `balanced_accuracy_score` leaves a class without rows out; where every class has rows the two agree.
    """

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`balanced_accuracy`: float."""
        recall = recall_score(references, logits.argmax(1), labels=_classes(logits), average="macro", zero_division=0)
        return {"balanced_accuracy": float(recall)}


class PerClass(_OfLogits):
    """Precision, recall, F1 and support of each class."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`precision`, `recall`, `f1`: K floats; `support`: K ints, rows with that label."""
        precision, recall, f1, support = precision_recall_fscore_support(
            references, logits.argmax(1), labels=_classes(logits), zero_division=0
        )
        return {
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "f1": f1.tolist(),
            "support": support.tolist(),
        }


class ConfusionMatrix(_OfLogits):
    """Rows of each label (down) by predicted class (across)."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`confusion_matrix`: K lists of K ints."""
        return {"confusion_matrix": confusion_matrix(references, logits.argmax(1), labels=_classes(logits)).tolist()}


class ECE(_OfLogits):
    """Expected calibration error of the predicted class against the label, over 15 equal-width bins of confidence."""

    citation_text = CITATION_ECE

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`ece`: float."""
        gaps = np.bincount(confidence_bin(logits), calibration_gap(logits, references), minlength=BINS)
        return {"ece": float(np.abs(gaps).sum() / len(logits))}


class NLL(_OfShares):
    """Cross-entropy of the softmax of the logits to the vote shares, in nats; lowest possible: the shares' entropy."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`nll`: float."""
        return {"nll": float(cross_entropy(logits, references).mean())}


class KL(_OfShares):
    """Kullback-Leibler divergence from the vote shares to the softmax of the logits, in nats; 0 where they agree."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`kl`: float."""
        return {"kl": float(divergence(logits, references).mean())}


def compute_metrics(logits: NDArray, label: NDArray, target: NDArray, classes: Sequence[str]) -> dict[str, float]:
    """Figures for the log while training, without intervals: logits (N, K), label (N,), target (N, K) vote shares.

    Returns `accuracy`, `macro_f1`, `balanced_accuracy`, `nll` and `recall_<class>` for every class.
    """
    figures = point_figures(logits, label, target)
    recall = dict(zip((f"recall_{name}" for name in classes), figures["recall"].tolist(), strict=True))
    return {name: float(figures[name]) for name in ("accuracy", "macro_f1", "balanced_accuracy", "nll")} | recall


def point_figures(logits: NDArray, label: NDArray, target: NDArray) -> dict[str, Floats]:
    """Every figure of the rows as they are, from the modules above: arrays of shape () or (K,).

    `human_agreement` is the mean share of voters who chose the label: what one voter, drawn at random, reaches.
    """
    figures: dict[str, Any] = {"human_agreement": target[np.arange(len(label)), label].mean(dtype=np.float64)}
    for of_label in (Accuracy(), MacroF1(), BalancedAccuracy(), PerClass(), ECE()):
        figures |= of_label.compute(predictions=logits, references=label)
    for of_shares in (NLL(), KL()):
        figures |= of_shares.compute(predictions=logits, references=target)
    return {name: np.asarray(value, dtype=np.float64) for name, value in figures.items() if name != "support"}


def bootstrap_figures(logits: NDArray, label: NDArray, target: NDArray, resamples: int, seed: int) -> dict[str, Floats]:
    """The figures of `point_figures` on each of R resamples of the N rows: arrays of shape (R,) or (R, K).

    All figures are taken on the same resamples, drawn with replacement. 3,136 rows and 2,000 resamples take half a
    second and 100 MB.
    """
    n, random = len(label), np.random.default_rng(seed)
    parts, sums = summands(logits, label, target), []
    step = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        drawn = random.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n)
        sums.append(times.astype(np.float64) @ parts)
    return figures_of_sums(np.concatenate(sums), n, logits.shape[1])


def summands(logits: NDArray, label: NDArray, target: NDArray) -> Floats:
    """What each row adds to the sums that all figures are functions of: (N, 3 * K + BINS + 3).

    In order: is a hit of class k, has label k, is predicted k; its gap in its bin of confidence; its NLL, its KL and
    the share of its voters who chose its label.
    """
    n, k = logits.shape
    rows, predicted = np.arange(n), logits.argmax(1)
    parts = np.zeros((n, 3 * k + BINS + 3))
    parts[rows, label] = predicted == label
    parts[rows, k + label] = 1
    parts[rows, 2 * k + predicted] = 1
    parts[rows, 3 * k + confidence_bin(logits)] = calibration_gap(logits, label)
    parts[:, -3] = cross_entropy(logits, target)
    parts[:, -2] = divergence(logits, target)
    parts[:, -1] = target[rows, label]
    return parts


def figures_of_sums(sums: Floats, n: int, k: int) -> dict[str, Floats]:
    """The figures of R sets of n rows each, from their summed `summands`: (R, 3 * K + BINS + 3) -> (R,) or (R, K)."""
    hits, labelled, predicted, gaps, means = np.split(sums, (k, 2 * k, 3 * k, 3 * k + BINS), axis=1)
    recall, f1 = hits / np.maximum(labelled, 1), 2 * hits / np.maximum(labelled + predicted, 1)
    return {
        "accuracy": hits.sum(1) / n,
        "macro_f1": f1.mean(1),
        "balanced_accuracy": recall.mean(1),
        "nll": means[:, 0] / n,
        "kl": means[:, 1] / n,
        "ece": np.abs(gaps).sum(1) / n,
        "precision": hits / np.maximum(predicted, 1),
        "recall": recall,
        "f1": f1,
        "human_agreement": means[:, 2] / n,
    }


def cross_entropy(logits: NDArray, target: NDArray) -> Floats:
    """Cross-entropy of each row's softmax to its vote shares: (N, K), (N, K) -> (N,), in nats."""
    return -(np.asarray(target, dtype=np.float64) * log_softmax(np.asarray(logits, dtype=np.float64), axis=1)).sum(1)


def divergence(logits: NDArray, target: NDArray) -> Floats:
    """Kullback-Leibler divergence of each row from its vote shares to its softmax: (N, K), (N, K) -> (N,), in nats."""
    return cross_entropy(logits, target) - entr(np.asarray(target, dtype=np.float64)).sum(1)


def confidence(logits: NDArray) -> Floats:
    """Probability of each row's predicted class: (N, K) -> (N,)."""
    return softmax(np.asarray(logits, dtype=np.float64), axis=1).max(1)


def confidence_bin(logits: NDArray, bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each row's confidence, 0 to `bins` - 1; bin b holds b / bins < confidence <= (b + 1) / bins."""
    return np.digitize(confidence(logits), np.linspace(0, 1, bins + 1)[1:-1], right=True)


def calibration_gap(logits: NDArray, label: NDArray) -> Floats:
    """1 where the prediction is the label, else 0, less the confidence: (N, K), (N,) -> (N,).

    The calibration error is the sum over bins of the absolute value of the bin's summed gaps, divided by N.
    """
    return (logits.argmax(1) == label) - confidence(logits)


def _classes(logits: NDArray) -> range:
    return range(logits.shape[1])
