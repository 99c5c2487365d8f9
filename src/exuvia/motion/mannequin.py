"""A generated body around a skeleton: a rounded tube for each bone, weighted so that it bends with its joints.

Bone lengths and a table of thicknesses determine it, so exported files contain no licensed body model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ShapeError
from exuvia.motion.bvh_writer import END_M, Node
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array

AROUND = 12
"""Corners around a tube."""
CAP = (0.95, 0.7, 0.38)
"""Rings of a rounded end: distances beyond the bone's end, as shares of its radius."""
ALONG = (0.0, 0.12, 0.3, 0.5, 0.7, 0.88, 1.0)
"""Rings along a bone, as shares of its length."""
BEND = 0.12
"""Share of a bone, at either end, that partly follows the neighbouring joint."""
THICKNESS_M = {
    "hip": (0.088, 0.088, 1.1), "knee": (0.082, 0.056, 1.0), "ankle": (0.054, 0.036, 1.0), "foot": (0.036, 0.034, 1.2),
    "spine1": (0.115, 0.118, 1.25), "spine2": (0.118, 0.122, 1.25), "spine3": (0.122, 0.13, 1.3),
    "neck": (0.12, 0.05, 1.35), "head": (0.05, 0.06, 1.0), "collar": (0.062, 0.062, 1.0),
    "shoulder": (0.062, 0.056, 1.0), "elbow": (0.052, 0.042, 1.0), "wrist": (0.04, 0.029, 1.0),
    "end_head": (0.085, 0.088, 0.9), "end_wrist": (0.03, 0.026, 1.5), "end_foot": (0.034, 0.03, 1.35),
}  # fmt: skip
"""Radius of each bone at its start and end in metres, and its ratio of width to depth. A bone is named by the joint at
its far end; "end_" marks the tip beyond a last joint."""


@dataclass(frozen=True)
class Mesh:
    """Triangles of a body in its rest pose, and the nodes that move them."""

    vertices: Array
    """[V, 3] metres"""
    normals: Array
    """[V, 3]"""
    triangles: NDArray[np.int64]
    """Vertices of each triangle, counter-clockwise seen from outside [T, 3]"""
    nodes: NDArray[np.int64]
    """The two nodes that a vertex follows [V, 2]"""
    weights: Array
    """Weight of each of these nodes; the two add up to 1 [V, 2]"""


def rest_places(nodes: list[Node]) -> Array:
    """Positions of the nodes in the rest pose, root at the origin   [N, 3] metres."""
    places = np.zeros((len(nodes), 3))
    for index, node in enumerate(nodes):
        if node.parent >= 0:
            places[index] = places[node.parent] + node.offset
    return places


def build_body(nodes: list[Node]) -> Mesh:
    """Build the body around `bvh_writer.body_nodes` at rest, without bones of length 0. Raises ShapeError."""
    places, bones = rest_places(nodes), list(_bones(nodes))
    long = [tip is not None or np.linalg.norm(places[end] - places[at]) > 1e-6 for at, _, end, tip, _ in bones]
    if not any(kept for kept, bone in zip(long, bones, strict=True) if bone[3] is None):
        raise ShapeError("found a body whose joints are all at one place, expected bones; check the motion")
    parts = [_tube(places, *bone) for kept, bone in zip(long, bones, strict=True) if kept]
    shift = np.cumsum([0, *(len(part.vertices) for part in parts)])
    triangles = np.concatenate([part.triangles + low for part, low in zip(parts, shift, strict=False)])
    vertices = np.concatenate([part.vertices for part in parts])
    return Mesh(
        vertices, _normals(vertices, triangles), triangles,
        np.concatenate([part.nodes for part in parts]), np.concatenate([part.weights for part in parts]),
    )  # fmt: skip


def _bones(nodes: list[Node]) -> Iterator[tuple[int, int, int, Array | None, tuple[float, float, float]]]:
    """(node that rotates the bone, parent node, node at its end, vector of a last bone or None, thickness)."""
    for index, node in enumerate(nodes):
        if len(node.aims) == 1:
            end = next(n for n, other in enumerate(nodes) if other.parent == index and other.joint == node.aims[0])
            yield index, max(node.parent, 0), end, None, THICKNESS_M[_part(SMPL22.joints[node.aims[0]])]
        elif not node.aims:
            tip = np.asarray(END_M[node.name])
            yield index, max(node.parent, 0), index, tip, THICKNESS_M[f"end_{_part(node.name)}"]


def _part(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def _tube(places: Array, index: int, before: int, end: int, tip: Array | None, thickness: Sequence[float]) -> Mesh:
    """Mesh of one bone: rings from pole to pole."""
    start, vector = places[index], (places[end] - places[index] if tip is None else tip)
    length = float(np.linalg.norm(vector))
    along = vector / max(length, 1e-9)
    wide, deep = _across(along)
    first, last, ratio = thickness
    rings, weights = [start - along * first], [(before, 0.5)]
    profile = [(-first * share / length, first * (1 - share**2) ** 0.5) for share in CAP]
    profile += [(s, first + (last - first) * s) for s in ALONG]
    profile += [(1 + last * share / length, last * (1 - share**2) ** 0.5) for share in reversed(CAP)]
    angles = np.arange(AROUND) * 2 * np.pi / AROUND
    circle = np.cos(angles)[:, None] * wide * ratio**0.5 + np.sin(angles)[:, None] * deep / ratio**0.5
    for s, radius in profile:
        rings.append(start + vector * s + radius * circle)
        other = before if s < 0.5 else end
        share = 0.5 * np.clip(1 - min(s, 1 - s) / BEND, 0, 1)
        weights += [(other, float(share))] * AROUND
    rings.append(start + vector + along * last)
    weights.append((end, 0.5))
    vertices = np.concatenate([np.atleast_2d(ring) for ring in rings])
    nodes = np.array([(index, other) for other, _ in weights])
    shares = np.array([(1.0, 0.0) if other == index else (1 - w, w) for other, w in weights])
    return Mesh(vertices, np.zeros_like(vertices), _faces(len(profile)), nodes, shares)


def _across(along: Array) -> tuple[Array, Array]:
    """Axes of a bone's cross-section: the wide one points left, or forward for bones that point left themselves."""
    side = np.array([1.0, 0, 0]) if abs(along[0]) < 0.8 else np.array([0, 0, 1.0])
    wide = side - along * (side @ along)
    wide /= np.linalg.norm(wide)
    return wide, np.cross(along, wide)


def _faces(rings: int) -> NDArray[np.int64]:
    """Triangles of a tube with the given number of rings between two poles."""
    here = np.arange(AROUND)
    after = (here + 1) % AROUND
    faces = [np.stack([np.zeros(AROUND, int), 1 + after, 1 + here], axis=1)]
    for ring in range(rings - 1):
        low, high = 1 + ring * AROUND, 1 + (ring + 1) * AROUND
        faces.append(np.stack([low + here, low + after, high + after], axis=1))
        faces.append(np.stack([low + here, high + after, high + here], axis=1))
    top = 1 + (rings - 1) * AROUND
    faces.append(np.stack([top + here, top + after, np.full(AROUND, top + AROUND)], axis=1))
    return np.concatenate(faces)


def _normals(vertices: Array, triangles: NDArray[np.int64]) -> Array:
    """Unit normals of the vertices, averaged over the triangles around each by area."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], faces)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
