"""One Pathfinder picture, step by step, in plain Python: what the compiled generator is held against, bit for bit.

A long snake: a first paddle at random; then again and again a pivot one gap beyond the last end, and on a circle around
it the end of the next paddle, weighted by how little the snake turns and by how free the place is. Two long snakes grow
in turns and share one map of occupied surroundings; when one is stuck, both start again. Then short snakes are
tried, and a marker is put on one begin and one end: of the same long snake (label 1) or of different ones (0).

Two oddities of the original are kept: the second snake's first paddle is placed without a look at the map, and the
first snake's last paddle never enters it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.lra.pathfinder.tables import DEGREES, Floats, PathfinderConfig, Tables, tables

Point = tuple[int, int]
OCCUPIED = 0.3
"""A place with more of other paddles' surroundings is not free."""
CLASH = 1.8
"""Map and new surroundings together must stay below this."""
FULL = 0.01
"""No short snake is begun where a smaller share of the picture is free."""
_WRAP = (1 << 64) - 1


class Draws:
    """SplitMix64 [steele2014splittable]: a function of seed and number of the picture."""

    def __init__(self, seed: int, index: int) -> None:
        self.state = (seed * 0xD1342543DE82EF95 + index * 0xA0761D6478BD642F + 0x632BE59BD9B4E019) & _WRAP
        self.uniform()

    def uniform(self) -> float:
        """In [0, 1)."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _WRAP
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WRAP
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WRAP
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    def below(self, count: int) -> int:
        """In 0 .. count - 1."""
        return int(self.uniform() * count)


@dataclass
class Snake:
    """The growing end of a snake."""

    pivot: Point
    direction: int
    """Number of its last paddle's direction."""
    stencil: int
    """Number of the last paddle's stencil ..."""
    at: Point
    """... and where its middle is: not in the map yet."""
    tip: Point


class Canvas:
    """Brightness [W, W] and map of occupied surroundings [W, W]."""

    def __init__(self, c: PathfinderConfig, t: Tables) -> None:
        self.c, self.t = c, t
        self.image = np.zeros((c.window, c.window), np.float32)
        self.map = np.zeros_like(self.image)
        p = c.padding
        self.map[:p], self.map[-p:], self.map[:, :p], self.map[:, -p:] = 1, 1, 1, 1

    def inside(self, point: Point) -> bool:
        """Whether a pixel is in the picture."""
        return 0 <= point[0] < self.c.window and 0 <= point[1] < self.c.window

    def spot(self, size: int, at: Point) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a stencil of size 2 h + 1 with its middle at a pixel lies: in the picture, and in itself."""
        half, w = size // 2, self.c.window
        outer, inner = [], []
        for x in at:
            low, high = max(0, x - half), max(0, min(w, x + half + 1))
            outer.append(slice(low, max(low, high)))
            inner.append(slice(low - x + half, max(low, high) - x + half))
        return (outer[0], outer[1]), (inner[0], inner[1])

    def raise_to(self, values: Floats, stencil: Floats, at: Point) -> None:
        """values <- max(values, stencil)."""
        outer, inner = self.spot(len(stencil), at)
        values[outer] = np.maximum(values[outer], stencil[inner])

    def draw(self, stencil: int, at: Point, brightness: float) -> None:
        """Add a paddle to the picture."""
        self.raise_to(self.image, self.t.line[stencil] * np.float32(brightness), at)

    def enter(self, snake: Snake) -> None:
        """Put a snake's last paddle into the map."""
        self.raise_to(self.map, self.t.mask[snake.stencil], snake.at)


def picture(c: PathfinderConfig, seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    """Picture [W, W] and label."""
    draws = Draws(seed, index)
    label = draws.below(2)
    t = tables(c, c.margins[draws.below(len(c.margins))])
    begun = None
    while begun is None:
        canvas = Canvas(c, t)
        begun = _two_long_snakes(canvas, draws)
    for _ in range(c.distractors):
        for _ in range(c.snake_retries + 1):
            kept = canvas.image.copy(), canvas.map.copy()
            if _short_snake(canvas, draws):
                break
            canvas.image, canvas.map = kept
    begins, ends = begun
    first = draws.below(2)
    for at in (begins[first], ends[first if label else 1 - first]):
        canvas.raise_to(canvas.image, t.marker, at)
    low, high = float(canvas.image.min()), float(canvas.image.max())
    scaled = (canvas.image.astype(np.float64) - low) * (255.0 / (high - low)) + 0.5
    return scaled.astype(np.uint8), label


def _two_long_snakes(canvas: Canvas, draws: Draws) -> tuple[list[Point], list[Point]] | None:
    """First and last ends of both; None where they could not be finished."""
    c = canvas.c
    free = np.zeros((c.window, c.window), bool)
    inner = slice(2 * c.seed_distance, c.window - 2 * c.seed_distance)
    free[inner, inner] = canvas.map[inner, inner] <= OCCUPIED
    first = _first_paddle(canvas, draws, free)
    if first is None:
        return None
    second = None
    for _ in range(c.paddle_retries + 1):
        direction, angle = draws.below(DEGREES), math.radians(draws.below(360))
        y, x = (round(c.seed_distance * f(angle)) for f in (math.sin, math.cos))
        second = _placed(canvas, direction, (first.tip[0] + y, first.tip[1] + x))
        if second is not None:
            break
    if second is None:
        return None
    snakes, begins = [first, second], [first.tip, second.tip]
    for snake in snakes:
        canvas.draw(snake.stencil, snake.at, c.target_brightness)
    for _ in range(c.contour_length - 1):
        for snake in snakes:
            if not _grow(canvas, draws, snake, c.target_brightness):
                return None
    canvas.enter(second)
    return begins, [snake.tip for snake in snakes]


def _short_snake(canvas: Canvas, draws: Draws) -> bool:
    c = canvas.c
    free = canvas.map <= OCCUPIED
    if free.sum() < FULL * free.size:
        return False
    free[0], free[-1], free[:, 0], free[:, -1] = False, False, False, False
    snake = _first_paddle(canvas, draws, free)
    if snake is None:
        return False
    canvas.draw(snake.stencil, snake.at, c.distractor_brightness)
    for _ in range(c.distractor_length - 1):
        if not _grow(canvas, draws, snake, c.distractor_brightness):
            return False
    canvas.enter(snake)
    return True


def _first_paddle(canvas: Canvas, draws: Draws, free: NDArray[np.bool_]) -> Snake | None:
    """A paddle in a random direction at a random place that is free of others."""
    for _ in range(canvas.c.paddle_retries + 1):
        direction = draws.below(DEGREES)
        able = np.ones_like(free)
        for y, x in canvas.t.near[direction]:
            able &= _shifted(free, int(y), int(x))
        places = np.argwhere(able)
        if not len(places):
            return None
        y, x = places[draws.below(len(places))]
        snake = _placed(canvas, direction, (int(y), int(x)))
        if snake is not None:
            return snake
    return None


def _shifted(free: NDArray[np.bool_], y: int, x: int) -> NDArray[np.bool_]:
    """free[p + (y, x)] at p; beyond the border everything is free."""
    moved = np.ones_like(free)
    h, w = free.shape
    moved[max(0, -y) : h - max(0, y), max(0, -x) : w - max(0, x)] = free[
        max(0, y) : h + min(0, y), max(0, x) : w + min(0, x)
    ]
    return moved


def _placed(canvas: Canvas, direction: int, at: Point) -> Snake | None:
    """A first paddle, if its end and its pivot are in the picture."""
    head = _moved(at, canvas.t.head[direction])
    pivot = _moved(head, canvas.t.back[direction])
    if not (canvas.inside(head) and canvas.inside(pivot)):
        return None
    return Snake(pivot, direction, direction, at, at)


def _moved(point: Point, step: NDArray[np.int64]) -> Point:
    return point[0] + int(step[0]), point[1] + int(step[1])


def _grow(canvas: Canvas, draws: Draws, snake: Snake, brightness: float) -> bool:
    """One paddle more; False where there is no place."""
    t = canvas.t
    pivot = _moved(snake.pivot, t.ahead[snake.direction])
    ends, weights, total = [_moved(pivot, step) for step in t.circle], [], 0.0
    for number, end in enumerate(ends):
        if canvas.inside(end):
            busy = max(float(canvas.map[p]) for p in (_moved(end, d) for d in t.disc) if canvas.inside(p))
            total += (1.0 - busy) * float(t.weight[snake.direction, number])
        weights.append(total)
    if total < 1e-4:
        return False
    for _ in range(canvas.c.paddle_retries + 1):
        wanted = draws.uniform() * total
        number = next((k for k, weight in enumerate(weights) if weight > wanted), 0)
        stencil, at = int(t.reverse[number]), ends[number]
        outer, inner = canvas.spot(len(t.mask[stencil]), at)
        if (canvas.map[outer].astype(np.float64) + t.mask[stencil][inner]).max() < CLASH:
            break
    else:
        return False
    canvas.draw(stencil, at, brightness)
    canvas.enter(snake)
    snake.pivot, snake.direction, snake.stencil, snake.at, snake.tip = pivot, DEGREES + number, stencil, at, at
    return True
