"""The settings of `task: regression`, each by what it changes."""

from pathlib import Path

import pytest
import torch

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.settings.files import recipe_from
from pipeline.training.score_loss import score_loss
from tests.evaluation.test_score_metrics import write
from tests.scores import scored_recipe, write_faces

VALUES = [f"{i / 40:.3f}" for i in range(40)]


def test_task_chooses_which_settings_there_are() -> None:
    assert scored_recipe().scores and not recipe_from({"source": "drawn", "output_dir": "-"}, "test").scores
    with pytest.raises(
        InputError, match="class_balance is a setting of task classification, and this is task regression"
    ):
        scored_recipe(class_balance="weights")


def test_scores_are_the_columns_that_are_read(tmp_path: Path) -> None:
    path = write_faces(tmp_path, VALUES, "path,valence,arousal", [str(1 - float(v)) for v in VALUES])
    for name, first in (("valence", 0.0), ("arousal", 1.0)):
        (reading,) = read_sources(scored_recipe(source="auto", scores=[name], data_path=str(path)))
        table = next(iter(reading.tables.values()))
        assert table["target"][0] == pytest.approx([first])


def test_score_ranges_refuse_a_value_outside(tmp_path: Path) -> None:
    path = write_faces(tmp_path, [*VALUES[:-1], "1.5"])
    read_sources(scored_recipe(source="auto", data_path=str(path)))
    with pytest.raises(InputError, match="intensity is 1.5, outside of its range from 0 to 1"):
        read_sources(scored_recipe(source="auto", data_path=str(path), score_ranges={"intensity": [0.0, 1.0]}))


def test_score_of_a_person_needs_persons(tmp_path: Path) -> None:
    settings = {"source": "auto", "data_path": str(write_faces(tmp_path, VALUES))}
    curate(read_sources(recipe := scored_recipe(**settings)), recipe)
    recipe = scored_recipe(**settings, score_of="person")
    with pytest.raises(InputError, match="score_of is person"):
        curate(read_sources(recipe), recipe)


def test_screening_cut_adds_what_is_found_at_it_and_needs_persons(tmp_path: Path) -> None:
    person = [i // 2 for i in range(60)]
    assert "screening" not in evaluate_predictions(write(tmp_path / "a.parquet", person, "person", k=1))["validation"]
    found = evaluate_predictions(write(tmp_path / "b.parquet", person, "person", k=1, screening_cut=3.0))["validation"]
    assert found["screening"]["cut"] == 3 and found["screening"]["at_or_above"] + found["screening"]["below"] == 30
    of = {"score_of": "person", "score_ranges": {"intensity": [0.0, 24.0]}}
    assert scored_recipe(screening_cut=10, **of).screening_cut == 10
    for settings, said in (
        ({"screening_cut": 10}, "divides persons by one score: set score_of person"),
        ({"screening_cut": 10, "score_of": "person", "scores": ["a", "b"]}, "scores to one name"),
        ({"screening_cut": 0} | of, "runs from 0 to 24, so everybody would be on one side"),
        ({"screening_cut": 24.5} | of, "give a cut above the lowest value and at most the highest"),
    ):
        with pytest.raises(InputError, match=said):
            scored_recipe(**settings)


def test_score_loss_is_what_training_lowers() -> None:
    scores = torch.linspace(-1.5, 1.5, 8)[:, None]
    shifted = scores + 1
    ccc, mse, both = (score_loss(shifted, scores, kind).item() for kind in ("ccc", "mse", "both"))
    assert mse == pytest.approx(1) and ccc != pytest.approx(mse) and both == pytest.approx((ccc + mse) / 2)
