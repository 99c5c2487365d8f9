"""How a body turns: degrees to the left are positive."""

import numpy as np

from exuvia.motion.clip import Clip
from lab.prompts.body import heading_rad
from lab.prompts.travel import path
from lab.prompts.verdict import Verdict

MOMENT_S = 0.3
"""Time at start and end over which the heading is averaged."""
ROUND_DEG = 270.0
"""Turn from which on a walk counts as a circle; recorded circles end before they close."""
SIGN = {"left": (1,), "right": (-1,), "either": (1, -1)}


def turn(clip: Clip, low: float, high: float, either: bool = False) -> Verdict:
    """Whether the heading changes by `low` to `high` degrees between start and end, or `either` way."""
    heading, moment = np.rad2deg(heading_rad(clip)), max(1, round(MOMENT_S * clip.fps))
    change = float(heading[-moment:].mean() - heading[:moment].mean())
    return Verdict(low <= (abs(change) if either else change) <= high, change)


def circle(clip: Clip, way: str = "either", within: float = 1.0, length: float = 2.0) -> Verdict:
    """Whether a part of the walk, `length` metres or more, turns round and ends near its start.

    Near is `within` metres or a quarter of the part. The value is the turn of the whole walk in degrees.
    """
    heading, line = np.rad2deg(heading_rad(clip)), path(clip)
    walked = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))
    change, gone = (values[None] - values[:, None] for values in (heading, walked))  # from a frame (row) to a later one
    gap = np.linalg.norm(line[None] - line[:, None], axis=-1)
    closed = (gone >= length) & (gap <= np.maximum(within, gone / 4))
    passed = any((closed & (sign * change >= ROUND_DEG)).any() for sign in SIGN[way])
    return Verdict(passed, float(heading[-1] - heading[0]))
