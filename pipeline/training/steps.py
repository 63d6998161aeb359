"""The steps of a training run: load the data, build the trainer, begin the run folder, write the results.

train_hf.py, the tests and the benchmarks all build their trainer here, so they train the same way.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from pipeline.data.curation import Curated, curate_sources
from pipeline.evaluation import evaluate, figures, predictions
from pipeline.task import TASKS
from pipeline.training import last_layer, log_results, machine, output_dir, prediction
from pipeline.training.adapter import write_adapter
from pipeline.training.collator import EvalCollator, TrainCollator
from pipeline.training.log import EventFile, TrainingLog
from pipeline.training.lora import is_adapted, trained_parameters
from pipeline.training.model import Built, build_for_training
from pipeline.training.optimizer import layer_decay_of
from pipeline.training.plan import Plan
from pipeline.training.progress import ending, ending_in_words
from pipeline.training.sampler import PictureRows
from pipeline.training.schedule import refuse_bad_schedule
from pipeline.training.trainer import ExpressionTrainer
from pipeline.training.transforms import map_pictures


@dataclass(frozen=True)
class Data:
    """The pictures of a run, as mapped tables (see `map_pictures`)."""

    curated: Curated
    train: Dataset
    validation: Dataset  # without pixel copies of train rows: evaluated in training, to choose the checkpoint
    evaluated: dict[str, Dataset]  # by split: all of validation, and test where the recipe opens it


def load_data(plan: Plan, args: TrainingArguments) -> Data:
    """Read, curate and map the pictures of a recipe; rank 0 does the work, the others read its cache.

    Raises:
        InputError: a source cannot be read, its pictures or labels are unusable, splits share pictures or people, or
            the schedule of the learning rate does not fit a run of so many steps.
    """
    recipe = plan.recipe
    machine.say("reading data")
    with args.main_process_first(desc="data", local=False):
        curated = curate_sources(recipe, machine.say, look=machine.rank() == 0)
        sizes = {"train": recipe.store_size or recipe.image_size}
        tables = {
            split: map_pictures(table, sizes.get(split, recipe.image_size), f"map {split}")
            for split, table in curated.splits.items()
            if split != "test" or recipe.evaluate_test
        }
        clean = tables["validation"].filter(lambda clean: clean, input_columns="clean", desc="clean validation")
    machine.say(f"rows: {', '.join(f'{split} {len(table):,}' for split, table in tables.items())}")
    train = tables.pop("train")
    schedule = plan.schedule(len(train))
    machine.say(schedule.describe())
    refuse_bad_schedule(args, schedule.warmup_steps, schedule.total_steps)
    return Data(curated, train, clean, tables)


def build_trainer(
    plan: Plan,
    args: TrainingArguments,
    train: Dataset,
    validation: Dataset,
    log: TrainingLog,
    callbacks: Sequence[TrainerCallback] = (),
    built: Built | None = None,
) -> ExpressionTrainer:
    """The model of a recipe in its trainer, with the schedule for the rows of `train`. Both tables are mapped.

    `built` is what `open_checkpoint` made of the recipe; None builds it here.

    Raises:
        InputError: the model cannot be built, or a setting does not work with it.
    """
    recipe, schedule = plan.recipe, plan.schedule(len(train))
    model, processor = built or build_for_training(recipe, plan.device)
    set_seed(recipe.seed)
    collating = (processor.image_mean, processor.image_std, args.device if plan.batches_on_gpu else "cpu")
    patience = [EarlyStoppingCallback(recipe.early_stopping)] if recipe.early_stopping else []
    trainer = ExpressionTrainer(
        model=model,
        args=args,
        recipe=recipe,
        train_rows=PictureRows(train, recipe.targets),
        eval_rows=PictureRows(validation),
        train_collator=TrainCollator(recipe, *collating, schedule.mix_off_epoch),
        eval_collator=EvalCollator(*collating),
        warmup_steps=schedule.warmup_steps,
        processor=processor,
        compute_metrics=log.compute_metrics,
        count_rows=log.count_rows,
        callbacks=[log, *callbacks, *patience],
    )
    for theirs in (ProgressCallback, PrinterCallback):  # a bar for each evaluation, or a dictionary for each
        trainer.remove_callback(theirs)
    return trainer


def begin(
    run: output_dir.RunFolder, plan: Plan, trainer: ExpressionTrainer, data: Data, resume: bool
) -> AbstractContextManager[Any]:
    """Make and lock the run folder, and print what a resumed run continues from. Train inside `with`.

    The first process holds the lock for all of the launch. A new run shows its first batch in TensorBoard.
    """
    own = machine.rank() == 0
    rows = data.curated.rows
    lock = output_dir.begin(run, plan.recipe, plan.processes, resume, rows) if own else nullcontext()
    for name in run.damaged:
        machine.say(f"resume: {name} was not written to its end and is passed over")
    if resume:
        start = f"from {run.checkpoint.name}" if run.checkpoint else "no checkpoint yet, from the start"
        machine.say(f"resume: {start}")
    if own and run.checkpoint is None and log_results.may_be_shown(data.curated.report):
        with EventFile(run.logs) as events:
            train, size = PictureRows(data.train, plan.recipe.targets), plan.rows_per_device
            log_results.log_first_batch(events, train, trainer.train_sampler, trainer.train_collator, size)
    return lock


def write_results(run: output_dir.RunFolder, plan: Plan, trainer: ExpressionTrainer, data: Data) -> None:
    """Write the run folder, all but its seal: the model, its predictions in float32, and metrics with intervals."""
    recipe, args, file = plan.recipe, trainer.args, run.aside / "predictions.parquet"
    machine.say(ending_in_words(trainer.state))
    output_dir.write_model(run, trainer.task_objective.published(trainer.model), trainer.processor)
    in_batches = (args.per_device_eval_batch_size, str(args.device))
    calibration = last_layer.calibrate(run.aside, recipe, data.validation, *in_batches)
    asked = (run.aside, data.evaluated, *in_batches)
    logits = prediction.predict(*asked)
    mirrored = prediction.predict(*asked, mirrored=True) if recipe.flip_average else None
    about = {
        "label_rule": data.curated.label_rule,
        "seed": recipe.seed,
        "resamples": recipe.bootstrap_resamples,
        "recipe": recipe.name,
        "calibration": calibration and calibration.as_json(),
        **trainer.task_objective.about(data.curated.report),
    }
    linear = trainer.task_objective.baseline(data.train, data.evaluated)
    persons = predictions.numbered_persons(data.evaluated) if recipe.scores else None
    predictions.write_predictions(file, data.evaluated, logits, about, mirrored, persons, linear)
    evaluate.write_figures(file, run.aside / "figures")
    curves = figures.learning_curves(trainer.state.log_history, TASKS[recipe.task].curves)
    figures.save(curves, run.aside / "figures" / "learning_curves.png")
    output_dir.write_json(run.aside / "curation.json", data.curated.report)
    evaluation = evaluate.evaluate_predictions(file)
    with EventFile(run.logs) as events:
        step = trainer.state.global_step
        log_results.log_settings(events, recipe, evaluation, step)
        if log_results.may_be_shown(data.curated.report):
            table, of_table = data.evaluated["validation"], logits["validation"]
            log_results.log_surest_mistakes(events, table, of_table, recipe, step)
    if is_adapted(trainer.model):  # when nothing changes the weights in the folder any more
        write_adapter(trainer.model, run.aside)
    evaluate.write_evaluation(run.aside, evaluation)


def environment(plan: Plan, trainer: ExpressionTrainer, log: TrainingLog, started: float) -> dict[str, Any]:
    """What `environment.json` says about a run that began at `started` (by `time.perf_counter`)."""
    return {
        **machine.describe(),
        "processes": plan.processes,
        "threads": plan.threads,
        "precision": plan.recipe.precision,
        "rows_per_step": plan.rows_per_step,
        "trained_parameters": trained_parameters(trainer.model),
        "layer_decay": layer_decay_of(trainer.model, plan.recipe.layer_decay, plan.recipe.image_size),
        "wall_seconds": round(time.perf_counter() - started, 1),
        **ending(trainer.state),
        **log.speed(),
        "peak_memory_gib": machine.peak_memory_gib(),
    }
