"""Quaternions (w, x, y, z) and 6-D rotations in numpy.

Glossary: q, r = unit quaternions; 6-D = first two columns of the rotation matrix, column after column
(Sec. 3 [zhou2019continuity]). Conventions of HumanML3D, common/quaternion.py.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


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


def qbetween(a: Array, b: Array) -> Array:
    """The shortest-arc unit quaternion that turns a into b, w ≥ 0, [..., 3] each -> [..., 4].

    Opposite vectors have no single shortest arc (the published code divides 0 by 0 there): half a turn about an axis
    at right angles to a is returned. A zero vector gives the identity.
    """
    w = np.sqrt((a * a).sum(-1) * (b * b).sum(-1)) + (a * b).sum(-1)
    q = np.concatenate((w[..., None], np.cross(a, b)), axis=-1)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    size = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    degenerate = (norm <= 1e-6 * np.maximum(size, 1e-30))[..., 0]
    if not degenerate.any():
        return q / norm
    aside = np.where(
        np.abs(a[..., 1:2]) < 0.9 * np.linalg.norm(a, axis=-1, keepdims=True), [0.0, 1.0, 0.0], [1.0, 0, 0]
    )
    axis = np.cross(a, aside)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    half_turn = np.concatenate((np.zeros_like(w)[..., None], axis / np.where(length > 0, length, 1)), axis=-1)
    half_turn[..., 0] = np.where(length[..., 0] > 0, 0.0, 1.0)
    return np.where(degenerate[..., None], half_turn, q / np.where(norm > 0, norm, 1)).astype(q.dtype)


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
