"""`Trainer` with what facial expressions need: soft targets, a collator only for training, EMA, exact reload."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    ViTImageProcessor,
    get_scheduler,
)
from transformers.trainer_utils import EvalLoopOutput, rotate_checkpoints

from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.training.collator import EvalCollator, TrainCollator
from pipeline.training.ema import EMA
from pipeline.training.loss import balanced_cross_entropy, label_shares, row_weights
from pipeline.training.memory import advice, largest_batch, out_of_memory
from pipeline.training.optimizer import parameter_groups
from pipeline.training.sampler import EpochSampler, PictureRows


class ExpressionTrainer(Trainer):
    """Fine-tunes on `PictureRows` with the settings of a recipe.

    The loss is the soft-target cross-entropy summed over rows and divided by the row count of the whole optimizer step,
    over all micro-batches and processes. The averaged weights are the ones evaluated, and reloaded as the best.
    """

    loss_is_scaled_for_ga = True
    model: PreTrainedModel

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
        self.count_rows, self.label_shares = count_rows, None
        if recipe.class_balance in ("weights", "logit_adjustment"):
            shares = label_shares(train_rows.labels, train_rows.targets.shape[1], train_rows.weights)
            train_rows.loss_weights = row_weights(train_rows.labels, shares)
            if recipe.class_balance == "logit_adjustment":
                self.label_shares = torch.from_numpy(shares).float()
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.add_callback(_EachStep(self))

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
            groups = parameter_groups(self.model, args.learning_rate, args.weight_decay, self.recipe.layer_decay)
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(args, self.model)
            optimizer = optimizer_class(groups, **settings)
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
        if resume_from_checkpoint and self._had_ended(resume_from_checkpoint):
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

    def _had_ended(self, checkpoint: str) -> bool:
        state = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json"))
        ended = bool(state.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"])
        if ended:
            # The best checkpoint lies in the run folder, even if that was moved; saving finds it by itself.
            state.best_model_checkpoint = str(Path(str(self.args.output_dir)) / f"checkpoint-{state.best_global_step}")
            self.state = state
        return ended

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
        """Soft-target cross-entropy; class balance and label smoothing act in training only.

        The labels are not passed to the model: it would take them for multi-label targets, and the published config
        would say so. The balance is that of `pipeline/training/loss.py`; the labels already hold the rows' weights.
        """
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        with self._norms_of_one_row(model, len(labels)):
            outputs = model(**inputs)
        logits = outputs.logits.float()
        if not model.training:
            loss = F.cross_entropy(logits, labels)
            return (loss, {"logits": outputs.logits}) if return_outputs else loss  # a distilled DeiT gives three
        smoothing = self.recipe.label_smoothing
        if self.recipe.class_balance in ("weights", "logit_adjustment"):
            shares = None if self.label_shares is None else self.label_shares.to(logits.device)
            losses = balanced_cross_entropy(logits, labels, smoothing, shares)
        else:
            losses = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        loss = losses[labels.sum(dim=1) > 0].sum()  # without the blank row of an empty batch
        rows = len(labels) if num_items_in_batch is None else num_items_in_batch
        loss = loss / rows * self.args.world_size  # gradients are averaged over processes
        if not torch.isfinite(loss):
            raise self._not_finite(f"the loss is {loss.item()}")
        return (loss, outputs) if return_outputs else loss

    @contextlib.contextmanager
    def _norms_of_one_row(self, model: Any, rows: int) -> Iterator[None]:
        """BatchNorm uses its running statistics for a last batch of one row, which has no variance of its own.

        The same holds for the blank picture of an empty batch, which must not enter the statistics.
        """
        norms: list[torch.nn.Module] = []
        if rows == 1 and self.args.per_device_train_batch_size > 1:
            norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
        for norm in norms:
            norm.eval()
        try:
            yield
        finally:
            for norm in norms:
                norm.train()

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

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Rotate checkpoints by step: Trainer sorts by file time, and deletes the newest when a clock jumps back."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        if self.args.should_save:
            rotate_checkpoints(str(self.args.output_dir), limit, self.state.best_model_checkpoint)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Weights, averages, config and processor; no `training_args.bin`, which is a pickle."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        self.model.save_pretrained(folder, state_dict=state_dict)
        self.processor.save_pretrained(folder)
        if self.ema:
            self.ema.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Every tensor of the checkpoint, strictly.

        Trainer loads tensors by the names in the file. ViT's differ from those in the module, so it would skip all
        encoder layers (transformers issue 43701).
        """
        self._reload(Path(resume_from_checkpoint))
        if self.ema:
            self.ema.load(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        """The averaged weights of the best checkpoint (its own weights where EMA is off)."""
        best = Path(str(self.state.best_model_checkpoint))
        self._reload(best)
        if self.ema:
            self.ema.load(best)
            self.ema.copy_to(self.model)

    def _reload(self, folder: Path) -> None:
        saved = type(self.model).from_pretrained(folder, config=self.model.config, dtype=self.model.dtype)
        self.model.load_state_dict(saved.state_dict(), strict=True)


class _EachStep(TrainerCallback):
    """Gives the sampler its epoch, also after a resume in mid-epoch, and updates the EMA after each real step."""

    def __init__(self, trainer: ExpressionTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.train_sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.trainer.ema and not self.trainer.accelerator.optimizer_step_was_skipped:
            self.trainer.ema.update(self.trainer.model, state.global_step)
        self._close_the_loss(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._close_the_loss(control)

    def _close_the_loss(self, control: Any) -> None:
        """Log with each checkpoint, which does not hold the running loss: a resumed run then draws the same curve."""
        control.should_log = control.should_log or control.should_save


def sampling_weights(rows: PictureRows, balanced: bool) -> np.ndarray | None:
    """Sampling weights `(N,)`, or None where each row is drawn once; `balanced` makes all classes equally likely."""
    if not balanced:
        return rows.weights
    own = np.ones(len(rows)) if rows.weights is None else rows.weights
    labels = rows.labels
    return np.asarray(own / np.bincount(labels, own, minlength=rows.targets.shape[1])[labels])
