"""Rotation matrices from Euler angles, and forward kinematics of a joint tree, vectorised over frames."""

from collections.abc import Sequence

import numpy as np

from exuvia.shapes import Array


def matrix_from_euler(angles_deg: Array, axes: str) -> Array:
    """Product R(axes[0]) R(axes[1]) ... of angles [..., len(axes)] in degrees, [..., 3, 3].

    Accepts any number of axes in any order; no axes give the identity.
    """
    from scipy.spatial.transform import Rotation  # slow to load, and generating does not need it

    matrix: Array = np.broadcast_to(np.eye(3), (*np.shape(angles_deg)[:-1], 3, 3))
    for index, axis in enumerate(axes):
        turn = Rotation.from_euler(axis, np.reshape(angles_deg[..., index], (-1, 1)), degrees=True)
        matrix = matrix @ turn.as_matrix().reshape(matrix.shape)
    return matrix


def forward_kinematics(offsets: Array, parents: Sequence[int], rotations: Array) -> tuple[Array, Array]:
    """Positions [F, J, 3] in the offsets' unit, and global rotations [F, J, 3, 3].

    Args:
        offsets: position of each joint in its parent's frame (root: in the world)   [J, 3] or [F, J, 3]
        parents: index of each joint's parent, which precedes it; -1 for a root      [J]
        rotations: local rotation matrices                                           [F, J, 3, 3]
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
