"""The training loss: cross-entropy to vote shares, balanced over the labels.

Let `t` be the vote shares of a row, `y` its label and `pi` the shares of the K labels in training. Both kinds of
balance weigh a row by `r = 1 / (K pi_y)`, the factor by which its label is rarer than in balanced data; an average row
weighs 1. A vote for another class than the label has the row's weight, not that of its class: if every vote had the
weight of its class, a row with 0.6 for a frequent label and 0.4 for a rare class would have its lowest loss at the
rare class.

`weights`: the loss of a row is `-r sum_c t_c log p_c`. Its minimum is at `p = t`.

`logit_adjustment` (Menon et al. 2021, arXiv:2007.07314): `p = softmax(z + log pi)` and the loss of a row is
`-r sum_c K pi_c t_c log p_c`.
- With one vote (`t_y = 1`) it is `-log p_y`: the loss of that paper.
- The minimum of a row is at `softmax(z + log pi) = pi t / sum(pi t)`, so at `softmax(z) = t`: `z` is highest at the
  label. With the target `t` in place of `pi t`, it would be at `z = log(t / pi)`, which favours rare classes inside
  every row.
- Over rows that look the same, the minimum is at `softmax(z) = E[r t] / E[r]`: the mean votes of such rows in data
  whose labels are equally frequent, as with `weights`. Without pictures it is the mean of the classes' mean votes. So
  the balance acts between rows, as in the paper, and the votes within a row keep their shares.

Label smoothing acts on `t` first: `t` becomes `(1 - s) t + s / K`.
"""

import numpy as np
import torch
from torch.nn import functional as F


def label_shares(labels: np.ndarray, count: int, drawn: np.ndarray | None = None) -> np.ndarray:
    """Shares `(count,) float64` of the labels `(N,)`, each row as often as it is drawn (`drawn (N,)`, None: alike)."""
    return np.bincount(labels, drawn, minlength=count).clip(1e-12) / (len(labels) if drawn is None else drawn.sum())


def row_weights(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """`1 / (K pi_y)` of each row `(N,) float32`, from labels `(N,)` and label shares `(K,)`."""
    return (1 / (len(shares) * shares[labels])).astype(np.float32)


def balanced_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0, shares: torch.Tensor | None = None
) -> torch.Tensor:
    """The loss of each row `(B,)`, from logits and weighted targets `(B, K)`, the `r t` above.

    Label shares `(K,)` adjust the logits. The loss is linear in the targets, so mixing two rows mixes their weights.
    """
    targets = (1 - smoothing) * targets + smoothing * targets.mean(dim=1, keepdim=True)
    if shares is not None:
        logits, targets = logits + shares.log(), len(shares) * shares * targets
    return F.cross_entropy(logits, targets, reduction="none")
