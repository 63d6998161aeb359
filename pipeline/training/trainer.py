"""`Trainer` with what facial expressions need: soft targets, a collator only for training, layer decay and EMA."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments, ViTImageProcessor, get_scheduler
from transformers.trainer_utils import EvalLoopOutput

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.training.batch_norm import saved_statistics
from pipeline.training.checkpoints import CheckpointedTrainer
from pipeline.training.collator import EvalCollator, TrainCollator
from pipeline.training.each_step import EachStep
from pipeline.training.ema import EMA
from pipeline.training.memory import advice, largest_batch, out_of_memory
from pipeline.training.objectives import OBJECTIVES, Objective
from pipeline.training.optimizer import layer_decay_of, parameter_groups
from pipeline.training.optimizer_arguments import optimizer_class
from pipeline.training.sampler import EpochSampler, PictureRows, sampling_weights


class ExpressionTrainer(CheckpointedTrainer):
    """Fine-tunes on `PictureRows` with the settings of a recipe.

    The loss is that of the task's objective, summed over rows and divided by the row count of the whole optimizer step,
    over all micro-batches and processes. The averaged weights are the ones evaluated, and reloaded as the best.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        recipe: Recipe,
        train_rows: PictureRows,
        eval_rows: PictureRows,
        train_collator: TrainCollator,
        eval_collator: EvalCollator,
        processor: ViTImageProcessor,
        warmup_steps: int,
        count_rows: Callable[[Any], None],
        **trainer_arguments: Any,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_rows,
            eval_dataset=eval_rows,
            data_collator=eval_collator,
            processing_class=processor,
            **trainer_arguments,
        )
        self.recipe, self.processor = recipe, processor
        self.train_collator, self.warmup_steps = train_collator, warmup_steps
        weights = sampling_weights(train_rows, recipe.class_balance == "sampler")
        in_step = args.per_device_train_batch_size * args.world_size
        self.train_sampler = EpochSampler(len(train_rows), recipe.seed, weights, in_step if args.world_size > 1 else 1)
        self.train_keys, self.rows_of_step = train_rows.keys, torch.empty(0, dtype=torch.long)
        self.count_rows = count_rows
        rows_per_device = args.per_device_train_batch_size
        self.task_objective: Objective = OBJECTIVES[recipe.task](recipe, train_rows, rows_per_device, weights)
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.add_callback(EachStep(self.train_sampler, self.ema, model, self.accelerator))

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """The train batches. This is the only place that uses the collator with augmentation and mixing."""
        kept, self.data_collator = self.data_collator, self.train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = kept

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.train_sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW (or the `optim` that was set) over layer-decayed groups."""
        if self.optimizer is None:
            args = self.args
            size = self.recipe.image_size
            layer_decay = layer_decay_of(self.model, self.recipe.layer_decay, size)
            groups = parameter_groups(self.model, args.learning_rate, args.weight_decay, layer_decay, size)
            kind, settings = optimizer_class(args, self.model)
            optimizer = kind(groups, **settings)
            # A fused optimizer skips an overflow of fp16 by itself, unseen: the schedule and the average would move.
            optimizer._step_supports_amp_scaling = False
            self.optimizer = optimizer
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The learning rate schedule of the arguments, with our warm-up steps."""
        if self.lr_scheduler is None:
            settings: Any = self.args.lr_scheduler_kwargs
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type,
                optimizer=optimizer or self.create_optimizer(),
                num_warmup_steps=self.warmup_steps,
                num_training_steps=num_training_steps,
                scheduler_specific_kwargs=settings,
            )
            self._created_lr_scheduler = True  # a second run makes its own
        return self.lr_scheduler

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Train to the end, from the start or from a checkpoint.

        A checkpoint of a run that had ended is not trained further. Trainer itself would continue after early stopping,
        or after `max_steps` in mid-epoch.

        Raises:
            InputError: a loss or gradient is not finite, or memory runs out. The message says what to set instead.
        """
        if resume_from_checkpoint and self.had_ended(resume_from_checkpoint):
            self._load_best_model()
            return None
        try:
            return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        # Not in the except block: the frames of the error hold the activations.
        rows, accumulation = self.args.per_device_train_batch_size, self.args.gradient_accumulation_steps
        fits = largest_batch(self.model, self.recipe.image_size, rows, self.compute_loss_context_manager)
        raise InputError(advice(fits, rows, accumulation, self.args.per_device_eval_batch_size))

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The micro-batches of an optimizer step, and its rows over all processes. The indices are kept here."""
        batches, rows = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            self.rows_of_step = torch.cat([batch.pop("index") for batch in batches])
            self.count_rows(rows)
        return batches, rows

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor:
        rows = torch.tensor(sum(len(batch.get("index", batch["labels"])) for batch in batch_samples), device=device)
        return self.accelerator.gather(rows).sum() if self.args.world_size > 1 else rows

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The loss of the task's objective.

        The labels are not passed to the model: it would take them for multi-label targets, and the published config
        would say so.
        """
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        one_of_many = len(labels) == 1 and self.args.per_device_train_batch_size > 1
        with saved_statistics(model) if one_of_many else contextlib.nullcontext():
            outputs = model(**inputs)
        if not model.training:
            loss, shown = self.task_objective.evaluated(outputs.logits, labels)
            return (loss, {"logits": shown}) if return_outputs else loss  # a distilled DeiT gives three
        loss = self.task_objective.summed(outputs.logits.float(), labels)
        rows = len(labels) if num_items_in_batch is None else num_items_in_batch
        loss = loss / rows * self.args.world_size  # gradients are averaged over processes
        if not torch.isfinite(loss):
            raise self._not_finite(f"the loss is {loss.item()}")
        return (loss, outputs) if return_outputs else loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        scaler = self.accelerator.scaler
        if not math.isfinite(norm):
            if scaler is None:
                raise self._not_finite(f"the gradient's norm is {float(norm)}")
            if scaler.get_scale() < 1:  # below it fp16 loses small gradients, and the next overflow halves it again
                raise self._not_finite(f"the gradient overflows at loss scale {scaler.get_scale():.3g}")
        return norm

    def _not_finite(self, what: str) -> InputError:
        keys = ", ".join(self.train_keys[i] for i in self.rows_of_step.tolist())
        return InputError(
            f"{what} at step {self.state.global_step + 1}, learning rate {self._get_learning_rate():.3g}; lower "
            f"--learning_rate, or try --precision fp32; the rows of the step were {keys}"
        )

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Trainer's figures, and in fp16 the loss scale."""
        if self.accelerator.scaler is not None and "loss" in logs:
            logs["loss_scale"] = self.accelerator.scaler.get_scale()
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate the averaged weights."""
        with self.ema.applied_to(self.model) if self.ema and self.is_in_train else contextlib.nullcontext():
            return super().evaluation_loop(*args, **kwargs)
