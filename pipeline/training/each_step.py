"""What our trainer does after each step that Trainer itself does not."""

from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, TrainerCallback

from pipeline.training.ema import EMA
from pipeline.training.sampler import EpochSampler


class EachStep(TrainerCallback):
    """Gives the sampler its epoch, also after a resume in mid-epoch, and updates the EMA after each real step."""

    def __init__(
        self, sampler: EpochSampler, ema: EMA | None, model: PreTrainedModel, accelerator: Accelerator
    ) -> None:
        self.sampler, self.ema, self.model, self.accelerator = sampler, ema, model, accelerator

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.ema and not self.accelerator.optimizer_step_was_skipped:
            self.ema.update(self.model, state.global_step)
        self._close_the_loss(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._close_the_loss(control)

    def _close_the_loss(self, control: Any) -> None:
        """Log with each checkpoint, which does not hold the running loss: a resumed run then draws the same curve."""
        control.should_log = control.should_log or control.should_save
