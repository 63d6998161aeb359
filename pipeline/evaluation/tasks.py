"""What is measured for each task: a module for each, by the name of the task."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.evaluation import of_classes, of_scores
from pipeline.evaluation.predictions import Predictions
from pipeline.run_folder import MetricFacts, task_of


class Evaluation(Protocol):
    """What a module is that measures the runs of a task; `outputs` are logits or predicted scores, (N, K)."""

    METRICS: Mapping[str, MetricFacts]
    CHECKPOINT_METRICS: Mapping[str, bool]  # what may choose the best checkpoint, and whether greater is better
    FIGURE: str  # name of `figure` in TensorBoard

    def about(self, predictions: Predictions) -> dict[str, Any]:
        """What evaluation.json says of the outputs."""

    def evaluate_rows(self, predictions: Predictions, held: NDArray) -> dict[str, Any]:
        """The metrics of the rows `held`, (N,) bool, with intervals."""

    def flip_averaged(self, plain: NDArray, mirrored: NDArray) -> NDArray:
        """The outputs for pictures and their mirror images together."""

    def logged(self, outputs: NDArray, target: NDArray, names: list[str]) -> dict[str, float]:
        """The metrics of an evaluation in training."""

    def figure(self, outputs: NDArray, target: NDArray, names: list[str], title: str) -> Figure:
        """The figure of an evaluation in training."""

    def figures_of(self, predictions: Predictions, held: NDArray, title: str) -> dict[str, Figure]:
        """The figures of a run by their file names."""

    def surest_mistakes(
        self, outputs: NDArray, target: NDArray, label: NDArray, names: list[str], most: int
    ) -> dict[int, str]:
        """Rows to show, and what to write above each."""

    def table(self, evaluation: Mapping[str, Any]) -> str:
        """What a run prints at its end."""


EVALUATIONS: Mapping[str, Evaluation] = {
    "classification": cast(Evaluation, of_classes),
    "regression": cast(Evaluation, of_scores),
}


def format_table(evaluation: Mapping[str, Any]) -> str:
    """The table of an evaluation.json."""
    return EVALUATIONS[task_of(evaluation)].table(evaluation)
