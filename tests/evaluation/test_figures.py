import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.evaluation import figures
from pipeline.task import TASKS


def words(figure: Figure) -> list[str]:
    """Every text drawn inside the axes of a figure."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def log_history():
    """What Trainer logs in two epochs of two steps."""
    steps = [{"loss": 2.0 - s / 4, "learning_rate": 1e-3 / s, "step": s, "epoch": s / 2} for s in (1, 2, 3, 4)]
    evaluations = [
        {"eval_accuracy": 0.5 + e / 10, "eval_macro_f1": 0.4, "eval_nll": 1.0, "eval_recall_fear": 0.1, "epoch": e}
        for e in (1.0, 2.0)
    ]
    return [*steps[:2], evaluations[0], *steps[2:], evaluations[1], {"train_runtime": 1.0, "epoch": 2.0}]


def test_confusion_matrix_shows_the_share_of_the_labels_rows_and_the_count():
    figure = figures.confusion_matrix([[3, 1], [0, 1000]], ["yes", "no"], "All test rows")
    assert words(figure) == ["0.75", "3", "0.25", "1", "0.00", "0", "1.00", "1,000"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["yes\n4 rows", "no\n1,000 rows"]


def test_confusion_matrix_of_a_class_without_rows_is_drawn():
    assert words(figures.confusion_matrix([[2, 0], [0, 0]], ["yes", "no"], ""))[-2:] == ["0.00", "0"]


def test_reliability_plots_accuracy_over_confidence():
    logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6]])
    label = np.array([0, 1, 0, 1])
    figure = figures.reliability(logits, label)
    curve = figure.axes[0].lines[1]
    assert "4 rows" in figure.axes[0].get_title()
    np.testing.assert_allclose(curve.get_xdata(), [0.6, 0.8])
    np.testing.assert_allclose(curve.get_ydata(), [1.0, 0.5])
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 4


def test_a_bin_of_few_rows_is_a_hollow_point():
    logits = np.log(np.repeat([[0.6, 0.4], [0.8, 0.2]], [29, 30], axis=0))
    points = figures.reliability(logits, np.zeros(59, dtype=int)).axes[0].collections[0]
    assert [tuple(colour[:3]) == (1, 1, 1) for colour in points.get_facecolors()] == [True, False]


def test_learning_curves_hold_loss_scores_and_learning_rate_in_three_panels():
    loss, score, rate = figures.learning_curves(log_history(), TASKS["classification"].curves).axes
    assert [line.get_label() for line in loss.lines] == ["training loss", "validation NLL"]
    assert [line.get_label() for line in score.lines] == ["accuracy", "macro F1"]
    assert score.lines[0].get_xdata() == pytest.approx([1, 2])
    assert score.lines[0].get_ydata() == pytest.approx([0.6, 0.7])
    assert len(rate.lines[0].get_xdata()) == 4


def test_learning_curves_of_a_run_without_a_logged_step_are_empty_panels(tmp_path):
    figures.save(figures.learning_curves([], TASKS["classification"].curves), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0


def test_a_saved_figure_says_nothing_about_the_machine(tmp_path):
    figures.save(figures.learning_curves(log_history(), TASKS["classification"].curves), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert set(picture.info) <= {"dpi"}
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_figure_saved_twice_is_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.confusion_matrix([[3, 1], [0, 2]], ["yes", "no"], "title"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_figure_becomes_the_rgb_array_that_tensorboard_takes():
    picture = figures.to_array(figures.learning_curves(log_history(), TASKS["classification"].curves))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert picture.min() < 50 and picture.max() == 255
