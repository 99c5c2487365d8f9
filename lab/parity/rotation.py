"""Quaternions (w, x, y, z), 6-D rotations and joints from them, as HumanML3D's code has them, in its float32.

Glossary: q, r = unit quaternions; 6-D = first two columns of the rotation matrix, column after column
(Sec. 3 [zhou2019continuity]). Conventions of HumanML3D, common/quaternion.py.
"""

from itertools import pairwise

import numpy as np

from exuvia.features.representation import recover_root
from exuvia.motion.skeleton import Skeleton
from exuvia.shapes import Array, Features, Floats, Joints


def qmul(q: Array, r: Array) -> Array:
    """Hamilton product q r, [..., 4] each, broadcast."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    a, b, c, d = np.moveaxis(r, -1, 0)
    return np.stack(
        (
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ),
        axis=-1,
    )


def qinv(q: Array) -> Array:
    """Inverse of a unit quaternion (its conjugate), [..., 4]."""
    return q * np.asarray([1, -1, -1, -1], q.dtype)


def qrot(q: Array, v: Array) -> Array:
    """Vectors rotated by unit quaternions: q v q⁻¹, [..., 4] and [..., 3], broadcast."""
    axis = q[..., 1:]
    twice = 2.0 * np.cross(axis, v)
    return v + q[..., :1] * twice + np.cross(axis, twice)


def qfix(q: Array) -> Array:
    """Signs chosen so that a sequence [L, J, 4] does not jump between q and -q."""
    flips = ((q[1:] * q[:-1]).sum(-1) < 0).cumsum(0) % 2
    fixed = q.copy()
    fixed[1:] *= np.where(flips[..., None] == 1, -1, 1).astype(q.dtype)
    return fixed


def matrix_from_quaternion(q: Array) -> Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def sixd_from_quaternion(q: Array) -> Array:
    """6-D rotations [..., 6] of unit quaternions [..., 4]: matrix columns 0 and 1, one after the other."""
    matrix = matrix_from_quaternion(q)
    return np.concatenate((matrix[..., 0], matrix[..., 1]), axis=-1)


def matrix_from_sixd(sixd: Array) -> Array:
    """Rotation matrices [..., 3, 3] of 6-D rotations: x = unit(a), z = unit(x × b), y = z × x.   Eq. 15

    [zhou2019continuity]
    """
    x = sixd[..., :3] / np.linalg.norm(sixd[..., :3], axis=-1, keepdims=True)
    z = np.cross(x, sixd[..., 3:])
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    return np.stack((x, np.cross(z, x), z), axis=-1)


def recover_joints_from_rotations(features: Features, skeleton: Skeleton, offsets: Floats) -> Joints:
    """Joint positions by forward kinematics of the 6-D channels.

    Every chain starts from the root's rotation, as the rotations were made. The published route uses the recovered
    root quaternion itself, not its inverse, so real motions come out turned against `recover_joints`.

    Args:
        features: un-normalised rows                      [..., F, C]
        offsets: bone vectors of the target               [J, 3]           metres
    Returns:
        joints                                            [..., F, J, 3]   metres
    """
    count = skeleton.num_joints
    quaternion, root = recover_root(features)
    start = 4 + 3 * (count - 1)
    sixd = features[..., start : start + 6 * (count - 1)].reshape(*features.shape[:-1], count - 1, 6)
    local = matrix_from_sixd(sixd)
    root_matrix = matrix_from_sixd(sixd_from_quaternion(quaternion))
    joints = np.empty((*features.shape[:-1], count, 3), features.dtype)
    joints[..., 0, :] = root
    for chain in skeleton.chains:
        world = root_matrix
        for parent, child in pairwise(chain):
            world = world @ local[..., child - 1, :, :]
            joints[..., child, :] = joints[..., parent, :] + world @ offsets[child].astype(features.dtype)
    return joints
