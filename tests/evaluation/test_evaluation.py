import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError, end_in_one_line
from pipeline.evaluation.evaluate import evaluate_predictions, main, write_evaluation, write_figures
from pipeline.evaluation.metrics import ECE, METRICS
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.row_sets import most_important
from pipeline.evaluation.tasks import format_table
from pipeline.evaluation.values import metric_values, resampled_values
from pipeline.run_folder import read_json, seal, sha256, verify

ROOT = Path(__file__).parents[2]
CLASSES = ["anger", "disgust", "fear"]
METADATA = {"classes": CLASSES, "label_rule": "majority", "seed": 7, "resamples": 200, "recipe": "quickstart"}


def drawn_rows(split: str, n: int, seed: int = 0, clean: list[bool | None] | None = None, votes: bool = True) -> dict:
    """Columns of n predictions that are right about three times in four."""
    random = np.random.default_rng(seed)
    target = random.dirichlet([2.0, 1.0, 1.0], n)
    label = target.argmax(1)
    logits = np.log(target + 0.05) + random.normal(0, 0.7, target.shape)
    return {
        "split": [split] * n,
        "source": ["drawn"] * n,
        "key": [f"{split}{i}" for i in range(n)],
        "label": label.tolist(),
        "target": (target if votes else np.eye(3)[label]).tolist(),
        "logits": logits.tolist(),
        "clean": clean if clean is not None else [i % 10 != 0 for i in range(n)],
        "clean_near": [None] * n,
    }


def write_predictions(path: Path, *parts: dict, without: str | None = None, **metadata) -> Path:
    """predictions.parquet of the columns in `parts`, one under the other."""
    types = {
        "split": pa.string(),
        "source": pa.string(),
        "key": pa.string(),
        "label": pa.int32(),
        "target": pa.list_(pa.float32()),
        "logits": pa.list_(pa.float32()),
        "clean": pa.bool_(),
        "clean_near": pa.bool_(),
        "mirrored": pa.list_(pa.float32()),
    }
    names = [name for name in types if name != without and name in parts[0]]
    columns = {name: sum((part[name] for part in parts), []) for name in names}
    table = pa.table(columns, schema=pa.schema([(name, types[name]) for name in names]))
    pq.write_table(table.replace_schema_metadata({b"fer": json.dumps(METADATA | metadata)}), path)
    return path


@pytest.fixture
def path(tmp_path):
    """Predictions on 100 validation rows and 120 test rows, a tenth of them copies."""
    return write_predictions(
        tmp_path / "predictions.parquet", drawn_rows("validation", 100), drawn_rows("test", 120, 1)
    )


def test_validation_holds_clean_rows_official_all_test_rows_and_clean_its_clean_ones(path):
    evaluation = evaluate_predictions(path)
    assert {name: evaluation[name]["n"] for name in ("validation", "official", "clean")} == {
        "validation": 90,
        "official": 120,
        "clean": 108,
    }
    assert [evaluation[name]["split"] for name in ("validation", "official", "clean")] == ["validation", "test", "test"]


def test_near_copies_make_a_row_set_where_they_were_looked_for(tmp_path):
    rows = drawn_rows("test", 60)
    rows["clean_near"] = [i % 5 != 0 for i in range(60)]
    evaluation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", drawn_rows("validation", 50), rows))
    assert {name: evaluation[name]["n"] for name in ("official", "clean", "clean_near")} == {
        "official": 60,
        "clean": 54,
        "clean_near": 48,
    }
    assert "near copy" in evaluation["clean_near"]["rows"]


def test_several_sources_are_reported_together_and_one_by_one(tmp_path):
    parts = [drawn_rows("validation", 50), drawn_rows("validation", 30, 1), drawn_rows("test", 60, 2)]
    parts[1]["source"] = ["photos"] * 30
    path = write_predictions(tmp_path / "p.parquet", *parts)
    evaluation = evaluate_predictions(path)
    assert evaluation["validation"]["n"] == 72
    counts = {
        source: {name: rows["n"] for name, rows in sets.items()} for source, sets in evaluation["per_source"].items()
    }
    assert counts == {"drawn": {"validation": 45, "official": 60, "clean": 54}, "photos": {"validation": 27}}
    photos = evaluation["per_source"]["photos"]["validation"]
    only = evaluate_predictions(write_predictions(tmp_path / "only.parquet", parts[1]))["validation"]
    assert photos["accuracy"] == only["accuracy"] and photos["rows"].endswith("photos only")
    assert "per_source" not in evaluate_predictions(tmp_path / "only.parquet")
    assert re.search(r"^validation, photos +27 ", format_table(evaluation), re.MULTILINE)


def with_mirrored(rows: dict, seed: int = 9) -> dict:
    """`rows` with the logits of the mirrored pictures, which have another error."""
    random = np.random.default_rng(seed)
    logits = np.log(np.array(rows["target"]) + 0.05) + random.normal(0, 0.7, (len(rows["label"]), 3))
    return rows | {"mirrored": (logits + random.normal(0, 5, (len(logits), 1))).tolist()}


def test_flip_averages_are_the_metrics_of_the_mean_score_and_change_no_plain_metric(tmp_path):
    parts = [drawn_rows("validation", 50), drawn_rows("test", 120, 1)]
    plain = evaluate_predictions(write_predictions(tmp_path / "plain.parquet", *parts))
    rows = [with_mirrored(part) for part in parts]
    both = evaluate_predictions(write_predictions(tmp_path / "both.parquet", *rows))
    averaged = both.pop("flip_average")
    assert both == plain and averaged.keys() == {"validation", "official", "clean"}
    scores = [
        np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in map(np.array, (rows[1]["logits"], rows[1]["mirrored"]))
    ]
    mean, label, target = sum(scores) / 2, np.array(rows[1]["label"]), np.array(rows[1]["target"])
    official = averaged["official"]
    assert official["n"] == 120 and official["accuracy"]["value"] == (mean.argmax(1) == label).mean()
    assert official["nll"]["value"] == pytest.approx(-(target * np.log(mean)).sum(1).mean(), rel=1e-5)
    assert official["accuracy"]["value"] > plain["official"]["accuracy"]["value"], "two errors average out"


def test_the_table_names_flip_averages(tmp_path):
    rows = with_mirrored(drawn_rows("test", 60) | {"clean_near": [True] * 60})
    table = format_table(evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows)))
    assert re.search(r"^official, flip average +60  0\.", table, re.M) and max(map(len, table.splitlines())) <= 100


def test_damaged_logits_of_mirrored_pictures_are_named(tmp_path):
    for place, value, message in ((4, [0.0, 1.0, float("inf")], r"row 4 .* not finite"), (2, None, "differ in length")):
        rows = with_mirrored(drawn_rows("test", 10))
        rows["mirrored"][place] = value
        with pytest.raises(InputError, match=message):
            evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))


def test_with_a_closed_test_split_there_is_only_validation(tmp_path):
    evaluation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", drawn_rows("validation", 50)))
    assert set(evaluation) == {"classes", "interval", "resamples", "recipe", "metrics", "validation"}
    assert most_important(evaluation) == "validation"


def test_test_rows_whose_copies_are_unknown_make_no_clean_set(tmp_path):
    rows = drawn_rows("test", 60, clean=[None] * 60)
    evaluation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", drawn_rows("validation", 50), rows))
    assert "clean" not in evaluation and evaluation["official"]["n"] == 60


def test_validation_rows_whose_copies_are_unknown_all_count_and_the_words_say_so(tmp_path):
    rows = drawn_rows("validation", 60, clean=[None] * 60)
    validation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))["validation"]
    assert validation["n"] == 60 and "not looked for" in validation["rows"]


def test_every_value_lies_inside_its_interval_with_n_seed_split_and_label_rule(path):
    official = evaluate_predictions(path)["official"]
    per_class = [figure for name in CLASSES for figure in official["per_class"][name].values()]
    intervals = [value for value in (*official.values(), *per_class) if isinstance(value, dict) and "low" in value]
    assert len(intervals) == len(METRICS) + 1 + 3 * 3, "one more: human agreement"
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in intervals)
    assert all(figure["low"] < figure["high"] for figure in intervals)
    about = ("n", "seed", "split", "label_rule", "rows")
    assert [official[key] for key in about] == [120, 7, "test", "majority", "all test rows"]


def test_values_are_those_of_the_metric_modules(path):
    predictions, official = read_predictions(path), evaluate_predictions(path)["official"]
    held = predictions.split == "test"
    logits, label, target = predictions.logits[held], predictions.label[held], predictions.target[held]
    expected = metric_values(logits, label, target)
    for name in (name for name, metric in METRICS.items() if not metric.biased):
        assert official[name]["value"] == expected[name]
    assert official["ece"]["value"] < expected["ece"], "corrected"
    for k, name in enumerate(CLASSES):
        assert official["per_class"][name]["f1"]["value"] == expected["f1"][k]
        assert official["per_class"][name]["support"] == (label == k).sum()
    matrix = np.array(official["confusion_matrix"])
    assert matrix.trace() / matrix.sum() == official["accuracy"]["value"]
    assert matrix.sum(1).tolist() == np.bincount(label).tolist()


def test_intervals_run_from_the_2_5th_to_the_97_5th_percentile_of_the_resamples(path):
    predictions, official = read_predictions(path), evaluate_predictions(path)["official"]
    held = predictions.split == "test"
    rows = predictions.logits[held], predictions.label[held], predictions.target[held]
    samples = resampled_values(*rows, resamples=200, seed=7)
    for got, sample in (
        (official["accuracy"], samples["accuracy"]),
        (official["nll"], samples["nll"]),
        (official["auroc"], samples["auroc"]),
        (official["per_class"]["disgust"]["recall"], samples["recall"][:, 1]),
    ):
        assert [got["low"], got["high"]] == pytest.approx(np.percentile(sample, (2.5, 97.5)))


def test_the_interval_of_the_calibration_error_of_a_well_calibrated_model_begins_at_0(tmp_path):
    rows = drawn_rows("test", 100)
    # As often right as sure in each of five bins: the error is 0 on the rows, and above 0 on every resample.
    sure = np.repeat([0.5, 0.6, 0.75, 0.8, 0.9], 20)
    rows["label"] = [0 if i % 20 < 20 * sure[i] - 1e-9 else 1 for i in range(100)]
    rows["logits"] = np.log(np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)).tolist()
    error = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))["official"]["ece"]
    assert error["low"] == error["value"] == pytest.approx(0, abs=1e-6) and error["high"] > 0.05


def test_the_calibration_error_lies_within_its_interval_and_chance_is_taken_off(tmp_path):
    random = np.random.default_rng(5)
    rows = drawn_rows("test", 600)
    sure = random.uniform(0.4, 1, 600)  # exactly calibrated: each row is right with the probability that it states
    rows["label"] = np.where(random.random(600) < sure, 0, 1).tolist()
    rows["logits"] = np.log(np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1) + 1e-9).tolist()
    path = write_predictions(tmp_path / "p.parquet", rows)
    error, logits = evaluate_predictions(path)["official"]["ece"], np.array(rows["logits"], dtype=np.float32)
    plain = ECE().compute(predictions=logits, references=rows["label"])["ece"]
    assert error["low"] < 0.01 and error["value"] < 0.75 * plain
    assert error["low"] <= error["value"] < error["high"]


def test_human_agreement_is_the_mean_vote_share_of_the_label(path):
    predictions = read_predictions(path)
    held = predictions.split == "test"
    shares = predictions.target[held][np.arange(120), predictions.label[held]]
    assert evaluate_predictions(path)["official"]["human_agreement"]["value"] == pytest.approx(shares.mean())


def test_labels_without_votes_say_nothing_of_people(tmp_path):
    rows = drawn_rows("validation", 50, votes=False)
    evaluation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))
    assert "human_agreement" not in evaluation["validation"]
    assert "voter" not in format_table(evaluation)


def rows_right_with_probability(share: float, n: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    label = random.integers(2, size=n)
    predicted = np.where(random.random(n) < share, label, 1 - label)
    return np.eye(2, dtype=np.float32)[predicted], label, np.eye(2, dtype=np.float32)[label]


def test_the_interval_of_accuracy_is_as_wide_as_the_binomial_formula_says():
    logits, label, target = rows_right_with_probability(0.87, 3136, np.random.default_rng(0))
    accuracy = resampled_values(logits, label, target, resamples=2000, seed=0)["accuracy"]
    low, high = np.percentile(accuracy, (2.5, 97.5))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.87 * 0.13 / 3136), rel=0.1)


def test_the_interval_of_accuracy_holds_the_true_share_about_95_times_in_100():
    random, held = np.random.default_rng(0), 0
    for trial in range(200):
        logits, label, target = rows_right_with_probability(0.8, 400, random)
        accuracy = resampled_values(logits, label, target, resamples=400, seed=trial)["accuracy"]
        low, high = np.percentile(accuracy, (2.5, 97.5))
        held += low <= 0.8 <= high
    assert 180 <= held <= 199


def test_the_same_file_gives_the_same_values_and_another_seed_other_intervals(path, tmp_path):
    parts = drawn_rows("validation", 100), drawn_rows("test", 120, 1)
    other = evaluate_predictions(write_predictions(tmp_path / "other.parquet", *parts, seed=8))
    assert evaluate_predictions(path) == evaluate_predictions(path)
    assert other["official"]["nll"]["value"] == evaluate_predictions(path)["official"]["nll"]["value"]
    assert other["official"]["nll"]["low"] != evaluate_predictions(path)["official"]["nll"]["low"]


def test_a_changed_prediction_changes_the_values(path, tmp_path):
    rows = drawn_rows("test", 120, 1)
    right = next(i for i in range(120) if int(np.argmax(rows["logits"][i])) == rows["label"][i])
    rows["logits"][right] = [9.0 * (k != rows["label"][right]) for k in range(3)]
    changed = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))["official"]
    official = evaluate_predictions(path)["official"]
    assert changed["accuracy"]["value"] == pytest.approx(official["accuracy"]["value"] - 1 / 120)
    assert all(changed[name]["value"] != official[name]["value"] for name in METRICS)


def test_a_class_with_a_single_row_gets_the_widest_interval(tmp_path):
    rows = drawn_rows("test", 60)
    rows["label"] = [2] + [i % 2 for i in range(59)]
    rows["logits"] = np.eye(3)[rows["label"]].tolist()
    recall = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))["official"]["per_class"]["fear"]
    assert recall["recall"] == {"value": 1, "low": 0, "high": 1} and recall["support"] == 1


def test_rows_that_are_all_wrong_or_all_right_do_not_make_an_interval_without_width(tmp_path):
    rows = drawn_rows("validation", 90)
    rows["label"] = [0] * 54 + [1] * 18 + [2] * 18
    rows["logits"] = np.repeat(np.eye(3), [72, 0, 18], axis=0).tolist()  # disgust is never seen, fear always
    per_class = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows | {"clean": [True] * 90}))[
        "validation"
    ]["per_class"]
    missed, found = per_class["disgust"]["recall"], per_class["fear"]["recall"]
    assert (missed["low"], missed["high"]) == (0, pytest.approx(1 - 0.025 ** (1 / 18)))
    assert (found["low"], found["high"]) == (pytest.approx(0.025 ** (1 / 18)), 1)
    assert per_class["disgust"]["precision"] == {"value": 0, "low": 0, "high": 0}, "of no row at all"
    assert per_class["fear"]["precision"]["low"] == found["low"]


def test_the_table_names_rows_intervals_classes_and_people_within_100_columns(path):
    evaluation = evaluate_predictions(path)
    table = format_table(evaluation)
    accuracy = evaluation["official"]["accuracy"]
    assert f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in table
    assert [line.split()[0] for line in table.splitlines()[1:4]] == ["official", "clean", "validation"]
    assert all(f"\n{name} " in table for name in CLASSES)
    assert "one voter drawn at random" in table
    assert max(map(len, table.splitlines())) <= 100


def test_the_table_says_which_class_has_no_rows(tmp_path):
    rows = drawn_rows("test", 40)
    rows["label"] = [i % 2 for i in range(40)]
    table = format_table(evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows)))
    assert "no official rows of fear" in table


def test_the_metrics_are_listed_with_what_a_reader_needs_to_know(path):
    evaluation = evaluate_predictions(path)
    assert list(evaluation["metrics"]) == list(METRICS)
    assert evaluation["metrics"]["auroc"] == {
        "title": "AUROC",
        "meaning": METRICS["auroc"].meaning,
        "greater_is_better": True,
        "hub_id": "roc_auc",
        "table": "value",
        "needs_votes": False,
    }
    for name, facts in evaluation["metrics"].items():
        assert name in evaluation["official"] and facts["meaning"], name
    titles = format_table(evaluation).splitlines()[0]
    assert all((facts["title"] in titles) == bool(facts["table"]) for facts in evaluation["metrics"].values())


def test_a_metric_that_the_rows_do_not_define_is_named_and_nan_is_never_written(tmp_path):
    rows = drawn_rows("test", 40)
    rows["label"] = [1] * 40
    evaluation = evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))
    assert "auroc" not in evaluation["official"] and evaluation["official"]["undefined"] == ["auroc"]
    assert re.search(r"^official .*\]  -  ", format_table(evaluation), re.MULTILINE)
    write_evaluation(tmp_path, evaluation)
    assert (
        "undefined"
        not in evaluate_predictions(write_predictions(tmp_path / "q.parquet", drawn_rows("test", 40)))["official"]
    )


def test_evaluation_json_is_written_in_one_step_and_is_strict_json(path, tmp_path):
    evaluation = evaluate_predictions(path)
    write_evaluation(tmp_path, evaluation)
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) == evaluation
    with pytest.raises(ValueError, match="JSON"):
        write_evaluation(tmp_path, {"accuracy": float("nan")})
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) == evaluation


def test_figures_are_drawn_from_predictions_only(path, tmp_path):
    drawn = write_figures(path, tmp_path / "figures")
    assert [file.name for file in drawn] == [
        "confusion_matrix.png",
        "reliability.png",
        "risk_coverage.png",
    ]
    assert all(file.stat().st_size > 10_000 for file in drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "do not fit the 3 classes"),
        ({"label": None}, "do not fit the 3 classes"),
        ({"logits": [0.0, 1.0]}, "differ in length"),
        ({"logits": [0.0, 1.0, float("nan")]}, r"row 4 \(test4\) .* not finite"),
    ],
)
def test_values_that_do_not_fit_are_named(tmp_path, change, message):
    rows = drawn_rows("test", 10)
    for name, value in change.items():
        rows[name][4] = value
    with pytest.raises(InputError, match=message):
        evaluate_predictions(write_predictions(tmp_path / "p.parquet", rows))


def test_predictions_without_a_row_to_evaluate_are_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to evaluate"):
        copies = drawn_rows("validation", 10, clean=[False] * 10)
        evaluate_predictions(write_predictions(tmp_path / "p.parquet", copies))
    with pytest.raises(InputError, match="0 rows"):
        evaluate_predictions(write_predictions(tmp_path / "p.parquet", drawn_rows("test", 0)))
    with pytest.raises(InputError, match="0 resamples"):
        evaluate_predictions(write_predictions(tmp_path / "p.parquet", drawn_rows("test", 10), resamples=0))


def test_a_parquet_file_of_another_origin_is_refused(tmp_path):
    path = write_predictions(tmp_path / "p.parquet", drawn_rows("test", 9))
    table = pq.read_table(path).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(InputError, match="lacks metadata"):
        evaluate_predictions(tmp_path / "q.parquet")


def evaluation_command(run: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.evaluation", str(run)], cwd=ROOT, capture_output=True, text=True, check=False
    )


DESCRIBING = ("config.json", "curation.json", "preprocessor_config.json", "recipe.yaml")


@pytest.fixture
def run(tmp_path):
    """A finished run folder, as far as evaluation sees it."""
    folder = tmp_path / "runs" / "lr=0.001"
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.parquet", drawn_rows("validation", 100), drawn_rows("test", 120, 1))
    (folder / "model.safetensors").write_bytes(b"weights")
    for name in DESCRIBING:
        (folder / name).write_text("{}", encoding="utf-8")
    hashes = {name: sha256(folder / name) for name in ("predictions.parquet", "model.safetensors", *DESCRIBING)}
    seal(folder, {"precision": "fp32", "sha256": hashes}, {"stale": True})
    return folder


FIGURES = ("figures/confusion_matrix.png", "figures/reliability.png", "figures/risk_coverage.png")
SEALED = {"predictions.parquet", "model.safetensors", *FIGURES, *DESCRIBING}


def test_the_command_makes_metrics_and_figures_again_and_seals_the_run(run):
    done = evaluation_command(run)
    evaluation, environment = read_json(run / "evaluation.json"), read_json(run / "environment.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert evaluation.pop("sha256").keys() == {"environment.json", "evaluation.json"}
    assert evaluation == evaluate_predictions(run / "predictions.parquet")
    assert done.stdout.startswith(format_table(evaluation) + "\n") and f"wrote {run}" in done.stdout
    assert environment["precision"] == "fp32" and environment["sha256"].keys() == SEALED
    verify(run)
    assert {path.name for path in run.iterdir()} == {name.partition("/")[0] for name in SEALED} | {
        "environment.json",
        "evaluation.json",
    }


@pytest.mark.slow
def test_the_command_gives_a_run_with_the_older_seal_the_one_of_today(run):
    """Until then environment.json held the hash of evaluation.json too, and evaluation.json none."""
    write_evaluation(run, {"stale": True})
    environment = read_json(run / "environment.json")
    environment["sha256"]["evaluation.json"] = sha256(run / "evaluation.json")
    (run / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    verify(run)
    assert evaluation_command(run).returncode == 0
    verify(run)
    assert read_json(run / "environment.json")["sha256"].keys() == SEALED
    assert read_json(run / "evaluation.json")["sha256"]["environment.json"] == sha256(run / "environment.json")


def test_what_was_changed_since_the_run_was_sealed_stays_changed_for_the_command(run):
    (run / "model.safetensors").write_bytes(b"other weights")
    assert evaluation_command(run).returncode == 0
    with pytest.raises(InputError, match="model.safetensors was changed since the run was sealed"):
        verify(run)


def test_a_folder_without_the_seal_is_refused_by_the_command_in_one_line(run):
    (run / "evaluation.json").unlink()
    done = evaluation_command(run)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {run} is not a finished run: it has no evaluation.json\n"


def without_logits(run: Path) -> None:
    write_predictions(run / "predictions.parquet", drawn_rows("test", 10), without="logits")


def not_parquet(run: Path) -> None:
    (run / "predictions.parquet").write_text("split,label\n")


def no_predictions(run: Path) -> None:
    (run / "predictions.parquet").unlink()


def no_environment(run: Path) -> None:
    (run / "environment.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_logits, "has no column logits"),
        (not_parquet, "cannot be read as parquet"),
        (no_predictions, "predictions.parquet"),
        (no_environment, "environment.json"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line_and_stays_as_it_is(run, damage, message, capsys, monkeypatch):
    damage(run)
    before = {path: path.read_bytes() for path in run.rglob("*")}
    monkeypatch.setattr(sys, "argv", ["pipeline.evaluation", str(run)])
    assert end_in_one_line(main) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert {path: path.read_bytes() for path in run.rglob("*")} == before
