"""Rotations of written files do not spin where the body hardly moves."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from exuvia.motion.export_rig import RIGS, body_nodes, rest_offsets
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.turns import euler_deg, solve_rotations
from made_mocap import body

FOOT, ANKLE = SMPL22.index("left_foot"), SMPL22.index("left_ankle")


def angles_deg(matrices: np.ndarray) -> np.ndarray:
    """Angle between the rotations of successive frames [F-1]."""
    return np.rad2deg((Rotation.from_matrix(matrices[1:]) * Rotation.from_matrix(matrices[:-1]).inv()).magnitude())


def swings_deg(bones: np.ndarray) -> np.ndarray:
    """Angle between the directions of successive frames [F-1, K]."""
    units = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    return np.rad2deg(np.arccos(np.clip((units[1:] * units[:-1]).sum(-1), -1, 1)))


def largest_excess_deg(joints: np.ndarray, rig: str) -> float:
    """Largest turn of a node beyond the swing of its bones in its parent's frame, where no joint moves by 0.3 m."""
    offsets = rest_offsets(joints, RIGS[rig])
    nodes = body_nodes(offsets, RIGS[rig])
    local = solve_rotations(joints, nodes, offsets, 20.0)
    world, most = np.empty_like(local), 0.0
    still = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(1) < 0.3
    for index, node in enumerate(nodes):
        above = world[:, node.parent] if node.parent >= 0 else np.broadcast_to(np.eye(3), local[:, 0].shape)
        world[:, index] = above @ local[:, index]
        if node.aims:
            bones = (joints[:, node.aims] - joints[:, node.joint, None]) @ above
            most = max(most, (angles_deg(local[:, index]) - swings_deg(bones).max(1))[still].max(initial=0))
    return most


@pytest.mark.parametrize("rig", RIGS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), tilt=st.floats(0, 0.2), frames=st.integers(4, 60))
def test_a_bone_near_the_opposite_of_its_rest_direction_does_not_spin(
    rig: str, seed: int, tilt: float, frames: int
) -> None:
    joints, rng = body(frames, 1).astype(np.float64), np.random.default_rng(seed)
    joint = int(rng.choice([j for j in range(1, 22) if SMPL22.joints[j] not in ("neck", "left_hip", "right_hip")]))
    parent = SMPL22.parents[joint]
    rest = rest_offsets(joints, RIGS[rig])[joint]
    away = -rest / np.linalg.norm(rest) + tilt * rng.normal(size=(frames, 3)).cumsum(0) / 2
    moved = joints[:, parent] + away / np.linalg.norm(away, axis=1, keepdims=True) * np.linalg.norm(rest)
    below = [j for j in range(22) if joint in _above(j)]
    joints[:, below] += (moved - joints[:, joint])[:, None]
    assert largest_excess_deg(joints, rig) < 60


def _above(joint: int) -> list[int]:
    return [joint, *_above(SMPL22.parents[joint])] if joint >= 0 else []


def test_a_foot_that_circles_behind_keeps_its_twist() -> None:
    joints = np.repeat(body(2, 0)[:1].astype(np.float64), 40, axis=0)
    rest = rest_offsets(joints)[FOOT]
    angle = np.linspace(0, 4 * np.pi, 40)
    side = np.cross(rest, (1.0, 0, 0)) / np.linalg.norm(rest)
    circle = -rest + 0.1 * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * (np.linalg.norm(rest), 0, 0))
    joints[:, FOOT] = joints[:, ANKLE] + circle
    offsets = rest_offsets(joints)
    nodes = body_nodes(offsets)
    foot = next(index for index, node in enumerate(nodes) if node.name == "left_ankle")
    assert angles_deg(solve_rotations(joints, nodes, offsets, 20.0)[:, foot]).max() < 30


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_euler_angles_stay_on_the_nearest_branch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = Rotation.from_rotvec(rng.normal(0, 0.05, (50, 3)).cumsum(0)) * Rotation.random(rng=seed)
    angles = euler_deg(path.as_matrix()[:, None])
    np.testing.assert_allclose(
        Rotation.from_euler("ZXY", angles[:, 0], degrees=True).as_matrix(), path.as_matrix(), atol=1e-9
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        plain = np.rad2deg(np.unwrap(path.as_euler("ZXY"), axis=0))
    assert np.abs(np.diff(angles[:, 0], axis=0)).sum() <= np.abs(np.diff(plain, axis=0)).sum() + 1e-6
