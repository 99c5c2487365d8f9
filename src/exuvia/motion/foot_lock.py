"""Foot locking: each stance gets one place on the floor, and the leg reaches for it without changing bone lengths.

A stance begins when a toe is low and slow, and it lasts while the toe stays within wider limits. During a stance the
foot is held at its median place; between stances the correction is blended. Knees follow by two-bone inverse kinematics
in the plane in which they were bent. A correction can add jerk, so several limits, smoothings and strengths are tried.
The result is the one that skates least among those that do not increase the jerk; no correction is one of them.
"""

from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from scipy.ndimage import gaussian_filter1d

from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import foot_skate_m_per_s, mean_jerk_m_per_s3
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array

_LEG = ("hip", "knee", "ankle", "foot")
LEGS = tuple(tuple(SMPL22.index(f"{side}_{joint}") for joint in _LEG) for side in ("left", "right"))
LOW_M, STILL_LOW_M = 0.05, 0.07
"""Height of a toe above the floor at which a stance begins, and ends."""
SLOW_M_PER_S = ((0.4, 0.9), (0.6, 1.0), (0.8, 1.2))
"""Horizontal speeds of a toe at which a stance begins, and ends: the pairs to try."""
SHORTEST_S = 0.15
FADE_S = 0.5
SMOOTHINGS = (0.0, 1.0, 2.0)
"""Standard deviations, in frames, of the Gaussian that smooths the correction."""
STRENGTHS = (1.0, 0.85, 0.7, 0.5, 0.3, 0.15)
REACH = 0.999
"""Share of its length to which a leg stretches: a straight leg has no plane to bend in."""
STRAIGHT_M = 1e-4
"""A knee nearer than this to the line from hip to ankle bends forward."""


@dataclass(frozen=True)
class FootLock:
    """The result of locking the feet of a clip."""

    clip: Clip
    """The motion with locked feet, or the original where nothing helped."""
    skate_before_m_per_s: float
    """Mean horizontal speed of the feet near the floor (`kinematics.foot_skate_m_per_s`)."""
    skate_after_m_per_s: float
    jerk_before_m_per_s3: float
    """Mean over joints and frames (`kinematics.mean_jerk_m_per_s3`)."""
    jerk_after_m_per_s3: float


def lock_feet(clip: Clip) -> FootLock:
    """Hold standing feet in place; bone lengths stay, and the joints jerk no more than before.

    A clip of fewer than four frames is returned unchanged.
    """
    joints, fps = clip.joints.astype(np.float64), clip.fps
    if clip.frames < 4:
        return FootLock(clip, 0.0, 0.0, 0.0, 0.0)
    floor = float(joints[..., 1].min(1).mean())
    before = foot_skate_m_per_s(joints, fps, floor), mean_jerk_m_per_s3(joints, fps)
    shifts = [[foot_shift(joints, leg, fps, floor, limits) for leg in LEGS] for limits in SLOW_M_PER_S]
    best, after = joints, before
    for leg_shifts, smooth, strength in product(shifts, SMOOTHINGS, STRENGTHS):
        moved = joints.copy()
        for leg, shift in zip(LEGS, leg_shifts, strict=True):
            move_foot(moved, leg, strength * (gaussian_filter1d(shift, smooth, axis=0) if smooth else shift))
        measured = foot_skate_m_per_s(moved, fps, floor), mean_jerk_m_per_s3(moved.astype(np.float32), fps)
        if measured[0] < after[0] and measured[1] <= before[1]:
            best, after = moved, measured
    locked = clip if best is joints else replace(clip, joints=best.astype(np.float32))
    return FootLock(locked, before[0], after[0], before[1], after[1])


def stances(height: Array, speed: Array, fps: float, limits: tuple[float, float]) -> list[tuple[int, int]]:
    """First frame of each stance, and the frame after its last.

    Args:
        height: height of a toe above the floor [F], metres
        speed: horizontal speed of the toe [F], metres a second
        limits: speeds at which a stance begins and ends
    """
    starts = (height < LOW_M) & (speed < limits[0])
    stays = (height < STILL_LOW_M) & (speed < limits[1])
    spans, frame = [], 0
    while frame < len(height):
        if not starts[frame]:
            frame += 1
            continue
        end = frame
        while end < len(height) and stays[end]:
            end += 1
        if (end - frame) / fps >= SHORTEST_S:
            spans.append((frame, end))
        frame = max(end, frame + 1)
    return spans


def foot_shift(joints: Array, leg: tuple[int, ...], fps: float, floor: float, limits: tuple[float, float]) -> Array:
    """Correction of a foot in every frame [F, 3], metres.

    During a stance it leads to the median place; between stances it is blended, and it fades in and out at the ends.
    """
    toe = joints[:, leg[3]]
    speed = np.linalg.norm(np.gradient(toe[:, [0, 2]], axis=0), axis=1) * fps
    spans = stances(toe[:, 1] - floor, speed, fps, limits)
    shift, fade = np.zeros((len(toe), 3)), max(1, round(FADE_S * fps))
    if not spans:
        return shift
    for start, end in spans:
        shift[start:end, [0, 2]] = np.median(toe[start:end, [0, 2]], axis=0) - toe[start:end, [0, 2]]
    gaps = [(end - 1, start) for (_, end), (start, _) in pairwise(spans)]
    for first, last in [(spans[0][0] - fade, spans[0][0]), *gaps, (spans[-1][1] - 1, spans[-1][1] - 1 + fade)]:
        before = shift[first] if 0 <= first != spans[0][0] - fade else np.zeros(3)
        after = shift[last] if last < len(toe) else np.zeros(3)
        frames = np.arange(max(first + 1, 0), min(last, len(toe)))
        share = ((frames - first) / (last - first))[:, None]
        shift[frames] = before + (after - before) * share * share * (3 - 2 * share)
    return shift


def move_foot(joints: Array, leg: tuple[int, ...], shift: Array) -> None:
    """Move ankle and toe by shift [F, 3] as far as the leg reaches, in place; both bones of the leg keep their length.

    Frames without a shift stay as they are.
    """
    hip, knee, ankle, foot = leg
    rows = np.flatnonzero(np.abs(shift).max(1) > 1e-9)
    h, k, a = (joints[rows, joint] for joint in (hip, knee, ankle))
    thigh, shin = (np.linalg.norm(bone, axis=1, keepdims=True) for bone in (k - h, a - k))
    length = np.linalg.norm(a - h, axis=1, keepdims=True)
    longest = np.maximum((thigh + shin) * REACH, length)  # a leg that was straight may stay straight
    bent, target = _bend(h, k, a + shift[rows], (thigh, shin), _hips_forward(joints[rows]), longest)
    joints[rows, knee] = bent
    joints[rows, foot] += target - a
    joints[rows, ankle] = target


def _bend(
    hip: Array, knee: Array, ankle: Array, lengths: tuple[Array, Array], forward: Array, longest: Array
) -> tuple[Array, Array]:
    """Knee and ankle [F, 3] of a leg whose bones keep their lengths, by two-bone inverse kinematics.

    Args:
        hip: start of the leg [F, 3]
        knee: the side to which the leg bends [F, 3]; only its direction counts
        ankle: wanted end of the leg [F, 3]; the leg stops on the way to an ankle that is out of reach
        lengths: lengths of thigh and shin [F, 1] each
        forward: direction in which a straight leg bends [F, 3]
        longest: furthest reach [F, 1]
    """
    first, second = lengths
    aim = ankle - hip
    size = np.linalg.norm(aim, axis=1, keepdims=True)
    along = aim / np.maximum(size, 1e-9)
    reach = np.clip(size, np.abs(first - second) * (2 - REACH), longest)
    side = _perpendicular(knee - hip, along)
    straight = np.linalg.norm(side, axis=1, keepdims=True) < STRAIGHT_M
    side = np.where(straight, _perpendicular(forward, along), side)
    out = side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    ahead = (first**2 - second**2 + reach**2) / (2 * np.maximum(reach, 1e-9))
    aside = np.sqrt(np.maximum(first**2 - ahead**2, 0))
    return hip + along * ahead + out * aside, hip + along * reach


def _hips_forward(joints: Array) -> Array:
    """Direction in which the hips of joints [F, 22, 3] face [F, 3], unit vectors on the floor."""
    forward = np.cross(joints[:, LEGS[0][0]] - joints[:, LEGS[1][0]], (0.0, 1.0, 0.0))
    return forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)


def _perpendicular(vector: Array, along: Array) -> Array:
    """Component of vectors [F, 3] at right angles to unit vectors [F, 3]."""
    return vector - (vector * along).sum(1, keepdims=True) * along
