"""Pathfinder's settings, and everything that can be known before the first random number: stencils, steps, weights.

Facts: drewlinsley/pathfinder, snakes2.py, commit ab9c130 (2019), and the settings in the docstrings of google-research
long-range-arena, lra_benchmarks/data/pathfinder.py [tay2021lra]. Coordinates are (row, column).

All directions are known in advance: a snake begins in one of 360 (whole degrees) and continues to a pixel on a circle
around its pivot. So a paddle, its surroundings (where no other may be) and every step are looked up by the
number of a direction: 0 to 359, then 360 + j for pixel j of the circle.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from exuvia.errors import ConfigError

DEGREES = 360
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PathfinderConfig:
    """One kind of pictures."""

    window: int = 32
    """Side W of a picture, pixels."""
    padding: int = 1
    """Pixels along the border where no paddle may be."""
    seed_distance: int = 7
    """Between the first ends of the two long snakes; the first of them lies twice as far from the border."""
    marker_radius: float = 1.5
    contour_length: int = 14
    """Paddles of a long snake: 14 hard, 9 medium, 6 easy."""
    distractor_length: int = 4
    """Paddles of a short snake."""
    distractors: int = 5
    """Short snakes that are tried."""
    paddle_length: int = 2
    paddle_thickness: float = 0.5
    """Times `antialias` a whole number."""
    margins: tuple[int, ...] = (1,)
    """Gaps between paddles; one is drawn for a picture."""
    continuity: float = 1.0
    """Straightness: weights of directions are cos² of this times the turn."""
    snake_contrast: float = 2.0
    """Brightness of distractors."""
    paddle_contrast: float = 0.75
    """Long snakes have this times `snake_contrast`; markers have 1."""
    antialias: int = 2
    contrast: str = "published"
    """"published", or "equal": distractors as bright as long snakes. As published at 32 pixels they are brighter by a
    third, which gives away what to leave out."""
    paddle_retries: int = 2
    snake_retries: int = 4

    def __post_init__(self) -> None:
        if self.contrast not in ("published", "equal"):
            raise ConfigError(f"unknown contrast {self.contrast!r}; known: equal, published")
        if self.window < 4 * self.seed_distance + 1:
            raise ConfigError(f"found a window of {self.window}, expected more than 4 times {self.seed_distance}")
        if self.contour_length < 2 or self.distractor_length < 1 or not self.margins or min(self.margins) < 1:
            raise ConfigError("expected snakes of 2 paddles or more, distractors of 1 or more, and margins from 1")
        if abs(self.paddle_thickness * self.antialias - round(self.paddle_thickness * self.antialias)) > 1e-9:
            raise ConfigError(
                f"found paddles {self.paddle_thickness} thick, expected whole pixels at {self.antialias} x"
            )

    @property
    def target_brightness(self) -> float:
        """Brightness of long snakes."""
        return self.snake_contrast * self.paddle_contrast

    @property
    def distractor_brightness(self) -> float:
        """Brightness of short snakes."""
        return self.target_brightness if self.contrast == "equal" else self.snake_contrast


PRESETS = {
    "32": PathfinderConfig(),
    "64": PathfinderConfig(64, 1, 12, 2.5, paddle_length=5, paddle_thickness=1.0, continuity=1.8, snake_contrast=0.8,
                           paddle_contrast=1.0),
    "128": PathfinderConfig(128, 1, 20, 3.0, distractors=8, paddle_length=5, paddle_thickness=1.5, margins=(2, 3),
                            continuity=1.8, snake_contrast=0.9, paddle_contrast=1.0),
    "256": PathfinderConfig(256, 22, 27, 5.0, distractors=7, paddle_length=5, paddle_thickness=2.0, margins=(3,),
                            continuity=1.8, snake_contrast=1.0, paddle_contrast=1.0),
}  # fmt: skip
"""The published settings, all hard; 128 is Path-X."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What one margin needs; n = 360 + J directions, J pixels on the circle, S = 2 h + 1."""

    half: int
    """h: a stencil reaches so far."""
    line: Floats
    """Brightness of a paddle that begins in the middle and goes in a direction [n, S, S]"""
    mask: Floats
    """Its surroundings, 0 to 1 [n, S, S]"""
    head: Ints
    """From a paddle's begin to its end [n, 2]"""
    back: Ints
    """From a first paddle's end to its pivot, a margin behind its begin [n, 2]"""
    ahead: Ints
    """From a pivot to the next one [n, 2]"""
    circle: Ints
    """From a pivot to the ends that the next paddle may have [J, 2], by row, then column"""
    weight: NDArray[np.float64]
    """Weight with which a snake of a direction continues to a pixel of the circle [n, J]"""
    reverse: Ints
    """Direction number of the paddle drawn from a pixel of the circle back to the pivot [J]"""
    disc: Ints
    """Pixels within the margin [*, 2]"""
    near: tuple[Ints, ...]
    """For every whole degree: pixels that must be free where a snake begins [*, 2]"""
    marker: Floats
    """A marker, 0 to 1 [odd, odd]"""


@cache
def tables(c: PathfinderConfig, margin: int) -> Tables:
    """Everything that a picture of this margin needs."""
    reach = c.paddle_length + margin
    circle = _circle(reach)
    angles = np.concatenate([np.deg2rad(np.arange(-180, 180)), np.arctan2(circle[:, 0], circle[:, 1])])
    flipped = np.where(angles[DEGREES:] < 0, angles[DEGREES:] + np.pi, angles[DEGREES:] - np.pi)
    drawn = np.concatenate([angles, flipped])  # a continuing paddle is drawn back towards the pivot
    stencils = [_stencils(c, margin, angle) for angle in drawn]
    line, mask = (np.stack(part).astype(np.float32) for part in zip(*stencils, strict=True))
    turn = np.abs(angles[DEGREES:][None] - angles[:, None])
    turn = np.minimum(np.minimum(turn, 2 * np.pi - turn) * c.continuity, 0.5 * np.pi)
    opposite = np.where(angles + np.pi < np.pi, angles + np.pi, angles - np.pi)
    half = c.paddle_length + int(np.ceil(c.paddle_thickness)) + margin
    return Tables(
        half=half,
        line=line,
        mask=mask,
        head=_steps(angles, c.paddle_length),
        back=_steps(opposite, reach),
        ahead=_steps(angles, c.paddle_length + 2 * margin),
        circle=circle,
        weight=np.maximum(np.cos(turn), 0) ** 2,
        reverse=len(angles) + np.arange(len(circle)),
        disc=_disc(margin),
        near=tuple(_near(mask[k], half, reach) for k in range(DEGREES)),
        marker=_marker(c.marker_radius, c.antialias),
    )


def _steps(angles: NDArray[np.float64], distance: float) -> Ints:
    """Whole pixels, rounded up as the original does."""
    moves = np.stack([distance * np.sin(angles), distance * np.cos(angles)], axis=1)
    return np.ceil(moves).astype(np.int64)


def _circle(radius: int) -> Ints:
    """Pixels on a circle, sampled a pixel of arc apart, coordinates rounded down."""
    angle = np.deg2rad(np.arange(0, 360, 360 / (2 * radius * np.pi)))
    return np.unique(np.floor(radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)).astype(np.int64), axis=0)


def _disc(radius: int) -> Ints:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.argwhere(y**2 + x**2 <= radius**2).astype(np.int64) - radius


def _stencils(c: PathfinderConfig, margin: int, angle: float) -> tuple[Floats, Floats]:
    """A paddle from the middle in a direction and its surroundings, drawn larger and made small again (Lanczos)."""
    half, aa = c.paddle_length + int(np.ceil(c.paddle_thickness)) + margin, c.antialias
    large, small, middle = 2 * half * aa + 1, 2 * half + 1, half * aa
    end = middle + _steps(np.asarray([angle]), c.paddle_length * aa)[0]
    picture = Image.new("L", (large, large), 0)  # eight bits, as scipy.misc.imresize had it
    width = round(c.paddle_thickness * aa)
    ImageDraw.Draw(picture).line([(middle, middle), (int(end[1]), int(end[0]))], fill=255, width=width)
    drawn = np.asarray(picture)
    shape = np.zeros((2 * margin * aa + 1,) * 2, bool)
    shape[tuple((_disc(margin * aa) + margin * aa).T)] = True
    around = Image.fromarray(ndimage.binary_dilation(drawn > 0, shape).astype(np.uint8) * 255)
    return _shrunk(picture, small), _shrunk(around, small)


def _near(mask: Floats, half: int, reach: int) -> Ints:
    """Pixels that must be free, seen from a first paddle's begin: those fully in its surroundings, within `reach`.

    The original places the surroundings one pixel off the middle of a window of 2 reach + 1, and crops them there.
    """
    full = np.argwhere(mask >= 1.0).astype(np.int64) - half + 1
    return full[(np.abs(full) <= reach).all(1)]


def _shrunk(picture: Image.Image, side: int) -> Floats:
    """0 to 1."""
    small = picture.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32) / np.float32(255)


def _marker(radius: float, aa: int) -> Floats:
    half = int(np.ceil(radius)) + 2
    y, x = np.mgrid[-half * aa : (half + 1) * aa, -half * aa : (half + 1) * aa]
    disc = Image.fromarray(((x**2 + y**2 <= (radius * aa) ** 2) * 255).astype(np.uint8))
    side = 2 * half + 1
    return _shrunk(disc, side)
