"""Where the seconds of an epoch go: each part has its own clock, and the rest has a row, so the sum is the wall time.

    python -m tests.benchmarks.where_time_goes [RECIPE] [--field value ...] [--steps N]

trains an epoch with its evaluation and its checkpoint as `train_hf.py` does, in one process and without loader workers,
because the clocks here would not see their work. `--steps N` trains only N steps. The last two columns then scale the
time of the steps, including the slower first ones, to a whole epoch; evaluation and checkpoint are not scaled.

A part that starts inside another stops the clock of the outer part, so nothing is counted twice.
"""

import contextlib
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.settings.recipe import Recipe
from pipeline.training import collator, transforms
from pipeline.training.arguments import training_arguments
from pipeline.training.ema import EMA
from pipeline.training.log import TrainingLog
from pipeline.training.plan import make_plan
from pipeline.training.sampler import PictureRows
from pipeline.training.steps import build_trainer
from pipeline.training.trainer import ExpressionTrainer
from pipeline.training.transforms import map_pictures
from tests.benchmarks.speed import curated, heading, parse

ONCE_AN_EPOCH = ("evaluation", "checkpoint")
REST = "the rest"


class Clocks:
    """Seconds by part; `of` gives a function its part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._entered: list[str] = []
        self._since = time.perf_counter()

    def _turn(self) -> None:
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        now = time.perf_counter()
        if self._entered:
            self.seconds[self._entered[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Count the time inside under `part`; the rest of an evaluation stays with the evaluation."""
        self._turn()
        outer = self._entered[-1:]
        self._entered += outer if outer and outer[0] in ONCE_AN_EPOCH else [part]
        try:
            yield
        finally:
            self._turn()
            self._entered.pop()

    def of(self, part: str, owner: Any, name: str) -> None:
        """Count the calls of `owner.name` under `part` from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(part):
                return function(*args, **kwargs)

        setattr(owner, name, timed)


def watch(clocks: Clocks, trainer: ExpressionTrainer) -> None:
    """Give every part of a training step, and of an epoch's end, its clock."""
    clocks.of("evaluation", trainer, "evaluate")
    clocks.of("checkpoint", trainer, "_save_checkpoint")
    clocks.of("reading the cache", PictureRows, "__getitems__")
    clocks.of("augmentation: random numbers", collator.TrainCollator, "_uniforms")
    clocks.of("augmentation: geometry", transforms, "_resample")
    clocks.of("augmentation: light, erasing", transforms, "_jitter")
    clocks.of("augmentation: light, erasing", transforms, "_erase")
    clocks.of("augmentation: CutMix, mixup", collator.TrainCollator, "_mix")
    clocks.of("collating: stack, normalise", collator.TrainCollator, "__call__")
    clocks.of("copying to the device", trainer, "_prepare_inputs")
    clocks.of("forward", trainer.model, "forward")
    clocks.of("loss", trainer, "compute_loss")
    clocks.of("backward", trainer.accelerator, "backward")
    clocks.of("clipping", trainer.accelerator, "clip_grad_norm_")
    clocks.of("EMA", EMA, "update")
    clocks.of("logging", trainer, "log")
    made = trainer.create_optimizer()
    clocks.of("optimizer", made, "step")
    clocks.of("optimizer", made, "zero_grad")


def profile(recipe: Recipe, steps: int) -> tuple[dict[str, float], float, int]:
    """Seconds by part, the wall time, and the steps of an epoch; `steps` 0 is an epoch."""
    made = curated(recipe)
    train = map_pictures(made.splits["train"], recipe.store_size or recipe.image_size, "map train")
    clean = map_pictures(made.splits["validation"], recipe.image_size, "map validation").filter(
        lambda clean: clean, input_columns="clean"
    )
    an_epoch = make_plan(recipe).schedule(len(train)).steps_per_epoch
    steps = min(steps or an_epoch, an_epoch)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"output_dir": folder, "max_steps": steps, "save_strategy": "steps", "save_steps": steps}
        plan = make_plan(replace(recipe, trainer=recipe.trainer | settings | {"dataloader_num_workers": 0}))
        log = TrainingLog(Path(folder) / "logs", recipe.classes)
        trainer = build_trainer(plan, training_arguments(plan), train, clean, log)
        trainer._load_best_model = lambda: None  # the end of a run, not of an epoch
        clocks = Clocks()
        watch(clocks, trainer)
        began = time.perf_counter()
        with clocks.running(REST):
            trainer.train()
        wall = time.perf_counter() - began
    return dict(clocks.seconds), wall, an_epoch


def main() -> None:
    """Profile and print the table."""
    words, recipe = parse(__doc__, steps=0, rounds=1)
    seconds, wall, an_epoch = profile(recipe, words.steps)
    steps = min(words.steps or an_epoch, an_epoch)
    stretched = {name: s if name in ONCE_AN_EPOCH else s * an_epoch / steps for name, s in seconds.items()}
    print(f"{heading(recipe)}; {steps} of the {an_epoch} steps of an epoch")
    print(f"{'part':32} {'seconds':>9} {'share':>7} {'an epoch':>10} {'share':>7}")
    for name, value in sorted(seconds.items(), key=lambda item: (item[0] == REST, -stretched[item[0]])):
        print(f"{name:32} {value:9.2f} {value / sum(seconds.values()):7.1%} {stretched[name]:10.1f} "
              f"{stretched[name] / sum(stretched.values()):7.1%}")  # fmt: skip
    print(f"{'sum':32} {sum(seconds.values()):9.2f} {'':7} {sum(stretched.values()):10.1f}")
    print(f"{'wall time':32} {wall:9.2f}")


if __name__ == "__main__":
    main()
