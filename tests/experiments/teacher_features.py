"""Does a ViT do better if a middle block also learns what a network trained on faces sees in a picture?

    python -m tests.experiments.teacher_features WEIGHT RECIPE [--field value ...] --seed 0 --output_dir runs/f-seed-0
        --teacher FOLDER [--layer blocks.3] [--teacher_size 112] [--block 6] [--pretraining 0]
    python -m pipeline.repeat RECIPE [--field value ...] --seeds 0 --output_dir runs/f --against runs/base

The first command is `train_hf.py` with another loss (FitNets, Romero et al. 2015, arXiv:1412.6550). The mean of the
patch tokens after block BLOCK, through a linear layer, is compared with the mean over places of the teacher's LAYER,
standardised over the train rows. The teacher sees each train picture once, as it is; the student sees it augmented. In
the first PRETRAINING of the epochs (a share from 0 to 1) the loss is that of the features. The second command
prints the table row of that run, paired with another study. The features are not a setting, so the run folder does not
record them: choose a folder name that does. Let the first command finish, because the second would resume it with the
plain trainer.
"""

import argparse
import sys
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from pipeline.errors import end_in_one_line
from pipeline.training import trainer
from pipeline.training.model import build_model
from pipeline.training.sampler import PictureRows
from pipeline.training.transforms import from_bytes, normalize, resize
from tests.experiments.other_trainer import train_with

BATCH = 64


class TeacherFeatures(trainer.ExpressionTrainer):
    """Adds WEIGHT x the mean square difference between a block's features and the teacher's to the loss."""

    weight: float
    words: argparse.Namespace  # what the command line says of the teacher

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.theirs = self._features(kwargs["train_rows"])
        bare = self.accelerator.unwrap_model(self.model)
        self.to_theirs = nn.Linear(bare.config.hidden_size, self.theirs.shape[1])
        self.tokens: list[torch.Tensor] = []
        bare.vit.layers[self.words.block - 1].register_forward_hook(lambda _m, _i, out: self.tokens.append(out))
        self.taken = 0

    def _features(self, rows: PictureRows) -> torch.Tensor:
        """What the teacher sees in each train row: (N, D) float32, mean 0 and standard deviation 1 in each column."""
        size = self.words.teacher_size
        teacher, processor = build_model(
            replace(self.recipe, checkpoint=self.words.teacher, image_size=size, layer_decay=1, drop_path=0)
        )
        found: list[torch.Tensor] = []
        layer = teacher.timm_model.get_submodule(self.words.layer)
        layer.register_forward_hook(lambda _m, _i, out: found.append(out.float().mean((2, 3))))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in tqdm(range(0, len(rows), BATCH), "teacher", disable=None, mininterval=10):
                cells = rows.pixels[start : start + BATCH]["pixels"]
                pictures = torch.stack([resize(torch.from_numpy(from_bytes(each).copy()), size) for each in cells])
                teacher.eval()(
                    pixel_values=normalize(pictures.float() / 255, processor.image_mean, processor.image_std)
                )
        features = torch.cat(found)
        return (features - features.mean(0)) / features.std(0).clamp(min=1e-6)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's, with the linear layer to the teacher's features as one more group."""
        if self.optimizer is not None:
            return self.optimizer
        optimizer = super().create_optimizer(model)
        own = {"params": list(self.to_theirs.parameters()), "lr": self.args.learning_rate, "weight_decay": 0.0}
        optimizer.add_param_group(own)
        return optimizer

    def get_batch_samples(self, *args: Any) -> tuple[list, Any]:
        """As the trainer's; the rows of its micro-batches are counted from the first again."""
        self.taken = 0
        return super().get_batch_samples(*args)

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], **how: Any) -> Any:
        """The recipe's loss of a batch, and in training the difference of its features to the teacher's."""
        self.tokens.clear()
        loss = super().compute_loss(model, inputs, **how)
        if not model.training:
            return loss
        count = len(inputs["labels"])
        rows = self.rows_of_step[self.taken : self.taken + count]
        self.taken += count
        seen = self.to_theirs(self.tokens[-1][:, 1:].float().mean(1))
        difference = F.mse_loss(seen, self.theirs[rows], reduction="none").mean(1).sum()
        difference = self.weight * difference / how.get("num_items_in_batch", count)
        pretrains = (self.state.epoch or 0) < self.words.pretraining * self.args.num_train_epochs
        if self.state.global_step % 100 == 0:
            print(f"step {self.state.global_step}: loss {loss.item():.3f}, features {difference.item():.3f}")
        return (0 * loss if pretrains else loss) + difference


def main(argv: list[str]) -> None:
    """Train as `train_hf.py` would, with the other trainer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--teacher", required=True, help="a folder of timm")
    parser.add_argument("--layer", default="blocks.3", help="a module of it with outputs (B, D, H, W)")
    parser.add_argument("--teacher_size", type=int, default=112, help="pixels of a side")
    parser.add_argument("--block", type=int, default=6, help="the student's, from 1")
    parser.add_argument("--pretraining", type=float, default=0, help="share of the epochs that learn features only")
    TeacherFeatures.words, rest = parser.parse_known_args(argv)
    train_with(TeacherFeatures, "weight", 1, rest)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
