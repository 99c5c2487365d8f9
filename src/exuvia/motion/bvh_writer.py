"""BVH writer: joint positions -> joint rotations (analytic, frame by frame) -> a BVH file in metres.

A joint with one child rotates by the shortest arc from its parent's frame, which adds no twist. Pelvis and upper spine
rotate by the least-squares rotation of their three bones (Kabsch). Each of these bones starts in a joint of length
zero, as in CMU's conversions, whose rotation corrects what a rigid triangle cannot follow. The file therefore poses
every joint exactly, apart from variations of bone length within the clip (`rigid_joints`).
"""

import io
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.motion.chain import qbetween
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array

EULER = "ZXY"
END_M = {"head": (0.0, 0.12, 0.0), "left_foot": (0.0, 0.0, 0.06), "right_foot": (0.0, 0.0, 0.06),
          "left_wrist": (0.09, 0.0, 0.0), "right_wrist": (-0.09, 0.0, 0.0)}  # fmt: skip
"""Vector from a last joint to the tip of its body part, metres."""
_LEFT, _FOOT = (1.0, 0.0, 0.0), (0.0, -0.35, 0.94)
_T_POSE = {
    "foot": _FOOT, "knee": (0.0, -1.0, 0.0), "ankle": (0.0, -1.0, 0.0), "hip": (0.7, -0.7, 0.0),
    "shoulder": _LEFT, "elbow": _LEFT, "wrist": _LEFT, "collar": (0.7, 0.7, 0.0),
}  # fmt: skip
_TRIANGLES = {"pelvis": ("left_hip", "right_hip", "spine1"), "spine3": ("left_collar", "right_collar", "neck")}
"""Joints with three bones: left, right and upward."""


@dataclass(frozen=True)
class Node:
    """One joint of the file's tree."""

    name: str
    parent: int
    """Index of the parent node, -1 for the root."""
    offset: tuple[float, float, float]
    """Rest offset from the parent, metres."""
    joint: int
    """SMPL joint at the node's position."""
    aims: tuple[int, ...]
    """SMPL joints at the far ends of the bones that the node rotates; empty for a leaf."""


def rest_offsets(joints: Array) -> Array:
    """Bone vectors [22, 3] in metres of a T-pose body that faces +z and has the clip's mean bone lengths.

    The three bones of pelvis and upper spine keep the mean angles between them.
    """
    parents = list(SMPL22.parents)
    bones = joints - joints[:, [max(parent, 0) for parent in parents]]
    lengths = np.linalg.norm(bones, axis=-1).mean(0)
    offsets = np.zeros((SMPL22.num_joints, 3))
    for joint, name in enumerate(SMPL22.joints):
        side, _, part = name.partition("_")
        direction = np.asarray(_T_POSE.get(part, (0.0, 1.0, 0.0)))
        direction = direction * (-1.0 if side == "right" else 1.0, 1.0, 1.0)
        offsets[joint] = direction / np.linalg.norm(direction) * lengths[joint]
    for names in _TRIANGLES.values():
        places = [SMPL22.index(name) for name in names]
        frame = _triangle_frame(*(bones[:, place] for place in places))
        if frame is None:
            continue
        local = np.einsum("frc,fkc->fkr", frame, bones[:, places]).mean(0)
        norm = np.linalg.norm(local, axis=-1, keepdims=True)
        fits = (norm > 1e-6)[:, 0]
        offsets[np.asarray(places)[fits]] = (local / np.where(norm > 0, norm, 1) * lengths[places, None])[fits]
    offsets[0] = 0
    return offsets


def _triangle_frame(left: Array, right: Array, up: Array) -> Array | None:
    """Axes [F, 3, 3] as rows: x to the left, y up, z forward; None where the bones are parallel."""
    x = left - right
    z = np.cross(x, up)
    rows = np.stack((x, np.cross(z, x), z), axis=1)
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / norm if (norm > 1e-9).all() else None


def body_nodes(offsets: Array) -> list[Node]:
    """Nodes of the file: the 22 joints, and a node of length zero before each bone of pelvis and upper spine."""
    nodes: list[Node] = []

    def add(joint: int, parent: int) -> None:
        aims = tuple(child for child, above in enumerate(SMPL22.parents) if above == joint)
        here = len(nodes)
        x, y, z = (float(value) for value in offsets[joint])
        nodes.append(Node(SMPL22.joints[joint], parent, (x, y, z), joint, aims))
        for aim in aims:
            if len(aims) == 1:
                add(aim, here)
            else:
                nodes.append(Node(f"{SMPL22.joints[aim]}_base", here, (0.0, 0.0, 0.0), joint, (aim,)))
                add(aim, len(nodes) - 1)

    add(0, -1)
    return nodes


def rigid_joints(joints: Array, lengths: Array) -> Array:
    """Joints of a body whose bones have fixed lengths [22], posed like joints [F, 22, 3].

    Each bone starts where its parent now ends and aims at the original joint, so that errors do not add up along a
    limb. (Placing wrists and ankles first was tried: knees and elbows jut out.)
    """
    rigid = joints.copy()
    for chain in SMPL22.chains:
        for start, joint in pairwise(chain):
            aim, bone = joints[:, joint] - rigid[:, start], joints[:, joint] - joints[:, start]
            aim = np.where(np.linalg.norm(aim, axis=1, keepdims=True) > 1e-9, aim, bone)
            size = np.maximum(np.linalg.norm(aim, axis=1, keepdims=True), 1e-9)
            rigid[:, joint] = rigid[:, start] + aim / size * lengths[joint]
    return rigid


def solve_rotations(joints: Array, nodes: list[Node], offsets: Array) -> Array:
    """Local rotation matrices [F, nodes, 3, 3] that rotate the rest bones to the joints [F, 22, 3]."""
    frames, joints = len(joints), rigid_joints(joints, np.linalg.norm(offsets, axis=1))
    world = np.empty((frames, len(nodes), 3, 3))
    local = np.empty_like(world)
    for index, node in enumerate(nodes):
        above = world[:, node.parent] if node.parent >= 0 else np.broadcast_to(np.eye(3), (frames, 3, 3))
        bones = joints[:, node.aims] - joints[:, node.joint, None]
        if not node.aims:
            world[:, index] = above
        elif len(node.aims) == 1:
            along = above @ offsets[node.aims[0]]
            arc = Rotation.from_quat(qbetween(along, bones[:, 0])[:, [1, 2, 3, 0]])
            world[:, index] = arc.as_matrix() @ above
        else:
            world[:, index] = _kabsch(offsets[list(node.aims)], bones)
        local[:, index] = np.swapaxes(above, -1, -2) @ world[:, index]
    return local


def _kabsch(rest: Array, bones: Array) -> Array:
    """Rotations [F, 3, 3] from rest vectors [K, 3] to bones [F, K, 3] in the least-squares sense."""
    u, _, vt = np.linalg.svd(np.einsum("fki,kj->fij", bones, rest))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt


def _euler_deg(matrices: Array) -> Array:
    """Angles [F, N, 3] in degrees, order ZXY, without jumps of a full turn between frames."""
    with warnings.catch_warnings():  # in gimbal lock SciPy sets the third angle to zero; the pose is still right
        warnings.simplefilter("ignore", UserWarning)
        angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_euler(EULER)
    return np.rad2deg(np.unwrap(angles.reshape(*matrices.shape[:2], 3), axis=0))


def _hierarchy(nodes: list[Node], scale: float) -> str:
    lines = ["HIERARCHY"]

    def write(index: int, depth: int) -> None:
        node, pad = nodes[index], "  " * depth
        offset = " ".join(f"{value * scale:.6f}" for value in node.offset)
        rotation = " ".join(f"{axis}rotation" for axis in EULER)
        moves = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        lines.append(f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {node.name}")
        lines.extend((f"{pad}{{", f"{pad}  OFFSET {offset}", f"{pad}  CHANNELS {moves} {rotation}"))
        for child, other in enumerate(nodes):
            if other.parent == index:
                write(child, depth + 1)
        if not node.aims:
            end = " ".join(f"{value * scale:.6f}" for value in END_M[node.name])
            lines.extend((f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {end}", f"{pad}  }}"))
        lines.append(f"{pad}}}")

    write(0, 0)
    return "\n".join(lines) + "\n"


def bvh_text(clip: Clip, unit_m: float = 1.0) -> str:
    """A clip as BVH text: 22 joints (names of SMPL22) and six nodes of length zero, angles in the order Z X Y.

    One unit of the file is `unit_m` metres: 1 for Blender, 0.01 for programs that work in centimetres. Raises
    ConfigError if it is not positive.
    """
    if not (np.isfinite(unit_m) and unit_m > 0):
        raise ConfigError(f"found unit_m = {unit_m}, expected a positive number of metres")
    joints = clip.joints.astype(np.float64)
    offsets = rest_offsets(joints)
    nodes = body_nodes(offsets)
    angles = _euler_deg(solve_rotations(joints, nodes, offsets))
    values = np.concatenate((joints[:, 0] / unit_m, angles.reshape(len(joints), -1)), axis=1)
    rows = io.StringIO()
    np.savetxt(rows, values, fmt="%.6f")
    header = f"MOTION\nFrames: {clip.frames}\nFrame Time: {1.0 / clip.fps:.8f}\n"
    return _hierarchy(nodes, 1.0 / unit_m) + header + rows.getvalue()


def write_bvh(clip: Clip, path: str | Path, *, unit_m: float = 1.0) -> None:
    """Write a clip as a BVH file (see bvh_text). Raises OutputError, ConfigError."""
    write_text(path, bvh_text(clip, unit_m))
