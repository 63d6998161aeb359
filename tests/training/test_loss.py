"""The balance of classes: a row weighs by its label, and its lowest loss is at its votes, whatever the class shares."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.training.loss import balanced_cross_entropy, label_shares, row_weights
from tests.conftest import STILL

SHARES = torch.tensor([0.35, 0.28, 0.15, 0.12, 0.06, 0.02, 0.02])
KINDS = pytest.mark.parametrize("adjusted", [False, True], ids=["weights", "logit_adjustment"])


def votes(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random vote shares, the label that has most of them, and the targets with the weights of the rows."""
    shares = torch.distributions.Dirichlet(torch.full((7,), 0.7)).sample((rows,))
    labels = shares.argmax(1)
    weights = torch.from_numpy(row_weights(labels.numpy(), SHARES.numpy()))
    return shares, labels, shares * weights[:, None]


@KINDS
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_lowest_loss_of_a_row_is_at_its_votes_and_so_at_its_label(adjusted: bool, smoothing: float) -> None:
    """The loss is convex in the logits, so a gradient of zero is the minimum."""
    torch.manual_seed(0)
    shares, labels, targets = votes(500)
    smoothed = (1 - smoothing) * shares + smoothing / 7
    logits = smoothed.log().requires_grad_()
    loss = balanced_cross_entropy(logits, targets, smoothing, SHARES if adjusted else None)
    loss.sum().backward()
    assert logits.grad.abs().max() < 1e-5
    assert torch.equal(logits.argmax(1), labels)
    by_class = torch.stack([_lowest(c, targets, smoothing, SHARES if adjusted else None) for c in range(7)], dim=1)
    assert torch.equal(by_class.argmin(1), labels), "no other class, given the votes in its place, has a lower loss"


def _lowest(top: int, targets: torch.Tensor, smoothing: float, shares: torch.Tensor | None) -> torch.Tensor:
    """The loss of each row if class `top` changes places with its label."""
    clean = targets / targets.sum(1, keepdim=True)
    answer, rows, labels = clean.clone(), torch.arange(len(clean)), clean.argmax(1)
    answer[rows, labels], answer[rows, top] = clean[rows, top], clean[rows, labels]
    logits = ((1 - smoothing) * answer + smoothing / 7).log()
    return balanced_cross_entropy(logits, targets, smoothing, shares)


def test_with_one_vote_logit_adjustment_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    labels, logits = torch.randint(7, (200,)), torch.randn(200, 7)
    weights = torch.from_numpy(row_weights(labels.numpy(), SHARES.numpy()))
    ours = balanced_cross_entropy(logits, F.one_hot(labels, 7) * weights[:, None], 0.0, SHARES)
    assert torch.allclose(ours, F.cross_entropy(logits + SHARES.log(), labels, reduction="none"), atol=1e-5)


@KINDS
def test_rows_that_look_the_same_get_the_mean_votes_of_balanced_labels(adjusted: bool) -> None:
    torch.manual_seed(0)
    shares, labels, _ = votes(4000)
    seen = torch.from_numpy(label_shares(labels.numpy(), 7)).float()
    targets = shares * torch.from_numpy(row_weights(labels.numpy(), seen.numpy()))[:, None]
    balanced = torch.stack([shares[labels == c].mean(0) for c in range(7)]).mean(0)
    logits = balanced.log().requires_grad_()
    balanced_cross_entropy(logits.expand(4000, 7), targets, 0.0, seen if adjusted else None).mean().backward()
    assert logits.grad.abs().max() < 1e-5


def test_an_average_row_weighs_one_and_rare_labels_weigh_more_as_they_are_drawn() -> None:
    labels, drawn = np.array([0] * 8 + [1] * 2), np.array([1.0] * 8 + [3.0] * 2)
    shares = label_shares(labels, 2)
    assert shares.tolist() == [0.8, 0.2] and row_weights(labels, shares)[[0, -1]].tolist() == [0.625, 2.5]
    assert row_weights(labels, shares).mean() == 1
    assert label_shares(labels, 2, drawn) == pytest.approx([8 / 14, 6 / 14])


@pytest.mark.parametrize("balance", ["weights", "logit_adjustment"])
def test_mixed_rows_mix_their_weights(trainer_of, tiny, balance: str) -> None:
    trainer = trainer_of(tiny(class_balance=balance, mixup=1.0, label_smoothing=0.1, **STILL))
    plain = trainer.train_dataset
    weights = row_weights(plain.labels, label_shares(plain.labels, 7))
    batch = trainer.train_collator(plain.__getitems__(list(_draws(8))))
    totals = batch["labels"].sum(1)
    assert not torch.allclose(totals, torch.from_numpy(weights[:8])), "mixed"
    assert min(weights) <= totals.min() and totals.max() <= max(weights)
    logits = torch.randn(8, 7)
    shares = trainer.task_objective.label_shares
    mixed = balanced_cross_entropy(logits, batch["labels"], 0.1, shares)
    doubled = balanced_cross_entropy(logits, 2 * batch["labels"], 0.1, shares)
    assert torch.allclose(doubled, 2 * mixed), "linear in the weights"


def _draws(count: int):
    from pipeline.training.sampler import Draw

    return (Draw(index, 0, 0.0) for index in range(count))


@pytest.mark.parametrize("balance", ["weights", "logit_adjustment"])
def test_the_trainer_uses_it_with_the_labels_of_its_rows(trainer_of, tiny, balance: str) -> None:
    trainer = trainer_of(tiny(class_balance=balance, label_smoothing=0.2))
    rows = trainer.train_dataset
    batch = trainer.train_collator(rows.__getitems__(list(_draws(16))))
    batch.pop("index")
    model = trainer.model.train()
    shares = label_shares(rows.labels, 7)
    targets = torch.from_numpy(rows.targets[:16] * row_weights(rows.labels[:16], shares)[:, None])
    adjusted = torch.from_numpy(shares).float() if balance == "logit_adjustment" else None
    expected = balanced_cross_entropy(model(batch["pixel_values"]).logits, targets, 0.2, adjusted).mean()
    assert trainer.compute_loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)
