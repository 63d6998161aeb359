"""Scores of health: which they are, that publishing asks, and what config, card and page say."""

import json
import re
import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train_hf
from hub.after_training import check_publishing
from hub.card.card import make_card
from hub.card.metadata import Publication
from hub.health import check_health
from hub.options import Options, options_from
from hub.run import load_run
from hub.server.application import health
from hub.server.engine import load_model
from pipeline.clinical import health_names, is_health_model
from pipeline.errors import InputError
from pipeline.evaluation.tasks import format_table
from pipeline.expressions import CLASSES, SYNONYMS
from pipeline.training.model import build_model
from pipeline.training.objectives import OfClasses, OfScores
from push_to_hub import main
from tests.avec import DEV, TEST, TRAIN, participants, write_list, write_pictures
from tests.conftest import TINY
from tests.evaluation.test_screening import persons, screened
from tests.scores import scored_recipe
from tests.training.test_score_training import rows_of

OPTION = "--research_only_health_score"


@pytest.mark.parametrize(
    "name",
    ["PHQ8_Score", "phq8", "PHQ-9 total", "phqScore", "phqtotal", "BDI", "HAM-D", "ham_d", "GAD7", "depression",
     "Depressivity", "pain", "PSPI", "PTSD Severity", "anxiety_level", "MADRS score", "CES-D"],
)  # fmt: skip
def test_names_of_questionnaires_and_illnesses_are_of_health(name: str) -> None:
    assert health_names({"scores": [name, "arousal"]}) == [name]


@pytest.mark.parametrize(
    "name",
    ["valence", "arousal", "intensity", "AU12", "smile", "age", "dominance", "painting", "score", "sad"],
)
def test_other_names_are_not(name: str) -> None:
    assert health_names({"scores": [name]}) == []
    assert health_names({"scores": [name], "screening_cut": 10.0}) == [name], "but whoever screens, screens"


@pytest.mark.parametrize(
    "name",
    ["depressed", "healthy", "Dépression", "MDD", "anxious", "pain", "no_pain", "PHQ>=10", "autistic", "suicidal",
     "patient", "Parkinson's", "panic disorder", "sick", "facial palsy", "psychotic"],
)  # fmt: skip
def test_classes_and_repositories_of_health_are_of_health(name: str) -> None:
    assert health_names({"classes": ["neutral", name], "scores": []}) == [name]
    assert is_health_model({"id2label": {"0": "neutral", "1": name}}, "anna/faces")
    assert is_health_model({"id2label": dict(enumerate(CLASSES))}, f"anna/fer-{name}") or name == "healthy"
    assert is_health_model({"health_score": True}, "anna/faces")
    assert is_health_model({}, "anna/sds-score") and health_names({"classes": ["asd", "control"]}) == ["asd"]


def test_expressions_and_usual_words_are_not() -> None:
    usual = ["sad", "tired", "sleepy", "bored", "stressed", "calm", "confused", "contempt", "neutral", "pleased",
             "control", "normal", "AU4", "smile", "Painter", "pressure", "no-face", "engaged"]  # fmt: skip
    assert health_names({"classes": [*CLASSES, *SYNONYMS, *usual]}) == health_names({}) == []
    for name in ("phq/fer-vit-tiny", "moca/expressions", "runs/quickstart", "trpakov/vit-face-expression",
                 "a/sds", "a/fer-asd", "a/healthy-snack"):  # fmt: skip
        assert not is_health_model({"id2label": dict(enumerate([*CLASSES, *usual])), "health_score": False}, name)


def test_the_published_model_says_so_in_its_config() -> None:
    for scores, is_health in ((["PHQ8_Score"], True), (["intensity"], False)):
        recipe = scored_recipe(scores=scores, source="auto", data_path="-")
        published = OfScores(recipe, rows_of([1.0, 2.0, 4.0]), 2).published(build_model(recipe)[0])
        assert published.config.to_dict()["health_score"] is is_health
    for classes, is_health in ((["depressed", "healthy"], True), (["sad", "happy"], False)):
        recipe = scored_recipe(task="classification", scores=[], classes=classes, source="auto", data_path="-")
        rows = rows_of([0.0, 1.0])
        rows.targets, rows.loss_weights = np.eye(2, dtype=np.float32), None
        published = OfClasses(recipe, rows, 2).published(build_model(recipe)[0])
        assert published.config.to_dict().get("health_score", False) is is_health


def test_publishing_asks_for_the_option_and_only_there(scored_run: Path) -> None:
    run = load_run(scored_run)
    asked, unasked = Options(run=scored_run, research_only_health_score=True), Options(run=scored_run)
    check_health(run, unasked)
    with pytest.raises(
        InputError, match=f"{OPTION} is for scores and classes of health, and .* has none: leave it out"
    ):
        check_health(run, asked)
    run = replace(run, recipe=run.recipe | {"scores": ["PHQ8_Score"]})
    check_health(run, asked)
    with pytest.raises(InputError, match=f"PHQ8_Score, a score of health.*2017/745.*Only if it is for .*{OPTION}"):
        check_health(run, unasked)


def test_publishing_asks_for_classes_and_names_of_health_too(publishable_run: Path) -> None:
    run, unasked = load_run(publishable_run), Options(run=publishable_run, repo_id="depression/faces")
    check_health(run, unasked)
    ill = replace(run, recipe=run.recipe | {"classes": ["depressed", "sad", "healthy"]})
    with pytest.raises(InputError, match=f"estimates depressed, healthy, a class of health.*add {OPTION}"):
        check_health(ill, unasked)
    check_health(ill, replace(unasked, research_only_health_score=True))
    for named in ({"repo_id": "anna/depression"}, {"space": "anna/phq-demo"}):
        with pytest.raises(
            InputError, match=f"anna/.* is a name of health, and .* anger, .*another name.*add {OPTION}"
        ):
            check_health(run, replace(unasked, **named))  # type: ignore[arg-type]
        check_health(run, replace(unasked, **named, research_only_health_score=True))  # type: ignore[arg-type]


def test_the_card_of_classes_or_a_name_of_health_says_what_it_is_not(publishable_run: Path) -> None:
    run = load_run(publishable_run)
    assert "not a diagnosis" not in make_card(run, Publication("anna/faces"))
    said = "**A tool for research, not a diagnosis.** The name of this repository is one of health. Do not use"
    assert said in make_card(run, Publication("anna/depression"))
    run = replace(run, recipe=run.recipe | {"classes": ["depressed", "sad", "healthy"]})
    assert "not a diagnosis.** depressed, healthy are classes of health. Do" in make_card(run, Publication("anna/x"))


def test_an_adapter_of_health_asks_too(publishable_run: Path) -> None:
    with pytest.raises(InputError, match="anna/depression is a name of health"):
        main([str(publishable_run), "--repo_id", "anna/depression", "--adapter"])


def test_the_command_asks_before_anything_is_staged(scored_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.clinical.SCALES", ("intensity",))
    before = sorted(scored_run.parent.iterdir())
    with pytest.raises(InputError, match="intensity, a score of health"):
        main([str(scored_run), "--repo_id", "anna/phq", "--dry_run"])
    assert sorted(scored_run.parent.iterdir()) == before


def test_the_option_is_refused_where_it_says_nothing() -> None:
    other: dict[str, Any] = {"dataset": "anna/faces", "repo_id": None}
    words = {"run": Path("run"), "repo_id": "anna/phq", "dataset": None, "adapter": False, "licence": None, "tau": 1.0,
             "class_shares": None, "create_pr": False, "space": None, "space_kind": None, "browser_libraries": None,
             "research_only_health_score": True}  # fmt: skip
    with pytest.raises(InputError, match=f"{OPTION} is for models; leave it out with --dataset"):
        options_from(Namespace(**words | other))


def test_publish_at_the_end_of_training_is_refused_before_it() -> None:
    recipe = scored_recipe(scores=["phq8"], source="auto", data_path="-")
    with pytest.raises(InputError, match="--publish: phq8 is a score of health: train without --publish"):
        check_publishing("anna/faces", recipe.settings())
    with pytest.raises(InputError, match="--publish: anna/phq is a name of health: train without --publish"):
        check_publishing("anna/phq", scored_recipe().settings())


def test_the_card_says_what_it_is_not_and_what_it_finds_at_the_cut(scored_run: Path) -> None:
    run, publication = load_run(scored_run), Publication("anna/faces", examples={"fear.png": []})
    assert "not a diagnosis" not in make_card(run, publication)
    predicted, scores = persons()
    found = screened(predicted, scores, np.arange(80), 3.0, 50, 0)
    evaluation = json.loads(json.dumps(run.evaluation))
    evaluation["official"]["screening"] = {"cut": 10.0, "at_or_above": 4, "below": 11, "found": {
        "this model": found, "constant": {"auc": {"value": 0.5, "low": 0.5, "high": 0.5}}}}  # fmt: skip
    run = replace(run, evaluation=evaluation, recipe=run.recipe | {"screening_cut": 10.0})
    card = make_card(run, publication)
    words = re.sub(r"\s*\n>?\s*", " ", card)
    for said in ("**A tool for research, not a diagnosis.** intensity is a score of health", "It is not a medical",
                 "Regulation (EU) 2017/745", "Screening at 10: 4 persons at or above it, 11 below."):  # fmt: skip
        assert said in words, said
    assert f"| **this model** | {found['sensitivity']['value']:.3f} (" in card
    assert "| always the mean of the training scores |  |  | 0.500 (0.500 to 0.500) |" in card
    evaluation["official"]["screening"]["found"]["this model"]["auc"]["value"] = 1.5
    with pytest.raises(InputError, match="auc of 'this model' in official, screening is"):
        make_card(run, publication)


def test_the_server_says_so_to_the_page(scored_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scored_run, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    assert config["health_score"] is False
    (folder / "config.json").write_text(json.dumps(config | {"health_score": True}))
    assert load_model(str(folder)).config["health_score"] is True
    page = Path(health.__code__.co_filename).with_name("page")
    assert 'byId("health").hidden = !health' in (page / "page.js").read_text()
    assert 'id="health" hidden>A tool for research, not a diagnosis.' in (page / "page.html").read_text()


@pytest.fixture(scope="module")
def of_participants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps of the recipe on drawn faces of made-up participants, whose test list has no scores."""
    folder = tmp_path_factory.mktemp("phq8")
    root = folder / "set"
    train, dev = participants(30, 10)
    write_list(root, TRAIN, train)
    write_list(root, DEV, dev)
    write_list(root, TEST, {900: ""}, "no scores")
    for number, score in (train | dev).items():
        write_pictures(root, number, score, 3)
    small = {"image_size": 32, "max_steps": 12, "bootstrap_resamples": 50, "precision": "fp32", "total_batch_size": 16}
    words = [word for name, value in small.items() for word in (f"--{name}", str(value))]
    words += ["--checkpoint", "null", "--vit_config", str(TINY["vit_config"]), "--output_dir", str(folder / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "1")
        train_hf.main(["phq8_severity", "--data_path", str(root), *words])
    return folder / "run"


@pytest.mark.slow
def test_a_run_of_the_recipe_is_of_persons_and_publishing_asks(of_participants: Path) -> None:
    evaluation = json.loads((of_participants / "evaluation.json").read_text())
    official = evaluation["official"]
    assert evaluation["screening_cut"] == 10 and official["persons"] == official["n"] >= 6
    assert official["screening"]["found"].keys() == {"this model", "constant", "linear on pixels"}
    table = format_table(evaluation)
    assert "official, screening at 10: " in table and "rows are persons: the mean over" in table
    with pytest.raises(InputError, match="PHQ8_Score, a score of health"):
        main([str(of_participants), "--repo_id", "anna/phq", "--dry_run"])
    card = make_card(load_run(of_participants), Publication("anna/phq"))
    assert r"**A tool for research, not a diagnosis.** PHQ8\_Score is a score" in card and "Screening at 10: " in card
    assert json.loads((of_participants / "config.json").read_text())["health_score"] is True


@pytest.mark.slow
def test_with_the_option_it_is_staged_and_names_no_participant(of_participants: Path) -> None:
    main([str(of_participants), "--repo_id", "anna/phq", "--dry_run", OPTION])
    staged = of_participants.with_name("run-staged")
    assert "**A tool for research, not a diagnosis.**" in (staged / "README.md").read_text()
    for file in staged.rglob("*.json"):
        assert "303_P" not in file.read_text(encoding="utf-8"), file
