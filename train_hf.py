"""Fine-tune an image classifier on facial expressions, from pictures to a run folder that loads everywhere.

accelerate launch train_hf.py                                      # quickstart: drawn faces, no network
accelerate launch train_hf.py --data_path my_faces                 # your own: folder, csv, parquet or Hub id
accelerate launch train_hf.py ferplus_vit_tiny --data_path DIR --checkpoint DIR_OR_HUB_ID
accelerate launch train_hf.py quickstart --publish USER/NAME       # and push_to_hub.py at the end
accelerate launch train_hf.py --help
"""

import sys
import time

from pipeline.errors import end_in_one_line
from pipeline.settings.command_line import describe_changes, parse_command_line


def main(argv: list[str]) -> None:
    """Train the recipe that the command line names."""
    # Settings. --help and mistyped settings end here, before torch is imported.
    recipe, resume, publish, changed = parse_command_line(argv)
    started = time.perf_counter()

    from hub import after_training
    from pipeline.data.readers import refuse_settings
    from pipeline.training import machine, output_dir, steps
    from pipeline.training.arguments import training_arguments
    from pipeline.training.checkpoint import open_checkpoint
    from pipeline.training.finished import compare_with_today
    from pipeline.training.interruption import Interruption
    from pipeline.training.log import TrainingLog
    from pipeline.training.plan import make_plan
    from pipeline.training.progress import Progress
    from pipeline.training.rehearsal import rehearse

    # Plan: what the settings come to on this machine
    plan = make_plan(recipe)
    machine.prepare(plan.threads)

    # Run folder: new, to resume, or finished
    run = output_dir.find_run(plan.recipe, resume, plan.processes)
    publish = publish if machine.rank() == 0 else None
    if publish:
        after_training.check_publishing(publish, recipe.settings())
    if run.finished and machine.rank() == 0:
        compare_with_today(run.path, plan.recipe)
    if not run.finished:
        refuse_settings(plan.recipe)
        args = training_arguments(plan)
        machine.say(describe_changes(recipe, changed))
        machine.say(plan.describe())

        # Model, saved and loaded once, and a trial step: what cannot work ends the run before data is read
        built = open_checkpoint(plan, after_training.check_export if publish else None)
        rehearse(plan, args, built)

        # Data
        data = steps.load_data(plan, args)
        stop, log = Interruption(), TrainingLog(run.logs, recipe.outputs, recipe.task)
        callbacks = [stop, Progress(run.results, recipe.task)]
        trainer = steps.build_trainer(plan, args, data.train, data.validation, log, callbacks, built)

        # Training and results. The folder is made only now: what was refused before leaves nothing behind.
        with steps.begin(run, plan, trainer, data, resume):
            with stop:
                trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
            if machine.rank() == 0:
                steps.write_results(run, plan, trainer, data)
                output_dir.seal(run, steps.environment(plan, trainer, log, started))

    if machine.rank() == 0:
        print(output_dir.closing_words(run.path))
    if publish:
        after_training.push_to_hub(run.path, publish)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
