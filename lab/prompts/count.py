"""How often a body does something: peaks of a signal, swings of a waving hand."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from exuvia.motion.clip import Clip
from exuvia.shapes import Array
from lab.prompts.body import ANY, JOINT, members, own
from lab.prompts.level import lean_deg, reach_m
from lab.prompts.verdict import Verdict, between

SHORTEST_S, SMOOTH_S = 0.2, 0.05
"""Least time between two peaks, and smoothing before they are sought."""
UP_M, SWING_M = 0.25, 0.05
"""Depth below its highest place in which a hand is raised; least swing of a wave."""
SIGNALS: dict[str, Callable[[Clip, str], Array]] = {
    "height": lambda clip, part: clip.joints[:, members(part), 1],
    "low": lambda clip, part: -clip.joints[:, members(part), 1],
    "soles": lambda clip, part: clip.joints[:, members("lower_foot"), 1].min(1, keepdims=True),
    "reach": reach_m,
    "gap": lambda clip, part: -np.linalg.norm(clip.joints[:, [20]] - clip.joints[:, [21]], axis=-1),
    "lean": lambda clip, part: lean_deg(clip)[:, None],
}
"""Signal [F, K] of a part with K joints; `soles` (the lower foot), `gap` (between the wrists) and `lean` need none."""


def count(clip: Clip, signal: str, low: int, high: int, prominence: float, part: str = "pelvis") -> Verdict:
    """Whether a signal has `low` to `high` peaks that stand out by `prominence`; one at an end of the clip counts."""
    curves = _smooth(SIGNALS[signal](clip, part), clip.fps).T
    padded = [np.pad(curve, 1, constant_values=curve.min()) for curve in curves]
    apart = max(1, SHORTEST_S * clip.fps)
    found = [len(find_peaks(curve, prominence=prominence, distance=apart)[0]) for curve in padded]
    return between(max(found) if part in ANY else min(found), low, high)


def wave(clip: Clip, side: str, low: int = 2) -> Verdict:
    """Whether a hand (left, right, both) above its elbow turns at least `low` times on its way from side to side."""
    found = []
    for one in {"both": ("left", "right")}.get(side, (side,)):
        hand, elbow = np.moveaxis(own(clip)[:, [JOINT[f"{one}_wrist"], JOINT[f"{one}_elbow"]]], 1, 0)
        raised = (hand[:, 1] >= hand[:, 1].max() - UP_M) & (hand[:, 1] > elbow[:, 1])
        swing = _smooth((hand - elbow)[raised, 0], clip.fps)
        found.append(sum(len(find_peaks(way * swing, prominence=SWING_M)[0]) for way in (1, -1)))
    return between(min(found), low, np.inf)


def _smooth(values: Array, fps: float) -> Array:
    smooth: Array = gaussian_filter1d(values.astype(np.float64), SMOOTH_S * fps, axis=0, mode="nearest")
    return smooth if len(values) else values
