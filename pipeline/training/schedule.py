"""The learning rate over a run, walked without training: a schedule that does not do what it says is refused."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainingArguments, get_scheduler
from transformers.trainer_utils import SchedulerType

from pipeline.errors import InputError

WITHOUT_SETTINGS = (SchedulerType.CONSTANT, SchedulerType.CONSTANT_WITH_WARMUP)  # transformers passes them none
WALKED = 10_000  # steps that are looked at, evenly spaced over a longer run
IDLE = 0.1  # largest share of a run with a rate of 0; warm-up begins with it


def refuse_bad_schedule(args: TrainingArguments, warmup_steps: int, total_steps: int, exact: bool = True) -> None:
    """Walk the schedule of `args` over a run, the learning rate only.

    Schedules that follow the metric of each evaluation cannot be walked.

    Args:
        args: with `lr_scheduler_type` and its settings.
        warmup_steps: of the run.
        total_steps: of the run.
        exact: whether these are the steps of the run. Otherwise only what is wrong at any length is refused.

    Raises:
        InputError: the rate is not finite, below 0 or above its peak somewhere, or never reaches the peak, or is 0 in
            more than a tenth of the run.
    """
    kind, settings = SchedulerType(args.lr_scheduler_type), args.lr_scheduler_kwargs
    named = f"lr_scheduler_type {kind.value}" + (f" with lr_scheduler_kwargs {settings}" if settings else "")
    if settings and kind in WITHOUT_SETTINGS:
        raise InputError(f"{named}: this schedule reads no lr_scheduler_kwargs; leave them out")
    walk = list(_walk(args, warmup_steps, total_steps))
    peak = args.learning_rate
    if not walk:
        return
    step, factor = max(walk, key=lambda each: _beyond(each[1]))
    if _beyond(factor) > 1e-6:
        raise InputError(
            f"{named}: the learning rate of step {step + 1:,} is {factor * peak:.3g}; it must be from 0 to the peak of "
            f"{peak:.3g}"
        )
    if not exact:
        return
    highest = max(factor for _, factor in walk)
    if highest < 0.99:
        raise InputError(
            f"{named}: over the {total_steps:,} steps of this run the learning rate never gets above "
            f"{highest * peak:.3g}, and its peak should be {peak:.3g}; the schedule is made for a longer run"
        )
    idle = sum(next_ - step for (step, factor), (next_, _) in pairwise([*walk, (total_steps, 0.0)]) if factor == 0)
    if idle > max(1, IDLE * total_steps):
        raise InputError(f"{named}: the learning rate is 0 in {idle:,} of the {total_steps:,} steps of this run")


def _beyond(factor: float) -> float:
    """How far a rate is below 0 or above its peak, as a share of the peak; 0 if it is neither."""
    return max(0.0, -factor, factor - 1) if math.isfinite(factor) else math.inf


def _walk(args: TrainingArguments, warmup_steps: int, total_steps: int) -> Iterator[tuple[int, float]]:
    """Steps from 0, and the learning rate in each, as a share of the peak; nothing for a schedule of metrics."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], args.learning_rate)
    schedule = get_scheduler(
        args.lr_scheduler_type,
        optimizer=optimizer,
        num_warmup_steps=warmup_steps,
        num_training_steps=total_steps,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,  # type: ignore[arg-type]
    )
    if isinstance(schedule, LambdaLR):
        every = max(1, total_steps // WALKED)
        for step in sorted({*range(0, total_steps, every), min(warmup_steps, total_steps - 1), total_steps - 1}):
            yield step, float(schedule.lr_lambdas[0](step))
