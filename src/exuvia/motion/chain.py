"""A posed tree: rotation matrices from Euler angles, and forward kinematics, vectorised over frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_NEXT = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}


def matrix_about(axis: str, angle_rad: Array) -> Array:
    """Rotation matrices [..., 3, 3] about one of the axes "X", "Y", "Z" by angles [...]."""
    a, b = _NEXT[axis]
    matrix = np.zeros((*np.shape(angle_rad), 3, 3))
    matrix[...] = np.eye(3)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    matrix[..., a, a] = matrix[..., b, b] = cos
    matrix[..., a, b] = -sin
    matrix[..., b, a] = sin
    return matrix


def matrix_from_euler(angles_deg: Array, axes: str) -> Array:
    """The product R(axes[0]) R(axes[1]) ..., angles [..., len(axes)] in degrees -> [..., 3, 3].

    Any number of axes in any order; no axis gives the identity.
    """
    product = np.zeros((*np.shape(angles_deg)[:-1], 3, 3))
    product[...] = np.eye(3)
    for index, axis in enumerate(axes):
        product = product @ matrix_about(axis, np.deg2rad(angles_deg[..., index]))
    return product


def matrix_from_axis_angle(vector_rad: Array) -> Array:
    """Rotation matrices [..., 3, 3] of axis-angle vectors [..., 3] (Rodrigues' formula)."""
    angle = np.linalg.norm(vector_rad, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector_rad, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack((zero, -z, y, z, zero, -x, -y, x, zero), axis=-1).reshape(*np.shape(x), 3, 3)
    # sin(a)/a and (1 - cos a)/a², finite at a = 0
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + first * cross + second * (cross @ cross)


def forward_kinematics(offsets: Array, parents: Sequence[int], rotations: Array) -> tuple[Array, Array]:
    """Positions and global rotations of a tree whose parents precede their children.

    Args:
        offsets: joint in its parent's frame (root: in the world)   [J, 3] or [F, J, 3]
        parents: index of every joint's parent, -1 for a root       [J]
        rotations: local rotation matrices                          [F, J, 3, 3]
    Returns:
        positions [F, J, 3] in the offsets' unit, and rotations [F, J, 3, 3].
    """
    frames, joints = rotations.shape[:2]
    offsets = np.broadcast_to(offsets, (frames, joints, 3))
    positions = np.empty((frames, joints, 3))
    world = np.empty((frames, joints, 3, 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            positions[:, joint] = offsets[:, joint]
            world[:, joint] = rotations[:, joint]
        else:
            positions[:, joint] = positions[:, parent] + (world[:, parent] @ offsets[:, joint, :, None])[..., 0]
            world[:, joint] = world[:, parent] @ rotations[:, joint]
    return positions, world
