"""The seven facial expressions as movements of brows, lids, nose and mouth.

After the action units (AU) of Ekman and Friesen's Facial Action Coding System
(https://en.wikipedia.org/wiki/Facial_Action_Coding_System). Lengths are face units: a head is about 2 high.
"""

from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np


def _movement(unrest: float) -> Any:
    """A field that moves by itself, with this standard deviation."""
    return field(default=0.0, metadata={"unrest": unrest})


@dataclass(frozen=True)
class Expression:
    """Movements at full strength, in face units where not said otherwise; the neutral face is all zeros."""

    inner_brow: float = _movement(0.012)  # AU 1 up, AU 4 down
    outer_brow: float = _movement(0.012)  # AU 2 up
    brow_arch: float = _movement(0.012)
    together: float = _movement(0.01)  # AU 4
    upper_lid: float = _movement(0.06)  # AU 5 up, AU 43 down; share of the eye's opening
    lower_lid: float = _movement(0.06)  # AU 7 and the cheek's push of AU 6; share of the eye's opening
    corners: float = _movement(0.012)  # AU 12 up, AU 15 down
    stretch: float = _movement(0.012)  # AU 20 wider, AU 18 narrower
    upper_lip: float = 0.0  # AU 10, raised
    jaw: float = 0.0  # AU 26 and 27, dropped
    round: float = 0.0  # 0 almond to 1 ellipse
    teeth: float = 0.0  # share of the open mouth
    press: float = 0.0  # AU 24, share of the lips' thickness lost
    nose_wrinkle: float = 0.0  # AU 9
    fold: float = 0.0  # line from nose to mouth corner
    furrow: float = 0.0  # upright lines between the brows
    forehead: float = 0.0  # level lines on the forehead


# fmt: off
# For each: brows and forehead, then eyes and nose, then mouth.
EXPRESSIONS = {
    "anger": Expression(
        inner_brow=-0.2, outer_brow=0.1, together=0.1, furrow=1,
        upper_lid=-0.3, lower_lid=0.3,
        corners=-0.1, stretch=-0.05, press=0.75,
    ),
    "disgust": Expression(
        inner_brow=-0.13, outer_brow=-0.06, together=0.06,
        upper_lid=-0.5, lower_lid=0.5, nose_wrinkle=1, fold=1,
        corners=-0.19, stretch=-0.02, upper_lip=0.18, jaw=0.04, teeth=0.55,
    ),
    "fear": Expression(
        inner_brow=0.2, outer_brow=0.02, together=0.1, furrow=0.4, forehead=0.6,
        upper_lid=0.5, lower_lid=0.1,
        corners=-0.1, stretch=0.13, upper_lip=0.06, jaw=0.17, teeth=0.45,
    ),
    "happiness": Expression(
        inner_brow=0.02, outer_brow=0.04,
        upper_lid=-0.15, lower_lid=0.85, fold=0.7,
        corners=0.25, stretch=0.13, jaw=0.2, teeth=0.5,
    ),
    "neutral": Expression(),
    "sadness": Expression(
        inner_brow=0.22, outer_brow=-0.13, together=0.06, furrow=0.3,
        upper_lid=-0.45,
        corners=-0.24, stretch=-0.06, press=0.2,
    ),
    "surprise": Expression(
        inner_brow=0.2, outer_brow=0.19, brow_arch=0.08, forehead=1,
        upper_lid=0.55, lower_lid=-0.15,
        stretch=-0.14, upper_lip=0.13, jaw=0.32, round=1,
    ),
}
# fmt: on


def moved(label: str, rng: np.random.Generator, intensity: float | None = None) -> Expression:
    """The expression at this intensity, or at a random one (None), every movement a little off.

    As many random numbers are drawn for every label and intensity.
    """
    full = astuple(EXPRESSIONS[label])
    random = rng.uniform(0.7, 1.15)
    strength = (random if intensity is None else intensity) * (1 + 0.12 * rng.standard_normal(len(full)))
    unrest = rng.standard_normal(len(full)) * [f.metadata.get("unrest", 0.0) for f in fields(Expression)]
    return Expression(*(np.array(full) * strength + unrest).tolist())
