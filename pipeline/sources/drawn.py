"""Faces drawn by a program, to try everything without data and to show pictures that are of nobody.

An expression is a set of movements of brows, lids, nose and mouth, after the action units (AU) of Ekman and Friesen's
Facial Action Coding System (https://en.wikipedia.org/wiki/Facial_Action_Coding_System). Who the face belongs to, how
it is turned and lit, and how strongly it moves come from (seed, index) alone, so that the seven expressions of one
index are the same person in the same pose.

Coordinates are face units: the head is about 2 high and 1.6 wide, its centre is (0, 0), y grows downwards.
"""

import colorsys
import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, NamedSplit, Value
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from pipeline.emotions import CLASSES
from pipeline.errors import InputError
from pipeline.recipe import Recipe
from pipeline.sources import Source

Points = NDArray[np.float64]
Colour = tuple[int, ...]

SUPERSAMPLING = 4
SKIN = ("fbe0cf", "f3cdb0", "e6b48f", "d39b72", "b97d55", "96603f", "74462e", "563322")
HAIR = ("17120f", "2c1d14", "4a2f1c", "6e4724", "a5713a", "d6ab62", "9a4423", "8d8a88", "dad5cf")
T = np.linspace(-1.0, 1.0, 25)
BOW = 1 - T**2


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
EXPRESSIONS = {
    "anger": Expression(inner_brow=-.2, outer_brow=.1, together=.1, upper_lid=-.3, lower_lid=.3, corners=-.1, stretch=-.05, press=.75, furrow=1),
    "disgust": Expression(inner_brow=-.13, outer_brow=-.06, together=.06, upper_lid=-.5, lower_lid=.5, corners=-.19, stretch=-.02, upper_lip=.18, jaw=.04, teeth=.55, nose_wrinkle=1, fold=1),
    "fear": Expression(inner_brow=.2, outer_brow=.02, together=.1, upper_lid=.5, lower_lid=.1, corners=-.1, stretch=.13, upper_lip=.06, jaw=.17, teeth=.45, furrow=.4, forehead=.6),
    "happiness": Expression(inner_brow=.02, outer_brow=.04, upper_lid=-.15, lower_lid=.85, corners=.25, stretch=.13, jaw=.2, teeth=.5, fold=.7),
    "neutral": Expression(),
    "sadness": Expression(inner_brow=.22, outer_brow=-.13, together=.06, upper_lid=-.45, corners=-.24, stretch=-.06, press=.2, furrow=.3),
    "surprise": Expression(inner_brow=.2, outer_brow=.19, brow_arch=.08, upper_lid=.55, lower_lid=-.15, stretch=-.14, upper_lip=.13, jaw=.32, round=1, forehead=1),
}
# fmt: on


class Pen:
    """Draws shapes given in face units on a canvas, seen from a pose."""

    def __init__(self, canvas: PILImage.Image, rng: np.random.Generator) -> None:
        side = canvas.width
        self.draw = ImageDraw.Draw(canvas, "RGBA")
        self.scale = side * rng.uniform(0.4, 0.48)
        self.centre = side * (0.5 + rng.uniform(-0.06, 0.06, 2)) - (0, 0.02 * side)
        angle = np.radians(rng.normal(0, 9))
        self.rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.turn = rng.uniform([-0.24, -0.11], [0.24, 0.11])

    def place(self, points: Points) -> list[float]:
        """Points (N, 2) as pixels x, y, x, y, ...: what stands out from the head's silhouette moves when the head turns."""
        depth = np.clip(1 - (points / (0.9, 1.3)) ** 2 @ (1.0, 1.0), 0, None)
        pixels = (points + depth[:, None] * self.turn) @ self.rotation * self.scale + self.centre
        return pixels.ravel().tolist()

    def fill(self, x: Points, y: Points, colour: Colour) -> None:
        """A closed shape."""
        self.draw.polygon(self.place(np.stack([x, y], 1)), fill=colour)

    def line(self, x: Points, y: Points, colour: Colour, width: float) -> None:
        """An open line with round ends, `width` in face units."""
        pixels, radius = self.place(np.stack([x, y], 1)), width * self.scale / 2
        self.draw.line(pixels, fill=colour, width=max(1, round(2 * radius)), joint="curve")
        if len(colour) == 3:
            for px, py in (pixels[:2], pixels[-2:]):
                self.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=colour)

    def crease(self, x: Points, y: Points, look: "Look", strength: float) -> None:
        """A line of the skin; at strength 0 there is none."""
        if strength > 0.05:
            self.line(x, y, (*look.shade, round(255 * min(strength, 1))), look.line)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A filled ellipse."""
        angle = np.pi * np.arange(0, 2, 0.08)
        self.fill(x + rx * np.cos(angle), y + ry * np.sin(angle), colour)


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


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))


def _between(palette: tuple[str, ...], where: float) -> Colour:
    """The colour at `where` in [0, 1) along a palette of hexadecimal colours."""
    place, share = divmod(where * (len(palette) - 1), 1)
    low, high = (tuple(bytes.fromhex(c)) for c in palette[int(place) : int(place) + 2])
    return _mix(low, high, share)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _look(rng: np.random.Generator) -> Look:
    skin = _between(SKIN, rng.random())
    hair = tuple(bytes.fromhex(HAIR[rng.integers(len(HAIR))]))
    dark = _mix(skin, (40, 10, 8), 0.45)
    return Look(
        skin=skin,
        shade=dark,
        lips=_mix(_mix(skin, (176, 44, 56), rng.uniform(0.3, 0.65)), (60, 10, 16), 0.15),
        hair=hair,
        brow=_mix(hair, (24, 14, 10), 0.6),
        iris=_hsv(rng.choice([0.07, 0.08, 0.09, 0.3, 0.57]), 0.6, rng.uniform(0.25, 0.6)),
        cloth=_hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.9)),
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


def _outline(look: Look, drop: float, start: float = 0.0, stop: float = 2 * np.pi) -> tuple[Points, Points]:
    """The head's silhouette between two angles (0 is the right ear, half pi the chin); `drop` lowers the chin."""
    angle = np.linspace(start, stop, 60)
    y = np.sin(angle) * np.where(np.sin(angle) > 0, 1 + drop, 1)
    return look.width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.9 * (1 - look.jaw * np.clip(y, 0, 1)), y


def _draw_head(pen: Pen, look: Look, drop: float) -> None:
    """Hair behind, shoulders, neck, ears and the head itself. Style 0 is bald, 3 long hair, 4 a bun."""
    if look.style == 3:
        x, y = _outline(look, 0.35)
        pen.fill(x * look.volume * 1.12, y * 1.12, _mix(look.hair, (0, 0, 0), 0.2))
    if look.style == 4:
        pen.oval(0, -1.12, 0.34, 0.3, look.hair)
    neck = np.array([-0.34, 0.34, 0.38, -0.38])
    pen.oval(0, 1.9, 1.15, 0.75, look.cloth)
    pen.fill(neck, np.array([0.6, 0.6, 1.28, 1.28]), _mix(look.skin, look.shade, 0.4))
    for side in (-1, 1):
        pen.oval(side * look.width, look.eye_y + 0.1, 0.11, 0.19, _mix(look.skin, look.shade, 0.25))
    pen.fill(*_outline(look, drop), look.skin)
    if look.beard and look.style < 3:
        x, y = _outline(look, drop, 0.1 * np.pi, 0.9 * np.pi)
        pen.fill(np.r_[x, 0.6 * x[::-1]], np.r_[y, 0.2 + 0.62 * y[::-1]], _mix(look.hair, look.skin, 0.25))


def _draw_hair(pen: Pen, look: Look) -> None:
    if look.style == 0:
        return
    x, y = _outline(look, 0, 1.08 * np.pi, 1.92 * np.pi)
    line = look.hairline + 0.22 * T**2 + look.sweep * np.sin(2.5 * T)
    pen.fill(np.r_[x * (0.6 + 0.4 * look.volume), T[::-1] * x[-1]], np.r_[y * look.volume, line[::-1]], look.hair)


def _draw_eye(pen: Pen, look: Look, move: Expression, side: int, gaze: Points) -> None:
    x = side * look.eye_x + look.eye_w * T
    slant = side * T * (0.35 * move.outer_brow - 0.35 * move.inner_brow)
    middle = look.eye_y - slant * 0.4
    top = middle - look.eye_h * np.clip(1 + move.upper_lid, 0.12, None) * BOW
    bottom = np.maximum(top, middle + look.eye_h * (0.75 - 1.2 * move.lower_lid) * BOW)
    pen.fill(np.r_[x, x[::-1]], np.r_[top, bottom[::-1]], (247, 245, 242))
    angle = np.pi * np.arange(0, 2, 0.08)
    for radius, colour in ((0.12, look.iris), (0.06, (14, 10, 10))):
        ring_x = side * look.eye_x + gaze[0] + radius * np.cos(angle)
        ring_y = look.eye_y + gaze[1] + radius * np.sin(angle)
        pen.fill(ring_x, np.clip(ring_y, np.interp(ring_x, x, top), np.interp(ring_x, x, bottom)), colour)
    pen.oval(side * look.eye_x + gaze[0] + 0.03, look.eye_y + gaze[1] - 0.03, 0.018, 0.018, (255, 255, 255, 220))
    pen.line(x, top, _mix(look.shade, (15, 8, 8), 0.75), look.line * 1.5)
    pen.line(x[3:-3], bottom[3:-3], look.shade, look.line * 0.7)
    pen.crease(x[4:-4], bottom[4:-4] + 0.07 + 0.02 * BOW[4:-4], look, 0.6 * move.lower_lid)


def _draw_brow(pen: Pen, look: Look, move: Expression, side: int) -> None:
    outwards = (T + 1) / 2
    x = side * (look.eye_x - 0.2 - move.together + outwards * (0.46 + move.together))
    rise = move.inner_brow * (1 - outwards) + move.outer_brow * outwards + (0.03 + move.brow_arch) * BOW
    y = look.eye_y + look.brow_y - rise
    thick = look.brow_w / 2 * (1.1 - 0.75 * outwards**2)
    pen.fill(np.r_[x, x[::-1]], np.r_[y - thick, (y + thick)[::-1]], look.brow)


def _draw_nose(pen: Pen, look: Look, move: Expression) -> None:
    """The nose and the creases of the face's middle and forehead."""
    tip = look.eye_y + look.nose + 0.12 - 0.05 * move.nose_wrinkle
    ridge = np.array([look.eye_y + 0.06, tip - 0.1, tip - 0.03])
    pen.line((0.1 + 0.03 * move.nose_wrinkle) * T, tip + 0.045 * BOW, look.shade, look.line)
    pen.line(np.array([0.05, 0.075, 0.07]), ridge, look.shade, look.line / 2)
    for side in (-1, 1):
        pen.oval(side * 0.46, look.eye_y + 0.36, 0.17, 0.12, (*look.lips, 38))
    brows, mouth_end = look.eye_y + look.brow_y, look.mouth_w + move.stretch + 0.07
    fold = np.array([tip - 0.02, tip + 0.08, look.mouth_y - 0.02])
    for side in (-1, 1):
        for row in range(3):
            wrinkle = look.eye_y + 0.02 + 0.07 * row + np.array([0.0, -0.045])
            pen.crease(side * np.array([0.02, 0.1]), wrinkle, look, move.nose_wrinkle)
        pen.crease(side * np.array([0.14, 0.22, mouth_end]), fold, look, 0.8 * move.fold)
        pen.crease(side * np.array([0.035, 0.045]), brows + np.array([-0.06, 0.08]), look, 0.9 * move.furrow)
    for rise in (0.2, 0.3):
        pen.crease(0.28 * T, brows - rise + 0.03 * T**2, look, 0.6 * move.forehead)


def _draw_glasses(pen: Pen, look: Look, side: int) -> None:
    angle = np.pi * np.linspace(0, 2, 40)
    pen.line(side * look.eye_x + 0.25 * np.cos(angle), look.eye_y + 0.03 + 0.2 * np.sin(angle), (34, 30, 34), 0.03)
    pen.line(side * np.array([0.0, look.eye_x - 0.25]), look.eye_y + np.array([-0.02, 0.0]), (34, 30, 34), 0.03)


def _draw_mouth(pen: Pen, look: Look, move: Expression) -> None:
    x = (look.mouth_w + move.stretch) * T
    curve = look.mouth_y + move.corners * (0.5 - T**2)
    bow = BOW ** (1 - 0.5 * np.clip(move.round, 0, 1))
    top, bottom = curve - np.clip(move.upper_lip, 0, None) * bow, curve + np.clip(move.jaw, 0, None) * bow
    lip = look.lip * (1 - np.clip(move.press, 0, 0.9))
    cupid = lip * BOW * (1 - 0.35 * np.exp(-((T / 0.18) ** 2)))
    pen.fill(np.r_[x, x[::-1]], np.r_[top - cupid, (bottom + 1.3 * lip * BOW)[::-1]], look.lips)
    if np.max(bottom - top) > 0.02:
        pen.fill(np.r_[x, x[::-1]], np.r_[top, bottom[::-1]], (62, 16, 22))
        pen.fill(0.93 * np.r_[x, x[::-1]], np.r_[top, (top + move.teeth * (bottom - top))[::-1]], (246, 243, 236))
        tongue = bottom - 0.3 * (1 - move.teeth) * (bottom - top)
        pen.fill(0.7 * np.r_[x, x[::-1]], np.r_[tongue, bottom[::-1]], (196, 84, 92))
    else:
        pen.line(x, (top + bottom) / 2, _mix(look.lips, (40, 5, 10), 0.65), look.line * 1.2)


def _background(rng: np.random.Generator, side: int) -> PILImage.Image:
    """A soft gradient of four related colours."""
    hue, value = rng.random(), rng.uniform(0.35, 0.95)
    corners = [_hsv(hue + rng.uniform(-0.06, 0.06), rng.uniform(0.1, 0.5), value * rng.uniform(0.7, 1)) for _ in "1234"]
    image = PILImage.fromarray(np.array(corners, dtype=np.uint8).reshape(2, 2, 3))
    return image.resize((side, side), PILImage.Resampling.BILINEAR)


def _light(image: PILImage.Image, rng: np.random.Generator) -> PILImage.Image:
    """Light from one side, its colour, exposure and the camera's noise."""
    size = image.width
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    ramp = np.linspace(-1, 1, size)
    gradient = 1 + strength * (np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None])
    colour = rng.uniform(0.62, 1.02) * rng.uniform(0.93, 1.07, 3)
    pixels = np.asarray(image, dtype=np.float64) * gradient[..., None] * colour
    noise = rng.normal(0, rng.uniform(1, 4), (size, size, 1))
    return PILImage.fromarray(np.clip(pixels + noise + 0.5, 0, 255).astype(np.uint8))


def _moved(label: str, rng: np.random.Generator) -> Expression:
    """The expression at a random strength, every movement a little off; as many random numbers for every label."""
    full = astuple(EXPRESSIONS[label])
    strength = rng.uniform(0.7, 1.15) * (1 + 0.12 * rng.standard_normal(len(full)))
    unrest = rng.standard_normal(len(full)) * [f.metadata.get("unrest", 0.0) for f in fields(Expression)]
    return Expression(*(np.array(full) * strength + unrest).tolist())


def draw_face(label: str, seed: int, index: int, size: int = 64) -> PILImage.Image:
    """An RGB picture of `size` by `size` pixels: a function of the arguments alone.

    Args:
        label: one of `pipeline.emotions.CLASSES`.
        seed: which collection of people; not negative.
        index: which of its people, with pose, light and strength; the same for every label.
        size: side in pixels.

    Raises:
        InputError: nobody knows how to draw `label`.
    """
    if label not in EXPRESSIONS:
        raise InputError(f"classes: {label!r} cannot be drawn; source drawn knows {', '.join(CLASSES)}")
    rng = np.random.default_rng([seed, index])
    canvas = _background(rng, size * SUPERSAMPLING)
    pen, look, move = Pen(canvas, rng), _look(rng), _moved(label, rng)
    gaze = rng.normal(0, 0.018, 2)
    drop = 0.06 + 0.45 * max(move.jaw, 0) * max(move.round, 0)
    _draw_head(pen, look, drop)
    _draw_nose(pen, look, move)
    _draw_mouth(pen, look, move)
    for side in (-1, 1):
        _draw_eye(pen, look, move, side, gaze)
        _draw_brow(pen, look, move, side)
        if look.glasses:
            _draw_glasses(pen, look, side)
    _draw_hair(pen, look)
    return _light(canvas.reduce(SUPERSAMPLING), rng)


# Of twenty pictures in a row, 14 are for train, 3 for validation and 3 for test.
SPLITS = {"train": range(14), "validation": range(14, 17), "test": range(17, 20)}


def _rows(split: str, count: int, seed: int, classes: tuple[str, ...], code: str) -> Iterator[dict[str, Any]]:
    """The rows of one split; `code` (see `_code`) is here so that it counts in the name of the cached table."""
    names = sorted(classes)  # the order of the classes must not change a picture
    for index in range(count):
        if index % 20 not in SPLITS[split]:
            continue
        name = names[np.random.default_rng([seed, index, 1]).integers(len(names))]
        yield {
            "image": draw_face(name, seed, index),
            "label": name,
            "target": [float(name == c) for c in classes],
            "source": "drawn",
            "person": None,
            "key": f"drawn-{index:06d}",
        }


def _code() -> str:
    """A hash of everything that decides about a pixel besides the settings."""
    versions = f"{np.__version__} {PIL.__version__}"
    return hashlib.sha256(Path(__file__).read_bytes() + versions.encode()).hexdigest()


def read(recipe: Recipe) -> Source:
    """`recipe.drawn_faces` pictures of 64 x 64 with official splits of 70, 15 and 15 %; drawn once, then cached.

    Raises:
        InputError: `recipe.classes` holds a name that cannot be drawn, or there are too few pictures for three splits.
    """
    unknown = [name for name in recipe.classes if name not in EXPRESSIONS]
    if unknown:
        raise InputError(f"classes: {unknown[0]!r} cannot be drawn; source drawn knows {', '.join(CLASSES)}")
    if recipe.drawn_faces < 20:
        raise InputError(f"drawn_faces is {recipe.drawn_faces}; draw at least 20, so that every split has rows")
    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=recipe.classes),
            "target": List(Value("float32")),
            "source": Value("string"),
            "person": Value("string"),
            "key": Value("string"),
        }
    )
    settings = {
        "count": recipe.drawn_faces,
        "seed": recipe.split_seed,
        "classes": tuple(recipe.classes),
        "code": _code(),
    }
    tables = {}
    for split in SPLITS:
        rows = {"split": split, **settings}
        tables[split] = Dataset.from_generator(
            _rows,
            features=features,
            gen_kwargs=rows,
            split=NamedSplit(split),
            fingerprint=hashlib.sha256(repr(rows).encode()).hexdigest()[:32],
        )
    return Source(
        name="drawn",
        layout=f"{recipe.drawn_faces} faces drawn from seed {recipe.split_seed}",
        tables=DatasetDict(tables),
        dropped={split: {} for split in SPLITS},
        terms="drawn by this project, Apache-2.0",
        pixels_may_travel=True,
        label_rule=None,
    )
