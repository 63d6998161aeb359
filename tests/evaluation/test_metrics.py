import evaluate
import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from pipeline.evaluation import per_row, values
from pipeline.evaluation.metrics import (
    AUROC,
    ECE,
    KL,
    METRICS,
    NLL,
    Accuracy,
    BalancedAccuracy,
    Brier,
    ConfusionMatrix,
    MacroF1,
    PerClass,
    Top2Accuracy,
)

CLASSES = ["anger", "disgust", "fear", "happiness"]


@pytest.fixture
def rows():
    """200 rows of four classes with votes: logits, label, target."""
    random = np.random.default_rng(3)
    target = random.dirichlet(np.full(4, 0.5), 200).astype(np.float32)
    logits = (np.log(target + 0.05) + random.normal(size=target.shape)).astype(np.float32)
    return logits, target.argmax(1).astype(np.int32), target


def test_accuracy_is_that_of_scikit_learn(rows):
    logits, label, _ = rows
    expected = sk.accuracy_score(label, logits.argmax(1))
    assert Accuracy().compute(predictions=logits, references=label) == {"accuracy": pytest.approx(expected)}


def test_macro_f1_is_that_of_scikit_learn(rows):
    logits, label, _ = rows
    expected = sk.f1_score(label, logits.argmax(1), average="macro")
    assert MacroF1().compute(predictions=logits, references=label) == {"macro_f1": pytest.approx(expected)}


def test_balanced_accuracy_is_that_of_scikit_learn_where_every_class_has_rows(rows):
    logits, label, _ = rows
    expected = sk.balanced_accuracy_score(label, logits.argmax(1))
    got = BalancedAccuracy().compute(predictions=logits, references=label)
    assert got == {"balanced_accuracy": pytest.approx(expected)}


def test_per_class_values_are_those_of_scikit_learn(rows):
    logits, label, _ = rows
    report = sk.classification_report(label, logits.argmax(1), target_names=CLASSES, output_dict=True)
    got = PerClass().compute(predictions=logits, references=label)
    for k, name in enumerate(CLASSES):
        assert got["precision"][k] == pytest.approx(report[name]["precision"])
        assert got["recall"][k] == pytest.approx(report[name]["recall"])
        assert got["f1"][k] == pytest.approx(report[name]["f1-score"])
        assert got["support"][k] == report[name]["support"]


def test_confusion_matrix_has_labels_down_and_predictions_across():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
    got = ConfusionMatrix().compute(predictions=logits, references=[0, 0, 1, 2])
    assert got == {"confusion_matrix": [[1, 1, 0], [0, 1, 0], [0, 0, 1]]}


def test_a_class_without_rows_counts_as_zero_in_the_means():
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    label = [0, 0, 1]
    assert MacroF1().compute(predictions=logits, references=label)["macro_f1"] == pytest.approx(2 / 3)
    assert BalancedAccuracy().compute(predictions=logits, references=label)["balanced_accuracy"] == pytest.approx(2 / 3)
    assert PerClass().compute(predictions=logits, references=label)["recall"] == [1, 1, 0]


def test_nll_of_one_hot_targets_is_log_loss(rows):
    logits, label, _ = rows
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    got = NLL().compute(predictions=logits, references=np.eye(4)[label])
    assert got["nll"] == pytest.approx(sk.log_loss(label, shares), rel=1e-5)


def test_nll_of_votes_by_hand():
    # softmax of (ln 3, 0) is (3/4, 1/4)
    got = NLL().compute(predictions=[[np.log(3), 0.0]], references=[[0.5, 0.5]])
    assert got["nll"] == pytest.approx(-0.5 * np.log(3 / 4) - 0.5 * np.log(1 / 4), rel=1e-6)


def test_kl_is_zero_where_the_model_gives_the_vote_shares():
    target = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    assert KL().compute(predictions=np.log(target), references=target)["kl"] == pytest.approx(0, abs=1e-6)


def test_kl_is_nll_less_the_entropy_of_the_votes_and_shares_of_zero_are_allowed():
    target = [[0.5, 0.5, 0.0]]
    logits = [[1.0, 0.0, 2.0]]
    nll = NLL().compute(predictions=logits, references=target)["nll"]
    assert KL().compute(predictions=logits, references=target)["kl"] == pytest.approx(nll - np.log(2), rel=1e-6)


def test_nll_stays_finite_for_logits_far_apart():
    got = NLL().compute(predictions=[[500.0, -500.0]], references=[[0.0, 1.0]])
    assert got["nll"] == pytest.approx(1000)


def test_ece_by_hand():
    # Confidence 0.8 in one bin: right in 1 of 2, gap 0.3. Confidence 0.6 in another: right in 2 of 2, gap 0.4.
    logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6]])
    got = ECE().compute(predictions=logits, references=[0, 1, 0, 1])
    assert got["ece"] == pytest.approx(0.5 * 0.3 + 0.5 * 0.4, rel=1e-5)


def test_ece_lets_gaps_of_one_bin_cancel_and_those_of_two_bins_add_up():
    logits = np.log([[0.81, 0.19], [0.81, 0.19]])
    assert ECE().compute(predictions=logits, references=[0, 1])["ece"] == pytest.approx(0.31, rel=1e-5)
    logits = np.log([[0.81, 0.19], [0.7, 0.3]])
    assert ECE().compute(predictions=logits, references=[0, 1])["ece"] == pytest.approx((0.19 + 0.7) / 2, rel=1e-5)


def test_a_confidence_on_the_edge_belongs_to_the_lower_of_its_two_bins():
    assert per_row.confidence_bin(np.array([[0.0, 0.0], [9.0, 0.0], [90.0, 0.0]]), bins=2).tolist() == [0, 1, 1]


def test_modules_take_batches_and_combine_as_evaluate_does(rows):
    logits, label, _ = rows
    accuracy = Accuracy()
    for start in range(0, 200, 64):
        accuracy.add_batch(predictions=logits[start : start + 64], references=label[start : start + 64])
    both = evaluate.combine([Accuracy(), ECE()]).compute(predictions=logits, references=label)
    assert accuracy.compute()["accuracy"] == both["accuracy"]
    assert set(both) == {"accuracy", "ece"}


def test_training_log_holds_accuracy_means_nll_and_a_recall_for_every_class(rows):
    logits, label, target = rows
    log = values.compute_metrics(logits, label, target, CLASSES)
    recall = sk.recall_score(label, logits.argmax(1), average=None)
    assert list(log) == ["accuracy", "macro_f1", "balanced_accuracy", "nll", *(f"recall_{name}" for name in CLASSES)]
    assert [log[f"recall_{name}"] for name in CLASSES] == pytest.approx(recall)
    assert log["nll"] == NLL().compute(predictions=logits, references=target)["nll"]
    assert all(type(value) is float for value in log.values())


def test_summed_rows_give_the_values_of_the_metric_modules(rows):
    logits, label, target = rows
    label[label == 1] = 0  # a class without rows
    expected = values.metric_values(logits, label, target)
    got = values.values_of_sums(per_row.summands(logits, label, target).sum(0, keepdims=True), 200, 4)
    assert got.keys() == expected.keys() - {name for name, metric in METRICS.items() if metric.of_rows}
    for name, value in got.items():
        np.testing.assert_allclose(value[0], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_label_is_among_two_equal_scores_only_if_its_class_comes_first():
    logits, label = np.log([[0.4, 0.2, 0.2, 0.2], [0.4, 0.2, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4]]), [1, 2, 2]
    assert Top2Accuracy().compute(predictions=logits, references=label) == {"top2_accuracy": pytest.approx(2 / 3)}


def test_brier_is_the_squared_distance_to_the_label():
    logits = np.log([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    by_hand = (0.25 + 0.09 + 0.04 + 0.01 + 0.81 + 0.64) / 2
    assert Brier().compute(predictions=logits, references=[0, 1]) == {"brier": pytest.approx(by_hand)}


def test_groups_are_drawn_whole_and_as_many_as_there_are():
    group = np.array([0, 1, 0, 2, 1, 0])
    times = np.concatenate(list(values.resampled_rows(group, 50, 3)))
    assert all(len(set(times[r, group == g])) == 1 for r in range(50) for g in range(3))
    assert (times[:, [0, 1, 3]].sum(1) == 3).all()


def test_auroc_is_that_of_scikit_learn(rows):
    logits, label, _ = rows
    shares = softmax(logits.astype(float), axis=1)
    expected = sk.roc_auc_score(label, shares, multi_class="ovr", average="macro")
    assert AUROC().compute(predictions=logits, references=label) == {"auroc": pytest.approx(expected)}


def test_auroc_counts_a_tie_of_two_rows_as_half_a_pair():
    # Scores of class 1: .2 for the first two rows (labels 0 and 1), .8 for the third (label 1).
    logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]])
    assert AUROC().compute(predictions=logits, references=[0, 1, 1]) == {"auroc": pytest.approx(0.75)}


def test_auroc_leaves_out_a_class_without_rows(rows):
    logits, label, _ = rows
    label[label == 1] = 0
    shares = softmax(logits.astype(float), axis=1)
    areas = [sk.roc_auc_score(label == k, shares[:, k]) for k in (0, 2, 3)]
    assert AUROC().compute(predictions=logits, references=label) == {"auroc": pytest.approx(np.mean(areas))}


def test_auroc_of_rows_of_one_class_is_not_defined(rows):
    logits, label, target = rows
    assert np.isnan(AUROC().compute(predictions=logits, references=np.zeros_like(label))["auroc"])
    assert np.isnan(values.resampled_values(logits, np.zeros_like(label), target, 3, 0)["auroc"]).all()


def test_an_interval_passes_over_resamples_that_do_not_define_the_value():
    samples = np.array([0.2, np.nan, 0.4, 0.6, np.nan])
    assert values.interval(samples, 0.4) == values.interval(np.array([0.2, 0.4, 0.6]), 0.4)
    assert values.interval(samples, float("nan")) is None
    assert values.interval(np.array([np.nan]), 0.5) is None


def test_every_metric_has_one_way_to_be_resampled_and_a_module_that_names_its_value(rows):
    logits, label, target = rows
    for name, metric in METRICS.items():
        assert (metric.of_sums is None) != (metric.of_rows is None), name
        references = target if metric.module.of_shares else label
        assert metric.module().compute(predictions=logits, references=references).keys() == {name}


def test_resamples_are_those_of_a_plain_loop_over_drawn_rows(rows):
    logits, label, target = rows
    drawn = np.random.default_rng(11).integers(200, size=(5, 200))
    logits[::3] = logits[1]  # equal scores, so that there are ties
    got = values.resampled_values(logits, label, target, resamples=5, seed=11)
    for r, index in enumerate(drawn):
        expected = values.metric_values(logits[index], label[index], target[index])
        for name, value in expected.items():
            np.testing.assert_allclose(got[name][r], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_every_resample_is_drawn_again_when_memory_holds_only_a_few(rows, monkeypatch):
    logits, label, target = rows
    monkeypatch.setattr(values, "DRAWS_AT_ONCE", 200 * 3)
    got = values.resampled_values(logits, label, target, resamples=8, seed=0)
    assert got["accuracy"].shape == (8,) and got["recall"].shape == (8, 4)
    assert len(set(got["nll"])) == 8
