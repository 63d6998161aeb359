"""The metrics: `evaluate.Metric` modules over logits, and the one table of them.

`METRICS` has one entry a metric. Value, interval, printed table, studies, model card, publishing checks and the choices
of `metric_for_best_model` follow from it: to add a metric, add its module and its entry here.

`evaluate.load` asks the Hub for its modules; these are instantiated directly: `Accuracy().compute(predictions=logits,
references=label)`, or several at once through `evaluate.combine`. They call scikit-learn where it has the metric.

Every one of the K classes counts: precision, recall and F1 of a class without a row (or without a prediction) are 0, as
in scikit-learn with `labels=range(K), zero_division=0`, and macro F1 and balanced accuracy average over that 0. AUROC
has no value for such a class: see there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from pipeline.evaluation.light_evaluate import evaluate
from pipeline.evaluation.per_row import (
    BINS,
    Floats,
    Sums,
    calibration_gap,
    confidence_bin,
    cross_entropy,
    divergence,
    probabilities,
)
from pipeline.evaluation.roc import Resampled, resampled_auroc
from pipeline.evaluation.row_means import among_two_highest, resampled_mean, squared_error
from pipeline.run_folder import MetricFacts

CITATION_ECE = """\
Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015;
Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, https://arxiv.org/abs/1706.04599"""


class _OfLogits(evaluate.Metric, ABC):
    """A metric of `predictions` (N, K) float32 logits against `references`: (N,) int labels, or (N, K) vote shares.

    Rows are kept in memory, so that processes on one machine share no cache file. For `num_process` above 1 pass
    `keep_in_memory=False`.
    """

    references: Any = datasets.Value("int32")
    of_shares = False
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
        """The values by name, from arrays."""


class _OfShares(_OfLogits):
    references = datasets.Sequence(datasets.Value("float32"))
    of_shares = True


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


class Top2Accuracy(_OfLogits):
    """Share of rows whose label is among the two largest logits; of equal ones the first classes count as larger."""

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`top2_accuracy`: float."""
        return {"top2_accuracy": float(among_two_highest(logits, references).mean())}


class AUROC(_OfLogits):
    """Macro AUROC, one class against the rest: the mean over classes of the area under the ROC curve.

    The area of a class is the probability that a row of the class gets a higher probability of it than a row of another
    class; ties count half. A class without rows, or with all rows, has no area and is left out of the mean. Where no
    class has an area the value is NaN, and evaluation.json says that it is undefined.
    """

    citation_text = "Hanley, McNeil: The Meaning and Use of the Area under a ROC Curve, Radiology 143, 1982"

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`auroc`: float."""
        shares = probabilities(logits)
        present = [k for k in _classes(logits) if 0 < (references == k).sum() < len(references)]
        areas = [roc_auc_score(references == k, shares[:, k]) for k in present]
        return {"auroc": float(np.mean(areas)) if areas else float("nan")}


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
    """Expected calibration error of the predicted class against the label, over 15 equal-width bins of confidence.

    Chance makes gaps too, so the value of a sample is too large; evaluation.json has it corrected (see `values.py`).
    """

    citation_text = CITATION_ECE

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`ece`: float."""
        gaps = np.bincount(confidence_bin(logits), calibration_gap(logits, references), minlength=BINS)
        return {"ece": float(np.abs(gaps).sum() / len(logits))}


class Brier(_OfLogits):
    """Mean squared distance of the softmax to the label, 0 to 2: small where a model is both right and calibrated."""

    citation_text = "Brier: Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review, 1950"

    def of(self, logits: NDArray, references: NDArray) -> dict[str, Any]:
        """`brier`: float."""
        shares, classes = probabilities(logits), list(_classes(logits))
        return {"brier": float(brier_score_loss(references, shares, labels=classes, scale_by_half=False))}


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


@dataclass(frozen=True, kw_only=True)
class Metric(MetricFacts):
    """An entry of the table: what readers need to know, how its value is computed, and how it is resampled.

    Exactly one of two is given for the bootstrap: `of_sums`, from `Sums` to (R,) values, or `of_rows`, from logits
    (N, K) and label (N,) to a function of the resamples. A metric with `chooses_checkpoint` is in the training log. A
    `biased` metric is above its true value, and more so with fewer rows: what is reported is corrected (`values.py`).
    """

    module: type[_OfLogits]
    of_sums: Callable[[Sums], Floats] | None = None
    of_rows: Callable[[NDArray, NDArray], Resampled] | None = None
    chooses_checkpoint: bool = False
    biased: bool = False


def _recall(sums: Sums) -> Floats:
    return sums.hits / np.maximum(sums.labelled, 1)


def _f1(sums: Sums) -> Floats:
    return 2 * sums.hits / np.maximum(sums.labelled + sums.predicted, 1)


METRICS = {
    "accuracy": Metric(
        title="accuracy", meaning="share of pictures whose most probable class is the label", greater_is_better=True,
        hub_id="accuracy", table="interval", chooses_checkpoint=True,
        module=Accuracy, of_sums=lambda sums: sums.hits.sum(1) / sums.n,
    ),
    "macro_f1": Metric(
        title="macro F1", meaning="mean F1 of the classes, each counting the same", greater_is_better=True,
        hub_id="f1", table="interval", chooses_checkpoint=True,
        module=MacroF1, of_sums=lambda sums: _f1(sums).mean(1),
    ),
    "balanced_accuracy": Metric(
        title="balanced accuracy", meaning="mean recall of the classes, each counting the same", greater_is_better=True,
        hub_id="balanced_accuracy", chooses_checkpoint=True,
        module=BalancedAccuracy, of_sums=lambda sums: _recall(sums).mean(1),
    ),
    "top2_accuracy": Metric(
        title="top-2 accuracy", greater_is_better=True, hub_id="top2_accuracy",
        meaning="share of pictures whose label is one of the two most probable classes",
        module=Top2Accuracy, of_rows=lambda logits, label: resampled_mean(among_two_highest(logits, label)),
    ),
    "auroc": Metric(
        title="AUROC", greater_is_better=True, hub_id="roc_auc", table="value",
        meaning="probability that a picture of a class gets a higher score for it than a picture of another class, "
        "mean over the classes",
        module=AUROC, of_rows=resampled_auroc,
    ),
    "nll": Metric(
        title="NLL", meaning="cross-entropy to the votes, or to the label where there are none, in nats",
        greater_is_better=False, hub_id="nll", table="value", chooses_checkpoint=True,
        module=NLL, of_sums=lambda sums: sums.nll / sums.n,
    ),
    "kl": Metric(
        title="KL", meaning="NLL less the entropy of the votes, in nats", greater_is_better=False,
        hub_id="kl_divergence", needs_votes=True,
        module=KL, of_sums=lambda sums: sums.kl / sums.n,
    ),
    "brier": Metric(
        title="Brier score", greater_is_better=False, hub_id="brier_score",
        meaning="squared distance of the probabilities to the label, from 0 to 2",
        module=Brier, of_rows=lambda logits, label: resampled_mean(squared_error(logits, label)),
    ),
    "ece": Metric(
        title="ECE", greater_is_better=False, hub_id="ece", table="value", biased=True,
        meaning=f"mean gap between confidence and accuracy, over {BINS} bins of confidence, less its bootstrap bias",
        module=ECE, of_sums=lambda sums: np.abs(sums.gaps).sum(1) / sums.n,
    ),
}  # fmt: skip
"""The metrics by their name in evaluation.json, in the order of tables."""

PER_CLASS: dict[str, Callable[[Sums], Floats]] = {
    "precision": lambda sums: sums.hits / np.maximum(sums.predicted, 1),
    "recall": _recall,
    "f1": _f1,
}
"""What is computed for each class, from `Sums` to (R, K) values."""

CHECKPOINT_METRICS = {name: m.greater_is_better for name, m in METRICS.items() if m.chooses_checkpoint} | {
    "loss": False
}
"""What may choose the best checkpoint, and whether greater is better."""


def _classes(logits: NDArray) -> range:
    return range(logits.shape[1])
