"""The body of .glb files: one skinned surface with hands, a face and texture coordinates, fitted to a skeleton.

`tools/make_body.py` makes body.npz from shapes of its own, so exported files contain no licensed body model.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.motion.chain import rotation_between
from exuvia.motion.export_rig import rest_places
from exuvia.motion.skeleton import SMPL22
from exuvia.readers import read_npz
from exuvia.shapes import Array

THIN = (0.6, 1.6)
"""Limits of the factor of thickness and length between the stored body and a fitted one."""


@dataclass(frozen=True)
class Mesh:
    """Triangles of a body in its rest pose, and the joints that move them."""

    vertices: Array
    """[V, 3] metres; vertices on a seam of the texture stand there twice"""
    normals: Array
    """[V, 3]"""
    triangles: NDArray[np.int64]
    """Vertices of each triangle, counter-clockwise seen from outside [T, 3]"""
    texture: Array
    """Texture coordinates [V, 2], from the upper left corner"""
    joints: NDArray[np.int64]
    """The four SMPL joints that a vertex follows [V, 4]"""
    weights: Array
    """Weight of each of these joints; they add up to 1 [V, 4]"""


@cache
def _stored() -> dict[str, NDArray[Any]]:
    names = ("places", "vertices", "rows", "triangles", "texture", "joints", "weights")
    return read_npz(Path(__file__).with_name("body.npz"), names)


def build_body(offsets: Array) -> Mesh:
    """Fit the body to a skeleton at rest, given as `export_rig.rest_offsets`.

    Each part turns and stretches with its bone; its thickness follows the size of the whole body.
    """
    body = _stored()
    old, new = np.asarray(body["places"], np.float64), rest_places(offsets)
    points, weights = np.asarray(body["vertices"]) * 1e-4, np.asarray(body["weights"]) / 255.0
    weights /= weights.sum(1, keepdims=True)
    joints = np.asarray(body["joints"], np.int64)
    thick = float(np.clip(np.ptp(new[:, 1]) / np.ptp(old[:, 1]), *THIN))
    turns, moved = np.tile(np.eye(3), (SMPL22.num_joints, 1, 1)), np.zeros((SMPL22.num_joints, *points.shape))
    for joint, parent in enumerate(SMPL22.parents):  # parents first
        bones = [child for child, above in enumerate(SMPL22.parents) if above == joint]
        stretch = np.eye(3) * thick
        if len(bones) == 1:
            start, end = old[bones[0]] - old[joint], new[bones[0]] - new[joint]
            turns[joint] = rotation_between(start, end).as_matrix()
            axis, lengths = start / np.linalg.norm(start), (np.linalg.norm(start), np.linalg.norm(end))
            stretch += (np.clip(lengths[1] / lengths[0], *THIN) - thick) * np.outer(axis, axis)
        elif not bones:
            turns[joint] = turns[parent]
        moved[joint] = (points - old[joint]) @ (turns[joint] @ stretch).T + new[joint]
    vertices = np.einsum("vk,vkc->vc", weights, moved[joints, np.arange(len(points))[:, None]])
    rows, triangles = np.asarray(body["rows"], np.int64), np.asarray(body["triangles"], np.int64)
    normals, texture = _normals(vertices, rows[triangles]), np.asarray(body["texture"]) / 65535.0
    return Mesh(vertices[rows], normals[rows], triangles, texture, joints[rows], weights[rows])


def _normals(vertices: Array, triangles: NDArray[np.int64]) -> Array:
    """Unit normals of the vertices, averaged over the triangles around each by area."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], faces)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
