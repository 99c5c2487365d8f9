"""Finishing touches for games: motion in place, and motion that loops."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from exuvia.errors import ShapeError
from exuvia.motion.chain import rotation_between
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.turns import wrapped
from exuvia.shapes import Array

BLEND_S = 0.4
"""Time in which the end of a loop blends into its start."""
KEPT_TURN = np.deg2rad(45)
"""A larger difference of heading between start and end is a turn of the motion, and is kept."""


def in_place(clip: Clip) -> Clip:
    """The clip with its pelvis above the origin in every frame; heights and heading are kept."""
    return replace(clip, joints=clip.joints - clip.joints[:, :1] * np.asarray((1, 0, 1), np.float32))


def looped(clip: Clip) -> Clip:
    """The clip with a last pose equal to its first, up to the place on the floor and a turn of more than 45 degrees.

    The last `BLEND_S` seconds blend into the frames before a new start, so speeds meet too. The result is that much
    shorter; bones keep their lengths. Raises ShapeError for a clip that is too short.
    """
    blend = min(round(BLEND_S * clip.fps), (clip.frames - 1) // 3)
    if blend < 1:
        raise ShapeError(f"found a motion of {clip.frames} frames, expected at least 4 for a loop")
    joints = clip.joints.astype(np.float64)
    out, start = joints[blend:].copy(), joints[: blend + 1]
    turn = float(wrapped(_heading(out[-1]) - _heading(start[-1])))
    if abs(turn) > KEPT_TURN:
        cos, sin = np.cos(turn), np.sin(turn)
        start = start @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    end, share = out[-blend - 1 :], np.linspace(0, 1, blend + 1)[:, None]
    share = share * share * (3 - 2 * share)
    pelvis = end[:, 0] * (1 - share) + start[:, 0] * share
    steps = np.diff(end[:, 0], axis=0) * (1 - share[1:]) + np.diff(start[:, 0], axis=0) * share[1:]
    pelvis[:, [0, 2]] = end[0, 0, [0, 2]] + np.pad(np.cumsum(steps, axis=0), ((1, 0), (0, 0)))[:, [0, 2]]
    mixed = np.empty_like(end)
    mixed[:, 0] = pelvis
    for joint, parent in enumerate(SMPL22.parents[1:], 1):
        first, last = end[:, joint] - end[:, parent], start[:, joint] - start[:, parent]
        mixed[:, joint] = mixed[:, parent] + _between(first, last, share)
    out[-blend - 1 :] = mixed
    return replace(clip, joints=out.astype(np.float32), meta={**clip.meta, "loop": True})


def _heading(pose: Array) -> Array:
    """Angle about the vertical from +z to the direction in which the hips of a pose [22, 3] face."""
    across = pose[SMPL22.index("left_hip")] - pose[SMPL22.index("right_hip")]
    return np.asarray(np.arctan2(-across[2], across[0]))


def _between(start: Array, end: Array, share: Array) -> Array:
    """Vectors [F, 3] on the arc from start to end at a share [F, 1] of its angle, and of the difference of lengths."""
    arc = rotation_between(start, end).as_rotvec()
    from_size, to_size = (np.linalg.norm(vector, axis=1, keepdims=True) for vector in (start, end))
    turned: Array = Rotation.from_rotvec(arc * share).apply(start)
    return turned * (from_size + (to_size - from_size) * share) / np.maximum(from_size, 1e-9)
