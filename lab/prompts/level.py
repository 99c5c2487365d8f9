"""Where parts of a body are for some time: height, reach, nearness, lean."""

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.shapes import Array
from lab.prompts.body import JOINT, joined, members
from lab.prompts.verdict import Verdict, between, lasting

MOMENT_S = 0.3


def height(
    clip: Clip,
    part: str,
    above: float | None = None,
    below: float | None = None,
    over: str = "",
    seconds: float = 0.2,
    share: float = 0.0,
) -> Verdict:
    """Whether a part is above or below a height in metres over the floor, or `over` another joint."""
    values = clip.joints[:, members(part), 1]
    if over:
        values = values - clip.joints[:, members(over), 1]
    return lasting(joined(values, part, above is not None), clip.fps, above, below, seconds, share)


def reach_m(clip: Clip, part: str) -> Array:
    """Distance [F, K] of a part's joints from the chest over the floor."""
    return np.linalg.norm((clip.joints[:, members(part)] - clip.joints[:, [JOINT["chest"]]])[..., [0, 2]], axis=-1)


def reach(clip: Clip, part: str, above: float, seconds: float = 0.2) -> Verdict:
    """Whether a part is farther from the chest over the floor than a distance in metres."""
    return lasting(joined(reach_m(clip, part), part, True), clip.fps, above, None, seconds)


def near(
    clip: Clip, part: str, to: str, above: float | None = None, below: float | None = None, seconds: float = 0.2
) -> Verdict:
    """Whether a part is nearer to a joint, or farther from it, than a distance in metres."""
    values = np.linalg.norm(clip.joints[:, members(part)] - clip.joints[:, members(to)], axis=-1)
    return lasting(joined(values, part, above is not None), clip.fps, above, below, seconds)


def lean_deg(clip: Clip) -> Array:
    """Angle [F] between the line from pelvis to neck and the vertical."""
    spine = clip.joints[:, JOINT["neck"]] - clip.joints[:, 0]
    return np.rad2deg(np.arctan2(np.linalg.norm(spine[:, [0, 2]], axis=1), spine[:, 1]))


def lean(
    clip: Clip, above: float | None = None, below: float | None = None, seconds: float = 0.2, share: float = 0.0
) -> Verdict:
    """Whether the trunk leans by more or less than an angle in degrees."""
    return lasting(lean_deg(clip), clip.fps, above, below, seconds, share)


def rise(clip: Clip, low: float, high: float) -> Verdict:
    """Whether the lower foot ends between `low` and `high` metres over where it started."""
    soles, moment = clip.joints[:, members("lower_foot"), 1].min(1), max(1, round(MOMENT_S * clip.fps))
    return between(soles[-moment:].min() - soles[:moment].min(), low, high)
