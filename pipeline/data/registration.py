"""Register two pictures onto each other, across framing, size and light, and measure how well they agree.

All faces look alike. So the measure is the agreement of fine detail, in the window where it is lowest.
"""

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.data.measure import SIDE

COARSE = 16  # px, side of the coarse picture: 3 x 3 pixels of a thumbnail make one of its pixels
UNMOVED = (1.0, 1.0, 0.0, 0.0)  # a warp: scale of x and y, shift of x and y; x and y run from -1 to 1 over a picture
BOUND = 0.25  # the largest difference of a warp from UNMOVED
COARSE_STEPS, FINE_STEPS = 4, 3  # of registration
FINEST, COARSEST = 1.0, 4.0  # px, detail that counts (standard deviations of Gaussians)
WINDOW = 4.0  # px, standard deviation: a mouth or an eye
CLIPPED = 4  # gray values this close to black or white may have lost detail
SEEN = 0.3  # share of the picture that both of a pair must show
# Correlations after coarse registration; a pair below one of them is not registered finely.
COARSE_SIMILARITY = 0.85  # of the coarse pictures
ROUGH_SIMILARITY = 0.6  # of fine detail


def similarities(thumbs: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Similarity after registration, (C,) float32; 0 for a pair that fails an early test.

    Args:
        thumbs: (N, SIDE, SIDE) uint8.
        candidates: (C, 3) int: two rows, and 1 if the second is to be mirrored.
    """
    fixed, moving = (torch.from_numpy(thumbs[candidates[:, i]]).float() for i in range(2))
    moving = torch.where(torch.from_numpy(candidates[:, 2] == 1)[:, None, None], moving.flip(2), moving)
    small = [F.avg_pool2d(pictures[:, None], SIDE // COARSE)[:, 0] for pictures in (fixed, moving)]
    warp = _registered(small[0], small[1], torch.tensor([UNMOVED] * len(fixed)), COARSE_STEPS)
    left = _correlation(small[0], *warped(small[1], warp)) >= COARSE_SIMILARITY
    left[left.clone()] = _correlation(*_details(fixed[left], moving[left], warp[left])) >= ROUGH_SIMILARITY
    scores = torch.zeros(len(fixed))
    warp = _registered(fixed[left], moving[left], warp[left], FINE_STEPS)
    scores[left] = _weakest_agreement(*_details(fixed[left], moving[left], warp))
    return scores.numpy()


def _registered(fixed: torch.Tensor, moving: torch.Tensor, warp: torch.Tensor, steps: int) -> torch.Tensor:
    """Refine `warp` (P, 4) so that `moving` (P, S, S) matches `fixed`, whatever the brightness and contrast of each.

    Gauss-Newton in scale and shift of both axes with gain and bias (Lucas and Kanade 1981; Baker and Matthews 2004,
    "Lucas-Kanade 20 years on").
    """
    side = fixed.shape[-1]
    place = _places(side)
    for _ in range(steps):
        moved, inside = warped(moving, warp)
        down, right = torch.gradient(moved, spacing=2 / side, dim=(1, 2))
        right, down = right / warp[:, 0, None, None], down / warp[:, 1, None, None]
        rows = [right * place, down * place[:, None], right, down, moved, torch.ones_like(moved), fixed]
        design = torch.stack(rows, dim=1).mul_(inside[:, None]).flatten(2)
        products = design @ design.mT  # the normal equations; the last column is their right side
        normal = products[:, :6, :6]
        ridge = 1e-3 * torch.diag_embed(normal.diagonal(dim1=1, dim2=2)) + 1e-3 * torch.eye(6)
        change = torch.linalg.solve(normal + ridge, products[:, :6, 6])
        warp = warp + change[:, :4] / change[:, 4:5].clamp(min=0.2)
        warp = torch.cat([warp[:, :2].clamp(1 - BOUND, 1 + BOUND), warp[:, 2:].clamp(-BOUND, BOUND)], dim=1)
    return warp


def warped(pictures: torch.Tensor, warp: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample `pictures` (P, S, S) at scale * x + shift, for `warp` (P, 4), see UNMOVED.

    Returns:
        The warped pictures, and where they lie inside of the originals, (P, S, S) float32, 0 or 1.
    """
    place = _places(pictures.shape[-1])
    x, y = (warp[:, i, None] * place + warp[:, i + 2, None] for i in range(2))
    grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), dim=-1)
    moved = F.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return moved, (x.abs() <= 1)[:, None].float() * (y.abs() <= 1)[:, :, None]


def _places(side: int) -> torch.Tensor:
    return (2 * torch.arange(side) + 1) / side - 1


def _details(fixed: torch.Tensor, moving: torch.Tensor, warp: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The detail of `fixed`, of warped `moving`, and where both show something; each (P, S, S).

    Detail is a band of scales: finer than an eye (without light and the shape of the head) and coarser than compression
    noise. Blurs use only pixels that both pictures show (normalized convolution, Knutsson and Westin 1993), so that a
    cut or clipped part of one picture does not affect the rest.
    """
    moved, seen = warped(moving, warp)
    for pictures in (fixed, moved):
        seen = seen * ((pictures > CLIPPED) & (pictures < 255 - CLIPPED))
    both = torch.stack([fixed, moved])
    details = (_local_mean(both, seen, FINEST) - _local_mean(both, seen, COARSEST)) * seen
    return *details, seen


def _weakest_agreement(a: torch.Tensor, b: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The agreement of `a` and `b` (P, S, S) in the window where it is lowest, (P,) up to 1; 0 if too little is seen.

    Structural similarity (Wang et al. 2004, "Image quality assessment") in each window: two frames of one scene that
    differ in the mouth agree everywhere else. Flat windows agree.
    """
    share = seen.mean((1, 2))
    a, b = (x / (x.square().mean((1, 2)) / share.clamp(min=1e-3)).sqrt().clamp(min=1e-3)[:, None, None] for x in (a, b))
    both, each = _local_mean(torch.stack([a * b, a.square() + b.square()]), seen, WINDOW)
    agreement = torch.where(seen > 0, (2 * both + 1) / (each + 1), 1.0)
    return torch.where(share >= SEEN, agreement.amin((1, 2)), 0.0)


def _local_mean(pictures: torch.Tensor, seen: torch.Tensor, sigma: float) -> torch.Tensor:
    """Average `pictures` (K, P, S, S) with a Gaussian of `sigma` px over the pixels that are `seen` (P, S, S)."""
    place = torch.arange(pictures.shape[-1])
    kernel = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    return (kernel @ (pictures * seen) @ kernel) / (kernel @ seen @ kernel).clamp(min=1e-3)


def _correlation(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Correlation coefficients (P,) of `a` and `b` (P, S, S) over the pixels of `weight` 1; 0 if one is flat."""
    total = weight.sum((1, 2), keepdim=True).clamp(min=1)
    a, b = ((x - (x * weight).sum((1, 2), keepdim=True) / total) * weight for x in (a, b))
    norms = a.square().sum((1, 2)) * b.square().sum((1, 2))
    return (a * b).sum((1, 2)) / norms.clamp(min=1).sqrt()
