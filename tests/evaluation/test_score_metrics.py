"""Metrics of scores against their definitions, and intervals over persons."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.evaluation.score_metrics import SCORE_METRICS, measured, score_values
from pipeline.evaluation.tasks import format_table


def numbers(rows: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.normal(3, 2, (rows, 2)).astype(np.float32)
    return (0.7 * scores + random.normal(0.5, 1, (rows, 2))).astype(np.float32), scores


def test_every_metric_is_that_of_its_definition() -> None:
    predicted, scores = numbers()
    found = score_values(predicted, scores)
    for k in range(2):
        p, t = predicted[:, k].astype(float), scores[:, k].astype(float)
        spread = p.var() + t.var() + (p.mean() - t.mean()) ** 2
        assert found["ccc"][k] == pytest.approx(2 * np.cov(p, t, bias=True)[0, 1] / spread, abs=1e-9)
        assert found["pearson"][k] == pytest.approx(np.corrcoef(p, t)[0, 1], abs=1e-9)
        assert found["mae"][k] == pytest.approx(np.abs(p - t).mean(), abs=1e-9)
        assert found["rmse"][k] == pytest.approx(np.sqrt(((p - t) ** 2).mean()), abs=1e-9)


def test_a_constant_prediction_has_ccc_0_and_no_correlation() -> None:
    _, scores = numbers()
    found = measured(np.full_like(scores, 1.7), scores, np.arange(90), 50, 0)
    assert (found["ccc"].values == 0).all() and (found["ccc"].samples == 0).all()
    assert np.isnan(found["pearson"].values).all()


def test_resamples_are_those_of_the_rows_themselves() -> None:
    predicted, scores = numbers()
    found = measured(predicted, scores, np.arange(90), 3, 4)
    drawn = np.random.default_rng(4).integers(90, size=(3, 90))
    for draw, rows in enumerate(drawn):
        again = score_values(predicted[rows], scores[rows])
        for name in SCORE_METRICS:
            assert found[name].samples[draw] == pytest.approx(again[name], abs=1e-6)


def write(path: Path, person: Any = None, of: str = "picture", constant: bool = False, k: int = 2, **more: Any) -> Path:
    """predictions.parquet with 60 validation rows and one or two scores."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    predicted, scores = (each[:, :k] for each in numbers(60))
    facts = {name: {"low": -2.0, "mean": 3.0, "high": 8.0, "sd": 2.0} for name in ("valence", "arousal")[:k]}
    about = {"classes": [], "label_rule": None, "seed": 0, "resamples": 200, "recipe": "r", "task": "regression",
             "scores": facts, "score_of": of, **more}  # fmt: skip
    if constant:
        predicted[:, 1] = 3 + 1e-4 * predicted[:, 1]
    columns: dict[str, Any] = {
        "split": ["validation"] * 60, "source": ["faces"] * 60, "key": [f"{i}" for i in range(60)],
        "label": pa.array([None] * 60, pa.int32()), "target": scores.tolist(), "logits": predicted.tolist(),
        "clean": [True] * 60, "clean_near": pa.array([None] * 60, pa.bool_()),
    }  # fmt: skip
    if person is not None:
        columns["person"] = pa.array([None if one is None else str(one) for one in person], pa.string())
    pq.write_table(pa.table(columns).replace_schema_metadata({"fer": json.dumps(about)}), path)
    return path


def width(evaluation: dict[str, Any]) -> float:
    ccc = evaluation["validation"]["ccc"]
    return float(ccc["high"] - ccc["low"])


def test_intervals_are_over_persons_where_persons_are_known(tmp_path: Path) -> None:
    pictures = evaluate_predictions(write(tmp_path / "a.parquet"))
    persons = evaluate_predictions(write(tmp_path / "b.parquet", [i // 20 for i in range(60)]))
    assert pictures["validation"]["ccc"]["value"] == pytest.approx(persons["validation"]["ccc"]["value"])
    assert pictures["validation"]["resampled"] == "pictures" and pictures["validation"]["persons"] is None
    assert persons["validation"]["resampled"] == "persons" and persons["validation"]["persons"] == 3
    assert width(pictures) != width(persons)
    one_each = evaluate_predictions(write(tmp_path / "c.parquet", list(range(60))))
    assert width(one_each) == pytest.approx(width(pictures))
    assert "bootstrap over persons" in format_table(persons)


def test_a_person_is_the_mean_over_their_pictures(tmp_path: Path) -> None:
    found = evaluate_predictions(write(tmp_path / "p.parquet", [i // 6 for i in range(60)], "person"))["validation"]
    predicted, scores = (each.reshape(10, 6, 2).mean(1) for each in numbers(60))
    assert found["n"] == 10 and found["pictures"] == 60
    assert found["ccc"]["value"] == pytest.approx(score_values(predicted, scores)["ccc"].mean(), abs=1e-6)


def test_nearly_constant_predictions_are_named(tmp_path: Path) -> None:
    evaluation = evaluate_predictions(write(tmp_path / "p.parquet", constant=True))
    flags = {name: of["constant_predictions"] for name, of in evaluation["validation"]["per_score"].items()}
    assert flags == {"valence": False, "arousal": True}
    table = format_table(evaluation)
    assert "warning: the predictions of arousal are nearly constant" in table
    assert "validation, score by score" in table and "constant" in table
