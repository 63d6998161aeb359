"""`--scores theirs.csv` on a benchmark without pictures: the figures, and what is refused."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as sk
from scipy.stats import binomtest, entropy

from pipeline.errors import InputError
from pipeline.evaluation.__main__ import main
from pipeline.evaluation.predictions import read_predictions
from pipeline.expressions import CLASSES
from pipeline.studies.any_model.report import most_disputed, surest_mistakes
from pipeline.studies.any_model.scores_file import read_scores
from tests.conftest import ROOT
from tests.studies.any_model.conftest import Judge, shares_of, write_scores

WITHOUT_TORCH = """
import sys
from pipeline.evaluation.__main__ import main
main(sys.argv[1:])
print("torch" in sys.modules, "transformers" in sys.modules)
"""


@dataclass(frozen=True)
class Judged:
    """A report: its folder, its evaluation.json, and what was printed."""

    out: Path
    evaluation: dict[str, Any]
    printed: str


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    return write_scores(tmp_path / "theirs.csv", list(CLASSES), shares_of(70, 7))


@pytest.fixture(scope="module")
def judged(benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """One evaluation that several tests look at."""
    place = tmp_path_factory.mktemp("first")
    path = write_scores(place / "theirs.csv", list(CLASSES), shares_of(70, 7))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        words = [
            "--scores",
            path,
            "--data_path",
            benchmark,
            "--output_dir",
            place / "out",
            "--bootstrap_resamples",
            100,
        ]
        main(list(map(str, words)))
    return Judged(place / "out", json.loads((place / "out" / "evaluation.json").read_text()), printed.getvalue())


def test_figures_are_those_of_scikit_learn(judged: Judged) -> None:
    evaluation = judged.evaluation
    shares, label = shares_of(70, 7), np.arange(70) % 7
    official = evaluation["official"]
    assert official["n"] == 70 and evaluation["clean"]["n"] == 56 and evaluation["clean_near"]["n"] == 46
    assert official["accuracy"]["value"] == pytest.approx(sk.accuracy_score(label, shares.argmax(1)))
    assert official["top2_accuracy"]["value"] == pytest.approx(sk.top_k_accuracy_score(label, shares, k=2))
    assert official["auroc"]["value"] == pytest.approx(sk.roc_auc_score(label, shares, multi_class="ovr"), abs=1e-6)
    brier = sk.brier_score_loss(label, shares, scale_by_half=False)
    assert official["brier"]["value"] == pytest.approx(brier, abs=1e-5)
    assert evaluation["data"]["other_splits"] == {"train": 14}
    assert evaluation["model"]["kind"] == "scores" and len(evaluation["model"]["scores_sha256"]) == 64


def test_neither_torch_nor_transformers_is_loaded(benchmark: Path, scores: Path, tmp_path: Path) -> None:
    words = ["--scores", scores, "--data_path", benchmark, "--output_dir", tmp_path / "j", "--bootstrap_resamples", 20]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False False"


def test_baselines_and_voters_stand_beside_the_figures(judged: Judged, benchmark: Path) -> None:
    evaluation, printed = judged.evaluation, judged.printed
    target = np.array(pq.read_table(benchmark / "test.parquet")["target"].to_pylist())
    label, answer = np.arange(70) % 7, shares_of(70, 7).argmax(1)
    beside = evaluation["baselines"]["official"]
    assert beside["majority_class"]["accuracy"]["value"] == pytest.approx(10 / 70)
    assert beside["one_voter"]["accuracy"]["value"] == pytest.approx(target[np.arange(70), label].mean(), abs=1e-6)
    assert beside["one_voter"]["agreement"]["value"] == pytest.approx((target**2).sum(1).mean(), abs=1e-6)
    assert beside["model_agreement"]["value"] == pytest.approx(target[np.arange(70), answer].mean(), abs=1e-6)
    by_class = np.mean([target[label == k, k].mean() for k in range(7)])
    assert beside["one_voter"]["balanced_accuracy"]["value"] == pytest.approx(by_class, abs=1e-6)
    assert evaluation["few_rows"]["official"]["labelled"] == dict.fromkeys(CLASSES, 10)
    assert "always anger" in printed and "one human voter" in printed and "fewer than 30 rows with the label" in printed


def test_intervals_over_persons_draw_persons(judged: Judged) -> None:
    evaluation = judged.evaluation
    persons, official = evaluation["by_person"]["official"], evaluation["official"]
    assert persons["persons"] == 8 and persons["rows_without_person"] == 7
    assert persons["accuracy"]["value"] == official["accuracy"]["value"]
    assert persons["accuracy"] != official["accuracy"]


def test_sheets_begin_with_the_surest_mistake_and_the_most_disputed_picture(judged: Judged) -> None:
    predictions, every = read_predictions(judged.out / "predictions.parquet"), np.arange(70)
    shares = shares_of(70, 7)
    wrong = np.flatnonzero(shares.argmax(1) != every % 7)
    surest = surest_mistakes(predictions, every)
    assert surest.tolist() == wrong[np.argsort(-shares.max(1)[wrong])][:24].tolist()
    disputed = most_disputed(predictions, every)
    bits = entropy(predictions.target, axis=1)
    assert len(disputed) == 24 and bits[disputed[0]] == bits.max() and (np.diff(bits[disputed]) <= 1e-6).all()
    clean = np.flatnonzero(predictions.clean)
    assert set(surest_mistakes(predictions, clean)) <= set(clean)


def test_an_evaluation_is_compared_with_another_in_pairs(
    judge: Judge, judged: Judged, benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_scores(tmp_path / "other.csv", list(CLASSES), shares_of(70, 7, seed=5))
    second = judge("--scores", other, "--data_path", benchmark, "--against", judged.out)
    compared = second["against"][str(judged.out)]
    assert compared["rows"] == {"both": 70, "only_here": 0, "only_there": 0}
    difference = second["official"]["accuracy"]["value"] - judged.evaluation["official"]["accuracy"]["value"]
    assert compared["official"]["accuracy"]["value"] == pytest.approx(difference)
    label = np.arange(70) % 7
    ours, theirs = (shares_of(70, 7, seed).argmax(1) == label for seed in (5, 0))
    of_mcnemar = binomtest(int((ours & ~theirs).sum()), int((ours != theirs).sum())).pvalue
    assert (
        compared["official"]["accuracy"]["p"] == pytest.approx(of_mcnemar) and compared["clean"]["accuracy"]["n"] == 56
    )
    assert compared["official"]["recall_fear"]["n"] == 10
    assert "70 rows in common" in capsys.readouterr().out
    assert "Less other evaluations" in (tmp_path / "judged" / "index.html").read_text()


@pytest.mark.slow
def test_a_pair_is_compared_on_the_rows_that_both_have(judge: Judge, benchmark: Path, tmp_path: Path) -> None:
    keys = [f"{split}-{n:03d}.png" for split, rows in (("train", 14), ("test", 70)) for n in range(rows)]
    every = write_scores(tmp_path / "all.csv", list(CLASSES), shares_of(84, 7), keys)
    judge("--scores", every, "--data_path", benchmark, "--split", "train", out="train")
    whole = judge("--scores", every, "--data_path", benchmark, "--split", "all", "--against", tmp_path / "train")
    assert whole["all"]["n"] == 84 and "official" not in whole
    rows = whole["against"][str(tmp_path / "train")]["rows"]
    assert rows == {"both": 14, "only_here": 70, "only_there": 0}
    with pytest.raises(InputError, match="no row in common"):
        judge("--scores", every, "--data_path", benchmark, "--against", tmp_path / "train", out="test")


def test_other_labels_and_other_classes_are_not_compared(
    judge: Judge, judged: Judged, benchmark: Path, scores: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(benchmark, tmp_path / "changed")
    table = pq.read_table(changed / "test.parquet")
    label = pa.array([3, *table["label"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(table.column_names.index("label"), "label", label), changed / "test.parquet")
    with pytest.raises(
        InputError, match=r"1 of 70 rows have another label there, such as test-000.png \(happiness and"
    ):
        judge("--scores", scores, "--data_path", changed, "--against", judged.out)
    (changed / "predictions.parquet").write_bytes((judged.out / "predictions.parquet").read_bytes())
    table = pq.read_table(changed / "predictions.parquet")
    about = json.loads(table.schema.metadata[b"fer"]) | {"classes": list(reversed(CLASSES))}
    pq.write_table(table.replace_schema_metadata({"fer": json.dumps(about)}), changed / "predictions.parquet")
    with pytest.raises(InputError, match="only equal classes can be compared"):
        judge("--scores", scores, "--data_path", benchmark, "--against", changed)
    assert not (tmp_path / "judged").exists()


@pytest.mark.slow
def test_seven_of_eight_classes_logits_and_a_split_column(judge: Judge, benchmark: Path, tmp_path: Path) -> None:
    names = ["Angry", "disgusted", "fearful", "happy", "Neutral", "sad", "surprised", "contempt"]
    shares = shares_of(70, 8)
    plain = judge("--scores", write_scores(tmp_path / "p.csv", names, shares), "--data_path", benchmark, out="p")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    logits = np.log(shares) + 3
    written = write_scores(tmp_path / "l.csv", names, logits).read_text().splitlines()
    with_split = [f"split,{lines[0]}", *(f"test,{line}" for line in written[1:])]
    (tmp_path / "l.csv").write_text("\n".join(with_split).replace(",", ";"))
    words = ("--scores", tmp_path / "l.csv", "--data_path", benchmark, "--scores_are", "logits")
    of_logits = judge(*words, out="l")
    for name in ("accuracy", "nll", "ece", "brier"):
        assert of_logits["official"][name]["value"] == pytest.approx(plain["official"][name]["value"], abs=1e-5)
    assert plain["model"]["classes"]["contempt"] is None and plain["model"]["classes"]["Angry"] == "anger"
    kept = shares[:, :7] / shares[:, :7].sum(1, keepdims=True)
    assert plain["official"]["accuracy"]["value"] == pytest.approx((kept.argmax(1) == np.arange(70) % 7).mean())


def test_rows_of_a_class_that_is_missing_stay_in_n_and_are_wrong(judge: Judge, benchmark: Path, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "six.csv", list(CLASSES[:6]), shares_of(70, 6))
    evaluation = judge("--scores", path, "--data_path", benchmark)
    assert evaluation["official"]["n"] == 70 and evaluation["model"]["missing"] == ["surprise"]
    assert evaluation["official"]["per_class"]["surprise"]["recall"]["value"] == 0
    assert evaluation["official"]["per_class"]["surprise"]["support"] == 10


def edited(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(line for line in lines if line))


ROW = "test-004.png" + ",0.1" * 6 + ",0.4"
REFUSED = {
    "no key": (1, "name,anger,disgust,fear,happiness,neutral,sadness,surprise", "no column key"),
    "a column of no class": (1, "key,anger,disgust,fear,happiness,neutral,sadness,label", "'label' is none of"),
    "two columns of one class": (1, "key,anger,angry,fear,happiness,neutral,sadness,surprise", "are both anger"),
    "one column twice": (
        1,
        "key,anger,anger,fear,happiness,neutral,sadness,surprise",
        "two columns are called 'anger'",
    ),
    "nan": (6, ROW.replace("0.4", "nan"), "line 6: surprise is nan"),
    "empty": (6, ROW.replace("0.4", ""), "line 6: surprise is ''"),
    "a decimal comma": (6, ROW.replace("0.4", '"0,4"'), "line 6: surprise is '0,4'"),
    "a field less": (6, "test-004.png,0.5,0.5", "line 6: 3 fields where the header names 8"),
    "no sum": (6, ROW.replace("0.4", "0.9"), "test-004.png sum to 1.5"),
    "an unknown key": (6, ROW.replace("004", "999"), "line 6: key test-999.png is not in the data"),
    "a key twice": (6, ROW.replace("004", "000"), "line 6: test-000.png stands on line 2 too"),
    "a key that is empty": (6, ROW.replace("test-004.png", ""), "line 6: the key is empty"),
    "a row less": (6, "", "no row for 1 of 70 rows of test, such as test-004.png"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_file_of_scores_is_refused_in_one_line(
    kind: str, judge: Judge, benchmark: Path, scores: Path, tmp_path: Path
) -> None:
    line, text, message = REFUSED[kind]
    edited(scores, line, text)
    with pytest.raises(InputError, match=message) as refused:
        judge("--scores", scores, "--data_path", benchmark)
    assert "\n" not in str(refused.value) and not (tmp_path / "judged").exists()


SCALES = {
    "percentages": (lambda shares: 100 * shares, "these are percentages: divide them by 100$"),
    "logits": (lambda shares: np.log(shares), "logits are named as such with --scores_are logits"),
    "a class less than the model has": (lambda shares: 0.9 * shares, "give a column for every class of the model"),
    "one row of logits": (
        lambda shares: np.vstack([shares[:3], 3 * shares[3:4], shares[4:]]),
        r"sum to 3, .*\(1 such rows\); .*logits are named as such",
    ),
}


@pytest.mark.parametrize("kind", SCALES)
def test_scores_that_do_not_sum_to_1_are_called_what_they_are(
    kind: str, judge: Judge, benchmark: Path, tmp_path: Path
) -> None:
    change, message = SCALES[kind]
    path = write_scores(tmp_path / "s.csv", list(CLASSES), change(shares_of(70, 7)))
    with pytest.raises(InputError, match=message) as refused:
        judge("--scores", path, "--data_path", benchmark)
    assert "\n" not in str(refused.value) and ("--scores_are" in str(refused.value)) == ("logits" in kind)


def test_probabilities_that_are_called_logits_are_refused(judge: Judge, benchmark: Path, scores: Path) -> None:
    with pytest.raises(InputError, match="all 70 rows sum to 1 .* not logits: leave --scores_are out"):
        judge("--scores", scores, "--data_path", benchmark, "--scores_are", "logits")


def test_another_encoding_is_read_by_its_mark_or_refused(
    judge: Judge, benchmark: Path, scores: Path, tmp_path: Path
) -> None:
    text = scores.read_text()
    (tmp_path / "marked.csv").write_text(text, encoding="utf-16")
    assert np.array_equal(read_scores(tmp_path / "marked.csv").scores, read_scores(scores).scores)
    scores.write_bytes(text.replace("test-004", "t\xe9st-004").encode("cp1252"))
    with pytest.raises(InputError, match="line 6: the byte 0xe9 is not UTF-8; .*--csv_encoding"):
        judge("--scores", scores, "--data_path", benchmark)
    with pytest.raises(InputError, match="line 6: key tést-004.png is not in the data"):
        judge("--scores", scores, "--data_path", benchmark, "--csv_encoding", "cp1252")


def changed(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values, place = table[column].to_pylist(), table.column_names.index(column)
    values[row] = value
    return table.set_column(place, column, pa.array(values, table.schema.field(column).type))


BAD_BENCHMARKS = {
    "no label": (lambda t: changed(t, "label", 3, None), "test-003.png has no label"),
    "a label outside": (lambda t: changed(t, "label", 3, 7), "test-003.png has no label"),
    "votes that are no shares": (
        lambda t: changed(t, "target", 3, [2, 0, 0, 0, 0, 0, -1]),
        "test-003.png has no label",
    ),
    "votes that are not finite": (lambda t: changed(t, "target", 3, [float("nan")] * 7), "test-003.png has no label"),
    "no key": (lambda t: changed(t, "key", 3, None), "row 3 has no key"),
    "a key twice": (lambda t: changed(t, "key", 3, "test-000.png"), "test-000.png a second time"),
    "no rows": (lambda t: t.slice(0, 0), "has no rows of test"),
    "no column of votes": (lambda t: t.drop_columns(["target"]), "lacks target"),
    "no names of classes": (lambda t: t.replace_schema_metadata(None), "does not name its classes"),
}


@pytest.mark.parametrize("kind", BAD_BENCHMARKS)
def test_a_bad_benchmark_is_refused_in_one_line(
    kind: str, judge: Judge, benchmark: Path, scores: Path, tmp_path: Path
) -> None:
    place, (change, message) = shutil.copytree(benchmark, tmp_path / "bad"), BAD_BENCHMARKS[kind]
    pq.write_table(change(pq.read_table(place / "test.parquet")), place / "test.parquet")
    with pytest.raises(InputError, match=message) as refused:
        judge("--scores", scores, "--data_path", place)
    assert "\n" not in str(refused.value)


def test_a_split_that_the_data_contradicts_is_refused(judge: Judge, benchmark: Path, scores: Path) -> None:
    lines = scores.read_text().splitlines()
    scores.write_text("\n".join([f"{lines[0]},split", *(f"{line},train" for line in lines[1:])]))
    with pytest.raises(InputError, match="test-000.png is of 'train' there and of test in the data"):
        judge("--scores", scores, "--data_path", benchmark)
    scores.write_text("\n".join([f"{lines[0]},source", *(f"{line},RAF-DB" for line in lines[1:])]))
    with pytest.raises(
        InputError, match=r"line 2: key test-000.png of source RAF-DB is not in the data \(70 such rows"
    ):
        judge("--scores", scores, "--data_path", benchmark)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "none.csv", "--data_path", "."], "none.csv: no such file"),
        (["--scores", "S"], "--data_path is missing"),
        (["--scores", "S", "--model", "M", "--data_path", "B"], "one of --model and --scores"),
        (["--data_path", "B"], "one of --model and --scores"),
        (
            ["--scores", "S", "--data_path", "B", "--split", "validation"],
            "name the rows to evaluate with --split train",
        ),
        (["--scores", "S", "--data_path", "B", "--learning_rate", "1"], "--learning_rate is not an option here"),
        (["--scores", "S", "--data_path", "B", "--leaks", "report"], "--leaks has no effect"),
        (["--scores", "S", "--data_path", "B", "--label_rule", "plurality"], "--label_rule has no effect"),
        (["--scores", "S", "--data_path", "B", "--model_classes", "a,b"], "--model_classes is for a folder"),
        (["--scores", "S", "--data_path", "B", "--classes", "anger,fear"], "leave --classes out"),
        (["--scores", "S", "--data_path", "B", "--against", "B"], "no predictions.parquet"),
        (["--model", "x/y.bin", "--data_path", "B", "--scores_are", "logits"], "--scores_are is for a file of scores"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(
    words: list[str], message: str, judge: Judge, benchmark: Path, scores: Path
) -> None:
    named = {"S": scores, "B": benchmark}
    with pytest.raises(InputError, match=message):
        judge(*(named.get(word, word) for word in words))
