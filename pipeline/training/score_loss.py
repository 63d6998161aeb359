"""Losses of standardised scores."""

import torch
from torch.nn import functional as F

TINY = 1e-8  # keeps the concordance of equal numbers defined


def concordance(predicted: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The concordance correlation coefficient of each of K scores, `(K,)`, from `(B, K)` both (Lin 1989).

    `2 s_xy / (s_x^2 + s_y^2 + (mean x - mean y)^2)` with variances over B rows. One row has no concordance: it gives 0.
    """
    bias = predicted.mean(0) - scores.mean(0)
    p, t = predicted - predicted.mean(0), scores - scores.mean(0)
    spread = (p * p).mean(0) + (t * t).mean(0)
    return 2 * (p * t).mean(0) / (spread + bias**2 + TINY)


def score_loss(predicted: torch.Tensor, scores: torch.Tensor, kind: str) -> torch.Tensor:
    """The loss of a batch, from `(B, K)` both; B may be 0.

    `ccc` is 1 less the mean concordance of the batch, `mse` the mean squared error, `both` the mean of the two. For a
    constant prediction of standardised scores each of them is 1.
    """
    if not len(predicted):
        return predicted.sum()  # 0, with a gradient, as other processes have rows
    error = F.mse_loss(predicted, scores)
    if kind == "mse":
        return error
    discord = 1 - concordance(predicted, scores).mean()
    return discord if kind == "ccc" else (discord + error) / 2
