"""Flights: a body that nothing holds falls freely.

Between take-off and landing, T seconds apart, the centre of mass moves on a parabola:

    y(t) = y(0) + (y(T) - y(0)) t / T + g t (T - t) / 2                                                         (F1)

so a flight that rises by r lasts T = (8 r / g)^1/2. A body that is in the air for much longer floats: it keeps its
rise, and is brought down to the floor before and after the parabola.
"""

from collections.abc import Iterator

import numpy as np

from exuvia.motion.kinematics import centre_of_mass
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.smoothing import smoothed
from exuvia.shapes import Array

GRAVITY_M_PER_S2 = 9.81
FLESH_M = np.asarray([0.0 if "foot" in n or "ankle" in n else 0.05 if "knee" in n else 0.1 for n in SMPL22.joints])
"""Distance from joints to the lowest skin that they carry: fingers below wrists, the crown below the head."""
NEAR_M = 0.05
"""Height up to which a part of the body is on the floor."""
SHORTEST_S, HOP_S, LONGEST_S = 0.2, 0.45, 2.0
"""Shorter times in the air are steps of a run, and short ones hops, which never float; a body that rests above the
floor for longer is held by something."""
REST_S, REST_M = 0.3, 0.06
"""A joint that is within a cube of this size for this time rests."""
HIGHEST_M = 1.0
"""A body that is higher above the floor than this is held by something, too."""
FLOATING_SHARE = 0.7
"""A flight floats if free fall with its rise lasts less than this share of its time."""
FLIGHT_WEIGHT, SMOOTH_S = 30.0, 0.1
"""Weight of the frames of a flight, and reach, of the smooth course of all shifts: knees bend before and after."""


def free_fall(joints: Array, fps: float, floor_m: float = 0.0) -> Array:
    """Flights by F1: joints [F ≥ 4, 22, 3] in metres, y up, at `fps` frames a second, above a floor at `floor_m`.

    All joints of a frame move up or down alike, so bones keep their lengths. Raises nothing for finite joints.
    """
    height, lowest = centre_of_mass(joints)[:, 1], (joints[..., 1] - FLESH_M).min(1) - floor_m
    shift: Array = np.zeros(len(joints))
    weights = np.ones(len(joints))
    for start, end in _in_the_air(lowest):
        first, last = max(start - 1, 0), min(end, len(joints) - 1)
        seconds, air = (last - first) / fps, slice(first, last + 1)
        if seconds <= SHORTEST_S or (seconds > LONGEST_S and _rests(joints[air], fps)) or lowest[air].max() > HIGHEST_M:
            continue
        whole, time = start > 0 and end < len(joints), np.arange(last - first + 1) / fps
        # where the clip begins or ends in the air, one end of the parabola is unknown: the lowest part tells the rise
        rise = height[air] - np.linspace(height[first], height[last], len(time)) if whole else lowest[air]
        top = int(np.argmax(rise))
        fall_s = np.sqrt(8 * max(rise[top], 0) / GRAVITY_M_PER_S2)
        if whole and (seconds < HOP_S or fall_s > FLOATING_SHARE * seconds):
            moved = GRAVITY_M_PER_S2 * time * (seconds - time) / 2 - rise
        else:
            moved = np.minimum(rise[top] - GRAVITY_M_PER_S2 * (time - time[top]) ** 2 / 2 - lowest[air], 0)
        shift[air] = np.maximum(moved, -np.maximum(lowest[air], 0))
        weights[air] = FLIGHT_WEIGHT
    if shift.any():
        shift = smoothed(shift[:, None], SMOOTH_S * fps, weights)[:, 0]
    return joints + shift[:, None, None] * (0.0, 1.0, 0.0)


def _rests(joints: Array, fps: float) -> bool:
    """Whether for most of the time some joint stays in one place, as feet do on stairs and hands on a bar."""
    windows = np.lib.stride_tricks.sliding_window_view(joints, max(2, round(REST_S * fps)), axis=0)
    return bool(((np.ptp(windows, axis=-1).max(-1) < REST_M).any(1)).mean() > 0.5)


def _in_the_air(lowest: Array) -> Iterator[tuple[int, int]]:
    """First frame, and frame after the last, of every time in the air."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (lowest > NEAR_M).astype(np.int8), [0]))))
    for start, end in edges.reshape(-1, 2):
        yield int(start), int(end)
