"""Rotations (Euler angles, shortest arcs) and forward kinematics of a joint tree, vectorised over frames."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from exuvia.shapes import Array

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation


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


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] of length 1; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def qbetween(a: Array, b: Array) -> Array:
    """Unit quaternion of the shortest arc from a to b, w ≥ 0; [..., 3] each -> [..., 4].

    As in HumanML3D's quaternion.py, except that opposite vectors, for which it divides 0 by 0, give half a turn
    about an axis at right angles to a. A zero vector gives the identity.
    """
    w = np.sqrt((a * a).sum(-1) * (b * b).sum(-1)) + (a * b).sum(-1)
    q = np.concatenate((w[..., None], np.cross(a, b)), axis=-1)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    size = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    degenerate = (norm <= 1e-6 * np.maximum(size, 1e-30))[..., 0]
    if not degenerate.any():
        return q / norm
    steep = np.abs(a[..., 1:2]) >= 0.9 * np.linalg.norm(a, axis=-1, keepdims=True)
    axis = np.cross(a, np.where(steep, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    half_turn = np.concatenate((np.zeros_like(w)[..., None], axis / np.where(length > 0, length, 1)), axis=-1)
    half_turn[..., 0] = np.where(length[..., 0] > 0, 0.0, 1.0)
    return np.where(degenerate[..., None], half_turn, q / np.where(norm > 0, norm, 1)).astype(q.dtype)


def rotation_between(a: Array, b: Array) -> "Rotation":
    """Rotations of the shortest arcs from a to b [..., 3], as in `qbetween`."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(qbetween(a, b)[..., [1, 2, 3, 0]])


def forward_kinematics(offsets: Array, parents: Sequence[int], rotations: Array) -> tuple[Array, Array]:
    """Positions [F, J, 3] and global rotations [F, J, 3, 3] from local rotations [F, J, 3, 3].

    Offsets [J, 3] or [F, J, 3] are positions in the parent's frame (root: in the world). Parents precede their
    children; a root has -1.
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
