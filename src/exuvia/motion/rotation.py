"""Shortest-arc quaternion (w, x, y, z) between two vectors, in NumPy, with the conventions of HumanML3D."""

import numpy as np

from exuvia.shapes import Array


def qbetween(a: Array, b: Array) -> Array:
    """Unit quaternion of the shortest arc from a to b, w ≥ 0; [..., 3] each -> [..., 4].

    Opposite vectors have no unique shortest arc (the published quaternion.py divides 0 by 0); they give half a turn
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
