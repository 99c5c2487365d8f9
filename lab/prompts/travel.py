"""Where a body goes: direction, place, way back, speed."""

import numpy as np
from scipy.ndimage import uniform_filter1d

from exuvia.motion.clip import Clip
from exuvia.shapes import Array
from lab.prompts.body import heading_rad, turned
from lab.prompts.verdict import Verdict, between

WAYS = {"forward": (2, 1), "backward": (2, -1), "left": (0, 1), "right": (0, -1)}
"""Axis of left, up, ahead, and sign."""
ASIDE = 0.3
"""Share of the way ahead or back from which on a walk goes to the side: recorded side steps go 20 to 55 degrees off."""
SWAY_S = 0.5
"""Time over which steps are averaged out."""


def direction(clip: Clip, way: str, metres: float = 0.5) -> Verdict:
    """Whether a body goes `metres` or more forward, backward, to the left or to the right, as it sees it itself.

    Steps of the pelvis are added up in the body's own axes of each moment.
    """
    axis, sign = WAYS[way]
    gone = turned(np.diff(clip.joints[:, 0], axis=0), heading_rad(clip)[:-1]).sum(0)
    least = abs(gone[2 - axis]) * (1.0 if axis == 2 else ASIDE)
    return Verdict(bool(sign * gone[axis] >= max(metres, least)), float(sign * gone[axis]))


def path(clip: Clip) -> Array:
    """Way [F, 2] of the pelvis over the floor in metres from its start, without sway."""
    size = max(1, min(round(SWAY_S * clip.fps), clip.frames))
    line = uniform_filter1d(clip.joints[:, 0, ::2].astype(np.float64), size, axis=0, mode="nearest")
    return line - line[0]


def place(clip: Clip, metres: float = 0.6) -> Verdict:
    """Whether the pelvis stays within `metres` of its start."""
    return between(np.linalg.norm(path(clip), axis=1).max(), 0.0, metres)


def closure(clip: Clip, away: float = 1.0, left: float = 0.6) -> Verdict:
    """Whether the pelvis goes `away` metres or more from its start and then comes back until at most a share `left`
    of its farthest distance is left; the value is that share."""
    far = np.linalg.norm(path(clip), axis=1)
    farthest = np.maximum.accumulate(far)
    return between(np.where(farthest >= away, far / np.maximum(farthest, 1e-6), 1.0).min(), 0.0, left)


def speed(clip: Clip, low: float, high: float) -> Verdict:
    """Whether the speed over the floor that is exceeded in a quarter of the time lies between limits in m/s."""
    return between(np.quantile(np.linalg.norm(np.diff(path(clip), axis=0), axis=1), 0.75) * clip.fps, low, high)
