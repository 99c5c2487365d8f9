"""Joint positions -> rotations of a tree of nodes, continuous over the frames of a clip.

A node with one bone swings by the shortest arc from its parent's frame, which adds no twist. Near the opposite of the
rest direction that arc is ill-defined: a small movement of the bone can turn it by half a turn about itself. There the
twist with the least change over the whole clip is taken (dynamic programming over `LEVELS` angles, then least squares).
A node with several bones takes their least-squares rotation (Kabsch), which turns little where its bones swing little.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from exuvia.motion.chain import rotation_between, unit
from exuvia.shapes import Array

Vector = tuple[float, float, float]
EULER = "ZXY"
LEVELS = 72
"""Number of twist angles that are compared."""
SMALL = np.deg2rad(15)
"""Twist between frames below which the shortest arc is kept."""
LARGE = np.deg2rad(35)
"""Twist between frames above which the cost of a change rises steeply."""
RETURN_S = 0.4
"""Time in which an added twist returns to zero, for a bone near its rest direction."""
SLACK = np.deg2rad(20)
"""Angle by which the rotation of several bones may exceed their smallest swing between frames."""


@dataclass(frozen=True)
class Node:
    """One node of the tree."""

    name: str
    parent: int
    """Index of the parent node, -1 for the first."""
    offset: Vector
    """Rest offset from the parent, metres."""
    joint: int
    """SMPL joint at the node's position, -1 for a root on the floor."""
    aims: tuple[int, ...]
    """SMPL joints at the far ends of the bones that the node rotates; empty for a leaf."""
    tip: Vector | None = None
    """Vector to the tip of a leaf, metres."""


def solve_rotations(joints: Array, nodes: Sequence[Node], offsets: Array, fps: float) -> Array:
    """Local rotations [F, N, 3, 3] that rotate the rest bones to the joints [F, 22, 3].

    Nodes stand parents first; offsets are the rest bones [22, 3] in metres. Each bone starts where its rigid parent
    ends and aims at the joint, so errors of bone lengths do not add up.
    """
    frames = len(joints)
    world, places = np.empty((frames, len(nodes), 3, 3)), np.empty((frames, len(nodes), 3))
    local = np.empty_like(world)
    for index, node in enumerate(nodes):
        if node.parent < 0:
            above, places[:, index] = np.broadcast_to(np.eye(3), (frames, 3, 3)), joints[:, 0]
        else:
            above = world[:, node.parent]
            places[:, index] = places[:, node.parent] + above @ np.asarray(node.offset)
        if node.joint == 0:
            places[:, index] = joints[:, 0]
        aims = list(node.aims)
        own = joints[:, aims] - joints[:, node.joint, None]
        shift = joints[:, node.joint, None] - places[:, index, None]
        # at most half a bone, which turns it by 30 degrees
        size, most = (np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (shift, own / 2))
        bones = own + shift * np.minimum(1, most / np.maximum(size, 1e-9))
        if not aims:
            local[:, index] = np.eye(3)
        elif len(aims) == 1:
            local[:, index] = _swing(above, offsets[aims[0]], bones[:, 0], fps)
        else:
            local[:, index] = _best_fit(above, offsets[aims], bones)
        world[:, index] = above @ local[:, index]
    return local


def euler_deg(matrices: Array) -> Array:
    """Angles [F, N, 3] in degrees, order ZXY; of the two solutions the one nearer to the frame before."""
    with warnings.catch_warnings():  # in gimbal lock SciPy sets the third angle to zero; the pose is still right
        warnings.simplefilter("ignore", UserWarning)
        angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_euler(EULER).reshape(*matrices.shape[:2], 3)
    other = np.stack((angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi), axis=-1)
    for frame in range(1, len(angles)):
        before = angles[frame - 1]
        near, far = (before + wrapped(branch[frame] - before) for branch in (angles, other))
        better = np.abs(far - before).sum(-1, keepdims=True) < np.abs(near - before).sum(-1, keepdims=True)
        angles[frame] = np.where(better, far, near)
    return np.rad2deg(angles)


def wrapped(angle: Array) -> Array:
    """Angles in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _swing(above: Array, rest: Array, bone: Array, fps: float) -> Array:
    """Local rotations [F, 3, 3] from a rest vector [3] to world vectors [F, 3], with the least change of twist."""
    length = np.linalg.norm(rest)
    if length < 1e-9:
        return np.broadcast_to(np.eye(3), above.shape)
    axis, along = rest / length, (np.swapaxes(above, -1, -2) @ bone[:, :, None])[..., 0]
    size = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.where(size > 1e-9, along / np.maximum(size, 1e-9), axis)
    local = rotation_between(np.broadcast_to(axis, along.shape), along).as_matrix()
    steps = _twist_steps(local, along, axis)
    if np.abs(steps).max(initial=0) < SMALL:
        return local
    world = above @ local
    steps_world = _twist_steps(world, (world @ axis), axis)
    hold = ((1 + along @ axis) / 2) ** 2 / (RETURN_S * fps) ** 2
    twist = _least_change(steps, steps_world, hold)
    return local @ Rotation.from_rotvec(twist[:, None] * axis).as_matrix()


def _twist_steps(turns: Array, along: Array, axis: Array) -> Array:
    """Angle [F-1] about the bone by which each frame's rotation must be twisted to follow the frame before."""
    carried = rotation_between(along[:-1], along[1:]).as_matrix() @ turns[:-1]
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    moved = (np.swapaxes(turns[1:], -1, -2) @ carried) @ side
    return np.arctan2(moved @ np.cross(axis, side), moved @ side)


def _least_change(steps: Array, steps_world: Array, hold: Array) -> Array:
    """Twist [F] that follows the steps [F-1] and stays near zero with the weights `hold` [F]."""
    levels = wrapped(np.arange(LEVELS) * 2 * np.pi / LEVELS)
    change = (np.arange(LEVELS)[None] - np.arange(LEVELS)[:, None]) % LEVELS  # from row to column

    def cost(step: Array) -> Array:
        off = np.abs(wrapped(levels[None] - step[:, None]))
        return off**2 + 10 * np.maximum(off - LARGE, 0) ** 2

    moves, stay = 3 * cost(steps) + np.maximum(cost(steps_world) - LARGE**2, 0), 3 * hold[:, None] * levels**2
    total, origin = stay[0], np.empty((len(steps), LEVELS), np.uint8)
    for frame, move in enumerate(moves):
        ways = total[:, None] + move[change]
        origin[frame] = ways.argmin(0)
        total = ways.min(0) + stay[frame + 1]
    path = [int(total.argmin())]
    for before in origin[::-1]:
        path.append(int(before[path[-1]]))
    rough = np.unwrap(levels[path[::-1]])
    wanted = np.diff(rough) + wrapped(steps - np.diff(rough))
    turns = 2 * np.pi * np.round(rough / (2 * np.pi))
    diagonal = hold + 1e-9 + np.pad(np.ones(len(steps)), (0, 1)) + np.pad(np.ones(len(steps)), (1, 0))
    banded = np.stack((np.full(len(hold), -1.0), diagonal))
    right = (hold + 1e-9) * turns - np.pad(wanted, (0, 1)) + np.pad(wanted, (1, 0))
    smooth: Array = solveh_banded(banded, right)

    def worst(twist: Array) -> float:
        return max(LARGE, *(np.abs(wrapped(np.diff(twist) - step)).max() for step in (steps, steps_world)))

    return smooth if worst(smooth) <= worst(rough) else rough


def _best_fit(above: Array, rest: Array, bones: Array) -> Array:
    """Local rotations [F, 3, 3] from rest vectors [K, 3] to world vectors [F, K, 3] in the least-squares sense.

    Where the bones nearly lie in a line, or one of them jumps, the best rotation jumps. No rotation turns by more than
    `SLACK` beyond the smallest swing of its bones since the frame before.
    """
    units = unit(bones)
    bones, carried = bones @ above, units @ above  # in the parent's frame
    u, _, vt = np.linalg.svd(np.einsum("fki,kj->fij", bones, rest))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    fits = Rotation.from_matrix(u @ vt)
    swings = [np.arccos(np.clip((way[1:] * way[:-1]).sum(-1), -1, 1)).min(-1) for way in (units, carried)]
    most = np.minimum(*swings) + SLACK
    if ((fits[1:] * fits[:-1].inv()).magnitude() <= most).all():
        return fits.as_matrix()
    turns = [fits[0]]
    for frame, limit in enumerate(most):
        step = (fits[frame + 1] * turns[-1].inv()).as_rotvec()
        step *= min(1.0, limit / max(float(np.linalg.norm(step)), 1e-9))
        turns.append(Rotation.from_rotvec(step) * turns[-1])
    return Rotation.concatenate(turns).as_matrix()
