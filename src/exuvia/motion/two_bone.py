"""Two-bone inverse kinematics: where knee and ankle, or elbow and wrist, stand for a wished end of the limb."""

import numpy as np

from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array

LEFT_HIP, RIGHT_HIP = SMPL22.index("left_hip"), SMPL22.index("right_hip")
REACH = 0.999
"""Of a limb's length: a straight one has no plane to bend in."""
STRAIGHT_M = 1e-4
"""A middle joint nearer to the line from start to end bends forward."""


def bend(
    start: Array, middle: Array, end: Array, lengths: tuple[Array, Array], forward: Array, longest: Array | None = None
) -> tuple[Array, Array]:
    """Middle joint and end of a limb whose bones keep their lengths.

    Args:
        start: where the limb begins [F, 3]
        middle: on which side the middle joint is to be [F, 3]; only its direction counts
        end: where the limb shall end [F, 3]; beyond its reach it ends on the way there
        lengths: of the first and the second bone [F, 1] each
        forward: where a straight limb bends to [F, 3]
        longest: furthest reach [F, 1]; by default a little less than both bones together
    Returns:
        middle joint and end [F, 3]
    """
    first, second = lengths
    aim = end - start
    size = np.linalg.norm(aim, axis=1, keepdims=True)
    along = aim / np.maximum(size, 1e-9)
    furthest = (first + second) * REACH if longest is None else longest
    reach = np.clip(size, np.abs(first - second) * (2 - REACH), furthest)
    side = _beside(middle - start, along)
    straight = np.linalg.norm(side, axis=1, keepdims=True) < STRAIGHT_M
    side = np.where(straight, _beside(forward, along), side)
    out = side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    ahead = (first**2 - second**2 + reach**2) / (2 * np.maximum(reach, 1e-9))
    aside = np.sqrt(np.maximum(first**2 - ahead**2, 0))
    return start + along * ahead + out * aside, start + along * reach


def hips_forward(joints: Array) -> Array:
    """Where the hips of joints [F, 22, 3] face [F, 3], unit vectors on the floor."""
    forward = np.cross(joints[:, LEFT_HIP] - joints[:, RIGHT_HIP], (0.0, 1.0, 0.0))
    return forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)


def _beside(vector: Array, along: Array) -> Array:
    """The part of vectors [F, 3] at right angles to unit vectors [F, 3]."""
    return vector - (vector * along).sum(1, keepdims=True) * along
