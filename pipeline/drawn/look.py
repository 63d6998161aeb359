"""What the drawn people look like."""

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, ...]

SKIN = ("fbe0cf", "f3cdb0", "e6b48f", "d39b72", "b97d55", "96603f", "74462e", "563322")
HAIR = ("17120f", "2c1d14", "4a2f1c", "6e4724", "a5713a", "d6ab62", "9a4423", "8d8a88", "dad5cf")


@dataclass(frozen=True)
class Look:
    """What a person looks like; colours are RGB, lengths in face units."""

    skin: Colour
    shade: Colour
    lips: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    cloth: Colour
    width: float
    jaw: float
    eye_x: float
    eye_y: float
    eye_w: float
    eye_h: float
    brow_y: float
    brow_w: float
    nose: float
    mouth_y: float
    mouth_w: float
    lip: float
    style: int
    hairline: float
    sweep: float
    volume: float
    line: float
    beard: bool
    glasses: bool


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of it replaced by `b`."""
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))


def _between(palette: tuple[str, ...], where: float) -> Colour:
    """The colour at `where` in [0, 1) along a palette of hexadecimal colours."""
    place, share = divmod(where * (len(palette) - 1), 1)
    low, high = (tuple(bytes.fromhex(c)) for c in palette[int(place) : int(place) + 2])
    return mix(low, high, share)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour by hue (a turn is 1), saturation and value."""
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def look_of(rng: np.random.Generator) -> Look:
    """A random person."""
    skin = _between(SKIN, rng.random())
    hair = tuple(bytes.fromhex(HAIR[rng.integers(len(HAIR))]))
    dark = mix(skin, (40, 10, 8), 0.45)
    return Look(
        skin=skin,
        shade=dark,
        lips=mix(mix(skin, (176, 44, 56), rng.uniform(0.3, 0.65)), (60, 10, 16), 0.15),
        hair=hair,
        brow=mix(hair, (24, 14, 10), 0.6),
        iris=hsv(rng.choice([0.07, 0.08, 0.09, 0.3, 0.57]), 0.6, rng.uniform(0.25, 0.6)),
        cloth=hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.9)),
        width=rng.uniform(0.72, 0.86),
        jaw=rng.uniform(0.08, 0.3),
        eye_x=rng.uniform(0.33, 0.38),
        eye_y=rng.uniform(-0.16, -0.06),
        eye_w=rng.uniform(0.19, 0.23),
        eye_h=rng.uniform(0.12, 0.15),
        brow_y=rng.uniform(-0.3, -0.25),
        brow_w=rng.uniform(0.09, 0.14),
        nose=rng.uniform(0.18, 0.28),
        mouth_y=rng.uniform(0.5, 0.58),
        mouth_w=rng.uniform(0.3, 0.38),
        lip=rng.uniform(0.045, 0.075),
        style=int(rng.integers(5)),
        hairline=rng.uniform(-0.72, -0.56),
        sweep=rng.uniform(-0.16, 0.16),
        volume=rng.uniform(1.06, 1.2),
        line=rng.uniform(0.03, 0.05),
        beard=bool(rng.random() < 0.15),
        glasses=bool(rng.random() < 0.12),
    )
