"""SIGTERM and Ctrl-C in training: save a checkpoint, stop, and say how to continue."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from transformers import TrainerCallback

from pipeline.errors import Stopped


class Interruption(TrainerCallback):
    """Stops training after the current step, with a checkpoint that resumes exactly.

    Pass it to the Trainer as a callback and train inside `with`, which raises `Stopped` at its end if the run was
    stopped. All processes stop after the same step, whichever of them got the signal. A second signal stops at once.
    """

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._agreed = False
        self._stopped_at: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None and self._stopped_at is not None:
            raise Stopped(
                f"stopped by {(self._signal or signal.SIGTERM).name} after step {self._stopped_at}: "
                f"checkpoint-{self._stopped_at} is saved, and the same command with --resume goes on from it",
                code=128 + (self._signal or signal.SIGTERM),
            )

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # At the end of an epoch or a run, the evaluation comes first and the checkpoint after it.
        if not (control.should_training_stop or float(state.epoch).is_integer()) and self._asked(args.device):
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._stopped_at is not None:  # Trainer takes an interrupted epoch for a complete one
            control.should_log = control.should_evaluate = control.should_save = False
        elif self._asked(args.device):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._agreed:  # not before: a checkpoint that says "stopped" belongs to a run that has ended
            control.should_training_stop, self._stopped_at = True, state.global_step

    def _asked(self, device: torch.device) -> bool:
        """Whether any process was asked to stop."""
        asked = self._signal is not None
        if torch.distributed.is_initialized():
            flag = torch.tensor(int(asked), device=device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            asked = bool(flag.item())
        self._agreed = asked
        return asked
