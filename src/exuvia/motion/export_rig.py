"""The skeleton of a written file: nodes with the names and the rest pose of a rig, posed like a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exuvia.errors import ConfigError, ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.turns import Node, Vector, solve_rotations
from exuvia.readers import read_table
from exuvia.registry import suggest
from exuvia.shapes import Array

TIPS_M: dict[str, Vector | float] = {"head": (0.0, 0.12, 0.0), "foot": 0.06, "wrist": 0.09}
"""Vector from the last joint of a chain to the tip of its body part in metres, or its length along the bone."""
_TRIANGLES = {"pelvis": ("left_hip", "right_hip", "spine1"), "spine3": ("left_collar", "right_collar", "neck")}
"""Joints with three bones: left, right and upward."""
SHORT_M = 1e-3
"""A body whose longest bone is shorter cannot be posed."""


@dataclass(frozen=True)
class ExportRig:
    """Names and rest pose of a rig; export_rigs.toml explains the fields."""

    name: str
    names: tuple[str, ...]
    rest: Mapping[str, Vector]
    root: str = ""
    helpers: bool = False


@dataclass(frozen=True)
class Posed:
    """A skeleton and its motion."""

    nodes: list[Node]
    turns: Array
    """Local rotations [F, N, 3, 3]"""
    paths: Mapping[int, Array]
    """Local positions [F, 3] in metres of the nodes that move: pelvis, and root on the floor."""


RIGS: dict[str, ExportRig] = read_table(__file__, "export_rigs.toml", ExportRig)


def find_export_rig(name: str, root_bone: bool = False) -> ExportRig:
    """A rig by its name, with a root bone if asked for. Raises ConfigError for an unknown name."""
    if name not in RIGS:
        raise ConfigError(f"unknown rig {name!r}; {suggest(name, RIGS)}")
    rig = RIGS[name]
    return replace(rig, root=rig.root or "root") if root_bone else rig


def rest_offsets(joints: Array, rig: ExportRig = RIGS["exact"]) -> Array:
    """Bone vectors [22, 3] in metres of a body in the rest pose with the mean bone lengths of joints [F, 22, 3].

    The three bones of pelvis and upper spine keep the mean angles between them. Raises ShapeError for a body without
    bones.
    """
    parents = list(SMPL22.parents)
    bones = joints - joints[:, [max(parent, 0) for parent in parents]]
    lengths = np.linalg.norm(bones, axis=-1).mean(0)
    if not lengths.max() > SHORT_M:
        raise ShapeError("found a body whose joints are all at one place, expected bones; check the motion")
    offsets = np.zeros((SMPL22.num_joints, 3))
    for joint, name in enumerate(SMPL22.joints):
        side, _, part = name.partition("_")
        direction = np.asarray(rig.rest.get(part, (0.0, 1.0, 0.0))) * (-1.0 if side == "right" else 1.0, 1.0, 1.0)
        offsets[joint] = direction / np.linalg.norm(direction) * lengths[joint]
    for names in _TRIANGLES.values():
        places = [SMPL22.index(name) for name in names]
        left, right, up = (bones[:, place] for place in places)
        ahead = np.cross(left - right, up)
        frame = np.stack((left - right, np.cross(ahead, left - right), ahead), axis=1)
        sizes = np.linalg.norm(frame, axis=-1, keepdims=True)
        if not (sizes > 1e-9).all():  # parallel bones
            continue
        local = np.einsum("frc,fkc->fkr", frame / sizes, bones[:, places]).mean(0)
        norm = np.linalg.norm(local, axis=-1, keepdims=True)
        fits = (norm > 1e-6)[:, 0]
        offsets[np.asarray(places)[fits]] = (local / np.where(norm > 0, norm, 1) * lengths[places, None])[fits]
    offsets[0] = 0
    return offsets


def rest_places(offsets: Array) -> Array:
    """Positions of the joints in the rest pose, lowest joint on the floor   [22, 3] metres."""
    places = np.zeros((SMPL22.num_joints, 3))
    for joint, parent in enumerate(SMPL22.parents[1:], 1):
        places[joint] = places[parent] + offsets[joint]
    places[:, 1] -= places[:, 1].min()
    return places


def body_nodes(offsets: Array, rig: ExportRig = RIGS["exact"]) -> list[Node]:
    """Nodes of the file, parents first: the joints, and the root and helpers of the rig."""
    nodes: list[Node] = [Node(rig.root, -1, (0.0, 0.0, 0.0), -1, ())] if rig.root else []

    def add(joint: int, parent: int, offset: Vector) -> None:
        aims = tuple(child for child, above in enumerate(SMPL22.parents) if above == joint)
        here = len(nodes)
        nodes.append(Node(rig.names[joint], parent, offset, joint, aims, None if aims else _tip(joint, offsets)))
        for aim in aims:
            if len(aims) > 1 and rig.helpers:
                nodes.append(Node(f"{rig.names[aim]}_base", here, (0.0, 0.0, 0.0), joint, (aim,)))
            add(aim, len(nodes) - 1 if len(aims) > 1 and rig.helpers else here, _vector(offsets[aim]))

    add(0, len(nodes) - 1, _vector(rest_places(offsets)[0]))
    return nodes


def _vector(values: Array) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _tip(joint: int, offsets: Array) -> Vector:
    part = SMPL22.joints[joint].rpartition("_")[2]
    size = TIPS_M[part]
    if not isinstance(size, float):
        return size
    bone = offsets[joint] * ((1, 0, 1) if part == "foot" else (1, 1, 1))  # the sole of a foot is level
    return _vector(bone / max(float(np.linalg.norm(bone)), 1e-9) * size)


def pose_clips(clips: Sequence[Clip], rig: ExportRig) -> tuple[Array, list[Posed]]:
    """Rest offsets [22, 3] of one body for all clips, and each clip posed with it. Raises ShapeError."""
    offsets = rest_offsets(np.concatenate([clip.joints for clip in clips]).astype(np.float64), rig)
    nodes, posed = body_nodes(offsets, rig), []
    for clip in clips:
        joints = clip.joints.astype(np.float64)
        turns, pelvis = solve_rotations(joints, nodes, offsets, clip.fps), joints[:, 0]
        ground = pelvis * (1.0, 0.0, 1.0)
        paths = {0: ground, 1: pelvis - ground} if rig.root else {0: pelvis}
        posed.append(Posed(nodes, turns, paths))
    return offsets, posed
