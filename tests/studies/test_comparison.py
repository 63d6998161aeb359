"""The paired test against closed forms, and a study against values worked out by hand."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.studies.comparison import paired_difference, sign_flip_p
from pipeline.studies.study import over_seeds, read_study
from pipeline.studies.table import comparisons, text_of
from tests.evaluation.test_evaluation import drawn_rows, write_predictions


def test_with_one_seed_it_is_the_exact_test_of_mcnemar() -> None:
    ours, theirs = np.zeros((1, 3000), bool), np.zeros((1, 3000), bool)
    ours[0, :60], theirs[0, 60:100] = True, True  # right only in ours, only in theirs
    ours[0, 500:], theirs[0, 500:] = True, True
    one = paired_difference(ours, theirs, 20_000, 0)
    assert one.value == pytest.approx(20 / 3000)
    assert one.p == pytest.approx(binomtest(60, 100).pvalue)
    error = np.sqrt(100 / 3000 - one.value**2) / np.sqrt(3000)  # of the mean of +1, 0 and -1
    assert (one.low, one.high) == pytest.approx(norm.interval(0.95, one.value, error), abs=4e-4)


def test_with_several_seeds_the_p_value_is_that_of_all_signs() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((3, 12)) < 0.8, rng.random((2, 12)) < 0.5
    points = 2 * ours.sum(0) - 3 * theirs.sum(0)
    sums = [abs(np.dot(signs, points)) for signs in product((-1, 1), repeat=12)]
    one = paired_difference(ours, theirs, 10, 0)
    assert one.p == pytest.approx(np.mean(np.array(sums) >= abs(points.sum())))
    assert one.value == pytest.approx(ours.mean() - theirs.mean())


def test_seeds_that_answer_alike_do_not_count_as_more_rows() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.random((1, 200)) < 0.8, rng.random((1, 200)) < 0.7
    thrice = paired_difference(np.repeat(ours, 3, 0), np.repeat(theirs, 3, 0), 500, 0)
    assert thrice == paired_difference(ours, theirs, 500, 0)


def test_no_difference_has_p_one() -> None:
    assert sign_flip_p(np.zeros(5, np.int64)) == 1
    assert sign_flip_p(np.array([2, -2])) == 1


def study(folder: Path, name: str, seeds: int, noise: float) -> list[Path]:
    """Runs on the same 63 clean validation rows, every second one with its rows in another order."""
    runs = []
    for seed in range(seeds):
        rows = drawn_rows("validation", 70)
        random = np.random.default_rng(seed)
        rows["logits"] = (np.array(rows["logits"]) + random.normal(0, noise, (70, 3))).tolist()
        order = random.permutation(70) if seed % 2 else range(70)
        runs.append(folder / f"{name}-seed-{seed}")
        runs[-1].mkdir()
        ordered = {column: [values[i] for i in order] for column, values in rows.items()}
        write_predictions(runs[-1] / "predictions.parquet", ordered, seed=seed)
    return runs


def test_a_study_is_the_mean_and_range_of_its_runs_whatever_the_order_of_rows(tmp_path: Path) -> None:
    runs = study(tmp_path, "one", 3, 0.5)
    each = [evaluate_predictions(run / "predictions.parquet")["validation"] for run in runs]
    found = over_seeds(read_study(runs, "validation"), ["fear"])
    for name in ("accuracy", "macro_f1", "auroc", "nll", "ece"):
        values = [one[name]["value"] for one in each]
        assert (found[name].mean, found[name].least, found[name].greatest) == pytest.approx(
            (np.mean(values), min(values), max(values)), abs=0.01 if name == "ece" else 1e-9
        )  # the correction of ECE depends on the resamples, and those of a run on its own seed
    fear = [one["per_class"]["fear"]["recall"]["value"] for one in each]
    assert found["recall_fear"].mean == pytest.approx(np.mean(fear))
    one, first = over_seeds(read_study(runs[:1], "validation"), [])["nll"], each[0]["nll"]
    assert (one.low, one.high) == pytest.approx((first["low"], first["high"]), abs=0.03)


def test_studies_are_compared_on_each_row_set_and_class(tmp_path: Path) -> None:
    ours, theirs = study(tmp_path, "ours", 3, 0.1), study(tmp_path, "theirs", 2, 3.0)
    one, other = (read_study(runs, "validation") for runs in (ours, theirs))
    found = comparisons(one, {"theirs": theirs})
    assert found["theirs"]["accuracy"].value == pytest.approx(one.right.mean() - other.right.mean())
    assert found["theirs"]["accuracy"].p < 0.001 and found["theirs"]["accuracy"].low > 0
    of_fear = one.label == one.classes.index("fear")
    recall = found["theirs"]["recall_fear"]
    assert (recall.n, recall.value) == (
        of_fear.sum(),
        pytest.approx(one.right[:, of_fear].mean() - other.right[:, of_fear].mean()),
    )
    assert f"fear (n {of_fear.sum()})" in text_of(one, found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": lambda rows: ["other", *rows["key"][1:]]}, "1 of the first and 1 of the second have no partner"),
        (
            {"label": lambda rows: [(rows["label"][1] + 1) % 3 if i == 1 else k for i, k in enumerate(rows["label"])]},
            "1 have two labels",
        ),
        ({"key": lambda rows: [rows["key"][2], *rows["key"][1:]]}, "rows of one name cannot be compared"),
        ({"split": lambda rows: ["test"] * 70}, "has no validation rows"),
    ],
    ids=["rows", "labels", "names", "sets"],
)
def test_only_equal_rows_are_compared(tmp_path: Path, change: dict, words: str) -> None:
    rows = drawn_rows("validation", 70, clean=[True] * 70)
    changed = rows | {name: make(rows) for name, make in change.items()}
    for name, columns in (("one", rows), ("other", changed)):
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name / "predictions.parquet", columns)
    with pytest.raises(InputError, match=words) as error:
        read_study([tmp_path / "one", tmp_path / "other"], "validation")
    assert "\n" not in str(error.value)
