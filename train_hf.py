"""Fine-tune an image classifier on facial expressions, from pictures to a run folder that loads everywhere.

accelerate launch train_hf.py                                      # quickstart: drawn faces, no network
accelerate launch train_hf.py --data_path my_faces                 # your own: folder, csv, parquet or Hub id
accelerate launch train_hf.py ferplus_vit_tiny --data_path DIR --checkpoint DIR_OR_HUB_ID
accelerate launch train_hf.py quickstart --publish USER/NAME       # and push_to_hub.py at the end
accelerate launch train_hf.py --help
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import end_in_one_line
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.recipe import Recipe


def main(argv: list[str]) -> None:
    """Walk the line from left to right. Each step imports its own rooms: --help and mistyped settings need no torch."""
    recipe, resume, publish = parse_command_line(argv)
    started = time.perf_counter()

    from pipeline.training import machine
    from pipeline.training import output_dir as run_folder
    from pipeline.training.arguments import training_arguments
    from pipeline.training.interruption import Interruption
    from pipeline.training.log import TrainingLog

    threads = machine.use_all_cores()
    say = print if machine.rank() == 0 else lambda *_: None
    precision, reason = machine.resolve_precision(recipe.precision)
    recipe = replace(recipe, precision=precision)
    machine.refuse_lone_process()
    run = run_folder.find_run(recipe, resume, machine.world_size())
    if publish and machine.rank() == 0:
        check_publishing(publish)
    if run.finished:
        say(run_folder.closing_words(run.path))
        if publish and machine.rank() == 0:
            push_to_hub(run.path, publish)
        return
    args = training_arguments(recipe)
    rows_per_step = machine.resolve_batch(recipe)[2]
    say(recipe.describe())
    say(f"machine: {args.world_size} process(es), {threads} threads each, precision {precision} ({reason})")
    say(f"batch: {rows_per_step} rows = {args.world_size} x {args.per_device_train_batch_size} "
        f"x {args.gradient_accumulation_steps} (processes x per device x accumulation)")  # fmt: skip
    if warning := machine.gpu_left_out():
        say(f"warning: {warning}")

    curated, tables, clean_validation = load_data(recipe, args, say)
    stop, log = Interruption(), TrainingLog(run.logs, recipe.classes, rows_per_step)
    trainer = build_trainer(recipe, args, tables["train"], clean_validation, log, stop, say)
    if machine.rank() == 0:  # not before: a checkpoint that is refused leaves nothing behind
        run_folder.begin(run, recipe, args.world_size, resume)
    for name in run.damaged:
        say(f"resume: {name} was not written to its end and is passed over")
    if resume:
        say(f"resume: from {run.checkpoint.name}" if run.checkpoint else "resume: no checkpoint yet, from the start")
    with stop:
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    if machine.rank() == 0:
        write_results(run, recipe, trainer, curated, {name: t for name, t in tables.items() if name != "train"})
        about = {"processes": args.world_size, "threads": threads, "precision": precision,
                 "rows_per_step": rows_per_step, "checkpoint_is_local": is_local(recipe.checkpoint)}  # fmt: skip
        clock = {"wall_seconds": round(time.perf_counter() - started, 1)} | log.speed()
        run_folder.seal(run, machine.describe() | about | clock | {"peak_memory_gib": machine.peak_memory_gib()})
        print(run_folder.closing_words(run.path))
        if publish:
            push_to_hub(run.path, publish)


def load_data(recipe: Recipe, args: Any, say: Callable[[str], None]) -> tuple[Any, dict[str, Any], Any]:
    """One table, no leaks, uint8 pictures in the cache: what curation gave, mapped splits, clean validation rows."""
    from pipeline.data.curation import curate
    from pipeline.data.readers import read_sources
    from pipeline.training.transforms import map_pictures

    with args.main_process_first(desc="data", local=False):
        sources = read_sources(recipe)
        for source in sources:
            say(f"data: {source.name}, {source.layout}")
        curated = curate(sources, recipe)
        sizes = {"train": recipe.store_size or recipe.image_size}
        tables = {
            split: map_pictures(table, sizes.get(split, recipe.image_size), f"map {split}")
            for split, table in curated.splits.items()
            if split != "test" or recipe.evaluate_test
        }
        clean = tables["validation"].filter(lambda clean: clean, input_columns="clean", desc="clean validation")
    say(f"rows: {', '.join(f'{split} {len(table):,}' for split, table in tables.items())}")
    return curated, tables, clean


def build_trainer(
    recipe: Recipe, args: Any, train: Any, validation: Any, log: Any, stop: Any, say: Callable[[str], None]
) -> Any:
    """The model of the recipe in its trainer, with the schedule that follows from the number of rows."""
    from transformers import EarlyStoppingCallback, set_seed

    from pipeline.training.collator import EvalCollator, TrainCollator
    from pipeline.training.machine import makes_batches_on_gpu, resolve_schedule
    from pipeline.training.model import add_drop_path, build_model, set_attention
    from pipeline.training.sampler import PictureRows
    from pipeline.training.trainer import ExpressionTrainer

    schedule = resolve_schedule(recipe, len(train))
    args.warmup_steps = schedule.warmup_steps
    say(f"steps: {schedule.total_steps:,} ({schedule.steps_per_epoch:,} an epoch, warm-up {schedule.warmup_steps:,})")
    model, processor = build_model(recipe)
    set_attention(model, recipe.attention, args.device.type)
    add_drop_path(model, recipe.drop_path)
    set_seed(recipe.seed)
    mixing = replace(recipe, mix_off_epoch=schedule.mix_off_epoch)
    device = args.device if makes_batches_on_gpu(args.dataloader_num_workers) else "cpu"
    collating = (processor.image_mean, processor.image_std, device)
    patience = [EarlyStoppingCallback(recipe.early_stopping)] if recipe.early_stopping else []
    return ExpressionTrainer(
        model=model,
        args=args,
        recipe=recipe,
        train_rows=PictureRows(train, recipe.targets),
        eval_rows=PictureRows(validation),
        train_collator=TrainCollator(mixing, *collating),
        eval_collator=EvalCollator(*collating),
        processing_class=processor,
        compute_metrics=log.compute_metrics,
        callbacks=[log, stop, *patience],
    )


def write_results(run: Any, recipe: Recipe, trainer: Any, curated: Any, evaluated: dict[str, Any]) -> None:
    """Everything of the run folder but the seal: model, predictions in float32, figures with intervals."""
    from pipeline.evaluation import evaluate as evaluation
    from pipeline.evaluation import figures, predictions
    from pipeline.training import output_dir as run_folder
    from pipeline.training import prediction

    args, file = trainer.args, run.aside / "predictions.parquet"
    run_folder.write_model(run, trainer.model, trainer.processing_class)
    logits = prediction.predict(run.aside, evaluated, args.per_device_eval_batch_size, str(args.device))
    about = {"classes": recipe.classes, "label_rule": curated.label_rule, "seed": recipe.seed,
             "resamples": recipe.bootstrap_resamples, "recipe": recipe.name}  # fmt: skip
    predictions.write_predictions(file, evaluated, logits, about)
    evaluation.write_figures(file, run.aside / "figures")
    figures.save(figures.learning_curves(trainer.state.log_history), run.aside / "figures" / "learning_curves.png")
    run_folder.write_json(run.aside / "curation.json", curated.report)
    evaluation.write_evaluation(run.aside, evaluation.evaluate_predictions(file))


def is_local(checkpoint: str | None) -> bool:
    """Whether a run started from a folder; later that may be gone, and its name look like a Hub id."""
    return checkpoint is not None and Path(checkpoint).is_dir()


def check_publishing(repo_id: str) -> None:
    """Login and the right to write, asked before hours of training."""
    from huggingface_hub import HfApi

    from hub.access import check_access
    from hub.attempts import set_timeouts

    set_timeouts()
    check_access(HfApi(), repo_id, print)


def push_to_hub(run: Path, repo_id: str) -> None:
    """`push_to_hub.py` as a child, with the data of the run to measure on; a push that fails does not fail the run."""
    words = ["push_to_hub.py", run.as_posix(), "--repo_id", repo_id, "--data_path"]
    launcher = ("ACCELERATE_", "TORCHELASTIC_", "MASTER_", "RANK", "LOCAL_", "WORLD_SIZE", "GROUP_", "ROLE_")
    alone = {name: value for name, value in os.environ.items() if not name.startswith(launcher)}
    script = Path(__file__).with_name(words[0])
    if subprocess.run([sys.executable, str(script), *words[1:]], env=alone).returncode:
        print(f"not published, though the run is whole; to try again: python {' '.join(words)}")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
