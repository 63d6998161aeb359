"""Training on scores: the loss, the unit that is folded into the last layer, and one run from end to end."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification, pipeline

from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate_predictions, evaluate_run
from pipeline.evaluation.tasks import format_table
from pipeline.studies.repeat import parse
from pipeline.studies.study import read_study
from pipeline.training.arguments import training_arguments
from pipeline.training.log import TrainingLog
from pipeline.training.model import build_model
from pipeline.training.objectives import OfScores
from pipeline.training.plan import make_plan
from pipeline.training.sampler import PictureRows
from pipeline.training.scale import check_last_layer, in_the_unit, scale_of
from pipeline.training.score_loss import concordance, score_loss
from pipeline.training.steps import build_trainer
from pipeline.training.transforms import map_pictures
from tests.conftest import ROOT, run_train_hf, save_sharp_model, write_recipe
from tests.scores import scored_recipe
from tests.training.test_exact import EXACT, assert_same_run, launch, resumed_from
from train_hf import main


def pairs(rows: int = 64, scores: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    both = torch.randn(2, rows, scores, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return both[0], 0.5 * both[0] + both[1] + 0.3


def test_the_concordance_is_that_of_lin() -> None:
    predicted, scores = pairs()
    p, t = predicted.numpy(), scores.numpy()
    for k, found in enumerate(concordance(predicted, scores).tolist()):
        covariance = np.cov(p[:, k], t[:, k], bias=True)[0, 1]
        spread = p[:, k].var() + t[:, k].var() + (p[:, k].mean() - t[:, k].mean()) ** 2
        assert found == pytest.approx(2 * covariance / spread, abs=1e-7)
    assert concordance(scores, scores).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_every_loss_is_1_for_a_constant_prediction_and_0_for_the_scores() -> None:
    _, scores = pairs(4096)
    standard = (scores - scores.mean(0)) / scores.std(0, correction=0)
    for kind in ("ccc", "mse", "both"):
        assert score_loss(torch.zeros_like(standard), standard, kind).item() == pytest.approx(1, abs=1e-6)
        assert score_loss(standard, standard, kind).item() == pytest.approx(0, abs=1e-6)
    predicted = pairs(4096)[0]
    ccc, mse, both = (score_loss(predicted, standard, kind).item() for kind in ("ccc", "mse", "both"))
    assert both == pytest.approx((ccc + mse) / 2) and ccc != pytest.approx(mse)


def rows_of(scores: list[float]) -> Any:
    """`PictureRows` without pictures."""
    rows = PictureRows.__new__(PictureRows)
    rows.targets = np.array(scores, np.float32)[:, None]
    return rows


def test_a_blank_row_adds_no_loss_and_leaves_a_gradient_for_the_other_processes() -> None:
    objective = OfScores(scored_recipe(), rows_of([1.0, 2.0, 3.0]), 2)
    outputs = torch.tensor([[0.1], [0.7], [-0.2]], requires_grad=True)
    labels = torch.tensor([[0.5], [-0.5], [float("nan")]])
    loss = objective.summed(outputs, labels)
    assert loss.item() == pytest.approx(2 * score_loss(outputs[:2], labels[:2], "both").item())
    loss.backward()
    assert outputs.grad is not None and outputs.grad[2].item() == 0 and outputs.grad[0].item() != 0
    blank = objective.summed(outputs[2:], labels[2:])
    blank.backward()
    assert blank.item() == 0


def test_one_row_at_once_has_no_concordance_and_is_refused() -> None:
    with pytest.raises(InputError, match="score_loss both compares the rows .* set --score_loss mse"):
        OfScores(scored_recipe(), rows_of([1.0, 2.0]), 1)
    OfScores(scored_recipe(score_loss="mse"), rows_of([1.0, 2.0]), 1)


@pytest.mark.parametrize("architecture", ["vit", "resnet10t"])
def test_the_published_model_answers_in_the_unit_of_the_data(architecture: str) -> None:
    recipe = scored_recipe(scores=["a", "b"], source="auto", data_path="-", architecture=architecture)
    model, _ = build_model(recipe)
    torch.nn.init.normal_(next(p for n, p in model.named_parameters() if p.shape == (2,)))  # its bias
    scale = scale_of(np.array([[10, -1], [14, 1], [24, 0.5]], np.float32))
    pixels = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        before = model.eval()(pixels).logits
        after = in_the_unit(model, scale).eval()(pixels).logits
    expected = before.numpy() * scale.sd + scale.mean
    assert np.abs(after.numpy() - expected).max() < 1e-4
    assert torch.equal(model(pixels).logits, before), "the trained model itself stays as it was"


def test_a_last_layer_without_a_bias_is_refused() -> None:
    model, _ = build_model(scored_recipe())
    model.classifier = torch.nn.Linear(32, 1, bias=False)
    with pytest.raises(InputError, match="needs a last layer with a weight and a bias"):
        check_last_layer(model)


def test_a_warm_start_keeps_the_backbone_of_an_expression_run_and_replaces_its_head(tmp_path: Path) -> None:
    save_sharp_model(tmp_path / "expressions", 32)
    of_classes = AutoModelForImageClassification.from_pretrained(tmp_path / "expressions")
    recipe = scored_recipe(checkpoint=str(tmp_path / "expressions"), freeze="backbone")
    model, _ = build_model(recipe)
    kept = dict(of_classes.named_parameters())
    for name, parameter in model.named_parameters():
        head = name.startswith("classifier")
        assert parameter.requires_grad == head
        assert head or torch.equal(parameter, kept[name])
    assert model.classifier.weight.shape == (1, 32) and model.classifier.bias.abs().sum() == 0
    assert model.config.problem_type == "regression" and model.config.id2label == {0: "intensity"}


def test_a_loss_trains_on_scores_of_any_unit(table: Any, tmp_path: Path) -> None:
    brightness = [[1e4 + float(np.asarray(picture).mean())] for picture in table["image"]]
    scored = table.remove_columns("target").add_column("target", brightness)
    rows = map_pictures(scored, 32, "rows")
    recipe = replace(scored_recipe(max_steps=2, output_dir=str(tmp_path / "run")), sources=[])
    plan = make_plan(recipe)
    trainer = build_trainer(plan, training_arguments(plan), rows, rows, TrainingLog(None, ["intensity"], recipe.task))
    trainer.train()
    found = trainer.evaluate()
    assert found["eval_mae"] < 100, "metrics of training are in the unit of the data"


def test_a_run_of_scores_is_sealed_with_ccc_beside_its_baselines(scored_run: Path) -> None:
    evaluation = json.loads((scored_run / "evaluation.json").read_text())
    official = evaluation["official"]
    said = (scored_run.parent / "said.txt").read_text()
    assert "validation loss       CCC   Pearson  best so far" in said
    assert "linear on pixels" in said and "constant  " in said
    assert official["ccc"].keys() == {"value", "low", "high"}
    assert official["baselines"]["constant"]["ccc"] == {"value": 0, "low": 0, "high": 0}
    assert official["baselines"].keys() == {"constant", "linear on pixels"}
    assert evaluation["scores"]["intensity"]["low"] >= 0 and evaluation["task"] == "regression"
    assert evaluation["flip_average"]["official"]["n"] == official["n"] == 15
    assert (scored_run / "figures" / "scatter.png").is_file()
    assert not (scored_run / "figures" / "confusion_matrix.png").exists()
    results = (scored_run / "results.csv").read_text().splitlines()[0]
    assert "validation_ccc" in results and "accuracy" not in results
    assert json.loads((scored_run / "config.json").read_text())["score_ranges"].keys() == {"intensity"}


def test_pipeline_answers_with_the_scores_of_the_run(scored_run: Path, tmp_path: Path) -> None:
    rows = pq.read_table(scored_run / "predictions.parquet").to_pylist()
    row = next(row for row in rows if row["split"] == "test")
    index = int(row["key"].removeprefix("drawn-"))
    random = np.random.default_rng([0, index, 1])
    moving = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    name, score = moving[random.integers(6)], float(np.float32(random.uniform()))
    draw_face(name, 0, index, intensity=score).save(tmp_path / "face.png")
    (answer,) = pipeline("image-classification", model=str(scored_run))(Image.open(tmp_path / "face.png"))
    assert answer["label"] == "intensity" and row["target"] == [score] and row["label"] is None
    assert answer["score"] == pytest.approx(row["logits"][0], abs=1e-5)


def test_an_evaluation_is_made_again_from_predictions(scored_run: Path, tmp_path: Path) -> None:
    before = json.loads((scored_run / "evaluation.json").read_text())
    scored_run = shutil.copytree(scored_run, tmp_path / "run")
    again = evaluate_run(scored_run)
    assert {k: v for k, v in before.items() if k != "sha256"} == again
    assert again == evaluate_predictions(scored_run / "predictions.parquet")
    assert "percentile bootstrap over pictures" in format_table(again)


def test_studies_refuse_scores_before_anything_is_run(scored_run: Path) -> None:
    with pytest.raises(InputError, match="studies are of runs with classes"):
        read_study([scored_run], "official")
    with pytest.raises(InputError, match="command line: studies are of runs with classes"):
        parse(["drawn_intensity", "--seeds", "0", "1"])


def test_a_metric_of_classes_cannot_choose_the_checkpoint() -> None:
    with pytest.raises(InputError, match="'accuracy'; it must be one of ccc, mae, rmse, pearson, loss"):
        training_arguments(make_plan(scored_recipe(metric_for_best_model="accuracy")))


@pytest.mark.slow
def test_drawn_intensity_reaches_a_ccc_of_six_tenths(tmp_path: Path) -> None:
    ended = run_train_hf("drawn_intensity", "--output_dir", str(tmp_path / "run"))
    assert ended.returncode == 0, ended.stderr
    official = json.loads((tmp_path / "run" / "evaluation.json").read_text())["official"]
    assert official["ccc"]["value"] >= 0.6
    assert official["ccc"]["low"] > official["baselines"]["linear on pixels"]["ccc"]["high"]


OF_SCORES = {name: value for name, value in EXACT.items() if name not in ("cutmix", "class_balance")}
OF_SCORES |= {"task": "regression", "scores": ["intensity"]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["both", "mse"])
def test_two_processes_train_the_scores_of_one(tmp_path: Path, kind: str) -> None:
    made = OF_SCORES | {"max_steps": 20, "early_stopping": 0, "drop_path": 0.0, "score_loss": kind}
    recipe = str(write_recipe(tmp_path / "two.yaml", **made))
    batches = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps"]
    main([recipe, *batches, "2", "--output_dir", str(tmp_path / "one")])
    ended = launch(recipe, *batches, "1", "--output_dir", str(tmp_path / "two"))
    assert ended.returncode == 0, ended.stderr
    for name in ("model.safetensors", "checkpoint-20/ema.safetensors"):
        one, two = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
        assert max((one[tensor] - two[tensor]).abs().max().item() for tensor in one) < 1e-4, name
    tables = [pq.read_table(tmp_path / name / "predictions.parquet") for name in ("one", "two")]
    assert tables[0]["key"].equals(tables[1]["key"])
    assert np.allclose(*(np.stack(table["logits"].to_numpy()) for table in tables), atol=1e-3)


@pytest.mark.slow
def test_two_processes_of_scores_killed_and_resumed_are_the_run_left_alone(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path / "two.yaml", **OF_SCORES))
    assert launch(recipe, "--output_dir", str(tmp_path / "undisturbed")).returncode == 0
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.killed", "in the optimizer of a checkpoint", recipe, "--output_dir", str(run)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, start_new_session=True, timeout=600)
    assert not (run / "evaluation.json").exists()
    ended = launch(recipe, "--output_dir", str(run), "--resume")
    assert ended.returncode == 0, ended.stderr
    assert resumed_from(run) == [8]
    assert_same_run(run, tmp_path / "undisturbed")
