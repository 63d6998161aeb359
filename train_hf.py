"""Fine-tune an image classifier on facial expressions, from pictures to a run folder that loads everywhere.

accelerate launch train_hf.py                                      # quickstart: drawn faces, no network
accelerate launch train_hf.py --data_path my_faces                 # your own: folder, csv, parquet or Hub id
accelerate launch train_hf.py ferplus_vit_tiny --data_path DIR --checkpoint DIR_OR_HUB_ID
accelerate launch train_hf.py --help
"""

import sys
import time
from dataclasses import replace

from pipeline.command_line import parse_command_line
from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Walk the line from left to right."""
    recipe, resume = parse_command_line(argv)
    started = time.perf_counter()

    # The heavy libraries wait until --help and a mistyped setting are answered.
    from transformers import EarlyStoppingCallback, set_seed

    from pipeline import evaluation, figures, machine, prediction, run_folder
    from pipeline.arguments import training_arguments
    from pipeline.collator import EvalCollator, TrainCollator
    from pipeline.curation import curate
    from pipeline.interruption import Interruption
    from pipeline.model import add_drop_path, build_model, set_attention
    from pipeline.sampler import PictureRows
    from pipeline.sources import read_sources
    from pipeline.trainer import ExpressionTrainer
    from pipeline.training_log import TrainingLog
    from pipeline.transforms import map_pictures

    # Settings and machine
    threads = machine.use_all_cores()
    is_main = machine.rank() == 0
    say = print if is_main else lambda *_: None
    precision, reason = machine.resolve_precision(recipe.precision)
    recipe = replace(recipe, precision=precision)
    machine.refuse_lone_process()
    run = run_folder.find_run(recipe, resume, machine.world_size())
    if run.finished:
        say(run_folder.closing_words(run.path))
        return
    args = training_arguments(recipe)
    say(recipe.describe())
    say(f"machine: {args.world_size} process(es), {threads} threads each, precision {precision} ({reason})")
    say(f"batch: {machine.resolve_batch(recipe)[2]} rows = {args.world_size} x {args.per_device_train_batch_size} "
        f"x {args.gradient_accumulation_steps} (processes x per device x accumulation)")  # fmt: skip
    if warning := machine.gpu_left_out():
        say(f"warning: {warning}")

    # Data: one table, no leaks, uint8 pictures in the cache
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
        clean_validation = tables["validation"].filter(
            lambda clean: clean, input_columns="clean", desc="clean validation"
        )
    schedule = machine.resolve_schedule(recipe, len(tables["train"]))
    args.warmup_steps = schedule.warmup_steps
    say(f"rows: {', '.join(f'{split} {len(table):,}' for split, table in tables.items())}")
    say(f"steps: {schedule.total_steps:,} ({schedule.steps_per_epoch:,} an epoch, warm-up {schedule.warmup_steps:,})")

    # Model
    model, processor = build_model(recipe)
    set_attention(model, recipe.attention, args.device.type)
    add_drop_path(model, recipe.drop_path)

    # Trainer
    for name in run.damaged:
        say(f"resume: {name} was not written to its end and is passed over")
    if resume:
        say(f"resume: from {run.checkpoint.name}" if run.checkpoint else "resume: no checkpoint yet, from the start")
    if is_main:
        run_folder.begin(run, recipe, args.world_size, resume)
    set_seed(recipe.seed)
    train_rows = PictureRows(tables["train"])
    stop = Interruption()
    log = TrainingLog(run.logs, recipe.classes, machine.resolve_batch(recipe)[2])
    trainer = ExpressionTrainer(
        model=model,
        args=args,
        recipe=recipe,
        train_rows=train_rows,
        eval_rows=PictureRows(clean_validation),
        train_collator=TrainCollator(
            replace(recipe, mix_off_epoch=schedule.mix_off_epoch), processor.image_mean, processor.image_std
        ),
        eval_collator=EvalCollator(processor.image_mean, processor.image_std),
        processing_class=processor,
        compute_metrics=log.compute_metrics,
        callbacks=[log, stop] + ([EarlyStoppingCallback(recipe.early_stopping)] if recipe.early_stopping else []),
    )
    with stop:
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    if not is_main:
        return

    # Run folder: model, predictions in float32, figures with intervals; the seal is last
    run_folder.write_model(run, trainer.model, processor)
    evaluated = {split: table for split, table in tables.items() if split != "train"}
    logits = prediction.predict(run.aside, evaluated, args.per_device_eval_batch_size, str(args.device))
    about = {"classes": recipe.classes, "label_rule": curated.label_rule, "seed": recipe.seed,
             "resamples": recipe.bootstrap_resamples, "recipe": recipe.name}  # fmt: skip
    prediction.write_predictions(run.aside / "predictions.parquet", evaluated, logits, about)
    evaluation.write_figures(run.aside / "predictions.parquet", run.aside / "figures")
    figures.save(figures.learning_curves(trainer.state.log_history), run.aside / "figures" / "learning_curves.png")
    run_folder.write_json(run.aside / "curation.json", curated.report)
    evaluation.write_evaluation(run.aside, evaluation.evaluate_predictions(run.aside / "predictions.parquet"))
    run_folder.seal(
        run,
        machine.describe()
        | {"processes": args.world_size, "threads": threads, "precision": precision}
        | {"wall_seconds": round(time.perf_counter() - started, 1)}
        | log.speed()
        | {"peak_memory_gib": machine.peak_memory_gib()},
    )
    print(run_folder.closing_words(run.path))


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
