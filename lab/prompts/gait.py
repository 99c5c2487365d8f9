"""How the feet carry a body: steps, limping, jumps."""

from itertools import pairwise

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.shapes import Mask
from lab.prompts.body import JOINT, members
from lab.prompts.verdict import Verdict, between

STEP_M_PER_S, STEP_S = 0.5, 0.15
"""An ankle that moves faster, for longer, takes a step."""
LIMP = 0.2
"""Difference of the rests of both feet, over their mean: at most 0.13 in 98 % of recorded walks."""
UP_M = 0.1
"""Height of the lower foot from which on a body is in the air."""


def runs(holds: Mask) -> list[tuple[int, int]]:
    """First frame and end of each time in which a condition [F] holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], holds, [0])))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def swings(clip: Clip, foot: str) -> list[tuple[int, int]]:
    """First frame and end of each time in which a foot (left, right) moves."""
    speed = np.linalg.norm(np.diff(clip.joints[:, JOINT[f"{foot}_ankle"]], axis=0), axis=1) * clip.fps
    return [(start, end) for start, end in runs(speed > STEP_M_PER_S) if end - start >= STEP_S * clip.fps]


def steps(clip: Clip, low: int, high: int) -> Verdict:
    """Whether the feet take `low` to `high` steps."""
    return between(len(swings(clip, "left")) + len(swings(clip, "right")), low, high)


def uneven(clip: Clip, side: str = "either") -> Verdict:
    """Whether the foot of a side (left, right, either) rests for a shorter time than the other.

    The value is the difference over the mean, positive for the left.
    """
    rests = [[after[0] - before[1] for before, after in pairwise(swings(clip, foot))] for foot in ("left", "right")]
    left, right = (float(np.median(each)) if each else np.nan for each in rests)
    value = 2 * (right - left) / max(1.0, left + right)
    return Verdict({"left": value, "right": -value, "either": abs(value)}[side] >= LIMP, value)


def flight(clip: Clip, low: float = 0.15, high: float = 0.9) -> Verdict:
    """Whether the longest time with both feet in the air is between `low` and `high` seconds.

    Who stays up for 0.9 s rises by 1 m, so longer is no jump.
    """
    times = [end - start for start, end in runs(clip.joints[:, members("lower_foot"), 1].min(1) > UP_M)]
    return between(max(times, default=0) / clip.fps, low, high)
