"""`python -m pipeline.evaluation RUN --sets 0.9`: sets of answers that hold what they must as often as they say.

The sets themselves need crepes (`pip install crepes`).
"""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.conformal import OF_LABEL, OF_PEOPLE, set_figures, threshold_of
from pipeline.evaluation.evaluate import main
from pipeline.evaluation.per_row import probabilities
from pipeline.evaluation.predictions import read_predictions
from tests.evaluation.test_evaluation import write_predictions

has_crepes = importlib.util.find_spec("crepes") is not None
with_crepes = pytest.mark.skipif(not has_crepes, reason="crepes is not installed")


def rows(split: str, n: int, seed: int, voters: int = 10) -> dict:
    """Rows of three classes whose votes are drawn from the very scores of the model, made too sure by a half."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, 3))
    votes = np.array([random.multinomial(voters, share) for share in probabilities(logits)])
    label = votes.argmax(1)
    target = votes / voters if voters > 1 else np.eye(3)[label]
    return {
        "split": [split] * n, "source": ["made"] * n, "key": [f"{split}{i}" for i in range(n)],
        "label": label.tolist(), "target": target.tolist(), "logits": (1.5 * logits).tolist(),
        "clean": [True] * n, "clean_near": [None] * n,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_predictions(tmp_path / "predictions.parquet", rows("validation", 1500, 0), rows("test", 1500, 1))
    return tmp_path


@with_crepes
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_threshold_is_the_quantile_of_split_conformal_prediction(coverage: float) -> None:
    random = np.random.default_rng(3)
    for n in (99, 100, 101, 199, 500):
        scores: NDArray = probabilities(random.normal(0, 2, (n, 7)))
        needed = np.eye(7, dtype=bool)[random.integers(0, 7, n)]
        lowest = np.sort(scores[needed])[::-1]
        kept = math.ceil(round((n + 1) * coverage, 9))  # of n rows, the least strange
        exact = abs((n + 1) * coverage - round((n + 1) * coverage)) < 1e-9  # there crepes may keep one row more
        assert threshold_of(scores, needed, coverage) in lowest[kept - 1 : kept + exact]


@with_crepes
def test_sets_hold_what_they_must_as_often_as_asked_and_sets_of_the_label_do_not_hold_all_votes(run: Path) -> None:
    found = set_figures(read_predictions(run / "predictions.parquet"), 0.9)
    assert found["rows"] == "official" and found["n"] == 1500
    of_label, of_people = found["sets"][OF_LABEL], found["sets"][OF_PEOPLE]
    for sets, of in ((of_label, OF_LABEL), (of_people, OF_PEOPLE)):
        assert sets["holds"][of]["value"] == pytest.approx(0.9, abs=0.025)
        assert sets["holds"][of]["low"] < sets["holds"][of]["value"] < sets["holds"][of]["high"]
    assert of_label["holds"][OF_PEOPLE]["value"] < 0.75, "the second answer of people is missing in many"
    assert of_people["classes_in_a_set"] > of_label["classes_in_a_set"] + 0.3
    assert sum(share["n"] for share in of_label["by_class"].values()) == 1500


@with_crepes
def test_without_test_rows_each_fifth_has_the_threshold_of_the_others(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", rows("validation", 60, 0))
    predictions = read_predictions(tmp_path / "predictions.parquet")
    scores, label = probabilities(predictions.logits), predictions.label
    needed = np.eye(3, dtype=bool)[label]
    fold = np.random.default_rng(predictions.seed).permutation(60) % 5
    held = [
        score >= threshold_of(scores[fold != each], needed[fold != each], 0.9)
        for score, each in zip(scores[needed], fold, strict=True)
    ]
    found = set_figures(predictions, 0.9)["sets"][OF_LABEL]
    assert found["holds"][OF_LABEL]["value"] == np.mean(held)
    assert found["threshold"] == threshold_of(scores, needed, 0.9)
    assert np.mean(held) != (scores[needed] >= found["threshold"]).mean(), "the rows would choose for themselves"


@with_crepes
def test_the_command_prints_sets_and_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {p.name: p.read_bytes() for p in run.iterdir()}
    main([str(run), "--sets", "0.9"])
    printed = capsys.readouterr().out
    assert "sets with a coverage of 0.9, 1,500 official rows" in printed and "nothing was written" in printed
    assert "hold every answer of 2 in 10 people: 0." in printed and "label held, anger (n " in printed
    assert {p.name: p.read_bytes() for p in run.iterdir()} == files


@with_crepes
def test_without_votes_there_are_sets_of_the_label_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(tmp_path / "predictions.parquet", rows("test", 200, 0, voters=1))
    main([str(tmp_path), "--sets", "0.9"])
    printed = capsys.readouterr().out
    assert "no row has votes" in printed and "people:" not in printed.replace("several people", "")


@with_crepes
def test_too_few_rows_for_a_coverage_are_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", rows("validation", 98, 0), rows("test", 30, 1))
    with pytest.raises(InputError, match="--sets 0.99 needs at least 99 rows to choose a threshold; there are 98"):
        main([str(tmp_path), "--sets", "0.99"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--sets", "90"], "--sets is 90; it must be above 0 and below 1"),
        (["--sets", "0"], "--sets is 0;"),
        (["--sets", "1"], "--sets is 1;"),
        (["--sets", "nan"], "--sets is nan;"),
        (["--sets", "-0.1"], "--sets is -0.1;"),
        (["--sets", "0.9", "--class_shares", "uniform"], "give one of them"),
        (["--sets", "0.9", "--tau", "0.5"], "give both, or neither"),
    ],
)
def test_wrong_coverages_are_refused_before_anything_is_read(words: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why):
        main([str(tmp_path / "no run"), *words])


def test_without_crepes_one_line_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crepes", None)
    with pytest.raises(InputError, match=r"^--sets needs another package: pip install crepes$"):
        main([str(run), "--sets", "0.9"])
