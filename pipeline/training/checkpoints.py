"""Checkpoints that can be resumed to the last bit: every tensor is saved and reloaded, with the averaged weights."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, Trainer, TrainerState, ViTImageProcessor
from transformers.trainer_utils import rotate_checkpoints

from pipeline.training.ema import EMA
from pipeline.training.lora import is_adapted, load_adapter, save_adapter


class CheckpointedTrainer(Trainer):
    """`Trainer` with strict checkpoints. A subclass sets `processor` and `ema`."""

    model: PreTrainedModel
    processor: ViTImageProcessor
    ema: EMA | None

    def had_ended(self, checkpoint: str) -> bool:
        """Whether the run of a checkpoint had ended, by early stopping or after all steps; then its state is taken."""
        state = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json"))
        ended = bool(state.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"])
        if ended:
            # The best checkpoint lies in the run folder, even if that was moved; saving finds it by itself.
            state.best_model_checkpoint = str(Path(str(self.args.output_dir)) / f"checkpoint-{state.best_global_step}")
            self.state = state
        return ended

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
        """Weights, averages, config and processor; no `training_args.bin`, which is a pickle.

        Of a model with LoRA adapters only these and the head are written: the rest is that of the checkpoint.
        """
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        if is_adapted(self.model):
            save_adapter(self.model, folder)
        else:
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
        if is_adapted(self.model):
            load_adapter(self.model, folder)
            return
        saved = type(self.model).from_pretrained(folder, config=self.model.config, dtype=self.model.dtype)
        self.model.load_state_dict(saved.state_dict(), strict=True)
