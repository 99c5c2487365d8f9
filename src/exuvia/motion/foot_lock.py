"""Feet that stand, stand still: each stance gets one place, and the leg reaches for it with bones of the same length.

A stance begins where a toe is low and slow and lasts while it stays so, by wider limits. Within it the foot is held at
the stance's median place; between stances what was moved changes smoothly. Knees follow by two-bone inverse kinematics
in the plane they bent in. A correction may bring jerk with it: of several limits, smoothings and strengths the one that
skates least is taken, among those that do not make the joints jerk more than before; none is always among them.
"""

from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from scipy.ndimage import gaussian_filter1d

from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import foot_skate_m_per_s, mean_jerk_m_per_s3
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.two_bone import REACH, bend, hips_forward
from exuvia.shapes import Array

_LEG = ("hip", "knee", "ankle", "foot")
LEGS = tuple(tuple(SMPL22.index(f"{side}_{joint}") for joint in _LEG) for side in ("left", "right"))
LOW_M, STILL_LOW_M = 0.05, 0.07
"""Height of a toe above the floor at which a stance begins, and ends."""
SLOW_M_PER_S = ((0.4, 0.9), (0.6, 1.0), (0.8, 1.2))
"""Its horizontal speed likewise: pairs of limits that are tried."""
SHORTEST_S = 0.15
FADE_S = 0.5
SMOOTHINGS = (0.0, 1.0, 2.0)
"""Deviations of a Gaussian over the correction, frames."""
STRENGTHS = (1.0, 0.85, 0.7, 0.5, 0.3, 0.15)


@dataclass(frozen=True)
class FootLock:
    """What locking the feet of a clip did."""

    clip: Clip
    """The motion with locked feet; the same one where nothing helped."""
    skate_before_m_per_s: float
    """Mean horizontal speed of the feet near the floor (`kinematics.foot_skate_m_per_s`)."""
    skate_after_m_per_s: float
    jerk_before_m_per_s3: float
    """Mean over joints and frames (`kinematics.mean_jerk_m_per_s3`)."""
    jerk_after_m_per_s3: float


def lock_feet(clip: Clip) -> FootLock:
    """Hold standing feet at one place; bone lengths stay, and the joints jerk no more than before.

    Args:
        clip: the motion; one of fewer than four frames comes back as it is
    """
    joints, fps = clip.joints.astype(np.float64), clip.fps
    if clip.frames < 4:
        return FootLock(clip, 0.0, 0.0, 0.0, 0.0)
    floor = float(joints[..., 1].min(1).mean())
    before = foot_skate_m_per_s(joints, fps, floor), mean_jerk_m_per_s3(joints, fps)
    shifts = [[foot_shift(joints, leg, fps, floor, limits) for leg in LEGS] for limits in SLOW_M_PER_S]
    best, found = joints, before
    for wanted, smooth, strength in product(shifts, SMOOTHINGS, STRENGTHS):
        made = joints.copy()
        for leg, shift in zip(LEGS, wanted, strict=True):
            move_foot(made, leg, strength * (gaussian_filter1d(shift, smooth, axis=0) if smooth else shift))
        measured = foot_skate_m_per_s(made, fps, floor), mean_jerk_m_per_s3(made.astype(np.float32), fps)
        if measured[0] < found[0] and measured[1] <= before[1]:
            best, found = made, measured
    locked = clip if best is joints else replace(clip, joints=best.astype(np.float32))
    return FootLock(locked, before[0], found[0], before[1], found[1])


def stances(height: Array, speed: Array, fps: float, limits: tuple[float, float]) -> list[tuple[int, int]]:
    """First frame of every stance and the one after its last.

    Args:
        height: of a toe above the floor [F], metres; speed: of it, horizontal [F], metres a second
        limits: speeds at which a stance begins and ends
    """
    starts = (height < LOW_M) & (speed < limits[0])
    stays = (height < STILL_LOW_M) & (speed < limits[1])
    found, frame = [], 0
    while frame < len(height):
        if not starts[frame]:
            frame += 1
            continue
        end = frame
        while end < len(height) and stays[end]:
            end += 1
        if (end - frame) / fps >= SHORTEST_S:
            found.append((frame, end))
        frame = max(end, frame + 1)
    return found


def foot_shift(joints: Array, leg: tuple[int, ...], fps: float, floor: float, limits: tuple[float, float]) -> Array:
    """How far a foot is to be moved in every frame [F, 3], metres: in a stance to its place, between two smoothly from
    what the one wants to what the other does, before the first and after the last down to nothing."""
    toe = joints[:, leg[3]]
    speed = np.linalg.norm(np.gradient(toe[:, [0, 2]], axis=0), axis=1) * fps
    found = stances(toe[:, 1] - floor, speed, fps, limits)
    shift, fade = np.zeros((len(toe), 3)), max(1, round(FADE_S * fps))
    if not found:
        return shift
    for start, end in found:
        shift[start:end, [0, 2]] = np.median(toe[start:end, [0, 2]], axis=0) - toe[start:end, [0, 2]]
    gaps = [(end - 1, start) for (_, end), (start, _) in pairwise(found)]
    for first, last in [(found[0][0] - fade, found[0][0]), *gaps, (found[-1][1] - 1, found[-1][1] - 1 + fade)]:
        before = shift[first] if 0 <= first != found[0][0] - fade else np.zeros(3)
        after = shift[last] if last < len(toe) else np.zeros(3)
        frames = np.arange(max(first + 1, 0), min(last, len(toe)))
        share = ((frames - first) / (last - first))[:, None]
        shift[frames] = before + (after - before) * share * share * (3 - 2 * share)
    return shift


def move_foot(joints: Array, leg: tuple[int, ...], shift: Array) -> None:
    """Move ankle and toe by shift [F, 3] as far as the leg reaches, in place; the knee follows with both bones as long.

    Frames that are not moved stay as they are.
    """
    hip, knee, ankle, foot = leg
    rows = np.flatnonzero(np.abs(shift).max(1) > 1e-9)
    h, k, a = (joints[rows, joint] for joint in (hip, knee, ankle))
    thigh, shin = (np.linalg.norm(x, axis=1, keepdims=True) for x in (k - h, a - k))
    now = np.linalg.norm(a - h, axis=1, keepdims=True)
    longest = np.maximum((thigh + shin) * REACH, now)  # a leg that is straight already may stay so
    bent, target = bend(h, k, a + shift[rows], (thigh, shin), hips_forward(joints[rows]), longest)
    joints[rows, knee] = bent
    joints[rows, foot] += target - a
    joints[rows, ankle] = target
