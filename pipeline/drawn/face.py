"""Pictures of faces that are drawn; they show no real person.

Who a face is, how it is turned and lit, and how strongly it moves come only from (seed, index), so that the seven
expressions of one index are the same person in the same pose.

Coordinates are face units: the head is about 2 high and 1.6 wide, its centre is (0, 0), y grows downwards.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from pipeline.drawn.look import Colour, Look, hsv, look_of, mix
from pipeline.drawn.movements import EXPRESSIONS, Expression, moved
from pipeline.errors import InputError

Points = NDArray[np.float64]

SUPERSAMPLING = 3
T = np.linspace(-1.0, 1.0, 25)  # along a line or an edge, from end to end
BOW = 1 - T**2


class Pen:
    """Draws shapes given in face units on a canvas, seen from a pose."""

    def __init__(self, canvas: PILImage.Image, rng: np.random.Generator) -> None:
        side = canvas.width
        self.draw = ImageDraw.Draw(canvas, "RGBA")
        self.scale = side * rng.uniform(0.4, 0.48)
        self.centre = side * (0.5 + rng.uniform(-0.06, 0.06, 2)) - (0, 0.02 * side)
        angle = np.radians(rng.normal(0, 9))
        self.rotation = self.scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.turn = rng.uniform([-0.24, -0.11], [0.24, 0.11])

    def place(self, x: Points, y: Points) -> list[float]:
        """Points as pixels x, y, x, y, ...; the nearer to the face's middle, the more the turn moves them."""
        depth = np.maximum(1 - (x / 0.9) ** 2 - (y / 1.3) ** 2, 0)
        turned = np.stack([x + depth * self.turn[0], y + depth * self.turn[1]], 1)
        pixels = turned @ self.rotation + self.centre
        return pixels.ravel().tolist()

    def fill(self, x: Points, y: Points, colour: Colour) -> None:
        """A closed shape."""
        self.draw.polygon(self.place(x, y), fill=colour)

    def band(self, x: Points, top: Points, bottom: Points, colour: Colour) -> None:
        """What lies between two edges over the same `x`."""
        self.fill(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]]), colour)

    def line(self, x: Points, y: Points, colour: Colour, width: float) -> None:
        """An open line with round ends, `width` in face units."""
        pixels, radius = self.place(x, y), width * self.scale / 2
        self.draw.line(pixels, fill=colour, width=max(1, round(2 * radius)))
        if len(colour) == 3:
            for px, py in (pixels[:2], pixels[-2:]):
                self.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=colour)

    def crease(self, x: Points, y: Points, look: Look, strength: float) -> None:
        """A line of the skin; at strength 0 there is none."""
        if strength > 0.05:
            self.line(x, y, (*look.shade, round(255 * min(strength, 1))), look.line)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A filled ellipse."""
        angle = np.pi * np.arange(0, 2, 0.08)
        self.fill(x + rx * np.cos(angle), y + ry * np.sin(angle), colour)


def _outline(look: Look, drop: float, start: float = 0.0, stop: float = 2 * np.pi) -> tuple[Points, Points]:
    """The head's silhouette between two angles (0 is the right ear, half pi the chin); `drop` lowers the chin."""
    angle = np.linspace(start, stop, 60)
    y = np.sin(angle) * np.where(np.sin(angle) > 0, 1 + drop, 1)
    return look.width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.9 * (1 - look.jaw * np.clip(y, 0, 1)), y


def _draw_head(pen: Pen, look: Look, drop: float) -> None:
    """Hair behind, shoulders, neck, ears and the head itself. Style 0 is bald, 3 long hair, 4 a bun."""
    if look.style == 3:
        x, y = _outline(look, 0.35)
        pen.fill(x * look.volume * 1.12, y * 1.12, mix(look.hair, (0, 0, 0), 0.2))
    if look.style == 4:
        pen.oval(0, -1.12, 0.34, 0.3, look.hair)
    neck = np.array([-0.34, 0.34, 0.38, -0.38])
    pen.oval(0, 1.9, 1.15, 0.75, look.cloth)
    pen.fill(neck, np.array([0.6, 0.6, 1.28, 1.28]), mix(look.skin, look.shade, 0.4))
    for side in (-1, 1):
        pen.oval(side * look.width, look.eye_y + 0.1, 0.11, 0.19, mix(look.skin, look.shade, 0.25))
    pen.fill(*_outline(look, drop), look.skin)
    if look.beard and look.style < 3:
        x, y = _outline(look, drop, 0.1 * np.pi, 0.9 * np.pi)
        pen.fill(np.r_[x, 0.6 * x[::-1]], np.r_[y, 0.2 + 0.62 * y[::-1]], mix(look.hair, look.skin, 0.25))


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
    pen.band(x, top, bottom, (247, 245, 242))
    angle = np.pi * np.arange(0, 2, 0.08)
    for radius, colour in ((0.12, look.iris), (0.06, (14, 10, 10))):
        ring_x = side * look.eye_x + gaze[0] + radius * np.cos(angle)
        ring_y = look.eye_y + gaze[1] + radius * np.sin(angle)
        pen.fill(ring_x, np.clip(ring_y, np.interp(ring_x, x, top), np.interp(ring_x, x, bottom)), colour)
    pen.oval(side * look.eye_x + gaze[0] + 0.03, look.eye_y + gaze[1] - 0.03, 0.018, 0.018, (255, 255, 255, 220))
    pen.line(x, top, mix(look.shade, (15, 8, 8), 0.75), look.line * 1.5)
    pen.line(x[3:-3], bottom[3:-3], look.shade, look.line * 0.7)
    pen.crease(x[4:-4], bottom[4:-4] + 0.07 + 0.02 * BOW[4:-4], look, 0.6 * move.lower_lid)


def _draw_brow(pen: Pen, look: Look, move: Expression, side: int) -> None:
    outwards = (T + 1) / 2
    x = side * (look.eye_x - 0.2 - move.together + outwards * (0.46 + move.together))
    rise = move.inner_brow * (1 - outwards) + move.outer_brow * outwards + (0.03 + move.brow_arch) * BOW
    y = look.eye_y + look.brow_y - rise
    thick = look.brow_w / 2 * (1.1 - 0.75 * outwards**2)
    pen.band(x, y - thick, y + thick, look.brow)


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
    pen.band(x, top - cupid, bottom + 1.3 * lip * BOW, look.lips)
    if np.max(bottom - top) > 0.02:
        pen.band(x, top, bottom, (62, 16, 22))
        pen.band(0.93 * x, top, top + move.teeth * (bottom - top), (246, 243, 236))
        tongue = bottom - 0.3 * (1 - move.teeth) * (bottom - top)
        pen.band(0.7 * x, tongue, bottom, (196, 84, 92))
    else:
        pen.line(x, (top + bottom) / 2, mix(look.lips, (40, 5, 10), 0.65), look.line * 1.2)


def _background(rng: np.random.Generator, side: int) -> PILImage.Image:
    """A soft gradient of four related colours."""
    hue, value = rng.random(), rng.uniform(0.35, 0.95)
    corners = [hsv(hue + rng.uniform(-0.06, 0.06), rng.uniform(0.1, 0.5), value * rng.uniform(0.7, 1)) for _ in "1234"]
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


def draw_face(label: str, seed: int, index: int, size: int = 64, intensity: float | None = None) -> PILImage.Image:
    """An RGB picture of `size` by `size` pixels: the same arguments always give the same pixels.

    Args:
        label: one of `pipeline.expressions.CLASSES`.
        seed: which collection of people; not negative.
        index: which of its people, with pose, light and strength; the same for every label.
        size: side in pixels.
        intensity: how far the face moves, from 0 (neutral) to 1 (the whole expression); None draws it at random from
            0.7 to 1.15.

    Raises:
        InputError: `label` cannot be drawn.
    """
    if label not in EXPRESSIONS:
        raise InputError(f"classes: {label!r} cannot be drawn; source drawn knows {', '.join(EXPRESSIONS)}")
    rng = np.random.default_rng([seed, index])
    canvas = _background(rng, size * SUPERSAMPLING)
    pen, look, move = Pen(canvas, rng), look_of(rng), moved(label, rng, intensity)
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
