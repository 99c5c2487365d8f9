"""Foot locking: a foot either stands still on the floor or swings above it; legs follow without changing bone lengths.

Dynamic programming splits the time of each toe into stances and swings so that the toe moves least. Each stance gets
one place, swings lead smoothly from one place to the next, and no frame loses the last foot on the floor unless both
feet were in the air before. Legs reach for the toes by two-bone inverse kinematics. Where a leg is too short, the heel
rises; where that is not enough either, the stance is shortened.
"""

from dataclasses import dataclass, replace

import numpy as np

from exuvia.motion.chain import unit
from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import foot_skate_m_per_s, mean_jerk_m_per_s3
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.smoothing import SHORTEST_CURVE, smoothed, smoothed_between
from exuvia.shapes import Array, Mask

_LEG = ("hip", "knee", "ankle", "foot")
LEGS = tuple(tuple(SMPL22.index(f"{side}_{joint}") for joint in _LEG) for side in ("left", "right"))
STANCE_S, SWING_S, LONGEST_S = 0.15, 0.2, 30.0
"""Shortest stance, shortest swing and longest stance."""
REST_M, LIFT_M = 0.03, 0.056
"""Largest height of a standing toe, and smallest height of a swinging one."""
STEP_M2, SWING_M2, ALONE_M2 = 0.004, 0.0004, 0.0225
"""Costs in squared metres: of a step, of a frame of a swing, of a frame without a foot on the floor."""
BARRED_M2 = 0.01
"""Cost of a stance in a frame in which the leg was too short."""
MISS_M = 0.01
"""Distance of a toe from its place at which the leg counts as too short."""
ROUNDS = 3
HOLD, EDGE = 1e4, 30.0
"""Weights of a toe's motion within a stance, and between a stance and a swing."""
SMOOTHINGS_S = (0.05, 0.07, 0.1, 0.15)
"""Smoothing of the toes' paths: the values to try."""
PITCH = 0.3
"""Share of a toe's rise that the ankle follows; the foot pitches by the rest."""
REACH = 0.995
"""Share of its length to which a leg stretches."""
STRAIGHT_M = 0.02
"""How far forward a straight knee bends."""


@dataclass(frozen=True)
class FootLock:
    """The result of locking the feet of a clip: the motion, or the original where nothing helped, and its measures."""

    clip: Clip
    skate_before_m_per_s: float
    skate_after_m_per_s: float
    """Mean horizontal speed of the feet near the floor (`kinematics.foot_skate_m_per_s`)."""
    jerk_before_m_per_s3: float
    jerk_after_m_per_s3: float


def lock_feet(clip: Clip) -> FootLock:
    """Hold standing feet in place; bone lengths stay, and the joints jerk no more than before.

    The floor is where the lowest joint is in a quarter of the frames. A clip of fewer than four frames is returned
    unchanged.
    """
    joints, fps = clip.joints.astype(np.float64), clip.fps
    if clip.frames < SHORTEST_CURVE:
        return FootLock(clip, 0.0, 0.0, 0.0, 0.0)
    floor = float(np.quantile(joints[..., 1].min(1), 0.25))
    skate, jerk = foot_skate_m_per_s(joints, fps, floor), mean_jerk_m_per_s3(joints, fps)
    for smooth_s in SMOOTHINGS_S:
        moved = locked(joints, fps, floor, smooth_s).astype(np.float32)
        after = foot_skate_m_per_s(moved, fps, floor), mean_jerk_m_per_s3(moved, fps)
        if after[0] < skate and after[1] <= jerk:
            return FootLock(replace(clip, joints=moved), skate, after[0], jerk, after[1])
    return FootLock(clip, skate, skate, jerk, jerk)


def locked(joints: Array, fps: float, floor_m: float = 0.0, smooth_s: float = SMOOTHINGS_S[0]) -> Array:
    """Joints [F ≥ 4, 22, 3] whose feet stand or swing; hips and the upper body do not change."""
    floor = np.asarray([0.0, floor_m, 0.0])
    toes = [joints[:, leg[3]] - floor for leg in LEGS]
    grounded = np.minimum(toes[0][:, 1], toes[1][:, 1]) < LIFT_M
    held, barred = np.zeros((2, len(joints)), bool), np.zeros((2, len(joints)))
    moved = joints.copy()
    for number in range(ROUNDS):
        for foot in (0, 1, 0) if number == 0 else (1, 0):
            alone = grounded & ~held[1 - foot] & held.any()
            held[foot] = stances(toes[foot], fps, barred[foot], ALONE_M2 * alone)
        missed = np.zeros_like(held)
        for foot, leg in enumerate(LEGS):
            path = toe_path(toes[foot], held[foot], smooth_s * fps) + floor
            moved[:, leg] = joints[:, leg]
            place_foot(moved, leg, path)
            missed[foot] = held[foot] & (np.linalg.norm(moved[:, leg[3]] - path, axis=1) > MISS_M)
        if not missed.any():
            break
        barred += BARRED_M2 * missed
    return moved


def stances(toe: Array, fps: float, down_m2: Array, up_m2: Array) -> Mask:
    """The frames in which a foot stands [F], by the split into stances and swings that moves the toe least.

    A stance costs the squared horizontal distances of the toe [F, 3] to its mean place, a swing the squared lifts to
    `LIFT_M`; `down_m2` and `up_m2` [F] add to the cost of standing and of swinging in a frame.
    """
    frames = len(toe)
    shortest, gap, longest = (max(1, round(seconds * fps)) for seconds in (STANCE_S, SWING_S, LONGEST_S))
    place, high = toe[:, [0, 2]] - toe[0, [0, 2]], np.maximum(toe[:, 1] - REST_M, 0)
    lift = np.maximum(LIFT_M - toe[:, 1], 0)
    sums, squares = _running(place), _running((place**2).sum(1) + (2 * high) ** 2 + down_m2)
    swing = _running(lift**2 + SWING_M2 * (lift > 0) + up_m2)
    down, air = np.full(frames + 1, np.inf), swing.copy()  # lowest costs up to a frame, in a stance or a swing
    begin, left = np.zeros(frames + 1, int), np.zeros(frames + 1, int)  # where that stance or swing began
    for end in range(1, frames + 1):
        starts = np.arange(max(0, end - longest), end)
        if end < frames:  # a stance or swing that the clip cuts off may be shorter
            starts = starts[(starts == 0) | (starts <= end - shortest)]
        span = end - starts
        cost = air[starts] + squares[end] - squares[starts] - ((sums[end] - sums[starts]) ** 2).sum(1) / span
        begin[end] = starts[cost.argmin()]
        down[end] = cost.min()
        ends = np.arange(1, end if end == frames else end - gap + 1)
        cost = down[ends] - swing[ends] + swing[end] + STEP_M2
        if len(ends) and cost.min() < air[end]:
            air[end], left[end] = cost.min(), ends[cost.argmin()]
    held, end = np.zeros(frames, bool), frames if down[frames] <= air[frames] else left[frames]
    while end > 0:
        held[begin[end] : end] = True
        end = left[begin[end]]
    return held


def _running(values: Array) -> Array:
    """Sums of all frames before each one, [F + 1, ...]."""
    return np.concatenate((np.zeros_like(values[:1]), np.cumsum(values, axis=0)))


def toe_path(toe: Array, held: Mask, smooth_frames: float) -> Array:
    """Path [F, 3] of a toe above the floor: it does not move while held, and swings at least `LIFT_M` high."""
    ties = np.where(held[1:] & held[:-1], HOLD, np.where(held[1:] != held[:-1], EDGE, 0.0))
    path = np.empty_like(toe)
    path[:, [0, 2]] = smoothed(toe[:, [0, 2]], smooth_frames, ties=ties)
    low, high = np.where(held, 0.0, LIFT_M), np.where(held, REST_M, np.inf)
    path[:, 1] = smoothed_between(toe[:, 1], low, high, smooth_frames)
    return path


def place_foot(joints: Array, leg: tuple[int, ...], path: Array) -> None:
    """Move a toe along a path [F, 3] as far as its leg reaches, in place; all bones of the leg keep their lengths."""
    hip, knee, ankle, toe = (joints[:, joint] for joint in leg)
    bones = (knee - hip, ankle - knee, toe - ankle)
    thigh, shin, sole = (np.linalg.norm(bone, axis=1, keepdims=True) for bone in bones)
    shift = (path - toe) * (1.0, PITCH, 1.0)
    heel = path + unit(ankle + shift - path) * sole
    forward = unit(np.cross(joints[:, LEGS[0][0]] - joints[:, LEGS[1][0]], (0.0, 1.0, 0.0)))
    longest = np.maximum((thigh + shin) * REACH, np.linalg.norm(ankle - hip, axis=1, keepdims=True))
    raised, tip = _bend(hip, heel, path, (longest, sole), forward, longest + sole)
    far = np.linalg.norm(heel - hip, axis=1, keepdims=True) > longest
    heel, path = np.where(far, raised, heel), np.where(far, tip, path)
    bent, reached = _bend(hip, knee, heel, (thigh, shin), forward, longest)
    joints[:, leg[1]], joints[:, leg[2]], joints[:, leg[3]] = bent, reached, path + reached - heel


def _bend(
    hip: Array, knee: Array, ankle: Array, lengths: tuple[Array, Array], forward: Array, longest: Array
) -> tuple[Array, Array]:
    """Knee and ankle [F, 3] of a leg with bones of the given lengths [F, 1], by two-bone inverse kinematics.

    The leg bends towards the given knee, or forward if it is straight, and stops at its longest reach [F, 1].
    """
    first, second = lengths
    size = np.linalg.norm(ankle - hip, axis=1, keepdims=True)
    along = (ankle - hip) / np.maximum(size, 1e-9)
    reach = np.clip(size, np.abs(first - second) * (2 - REACH), longest)
    side = knee - hip + STRAIGHT_M * forward
    side = unit(side - (side * along).sum(1, keepdims=True) * along)
    ahead = (first**2 - second**2 + reach**2) / (2 * np.maximum(reach, 1e-9))
    return hip + along * ahead + side * np.sqrt(np.maximum(first**2 - ahead**2, 0)), hip + along * reach
