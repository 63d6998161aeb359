"""Each setting of optimisation and evaluation is given another value, and what it changes is looked at."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import torch

from pipeline.evaluation.evaluate import evaluate_predictions
from pipeline.training.last_layer import calibrate
from tests.settings.observed import Seen
from tests.training.test_last_layer import labelled  # noqa: F401


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_total_batch_size_is_the_rows_of_a_step(tiny, trainer_of, seen: Seen) -> None:
    assert {len(batch) for batch in seen.batches} == {16, 84 % 16}
    trainer = trainer_of(tiny(total_batch_size=24))
    assert len(next(iter(trainer.get_train_dataloader()))["labels"]) == 24


def test_warmup_epochs_raises_the_learning_rate_within_a_tenth_of_the_run(seen: Seen) -> None:
    state = json.loads((seen.folder / "checkpoint-24" / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates[:2] == [0, max(rates)] == [0, 1e-12], "one step of warm-up; a whole epoch's would be three"


def test_layer_decay_lowers_the_learning_rate_block_by_block(tiny, trainer_of) -> None:
    rates = []
    for decay in (1.0, 0.5, None):
        optimizer = trainer_of(tiny(layer_decay=decay, learning_rate=1.0)).create_optimizer()
        rates.append({group["lr"] for group in optimizer.param_groups})
    assert rates == [{1.0}, {1.0, 0.5, 0.25, 0.125}, {0.75**above for above in range(4)}]


def test_ema_decay_changes_the_published_weights_and_their_loss(tiny, trainer_of) -> None:
    recipe = {"num_train_epochs": 1, "learning_rate": 1e-2}
    kept = []
    for decay in (0.0, 0.1, 0.3):
        trainer = trainer_of(tiny(ema_decay=decay, **recipe), f"ema{decay}")
        trainer.train()
        kept.append((weights(trainer.model), trainer.state.log_history[-2]["eval_nll"]))
    for one, other in ((0, 1), (1, 2)):
        assert not torch.equal(kept[one][0], kept[other][0]) and kept[one][1] != kept[other][1]


def test_early_stopping_ends_the_run_after_as_many_evaluations(seen: Seen) -> None:
    state = json.loads((seen.folder / "checkpoint-24" / "trainer_state.json").read_text())
    assert len([entry for entry in state["log_history"] if "eval_accuracy" in entry]) == 4, "the best and three more"
    assert not (seen.folder / "checkpoint-30").exists()


def test_precision_is_the_dtype_of_training_only(seen: Seen) -> None:
    assert seen.train_dtypes == {torch.bfloat16}
    assert seen.last_dtype == torch.float32, "predictions are made in float32"


def test_threads_are_those_that_torch_trains_with(seen: Seen) -> None:
    assert seen.threads == {1}
    assert json.loads((seen.folder / "environment.json").read_text())["threads"] == 1


def test_evaluate_test_evaluates_the_test_split(seen: Seen) -> None:
    run = seen.folder
    assert {"validation", "official", "clean"} <= json.loads((run / "evaluation.json").read_text()).keys()
    assert pq.read_table(run / "predictions.parquet")["split"].to_pylist().count("test") == 18


def test_flip_average_reports_the_mean_score_of_both_beside_the_plain_metrics(seen: Seen) -> None:
    evaluation = json.loads((seen.folder / "evaluation.json").read_text())
    assert evaluation["flip_average"].keys() == {"validation", "official", "clean", "clean_near"}
    assert evaluation["flip_average"]["official"]["n"] == evaluation["official"]["n"]
    assert evaluation["flip_average"]["official"]["nll"] != evaluation["official"]["nll"]


def test_bootstrap_resamples_is_the_number_behind_every_interval(tmp_path: Path, seen: Seen) -> None:
    run = seen.folder
    evaluation = json.loads((run / "evaluation.json").read_text())
    table = pq.read_table(run / "predictions.parquet")
    about = json.loads(table.schema.metadata[b"fer"])
    assert (evaluation["resamples"], about["resamples"]) == (77, 77)
    again = table.replace_schema_metadata({"fer": json.dumps(about | {"resamples": 1000})})
    pq.write_table(again, tmp_path / "again.parquet")
    more = evaluate_predictions(tmp_path / "again.parquet")["official"]["nll"]
    assert more["value"] == evaluation["official"]["nll"]["value"] and more != evaluation["official"]["nll"]


def test_calibration_changes_the_saved_weights_unless_it_is_none(labelled, tiny) -> None:  # noqa: F811
    folder, validation = labelled
    before = (folder / "model.safetensors").read_bytes()
    assert calibrate(folder, tiny(calibration="none"), validation, 16, "cpu") is None
    assert (folder / "model.safetensors").read_bytes() == before
    assert calibrate(folder, tiny(), validation, 16, "cpu").temperature > 1.5
    assert (folder / "model.safetensors").read_bytes() != before
