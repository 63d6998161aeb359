"""Two pictures laid on each other, whatever their framing, size and light, and how well they agree then.

Faces are all alike, so agreement is asked of fine detail, and where it is weakest.
"""

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.data.measure import SIDE

COARSE = 16  # px: three pixels of a thumbnail are one of the coarse picture
UNMOVED = (1.0, 1.0, 0.0, 0.0)  # a warp: scale of x and y, shift of x and y; x and y run from -1 to 1 over a picture
BOUND = 0.25  # how far a warp may go from UNMOVED
COARSE_STEPS, FINE_STEPS = 4, 3  # of registration
FINEST, COARSEST = 1.0, 4.0  # px, detail that counts (standard deviations of Gaussians)
WINDOW = 4.0  # px, standard deviation: a mouth or an eye
CLIPPED = 4  # gray values this near to black or white may have lost what they showed
SEEN = 0.3  # share of a picture that both of a pair must show
COARSE_SIMILARITY = 0.85  # correlation of coarse pictures and
ROUGH_SIMILARITY = 0.6  # of fine detail, both after coarse registration: below, a pair is not registered finely


def similarities(thumbs: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Similarity of every candidate (C, 3) after registration, (C,) float32; 0 where it fails early."""
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
    """`warp` (P, 4) bettered so that `moving` (P, S, S) lies on `fixed`, whatever the brightness and contrast of each.

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
        products = design @ design.mT  # the normal equations, and in the last column their right side
        normal = products[:, :6, :6]
        ridge = 1e-3 * torch.diag_embed(normal.diagonal(dim1=1, dim2=2)) + 1e-3 * torch.eye(6)
        change = torch.linalg.solve(normal + ridge, products[:, :6, 6])
        warp = warp + change[:, :4] / change[:, 4:5].clamp(min=0.2)
        warp = torch.cat([warp[:, :2].clamp(1 - BOUND, 1 + BOUND), warp[:, 2:].clamp(-BOUND, BOUND)], dim=1)
    return warp


def warped(pictures: torch.Tensor, warp: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`pictures` (P, S, S) at scale x + shift, and which pixels of that lie inside of them, (P, S, S) float32 0 or 1.

    `warp` is (P, 4), see UNMOVED.
    """
    place = _places(pictures.shape[-1])
    x, y = (warp[:, i, None] * place + warp[:, i + 2, None] for i in range(2))
    grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), dim=-1)
    moved = F.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return moved, (x.abs() <= 1)[:, None].float() * (y.abs() <= 1)[:, :, None]


def _places(side: int) -> torch.Tensor:
    return (2 * torch.arange(side) + 1) / side - 1


def _details(fixed: torch.Tensor, moving: torch.Tensor, warp: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What of `fixed` and of warped `moving` is neither coarser than an eye (light, the shape of a head) nor finer than
    compression, and where both show something, each (P, S, S).

    Blurred over what both show alone (normalized convolution, Knutsson and Westin 1993): a cut or clipped part of one
    picture does not seep into the rest.
    """
    moved, seen = warped(moving, warp)
    for pictures in (fixed, moved):
        seen = seen * ((pictures > CLIPPED) & (pictures < 255 - CLIPPED))
    both = torch.stack([fixed, moved])
    details = (_local_mean(both, seen, FINEST) - _local_mean(both, seen, COARSEST)) * seen
    return *details, seen


def _weakest_agreement(a: torch.Tensor, b: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """How well `a` agrees with `b` (P, S, S) where it agrees least, (P,) at most 1; 0 where too little is seen.

    Structural similarity (Wang et al. 2004, "Image quality assessment") in a window: two frames of one scene that
    differ in a mouth agree everywhere but there. Flat windows agree.
    """
    share = seen.mean((1, 2))
    a, b = (x / (x.square().mean((1, 2)) / share.clamp(min=1e-3)).sqrt().clamp(min=1e-3)[:, None, None] for x in (a, b))
    both, each = _local_mean(torch.stack([a * b, a.square() + b.square()]), seen, WINDOW)
    agreement = torch.where(seen > 0, (2 * both + 1) / (each + 1), 1.0)
    return torch.where(share >= SEEN, agreement.amin((1, 2)), 0.0)


def _local_mean(pictures: torch.Tensor, seen: torch.Tensor, sigma: float) -> torch.Tensor:
    """`pictures` (K, P, S, S) averaged under a Gaussian of `sigma` px over the pixels that are `seen` (P, S, S)."""
    place = torch.arange(pictures.shape[-1])
    kernel = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    return (kernel @ (pictures * seen) @ kernel) / (kernel @ seen @ kernel).clamp(min=1e-3)


def _correlation(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Correlation coefficients (P,) of `a` and `b` (P, S, S) where `weight` is 1; 0 where one of them is flat."""
    total = weight.sum((1, 2), keepdim=True).clamp(min=1)
    a, b = ((x - (x * weight).sum((1, 2), keepdim=True) / total) * weight for x in (a, b))
    norms = a.square().sum((1, 2)) * b.square().sum((1, 2))
    return (a * b).sum((1, 2)) / norms.clamp(min=1).sqrt()
